"""What vectors are worth to a model behind them, and that it ends their training."""

from dataclasses import replace

import numpy as np
import pytest
from _made import QUICK, make_shops
from sklearn.ensemble import HistGradientBoostingRegressor

from sk_entity_embed import EntityEmbedder, EntityEmbeddingRegressor, _fit_network, _trainings
from sk_entity_embed._records import TrainingTable
from sk_entity_embed._torch import _loop
from sk_entity_embed._worth import loss_behind


@pytest.fixture(scope="module")
def shops():
    return make_shops()


# -- the loss --------------------------------------------------------------------------------------


def make_table(n_rows=1500, n_outputs=1, seed=0):
    """Rows of two columns whose traits multiply; returns tables of the traits, and of the first one's alone."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(1, 31, (n_rows, 2)).astype(np.int32)
    traits = rng.standard_normal((2, 31, 1)).astype(np.float32)
    y = traits[0, codes[:, 0]] * traits[1, codes[:, 1]]
    target = np.hstack([y, rng.standard_normal((n_rows, n_outputs - 1))]).astype(np.float32)
    fold = rng.integers(3, size=n_rows)
    both = [np.repeat(t[None], 3, axis=0) for t in traits]
    table = TrainingTable(codes, np.empty((n_rows, 0), np.float32), target, fold=fold)
    return table, both, [both[0], np.zeros_like(both[1])]


def test_vectors_that_tell_more_leave_less():
    table, both, one = make_table()
    variance = table.target.var()
    assert loss_behind(both, table, table.numeric) < 0.15 * variance
    assert loss_behind(one, table, table.numeric) > 0.9 * variance


def test_numbers_stand_beside_vectors():
    """As they came, missing ones too."""
    table, _, one = make_table()
    numeric = one[0][0, table.codes[:, 0]] * np.float32(1)
    numeric[::50] = np.nan
    other = replace(table, target=np.nan_to_num(numeric))
    assert loss_behind([one[1]], other, numeric) < 0.05 * other.target.var()


def test_of_several_outputs_all_count():
    """The second one is noise, which adds what it varies by."""
    table, both, _ = make_table(n_outputs=2)
    alone = loss_behind(both, replace(table, target=table.target[:, :1]), table.numeric)
    together = loss_behind(both, table, table.numeric)
    assert together - alone == pytest.approx(table.target[:, 1].var(), rel=0.2)


def test_many_outputs_are_told_by_a_few_axes(monkeypatch):
    table, both, _ = make_table(n_outputs=40)
    asked = []
    fit = HistGradientBoostingRegressor.fit
    monkeypatch.setattr(
        HistGradientBoostingRegressor,
        "fit",
        lambda *args, **kwargs: asked.append(1) or fit(*args, **kwargs),
    )
    loss_behind(both, table, table.numeric)
    assert len(asked) == 9


def test_weights_count():
    """Rows of hardly any weight have no say."""
    table, both, _ = make_table()
    rng = np.random.default_rng(1)
    spoiled = np.arange(1500) % 3 == 0
    target = table.target.copy()
    target[spoiled] = 10 * rng.standard_normal((spoiled.sum(), 1))
    weight = np.where(spoiled, 1e-6, 1.5).astype(np.float32)
    weighted = replace(table, target=target, weight=weight)
    assert loss_behind(both, weighted, table.numeric) < 0.2 * table.target.var()


def test_one_row_that_outweighs_all_others_tells_nothing():
    """Their weights are zero in single precision."""
    table, both, _ = make_table()
    weight = np.zeros(1500, dtype=np.float32)
    weight[0] = 1500
    assert loss_behind(both, replace(table, weight=weight), table.numeric) == np.inf


def test_of_many_columns_fewer_rows_are_asked(monkeypatch):
    table, both, _ = make_table()
    asked = []
    monkeypatch.setattr("sk_entity_embed._worth.N_LEAST", 100)
    monkeypatch.setattr("sk_entity_embed._worth.N_CELLS", 600)
    monkeypatch.setattr(
        "sk_entity_embed._worth.draw_rows", lambda *args: asked.append(args) or np.arange(100)
    )
    loss_behind(both, table, table.numeric)
    assert asked == [(1500, 300)]


def test_it_is_the_same_each_time():
    table, both, _ = make_table()
    first = loss_behind(both, table, table.numeric)
    assert loss_behind(both, table, table.numeric) == first


# -- when it ends the training ---------------------------------------------------------------------


@pytest.fixture
def endless(monkeypatch):
    """Trainings whose own loss never ends them, of tables of any size; returns the settings."""
    monkeypatch.setattr(_loop, "promises", lambda *_: True)
    monkeypatch.setattr(_loop, "LEAST_GAIN", -np.inf)
    monkeypatch.setattr(_loop, "LARGE_GAIN", -np.inf)
    monkeypatch.setattr(_fit_network, "FEW_ROWS", 0)
    monkeypatch.setattr("sk_entity_embed._plan.MAX_DOUBLINGS", 3)
    monkeypatch.setattr("sk_entity_embed._plan.auto_epochs", lambda *_: 2)
    return {**QUICK, "max_epochs": "auto"}


@pytest.mark.parametrize(
    ("losses", "n_epochs"),
    [
        ([1.0, 0.99], 4),
        ([1.0, 1.1], 4),
        ([1.0, 0.97, 0.96], 8),
        ([1.0, 0.97, 0.94], 16),
        ([1.0, 0.8, 0.79], 8),  # much at first is not enough
        ([1.0, 0.8, 0.95], 8),
    ],
)
def test_cycles_follow_while_a_model_behind_gains(losses, n_epochs, endless, shops, monkeypatch):
    """And are not asked for where there are no more to come."""
    given = iter(losses)
    monkeypatch.setattr(_fit_network, "loss_behind", lambda *_: next(given))
    assert EntityEmbedder(**endless).fit(*shops).n_epochs_ == n_epochs
    assert next(given, None) is None


def test_asking_changes_nothing(endless, shops, monkeypatch):
    """The vectors have the bits of a training that was never asked about."""
    settings = {**endless, "dropout": 0.1}
    monkeypatch.setattr(_trainings, "LEAST_WORTH", -np.inf)
    asked = EntityEmbedder(**settings).fit_transform(*shops)
    monkeypatch.setattr(_fit_network, "FEW_ROWS", np.inf)
    np.testing.assert_array_equal(EntityEmbedder(**settings).fit_transform(*shops), asked)


@pytest.mark.parametrize(
    "settings",
    [{"add_prediction": True}, {"cv": None}, {"max_epochs": 3}, {"early_stopping": True}],
)
def test_it_is_asked_for_vectors_alone(settings, endless, shops, monkeypatch):
    """Predictions are worth the loss of the network; and without doublings there is nothing to ask."""
    monkeypatch.setattr(_fit_network, "loss_behind", None)
    EntityEmbedder(**{**endless, **settings}).fit(*shops)
    EntityEmbeddingRegressor(**endless).fit(*shops)


def test_few_rows_are_not_asked(shops, monkeypatch):
    """Their losses say little."""
    monkeypatch.setattr(_fit_network, "loss_behind", None)
    EntityEmbedder(**{**QUICK, "max_epochs": "auto", "batch_size": 10}).fit(*shops)


def test_ctrl_c_while_asking_keeps_what_was_learned(endless, shops, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(_fit_network, "loss_behind", interrupt)
    with pytest.warns(UserWarning, match="interrupted in epoch 3"):
        embedder = EntityEmbedder(**endless).fit(*shops)
    assert embedder.n_epochs_ == 2


@pytest.mark.usefixtures("no_products")
def test_crossed_factors_are_learned_on(monkeypatch):
    """What two columns say together comes late to vectors that start anywhere: the first doubling is not the last."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 25, (2000, 2))
    traits = rng.standard_normal((2, 25, 2))
    y = (traits[0, codes[:, 0]] * traits[1, codes[:, 1]]).sum(1) + 0.3 * rng.standard_normal(2000)
    X = np.array([f"{a}" for a in range(25)], dtype=object)[codes]
    monkeypatch.setattr(_fit_network, "FEW_ROWS", 0)
    assert EntityEmbedder(random_state=0).fit(X, y).n_epochs_ > 80
