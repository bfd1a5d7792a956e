"""scikit-learn's callbacks around every fit: progress, scores, an early end."""

import io

import numpy as np
import pytest
from _made import PLAIN, QUICK, make_pairs, make_shops
from sklearn.callback import FitCallback, ProgressBar, ScoringMonitor
from sklearn.metrics import log_loss

from sk_entity_embed import EntityEmbedder, EntityEmbeddingClassifier, EntityEmbeddingRegressor


class Recorder:
    """Writes down what it is told; may end the training after some epochs."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.events, self.given, self.fitted = [], [], []

    def setup(self, estimator, context):
        self.events.append(("setup", context.task_name))

    def teardown(self, estimator, context):
        self.events.append(("teardown", context.task_name))

    def on_fit_task_begin(self, estimator, context):
        self.events.append(("begin", context.task_name))
        if context.task_name == "fit":
            self.max_subtasks = context.max_subtasks

    def on_fit_task_end(
        self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None
    ):
        self.events.append(("end", context.task_name))
        self.given.append((estimator, X, y, metadata))
        if context.task_name == "epoch":
            self.fitted.append(fitted_estimator)
        n_epochs = self.events.count(("end", "epoch"))
        return self.stop_after is not None and n_epochs >= self.stop_after


X, Y = make_shops(80)
PAIRED = {**QUICK, "crossed_pairs": True}  # whether they lower the loss or not
CASES = {
    "embedder": (EntityEmbedder(**PLAIN), X, Y),
    "cross-fitted": (EntityEmbedder(**QUICK), X, Y),
    "classifier": (EntityEmbeddingClassifier(**PAIRED), X, Y > 1),
    "regressor": (EntityEmbeddingRegressor(**PAIRED), X, Y),
    "links": (
        EntityEmbedder(interaction="dot", n_components=4, max_epochs=3, weight_decay=1.0),
        make_pairs()[0],
        None,
    ),
    "links by sgd": (
        EntityEmbedder(interaction="dot", n_components=4, max_epochs=3, solver="sgd"),
        make_pairs()[0],
        None,
    ),
}


@pytest.fixture(params=CASES)
def case(request):
    from sklearn.base import clone

    estimator, X, y = CASES[request.param]
    return clone(estimator), X, y


def count_tasks(estimator):
    """Epochs of a whole fit: the predictors learn the effects of crossed pairs in half as many more."""
    return 3 if isinstance(estimator, EntityEmbedder) else 5


def n_epochs(estimator):
    return getattr(estimator, "embedder_", estimator).n_epochs_


def test_a_recorder_meets_the_protocol():
    """What follows is tested with a true callback."""
    assert isinstance(Recorder(), FitCallback)


def test_each_epoch_is_a_task(case):
    """One task a fit, one an epoch inside, begun and ended in turn; the data comes along."""
    estimator, X, y = case
    recorder = Recorder()
    estimator.set_callbacks(recorder).fit(X, y)
    epoch = [("begin", "epoch"), ("end", "epoch")]
    expected = [
        ("setup", "fit"),
        ("begin", "fit"),
        *(epoch * count_tasks(estimator)),
        ("end", "fit"),
        ("teardown", "fit"),
    ]
    assert recorder.events == expected
    assert recorder.max_subtasks == count_tasks(estimator)
    for given in recorder.given:
        assert given[0] is estimator
        assert given[1] is X
        np.testing.assert_array_equal(given[2], y)
        assert given[3] is None
    assert not [name for name in vars(estimator) if name.startswith("_callback")]


def test_a_callback_may_end_the_training(case):
    """Its true result stops after the epoch; what was learned stays."""
    estimator, X, y = case
    estimator.set_callbacks(Recorder(stop_after=2)).fit(X, y)
    assert n_epochs(estimator) == 2


def test_callbacks_change_nothing_that_is_learned(case):
    """Looking on does not disturb: the same bits with and without."""
    estimator, X, y = case
    estimator.set_params(random_state=0)

    def vectors():
        estimator.fit(X, y)
        return getattr(estimator, "embedder_", estimator).embeddings_

    plain = vectors()
    estimator.set_callbacks(Recorder())
    for a, b in zip(plain, vectors()):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["embedder", "cross-fitted", "classifier", "regressor"])
def test_the_estimator_of_each_epoch_is_usable(name):
    """It transforms or predicts as if fit had ended there, and the last one is the result."""
    from sklearn.base import clone

    estimator, X, y = CASES[name]
    recorder = Recorder()
    estimator = clone(estimator).set_callbacks(recorder).fit(X, y)
    results = [
        e.predict(X) if hasattr(e, "predict") else e.transform(X)[:, :4] for e in recorder.fitted
    ]
    final = estimator.predict(X) if hasattr(estimator, "predict") else estimator.transform(X)[:, :4]
    assert [n_epochs(e) for e in recorder.fitted] == [1, 2, 3, 3, 3][: count_tasks(estimator)]
    np.testing.assert_array_equal(results[-1], final)
    if name != "classifier":
        assert (results[0] != results[1]).any()


def test_fit_transform_calls_back_too():
    """Both ways to fit."""
    recorder = Recorder()
    EntityEmbedder(**QUICK).set_callbacks(recorder).fit_transform(X, Y)
    assert recorder.events.count(("end", "epoch")) == 3


def test_weights_are_passed_as_metadata():
    """So that a scorer may use them."""
    weight = np.ones(len(X))
    recorder = Recorder()
    EntityEmbedder(**PLAIN).set_callbacks(recorder).fit(X, Y, sample_weight=weight)
    assert recorder.given[0][3]["sample_weight"] is weight


def test_class_weights_are_not_passed_as_sample_weights():
    """A scorer weighs rows as the caller of fit did; under metadata routing other weights would be an error."""
    weight = np.linspace(1, 2, len(X))
    for given in (None, weight):
        monitor, recorder = ScoringMonitor(scoring="neg_log_loss"), Recorder()
        classifier = EntityEmbeddingClassifier(**PLAIN, class_weight="balanced")
        classifier.set_callbacks(monitor, recorder).fit(X, Y > 2, sample_weight=given)
        assert all((told[3] or {}).get("sample_weight") is given for told in recorder.given)
        score = -log_loss(Y > 2, classifier.predict_proba(X), sample_weight=given)
        assert monitor.get_logs().data[-1]["neg_log_loss"] == pytest.approx(score)


def test_scores_are_monitored():
    """ScoringMonitor logs a score an epoch, the default one or another."""
    monitor = ScoringMonitor(scoring="r2")
    regressor = EntityEmbeddingRegressor(**PAIRED).set_callbacks(monitor).fit(X, Y)
    scores = [row["r2"] for row in monitor.get_logs().data]
    assert len(scores) == count_tasks(regressor)
    assert scores[-1] == pytest.approx(regressor.score(X, Y))
    monitor = ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
    EntityEmbeddingClassifier(**QUICK).set_callbacks(monitor).fit(X, Y > 1)
    assert {"accuracy", "neg_log_loss"} <= set(monitor.get_logs().data_as_pandas.columns)


def test_an_embedder_is_monitored_by_any_function():
    """It has no score of its own."""
    monitor = ScoringMonitor(
        scoring=lambda e, X, y: {"norm": float(np.abs(e.transform(X[:1])).max())}
    )
    EntityEmbedder(**PLAIN).set_callbacks(monitor).fit(X[["shop"]], Y)
    assert len(monitor.get_logs().data) == 3


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_a_progress_bar_is_shown(case, monkeypatch):
    """scikit-learn's, where rich is installed; it reaches the end."""
    pytest.importorskip("rich", reason="scikit-learn's ProgressBar needs rich")
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    estimator, X, y = case
    estimator.set_callbacks(ProgressBar()).fit(X, y)
    assert type(estimator).__name__ in out.getvalue()
    assert "100%" in out.getvalue()


def test_a_failing_callback_leaves_the_estimator_as_it_was():
    """Its error comes through; nothing half fitted stays."""

    class Failing(Recorder):
        def on_fit_task_end(self, estimator, context):
            raise RuntimeError("out of ink")

    embedder = EntityEmbedder(**QUICK).set_callbacks(Failing())
    with pytest.raises(RuntimeError, match="out of ink"):
        embedder.fit(X, Y)
    assert not hasattr(embedder, "embeddings_")
    assert not hasattr(embedder, "n_features_in_")


def test_grid_search_passes_callbacks_on():
    """A progress bar on the search counts the epochs inside its fits."""
    from sklearn.model_selection import GridSearchCV

    monitor = ScoringMonitor(scoring="r2")
    regressor = EntityEmbeddingRegressor(**PAIRED).set_callbacks(monitor)
    search = GridSearchCV(regressor, {"n_components": [1, 2]}, cv=2).fit(X, Y)
    assert search.best_params_["n_components"] in (1, 2)


def test_callbacks_see_the_fit_that_runs():
    """An embedder that was fitted on pairs before shows the network of this fit, its prediction included."""
    embedder = EntityEmbedder(interaction="dot", n_components=4, max_epochs=1).fit(make_pairs()[0])
    embedder.set_params(**PLAIN, interaction="mlp", n_components="auto", add_prediction=True)
    recorder = Recorder()
    embedder.set_callbacks(recorder).fit(X, Y)
    assert recorder.fitted
    for fitted in recorder.fitted:
        assert fitted.transform(X).shape == embedder.transform(X).shape
        assert fitted.get_feature_names_out()[-1] == "prediction"
