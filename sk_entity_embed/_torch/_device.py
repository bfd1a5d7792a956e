"""Where to train."""

from contextlib import ExitStack, contextmanager

import torch


def resolve_device(device):
    """The device that a parameter means.

    Parameters
    ----------
    device : str
        "auto" takes CUDA, else the CPU. Apple's MPS has to be asked for: nobody has tried it yet.

    Returns
    -------
    device : str

    Raises
    ------
    ValueError
        If the device is not there.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        # The first sentence: torch goes on to list all its backends.
        reason = str(error).splitlines()[0].split(". ")[0].rstrip(".")
        raise ValueError(
            f"device={device!r} cannot be used here: {reason}. Use device='auto' or 'cpu'."
        ) from error
    return device


@contextmanager
def own_defaults():
    """Make tensors on the CPU where the code names no device, and calculate in the precision that they have.

    Whatever ``torch.set_default_device`` was told, and inside ``torch.autocast`` as well. The device is named only
    where it is another one: torch then asks at each operation, which costs a tenth of a training step.
    """
    with ExitStack() as stack:
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield
