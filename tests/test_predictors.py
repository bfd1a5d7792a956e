"""The network itself as a classifier and a regressor."""

import pickle

import numpy as np
import pandas as pd
import pytest
import skops.io
from _made import PLAIN, QUICK, EpochCounter, make_climates, make_shops
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import log_loss, mean_poisson_deviance
from sklearn.model_selection import GroupKFold, cross_val_score

from sk_entity_embed import EntityEmbedder, EntityEmbeddingClassifier, EntityEmbeddingRegressor

GOOD = {"hidden_layer_sizes": (16,), "max_epochs": 25, "batch_size": 32, "random_state": 0}


@pytest.fixture(scope="module")
def shops():
    return make_shops(400)


@pytest.fixture(scope="module")
def climates():
    X, y, _ = make_climates()
    return X, np.array(["cold", "warm", "hot"])[y[:, 0].round().astype(int).clip(-1, 1)]


# --- regressor -------------------------------------------------------------------------------


def test_regressor_explains_held_out_rows(shops):
    """R2 on rows not trained on (seeds 0-4 gave .93 to .97)."""
    X, y = shops
    regressor = EntityEmbeddingRegressor(**GOOD).fit(X[:300], y[:300])
    assert regressor.score(X[300:], y[300:]) > 0.85
    assert is_regressor(regressor)
    assert regressor.predict(X).dtype == np.float64


@pytest.mark.parametrize("shape", [(400,), (400, 1), (400, 3)])
def test_predictions_have_the_shape_of_y(shops, shape):
    """One number a row, or several."""
    X, y = shops
    target = y if len(shape) == 1 else np.column_stack([y, -y, y**2])[:, : shape[1]]
    assert EntityEmbeddingRegressor(**PLAIN).fit(X, target).predict(X).shape == shape


def test_several_outputs_at_once(shops):
    """Each is learned in its own units."""
    X, y = shops
    Y = np.column_stack([y, 1e6 - 1000 * y])
    regressor = EntityEmbeddingRegressor(**GOOD).fit(X, Y)
    assert regressor.score(X, Y) > 0.85
    assert (regressor.predict(X)[:, 1] > 9e5).all()


def test_whole_numbers_are_no_classes(shops):
    """A regressor takes ratings for numbers; its mean lies in between."""
    X, y = shops
    regressor = EntityEmbeddingRegressor(**GOOD).fit(X, y.round().astype(int))
    assert regressor.embedder_.target_type_ == "continuous"
    assert len(np.unique(regressor.predict(X))) > 50


def test_poisson_predicts_positive_means():
    """Counts with a log link: the mean of each shop, and never below zero."""
    rng = np.random.default_rng(0)
    shop = rng.integers(0, 4, 800)
    mean = np.array([0.1, 1.0, 4.0, 20.0])
    X, y = pd.DataFrame({"shop": shop.astype(str)}), rng.poisson(mean[shop])
    regressor = EntityEmbeddingRegressor(loss="poisson", **{**GOOD, "max_epochs": 60}).fit(X, y)
    found = regressor.predict(pd.DataFrame({"shop": list("0123")}))
    assert (found > 0).all()
    expected = [y[shop == i].mean() for i in range(4)]
    np.testing.assert_allclose(found, expected, rtol=0.35, atol=0.15)


@pytest.mark.parametrize("seed", [0, 1])
def test_large_counts_among_small_ones_do_not_drive_predictions_to_zero(seed):
    """Most means are near one and a few a hundred times as large: steps must not overshoot."""
    rng = np.random.default_rng(seed)
    shop, day = rng.integers(1500, size=10_000), rng.integers(8, size=10_000)
    mean = np.exp(1.2 * (rng.normal(size=1500)[shop] + rng.normal(size=8)[day]))
    X, y = pd.DataFrame({"shop": shop, "day": day}).astype(str), rng.poisson(mean).astype(float)
    regressor = EntityEmbeddingRegressor(
        loss="poisson", crossed_pairs=False, max_epochs=20, random_state=0
    )
    found = regressor.fit(X[:6000], y[:6000]).predict(X[6000:])
    of_mean = mean_poisson_deviance(y[6000:], np.full(4000, y[:6000].mean()))
    assert mean_poisson_deviance(y[6000:], found) < 0.4 * of_mean


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_quantile_covers_its_share(quantile):
    """So many of the rows lie below, in each shop."""
    rng = np.random.default_rng(0)
    shop = rng.integers(0, 3, 900)
    X = pd.DataFrame({"shop": shop.astype(str)})
    y = np.array([0.0, 5.0, -5.0])[shop] + rng.exponential(1.0, 900)
    regressor = EntityEmbeddingRegressor(
        loss="quantile", quantile=quantile, **{**GOOD, "max_epochs": 50}
    ).fit(X, y)
    below = y <= regressor.predict(X)
    for i in range(3):
        assert below[shop == i].mean() == pytest.approx(quantile, abs=0.12)


@pytest.mark.parametrize("value", [0.0, 3.5, -1e9])
def test_a_constant_target_is_predicted(shops, value):
    """Without a warning, and as it is."""
    X, _ = shops
    found = EntityEmbeddingRegressor(**GOOD).fit(X, np.full(len(X), value)).predict(X)
    np.testing.assert_array_equal(found, value)


# --- classifier ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels", [["no", "yes"], [False, True], [0, 1], [-1, 1], [2.0, 5.0], ["b", "a", "c"]]
)
def test_classes_of_any_type(shops, labels):
    """Sorted in classes_, columns of predict_proba in their order, predictions of their type."""
    X, y = shops
    codes = np.digitize(y, np.quantile(y, np.linspace(0, 1, len(labels) + 1)[1:-1]))
    y = np.array(labels)[codes]
    classifier = EntityEmbeddingClassifier(**GOOD).fit(X, y)
    np.testing.assert_array_equal(classifier.classes_, np.unique(labels))
    proba = classifier.predict_proba(X)
    assert proba.shape == (len(X), len(labels))
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    predicted = classifier.predict(X)
    assert predicted.dtype == y.dtype
    np.testing.assert_array_equal(predicted, classifier.classes_[proba.argmax(axis=1)])
    assert classifier.score(X, y) > 0.75
    assert is_classifier(classifier)


def test_classifier_on_held_out_rows(climates):
    """Climate decides; the noise leaves few rows in doubt (seeds 0-4 gave .95 and more)."""
    X, y = climates
    classifier = EntityEmbeddingClassifier(**GOOD).fit(X[:450], y[:450])
    assert classifier.score(X[450:], y[450:]) > 0.9


def test_multilabel(shops):
    """Each label is independent; the prediction is an indicator."""
    X, y = shops
    Y = np.column_stack([y > np.median(y), X["shop"] == "shop 2", y < 0]).astype(int)
    classifier = EntityEmbeddingClassifier(**GOOD).fit(X, Y)
    proba = classifier.predict_proba(X)
    assert proba.shape == Y.shape
    predicted = classifier.predict(X)
    assert set(np.unique(predicted)) == {0, 1}
    assert (predicted == Y).mean() > 0.85
    assert classifier.classes_.tolist() == [0, 1, 2]
    again = EntityEmbeddingClassifier(**GOOD).fit(X, sparse.csr_matrix(Y))
    np.testing.assert_array_equal(again.predict_proba(X), proba)


def test_one_class_is_certain(shops):
    """A y of one label predicts it."""
    X, _ = shops
    classifier = EntityEmbeddingClassifier(**PLAIN).fit(X, ["only"] * len(X))
    assert classifier.classes_.tolist() == ["only"]
    np.testing.assert_array_equal(classifier.predict_proba(X), np.ones((len(X), 1)))
    assert set(classifier.predict(X)) == {"only"}


def test_balanced_classes_raise_the_rare_one():
    """class_weight as elsewhere: balanced is a dict of its weights is a sample_weight."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"shop": rng.choice(list("abc"), 600)})
    y = np.where(rng.random(600) < 0.1, "rare", "usual")
    share = (y == "rare").mean()

    def proba(class_weight, weight=None):
        classifier = EntityEmbeddingClassifier(class_weight=class_weight, **GOOD)
        return classifier.fit(X, y, sample_weight=weight).predict_proba(X)

    assert proba(None)[:, 0].mean() == pytest.approx(share, abs=0.06)
    balanced = proba("balanced")
    assert balanced[:, 0].mean() == pytest.approx(0.5, abs=0.1)
    weights = {"rare": 0.5 / share, "usual": 0.5 / (1 - share)}
    np.testing.assert_allclose(proba(weights), balanced, atol=1e-3)
    by_row = np.where(y == "rare", weights["rare"], weights["usual"])
    np.testing.assert_allclose(proba(None, by_row), balanced, atol=1e-3)


def test_each_label_has_class_weights(shops):
    """A dict for each, as in scikit-learn's forests; for a single y there is nothing that a list could mean."""
    X, y = shops
    Y, few = np.column_stack([y > 1, y > 2]).astype(int), [{0: 1.0, 1: 9.0}, {0: 1.0, 1: 1.0}]
    weighted = EntityEmbeddingClassifier(**GOOD, class_weight=few).fit(X, Y).predict_proba(X)
    by_row = EntityEmbeddingClassifier(**GOOD).fit(X, Y, sample_weight=np.where(Y[:, 0], 9.0, 1.0))
    np.testing.assert_array_equal(weighted, by_row.predict_proba(X))
    with pytest.raises(ValueError, match="class_weight as a list is for a multilabel y"):
        EntityEmbeddingClassifier(**PLAIN, class_weight=few[:1]).fit(X, Y[:, 0])


@pytest.mark.parametrize(
    "y", [np.random.default_rng(0).integers(0, 4, (400, 2)), np.arange(400) * 0.1]
)
def test_what_are_no_classes_is_refused(shops, y):
    """Several columns of classes, or real numbers."""
    with pytest.raises(ValueError, match=r"MultiOutputClassifier|Unknown label type: continuous"):
        EntityEmbeddingClassifier(**PLAIN).fit(shops[0], y)


def test_weights_beside_class_weight_are_read_as_carefully(shops):
    """A weight too few is not repeated, and the like."""
    X, y = shops
    classifier = EntityEmbeddingClassifier(**PLAIN, class_weight="balanced")
    for weight in ([2.0], np.ones(5), -np.ones(len(y))):
        with pytest.raises(ValueError, match="sample_weight"):
            classifier.fit(X, y > 1, sample_weight=weight)


@pytest.mark.parametrize("cls", [EntityEmbeddingClassifier, EntityEmbeddingRegressor])
def test_columns_may_have_any_name(cls, shops):
    """What would repeat a name in the output of the transformer is no matter to a predictor."""
    X, y = shops
    X = X.rename(columns={"price": "shop_0"})
    predictor = cls(**PLAIN).fit(X, y > 1 if cls is EntityEmbeddingClassifier else y)
    assert len(predictor.predict(X)) == len(X)


def test_probabilities_are_calibrated_on_new_rows():
    """Labels of many rare categories are mostly noise: cross-fitted training does not overrate them."""
    rng = np.random.default_rng(0)
    effect = rng.normal(0, 0.7, 300)
    shop = rng.integers(0, 300, 3000)
    X, y = (
        pd.DataFrame({"shop": shop.astype(str)}),
        rng.random(3000) < 1 / (1 + np.exp(-effect[shop])),
    )
    settings = {**GOOD, "max_epochs": 20, "batch_size": 64}
    honest = EntityEmbeddingClassifier(**settings).fit(X[:1500], y[:1500])
    naive = EntityEmbeddingClassifier(**settings, cv=None).fit(X[:1500], y[:1500])
    losses = [log_loss(y[1500:], c.predict_proba(X[1500:])) for c in (honest, naive)]
    assert losses[0] < losses[1] + 0.01
    assert losses[0] < 0.70  # a coin has .693


# --- both ------------------------------------------------------------------------------------

PREDICTORS = [EntityEmbeddingClassifier, EntityEmbeddingRegressor]


def fit(cls, shops, **settings):
    X, y = shops
    y = y if cls is EntityEmbeddingRegressor else y > np.median(y)
    return cls(**{**QUICK, **settings}).fit(X, y)


@pytest.mark.parametrize("cls", PREDICTORS)
def test_the_embedder_is_offered(cls, shops):
    """embedder_ transforms, finds neighbours and predicts the same."""
    X = shops[0]
    predictor = fit(cls, shops)
    embedder = predictor.embedder_
    assert isinstance(embedder, EntityEmbedder)
    assert embedder.transform(X).shape == (len(X), sum(embedder.n_components_) + 1)
    assert len(embedder.most_similar("shop 1", n=2, column="shop")) == 2
    assert predictor.n_features_in_ == 3
    assert predictor.feature_names_in_.tolist() == ["shop", "item", "price"]


def test_the_regressor_predicts_what_the_embedder_appends(shops):
    """add_prediction of an embedder of the same settings is the regressor's prediction."""
    X, y = shops
    embedder = EntityEmbedder(**QUICK, target_type="continuous", add_prediction=True).fit(X, y)
    regressor = EntityEmbeddingRegressor(**QUICK).fit(X, y)
    np.testing.assert_allclose(embedder.transform(X)[:, -1], regressor.predict(X), rtol=1e-5)


@pytest.mark.parametrize("cls", PREDICTORS)
def test_unknown_categories_are_predicted(cls, shops):
    """By the trained unknown vector; or refused if told."""
    X = shops[0][:3].assign(shop="never seen")
    assert np.isfinite(np.asarray(fit(cls, shops).predict(X), dtype=float)).all()
    with pytest.raises(ValueError, match=r"unknown categories \['never seen'\] in column 'shop'"):
        fit(cls, shops, handle_unknown="error").predict(X)


@pytest.mark.parametrize("cls", PREDICTORS)
def test_round_trips_are_exact(cls, shops):
    """clone, pickle and skops with nothing to trust but our own classes."""
    X = shops[0]
    predictor = fit(cls, shops)
    expected = predictor.predict(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(predictor)).predict(X), expected)
    data = skops.io.dumps(predictor)
    trusted = skops.io.get_untrusted_types(data=data)
    assert all(name.startswith("sk_entity_embed.") for name in trusted), trusted
    np.testing.assert_array_equal(skops.io.loads(data, trusted=trusted).predict(X), expected)
    copy = clone(predictor)
    assert copy.get_params() == predictor.get_params()
    with pytest.raises(NotFittedError):
        copy.predict(X)
    np.testing.assert_array_equal(fit(cls, shops).predict(X), expected)


@pytest.mark.parametrize("cls", PREDICTORS)
def test_html_shows_the_parameters(cls, shops):
    """In a notebook, fitted."""
    assert cls.__name__ in fit(cls, shops)._repr_html_()


@pytest.mark.parametrize("cls", PREDICTORS)
def test_global_state_is_left_alone(cls, shops, globals_untouched):
    """Generators, thread counts, default dtype and warning filters."""
    with globals_untouched():
        fit(cls, shops).predict(shops[0])


@pytest.mark.parametrize("cls", PREDICTORS)
def test_early_stopping_of_a_predictor(cls, shops):
    """The embedder's history tells."""
    predictor = fit(cls, shops, early_stopping=True, patience=1, max_epochs=200, learning_rate=0.05)
    assert predictor.embedder_.n_epochs_ < 200
    assert "validation_loss" in predictor.embedder_.history_[0]


@pytest.mark.parametrize("cls", PREDICTORS)
def test_metadata_is_routed(cls, shops):
    """Weights by request, groups to the splitter."""
    X, y = shops
    y = y if cls is EntityEmbeddingRegressor else y > np.median(y)
    weight, groups = np.linspace(0.5, 2, len(X)), np.arange(len(X)) % 8
    with config_context(enable_metadata_routing=True):
        predictor = cls(**{**QUICK, "cv": GroupKFold(3)}).set_fit_request(sample_weight=True)
        predictor.fit(X, y, sample_weight=weight, groups=groups)
        scores = cross_val_score(
            predictor.set_score_request(sample_weight=False),
            X,
            y,
            params={"sample_weight": weight, "groups": groups},
            cv=2,
        )
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("cls", PREDICTORS)
def test_a_failed_fit_leaves_the_predictor_as_it_was(cls, shops):
    """NaN in the loss, or a bad y: what was fitted before still predicts."""
    X, y = shops
    y = y if cls is EntityEmbeddingRegressor else y > np.median(y)
    predictor = cls(**QUICK)
    with pytest.raises(FloatingPointError, match=r"Lower learning_rate or weight_decay=0.0001"):
        predictor.set_params(learning_rate=1e30).fit(X, y)
    with pytest.raises(NotFittedError):
        predictor.predict(X)
    expected = predictor.set_params(learning_rate=0.01).fit(X, y).predict(X)
    with pytest.raises(FloatingPointError, match=r"Lower learning_rate or weight_decay=0.0001"):
        predictor.set_params(learning_rate=1e30).fit(X[["item"]], y)
    np.testing.assert_array_equal(predictor.predict(X), expected)


@pytest.mark.parametrize("cls", PREDICTORS)
def test_ctrl_c_warns_and_keeps_what_was_learned(cls, shops):
    """The predictor is fitted with one epoch."""
    X, y = shops
    y = y if cls is EntityEmbeddingRegressor else y > np.median(y)
    predictor = cls(**QUICK).set_callbacks(EpochCounter(interrupt_in=1))
    with pytest.warns(ConvergenceWarning, match="interrupted in epoch 2"):
        predictor.fit(X, y)
    assert predictor.embedder_.n_epochs_ == 1
    assert len(predictor.predict(X)) == len(X)
