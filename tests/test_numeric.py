"""Numbers for the network: missing values filled and marked, robust scale, smooth clip, ranks in heavy tails."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from sk_entity_embed import EntityEmbedder, EntityEmbeddingRegressor
from sk_entity_embed._numeric import learn_scaling, scale


def test_a_normal_column_keeps_its_shape():
    """Near the middle, the scaled value is the number of standard deviations."""
    x = np.random.default_rng(0).normal(100.0, 7.0, (20_000, 1)).astype(np.float32)
    scaling = learn_scaling(x)
    assert scaling["center"][0] == pytest.approx(100, abs=0.3)
    assert scaling["scale"][0] == pytest.approx(7, rel=0.05)
    near = np.abs(x - 100) < 1
    np.testing.assert_allclose(scale(x, scaling)[near], (x[near] - 100) / 7, atol=0.05)


def test_order_survives_and_tails_are_bounded():
    """The clip is smooth: monotone everywhere, never beyond its bound."""
    x = np.sort(np.random.default_rng(0).standard_cauchy((500, 1))).astype(np.float32)
    x = np.sort(x, axis=0)
    z = scale(x, learn_scaling(x))
    assert (np.diff(z[:, 0]) >= 0).all()
    assert np.abs(z).max() <= 3.0


def test_a_heavy_tail_is_told_by_ranks():
    """Logarithms of such numbers are normal, and so is what the network sees; what is new beyond them is at the end."""
    logs = np.random.default_rng(0).normal(0, 2, (5000, 1))
    x = np.exp(logs).astype(np.float32)
    scaling = learn_scaling(x)
    assert scaling["heavy"].tolist() == [0]
    inner = np.abs(logs) < 5
    np.testing.assert_allclose(scale(x, scaling)[inner], logs[inner] / 2, atol=0.15)
    new = scale(np.array([[0.0], [1e30], [np.nan]], dtype=np.float32), scaling)
    np.testing.assert_allclose(new.ravel(), [-3, 3, 0], atol=1e-6)


def test_equal_values_of_a_heavy_tail_have_one_score():
    """Three quarters are zero: the middle of their shares."""
    rng = np.random.default_rng(0)
    x = np.where(rng.random(4000) < 0.75, 0, np.exp(rng.normal(0, 2, 4000)))[:, None]
    z = scale(x.astype(np.float32), learn_scaling(x.astype(np.float32))).ravel()
    np.testing.assert_allclose(z[x.ravel() == 0], norm.ppf(0.375), atol=0.1)
    assert (np.diff(z[np.argsort(x.ravel())]) >= 0).all()
    assert z.max() == pytest.approx(3.0)


@pytest.mark.parametrize("kind", ["normal", "uniform", "exponential", "standard_t"])
def test_other_tails_keep_their_distances(kind):
    """Ranks would lose them; five degrees of freedom are not many."""
    arguments = (5,) if kind == "standard_t" else ()
    x = getattr(np.random.default_rng(0), kind)(*arguments, size=(5000, 1)).astype(np.float32)
    assert not len(learn_scaling(x)["heavy"])


def test_one_wild_value_does_not_squeeze_the_rest():
    """The scale is robust: an outlier leaves the others where they were."""
    x = np.arange(101, dtype=np.float32)[:, None]
    wild = x.copy()
    wild[-1] = 1e12
    np.testing.assert_allclose(
        scale(wild, learn_scaling(wild))[:-1], scale(x, learn_scaling(x))[:-1], atol=0.05
    )


def test_missing_values_are_filled_and_marked():
    """NaN becomes the middle, and a column of marks tells."""
    x = np.array([[1, 5], [np.nan, 6], [3, 7]], dtype=np.float32)
    scaling = learn_scaling(x)
    z = scale(x, scaling)
    assert z.shape == (3, 3)
    assert z.dtype == np.float32
    assert z[1, 0] == 0
    np.testing.assert_array_equal(z[:, 2], [0, 1, 0])
    new = scale(np.array([[2, np.nan]], dtype=np.float32), scaling)  # not missing in training
    assert new.shape == (1, 3)
    assert np.isfinite(new).all()


@pytest.mark.parametrize("value", [0.0, 5.0, 1e30, np.nan])
def test_a_constant_or_empty_column_is_zero(value):
    """Nothing to tell apart: zeros, without a warning."""
    x = np.full((4, 1), value, dtype=np.float32)
    z = scale(x, learn_scaling(x))
    assert not z[:, 0].any()


def test_a_column_mostly_alike_still_has_a_scale():
    """Where over half of the values are one, the others tell the spread."""
    x = np.zeros((100, 1), dtype=np.float32)
    x[:10] = 1000
    z = scale(x, learn_scaling(x))
    assert 1 < z.max() <= 3


def test_one_wild_value_does_not_squeeze_a_column_mostly_alike():
    """Amounts that are mostly zero keep their scale beside an outlier."""
    rng = np.random.default_rng(0)
    x = np.where(rng.random((1000, 1)) < 0.8, 0, rng.normal(5, 1, (1000, 1))).astype(np.float32)
    scaling = learn_scaling(x)
    assert scaling["scale"][0] == pytest.approx(x.std(), rel=0.3)
    wild = x.copy()
    wild[-1] = 1e12
    assert learn_scaling(wild)["scale"][0] == pytest.approx(scaling["scale"][0], rel=0.01)


def test_the_unit_of_a_number_does_not_matter():
    """Masses of particles in kilograms tell as much as tons do."""
    x = np.random.default_rng(0).normal(size=(200, 1))
    expected = scale(x.astype(np.float32), learn_scaling(x.astype(np.float32)))
    for unit in (1e-30, 1e30):
        other = (unit * x).astype(np.float32)
        np.testing.assert_allclose(scale(other, learn_scaling(other)), expected, rtol=1e-4)


def test_no_column_at_all():
    """A table without numbers gives a matrix without columns."""
    x = np.empty((3, 0), dtype=np.float32)
    assert scale(x, learn_scaling(x)).shape == (3, 0)


# -- whole numbers that single precision does not hold -------------------------------------------


def make_days(n_rows=600, first=20150701, seed=0):
    """Sales by shop and day, given as a whole number; of each day its own."""
    rng = np.random.default_rng(seed)
    shop, day = rng.integers(5, size=n_rows), rng.integers(30, size=n_rows)
    y = rng.standard_normal(5)[shop] + 2 * rng.standard_normal(30)[day]
    X = pd.DataFrame({"shop": [f"s{i}" for i in shop], "day": first + day})
    return X, y + 0.1 * rng.standard_normal(n_rows)


QUICK = {"max_epochs": 2, "hidden_layer_sizes": (8,), "random_state": 0}


def test_long_whole_numbers_pass_unchanged(tmp_path):
    """Through all that gives them back, before and after saving."""
    X, y = make_days()
    embedder = EntityEmbedder(**QUICK)
    for out in (embedder.fit_transform(X, y), embedder.transform(X)):
        assert out.dtype == np.float64
        np.testing.assert_array_equal(out[:, -1], X["day"])
    embedder.save(tmp_path / "e.safetensors")
    again = EntityEmbedder.load(tmp_path / "e.safetensors").transform(X)
    np.testing.assert_array_equal(again, out)
    np.testing.assert_array_equal(embedder.inverse_transform(out)[:, 1], X["day"])


@pytest.mark.parametrize("day", [20150701.5, 701, 2**24, np.nan])
def test_other_numbers_stay_in_single_precision(day):
    """Whatever digits are behind the point: nobody tells a row by them."""
    X, y = make_days(first=1)
    X["day"] = X["day"].where(X["day"] > 1, day)
    assert EntityEmbedder(**QUICK).fit_transform(X, y).dtype == np.float32


def test_long_codes_are_told_apart():
    """Each value has a story of its own, wherever the numbers begin."""
    scores = []
    for first in (1, 2**30 + 1):
        X, y = make_days(2000, first)
        model = EntityEmbeddingRegressor(max_epochs=20, random_state=0)
        scores.append(model.fit(X[:1500], y[:1500]).score(X[1500:], y[1500:]))
    assert min(scores) > 0.9
    assert scores[0] == pytest.approx(scores[1], abs=0.02)
