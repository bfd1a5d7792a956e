"""Neighbours and recommendations by name."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.neighbors import NearestNeighbors

from sk_entity_embed._neighbors import Searcher, make_searcher
from sk_entity_embed._recommend import (
    EntityColumn,
    Spellings,
    UnknownEntityError,
    kneighbors,
    most_similar,
)

BOOKS = ["War and Peace", "Anna Karenina", "Dune", "Emma", "Persuasion", "Ulysses"]
LINKS = ["russia", "england", "desert", "society"]


def make_column(name, categories, vectors, counts=None, infrequent=()):
    """A column of entities with a dict for a vocabulary."""
    if not isinstance(categories, np.ndarray):
        categories = np.array(categories, dtype=object)
    codes = {value: i + 1 for i, value in enumerate(categories.tolist())}
    if counts is None:
        counts = np.arange(1, len(categories) + 1)
    return EntityColumn(
        name=name,
        categories=categories,
        vectors=np.asarray(vectors, dtype=np.float32),
        counts=np.asarray(counts, dtype=np.int64),
        lookup=lambda values: np.array([codes.get(value, 0) for value in values], dtype=np.int32),
        infrequent=np.array(infrequent, dtype=object),
    )


@pytest.fixture
def books():
    vectors = [[3, 0, 0.1], [2, 0.2, 0.3], [0, 0, 5], [0, 1, 0.4], [0, 2, 0.1], [1, 1, 1]]
    return make_column("book", BOOKS, vectors, infrequent=["Dracula"])


@pytest.fixture
def links():
    return make_column("link", LINKS, [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]], [9, 9, 0, 99])


@pytest.fixture(params=["cosine", "dot", "euclidean"])
def metric(request):
    return request.param


def slow_similarities(column, point, metric):
    """Similarity of every vector to a point."""
    vectors = column.vectors.astype(np.float64)
    if metric == "dot":
        return vectors @ point
    if metric == "euclidean":
        return -np.linalg.norm(vectors - point, axis=1)
    return vectors @ point / np.linalg.norm(vectors, axis=1) / np.linalg.norm(point)


def test_one_name_gives_a_tidy_frame(books, metric):
    """Columns, ranks, similarities and counts, the name itself left out."""
    answer = most_similar(books, "War and Peace", 4, metric=metric)
    assert list(answer.columns) == ["query", "rank", "entity", "similarity", "count"]
    assert list(answer["query"]) == ["War and Peace"] * 4
    assert list(answer["rank"]) == [1, 2, 3, 4]
    similarities = slow_similarities(books, books.vectors[0], metric)
    order = [i for i in np.argsort(-similarities) if i != 0][:4]
    assert list(answer["entity"]) == [BOOKS[i] for i in order]
    np.testing.assert_allclose(answer["similarity"], similarities[order], rtol=1e-5)
    assert list(answer["count"]) == list(books.counts[order])
    assert answer["similarity"].is_monotonic_decreasing


def test_cosine_is_the_default_and_stays_within_bounds(books):
    """What the number means is known."""
    pd.testing.assert_frame_equal(
        most_similar(books, BOOKS), most_similar(books, BOOKS, metric="cosine")
    )
    assert most_similar(books, BOOKS)["similarity"].between(-1, 1).all()


def test_several_names_give_the_blocks_of_each(books, metric):
    """In the order asked for, repeated names too; any list-like will do."""
    names = ["Dune", "Emma", "Dune"]
    expected = pd.concat(
        [most_similar(books, name, 3, metric=metric) for name in names], ignore_index=True
    )
    forms = (tuple, np.array, pd.Series, pl.Series, pa.array, lambda n: pa.chunked_array([n]))
    for form in (names, *(make(names) for make in forms)):
        answer = most_similar(books, form, 3, metric=metric)
        pd.testing.assert_frame_equal(answer, expected)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_names_are_no_table(books, make):
    """Neither are its columns names nor its cells, but for those of an array of one column."""
    frame = make({"book": ["Dune", "Emma"], "link": ["desert", "england"]})
    for table in (frame, np.asarray(frame)):
        for ask in (most_similar, kneighbors):
            with pytest.raises(TypeError, match=r"one by one.* of shape \(2, 2\). Select a column"):
                ask(books, table)
    column = np.asarray(frame)[:, :1]
    pd.testing.assert_frame_equal(most_similar(books, column), most_similar(books, BOOKS[2:4]))


def test_a_tuple_may_be_a_category():
    """One that is known is a name; any other holds names."""
    titles = np.empty(3, dtype=object)
    titles[:] = [("a", 1), frozenset("ab"), "a"]
    column = make_column("key", titles, [[1, 0], [1, 0.1], [0, 1]])
    for title in titles:
        answer = most_similar(column, title, candidates=titles[0], negative=None)
        assert set(answer["query"]) <= {title}
        pd.testing.assert_frame_equal(
            most_similar(column, title),
            most_similar(column, np.array([title, 0], dtype=object)[:1]),
        )
    assert most_similar(column, "a", exclude=("a", 1))["entity"].tolist() == [titles[1]]
    assert most_similar(column, ("a", titles[1]))["query"].tolist() == ["a"] * 2 + [titles[1]] * 2
    with pytest.raises(UnknownEntityError, match="'b' is not among the 3 categories"):
        most_similar(column, ("a", "b"))


def test_no_names_give_an_empty_frame(books):
    """The columns are there all the same."""
    answer = most_similar(books, [])
    assert answer.shape == (0, 5)
    assert answer["rank"].dtype == np.int64


def test_combine_takes_the_mean_of_unit_vectors(books):
    """One list for all, none of them in it, under a readable name."""
    answer = most_similar(books, ["War and Peace", "Emma"], combine="mean")
    unit = books.vectors / np.linalg.norm(books.vectors, axis=1, keepdims=True)
    similarities = slow_similarities(books, unit[[0, 3]].mean(axis=0), "cosine")
    order = [i for i in np.argsort(-similarities) if i not in (0, 3)]
    assert list(answer["entity"]) == [BOOKS[i] for i in order]
    np.testing.assert_allclose(answer["similarity"], similarities[order], rtol=1e-5)
    assert set(answer["query"]) == {"War and Peace + Emma"}


def test_negative_moves_away(books):
    """Unit vectors are subtracted, and the negatives are not in the answer."""
    answer = most_similar(books, "Ulysses", negative="Dune")
    unit = books.vectors / np.linalg.norm(books.vectors, axis=1, keepdims=True)
    similarities = slow_similarities(books, unit[5] - unit[2], "cosine")
    order = [i for i in np.argsort(-similarities) if i not in (5, 2)]
    assert list(answer["entity"]) == [BOOKS[i] for i in order]
    np.testing.assert_allclose(answer["similarity"], similarities[order], rtol=1e-5)
    assert set(answer["query"]) == {"Ulysses"}


def test_negative_with_combine_weighs_each_name_alike(books, metric):
    """Two liked, one disliked."""
    answer = most_similar(
        books, ["Ulysses", "Emma"], combine="mean", negative=["Dune"], metric=metric
    )
    vectors = books.vectors.astype(np.float64)
    if metric == "cosine":
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    point = (vectors[5] + vectors[3] - vectors[2]) / 2
    similarities = slow_similarities(books, point, metric)
    order = [i for i in np.argsort(-similarities) if i not in (5, 3, 2)]
    assert list(answer["entity"]) == [BOOKS[i] for i in order]
    np.testing.assert_allclose(answer["similarity"], similarities[order], rtol=1e-5)
    assert set(answer["query"]) == {"Ulysses + Emma - Dune"}


def test_exclude_and_candidates_filter(books, metric):
    """Exactly the allowed ones, as many as there are."""
    names = ["War and Peace", "Emma"]
    answer = most_similar(books, names, 3, exclude="Dune", metric=metric)
    assert not answer["entity"].isin(["Dune"]).any()
    assert list(answer.groupby("query", sort=False).size()) == [3, 3]
    answer = most_similar(books, names, 3, candidates=["Emma", "Dune", "Emma"], metric=metric)
    assert list(answer.groupby("query", sort=False).size()) == [2, 1]
    assert set(answer["entity"]) == {"Emma", "Dune"}
    answer = most_similar(
        books, names, 3, candidates=["Emma", "Dune"], exclude=["Dune"], metric=metric
    )
    assert list(zip(answer["query"], answer["entity"], strict=True)) == [("War and Peace", "Emma")]
    assert most_similar(books, "Emma", candidates=[], metric=metric).shape == (0, 5)


@pytest.mark.parametrize("n_gone", [64, 74, 200])
def test_leaving_out_many_is_the_same_as_leaving_out_few(n_gone):
    """Above a few dozen and a quarter of them, the allowed rows are searched instead."""
    rng = np.random.default_rng()
    names = [f"n{i}" for i in range(300)]
    column = make_column("name", names, rng.standard_normal((300, 4)))
    gone = set(rng.permutation(300)[:n_gone].tolist())
    answer = most_similar(column, "n7", 300, exclude=[names[i] for i in gone])
    everything = most_similar(column, "n7", 300)
    kept = everything[~everything["entity"].isin([names[i] for i in gone])]
    np.testing.assert_array_equal(answer["entity"], kept["entity"])
    np.testing.assert_array_equal(answer["rank"], np.arange(1, len(kept) + 1))


def test_all_there_are_where_there_are_fewer(books):
    """n larger than the column is no error."""
    assert len(most_similar(books, "Emma", 100)) == len(BOOKS) - 1


def test_entities_of_another_column_rank_by_the_score(books, links):
    """The dot product of the pair, counts of the other column, nothing left out."""
    answer = most_similar(books, "War and Peace", target=links)
    scores = slow_similarities(links, books.vectors[0], "dot")
    order = np.lexsort((np.arange(4), -scores))
    assert list(answer["entity"]) == [LINKS[i] for i in order]
    np.testing.assert_allclose(answer["similarity"], scores[order], rtol=1e-6)
    assert list(answer["count"]) == list(links.counts[order])
    answer = most_similar(books, "Dune", 2, target=links, exclude=["russia"], metric="cosine")
    assert answer["entity"].iloc[0] == "desert"


@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_popularity_costs_by_the_logarithm(books, links, metric):
    """The order is corrected, the similarities are not."""
    for strength in (0.7, -0.7):
        answer = most_similar(
            books, "Ulysses", target=links, metric=metric, popularity=strength
        ).set_index("entity")
        plain = most_similar(books, "Ulysses", target=links, metric=metric).set_index("entity")
        np.testing.assert_allclose(
            answer["similarity"], plain["similarity"].loc[answer.index], rtol=1e-5
        )
        cost = strength * np.log1p(answer["count"]) / np.log1p(99)
        assert (answer["similarity"] - cost).diff().iloc[1:].max() <= 1e-6
    answer = most_similar(books, "Ulysses", target=links, metric=metric, popularity=2)
    assert list(answer["entity"]) == ["desert", "russia", "england", "society"]


@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_a_high_price_of_popularity_leaves_the_similarities(books, metric):
    """They are what they are without it, for the rarest come first."""
    dear = most_similar(books, "Ulysses", metric=metric, popularity=1e7).set_index("entity")
    plain = most_similar(books, "Ulysses", metric=metric).set_index("entity")
    assert list(dear.index) == BOOKS[:-1]  # they have 1, 2, ... rows
    np.testing.assert_allclose(dear["similarity"], plain["similarity"].loc[dear.index], rtol=1e-5)


def test_a_prepared_search_is_used_if_it_has_the_metric(books):
    """Another metric gets a search of its own."""
    prepared = make_searcher(books.vectors, "cosine", NearestNeighbors())
    for metric in ("cosine", "dot"):
        with_search = most_similar(books, BOOKS, 3, metric=metric, searcher=prepared)
        pd.testing.assert_frame_equal(with_search, most_similar(books, BOOKS, 3, metric=metric))


@pytest.mark.parametrize(
    "categories",
    [
        np.array([3, 5, 8]),
        np.array([0.5, 2.0, np.nan]),
        np.array([False, True]),
        np.array(["a", 1, None], dtype=object),
        np.array(["2020-01-01", "2021-01-01"], dtype="datetime64[ns]"),
    ],
    ids=str,
)
def test_any_type_of_category(categories):
    """Numbers, truth values, dates, None: the frame keeps the type."""
    column = make_column("c", np.arange(len(categories)), np.eye(len(categories)))
    column = replace(
        column, categories=categories, lookup=lambda values: [1 + i for i in range(len(values))]
    )
    answer = most_similar(column, categories[0])
    pd.testing.assert_series_equal(
        answer["entity"], pd.DataFrame({"entity": categories[1:]})["entity"]
    )
    assert len(kneighbors(column, categories[:2].tolist(), 1, return_distance=False)) == 2


def test_missing_is_a_name():
    """None asks for the category of missing cells."""
    column = make_column("c", ["a", None], [[1, 0], [0, 1]])
    assert list(most_similar(column, None)["entity"]) == ["a"]


def test_unknown_names_are_reported_with_close_spellings(books):
    """A KeyError whose text reads well, each name in a line, the first five."""
    with pytest.raises(KeyError) as error:
        most_similar(books, ["war and peace", "Emma", "Ulises", "Dracula", "Zzz"])
    assert str(error.value).splitlines() == [
        "In column 'book': 'war and peace' is not among the 6 categories. "
        "Closest: 'War and Peace'.",
        "'Ulises' is not among the 6 categories. Closest: 'Ulysses'.",
        "'Dracula' was rarer than min_frequency in fit, so it has no vector.",
        "'Zzz' is not among the 6 categories.",
    ]
    with pytest.raises(KeyError, match="And 3 more unknown names"):
        most_similar(books, [f"Q{i}" for i in range(8)])
    for role in ("negative", "exclude", "candidates"):
        with pytest.raises(UnknownEntityError, match="Closest: 'Persuasion'"):
            most_similar(books, "Emma", **{role: ["persuasion"]})
    with pytest.raises(
        UnknownEntityError, match=r"In column 'book': 'karenina' .* 'Anna Karenina'"
    ):
        kneighbors(books, ["karenina"])


def test_infrequent_ones_are_left_out_anyway(books):
    """A history may hold what was too rare for a vector; what nobody knows is a mistake."""
    answer = most_similar(books, "Emma", exclude=["Dracula", "Dune"])
    pd.testing.assert_frame_equal(answer, most_similar(books, "Emma", exclude=["Dune"]))
    pd.testing.assert_frame_equal(
        most_similar(books, "Emma", exclude="Dracula"), most_similar(books, "Emma")
    )
    with pytest.raises(UnknownEntityError, match=r"'Dun' is not among .* 'Dune'") as error:
        most_similar(books, "Emma", exclude=["Dracula", "Dun"])
    assert "Dracula" not in str(error.value)
    column = make_column("c", ["a", "b"], [[1, 0], [0, 1]], infrequent=["c", None])
    assert most_similar(column, "a", exclude=["c", np.nan, pd.NA])["entity"].tolist() == ["b"]
    with pytest.raises(UnknownEntityError, match="'c': nan was rarer than min_frequency"):
        most_similar(column, np.nan)


def test_the_error_survives_pickling(books):
    """As errors of worker processes do."""
    with pytest.raises(UnknownEntityError) as error:
        most_similar(books, "Dun")
    copy = pickle.loads(pickle.dumps(error.value))
    assert str(copy) == str(error.value)


def test_strange_requests_are_refused(books):
    """Each message says what is possible."""
    with pytest.raises(ValueError, match="n must be an integer of at least 1; got 0"):
        most_similar(books, "Dune", 0)
    with pytest.raises(ValueError, match="combine must be None or 'mean'; got 'sum'"):
        most_similar(books, ["Dune"], combine="sum")
    with pytest.raises(ValueError, match="combine='mean' needs at least one entity"):
        most_similar(books, [], combine="mean")
    with pytest.raises(ValueError, match="metric must be one of cosine, dot, euclidean; got 'l1'"):
        most_similar(books, "Dune", metric="l1")
    with pytest.raises(ValueError, match="popularity works with the metrics 'cosine' and 'dot'"):
        most_similar(books, "Dune", metric="euclidean", popularity=1)
    with pytest.raises(ValueError, match="nothing is left to search by"):
        most_similar(books, "Dune", negative="Dune")
    for popularity in ("much", np.nan):
        with pytest.raises(ValueError, match="popularity must be a finite number"):
            most_similar(books, "Dune", popularity=popularity)


def test_kneighbors_of_every_category_leaves_out_itself(books, metric):
    """As NearestNeighbors does without X."""
    distances, indices = kneighbors(books, n_neighbors=3, metric=metric)
    expected = Searcher(books.vectors, metric).search(books.vectors, 3, exclude=np.arange(6))
    np.testing.assert_array_equal(indices, expected[1])
    np.testing.assert_array_equal(distances, expected[0])
    with pytest.raises(
        ValueError, match="Expected n_neighbors < n_samples_fit, but n_neighbors = 6"
    ):
        kneighbors(books, n_neighbors=6, metric=metric)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_kneighbors_agrees_with_nearest_neighbors(books, metric):
    """Named categories are points: the first neighbour is itself, at distance 0."""
    reference = NearestNeighbors(n_neighbors=4, metric=metric).fit(books.vectors)
    distances, indices = kneighbors(books, BOOKS[:3], 4, metric=metric)
    expected = reference.kneighbors(books.vectors[:3])
    np.testing.assert_array_equal(indices, expected[1])
    np.testing.assert_allclose(distances, expected[0], atol=1e-6)
    np.testing.assert_array_equal(distances[:, 0], 0)
    _, indices = kneighbors(books, None, 4, metric=metric)
    np.testing.assert_array_equal(indices, reference.kneighbors()[1])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("DUNE", "Dune"),
        ("Dnue", "Dune"),
        ("peace", "War and Peace"),
        ("Annna Karennina", "Anna Karenina"),
    ],
)
@pytest.mark.parametrize("n_others", [0, 5000])
def test_slips_of_the_hand_are_understood(typed, meant, n_others):
    """Among few, and among more than are compared letter by letter."""
    others = [f"Volume {i}" for i in range(n_others)]
    categories = np.array([*others, *BOOKS], dtype=object)
    assert Spellings(categories).closest(typed)[0] == meant


def test_kneighbors_of_vectors(books, metric):
    """A matrix of floats, in a frame or not, stands for itself; one column of floats holds categories."""
    vectors = books.vectors[:2]
    for points in (vectors, pd.DataFrame(vectors), vectors.tolist(), list(vectors)):
        found = kneighbors(books, points, 3, metric=metric)
        np.testing.assert_array_equal(found[1], kneighbors(books, BOOKS[:2], 3, metric=metric)[1])
    sizes = make_column("size", np.array([1.0, 2.0]), [[1, 0], [0, 1]])
    assert kneighbors(sizes, np.array([[2.0], [1.0]]), 1, False).tolist() == [[1], [0]]
    with pytest.raises(ValueError, match=r"Expected vectors of 3 components.* of shape \(6, 2\)"):
        kneighbors(books, books.vectors[:, :2])
    with pytest.raises(ValueError, match="contains NaN"):
        kneighbors(books, np.full((1, 3), np.nan))


def test_spelling_of_other_types():
    """A number typed for a text, nothing typed, nothing alike."""
    assert Spellings(np.array(["12", "13"], dtype=object)).closest(12)[0] == "12"
    assert Spellings(np.array([7, 70])).closest("7")[0] == 7
    assert Spellings(np.array(["a"], dtype=object)).closest("  ") == []
    assert Spellings(np.array(["aaaaa"], dtype=object)).closest("qqqqqq") == []
