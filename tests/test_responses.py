"""Vectors told by what a category does to the prediction."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from _made import PLAIN, QUICK

from sk_entity_embed import EntityEmbedder, _fit_network, _responses
from sk_entity_embed._responses import _damped_log_odds, express


def make_table(n_rows, n_categories, seed=0):
    """Two columns of which the first counts, and a number that hardly does."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(n_categories, size=(n_rows, 2))
    codes[:n_categories] = np.arange(n_categories)[:, None]
    number = rng.normal(size=n_rows)
    effect = rng.normal(size=n_categories)
    y = effect[codes[:, 0]] * (2 + np.tanh(number)) + 0.1 * rng.normal(size=n_rows)
    X = pd.DataFrame({"a": codes[:, 0], "b": codes[:, 1], "x": number})
    return X, y


@pytest.fixture(scope="module")
def fitted():
    """An embedder and what its fit asked `express` for."""
    X, y = make_table(300, 20)
    asked = {}

    def spy(network, table, widths, **more):
        asked.update(network=network, table=table, widths=widths, **more)
        return express(network, table, widths, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_fit_network, "express", spy)
        embedder = EntityEmbedder(
            categorical_features=["a", "b"], hidden_layer_sizes=(16,), cv=3, random_state=0
        ).fit(X, y)
    return embedder, asked


def test_distances_are_differences_of_predictions():
    """As a root mean square over the rows, all of which answer where they are few; three points need two axes."""
    X, y = make_table(60, 3)
    embedder = EntityEmbedder(
        categorical_features=["a", "b"],
        hidden_layer_sizes=(16,),
        max_epochs=300,
        cv=None,
        add_prediction=True,
        random_state=0,
    ).fit(X, y)
    predicted = [embedder.transform(X.assign(a=a))[:, -1] / y.std() for a in range(3)]
    told = embedder.embeddings_[0].astype(float)
    assert embedder.n_components_[0] == 2
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        difference = np.sqrt(np.mean((predicted[i] - predicted[j]) ** 2))
        assert np.linalg.norm(told[i] - told[j]) == pytest.approx(difference, rel=1e-3)


def test_an_additive_model_needs_one_component():
    """Without hidden layers a category adds a number, whatever the rest of the row; more is more prediction."""
    X, y = make_table(200, 9)
    embedder = EntityEmbedder(
        categorical_features=["a", "b"],
        hidden_layer_sizes=(),
        cv=None,
        add_prediction=True,
        random_state=0,
    ).fit(X, y)
    assert embedder.n_components_ == [1, 1]
    predicted = [embedder.transform(X[:1].assign(a=a))[0, -1] / y.std() for a in range(9)]
    told = embedder.embeddings_[0][:, 0]
    np.testing.assert_allclose(told - told[0], predicted - predicted[0], rtol=1e-3, atol=1e-4)


def test_how_unlikely_a_class_is_ends_somewhere():
    """Log-odds of likely classes are what they are; a millionth and a billionth are the same."""
    likely = np.log(np.array([[[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]]], dtype=np.float32))
    exact = likely - likely.mean(axis=2, keepdims=True)
    np.testing.assert_allclose(_damped_log_odds(likely), exact, atol=0.05)
    sure, surer = (_damped_log_odds(np.array([[[9.0, 7.0, low]]])) for low in (-6.0, -1e6))
    np.testing.assert_allclose(sure, surer, atol=1e-3)
    assert sure[0, 0, 1] - sure[0, 0, 2] > 2
    np.testing.assert_allclose(sure.sum(axis=2), 0, atol=1e-6)


def test_a_column_that_hardly_counts_is_narrow(fitted):
    """It would bury the others for a model that weighs all components alike."""
    embedder, _ = fitted
    assert embedder.n_components_[0] == 3
    assert embedder.n_components_[1] == 1
    sizes = [np.linalg.norm(v) for v in embedder.embeddings_]
    assert sizes[0] > 5 * sizes[1]


def test_components_matter_about_equally(fitted):
    """So that whoever standardises them changes little."""
    embedder, _ = fitted
    told = embedder.embeddings_[0]
    assert np.ptp(told.std(axis=0)) < 0.2 * told.std()
    largest = np.linalg.svd(told - told.mean(axis=0), full_matrices=False)[2][0]
    assert np.abs(largest) == pytest.approx(np.full(3, 3**-0.5), abs=0.1)
    assert np.ptp(np.sign(largest)) == 0  # they rise together


def test_a_mirrored_table_says_the_same(fitted):
    """What a table's own body reads from it counts, not where it lies."""
    _, asked = fitted
    network = asked["network"]
    turned = [t.copy() for t in network.tables]
    turned[0][1] *= -1
    coefs = [c.copy() for c in network.head["coefs"]]
    coefs[0][1, : turned[0].shape[2]] *= -1
    mirror = replace(network, tables=turned, head={**network.head, "coefs": coefs})
    for seen, mirrored in zip(express(**asked), express(**asked | {"network": mirror})):
        np.testing.assert_allclose(seen, mirrored, atol=1e-5)


def test_widths_that_are_given_stay_as_learned():
    """Of one column or of all."""
    X, y = make_table(200, 9)
    embedder = EntityEmbedder(**QUICK, categorical_features=["a", "b"], n_components={"b": 4})
    embedder.fit(X, y)
    assert embedder.n_components_[1] == 4
    assert [table is None for table in embedder._inner_tables] == [False, True]


def test_rows_count_by_their_weight(fitted):
    """Rows of next to no weight have no say: here all of one category, which would be the mean of the others."""
    _, asked = fitted
    table = asked["table"]
    doubled = {
        name: np.concatenate([getattr(table, name)] * 2)
        for name in ("codes", "numeric", "target", "fold")
    }
    doubled["codes"][table.n_rows :, 0] = 1 + table.codes[:, 0].max() // 2
    weight = np.repeat(np.array([2, 2e-9], dtype=np.float32), table.n_rows)
    means = []
    for told in (table, replace(table, **doubled, weight=weight), replace(table, **doubled)):
        vectors = express(**asked | {"table": told})[0].mean(axis=0)
        means.append(np.linalg.norm(vectors[table.codes[:, 0]].mean(axis=0)))
    assert max(means[:2]) < 0.1 < means[2]


def test_the_direction_of_an_axis_is_no_rounding_error(fitted, monkeypatch):
    """Not even between classes, whose responses sum to zero."""
    X, _ = make_table(300, 20)
    embedders = []
    for at_once in (64, 7):
        monkeypatch.setattr(_responses, "_VALUES_AT_ONCE", at_once)
        embedder = EntityEmbedder(**QUICK, categorical_features=["a", "b"])
        embedders.append(embedder.fit(X, X["a"] % 3))
    for one, other in zip(*(e.embeddings_ for e in embedders)):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("settings", [PLAIN, QUICK])
def test_many_classes(settings):
    """Responses of many outputs are as long as rows times outputs, and as quickly told as those of one."""
    X, _ = make_table(1400, 30)
    y = np.arange(1400) % 700
    embedder = EntityEmbedder(**settings, categorical_features=["a", "b"], target_type="multiclass")
    assert np.isfinite(embedder.fit_transform(X, y)).all()
    assert np.isfinite(embedder.embeddings_[0]).all()
