"""Rows -> two or three dimensions."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.decomposition import PCA

from sk_entity_embed._projection import METHODS, project, trustworthiness, unit_rows


def make_clusters(n_rows=90, n_features=6, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n_rows) % 3
    centres = 6 * np.eye(n_features)[:3]
    return centres[labels] + 0.3 * rng.normal(size=(n_rows, n_features)), labels


def installed(method):
    if method == "opentsne":
        pytest.importorskip("openTSNE")
    if method == "umap":
        pytest.importorskip("umap")
    return method


@pytest.mark.parametrize("n_components", [2, 3])
@pytest.mark.parametrize("method", METHODS)
def test_same_seed_gives_the_same_coordinates(method, n_components):
    """Every method repeats itself, whatever NumPy's global generator does."""
    vectors, _ = make_clusters(24)
    first = project(vectors, installed(method), n_components=n_components, random_state=3)
    again = project(vectors, method, n_components=n_components, random_state=3)
    assert first.shape == (24, n_components)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("method", ["tsne", "pca", "opentsne"])
@pytest.mark.parametrize("n_features", [1, 2, 5])
@pytest.mark.parametrize("n_rows", [0, 1, 2, 3, 4, 5, 9])
def test_few_rows_and_columns_work(n_rows, n_features, method):
    """No number of rows or columns is too small to draw."""
    vectors = np.random.default_rng(0).normal(size=(n_rows, n_features))
    for n_components in (2, 3):
        points = project(vectors, installed(method), n_components=n_components, random_state=0)
        assert points.shape == (n_rows, n_components)
        assert np.isfinite(points).all()


@pytest.mark.parametrize("method", ["tsne", "opentsne"])
def test_clusters_stay_clusters(method):
    """A point's nearest neighbour on the map comes from its own cluster."""
    vectors, labels = make_clusters()
    points = project(vectors, installed(method), random_state=0)
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (labels[distances.argmin(axis=1)] == labels).all()
    # seeds 0-9 gave 0.93 to 0.97
    assert trustworthiness(unit_rows(vectors), points) > 0.85


def test_equal_rows_can_be_drawn():
    """Rows that are all the same are laid out without a warning."""
    points = project(np.ones((20, 4)), random_state=0)
    assert np.isfinite(points).all()


def test_pca_agrees_with_scikit_learn():
    """Up to the signs of the axes, which ours settles."""
    vectors, _ = make_clusters()
    ours = project(vectors, "pca")
    theirs = PCA(n_components=2).fit_transform(unit_rows(vectors))
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-4)


def test_length_of_rows_does_not_matter_unless_asked_for():
    vectors, _ = make_clusters()
    longer = vectors * np.linspace(1, 5, len(vectors))[:, None]
    np.testing.assert_allclose(project(longer, "pca"), project(vectors, "pca"), atol=1e-5)
    raw = project(longer, "pca", normalize=False)
    assert not np.allclose(raw, project(vectors, "pca", normalize=False), atol=0.1)


def test_rows_of_one_number_keep_their_length():
    """Scaled to length 1 they would fall on two points."""
    points = project(np.arange(1.0, 8)[:, None], "pca")
    assert len(np.unique(points[:, 0])) == 7


def test_an_estimator_is_cloned():
    vectors, _ = make_clusters()
    pca = PCA(n_components=3)
    assert project(vectors, pca).shape == (90, 3)
    assert not hasattr(pca, "components_")


def test_any_object_with_fit_transform_works():
    vectors, _ = make_clusters()
    first_two = SimpleNamespace(fit_transform=lambda rows: rows[:, :2])
    np.testing.assert_allclose(project(vectors, first_two), unit_rows(vectors)[:, :2])


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("tnse", "method must be one of 'tsne', 'pca'"),
        (3, "fit_transform"),
        (PCA(n_components=4), "must return 90 rows of 2 or 3 numbers"),
    ],
)
def test_unusable_methods_are_explained(method, message):
    with pytest.raises(ValueError, match=message):
        project(make_clusters()[0], method)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.zeros(3), "row per point"),
        (np.zeros((3, 0)), "row per point"),
        (np.array([[1, np.nan]]), "finite"),
        (np.array([[1, np.inf]]), "finite"),
    ],
)
def test_vectors_that_cannot_be_projected_are_refused(vectors, message):
    with pytest.raises(ValueError, match=message):
        project(vectors)


def test_a_map_has_two_or_three_dimensions():
    with pytest.raises(ValueError, match="2 or 3, got 5"):
        project(np.ones((4, 4)), n_components=5)


def test_random_state_can_be_a_generator_or_none(globals_untouched):
    """None draws a seed of its own and leaves the global generators as they were."""
    vectors, _ = make_clusters(9)
    first = project(vectors, random_state=np.random.RandomState(1))
    np.testing.assert_array_equal(first, project(vectors, random_state=np.random.RandomState(1)))
    with globals_untouched():
        assert project(vectors, random_state=None).shape == (9, 2)


def test_a_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    with pytest.raises(ImportError, match=r"sk-entity-embed\[map\]"):
        project(make_clusters()[0], "opentsne")


def test_trustworthiness_tells_good_from_bad():
    vectors, _ = make_clusters(150)
    rng = np.random.default_rng(0)
    assert trustworthiness(vectors, vectors[:, :3]) > 0.8
    by_chance = [trustworthiness(vectors, rng.normal(size=(150, 2))) for _ in range(3)]
    assert np.mean(by_chance) == pytest.approx(0.5, abs=0.08)  # 0.47 to 0.53 in 20 runs
    assert trustworthiness(vectors, vectors, max_rows=50) == 1  # a sample


@pytest.mark.parametrize("n_rows", [0, 1, 2, 3])
def test_trustworthiness_of_few_rows_is_unknown(n_rows):
    assert np.isnan(trustworthiness(np.ones((n_rows, 2)), np.ones((n_rows, 2))))


def test_trustworthiness_of_four_rows_is_known():
    rows = np.random.default_rng(0).normal(size=(4, 3))
    assert trustworthiness(rows, rows) == 1


def test_a_line_is_scored_as_one():
    """It is all that they have: a line is drawn as one, and scored as one."""
    vectors = np.random.default_rng(0).normal(size=(40, 1)).astype(np.float32)
    np.testing.assert_array_equal(unit_rows(vectors), vectors)
    points = project(vectors, "pca", random_state=0)
    assert trustworthiness(unit_rows(vectors), points) == 1
