"""Pictures, page and files of a real EntityEmbedder."""

import datetime

import numpy as np
import pandas as pd
import pytest

from sk_entity_embed import EntityEmbedder
from sk_entity_embed._export import write_projector
from sk_entity_embed.plotting import EmbeddingDisplay, NeighborsDisplay, embedding_map


@pytest.fixture(scope="module")
def embedder():
    """Two columns, one of them with missing cells, and a target that depends on both."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "city": rng.choice(["Rome", "Oslo", "Lima", "Kyiv", "Bonn", "Cork"], size=240),
            "size": rng.choice([1.5, 2.0, 3.0, np.nan], size=240).astype(object),
        }
    )
    y = X["city"].str.len() + X["city"].eq("Oslo") * 3 + rng.normal(size=240)
    return EntityEmbedder(n_components=3, max_epochs=2, random_state=0, cv=None).fit(X, y)


@pytest.fixture(scope="module")
def links():
    rng = np.random.default_rng(0)
    pairs = pd.DataFrame(
        {
            "book": [f"Book {i}" for i in rng.integers(30, size=300)],
            "link": [f"Link {i}" for i in rng.integers(12, size=300)],
        }
    ).drop_duplicates()
    return EntityEmbedder(interaction="dot", n_components=6, random_state=0).fit(pairs)


def test_page_and_most_similar_agree(links):
    """Every list of the page is what `most_similar` prints, in the same order."""
    from test_map import unpack

    header, arrays = unpack(embedding_map(links, method="pca", n_neighbors=5))
    names = header["names"]
    assert names == list(links.categories_[0])
    for row in (0, 7, len(names) - 1):
        listed = [names[i] for i in arrays["neighbors"][5 * row : 5 * row + 5]]
        expected = links.most_similar(names[row], n=5)
        assert listed == expected["entity"].tolist()
        scores = arrays["scores"][5 * row : 5 * row + 5] * header["scoreScale"]
        np.testing.assert_allclose(scores, expected["similarity"], atol=1e-4)
    assert unpack(embedding_map(links, column="link", method="pca"))[0]["nShown"] == 12


def test_the_missing_category_is_on_the_map_and_has_neighbours(embedder):
    from test_map import unpack

    header, _ = unpack(embedding_map(embedder, column="size", method="pca"))
    assert sorted(header["names"]) == ["(missing)", "1.5", "2", "3"]
    with pytest.warns(UserWarning, match="2 most frequent"):
        page = embedding_map(embedder, column="size", method="pca", max_entities=2)
    assert page.n_entities == 2
    missing = [key for key in embedder.categories_[1] if key != key or key is None]
    bars = NeighborsDisplay.from_estimator(embedder, missing[0], column="size")
    assert bars.query == "(missing)"
    assert len(bars.names) == 3


def test_pictures_of_a_fitted_embedder(embedder):
    from matplotlib import pyplot as plt

    display = EmbeddingDisplay.from_estimator(embedder, column="city", labels=3, color="count")
    assert sorted(display.names) == ["Bonn", "Cork", "Kyiv", "Lima", "Oslo", "Rome"]
    bars = NeighborsDisplay.from_estimator(embedder, "Oslo", column="city", n_nearest=2)
    nearest = embedder.most_similar("Oslo", n=2, column="city")
    assert bars.names[:2] == nearest["entity"].tolist()
    np.testing.assert_allclose(bars.scores[:2], nearest["similarity"], atol=1e-5)
    with pytest.raises(KeyError, match="Oslo"):
        NeighborsDisplay.from_estimator(embedder, "Osla", column="city")
    for mistake in ({"n_nearest": -1}, {"n_furthest": -1}):
        with pytest.raises(ValueError, match="must be >= 0"):
            NeighborsDisplay.from_estimator(embedder, "Oslo", column="city", **mistake)
    with pytest.raises(ValueError, match="query must be one category"):
        NeighborsDisplay.from_estimator(embedder, ["Oslo", "Rome"], column="city")
    with pytest.raises(ValueError, match="2 columns are embedded"):
        EmbeddingDisplay.from_estimator(embedder)
    plt.close("all")


@pytest.mark.parametrize("read", [pd.Timestamp, np.datetime64, datetime.date.fromisoformat])
def test_a_day_can_be_asked_for_in_any_way(read):
    from matplotlib import pyplot as plt

    days = [datetime.date(2020, 1, day) for day in (3, 4, 5)] * 10
    X = pd.DataFrame({"day": pd.Series(days, dtype=object)})
    embedder = EntityEmbedder(n_components=2, max_epochs=1, random_state=0, cv=None)
    embedder.fit(X, np.arange(30.0))
    bars = NeighborsDisplay.from_estimator(embedder, read("2020-01-03"))
    assert bars.query == "2020-01-03"
    assert sorted(bars.names) == ["2020-01-04", "2020-01-05"]
    plt.close("all")


def test_projector_files_of_a_fitted_embedder(embedder, tmp_path):
    write_projector(tmp_path, embedder, column="city")
    vectors = np.loadtxt(tmp_path / "vectors.tsv", delimiter="\t")
    np.testing.assert_allclose(vectors, embedder.embedding("city"), rtol=1e-5)


def test_embedding_of_arrays_by_position():
    rng = np.random.default_rng(0)
    X = rng.integers(5, size=(100, 2)).astype(object)
    fitted = EntityEmbedder(n_components=2, max_epochs=1, random_state=0, cv=None)
    fitted.fit(X, rng.normal(size=100))
    page = embedding_map(fitted, column=1, method="pca")
    assert page.title == "Map of column 1"
    assert page.n_entities == 5
