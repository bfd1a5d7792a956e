"""As many threads as a training step can use, for as long as a training runs."""

import threading
from contextlib import contextmanager

import torch

# Floating-point operations of a step worth a thread of their own: some milliseconds on one core. With fewer, waking and
# waiting for the others costs more than they do: 20,000 rows took 1.7 s on two threads and 0.8 on one.
FLOPS_A_THREAD = 1 << 28

_lock = threading.Lock()
_running = []  # thread counts wanted by the trainings of this process
_before = 1  # what the first of them found


@contextmanager
def enough_threads(flops):
    """Let torch use no more threads than steps of so many operations are worth, then as many as before.

    The count is the process's. Trainings side by side get the largest that one of them wants, and the last to end puts
    back what the first one found.
    """
    global _before
    with _lock:
        if not _running:
            _before = torch.get_num_threads()
        wanted = min(_before, max(1, round(flops / FLOPS_A_THREAD)))
        _running.append(wanted)
        torch.set_num_threads(max(_running))
    try:
        yield
    finally:
        with _lock:
            _running.remove(wanted)
            torch.set_num_threads(max(_running) if _running else _before)
