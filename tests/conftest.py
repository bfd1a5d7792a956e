"""Settings and fixtures of the whole suite."""

import contextlib
import os
import random
import sys
import warnings

import numpy as np
import pytest
from hypothesis import settings

# How long an example takes depends on who else uses the machine, so it is no ground to fail.
settings.register_profile("library", deadline=None, max_examples=30)
settings.load_profile("library")


def pytest_collection_modifyitems(items):
    """Skip what needs a network or a GPU, with a reason, unless it is there."""
    network = os.environ.get("SK_ENTITY_EMBED_NETWORK") == "1"
    for item in items:
        if item.get_closest_marker("network") and not network:
            item.add_marker(pytest.mark.skip(reason="set SK_ENTITY_EMBED_NETWORK=1 to run"))
        if item.get_closest_marker("gpu"):
            import torch

            if not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason="torch sees no GPU"))


def _global_state():
    torch = sys.modules.get("torch")
    state = {
        "NumPy's generator": [np.asarray(part).tolist() for part in np.random.get_state()],  # noqa: NPY002
        "Python's generator": random.getstate(),
        "the warning filters": list(warnings.filters),
    }
    if torch is not None:
        state["torch's generator"] = torch.get_rng_state().tolist()
        state["torch's threads"] = torch.get_num_threads()
        state["torch's default dtype"] = torch.get_default_dtype()
    return state


@pytest.fixture
def globals_untouched():
    """Give a context manager; its block must leave generators, threads and filters alone."""

    @contextlib.contextmanager
    def check():
        import torch  # noqa: F401  (loaded now, so that its state can be compared)

        before = _global_state()
        yield
        after = _global_state()
        changed = [what for what in before if after[what] != before[what]]
        assert not changed, f"changed by the block: {', '.join(changed)}"

    return check


@pytest.fixture
def no_products(monkeypatch):
    """Vectors that start anywhere: those that know a product from the start may need no pair, and no long training."""
    monkeypatch.setattr("sk_entity_embed._fit_network.find_products", lambda *_: [])
