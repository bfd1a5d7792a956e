"""New entities from their links, and what makes two entities near."""

import numpy as np
import pytest

from sk_entity_embed._fold_in import explain, fold_in

NUMBERS = {"negative_weight": 0.05, "ridge": 0.3, "ridge_power": 0.5}


@pytest.fixture
def other():
    """A table of 20 trained vectors."""
    return np.random.default_rng(5).normal(size=(20, 4)).astype(np.float32)


def slow_vector(v, links, weights, targets, negative_weight, ridge, ridge_power, confidence=1.0):
    """The normal equations of one entity, term by term."""
    v = v.astype(np.float64)
    a = sum(negative_weight * np.outer(row, row) for row in v)
    b = np.zeros(v.shape[1])
    mass = 0.0
    for link, w, t in zip(links, weights, targets, strict=True):
        c = confidence * w
        a += c * np.outer(v[link], v[link])
        b += c * t * v[link]
        mass += c
    a += ridge * (mass + negative_weight * len(v)) ** ridge_power * np.eye(len(a))
    return np.linalg.solve(a, b)


def test_fold_in_solves_the_normal_equations(other):
    """Entities of different counts, with weights and targets, agree with the slow version."""
    rng = np.random.default_rng(0)
    count = [3, 0, 7, 3, 1]
    indptr = np.r_[0, np.cumsum(count)]
    indices = rng.integers(0, 20, indptr[-1])
    weights, targets = rng.random(indptr[-1]) + 0.1, rng.normal(size=indptr[-1])
    found = fold_in(other, indptr, indices, weights, targets, confidence=2.0, **NUMBERS)
    assert found.dtype == np.float32
    for i in range(5):
        own = slice(indptr[i], indptr[i + 1])
        slow = slow_vector(
            other, indices[own], weights[own], targets[own], confidence=2.0, **NUMBERS
        )
        np.testing.assert_allclose(found[i], slow, rtol=1e-4, atol=1e-6)


def test_no_links_no_vector(other):
    """An entity without links gets zeros, and no entity an empty table."""
    assert not fold_in(other, [0, 0], [], **NUMBERS).any()
    assert fold_in(other, [0], [], **NUMBERS).shape == (0, 4)


def test_a_link_given_twice_counts_twice(other):
    """A repeated link is a weight of two."""
    twice = fold_in(other, [0, 3], [2, 5, 2], **NUMBERS)
    weighted = fold_in(other, [0, 2], [2, 5], [2.0, 1.0], **NUMBERS)
    np.testing.assert_allclose(twice, weighted, rtol=1e-5)


def test_large_batches_are_cut(other, monkeypatch):
    """Cutting a batch changes nothing."""
    indices = np.random.default_rng(1).integers(0, 20, 60)
    whole = fold_in(other, np.arange(0, 61, 3), indices, **NUMBERS)
    monkeypatch.setattr("sk_entity_embed._fold_in._CELLS", 50)
    np.testing.assert_allclose(fold_in(other, np.arange(0, 61, 3), indices, **NUMBERS), whole)


@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_parts_add_up_to_the_similarity(other, metric):
    """The sum over the links is the similarity of the two folded-in vectors."""
    a, b = np.array([1, 4, 9, 11]), np.array([4, 9, 15])
    weights_a = np.array([1.0, 2.0, 0.5, 1.0])
    told = explain(other, a, b, weights_a, metric=metric, **NUMBERS)
    x_a = fold_in(other, [0, 4], a, weights_a, **NUMBERS)[0].astype(float)
    x_b = fold_in(other, [0, 3], b, **NUMBERS)[0].astype(float)
    similarity = x_a @ x_b
    if metric == "cosine":
        similarity /= np.linalg.norm(x_a) * np.linalg.norm(x_b)
    assert told.score == pytest.approx(similarity, rel=1e-5)
    assert told.parts.sum() == pytest.approx(similarity, rel=1e-5)
    assert (np.diff(told.parts) <= 0).all()
    assert sorted(told.links) == [1, 4, 9, 11, 15]
    assert set(told.links[told.shared]) == {4, 9}


def test_short_vectors_have_a_whole_cosine(other):
    """A strong penalty shrinks the vectors, not the cosine of what is left."""
    strong = {**NUMBERS, "ridge": 1e9}
    told = explain(other, [1, 4], [4, 9], **strong)
    x_a, x_b = fold_in(other, [0, 2, 4], [1, 4, 4, 9], **strong).astype(float)
    cosine = x_a @ x_b / (np.linalg.norm(x_a) * np.linalg.norm(x_b))
    assert told.parts.sum() == pytest.approx(cosine, rel=1e-5)
    assert not explain(other, [], [4], **strong).parts.any()


def test_explanation_is_symmetric(other):
    """Asking the other way round tells the same."""
    there = explain(other, [1, 2, 3], [3, 4], **NUMBERS)
    back = explain(other, [3, 4], [1, 2, 3], **NUMBERS)
    np.testing.assert_array_equal(there.links, back.links)
    np.testing.assert_allclose(there.parts, back.parts)


def test_unknown_metric_is_named(other):
    """The message says what was expected."""
    with pytest.raises(ValueError, match="'cosine' or 'dot', got 'euclidean'"):
        explain(other, [1], [2], metric="euclidean", **NUMBERS)
