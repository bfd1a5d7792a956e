"""A fitted embedder without any training: what pictures and exports need, and no more."""

import numpy as np
import pandas as pd

from sk_entity_embed._neighbors import Searcher

# Names that want to be something else than text.
HOSTILE = [
    "<script>window.hacked = 1</script>",
    "</script><img src=x onerror=window.hacked=1>",
    "\"double\" & 'single' quotes",
    "a\ttab",
    "two\nlines\r\nand more\u2028more",
    "🦊 fox 🏳️‍🌈",
    "حرب وسلام",
    "שלום " + "\u202e" + "abc",
    "long " * 2048,
    "$x^2$ costs $5 & _under_",
    "_starts with an underscore",
    "__DATA__ __TITLE__",
    "${7*7} {{7*7}} `tick`",
    "\x00\x07 control",
    "lone \ud800 surrogate",
    "",
    "   ",
    "-->",
    "=1+1",
]


class FakeEmbedder:
    """Vectors, names and counts as a fitted EntityEmbedder has them."""

    metric = "cosine"

    def __init__(self, names, vectors, *, counts=None, column="book"):
        names = list(names)
        categories = np.empty(len(names), dtype=object)
        categories[:] = names
        self.categories_ = [categories]
        self.embeddings_ = [np.asarray(vectors, dtype=np.float32)]
        self.categorical_features_ = [column]
        if counts is not None:
            self.counts_ = [np.asarray(counts)]

    def kneighbors(
        self, X=None, n_neighbors=None, return_distance=True, *, column=None, metric=None
    ):
        """Nearest categories, as the real one finds them."""
        place = 0 if column is None else self.categorical_features_.index(column)
        vectors = self.embeddings_[place]
        search = Searcher(vectors, metric or self.metric).search
        if X is None:
            return search(vectors, n_neighbors, exclude=np.arange(len(vectors)))
        rows = [list(self.categories_[place]).index(name) for name in X]
        return search(vectors[rows], min(n_neighbors, len(vectors)))

    def most_similar(self, entity, n=10):
        """Names and similarities, by the plain formula."""
        unit = self.embeddings_[0] / np.linalg.norm(self.embeddings_[0], axis=1, keepdims=True)
        row = list(self.categories_[0]).index(entity)
        similarity = unit @ unit[row]
        similarity[row] = -np.inf
        best = np.argsort(-similarity, kind="stable")[:n]
        return pd.DataFrame({"entity": self.categories_[0][best], "similarity": similarity[best]})


def make_books(n_books=60, n_components=8, *, seed=0):
    """An embedder of books in four genres, and its metadata; the first is War and Peace."""
    rng = np.random.default_rng(seed)
    genres = np.array(["Novel", "Fantasy", "Science fiction", "History"])
    genre = rng.integers(len(genres), size=n_books)
    centres = 2 * rng.normal(size=(len(genres), n_components))
    vectors = centres[genre] + rng.normal(size=(n_books, n_components))
    names = ["War and Peace", "Anna Karenina", *(f"Book {i}" for i in range(2, n_books))][:n_books]
    counts = rng.integers(1, 200, size=n_books)
    counts[0] = 500
    metadata = pd.DataFrame(
        {
            "genre": pd.Series(genres[genre], index=names).where(rng.random(n_books) > 0.1),
            "pages": rng.integers(50, 1500, size=n_books).astype(float),
            "published": pd.Timestamp("1900-01-01")
            + pd.to_timedelta(rng.integers(0, 36500, size=n_books), unit="D"),
            "author": [f"Author {i % 23}" for i in range(n_books)],
        },
        index=names,
    )
    return FakeEmbedder(names, vectors, counts=counts), metadata
