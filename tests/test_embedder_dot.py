"""EntityEmbedder with ``interaction="dot"``: from pairs to vectors of both columns."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
from _made import EpochCounter, make_pairs, same_state
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from sk_entity_embed import EntityEmbedder

SOLVERS = ["exact", "sgd"]


def make(solver="exact", **changes):
    settings = {"interaction": "dot", "solver": solver, "n_components": 8, "random_state": 0}
    return EntityEmbedder(**{**settings, **changes})


@pytest.fixture(scope="module")
def pairs():
    return make_pairs()


@pytest.fixture(scope="module", params=SOLVERS)
def fitted(request, pairs):
    settings = {"max_epochs": 40} if request.param == "sgd" else {}
    return make(request.param, **settings).fit(pairs[0])


# --- neighbours and links --------------------------------------------------------------------


def test_neighbours_share_their_links(fitted, pairs):
    """The nearest of each of 24 books and 32 links are of its group, in both columns."""
    group = pairs[1]
    for j, column in enumerate(["book", "link"]):
        names = fitted.categories_[j]
        _, indices = fitted.kneighbors(n_neighbors=3, column=column)
        same = [group[a] == group[b] for a, row in zip(names, names[indices]) for b in row]
        assert np.mean(same) > 0.9  # seeds 0-4 and both solvers gave .97 to 1


def test_the_first_column_is_meant_if_none_is_named(fitted, pairs):
    """Books, by position and by name."""
    default = fitted.most_similar("book 00", n=4)
    for column in ("book", 0):
        pd.testing.assert_frame_equal(fitted.most_similar("book 00", n=4, column=column), default)
    assert {pairs[1][name] for name in default["entity"]} == {0}
    links = fitted.most_similar("link 22", n=4, column="link")
    assert {pairs[1][name] for name in links["entity"]} == {2}


def test_links_of_a_book_by_the_score_of_the_pair(fitted, pairs):
    """among= ranks the other column's entities: the group's links come first."""
    X, group = pairs
    found = fitted.most_similar("book 31", n=6, among="link")
    assert np.mean([group[name] == 3 for name in found["entity"]]) > 0.8
    book, links = fitted.embedding("book"), fitted.embedding("link")
    score = links.loc[found["entity"]].to_numpy() @ book.loc["book 31"].to_numpy()
    np.testing.assert_allclose(found["similarity"], score, rtol=1e-4, atol=1e-5)
    counts = X["link"].value_counts()
    assert found["count"].tolist() == counts[found["entity"]].tolist()
    books = fitted.most_similar("link 10", column="link", among="book", n=3)
    assert {group[name] for name in books["entity"]} == {1}


def test_an_unknown_name_gets_spellings(fitted):
    """In the column that is asked."""
    with pytest.raises(KeyError, match=r"column 'book': 'Book 3' is not among the 24.*'book 3"):
        fitted.most_similar("Book 3")
    with pytest.raises(KeyError, match=r"column 'link': 'book 00'"):
        fitted.most_similar("book 00", column="link")


# --- output ----------------------------------------------------------------------------------


def test_transform_gives_both_vectors(fitted, pairs):
    """Side by side, unknown ones from the mean; fit_transform is the same."""
    X = pairs[0]
    out = fitted.transform(X)
    assert out.shape == (len(X), 16)
    names = fitted.get_feature_names_out()
    assert names.tolist() == [f"{c}_{i}" for c in ("book", "link") for i in range(8)]
    new = fitted.transform(pd.DataFrame({"book": ["no such"], "link": [X["link"][0]]}))
    np.testing.assert_array_equal(new[0, :8], fitted.unknown_vectors_[0])
    np.testing.assert_array_equal(new[0, 8:], out[0, 8:])
    mean = np.average(fitted.embeddings_[0], axis=0, weights=fitted.counts_[0])
    np.testing.assert_allclose(fitted.unknown_vectors_[0], mean, atol=1e-6)
    again = make(fitted.solver, max_epochs=fitted.max_epochs).fit_transform(X)
    np.testing.assert_array_equal(again, out)


def test_inverse_transform_finds_the_pair(fitted, pairs):
    """The nearest vector in each block is the own one."""
    np.testing.assert_array_equal(fitted.inverse_transform(fitted.transform(pairs[0])), pairs[0])


def test_fitted_attributes(fitted, pairs):
    """Both columns; what auto became; a record per epoch."""
    assert fitted.categorical_features_ == ["book", "link"]
    assert [len(c) for c in fitted.categories_] == [24, 32]
    assert fitted.n_components_ == [8, 8]
    assert all(v.dtype == np.float32 for v in fitted.embeddings_)
    assert fitted.solver_ == fitted.solver
    assert fitted.target_type_ == "links"
    assert len(fitted.history_) == fitted.n_epochs_ > 0
    assert fitted.counts_[0].sum() == len(pairs[0])


def test_width_by_default_is_capped_by_the_entities(pairs):
    """50, or as many as the larger column has."""
    assert EntityEmbedder(interaction="dot", random_state=0).fit(pairs[0]).n_components_ == [32, 32]
    # A column that is not given is as wide as the other.
    for widths, expected in (({"book": 5}, 5), ({"link": 6, "book": "auto"}, 6), ({}, 32)):
        assert make(n_components=widths).fit(pairs[0]).n_components_ == [expected] * 2


@pytest.mark.parametrize("how", ["pickle", "skops"])
def test_round_trips_are_exact(fitted, pairs, how):
    """Vectors and links, and nothing to trust but our own class."""
    if how == "pickle":
        loaded = pickle.loads(pickle.dumps(fitted))
    else:
        data = skops.io.dumps(fitted)
        trusted = skops.io.get_untrusted_types(data=data)
        assert all(name.startswith("sk_entity_embed.") for name in trusted), trusted
        loaded = skops.io.loads(data, trusted=trusted)
    assert same_state(loaded, fitted)
    for among in (None, "link"):
        pd.testing.assert_frame_equal(
            loaded.most_similar("book 00", among=among), fitted.most_similar("book 00", among=among)
        )


# --- input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS)
def test_seeds_decide_and_global_state_stays(pairs, solver, globals_untouched):
    """The same int, the same bits."""
    embedder = make(solver, max_epochs=2)
    with globals_untouched():
        one, two = embedder.fit_transform(pairs[0]), clone(embedder).fit_transform(pairs[0])
    np.testing.assert_array_equal(one, two)
    assert (embedder.set_params(random_state=1).fit_transform(pairs[0]) != one).any()


def test_frames_and_arrays_agree(pairs):
    """pandas, polars and an array of objects."""
    expected = make().fit_transform(pairs[0])
    np.testing.assert_array_equal(make().fit_transform(pl.from_pandas(pairs[0])), expected)
    np.testing.assert_array_equal(make().fit_transform(pairs[0].to_numpy(dtype=object)), expected)


def test_ones_are_links(pairs):
    """A y of ones says the same as no y; booleans say what 0 and 1 say."""
    X = pairs[0]
    expected = make().fit_transform(X)
    np.testing.assert_array_equal(make().fit_transform(X, np.ones(len(X))), expected)
    y = np.arange(len(X)) % 5 > 0
    np.testing.assert_array_equal(
        make().fit_transform(X, y), make().fit_transform(X, y.astype(int))
    )


@pytest.mark.parametrize("solver", SOLVERS)
def test_known_non_links_push_apart(pairs, solver):
    """A pair with y=0 scores lower than it does without."""
    X, group = pairs
    book, links = "book 00", [n for n, g in group.items() if g == 0 and n.startswith("link")]
    unlinked = [n for n in links if not ((X["book"] == book) & (X["link"] == n)).any()]
    more = pd.DataFrame({"book": book, "link": unlinked * 5})
    both = pd.concat([X, more], ignore_index=True)
    y = np.r_[np.ones(len(X)), np.zeros(len(more))]

    def mean_score(embedder):
        vectors = embedder.embedding("link").loc[unlinked].to_numpy()
        return (vectors @ embedder.embedding("book").loc[book].to_numpy()).mean()

    settings = {"max_epochs": 40} if solver == "sgd" else {}
    plain, told = make(solver, **settings).fit(X), make(solver, **settings).fit(both, y)
    assert told.target_type_ == "binary"
    assert mean_score(told) < mean_score(plain)


def test_ratings_are_predicted_by_the_product():
    """Real values: two tastes, two kinds of films; product, biases and intercept give the rating back."""
    rng = np.random.default_rng(0)
    user, film = rng.integers(0, 20, 600), rng.integers(0, 15, 600)
    y = 3.0 + np.where((user % 2) == (film % 2), 1.0, -1.0) + rng.normal(0, 0.1, 600)
    X = pd.DataFrame({"user": user.astype(str), "film": film.astype(str)})
    embedder = make("auto", n_components=4, max_epochs=60).fit(X, y)
    assert embedder.solver_ == "sgd"
    assert embedder.target_type_ == "rating"
    Z = embedder.transform(X)
    left, right = (
        embedder._vocabularies[0].encode(X["user"]),
        embedder._vocabularies[1].encode(X["film"]),
    )
    score = (Z[:, :4] * Z[:, 4:]).sum(axis=1) + embedder.intercept_
    score += embedder.biases_[0][left - 1] + embedder.biases_[1][right - 1]
    assert np.corrcoef(score, y)[0, 1] > 0.9  # seeds 0-4 gave .98 and more


def test_pairs_of_weight_zero_are_no_pairs(pairs):
    """With the same entities left, the same vectors as without them."""
    X = pairs[0]
    extra = pd.DataFrame({"book": ["book 00"] * 6, "link": ["link 30"] * 6})
    both = pd.concat([X, extra], ignore_index=True)
    weight = np.r_[np.ones(len(X)), np.zeros(len(extra))]
    weighted = make().fit(both, sample_weight=weight)
    np.testing.assert_allclose(weighted.embeddings_[0], make().fit(X).embeddings_[0], atol=1e-4)


def test_what_pairs_mean_is_told_by_those_that_are_learned_from(pairs):
    """A non-link of weight 0 makes no difference, and a link of weight 0 or of a rare entity is none."""
    X = pairs[0]
    last = np.arange(len(X)) == len(X) - 1
    weighted = make().fit(X, ~last, sample_weight=~last)
    assert weighted.target_type_ == "links"
    np.testing.assert_array_equal(weighted.embeddings_[0], make().fit(X[~last]).embeddings_[0])
    with pytest.raises(ValueError, match="y has no link"):
        make().fit(X, last, sample_weight=~last)
    with pytest.raises(ValueError, match="y has no link"):
        make(min_frequency=2).fit(X.assign(book=X["book"].where(~last, "rare")), last)


def test_weights_are_confidence(pairs):
    """A heavy pair scores higher than a light one."""
    X = pairs[0]
    heavy = np.arange(len(X)) == 0

    def score(weight):
        Z = (
            make(weight_decay=1.0)
            .fit(X, sample_weight=np.where(heavy, weight, 1.0))
            .transform(X[:1])
        )
        return float(Z[0, :8] @ Z[0, 8:])

    assert score(20.0) > score(1.0) > score(0.05)


@pytest.mark.parametrize(
    ("solver", "unit"), [("exact", None), ("sgd", None), ("sgd", 1e-4), ("sgd", 1e4)]
)
def test_vectors_that_vanish_are_told_of(pairs, solver, unit):
    """Weights that sum up to 1 lose against the penalty; those of mean 1 do not, whatever the unit of a rating."""
    X, y = pairs[0], None
    if unit is not None:
        y = unit * (3 + np.random.default_rng(0).standard_normal(len(X)))
    with pytest.warns(ConvergenceWarning, match=r"vanished.*sample_weight of about 1"):
        make(solver).fit(X, y, sample_weight=np.full(len(X), 1e-5))
    make(solver).fit(X, y, sample_weight=np.ones(len(X)))


def test_an_entity_without_a_known_link_is_like_an_unknown_one():
    """Its links are all too rare: the best guess is the mean of the others, and it is no part of that."""
    lonely = [("lonely", f"rare {i}") for i in range(4)]
    others = [(f"b{i}", f"l{j}") for i in range(10) for j in range(i % 4, i % 4 + 3)]
    both = make(min_frequency=2).fit(pd.DataFrame(lonely + others, columns=["b", "l"]))
    np.testing.assert_array_equal(both.embedding("b").loc["lonely"], both.unknown_vectors_[0])
    alone = make(min_frequency=2).fit(pd.DataFrame(others, columns=["b", "l"]))
    np.testing.assert_allclose(both.unknown_vectors_[0], alone.unknown_vectors_[0], rtol=0.01)


def test_methods_follow_what_was_fitted(pairs):
    """Not what `interaction` was set to since; `index` is no matter of the fit and counts at once."""
    pairs = pairs[0]
    embedder = make().fit(pairs)
    out, names = embedder.transform(pairs), embedder.get_feature_names_out().tolist()
    found = embedder.kneighbors(return_distance=False)
    embedder.set_params(interaction="mlp", add_prediction=True)
    np.testing.assert_array_equal(embedder.transform(pairs), out)
    assert embedder.get_feature_names_out().tolist() == names
    np.testing.assert_array_equal(embedder.kneighbors(return_distance=False), found)
    with pytest.raises(TypeError, match="index must be"):
        embedder.set_params(index="x").kneighbors()
    network = make(interaction="mlp", max_epochs=1).fit(pairs, np.arange(len(pairs)) * 0.1)
    network.set_params(interaction="dot")
    with pytest.raises(ValueError, match="got interaction='mlp'"):
        network.explain("a", "b")
    with pytest.raises(ValueError, match="Several columns are embedded"):
        network.kneighbors()


def test_rare_entities_have_no_vector_of_their_own(pairs):
    """min_frequency: their pairs teach nothing, and a look-up says why."""
    X = pd.concat([pairs[0], pd.DataFrame({"book": ["rare"], "link": ["link 00"]})])
    embedder = make(min_frequency=2).fit(X)
    assert embedder.infrequent_categories_[0].tolist() == ["rare"]
    with pytest.raises(KeyError, match="'rare' was rarer than min_frequency"):
        embedder.most_similar("rare")


@pytest.mark.parametrize("kind", [int, float])
def test_numbers_beside_names_are_entities(pairs, kind):
    """A pair's columns are both entities: numbers of users beside names of books learn what names would."""
    X = pairs[0]
    numbered = X.assign(book=pd.factorize(X["book"], sort=True)[0].astype(kind))
    named = make().fit(X)
    embedder = make().fit(numbered)
    assert embedder.categorical_features_ == ["book", "link"]
    np.testing.assert_array_equal(embedder.transform(numbered), named.transform(X))


@pytest.mark.parametrize("unit", ["s", "ns"])
def test_times_are_names(unit):
    """Also as an array, such as `categories_`; a message shows times, not nanoseconds."""
    days = pd.date_range("2020-01-01", periods=6).as_unit(unit)
    X = pd.DataFrame({"day": days.repeat(3), "shop": list("abc") * 6})
    embedder = make(n_components=2).fit(X)
    names = embedder.categories_[0][:2]
    assert embedder.most_similar(names, n=1)["query"].tolist() == days[:2].tolist()
    both = embedder.most_similar(names, n=1, combine="mean")
    assert both["query"][0] == "2020-01-01 00:00:00 + 2020-01-02 00:00:00"
    with pytest.raises(KeyError, match=r"Closest: Timestamp\('2020-01-01 00:00:00'\)"):
        embedder.most_similar("2020-01-01")


@pytest.mark.parametrize(
    ("X", "y", "match"),
    [
        (np.array([["a"], ["b"]]), None, "two categorical columns and no others, got 1"),
        (np.array([["a", "b", "c"]] * 2), None, "two categorical columns and no others, got 3"),
        (
            pd.DataFrame({"a": ["x"], "b": ["y"], "c": [1.0]}),
            None,
            "got 3 categorical .* such as a rating, goes into y",
        ),
        (np.array([["a", "b"], ["a", "c"]]), [0, 0], "y has no link: no value is above 0"),
        (np.array([["a", "b"], ["a", "c"]]), [0, -1], "no link.*target_type=.* for ratings"),
        (np.array([["a", "b"], ["a", "c"]]), ["no", "yes"], "needs y to be None"),
        (np.array([["a", "b"], ["a", "c"]]), [1.0, np.nan], "Input y contains NaN"),
        (np.array([["a", "b"], ["a", "c"]]), [1.0], "inconsistent numbers of samples"),
    ],
)
def test_what_is_no_list_of_pairs_is_refused(X, y, match):
    """Before any training, with what was expected."""
    with pytest.raises(ValueError, match=match):
        make().fit(X, y)


@pytest.mark.filterwarnings("ignore:min_frequency=1000")
def test_pairs_all_rare_are_refused(pairs):
    """Nothing is left to learn from."""
    with pytest.raises(ValueError, match="No pair is left to learn from"):
        make(min_frequency=1000).fit(pairs[0])


def test_widths_must_agree(pairs):
    """A product needs two vectors of one length."""
    with pytest.raises(ValueError, match="both columns need the same n_components"):
        make(n_components={"book": 3, "link": 4}).fit(pairs[0])


@pytest.mark.parametrize("rows", [1, 2])
def test_very_few_pairs(rows):
    """One book, one link."""
    X = pd.DataFrame({"book": ["a"] * rows, "link": ["x", "y"][:rows]})
    out = EntityEmbedder(interaction="dot", random_state=0).fit_transform(X)
    assert np.isfinite(out).all()


def test_missing_is_an_entity(pairs):
    """None among the links has a vector like any other."""
    X = pairs[0].copy()
    X.loc[::7, "link"] = None
    embedder = make().fit(X)
    assert embedder.categories_[1][-1] is None
    assert np.isfinite(embedder.embeddings_[1]).all()


@pytest.mark.parametrize("solver", SOLVERS)
def test_ctrl_c_warns_and_keeps_what_was_learned(pairs, solver):
    """The estimator is fitted with two epochs."""
    embedder = make(solver, max_epochs=9).set_callbacks(EpochCounter(interrupt_in=2))
    with pytest.warns(ConvergenceWarning, match="(?i)interrupted"):
        embedder.fit(pairs[0])
    assert embedder.n_epochs_ <= 3
    assert np.isfinite(embedder.transform(pairs[0])).all()


def test_a_loss_that_is_not_finite_is_named(pairs):
    """The estimator stays unfitted."""
    embedder = make("sgd", learning_rate=1e30, loss="softmax")
    with pytest.raises(FloatingPointError, match="learning_rate"):
        embedder.fit(pairs[0])
    assert not hasattr(embedder, "embeddings_")


def test_a_weight_too_large_to_solve_for_is_named(pairs):
    """By the exact solver too; the message does not come from inside."""
    weight = np.where(np.arange(len(pairs[0])) % 50, 1.0, 1e10)
    with pytest.raises(FloatingPointError, match="huge values of sample_weight"):
        make(weight_decay=0.1, n_components=4).fit(pairs[0], sample_weight=weight)


def test_among_ranks_by_the_whole_score_of_a_rating():
    """A film that everybody likes comes first for a user without a taste of her own."""
    rng = np.random.default_rng(0)
    users, films = rng.integers(30, size=1500), rng.integers(12, size=1500)
    quality = np.linspace(-1.5, 1.5, 12)
    rating = 3 + quality[films] + 0.1 * rng.normal(size=1500)
    pairs = pd.DataFrame({"user": [f"u{i}" for i in users], "film": [f"f{i:02}" for i in films]})
    embedder = EntityEmbedder(interaction="dot", n_components=2, random_state=0).fit(pairs, rating)
    found = embedder.most_similar("u3", n=12, column="user", among="film")
    assert found["entity"].tolist()[:3] == ["f11", "f10", "f09"]
    user, film = (list(c).index(name) for c, name in zip(embedder.categories_, ("u3", "f11")))
    score = embedder.embeddings_[0][user] @ embedder.embeddings_[1][film]
    score += embedder.biases_[0][user] + embedder.biases_[1][film] + embedder.intercept_
    np.testing.assert_allclose(found["similarity"][0], score, rtol=1e-5)


def test_two_levels_of_a_rating_are_not_links():
    """Only 0, 1 and -1 say whether a pair is a link."""
    pairs = pd.DataFrame({"user": list("abcabc"), "film": list("xxyyzz")})
    settings = {"interaction": "dot", "n_components": 1, "random_state": 0}
    assert EntityEmbedder(**settings).fit(pairs, [4, 5, 4, 5, 4, 5]).target_type_ == "rating"
    assert EntityEmbedder(**settings).fit(pairs, [0, 1, 0, 1, 1, 1]).target_type_ == "binary"


def test_more_than_two_levels_are_no_links():
    """Ratings that are called binary would be links where they are highest, and non-links below."""
    pairs = pd.DataFrame({"user": list("abcabc"), "film": list("xxyyzz")})
    with pytest.raises(ValueError, match=r"two values.*between 1 and 5.*'continuous' for ratings"):
        make(target_type="binary").fit(pairs, [1, 2, 3, 4, 5, 5])


def test_a_prediction_column_is_refused_for_pairs():
    pairs = pd.DataFrame({"user": list("abc"), "film": list("xyx")})
    with pytest.raises(ValueError, match="add_prediction=True needs interaction='mlp'"):
        EntityEmbedder(interaction="dot", add_prediction=True).fit(pairs)
