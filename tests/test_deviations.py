"""Numbers of which a category tells nearly all, told by what is left."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sk_entity_embed import EntityEmbeddingRegressor, _fit_network
from sk_entity_embed._deviations import learn_deviations, no_deviations
from sk_entity_embed._numeric import learn_scaling, scale


def make_panel(n_rows=3000, n_shops=60, seed=0):
    """Shops of very different sales, which tell of the target by how far they are from the shop's usual ones.

    Returns the table, the target and that distance.
    """
    rng = np.random.default_rng(seed)
    shop = rng.permutation(np.arange(n_rows) % n_shops)
    apart = rng.normal(size=n_rows)
    sales = 50 + 20 * rng.normal(size=n_shops)[shop] + apart
    X = pd.DataFrame(
        {
            "shop": [f"no. {i}" for i in shop],
            "day": rng.integers(7, size=n_rows).astype(str),
            "sales": sales,
            "weight": rng.normal(size=n_rows),
        }
    )
    return X, 2 * apart + rng.normal(size=n_rows), apart


def read(X, y):
    """What `learn_deviations` is given of a table."""
    codes = np.column_stack([1 + pd.factorize(X[c])[0] for c in ("shop", "day")]).astype(np.int32)
    numeric = X[["sales", "weight"]].to_numpy(np.float32, copy=True)
    target = ((y - y.mean()) / y.std()).astype(np.float32)[:, None]
    scaled = scale(numeric, learn_scaling(numeric))
    return scaled, numeric, codes, (codes.max(axis=0) + 1).tolist(), target


@pytest.mark.parametrize("seed", range(3))
def test_what_is_left_of_a_number_becomes_one(seed):
    """The sales less those of the shop, not the weight, nor by the day."""
    X, y, apart = make_panel(seed=seed)
    data = read(X, y)
    found = learn_deviations(*data)
    assert found.columns.tolist() == [0]
    assert found.numbers.tolist() == [0]
    inputs = found.append(*data[:3], are_trained=True)
    assert inputs.shape == (len(X), 3)
    assert inputs.dtype == np.float32
    np.testing.assert_array_equal(inputs[:, :2], data[0])
    assert (
        np.corrcoef(inputs[:, 2], apart)[0, 1] > 0.95
    )  # the scale of the sales is bent at its ends
    assert 0.7 < inputs[:, 2].std() < 1.2


def test_a_number_that_says_no_more_is_left_alone():
    """Of chance, of the shop alone, and where the shop does not tell of the number."""
    X, y, apart = make_panel()
    rng = np.random.default_rng(1)
    noise = rng.normal(size=len(X))
    by_shop = X["sales"].groupby(X["shop"]).transform("mean").to_numpy()
    cases = {
        "a target of chance": (X, noise),
        "a target of the shop": (X, by_shop + noise),
        "no rest": (X.assign(sales=by_shop), y),
        "little told": (X.assign(sales=apart), y),
        "a shop a row": (X.assign(shop=np.arange(len(X)).astype(str)), y),
    }
    for name, (table, target) in cases.items():
        assert not len(learn_deviations(*read(table, target)).columns), name


def test_each_number_goes_with_the_category_that_tells_most():
    """A column that is coarser than the shops tells of the sales as well, but less."""
    X, y, _ = make_panel()
    mean = X["sales"].groupby(X["shop"]).transform("mean")
    X["day"] = pd.qcut(mean, 20).astype(str)
    scaled, numeric, codes, n_codes, target = read(X, y)
    for order in ([0, 1], [1, 0]):
        n_codes_of = [n_codes[i] for i in order]
        found = learn_deviations(scaled, numeric, codes[:, order], n_codes_of, target)
        assert found.columns.tolist() == [order.index(0)]


def test_a_new_row_counts_as_one_of_its_category():
    """As a training row does: the mean is taken with it."""
    data = scaled, numeric, codes, *_ = read(*make_panel(n_rows=600)[:2])
    found = learn_deviations(*data)
    new = slice(0, 5)
    told = found._tell(scaled[new], numeric[new], codes[new], False)[:, 0]
    for row, value in zip(range(5), told):
        of_shop = scaled[codes[:, 0] == codes[row, 0], 0]
        mean = np.append(of_shop, scaled[row, 0]).mean()
        assert value == pytest.approx(scaled[row, 0] - mean, abs=1e-5)
    told = found._tell(scaled[new], numeric[new], codes[new], True)[:, 0]
    for row, value in zip(range(5), told):
        mean = scaled[codes[:, 0] == codes[row, 0], 0].mean()
        assert value == pytest.approx(scaled[row, 0] - mean, abs=1e-5)


def test_what_is_not_known_deviates_by_nothing():
    """An unknown category, one known by its group of texts alone, and a missing number."""
    scaled, numeric, codes, n_codes, target = read(*make_panel()[:2])
    numeric[:50, 0] = np.nan
    scaled = scale(numeric, learn_scaling(numeric))
    found = learn_deviations(scaled, numeric, codes, n_codes, target)
    codes = codes[:100].copy()
    codes[60:70, 0] = 0
    codes[70:80, 0] = n_codes[0] + 3
    told = found._tell(scaled[:100], numeric[:100], codes, False)[:, 0]
    assert not told[:50].any()
    assert told[50:60].all()
    assert not told[60:80].any()
    assert np.isfinite(found.append(scaled[:100], numeric[:100], codes)).all()


def test_a_panel_is_predicted_by_it(monkeypatch, tmp_path):
    """Seeds 0 to 4: R2 .77 to .79, without it 0. The fit serves alike from a pickle and a file."""
    X, y, _ = make_panel()
    new = slice(2000, None)

    def fit():
        model = EntityEmbeddingRegressor(max_epochs=20, random_state=0)
        return model.fit(X[:2000], y[:2000])

    model = fit()
    score = model.score(X[new], y[new])
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X[new]), model.predict(X[new]))
    model.embedder_.save(tmp_path / "panel.safetensors")
    loaded = type(model.embedder_).load(tmp_path / "panel.safetensors")
    np.testing.assert_array_equal(
        loaded._predict_raw(X[new], model), model.embedder_._predict_raw(X[new], model)
    )
    monkeypatch.setattr(_fit_network, "learn_deviations", lambda *_: no_deviations())
    assert score > fit().score(X[new], y[new]) + 0.5


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("numbers", lambda numbers: numbers + 2),
        ("columns", lambda columns: columns - 1),
        ("columns", lambda columns: columns + 2),
        ("means", lambda means: [means[0][:-1]]),
        ("counts", lambda _: []),
    ],
)
def test_arrays_that_do_not_fit_are_refused(name, damage):
    """As a damaged file may hold them; those of a fit are taken."""
    _, numeric, _, n_codes, _ = data = read(*make_panel()[:2])
    found = learn_deviations(*data)
    found.check(n_codes, numeric.shape[1])
    damaged = replace(found, **{name: damage(getattr(found, name))})
    with pytest.raises((ValueError, IndexError)):
        damaged.check(n_codes, numeric.shape[1])
