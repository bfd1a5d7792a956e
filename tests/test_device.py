"""Where tensors lie while training."""

import numpy as np
import pytest
import torch
from _made import QUICK, make_pairs, make_shops

from sk_entity_embed import EntityEmbedder


@pytest.fixture
def elsewhere():
    """A default device that is not the CPU; "meta" holds no numbers at all."""
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)


def embed():
    pairs, _ = make_pairs()
    rating = np.linspace(1, 5, len(pairs))
    of_pairs = {"interaction": "dot", "n_components": 2, "device": "cpu", "random_state": 0}
    by_sgd = {**of_pairs, "solver": "sgd", "max_epochs": 2}
    by_quantile = {**QUICK, "loss": "quantile", "target_type": "continuous"}
    return [
        EntityEmbedder(**QUICK, device="cpu").fit_transform(*make_shops()),
        EntityEmbedder(**by_quantile, device="cpu").fit_transform(*make_shops()),
        EntityEmbedder(**of_pairs).fit_transform(pairs),
        EntityEmbedder(**by_sgd).fit_transform(pairs),
        EntityEmbedder(**by_sgd).fit_transform(pairs, rating),
        EntityEmbedder(**by_sgd, loss="logistic").fit_transform(pairs),
        EntityEmbedder(**by_sgd, loss="squared_error").fit_transform(pairs),
    ]


@pytest.fixture
def in_double_precision():
    """A default type that is not single precision."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def expected():
    return embed()


def test_the_default_device_of_torch_is_no_matter(expected, elsewhere):
    """The parameter alone says where to train, and the default is afterwards what it was."""
    for found, wanted in zip(embed(), expected):
        np.testing.assert_array_equal(found, wanted)
    assert torch.get_default_device().type == "meta"


def test_the_default_type_of_torch_is_no_matter(expected, in_double_precision):
    """Single precision, whatever the default is, which is afterwards what it was."""
    for found, wanted in zip(embed(), expected):
        np.testing.assert_array_equal(found, wanted)
    assert torch.get_default_dtype() == torch.float64


def test_autocast_is_no_matter(expected):
    """Gradients are written out, in the precision of the parameters; autocast would mix in another."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for found, wanted in zip(embed(), expected):
            np.testing.assert_array_equal(found, wanted)
        assert torch.is_autocast_enabled("cpu")
