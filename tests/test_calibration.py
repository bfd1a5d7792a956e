"""Probabilities of classes are as sure as they are right."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit, softmax
from sklearn.metrics import log_loss

from sk_entity_embed import (
    EntityEmbeddingClassifier,
    EntityEmbeddingRegressor,
    _calibration,
    _trainings,
)
from sk_entity_embed._calibration import balance, calibrate
from sk_entity_embed._cross_fitting import ask_body
from sk_entity_embed._records import TrainedNetwork, TrainingTable

SHARES = np.array([0.7, 0.2, 0.1])


@pytest.fixture
def problem():
    """A table of one column, the log-odds of each category, and a network that tells them `sureness` times."""
    rng = np.random.default_rng(0)
    log_odds = np.log(SHARES) + rng.normal(size=(20, 3))
    codes = rng.integers(20, size=(6000, 1))
    cumulated = softmax(log_odds, axis=1).cumsum(axis=1)[codes[:, 0]]
    y = (rng.random((6000, 1)) > cumulated).sum(axis=1)
    table = TrainingTable(
        codes=codes.astype(np.int32),
        numeric=np.empty((6000, 0), dtype=np.float32),
        target=np.eye(3, dtype=np.float32)[y],
        fold=np.arange(6000) % 2,
    )
    prior = np.log(table.target.mean(axis=0))

    def network(sureness):
        told = prior + sureness * (log_odds - prior)
        head = {"coefs": [np.stack([np.eye(3)] * 2)], "intercepts": [np.zeros((2, 1, 3))]}
        return TrainedNetwork([np.stack([told] * 2)], head, [], 1)

    return table, log_odds, network


def answers(network):
    every = np.arange(20)[:, None]
    return softmax(ask_body(network, every, np.empty((20, 0)), 1), axis=1)


def test_a_network_that_is_too_sure_is_brought_back(problem):
    """To the log-odds by which the labels were drawn."""
    table, log_odds, network = problem
    exact = softmax(log_odds, axis=1)
    assert np.abs(answers(network(3)) - exact).max() > 0.2
    np.testing.assert_allclose(
        answers(calibrate(network(3), table, "cross_entropy")), exact, atol=0.03
    )


def test_nobody_is_made_surer(problem):
    """Who errs on the side of doubt stays as it is."""
    table, _, network = problem
    doubtful = network(0.5)
    assert calibrate(doubtful, table, "cross_entropy") is doubtful


def test_rows_of_no_weight_have_no_say(problem):
    """Labels of such rows may be anything."""
    table, log_odds, network = problem
    n_rows = table.n_rows
    twice = TrainingTable(
        codes=np.vstack([table.codes, table.codes]),
        numeric=np.vstack([table.numeric, table.numeric]),
        target=np.vstack([table.target, np.roll(table.target, 1, axis=1)]),
        weight=np.repeat(np.float32([2, 0]), n_rows),
        fold=np.tile(table.fold, 2),
    )
    exact = softmax(log_odds, axis=1)
    np.testing.assert_allclose(
        answers(calibrate(network(3), twice, "cross_entropy")), exact, atol=0.03
    )


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_one_number_serves_several_labels(n_outputs):
    """Each label about its own share."""
    rng = np.random.default_rng(0)
    log_odds = rng.normal(size=(30, n_outputs)) + np.arange(n_outputs) - 1.5
    codes = rng.integers(30, size=(8000, 1))
    target = rng.random((8000, n_outputs)) < expit(log_odds)[codes[:, 0]]
    table = TrainingTable(
        codes=codes.astype(np.int32),
        numeric=np.empty((8000, 0), dtype=np.float32),
        target=target.astype(np.float32),
        fold=np.arange(8000) % 2,
    )
    prior = logit(target.mean(axis=0))
    told = prior + 4 * (log_odds - prior)
    head = {"coefs": [np.stack([np.eye(n_outputs)] * 2)]}
    head["intercepts"] = [np.zeros((2, 1, n_outputs))]
    network = TrainedNetwork([np.stack([told] * 2)], head, [], 1)
    calibrated = ask_body(
        calibrate(network, table, "log_loss"), np.arange(30)[:, None], np.empty((30, 0)), 0
    )
    np.testing.assert_allclose(expit(calibrated), expit(log_odds), atol=0.03)


def test_what_the_mean_of_the_bodies_levels_out_is_not_taken_off_twice(problem):
    """Errors that all bodies share stay in their mean; of those that each has to itself a fifth of the variance."""
    table, _, network = problem
    table = replace(table, fold=np.arange(table.n_rows) % 5)
    errors = np.random.default_rng(1).normal(size=(5, 20, 3))
    head = {"coefs": [np.stack([np.eye(3)] * 5)], "intercepts": [np.zeros((5, 1, 3))]}
    scales = {}
    for name, of_bodies in {"shared": errors[:1], "own": errors}.items():
        told = np.broadcast_to(network(1).tables[0][0] + of_bodies, (5, 20, 3))
        calibrated = calibrate(TrainedNetwork([told], head, [], 1), table, "cross_entropy")
        scales[name] = calibrated.head["coefs"][0][0, 0, 0]
    assert 0.3 < scales["shared"] < 0.7
    assert scales["shared"] + 0.1 < scales["own"] < 1


@pytest.mark.parametrize("n_classes", [2, 3])
def test_long_training_makes_nobody_too_sure(n_classes, monkeypatch):
    """Few rows and many epochs learn numbers by heart; probabilities of new rows are better for knowing that."""
    rng = np.random.default_rng(0)
    kind, numbers = rng.integers(5, size=900), rng.normal(size=(900, 3)).astype(np.float32)
    true = ((numbers[:, 0] > 0) + (kind > 2)) % n_classes
    y = np.where(rng.random(900) < 0.3, rng.integers(n_classes, size=900), true)
    X = pd.DataFrame({"kind": kind.astype(str)} | dict(zip("abc", numbers.T)))

    def loss_on_new_rows():
        model = EntityEmbeddingClassifier(max_epochs=200, random_state=0).fit(X[:300], y[:300])
        return log_loss(y[300:], model.predict_proba(X[300:]))

    calibrated = loss_on_new_rows()
    monkeypatch.setattr(_trainings, "calibrate", lambda network, *_: network)
    assert calibrated < loss_on_new_rows() - 0.05


def test_epochs_are_judged_by_the_loss_that_calibration_leaves(monkeypatch):
    """Being too sure is mended afterwards, so it is no reason to stop; being wrong is."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(200, 3)).astype(np.float32)
    y = np.where(rng.random(200) < 0.3, rng.integers(3, size=200), (numbers[:, 0] > 0) * 2)
    X = pd.DataFrame({"kind": rng.integers(5, size=200).astype(str)} | dict(zip("abc", numbers.T)))

    def first_loss():
        history = EntityEmbeddingClassifier(random_state=0).fit(X, y).embedder_.history_
        return next(record["validation_loss"] for record in history if "validation_loss" in record)

    judged = first_loss()
    monkeypatch.setattr("sk_entity_embed._torch._loop.SCALES", (1.0,))
    assert judged < first_loss() - 0.02


# --- balance -------------------------------------------------------------------------------------


def rare_rows(kind, n_rows=1500):
    """A table and a target that is rare, of one class, several, several labels, or counts."""
    rng = np.random.default_rng(0)
    a, b, numbers = (
        rng.integers(40, size=n_rows),
        rng.integers(6, size=n_rows),
        rng.normal(size=(n_rows, 3)),
    )
    X = {"a": [f"a{i}" for i in a], "b": [f"b{i}" for i in b]} | dict(zip("cde", numbers.T))
    log_odds = 2 * rng.normal(size=40)[a] + rng.normal(size=6)[b] + numbers[:, 0] - 4.5
    first, second = (rng.random(n_rows) < expit(log_odds + shift) for shift in (0, 1.5))
    return pd.DataFrame(X), {
        "binary": first.astype(int),
        "multiclass": np.where(first, "first", np.where(second, "second", "usual")),
        "multilabel": np.column_stack([first, second]).astype(int),
        "poisson": rng.poisson(np.exp(log_odds + 2)),
    }[kind]


@pytest.mark.parametrize("cv", [None, 5])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "poisson"])
def test_predictions_add_up_to_what_there_is(kind, cv):
    """Of classes, labels and counts, rows counting by their weight; as trained, some lack a fifth."""
    X, y = rare_rows(kind)
    weight = np.random.default_rng(1).uniform(0.2, 2, len(y))
    settings = {"cv": cv, "max_epochs": 30, "dropout": 0.3, "random_state": 0}
    if kind == "poisson":
        model = EntityEmbeddingRegressor(loss="poisson", **settings)
        found, wanted = model.fit(X, y, sample_weight=weight).predict(X), y
    else:
        model = EntityEmbeddingClassifier(**settings)
        found = model.fit(X, y, sample_weight=weight).predict_proba(X)
        wanted = y if kind == "multilabel" else y[:, None] == model.classes_
    # A few rows' worth of doubt leaves a little: .990 to 1.001 of what there is, .80 to .97 without a shift.
    np.testing.assert_allclose(weight @ found, weight @ wanted, rtol=0.02)


def test_the_rows_drawn_stand_for_all(monkeypatch):
    """A twentieth of the rows finds nearly the shift that all have, though it has other labels."""
    rng = np.random.default_rng(0)
    codes = rng.integers(30, size=(40_000, 1)).astype(np.int32)
    log_odds = 2 * rng.normal(size=(30, 1)) - 3
    target = (rng.random((40_000, 1)) < expit(log_odds)[codes[:, 0]]).astype(np.float32)
    table = TrainingTable(codes, np.empty((40_000, 0), dtype=np.float32), target)
    head = {"coefs": [np.ones((1, 1, 1))], "intercepts": [np.zeros((1, 1, 1))]}
    network = TrainedNetwork([log_odds[None] - 0.7], head, [], 1)

    def shift():
        return float(balance(network, table, "log_loss").head["intercepts"][0][0, 0, 0])

    of_all = shift()
    assert of_all == pytest.approx(0.7, abs=0.05)
    monkeypatch.setattr(_calibration, "N_BALANCED", 2000)
    assert shift() == pytest.approx(of_all, abs=0.1)


def test_a_shift_needs_rows_in_doubt():
    """Where all is known for sure, one row of another class than predicted moves nothing much."""
    codes = (np.arange(1000) % 2)[:, None].astype(np.int32)
    target = codes.astype(np.float32)
    target[0] = 1
    table = TrainingTable(codes, np.empty((1000, 0), dtype=np.float32), target)
    head = {"coefs": [np.ones((1, 1, 1))], "intercepts": [np.zeros((1, 1, 1))]}
    network = TrainedNetwork([np.array([[[-20.0], [20.0]]])], head, [], 1)
    shifted = balance(network, table, "log_loss")
    assert abs(float(shifted.head["intercepts"][0][0, 0, 0])) < 0.5


@pytest.mark.parametrize("loss", ["squared_error", "quantile"])
def test_numbers_and_quantiles_are_not_shifted(loss, problem):
    """The first have their mean already, the second are none."""
    table, _, network = problem
    told = network(2)
    assert balance(told, table, loss) is told


def test_means_of_many_rows_are_exact():
    """Single precision adds up hundreds of thousands of weights to five digits, and counts no further than 2**24."""
    rng = np.random.default_rng(0)
    target = np.eye(2, dtype=np.float32)[rng.integers(2, size=400_000)]
    weight = rng.uniform(0.5, 1.5, len(target)).astype(np.float32)
    codes = np.zeros((len(target), 1), dtype=np.int32)
    for given in (None, weight):
        table = TrainingTable(codes, np.empty((len(codes), 0), np.float32), target, weight=given)
        exact = np.average(target.astype(float), axis=0, weights=given)
        np.testing.assert_allclose(table.mean_target(), exact, rtol=1e-9)
