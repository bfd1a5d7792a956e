"""Crossed pairs of columns: which are kept, how they are coded, and what they do for a prediction."""

import numpy as np
import pandas as pd
import pytest
from _made import EpochCounter
from sklearn.metrics import r2_score, roc_auc_score

from sk_entity_embed import (
    EntityEmbedder,
    EntityEmbeddingClassifier,
    EntityEmbeddingRegressor,
    _pairs,
)
from sk_entity_embed._pairs import MIN_COUNT, collect_pairs, pairs_by_counts


def make_codes(n_rows=400, sizes=(5, 7, 3), seed=0):
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.integers(1, n + 1, n_rows) for n in sizes]).astype(np.int32)


def learn_pairs(codes, n_codes, **most):
    """The pairs that counts choose, with their combinations."""
    chosen = pairs_by_counts(codes, n_codes, **most)
    return collect_pairs(codes, n_codes, chosen, [MIN_COUNT] * len(chosen))


def test_a_combination_has_one_code():
    """Equal combinations have equal codes, different ones different codes, and each pair counts for itself."""
    codes = make_codes()
    pairs = learn_pairs(codes, [6, 8, 4])
    assert list(zip(pairs.left, pairs.right)) == [(0, 1), (0, 2), (1, 2)]
    encoded = pairs.encode(codes)
    for p, (i, j) in enumerate(zip(pairs.left, pairs.right)):
        seen = pd.DataFrame({"a": codes[:, i], "b": codes[:, j], "code": encoded[:, p]})
        assert (seen.groupby(["a", "b"]).code.nunique() == 1).all()
        assert (seen[seen.code > 0].groupby("code")[["a", "b"]].nunique() == 1).all(axis=None)
        assert encoded[:, p].max() == pairs.n_codes[p] - 1


def test_rare_and_new_combinations_are_unknown():
    """A combination of one row, or of none, has code 0."""
    codes = np.array([[1, 1], [1, 1], [2, 2], [2, 2], [1, 2]], dtype=np.int32)
    pairs = learn_pairs(codes, [3, 3])
    assert pairs.encode(codes).ravel().tolist() == [1, 1, 2, 2, 0]
    assert pairs.encode(np.array([[2, 1], [0, 1], [0, 0]], dtype=np.int32)).tolist() == [[0]] * 3


def test_a_pair_that_adds_nothing_is_left_out():
    """A column that follows from another has nothing to add to it; nor has a pair that hardly ever recurs."""
    one = make_codes(sizes=(40,))
    assert len(learn_pairs(np.hstack([one, one % 4 + 1]), [41, 5])) == 0
    rng = np.random.default_rng(0)
    unique = np.column_stack([rng.permutation(400) + 1, rng.integers(1, 9, 400)]).astype(np.int32)
    assert len(learn_pairs(unique, [401, 9])) == 0


def test_the_number_of_pairs_is_bounded(monkeypatch):
    """By what the user allows, by the cells, and by the combinations of a pair."""
    codes = make_codes(sizes=(9, 8, 2, 2))
    assert len(learn_pairs(codes, [10, 9, 3, 3], max_pairs=2)) == 2
    assert (learn_pairs(codes, [10, 9, 3, 3], max_pairs=1).left == [0]).all()  # 9 times 8
    assert len(learn_pairs(codes, [10, 9, 3, 3], max_pairs=0)) == 0
    monkeypatch.setattr(_pairs, "MAX_COMBINATIONS", 4)
    assert max(learn_pairs(codes, [10, 9, 3, 3]).n_codes) == 5
    monkeypatch.setattr(_pairs, "MAX_CELLS", 2 * len(codes))
    assert len(learn_pairs(codes, [10, 9, 3, 3])) <= 2


@pytest.fixture(scope="module")
def crossed():
    """Two crossed factors: the cell decides, neither factor alone says anything."""
    rng = np.random.default_rng(0)
    effect = rng.normal(size=(30, 30))
    a, b = rng.integers(0, 30, (2, 12_000))
    y = effect[a, b] + 0.3 * rng.normal(size=len(a))
    X = pd.DataFrame({"a": a.astype(str), "b": b.astype(str)})
    return X[:9000], y[:9000], X[9000:], y[9000:]


@pytest.mark.usefixtures("no_products")
def test_pairs_learn_crossed_factors(crossed):
    """What only the combination tells is predicted far better with pairs, if vectors do not start from it."""
    X, y, X_new, y_new = crossed
    r2 = {}
    for pairs in (True, False):
        model = EntityEmbeddingRegressor(crossed_pairs=pairs, max_epochs=10, random_state=0)
        r2[pairs] = r2_score(y_new, model.fit(X, y).predict(X_new))
    assert r2[True] > r2[False] + 0.3
    assert r2[True] > 0.5


def test_the_prediction_column_uses_pairs(crossed, tmp_path):
    """Out-of-fold and on new rows, before and after saving; the vectors' columns stay as wide as without."""
    X, y, X_new, y_new = crossed
    embedder = EntityEmbedder(add_prediction=True, max_epochs=10, random_state=0)
    out_of_fold = embedder.set_output(transform="pandas").fit_transform(X, y)
    assert out_of_fold.shape[1] == sum(embedder.n_components_) + 1
    assert r2_score(y, out_of_fold.iloc[:, -1]) > 0.4
    new = embedder.transform(X_new)
    assert r2_score(y_new, new.iloc[:, -1]) > 0.5
    embedder.save(tmp_path / "e.safetensors")
    again = EntityEmbedder.load(tmp_path / "e.safetensors").transform(X_new)
    np.testing.assert_array_equal(np.asarray(again), new)


def test_auto_means_where_a_prediction_is_wanted(crossed):
    """Without the prediction or without folds there are no pairs; for several outputs, if residuals say so."""
    X, y, *_ = crossed
    X, y = X[:6000], y[:6000]
    for settings, expected in [
        ({}, 0),
        ({"add_prediction": True}, 1),
        ({"add_prediction": True, "cv": None}, 0),
        ({"crossed_pairs": True, "cv": None}, 1),
        ({"add_prediction": True, "crossed_pairs": False}, 0),
    ]:
        embedder = EntityEmbedder(max_epochs=12, random_state=0, **settings).fit(X, y)
        assert len(embedder._pair_effects) == expected
    model = EntityEmbeddingRegressor(max_epochs=12, random_state=0)
    assert len(model.fit(X, y).embedder_._pair_effects) == 1
    assert len(model.set_params(cv=None).fit(X, y).embedder_._pair_effects) == 0
    noise = np.random.default_rng(7).normal(size=len(y))
    for values, n_classes, expected in [(y, 2, 1), (y, 3, 1), (noise, 3, 0)]:
        classes = np.digitize(values, np.linspace(-1, 1, n_classes + 1)[1:-1])
        model = EntityEmbeddingClassifier(max_epochs=12, random_state=0).fit(X, classes)
        assert len(model.embedder_._pair_effects) == expected


def test_auto_keeps_pairs_that_lower_the_loss():
    """Where two effects add up, what a cell tells beyond them is noise; True asks for pairs all the same."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 20, (2, 1200))
    y = np.linspace(-1, 1, 20)[a] + np.linspace(-1, 1, 20)[b] + rng.normal(size=1200)
    X = pd.DataFrame({"a": a.astype(str), "b": b.astype(str)})
    for pairs, expected in [("auto", 0), (True, 1)]:
        model = EntityEmbeddingRegressor(crossed_pairs=pairs, max_epochs=40, random_state=0)
        assert len(model.fit(X, y).embedder_._pair_effects) == expected


@pytest.mark.parametrize("add_prediction", [False, True])
def test_pairs_leave_the_vectors_as_they_are(crossed, add_prediction):
    """The vectors, out-of-fold and served, are the same bits with pairs and without."""
    X, y, X_new, _ = crossed
    vectors = {}
    for pairs in (True, False):
        embedder = EntityEmbedder(
            add_prediction=add_prediction, crossed_pairs=pairs, max_epochs=2, random_state=0
        )
        parts = embedder.fit_transform(X[:1000], y[:1000]), embedder.transform(X_new)
        vectors[pairs] = np.vstack(parts)[:, : sum(embedder.n_components_)]
    np.testing.assert_array_equal(vectors[True], vectors[False])


@pytest.mark.parametrize("cv", [5, None])
@pytest.mark.parametrize(("n_epochs", "n_pairs"), [(2, 0), (4, 0), (5, 0), (6, 1)])
def test_a_training_that_was_stopped_goes_without_pairs(crossed, n_epochs, n_pairs, cv):
    """In the epochs of the vectors (4) or in those of the pairs (2): a body that is half trained serves nobody."""
    X, y, X_new, _ = crossed
    embedder = EntityEmbedder(
        add_prediction=True, crossed_pairs=True, cv=cv, max_epochs=4, random_state=0
    )
    embedder.set_callbacks(EpochCounter(stop_in=n_epochs)).fit(X[:1000], y[:1000])
    assert embedder.n_epochs_ == min(n_epochs, 4)
    assert len(embedder._pair_effects) == n_pairs
    assert np.isfinite(embedder.transform(X_new)).all()


def test_pairs_do_not_leak():
    """Of a coin, the out-of-fold prediction knows nothing; the same network without folds knows much."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.integers(0, 300, 6000), "b": rng.integers(0, 40, 6000)}).astype(str)
    y = rng.integers(0, 2, 6000)
    auc = {}
    for cv in (5, None):
        embedder = EntityEmbedder(
            add_prediction=True, crossed_pairs=True, cv=cv, max_epochs=10, random_state=0
        )
        auc[cv] = roc_auc_score(y, embedder.fit_transform(X, y)[:, -1])
    assert auc[5] == pytest.approx(0.5, abs=0.03)  # four standard errors
    assert auc[None] > 0.6
