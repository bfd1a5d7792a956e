"""Drawn non-links."""

import numpy as np
import pytest

from sk_entity_embed._sampling import NegativeSampler


@pytest.fixture
def pairs():
    """Distinct pairs, about a quarter of all."""
    rng = np.random.default_rng(3)
    return np.nonzero(rng.random((30, 40)) < 0.25)


@pytest.mark.parametrize("sampling", ["uniform", "popularity"])
def test_samples_are_never_true_pairs(pairs, sampling):
    """What is called usable is not among the pairs, and almost everything is usable."""
    left, right = pairs
    sampler = NegativeSampler(left, right, n_left=30, n_right=40, sampling=sampling)
    rng = np.random.default_rng(0)
    asked = rng.integers(0, 30, 5000)
    drawn, usable = sampler.sample(rng, asked, 3)
    true = set(zip(left.tolist(), right.tolist(), strict=True))
    hits = [(a, b) in true for a, row in zip(asked, drawn, strict=True) for b in row]
    np.testing.assert_array_equal(np.array(hits).reshape(drawn.shape), ~usable)
    assert usable.mean() > 0.98  # a quarter hits, five draws: 0.999
    assert drawn.min() >= 0
    assert drawn.max() < 40


def test_pairs_of_the_article_are_never_true_pairs(pairs):
    """Both ends of a pair are drawn anew when it hits."""
    sampler = NegativeSampler(*pairs, n_left=30, n_right=40)
    left, right, usable = sampler.sample_pairs(np.random.default_rng(0), 4000)
    np.testing.assert_array_equal(sampler.contains(left, right), ~usable)
    assert usable.mean() > 0.98
    assert np.bincount(left, minlength=30).min() > 0


def test_an_entity_linked_to_all_has_no_usable_sample():
    """There is nothing to draw, and it is said."""
    sampler = NegativeSampler(np.zeros(5, int), np.arange(5), n_left=2, n_right=5)
    _, usable = sampler.sample(np.random.default_rng(0), np.array([0, 1]), 4)
    np.testing.assert_array_equal(usable, [[False] * 4, [True] * 4])


def test_popularity_draws_follow_the_power_of_the_count():
    """Counts 16 and 1 are drawn 8 to 1, and an entity without pairs never."""
    right = np.repeat([0, 1], [16, 1])
    sampler = NegativeSampler(np.arange(17), right, n_left=17, n_right=3, sampling="popularity")
    drawn = np.bincount(sampler.draw(np.random.default_rng(0), 90_000), minlength=3)
    # 80,000 expected, standard deviation 94: six of them.
    assert abs(drawn[0] - 80_000) < 600
    assert drawn[2] == 0


def test_uniform_draws_are_even():
    """Popularity plays no part."""
    right = np.repeat([0, 1], [16, 1])
    sampler = NegativeSampler(np.arange(17), right, n_left=17, n_right=3)
    drawn = np.bincount(sampler.draw(np.random.default_rng(0), 90_000), minlength=3)
    assert np.abs(drawn - 30_000).max() < 900  # six standard deviations


def test_contains_agrees_with_a_set(pairs):
    """The search in sorted keys finds exactly the pairs."""
    sampler = NegativeSampler(*pairs, n_left=30, n_right=40)
    dense = np.zeros((30, 40), bool)
    dense[pairs] = True
    left, right = np.indices((30, 40))
    np.testing.assert_array_equal(sampler.contains(left, right), dense)


def test_no_pairs_no_hits():
    """An empty set of pairs is allowed."""
    none = np.zeros(0, int)
    sampler = NegativeSampler(none, none, n_left=3, n_right=3)
    assert sampler.sample(np.random.default_rng(0), np.arange(3), 2)[1].all()


def test_unknown_sampling_is_named():
    """The message says what was expected."""
    with pytest.raises(ValueError, match="'uniform' or 'popularity', got 'other'"):
        NegativeSampler(np.arange(2), np.arange(2), n_left=2, n_right=2, sampling="other")
