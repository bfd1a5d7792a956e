"""Threads while training, and afterwards."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from _made import QUICK, make_shops

from sk_entity_embed import EntityEmbedder
from sk_entity_embed._torch import _threads
from sk_entity_embed._torch._threads import FLOPS_A_THREAD, enough_threads


@pytest.fixture(autouse=True)
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("flops", "expected"), [(1, 1), (2 * FLOPS_A_THREAD, 2), (1e15, 3)])
def test_a_small_step_gets_few_threads(flops, expected):
    """At least one, never more than torch was allowed."""
    with enough_threads(flops):
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == 3


def test_trainings_side_by_side():
    """The hungriest decides; the last to end puts back what was there."""
    first, second = enough_threads(1), enough_threads(2 * FLOPS_A_THREAD)
    first.__enter__()
    second.__enter__()
    assert torch.get_num_threads() == 2
    first.__exit__(None, None, None)
    assert torch.get_num_threads() == 2
    second.__exit__(None, None, None)
    assert torch.get_num_threads() == 3
    assert not _threads._running


def test_a_fit_leaves_the_count_as_it_was():
    """After a good fit, a failed one, and several at once."""
    X, y = make_shops(100)
    EntityEmbedder(**QUICK).fit(X, y)
    assert torch.get_num_threads() == 3
    with pytest.raises(FloatingPointError):
        EntityEmbedder(**QUICK | {"learning_rate": 1e30}).fit(X, y)
    assert torch.get_num_threads() == 3
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: EntityEmbedder(**QUICK).fit(X, y), range(4)))
    assert torch.get_num_threads() == 3
