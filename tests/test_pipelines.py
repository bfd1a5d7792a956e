"""Among scikit-learn's and skrub's tools, on real data."""

import numpy as np
import pandas as pd
import pytest
from _data import load_tabular
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_entity_embed import EntityEmbedder, EntityEmbeddingClassifier, EntityEmbeddingRegressor

QUICK = {"hidden_layer_sizes": (16,), "max_epochs": 5, "random_state": 0}


@pytest.fixture(scope="module")
def salaries():
    """1,200 of the employees of Montgomery County; numbers last."""
    X, y, _ = load_tabular("employee_salaries", 1200)
    return X, y.to_numpy(dtype=float)


@pytest.fixture(scope="module")
def flights():
    """1,200 flights; were they late?"""
    X, y, meta = load_tabular("nyc_flights", 1200)
    return X, y.to_numpy(), meta


def boosting():
    return HistGradientBoostingRegressor(max_iter=30, random_state=0)


def test_before_a_linear_model(salaries):
    """R2 of ridge regression on held-out employees (quick settings: .72 and more; without vectors .12)."""
    X, y = salaries
    pipeline = make_pipeline(
        EntityEmbedder(**{**QUICK, "max_epochs": 20}), StandardScaler(), Ridge()
    )
    pipeline.fit(X[:900], y[:900])
    assert pipeline.score(X[900:], y[900:]) > 0.5


def test_cross_val_score(salaries):
    """Before gradient boosting, and the predictor itself."""
    X, y = salaries
    scores = cross_val_score(make_pipeline(EntityEmbedder(**QUICK), boosting()), X, y, cv=2)
    assert scores.mean() > 0.5
    predictor = EntityEmbeddingRegressor(**{**QUICK, "max_epochs": 20})
    assert cross_val_score(predictor, X, y, cv=2).mean() > 0.5


def test_classes(flights):
    """A pipeline and the classifier, by AUC; the positions of the fold column stay out."""
    X, y, _ = flights
    pipeline = make_pipeline(
        EntityEmbedder(**QUICK, add_prediction=True),
        HistGradientBoostingClassifier(max_iter=20, random_state=0),
    )
    for model in (pipeline, EntityEmbeddingClassifier(**QUICK)):
        scores = cross_val_score(model, X, y, cv=2, scoring="roc_auc")
        assert scores.mean() > 0.5


def test_grid_search_in_two_processes(salaries):
    """GridSearchCV(n_jobs=2) over n_components and max_epochs; the best is refitted and transforms."""
    X, y = salaries
    pipeline = make_pipeline(EntityEmbedder(**QUICK), StandardScaler(), Ridge())
    grid = {"entityembedder__n_components": [1, 3], "entityembedder__max_epochs": [1, 4]}
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(X[:400], y[:400])
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert len(set(scores)) == 4  # each setting makes a difference
    n_components = search.best_params_["entityembedder__n_components"]
    assert max(search.best_estimator_[0].n_components_) == n_components


def test_processes_give_the_same_bits(salaries):
    """n_jobs changes nothing."""
    X, y = salaries[0][:300], salaries[1][:300]
    pipeline = make_pipeline(EntityEmbedder(**QUICK), StandardScaler(), Ridge())
    scores = [cross_val_score(pipeline, X, y, cv=2, n_jobs=n) for n in (1, 2)]
    np.testing.assert_array_equal(*scores)


def test_in_a_column_transformer(salaries):
    """Beside other transformers; names, set_output and parameters pass through."""
    X, y = salaries
    categories = X.select_dtypes(exclude="number").columns.tolist()
    numbers = X.select_dtypes("number").columns.tolist()
    transformer = ColumnTransformer(
        [("vectors", EntityEmbedder(**QUICK), categories), ("numbers", StandardScaler(), numbers)]
    ).set_output(transform="pandas")
    out = transformer.fit_transform(X, y)
    embedder = transformer.named_transformers_["vectors"]
    assert out.shape == (len(X), sum(embedder.n_components_) + len(numbers))
    assert out.columns[0] == f"vectors__{categories[0]}_0"
    pd.testing.assert_index_equal(transformer.transform(X[::-1]).index, X[::-1].index)
    pipeline = make_pipeline(transformer, KNeighborsRegressor())
    pipeline.set_params(columntransformer__vectors__n_components=2)
    assert pipeline.fit(X[:900], y[:900]).score(X[900:], y[900:]) > 0.5


def test_whole_numbers_in_a_column_transformer():
    """Codes picked out by position are categories, as for TargetEncoder."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(0, 9, 200), rng.normal(size=200)])
    embedder = EntityEmbedder(**QUICK, n_components=2)
    transformer = make_column_transformer((embedder, [0]), remainder="passthrough")
    out = transformer.fit_transform(X, X[:, 0] % 3 + 0.5)
    names = transformer.get_feature_names_out()
    assert names.tolist() == ["entityembedder__x0_0", "entityembedder__x0_1", "remainder__x1"]
    np.testing.assert_allclose(out[:, -1], X[:, 1])


# --- skrub -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def skrub():
    return pytest.importorskip("skrub", reason="skrub comes with the dev extra")


@pytest.mark.filterwarnings("ignore::DeprecationWarning:skrub")
def test_in_a_table_vectorizer(skrub, salaries):
    """One clone of the embedder per column of high cardinality; no warnings."""
    X, y = salaries
    vectorizer = skrub.TableVectorizer(
        high_cardinality=EntityEmbedder(**QUICK), cardinality_threshold=20
    )
    out = vectorizer.fit_transform(X, y)
    high = [c for c in X.select_dtypes(exclude="number") if X[c].nunique() > 20]
    assert high
    for column in high:
        assert isinstance(vectorizer.transformers_[column], EntityEmbedder)
        assert f"{column}_0" in out.columns
    assert vectorizer.transform(X).columns.tolist() == out.columns.tolist()
    pipeline = make_pipeline(clone(vectorizer), boosting())
    assert pipeline.fit(X[:900], y[:900]).score(X[900:], y[900:]) > 0.5


def test_applied_to_columns(skrub, salaries):
    """ApplyToFrame (ApplyToCols in older releases) trains all columns together, ApplyToCols each alone."""
    X, y = salaries
    categories = X.select_dtypes(exclude="number").columns.tolist()
    each = skrub.ApplyToCols(EntityEmbedder(**QUICK), cols=categories[:2])
    out = each.fit_transform(X, y)
    assert f"{categories[0]}_0" in out.columns
    assert categories[2] in out.columns
    assert len(out) == len(X)
    if hasattr(skrub, "ApplyToFrame"):
        together = skrub.ApplyToFrame(EntityEmbedder(**QUICK), cols=categories)
        out = together.fit_transform(X, y)
        assert together.transformer_.categorical_features_ == categories
        assert f"{categories[-1]}_0" in out.columns
