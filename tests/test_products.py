"""Traits of two columns that count by their product: which are found, without whose labels, and what starts there."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score

from sk_entity_embed import (
    EntityEmbedder,
    EntityEmbeddingClassifier,
    EntityEmbeddingRegressor,
    _fit_network,
    _products,
)
from sk_entity_embed._products import START_SCALE, find_products, start_vectors
from sk_entity_embed._records import TrainingTable

N_CATEGORIES = 60


def make_factors(n_rows=2000, strength=1.0, n_traits=1, seed=0):
    """Codes of two columns, the effects of both, the product of their hidden traits, and the sum of all."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(1, N_CATEGORIES + 1, (n_rows, 2)).astype(np.int32)
    effects = rng.standard_normal((2, N_CATEGORIES + 1))
    traits = rng.standard_normal((2, N_CATEGORIES + 1, n_traits))
    planted = strength * traits[0] @ traits[1].T
    y = effects[0, codes[:, 0]] + effects[1, codes[:, 1]] + planted[codes[:, 0], codes[:, 1]]
    return codes, y + 0.5 * rng.standard_normal(n_rows), planted[1:, 1:]


def as_frame(codes):
    return pd.DataFrame(codes, columns=["a", "b"]).astype(str)


def read(codes, y, n_folds=4, **fields):
    """A training table; without folds if there are none."""
    target = np.asarray(y, dtype=np.float32).reshape(len(codes), -1)
    fold = (
        np.random.default_rng(9).permutation(np.arange(len(codes)) % n_folds) if n_folds else None
    )
    return TrainingTable(codes, np.empty((len(codes), 0), np.float32), target, fold=fold, **fields)


def search(table, numeric=None):
    if numeric is None:
        numeric = np.empty((table.n_rows, 0), np.float32)
    return find_products(table, numeric, (1 + table.codes.max(axis=0)).tolist())


def fitted(found, k=0):
    """The products of all categories of both columns in table `k`."""
    left, right = found.traits
    return left[k, 1:] @ right[k, 1:].T


# -- which are found -------------------------------------------------------------------------------


@pytest.mark.parametrize("n_folds", [4, None])
def test_products_of_traits_are_found(n_folds):
    """As often as there are traits, in the table of each fold."""
    codes, y, planted = make_factors(n_traits=2)
    [found] = search(read(codes, y, n_folds))
    assert found.pair == (0, 1)
    assert [side.shape[2] for side in found.traits] == [2, 2]
    # Of the variance of y, that of two effects of 1, two products of 1, and noise of a quarter.
    assert 0.35 < found.share < 0.55
    for k in range(n_folds or 1):
        assert np.corrcoef(fitted(found, k).ravel(), planted.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("n_folds", [4, None])
def test_chance_makes_no_products(n_folds):
    """Nor do effects that add up, of categories and of a number, whatever there is of them."""
    for seed in range(10):
        codes, y, _ = make_factors(strength=0.0, seed=seed)
        numeric = np.random.default_rng(seed).standard_normal((len(y), 1)).astype(np.float32)
        assert search(read(codes, y + 5 * numeric[:, 0], n_folds), numeric) == []
        assert search(read(codes, y + 2 * numeric[:, 0] > 0, n_folds)) == []


def test_products_of_several_outputs_and_weighted_rows():
    """The second output alone has them; and rows that hide them weigh next to nothing, or nothing."""
    codes, y, _ = make_factors()
    noise = 3 * np.random.default_rng(1).standard_normal(len(y))
    assert search(read(codes, np.column_stack([noise, y])))[0].pair == (0, 1)
    is_hidden = np.arange(len(y)) % 4 == 0
    spoiled = np.where(is_hidden, 50 * noise, y)
    for least in (1e-6, 0):
        weight = np.where(is_hidden, least, 1.0).astype(np.float32)
        assert search(read(codes, spoiled, weight=weight))[0].pair == (0, 1)


@pytest.mark.parametrize("further", [lambda y: 0 * y, lambda y: y, lambda y: 1 - y])
def test_what_is_left_of_a_known_output_counts_for_nothing(further):
    """A label that is never on, and those that others tell."""
    codes, y, _ = make_factors(strength=0.0)
    y = (y + 2 * np.random.default_rng(1).standard_normal(len(y)) > 0).astype(int)
    assert search(read(codes, np.column_stack([y, further(y)]))) == []


def test_rows_that_outweigh_all_others():
    """Of a fold without any weight beside its own nothing is told; one row fits traits of no use, but fits them."""
    codes, y, _ = make_factors(300)
    table = read(codes, y)
    assert search(replace(table, weight=(table.fold == 1).astype(np.float32))) == []
    heaviest = np.where(np.arange(300) == 7, 300, 1e-16).astype(np.float32)
    few = replace(table, codes=1 + codes % [8, 6], weight=heaviest)
    assert all(np.isfinite(side).all() for found in search(few) for side in found.traits)
    constant = np.where(table.fold == 1, y, 0)
    with np.errstate(all="raise", under="ignore"):
        search(read(codes, constant))
        assert search(read(codes, np.zeros(300))) == []


def test_some_of_many_rows_tell(monkeypatch):
    """Which pairs to try, and what their traits are."""
    codes, y, planted = make_factors(9000)
    monkeypatch.setattr(_products, "N_SCREENED", 2000)
    monkeypatch.setattr(_products, "N_ROWS", 3000)
    [found] = search(read(codes, y))
    assert np.corrcoef(fitted(found).ravel(), planted.ravel())[0, 1] > 0.9


def test_a_single_column_has_no_products():
    """And a constant one is none."""
    codes, y, _ = make_factors(500)
    assert search(read(codes[:, :1], y)) == []
    codes[:, 1] = 1
    assert search(read(codes, y)) == []


def test_an_outlier_is_no_product():
    """A cell of one row a thousand deviations off fits a product of two traits, in no other fold."""
    codes, y, _ = make_factors(strength=0.0)
    y[7] = 1000
    assert search(read(codes, y)) == []


# -- without whose labels --------------------------------------------------------------------------


def test_labels_of_a_fold_have_no_say_in_its_table():
    """But for the axes that all categories share, which are taken from all tables."""
    codes, y, _ = make_factors()
    of_fold = read(codes, y).fold == 2
    fits = []
    for labels in (y, np.where(of_fold, y[::-1], y)):
        own = _products._Search(read(codes, labels), np.empty((len(y), 0)), [N_CATEGORIES + 1] * 2)
        [target], [candidate] = own.targets(), own._screen(own.targets()[0], [0, 1])
        without = np.where(own.fold == 2, 0.0, own.weight)
        for weight in (without, own.weight):
            [(left, right)] = own._fit(target, [candidate], weight)[1]
            fits.append(left @ right.T)
    np.testing.assert_allclose(fits[2], fits[0], atol=1e-3)
    assert np.abs(fits[3] - fits[1]).max() > 0.1


def test_rows_that_judge_early_stopping_are_not_learned_from():
    """Without folds these rows are held back."""
    codes, y, _ = make_factors()
    held = np.arange(0, len(y), 10)
    [before] = search(read(codes, y, None, validation=held))
    y[held] = 99 * y[held][::-1]
    [after] = search(read(codes, y, None, validation=held))
    np.testing.assert_allclose(fitted(after), fitted(before), atol=1e-3)


# -- what starts there -----------------------------------------------------------------------------


def test_start_vectors_are_of_one_size_and_in_one_space():
    """No wider than the column; the unknown vector stays where it is, and columns without traits do."""
    codes, y, _ = make_factors(n_traits=2)
    codes = np.column_stack([codes, np.tile([1, 2], len(y) // 2)]).astype(np.int32)
    table = read(codes, y)
    products = search(table)
    left, right, other = start_vectors(products, table, [5, 1, 1])
    assert other is None
    assert left.shape == (4, N_CATEGORIES + 1, 2)  # no more than there are traits
    assert right.shape == (4, N_CATEGORIES + 1, 1)
    assert not left[:, 0].any()
    seen = left[0, codes[:, 0], 0]
    assert np.sqrt(np.square(seen).mean()) == pytest.approx(START_SCALE, rel=0.1)
    apart = (left - left.mean(axis=0))[:, 1:]
    assert np.square(apart).mean() < 0.1 * np.square(left).mean()
    assert start_vectors([], table, [5, 3, 1]) == [None, None, None]


def test_what_columns_tell_by_their_product_is_learned(monkeypatch):
    """From 33 rows a category, by the vectors and the prediction, in epochs that do not suffice without."""
    codes, y, _ = make_factors(3000, n_traits=2)
    X, is_new = as_frame(codes), np.arange(3000) >= 2000
    r2 = {}
    for start in ("products", "chance"):
        if start == "chance":
            monkeypatch.setattr(_fit_network, "find_products", lambda *_: [])
        model = EntityEmbeddingRegressor(max_epochs=40, random_state=0).fit(X[~is_new], y[~is_new])
        r2[start] = r2_score(y[is_new], model.predict(X[is_new]))
    assert r2["products"] > 0.85
    assert r2["chance"] < 0.6


def test_an_exclusive_or_is_learned_at_once():
    """Of two columns of two values each, and the first of the MONK's problems, of three columns."""
    rng = np.random.default_rng(0)
    for n_values, is_on in [
        ((2, 2, 3), lambda R: R[:, 0] ^ R[:, 1]),
        ((3, 3, 2, 3, 4, 2), lambda R: (R[:, 0] == R[:, 1]) | (R[:, 4] == 0)),
    ]:
        R = np.array(list(product(*map(range, n_values))))
        R = np.repeat(R, 432 // len(R), axis=0)
        train = rng.permutation(len(R))[:324]
        X, y = pd.DataFrame(R).astype(str), is_on(R)
        model = EntityEmbeddingClassifier(random_state=0, max_epochs=80)
        assert model.fit(X.iloc[train], y[train]).score(X, y) == 1


def test_columns_get_the_components_that_their_traits_need():
    """Where "auto" may choose, up to one that would take another column's name."""
    codes, y, _ = make_factors(4000, n_traits=5)
    X = as_frame(codes)
    quick = {"max_epochs": 1, "hidden_layer_sizes": (8,), "crossed_pairs": False, "random_state": 0}

    def width_in_training(X, **parameters):
        model = EntityEmbeddingRegressor(**quick, **parameters).fit(X, y)
        return model.embedder_._head["coefs"][0].shape[1]

    assert width_in_training(X) == 12  # five traits and an effect each
    assert width_in_training(X, n_components=2) == 4
    assert width_in_training(X, n_components={"a": 2}) == 8
    named = X.assign(b_4=0.5)
    embedder = EntityEmbedder(**quick, categorical_features=["a", "b"]).fit(named, y)
    names = embedder.get_feature_names_out().tolist()
    assert len(set(names)) == len(names)
