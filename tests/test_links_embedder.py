"""EntityEmbedder on links: new entities from their links, and why two entities are near."""

import numpy as np
import pandas as pd
import pytest
from _made import make_pairs

from sk_entity_embed import EntityEmbedder


@pytest.fixture(scope="module")
def pairs():
    return make_pairs()


@pytest.fixture(scope="module")
def fitted(pairs):
    return EntityEmbedder(interaction="dot", n_components=8, random_state=0).fit(pairs[0])


def links_of(X, book):
    return X.loc[X["book"] == book, "link"].tolist()


# --- new entities ----------------------------------------------------------------------------


def test_an_old_book_as_a_new_one_gets_its_vector(fitted, pairs):
    """Fold-in of the links that a book had in fit gives the vector it has."""
    known = {book: links_of(pairs[0], book) for book in ("book 00", "book 31")}
    new = fitted.embed_new(known)
    old = fitted.embedding("book").loc[list(known)]
    assert new.columns.tolist() == old.columns.tolist()
    assert new.index.name == "book"
    np.testing.assert_allclose(new, old, rtol=1e-3, atol=1e-4)


def test_links_that_only_rare_books_have_count_as_in_fit():
    """They have a vector, the mean, but the fit solved without it, and so do new books and reasons."""
    rng = np.random.default_rng(1)
    X = pd.DataFrame({"book": rng.integers(30, size=400), "link": rng.integers(20, size=400)})
    rare = pd.DataFrame({"book": range(100, 180), "link": np.repeat(range(100, 140), 2)})
    settings = {"n_components": 4, "weight_decay": 0.1, "min_frequency": 2, "solver": "exact"}
    embedder = EntityEmbedder(interaction="dot", random_state=0, **settings)
    embedder.fit(pd.concat([X, rare], ignore_index=True))
    new = embedder.embed_new({"new": links_of(X, 7)})
    np.testing.assert_allclose(new.loc["new"], embedder.embedding("book").loc[7], atol=1e-4)
    found = embedder.most_similar(7, candidates=[8])
    told = embedder.explain(7, 8)["part"].sum()
    assert told == pytest.approx(found["similarity"][0], abs=1e-3)
    lonely = embedder.embed_new({"lonely": [100]})
    np.testing.assert_array_equal(lonely.loc["lonely"], embedder.unknown_vectors_[0])


def test_weights_and_non_links_are_kept_apart(pairs):
    """With known non-links and weights explain still adds up to the similarity of the vectors."""
    rng = np.random.default_rng(3)
    X = pairs[0]
    y = (rng.random(len(X)) < 0.8).astype(int)
    weight = rng.random(len(X)) + 0.5
    embedder = EntityEmbedder(interaction="dot", solver="exact", n_components=4, random_state=0)
    embedder.fit(X, y, sample_weight=weight)
    told = embedder.explain("book 00", "book 01")
    found = embedder.most_similar("book 00", candidates=["book 01"])
    assert told["part"].sum() == pytest.approx(found["similarity"][0], abs=1e-3)


def test_the_other_column_takes_new_entities_too(fitted, pairs):
    """A link given by its books is near the links of their group."""
    new = {"my link": ["book 20", "book 21", "book 22"]}
    vector = fitted.embed_new(new, column="link")
    assert vector.shape == (1, 8)
    found = fitted.most_similar(new, n=3, column="link")
    assert {pairs[1][name] for name in found["entity"]} == {2}


def test_unknown_links_of_a_new_book_are_left_out(fitted):
    """They change nothing; if none is known, the message names the book and the spellings."""
    with_unknown = fitted.embed_new({"mine": ["link 10", "nobody knows", "link 12"]})
    without = fitted.embed_new({"mine": ["link 10", "link 12"]})
    pd.testing.assert_frame_equal(with_unknown, without)
    with pytest.raises(KeyError, match=r"'mine' has no known link.*'Link 1'.*'link 1"):
        fitted.embed_new({"mine": ["Link 1"]})
    with pytest.raises(KeyError, match=r"'mine' has no known link. Its list is empty"):
        fitted.embed_new({"mine": []})
    with pytest.raises(TypeError, match=r"dict from name to list of links.*got list"):
        fitted.embed_new(["link 10"])


def test_recommendations_for_new_likes(fitted, pairs):
    """A dict in most_similar: neighbours in the column, and entities of the other one."""
    group = pairs[1]
    likes = {"one": ["link 10", "link 12"], "two": ["link 30", "link 31", "link 34"]}
    found = fitted.most_similar(likes, n=3)
    assert found["query"].tolist() == ["one"] * 3 + ["two"] * 3
    assert [group[name] for name in found["entity"]] == [1] * 3 + [3] * 3
    linked = fitted.most_similar(likes, n=3, among="link")
    assert [group[name] for name in linked["entity"]] == [1] * 3 + [3] * 3
    vector = fitted.embed_new(likes).loc["one"].to_numpy()
    score = fitted.embedding("link").loc[linked["entity"][:3]].to_numpy() @ vector
    np.testing.assert_allclose(linked["similarity"][:3], score, rtol=1e-4)
    both = fitted.most_similar(likes, n=2, combine="mean")
    assert both["query"].tolist() == ["one + two"] * 2


def test_an_old_book_as_a_query_by_its_links_finds_itself(fitted, pairs):
    """A new name is never left out of its own list: it is not there."""
    found = fitted.most_similar({"new": links_of(pairs[0], "book 22")}, n=1)
    assert found["entity"].tolist() == ["book 22"]
    assert found["similarity"][0] == pytest.approx(1, abs=1e-4)


def test_new_entities_have_no_negative(fitted):
    """The two do not go together, and the message says so."""
    with pytest.raises(ValueError, match="not together with new ones"):
        fitted.most_similar({"mine": ["link 10"]}, negative="book 00")


# --- explain ---------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_parts_add_up_to_the_similarity(pairs, metric):
    """The sum is what most_similar shows; shared links first, largest part first."""
    X, _ = pairs
    embedder = EntityEmbedder(interaction="dot", n_components=8, metric=metric, random_state=0)
    embedder.fit(X)
    told = embedder.explain("book 00", "book 01")
    found = embedder.most_similar("book 00", candidates=["book 01"])
    assert told["part"].sum() == pytest.approx(found["similarity"][0], rel=1e-3)
    one, other = set(links_of(X, "book 00")), set(links_of(X, "book 01"))
    assert set(told["entity"]) == one | other
    assert set(told.loc[told["shared"], "entity"]) == one & other
    assert told["shared"].is_monotonic_decreasing
    for _, parts in told.groupby("shared")["part"]:
        assert parts.is_monotonic_decreasing
    pd.testing.assert_frame_equal(embedder.explain("book 00", "book 01", n=2), told[:2])


def test_known_non_links_are_no_reasons():
    """What neither has is not listed, and what one has alone is not shared."""
    rows = [
        ("A", "z", 0),
        ("B", "z", 0),
        ("A", "p", 1),
        ("B", "p", 1),
        ("A", "q", 1),
        ("B", "q", 0),
    ]
    rows += [("C", "z", 1), ("C", "q", 1)]
    X = pd.DataFrame(rows, columns=["book", "link", "y"])
    embedder = EntityEmbedder(interaction="dot", n_components=2, random_state=0)
    told = embedder.fit(X[["book", "link"]], X["y"]).explain("A", "B")
    assert told["entity"].tolist() == ["p", "q"]
    assert told["shared"].tolist() == [True, False]
    similar = embedder.most_similar("A", candidates=["B"])["similarity"][0]
    assert told["part"].sum() == pytest.approx(similar, abs=1e-4)


def test_explain_of_the_other_column(fitted, pairs):
    """Books make two links near."""
    X, _ = pairs
    told = fitted.explain("link 20", "link 21", column="link")
    books = [set(X.loc[X["link"] == link, "book"]) for link in ("link 20", "link 21")]
    assert set(told["entity"]) == books[0] | books[1]
    assert set(told.loc[told["shared"], "entity"]) == books[0] & books[1]


def test_explain_survives_a_file(fitted, tmp_path):
    """The links are saved with the vectors."""
    fitted.save(tmp_path / "books.safetensors")
    again = EntityEmbedder.load(tmp_path / "books.safetensors")
    pd.testing.assert_frame_equal(
        again.explain("book 00", "book 01"), fitted.explain("book 00", "book 01")
    )


def test_explain_names_what_is_wrong(fitted):
    """Names, n."""
    with pytest.raises(KeyError, match="'book 0' is not among the 24"):
        fitted.explain("book 0", "book 01")
    with pytest.raises(ValueError, match="n must be None or an integer of at least 1, got 0"):
        fitted.explain("book 00", "book 01", n=0)


@pytest.mark.parametrize("method", ["embed_new", "explain", "most_similar"])
def test_only_vectors_of_the_exact_solver_have_reasons(pairs, method):
    """The message says what is needed and what there is."""
    X, _ = pairs
    arguments = ("book 00", "book 01") if method == "explain" else ({"mine": ["link 10"]},)
    sgd = EntityEmbedder(interaction="dot", solver="sgd", max_epochs=1, random_state=0).fit(X)
    with pytest.raises(ValueError, match=r"exact solver.*got interaction='dot', solver 'sgd'"):
        getattr(sgd, method)(*arguments)
    mlp = EntityEmbedder(cv=None, max_epochs=1, random_state=0).fit(X, np.arange(len(X)) % 3 * 0.5)
    with pytest.raises(ValueError, match=r"interaction='dot'.*got interaction='mlp'"):
        getattr(mlp, method)(*arguments, column="book")
