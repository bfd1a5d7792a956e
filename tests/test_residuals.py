"""What a network leaves to be told by single values of numbers and by pairs of columns, and what comes of it."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from _made import EpochCounter
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss, r2_score, roc_auc_score

from sk_entity_embed import (
    EntityEmbedder,
    EntityEmbeddingClassifier,
    EntityEmbeddingRegressor,
    _plan,
    _trainings,
)
from sk_entity_embed._records import NetworkSpec, TrainedNetwork, TrainingTable
from sk_entity_embed._residuals import LEAST_GAIN, choose_pairs
from sk_entity_embed._torch import _loop
from sk_entity_embed._values import learn_values

TRAINING = {"max_epochs": 12, "random_state": 0}


def make_trades(n_rows=4000, n_trades=80, seed=0):
    """Wages by a trade, which comes as a number and is a code, and by shop and age."""
    rng = np.random.default_rng(seed)
    shop, trade = rng.integers(6, size=n_rows), rng.integers(n_trades, size=n_rows)
    X = pd.DataFrame(
        {
            "shop": [f"shop {i}" for i in shop],
            "trade": 1000.0 + 7 * trade,
            "age": rng.integers(20, 60, n_rows).astype(float),
        }
    )
    effects = rng.normal(size=n_trades)[trade], rng.normal(size=6)[shop], X["age"] / 20
    return X, sum(effects).to_numpy() + 0.5 * rng.normal(size=n_rows)


def read(codes, numeric, target, n_folds=4, loss="squared_error", **fields):
    """What `choose_pairs` is given, with a network that has learned nothing: it predicts zero."""
    numeric = np.asarray(numeric, dtype=np.float32).reshape(len(codes), -1)
    target = np.asarray(target, dtype=np.float32).reshape(len(codes), -1)
    fold = np.random.default_rng(9).permutation(np.arange(len(codes)) % n_folds)
    table = TrainingTable(codes, np.empty((len(codes), 0), np.float32), target, fold=fold, **fields)
    n_codes = tuple((1 + codes.max(axis=0)).tolist())
    n_outputs = target.shape[1]
    head = {
        "coefs": [np.zeros((n_folds, codes.shape[1], n_outputs))],
        "intercepts": [np.zeros((n_folds, 1, n_outputs))],
    }
    network = TrainedNetwork([np.zeros((n_folds, n, 1)) for n in n_codes], head, [], 1)
    spec = NetworkSpec(n_codes, (1,) * len(n_codes), 0, n_outputs, (), loss)
    return network, table, numeric, learn_values(numeric), spec


def make_codes(n_rows=3000, sizes=(12, 15), seed=0):
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.integers(1, n + 1, n_rows) for n in sizes]).astype(np.int32)


# -- which are chosen ------------------------------------------------------------------------------


def test_what_tells_of_the_residuals_is_chosen():
    """Values of a number, or a pair, of categories or numbers or both: each where it alone counts."""
    codes, rng = make_codes(n_rows=6000), np.random.default_rng(1)
    numbers = rng.integers(0, 30, (len(codes), 2))
    noise = rng.normal(size=len(codes))
    for columns, expected in [
        ((numbers[:, 1],), (3, 3)),
        ((codes[:, 0], codes[:, 1]), (0, 1)),
        ((codes[:, 1], numbers[:, 0]), (1, 2)),
        ((numbers[:, 0], numbers[:, 1]), (2, 3)),
    ]:
        effect = rng.normal(size=[1 + c.max() for c in columns])
        for axis in range(len(columns)):
            effect -= effect.mean(axis=axis, keepdims=True)
        chosen = choose_pairs(*read(codes, numbers, 2 * effect[columns] + noise))
        assert chosen == [expected]


@pytest.mark.parametrize(
    "loss", ["squared_error", "log_loss", "cross_entropy", "poisson", "quantile"]
)
def test_of_any_loss(loss):
    """The values of one number tell; of several outputs it is enough that they tell of one."""
    codes, rng = make_codes(), np.random.default_rng(2)
    number = rng.integers(0, 40, len(codes))
    signal = rng.normal(size=40)[number] + 0.5 * rng.normal(size=len(codes))
    if loss == "log_loss":
        target = np.column_stack([signal > 0, rng.integers(2, size=len(codes))])
    elif loss == "cross_entropy":
        target = np.eye(3)[np.digitize(signal, [-0.5, 0.5])]
    else:
        target = np.exp(signal) if loss == "poisson" else signal
    assert choose_pairs(*read(codes, number, target, loss=loss)) == [(2, 2)]


@pytest.mark.parametrize(("n_rows", "n_numbers"), [(3000, 2), (500, 20)])
def test_chance_is_hardly_ever_chosen(n_rows, n_numbers):
    """Of noise nothing is left to tell, however many combinations there are."""
    n_chosen = []
    for seed in range(10):
        codes = make_codes(n_rows, sizes=(5, 30, 200), seed=seed)
        rng = np.random.default_rng(seed + 100)
        numbers = rng.integers(0, rng.integers(5, 300, n_numbers), (n_rows, n_numbers))
        chosen = choose_pairs(*read(codes, numbers, rng.normal(size=(n_rows, 3))))
        n_chosen.append(len(chosen))
    assert np.mean(n_chosen) <= 1


def test_a_number_of_few_values_counts_beside_another_column():
    """A rating beside a category is a pair, though its values alone are left to the network."""
    codes, rng = make_codes(sizes=(12,)), np.random.default_rng(8)
    rating = rng.integers(0, 5, len(codes))
    noise = rng.normal(size=len(codes))
    effect = rng.normal(size=(13, 5))
    effect -= effect.mean(axis=0)
    effect -= effect.mean(axis=1, keepdims=True)
    assert choose_pairs(*read(codes, rating, 2 * effect[codes[:, 0], rating] + noise)) == [(0, 1)]


def test_what_was_told_is_not_chosen_again():
    """A copy of a number has nothing to add to it, nor has a pair of it with anything."""
    codes, rng = make_codes(), np.random.default_rng(3)
    number = rng.integers(0, 30, len(codes))
    y = rng.normal(size=30)[number] + rng.normal(size=len(codes))
    assert choose_pairs(*read(codes, np.column_stack([number, 2 * number]), y)) == [(2, 2)]


def test_a_value_known_to_one_fold_alone_tells_nothing():
    """It is averaged over other folds' rows, of which there are none."""
    codes, rng = make_codes(n_rows=1200), np.random.default_rng(4)
    network, table, *_, spec = read(codes, np.zeros(1200), rng.normal(size=1200))
    number = (table.fold * 50 + rng.integers(0, 50, 1200)).astype(np.float32)[:, None]
    target = rng.normal(size=200)[number[:, 0].astype(int)].astype(np.float32)[:, None]
    table = replace(table, target=target)
    assert choose_pairs(network, table, number, learn_values(number), spec) == []


def test_rows_count_by_their_weight():
    """Rows of next to no weight are noise; without weights they drown the others."""
    codes, rng = make_codes(n_rows=4000), np.random.default_rng(5)
    number = rng.integers(0, 40, 4000)
    is_noise = np.arange(4000) % 4 > 0
    y = np.where(is_noise, 9 * rng.normal(size=4000), rng.normal(size=40)[number])
    assert choose_pairs(*read(codes, number, y)) == []
    weight = np.where(is_noise, 1e-6, 4).astype(np.float32)
    assert choose_pairs(*read(codes, number, y, weight=weight)) == [(2, 2)]


def test_effects_must_take_off_a_share():
    """A little more noise than `LEAST_GAIN` allows, and a little less."""
    codes, rng = make_codes(n_rows=20_000), np.random.default_rng(6)
    number = np.arange(20_000) % 20
    effect = rng.normal(size=20)[number]
    effect /= effect.std()
    noise = rng.normal(size=20_000)
    for share, expected in [(0.5 * LEAST_GAIN, []), (4 * LEAST_GAIN, [(2, 2)])]:
        y = np.sqrt(share) * effect + np.sqrt(1 - share) * noise
        assert choose_pairs(*read(codes, number, y)) == expected


# -- what comes of it ------------------------------------------------------------------------------


def test_a_number_that_is_a_code_is_read_by_its_values():
    """The predictor gains much; the age, a number that counts, is left to the waves and lines."""
    X, y = make_trades()
    new = slice(3000, None)
    r2 = {}
    for pairs in ("auto", False):
        model = EntityEmbeddingRegressor(crossed_pairs=pairs, **TRAINING).fit(X[:3000], y[:3000])
        r2[pairs] = r2_score(y[new], model.predict(X[new]))
        if pairs == "auto":
            assert model.embedder_._values["numbers"].tolist() == [0]
            assert model.embedder_._pairs["left"].tolist() == [1]
            assert model.embedder_._pairs["right"].tolist() == [1]
    assert r2["auto"] > r2[False] + 0.15


@pytest.mark.usefixtures("no_products")
def test_a_pair_tells_of_several_classes():
    """With as many components as it takes to say which."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 12, (2, 5000))
    y = np.where(
        rng.random(5000) < 0.8, rng.integers(0, 4, (12, 12))[a, b], rng.integers(0, 4, 5000)
    )
    X = pd.DataFrame({"a": a.astype(str), "b": b.astype(str)})
    loss = {}
    for pairs in ("auto", False):
        model = EntityEmbeddingClassifier(crossed_pairs=pairs, **TRAINING).fit(X[:4000], y[:4000])
        loss[pairs] = log_loss(y[4000:], model.predict_proba(X[4000:]))
    assert loss["auto"] < loss[False] - 0.05
    model = EntityEmbeddingClassifier(**TRAINING).fit(X, y)
    assert [t.shape[1] > 1 for t in model.embedder_._pair_effects] == [True]


def test_the_prediction_column_knows_values(tmp_path):
    """Out of fold and on new rows; saved, pickled and loaded too; vectors and their names stay as they are."""
    X, y = make_trades()
    X.loc[::50, "trade"] = np.nan
    new = X[3000:].reset_index(drop=True)
    new.loc[:4, "trade"] = 5.0  # a trade never seen
    plain = EntityEmbedder(crossed_pairs=False, **TRAINING)
    embedder = EntityEmbedder(add_prediction=True, **TRAINING)
    own = embedder.fit_transform(X[:3000], y[:3000])
    np.testing.assert_array_equal(plain.fit_transform(X[:3000], y[:3000]), own[:, :-1])
    assert r2_score(y[:3000], own[:, -1]) > 0.7
    out = embedder.transform(new)
    np.testing.assert_array_equal(plain.transform(new), out[:, :-1])
    assert np.isfinite(out[:, -1]).all()
    assert r2_score(y[3005:], out[5:, -1]) > 0.7
    embedder.save(tmp_path / "e.safetensors")
    for again in (
        EntityEmbedder.load(tmp_path / "e.safetensors"),
        pickle.loads(pickle.dumps(embedder)),
    ):
        np.testing.assert_array_equal(again.transform(new), out)


def test_values_that_lower_no_loss_are_dropped(monkeypatch):
    """Chosen by mistake, here all of them, they have to be right out of their folds too."""
    X, _ = make_trades(n_rows=1500)
    y = X["age"].to_numpy() / 20 + np.random.default_rng(7).normal(size=1500)
    monkeypatch.setattr(_trainings, "choose_pairs", lambda *_: [(1, 1), (0, 1)])
    embedder = EntityEmbeddingRegressor(random_state=0).fit(X, y).embedder_
    assert embedder._pair_effects == []
    assert not len(embedder._values["numbers"])
    assert not len(embedder._pairs["left"])


@pytest.mark.parametrize(
    "settings",
    [
        {"crossed_pairs": False, "add_prediction": True},
        {"crossed_pairs": True, "add_prediction": True},
        {"cv": None, "add_prediction": True},
        {},
    ],
)
def test_only_auto_looks_for_more_than_was_asked_for(settings, monkeypatch):
    """And only where a prediction is wanted, and folds can tell."""

    def refuse(*_):
        raise AssertionError("not to be called")

    monkeypatch.setattr(_trainings, "choose_pairs", refuse)
    X, y = make_trades(n_rows=300)
    EntityEmbedder(max_epochs=2, random_state=0, **settings).fit(X, y)


def test_values_do_not_leak():
    """Of a coin the out-of-fold prediction knows nothing, whatever was chosen."""
    X, _ = make_trades(n_rows=6000, n_trades=1500)
    y = np.random.default_rng(77).integers(0, 2, 6000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_trainings, "choose_pairs", lambda *_: [(1, 1), (0, 1), (1, 2)])
        embedder = EntityEmbedder(add_prediction=True, max_epochs=10, random_state=0)
        # So that what chance taught is kept.
        patch.setattr(_trainings, "_best", lambda rivals: rivals[-1])
        prediction = embedder.fit_transform(X, y)[:, -1]
    assert len(embedder._pair_effects) >= 3
    assert roc_auc_score(y, prediction) == pytest.approx(0.5, abs=0.03)  # four standard errors


def test_a_search_that_is_interrupted_keeps_the_network(monkeypatch):
    """Ctrl-C between the two trainings: what the first one learned is there."""

    def interrupt(*_):
        raise KeyboardInterrupt

    X, y = make_trades(n_rows=300)
    plain = EntityEmbeddingRegressor(crossed_pairs=False, max_epochs=3, random_state=0).fit(X, y)
    monkeypatch.setattr(_trainings, "choose_pairs", interrupt)
    model = EntityEmbeddingRegressor(max_epochs=3, random_state=0)
    with pytest.warns(ConvergenceWarning, match="looking for crossed pairs; keeping"):
        model.fit(X, y)
    np.testing.assert_array_equal(model.predict(X), plain.predict(X))


# -- when they are looked for ----------------------------------------------------------------------


def make_grid(n_rows=1100, seed=0):
    """What a shop sells at each hour of its own, and nothing else."""
    rng = np.random.default_rng(seed)
    shop, hour = rng.integers(6, size=n_rows), rng.integers(12, size=n_rows)
    X = pd.DataFrame({"shop": [f"shop {i}" for i in shop], "hour": hour.astype(float)})
    y = rng.normal(size=(6, 12))[shop, hour] + 0.3 * rng.normal(size=n_rows)
    return (X[:600], y[:600]), (X[600:], y[600:])


@pytest.fixture
def two_doublings(monkeypatch):
    """Epochs double no more than twice, from 40 to 80 and 160."""
    monkeypatch.setattr(_plan, "MAX_DOUBLINGS", 2)


@pytest.mark.usefixtures("two_doublings")
def test_pairs_are_found_before_the_network_learns_them_slowly():
    """A predictor ends the doubling of epochs that is to tell it what a pair tells at once."""
    train, (X_new, y_new) = make_grid()
    epochs, r2 = {}, {}
    for pairs in ("auto", False):
        model = EntityEmbeddingRegressor(crossed_pairs=pairs, random_state=0).fit(*train)
        epochs[pairs] = model.embedder_.n_epochs_
        r2[pairs] = r2_score(y_new, model.predict(X_new))
    assert epochs == {"auto": 80, False: 160}
    assert r2["auto"] > r2[False] + 0.05


@pytest.mark.usefixtures("no_products")
@pytest.mark.parametrize(("columns", "n_trainings"), [("ab", 3), ("abc", 2)])
def test_more_pairs_by_counts_than_chosen_are_trained_once(
    columns, n_trainings, begun, monkeypatch
):
    """The early training of one that residuals choose is not worth that of all the others."""
    monkeypatch.setattr(_plan, "MAX_DOUBLINGS", 1)
    monkeypatch.setattr(_trainings, "choose_pairs", lambda *_: [(0, 1)])
    rng = np.random.default_rng(0)
    codes = rng.integers(6, size=(600, len(columns)))
    X = pd.DataFrame({name: [f"{name}{i}" for i in codes[:, j]] for j, name in enumerate(columns)})
    y = rng.normal(size=(6, 6))[codes[:, 0], codes[:, 1]]
    model = EntityEmbeddingRegressor(random_state=0).fit(X, y)
    assert len(begun) == n_trainings
    assert len(model.embedder_._pair_effects) == len(columns) * (len(columns) - 1) // 2


@pytest.mark.usefixtures("two_doublings")
def test_an_early_pair_reads_the_vectors_that_it_was_trained_on(tmp_path):
    """The prediction column is the predictor's, out of fold as good as on new rows, and survives being saved."""
    (X, y), (X_new, y_new) = make_grid()
    embedder = EntityEmbedder(add_prediction=True, random_state=0)
    own, new = embedder.fit_transform(X, y)[:, -1], embedder.transform(X_new)[:, -1]
    predictor = EntityEmbeddingRegressor(random_state=0).fit(X, y)
    np.testing.assert_allclose(new, predictor.predict(X_new), rtol=1e-5, atol=1e-6)
    assert r2_score(y, own) == pytest.approx(r2_score(y_new, new), abs=0.1)
    embedder.save(tmp_path / "e.safetensors")
    again = EntityEmbedder.load(tmp_path / "e.safetensors")
    np.testing.assert_array_equal(again.transform(X_new)[:, -1], new)


@pytest.mark.usefixtures("two_doublings")
@pytest.mark.parametrize(
    ("n_epochs", "has_pairs"),
    [
        (40, False),  # the first cycle
        (50, False),  # amid the first one of the pairs
        (60, True),  # its end
        (70, True),  # amid the second one
    ],
)
@pytest.mark.parametrize("is_interrupted", [False, True])
def test_what_was_learned_in_time_is_kept(n_epochs, has_pairs, is_interrupted):
    """A stop, and Ctrl-C, end all trainings; pairs serve once a cycle of theirs is whole."""
    (X, y), (X_new, y_new) = make_grid()
    if is_interrupted:
        epochs = EpochCounter(interrupt_in=n_epochs + 1)
    else:
        epochs = EpochCounter(stop_in=n_epochs)
    model = EntityEmbeddingRegressor(random_state=0).set_callbacks(epochs)
    if is_interrupted:
        with pytest.warns(ConvergenceWarning, match="interrupted"):
            model.fit(X, y)
    else:
        model.fit(X, y)
    assert epochs.n == n_epochs + is_interrupted
    assert bool(model.embedder_._pair_effects) == has_pairs
    assert (r2_score(y_new, model.predict(X_new)) > 0.6) == has_pairs


def test_ctrl_c_in_an_early_search_keeps_the_first_cycle(monkeypatch):
    """Nothing else is looked for or trained."""
    (X, y), (X_new, _) = make_grid()
    settings = {"random_state": 0}
    first = EntityEmbeddingRegressor(crossed_pairs=False, max_epochs=40, **settings).fit(X, y)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(_trainings, "choose_pairs", interrupt)
    model = EntityEmbeddingRegressor(**settings)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        model.fit(X, y)
    assert model.embedder_.n_epochs_ == 40
    np.testing.assert_array_equal(model.predict(X_new), first.predict(X_new))


@pytest.fixture
def begun(monkeypatch):
    """The trainings of a fit, as they begin."""
    begin, trainings = _loop._Training.__init__, []
    monkeypatch.setattr(
        _loop._Training,
        "__init__",
        lambda self, *args: trainings.append(self) or begin(self, *args),
    )
    return trainings


@pytest.fixture
def diverge_in(begun, monkeypatch):
    """Lets the loss of one of the trainings of a fit become NaN, counted from 1."""

    def spoil(which):
        epoch = _loop._Training._epoch

        def run(self, *args):
            loss = epoch(self, *args)
            return np.nan if begun.index(self) == which - 1 else loss

        monkeypatch.setattr(_loop._Training, "_epoch", run)

    return spoil


@pytest.mark.parametrize("which", [2, 3])
def test_pairs_that_nobody_asked_for_may_diverge(which, begun, diverge_in, monkeypatch):
    """In the early training, the second, or in the late one: the fit goes without them, and says so."""
    monkeypatch.setattr(_plan, "MAX_DOUBLINGS", 1)
    diverge_in(which)
    (X, y), (X_new, y_new) = make_grid()
    model = EntityEmbeddingRegressor(random_state=0)
    with pytest.warns(
        ConvergenceWarning, match="crossed pairs: the loss became nan.*without these"
    ):
        model.fit(X, y)
    assert len(begun) == 3
    assert model.embedder_._pair_effects  # the other training found them as well
    assert r2_score(y_new, model.predict(X_new)) > 0.6


def test_pairs_that_were_asked_for_may_not(diverge_in):
    """Then the fit fails, and says that it was they."""
    diverge_in(2)
    (X, y), _ = make_grid()
    model = EntityEmbeddingRegressor(crossed_pairs=True, max_epochs=2, random_state=0)
    with pytest.raises(FloatingPointError, match="Training of crossed pairs: the loss became nan"):
        model.fit(X.astype(str), y)
