"""The trained layers in NumPy."""

import numpy as np
import pytest

from sk_entity_embed import _head


def make_head(n_bodies, n_vectors, n_numeric, sizes, rng):
    frequencies, outputs = 3, 2
    head = {"coefs": [], "intercepts": []}
    width = n_vectors + n_numeric * (outputs + 1)
    for size in sizes:
        head["coefs"].append(rng.normal(size=(n_bodies, width, size)).astype(np.float32))
        head["intercepts"].append(rng.normal(size=(n_bodies, 1, size)).astype(np.float32))
        width = size
    if n_numeric:
        shapes = {
            "frequencies": (n_bodies, n_numeric, 1, frequencies),
            "periodic_coefs": (n_bodies, n_numeric, 2 * frequencies, outputs),
            "periodic_intercepts": (n_bodies, n_numeric, 1, outputs),
        }
        head |= {k: rng.normal(size=s).astype(np.float32) for k, s in shapes.items()}
    return head


def forward_slowly(head, vector, numbers, k):
    """One row through one body, number by number."""
    features = list(vector)
    for j, x in enumerate(numbers):
        angles = [2 * np.pi * f * x for f in head["frequencies"][k, j, 0]]
        waves = np.array([np.sin(a) for a in angles] + [np.cos(a) for a in angles])
        for o in range(head["periodic_coefs"].shape[-1]):
            total = waves @ head["periodic_coefs"][k, j, :, o]
            features.append(max(0, total + head["periodic_intercepts"][k, j, 0, o]))
    h = np.array([*features, *numbers])
    for i, (coef, intercept) in enumerate(zip(head["coefs"], head["intercepts"])):
        h = h @ coef[k] + intercept[k, 0]
        if i + 1 < len(head["coefs"]):
            h = np.maximum(h, 0)
    return h


@pytest.mark.parametrize("n_numeric", [0, 2])
@pytest.mark.parametrize("sizes", [(1,), (4, 3), (5, 4, 2)])
def test_forward_equals_the_obvious_loops(n_numeric, sizes):
    """Every body, and the mean of all of them."""
    rng = np.random.default_rng(0)
    head = make_head(3, 4, n_numeric, sizes, rng)
    vectors = rng.normal(size=(6, 4)).astype(np.float32)
    numeric = rng.normal(size=(6, n_numeric)).astype(np.float32)
    slow = np.array(
        [[forward_slowly(head, v, x, k) for v, x in zip(vectors, numeric)] for k in range(3)]
    )
    for k in range(3):
        np.testing.assert_allclose(
            _head.forward(head, vectors, numeric, body=k), slow[k], rtol=1e-4, atol=1e-4
        )
    mean = _head.forward(head, vectors, numeric)
    assert mean.dtype == np.float64
    np.testing.assert_allclose(mean, slow.mean(axis=0), rtol=1e-4, atol=1e-4)


def test_rows_in_pieces_are_the_same_rows(monkeypatch):
    """How many rows go through at once does not show."""
    rng = np.random.default_rng(0)
    head = make_head(2, 4, 1, (5, 2), rng)
    vectors = rng.normal(size=(11, 4)).astype(np.float32)
    numeric = rng.normal(size=(11, 1)).astype(np.float32)
    whole = _head.forward(head, vectors, numeric)
    monkeypatch.setattr(_head, "_ROWS_AT_ONCE", 4)
    np.testing.assert_allclose(_head.forward(head, vectors, numeric), whole, rtol=1e-5, atol=1e-6)


def test_the_input_is_left_alone():
    """The layers work on copies of their own."""
    rng = np.random.default_rng(0)
    head = make_head(1, 3, 0, (4, 1), rng)
    vectors = rng.normal(size=(5, 3)).astype(np.float32)
    before = vectors.copy()
    _head.forward(head, vectors, np.empty((5, 0), dtype=np.float32))
    np.testing.assert_array_equal(vectors, before)
