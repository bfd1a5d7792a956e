"""EntityEmbedder with ``interaction="mlp"``: from a table and a target to vectors."""

import pickle

import joblib
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
from _made import PLAIN, QUICK, Callback, make_climates, make_shops, same_state
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.utils._testing import set_random_state  # noqa: F401  (the checks' own, see test_common)

from sk_entity_embed import EntityEmbedder
from sk_entity_embed._plan import auto_components, auto_doublings, auto_epochs


@pytest.fixture(scope="module")
def shops():
    return make_shops()


@pytest.fixture(scope="module")
def fitted(shops):
    X, y = shops
    return EntityEmbedder(**PLAIN).fit(X, y)


# --- targets ---------------------------------------------------------------------------------


def targets(n_rows):
    rng = np.random.default_rng(0)
    real = rng.normal(size=(n_rows, 3))
    whole = rng.integers(0, 2, (n_rows, 3))
    return {
        "real": (real[:, 0], "continuous", 1, None),
        "column": (real[:, :1], "continuous", 1, None),
        "several": (real, "continuous", 3, None),
        "binary": (whole[:, 0], "binary", 1, [0, 1]),
        "bool": (whole[:, 0] == 1, "binary", 1, [False, True]),
        "two names": (np.array(["no", "yes"])[whole[:, 0]], "binary", 1, ["no", "yes"]),
        "binary column": (whole[:, :1], "binary", 1, [0, 1]),
        "names": (np.array(list("abc"))[whole.sum(1) % 3], "multiclass", 3, ["a", "b", "c"]),
        "series": (
            pd.Series(whole.sum(1) % 3, dtype="category"),
            "multiclass",
            3,
            [0, 1, 2],
        ),
        "nullable": (pd.Series(whole[:, 0] == 1, dtype="boolean"), "binary", 1, [False, True]),
        "polars": (pl.Series(["u", "v"])[whole[:, 0].tolist()], "binary", 1, ["u", "v"]),
        "list": ((whole[:, 0] - 0.5).tolist(), "continuous", 1, None),
        "labels": (whole, "multilabel", 3, None),
        "frame": (pd.DataFrame(real), "continuous", 3, None),
    }


@pytest.mark.parametrize("kind", targets(1))
def test_every_kind_of_target_trains(shops, kind):
    """Cross-fitted, with a prediction for each output."""
    X = shops[0]
    y, target_type, n_outputs, classes = targets(len(X))[kind]
    embedder = EntityEmbedder(**{**QUICK, "max_epochs": 1}, add_prediction=True)
    out = embedder.fit_transform(X, y)
    assert embedder.target_type_ == target_type
    assert (None if embedder.classes_ is None else embedder.classes_.tolist()) == classes
    assert out.shape == (len(X), sum(embedder.n_components_) + 1 + n_outputs)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(out).any(axis=1), X["price"].isna())


def test_vectors_carry_what_the_target_needs():
    """A model on the vectors explains the target: R2 is 1 less the noise (seeds 0-4 gave .95 to .96)."""
    from sklearn.linear_model import LinearRegression

    X, y, _ = make_climates()
    embedder = EntityEmbedder(
        hidden_layer_sizes=(16,), max_epochs=20, n_components=3, random_state=0
    )
    Z = embedder.fit_transform(X, y)
    assert LinearRegression().fit(Z, y).score(embedder.transform(X), y) > 0.9


def test_dollars_train_as_well_as_fractions(shops):
    """The scale of the target does not matter."""
    X, y = shops
    small, large = EntityEmbedder(**PLAIN).fit(X, y), EntityEmbedder(**PLAIN).fit(X, 1e6 * y + 1e7)
    for a, b in zip(small.embeddings_, large.embeddings_):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_ratings_are_numbers_if_told(shops):
    """1 to 5 are classes for "auto", as in TargetEncoder."""
    X, y = shops[0], np.arange(len(shops[0])) % 5 + 1
    assert EntityEmbedder(**PLAIN).fit(X, y).target_type_ == "multiclass"
    embedder = EntityEmbedder(**PLAIN, target_type="continuous", add_prediction=True).fit(X, y)
    assert embedder.target_type_ == "continuous"
    assert embedder.get_feature_names_out()[-1] == "prediction"


# --- weights ---------------------------------------------------------------------------------


def test_rows_of_weight_zero_are_no_rows(shops):
    """With the same categories left, the same bits as without them, whatever their numbers are."""
    X, y = shops[0].copy(), shops[1]
    weight = np.ones(len(X))
    weight[150:] = 0
    X.loc[150:, "price"] = 1e9
    weighted = EntityEmbedder(**PLAIN).fit(X, y, sample_weight=weight)
    without = EntityEmbedder(**PLAIN).fit(X[:150], y[:150])
    assert weighted.history_ == without.history_
    for a, b in zip(weighted.embeddings_, without.embeddings_):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("cv", [None, 3])
def test_weights_decide_between_two_answers(cv):
    """Each shop has two prices; the heavier one is predicted."""
    X = pd.DataFrame({"shop": ["a", "a", "b", "b"] * 60})
    y = np.array([0.0, 1.0, 0.0, 1.0] * 60)
    weight = np.array([9.0, 1.0, 1.0, 9.0] * 60)
    embedder = EntityEmbedder(
        hidden_layer_sizes=(8,),
        max_epochs=20,
        cv=cv,
        batch_size=16,
        add_prediction=True,
        target_type="continuous",
        random_state=0,
    )
    plain = embedder.fit(X, y).transform(X)[:2, -1]
    np.testing.assert_allclose(plain, 0.5, atol=0.2)
    a, b = embedder.fit(X, y, sample_weight=weight).transform(X)[[0, 2], -1]
    assert a < 0.3
    assert b > 0.7


def test_equal_weights_are_no_weights(shops):
    """Only their ratios count."""
    X, y = shops
    plain = EntityEmbedder(**QUICK).fit_transform(X, y)
    heavy = EntityEmbedder(**QUICK).fit_transform(X, y, sample_weight=np.full(len(X), 7.0))
    np.testing.assert_allclose(plain, heavy, atol=1e-5)


def test_weights_are_routed_through_a_pipeline(shops):
    """set_fit_request, then a pipeline passes sample_weight on."""
    X, y = shops
    weight = np.linspace(0.1, 2, len(X))
    direct = EntityEmbedder(**PLAIN).fit(X, y, sample_weight=weight)
    with config_context(enable_metadata_routing=True):
        embedder = EntityEmbedder(**PLAIN).set_fit_request(sample_weight=True)
        pipeline = make_pipeline("passthrough", embedder).fit(X, y, sample_weight=weight)
        through = make_pipeline(embedder, "passthrough").fit(X, y, sample_weight=weight)
    assert same_state(pipeline[-1], direct)
    assert same_state(through[0], direct)


# --- numbers and missing values --------------------------------------------------------------


def test_numbers_pass_through_unchanged(shops, fitted):
    """As float32, NaN kept, after the vectors."""
    X = shops[0]
    out = fitted.transform(X)
    np.testing.assert_array_equal(out[:, -1], X["price"].to_numpy(dtype=np.float32))


def test_numbers_are_context():
    """A target that only the number decides is predicted from it."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"shop": rng.choice(list("ab"), 400), "price": rng.normal(size=400)})
    y = np.abs(X["price"])
    embedder = EntityEmbedder(
        hidden_layer_sizes=(32,),
        max_epochs=30,
        cv=None,
        batch_size=32,
        add_prediction=True,
        random_state=0,
    ).fit(X, y)
    assert np.corrcoef(embedder.transform(X)[:, -1], y)[0, 1] > 0.9


def test_missing_is_a_category_if_seen(shops, fitted):
    """None has a vector and comes last; it is unknown where it was not seen."""
    X = shops[0]
    assert fitted.categories_[1][-1] is None
    row = X[X["item"].isna()][:1]
    missing = fitted.transform(row)[0]
    start, width = fitted.n_components_
    np.testing.assert_array_equal(missing[start : start + width], fitted.embeddings_[1][-1])
    row = row.assign(shop=None)
    np.testing.assert_array_equal(fitted.transform(row)[0, :start], fitted.unknown_vectors_[0])


def test_unknown_category_gets_the_unknown_vector(shops, fitted):
    """A trained one: not zero, not random."""
    X = shops[0][:3].assign(shop=["shop 1", "never seen", "shop 1"])
    out, width = fitted.transform(X), fitted.n_components_[0]
    np.testing.assert_array_equal(out[1, :width], fitted.unknown_vectors_[0])
    np.testing.assert_array_equal(out[0, :width], fitted.embeddings_[0][1])
    assert fitted.unknown_vectors_[0].any()


@pytest.mark.parametrize("cv", [None, 3])
@pytest.mark.parametrize("n_components", ["auto", 3])
def test_a_category_without_weight_gets_the_unknown_vector(shops, n_components, cv):
    """Nothing trained a vector of its own, and the random start of one would mean nothing."""
    X, y = shops
    settings = {**QUICK, "n_components": n_components, "cv": cv}
    weight = (X["shop"] != "shop 1").astype(float)
    embedder = EntityEmbedder(**settings).fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(embedder.embeddings_[0][1], embedder.unknown_vectors_[0])


def test_rare_categories_share_the_unknown_vector(shops):
    """Below min_frequency, a count or a share of the rows."""
    X, y = shops
    X = X.assign(shop=np.where(np.arange(len(X)) < 3, "rare", X["shop"]))
    for min_frequency in (4, 0.02):
        embedder = EntityEmbedder(**PLAIN, min_frequency=min_frequency).fit(X, y)
        assert embedder.infrequent_categories_[0].tolist() == ["rare"]
        assert embedder.infrequent_categories_[1] is None
        assert "rare" not in embedder.categories_[0]
        out, width = embedder.transform(X[:3]), embedder.n_components_[0]
        np.testing.assert_array_equal(out[:, :width], [embedder.unknown_vectors_[0]] * 3)


# --- shapes and names ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_components", "expected"),
    [
        ("auto", ["auto", "auto"]),
        (1, [1, 1]),
        (4, [4, 4]),
        (100, [5, 12]),
        ({"item": 7}, ["auto", 7]),
        ({1: 7}, ["auto", 7]),
        ({np.int64(0): 2, "item": 7}, [2, 7]),
        ({"item": "auto", "shop": 1}, [1, "auto"]),
    ],
)
def test_width_of_the_vectors(shops, n_components, expected):
    """For all columns, by column, or two at most by the fourth root; never more than categories."""
    X, y = shops[0].dropna(), shops[1][shops[0].notna().all(axis=1)]
    embedder = EntityEmbedder(**PLAIN, n_components=n_components).fit(X, y)
    for found, wanted in zip(embedder.n_components_, expected):
        assert 1 <= found <= 2 if wanted == "auto" else found == wanted
    expected = embedder.n_components_
    shapes = [v.shape for v in embedder.embeddings_]
    assert shapes == list(zip([5, 12], expected))
    assert [v.shape for v in embedder.unknown_vectors_] == [(w,) for w in expected]
    assert embedder.transform(X).shape == (len(X), sum(expected) + 1)


@pytest.mark.parametrize("key", ["price", 2, 7])
def test_a_width_for_no_embedded_column_is_refused(shops, key):
    """The price is a number, by its name and at its position; there is no eighth column."""
    with pytest.raises(ValueError, match="which are no embedded columns"):
        EntityEmbedder(**PLAIN, n_components={key: 2}).fit(*shops)


@pytest.mark.parametrize(
    ("kind", "n_outputs", "expected"),
    [
        ("multiclass", 3, 2),  # learned with four, but a lone column has no more to say
        ("multiclass", 7, 6),
        ("multiclass", 15, 10),  # ten at most
        ("multilabel", 7, 7),
        ("continuous", 7, 7),
    ],
)
def test_several_outputs_have_wider_vectors(kind, n_outputs, expected):
    """As wide as there are directions to move the prediction in, up to the root of the number of categories."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 200, (900, 1))
    codes[:200, 0] = np.arange(200)
    if kind == "multiclass":
        y = rng.integers(0, n_outputs, 900)
    else:
        y = rng.normal(size=(900, n_outputs))
        y = y > 0 if kind == "multilabel" else y
    # The only column counts most, so it keeps all of its width.
    embedder = EntityEmbedder(**QUICK | {"max_epochs": 10}, target_type=kind)
    assert embedder.fit(codes, y).n_components_ == [expected]


@pytest.mark.parametrize(
    ("n_categories", "n_directions", "expected"),
    [
        *((1, 1, 1), (2, 1, 1), (5, 1, 2), (12, 1, 2), (200, 1, 4), (10**6, 1, 10)),
        *((4, 2, 2), (200, 2, 4)),  # two directions are no more than the fourth root
        *((4, 6, 2), (200, 6, 6), (200, 7, 7), (200, 14, 10)),  # ten at most
    ],
)
def test_width_that_vectors_are_learned_with(n_categories, n_directions, expected):
    """The fourth root, or as many as there are directions, up to the square root; fewer than categories."""
    assert auto_components(n_categories, n_directions) == expected


def test_columns_of_one_category_or_all_missing():
    """They cannot tell rows apart, and do no harm."""
    X = pd.DataFrame({"one": ["a"] * 20, "none": [None] * 20, "shop": list("abcd") * 5})
    embedder = EntityEmbedder(**QUICK)
    out = embedder.fit_transform(X, np.arange(20) % 4 + 0.5)
    assert out.shape == (20, sum(embedder.n_components_))
    assert embedder.n_components_[:2] == [1, 1]
    assert not out[:, :2].any()
    assert np.isfinite(out).all()


@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_very_few_rows(n_rows):
    """Fewer than folds, than a batch, than anything."""
    X = pd.DataFrame({"shop": list("abc")[:n_rows], "price": [1.0, 2.0, 3.0][:n_rows]})
    out = EntityEmbedder(**QUICK).fit_transform(X, np.arange(n_rows) + 0.5)
    assert out.shape[0] == n_rows
    assert np.isfinite(out).all()


def test_names_of_the_output(shops):
    """Vectors by column, then the numbers, then the prediction."""
    X, y = shops
    embedder = EntityEmbedder(**PLAIN, n_components=2, add_prediction=True).fit(X, y)
    names = ["shop_0", "shop_1", "item_0", "item_1", "price", "prediction"]
    assert embedder.get_feature_names_out().tolist() == names
    assert embedder.get_feature_names_out(["shop", "item", "price"]).tolist() == names
    with pytest.raises(ValueError, match="input_features is not equal to feature_names_in_"):
        embedder.get_feature_names_out(["a", "b", "c"])
    labels = np.array(["x", "y", "z"])[np.arange(len(X)) % 3]
    names = embedder.fit(X, labels).get_feature_names_out()[-3:]
    assert names.tolist() == ["prediction_x", "prediction_y", "prediction_z"]


def test_names_for_an_array():
    """Positions take the place of names."""
    X = np.array([["a", "u"], ["b", "v"], ["a", "w"]] * 5, dtype=object)
    embedder = EntityEmbedder(**PLAIN, n_components=1).fit(X, np.arange(15) + 0.5)
    assert embedder.get_feature_names_out().tolist() == ["x0_0", "x1_0"]
    assert embedder.get_feature_names_out(["p", "q"]).tolist() == ["p_0", "q_0"]
    assert embedder.categorical_features_ == [0, 1]
    assert not hasattr(embedder, "feature_names_in_")
    assert embedder.embedding(1).index.tolist() == ["u", "v", "w"]


def test_numbers_of_an_array_are_categories_unless_told():
    """As with TargetEncoder inside a ColumnTransformer."""
    X = np.column_stack([np.arange(30) % 3, np.arange(30) * 0.1])
    y = np.arange(30) + 0.5
    assert EntityEmbedder(**PLAIN).fit(X, y).categorical_features_ == [0, 1]
    embedder = EntityEmbedder(**PLAIN, categorical_features=[0]).fit(X, y)
    np.testing.assert_array_equal(embedder.categories_[0], [0.0, 1.0, 2.0])
    np.testing.assert_array_equal(embedder.transform(X)[:, -1], X[:, 1].astype(np.float32))


@pytest.mark.parametrize(
    "choice", [["item"], [1], [False, True, False], np.array([1]), lambda X: ["item"], "item", 1]
)
def test_ways_to_name_the_categorical_columns(shops, choice):
    """Names, positions, a mask, a callable."""
    X, y = shops[0].assign(shop=np.arange(200.0)), shops[1]
    embedder = EntityEmbedder(**PLAIN, categorical_features=choice).fit(X, y)
    assert embedder.categorical_features_ == ["item"]
    assert embedder.get_feature_names_out()[-2:].tolist() == ["shop", "price"]


def test_frames_of_every_library_agree(shops, fitted):
    """pandas, polars and Arrow; the order and types of the columns are theirs."""
    pa = pytest.importorskip("pyarrow")
    X, y = shops
    table = pa.Table.from_pandas(X, preserve_index=False)
    frames = (pl.from_pandas(X), table, table.to_batches()[0], nw.from_native(pl.from_pandas(X)))
    for frame in frames:
        # NaN in a float column of polars is a number; make it missing as the others have it.
        other = EntityEmbedder(**PLAIN).fit(frame, y)
        assert same_state(other, fitted)
        np.testing.assert_array_equal(other.transform(frame), fitted.transform(X))
        with pytest.raises(ValueError, match="feature names should match"):
            other.transform(frame.select(["item", "shop", "price"]))


def test_array_and_frame_agree(shops):
    """The same values, the same bits."""
    X, y = shops[0][["shop", "item"]], shops[1]
    frame = EntityEmbedder(**PLAIN).fit(X, y)
    array = EntityEmbedder(**PLAIN).fit(X.to_numpy(dtype=object), y)
    np.testing.assert_array_equal(frame.transform(X), array.transform(X.to_numpy(dtype=object)))


def test_renaming_categories_changes_nothing(shops):
    """What a category is called does not matter, as long as the order stays."""
    X, y = shops
    other = X.assign(shop="Laden " + X["shop"].str[-1])
    np.testing.assert_array_equal(
        EntityEmbedder(**PLAIN).fit_transform(X, y), EntityEmbedder(**PLAIN).fit_transform(other, y)
    )


def test_output_as_a_data_frame(shops):
    """set_output gives pandas with the index kept, or polars."""
    X, y = shops[0][::-1].copy(), shops[1]
    embedder = EntityEmbedder(**QUICK).set_output(transform="pandas")
    for out in (embedder.fit_transform(X, y), embedder.transform(X)):
        assert isinstance(out, pd.DataFrame)
        pd.testing.assert_index_equal(out.index, X.index)
        assert out.columns.tolist() == embedder.get_feature_names_out().tolist()
        assert set(out.dtypes) == {np.dtype("float32")}
    embedder.set_output(transform="polars")
    out = embedder.transform(X)
    assert isinstance(out, pl.DataFrame)
    np.testing.assert_array_equal(out, embedder.set_output(transform="default").transform(X))


# --- the prediction as a column --------------------------------------------------------------


def test_the_prediction_is_out_of_fold():
    """Each row by a body and vectors that have not seen its label; a coin cannot be foretold."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"shop": rng.integers(0, 150, 600).astype(str)})
    y = rng.normal(size=600)
    settings = {
        "hidden_layer_sizes": (8,),
        "max_epochs": 40,
        "add_prediction": True,
        "random_state": 0,
    }
    out = EntityEmbedder(**settings).fit_transform(X, y)[:, -1]
    assert np.corrcoef(out, y)[0, 1] < 0.15  # four standard errors are .16; a leak gives .4
    naive = EntityEmbedder(**settings, cv=None).fit_transform(X, y)[:, -1]
    assert np.corrcoef(naive, y)[0, 1] > 0.25


def test_the_prediction_is_in_the_units_of_y(shops):
    """Numbers as they are, classes as log-odds."""
    X, y = shops
    settings = {**PLAIN, "max_epochs": 30, "batch_size": 16, "add_prediction": True}
    out = EntityEmbedder(**settings).fit_transform(X, 1000 * y + 5000)[:, -1]
    assert out.mean() == pytest.approx(1000 * y.mean() + 5000, rel=0.05)
    high = y > np.median(y)
    odds = EntityEmbedder(**settings).fit_transform(X, high)[:, -1]
    assert odds[high].mean() > 0 > odds[~high].mean()


# --- the way back ----------------------------------------------------------------------------


def test_inverse_transform_finds_the_categories(shops):
    """Each row's own, numbers included; unknown becomes the nearest."""
    X, y = shops
    embedder = EntityEmbedder(**PLAIN, n_components=3).fit(X, y)
    Z = embedder.transform(X)
    back = embedder.inverse_transform(Z + np.float32(1e-6))
    assert back.shape == X.shape
    np.testing.assert_array_equal(back[:, 0], X["shop"])
    assert [v if v is not None else "-" for v in back[:, 1]] == X["item"].fillna("-").tolist()
    np.testing.assert_allclose(back[:, 2].astype(float), X["price"], rtol=1e-4)
    with pytest.raises(ValueError, match="Expected 7 columns, got 2"):
        embedder.inverse_transform(Z[:, :2])


def test_embedding_is_a_data_frame_by_category(shops, fitted):
    """Categories as index, columns named as transform names them."""
    frame = fitted.embedding("shop")
    assert frame.index.tolist() == [f"shop {i}" for i in range(5)]
    assert frame.index.name == "shop"
    assert frame.columns.tolist() == [f"shop_{i}" for i in range(fitted.n_components_[0])]
    np.testing.assert_array_equal(frame, fitted.embeddings_[0])
    assert not np.shares_memory(frame.to_numpy(), fitted.embeddings_[0])
    pd.testing.assert_frame_equal(fitted.embedding(0), frame)
    with pytest.raises(ValueError, match="Several columns are embedded: give column="):
        fitted.embedding()
    with pytest.raises(ValueError, match=r"column='price' is not an embedded column"):
        fitted.embedding("price")


# --- neighbours ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def climates():
    X, y, climate = make_climates()
    embedder = EntityEmbedder(
        hidden_layer_sizes=(16,), max_epochs=30, n_components=3, batch_size=32, random_state=0
    )
    return embedder.fit(X, y), climate


def test_neighbours_are_of_the_same_climate(climates):
    """The three nearest of each of twelve cities are the other three of its climate."""
    embedder, climate = climates
    distances, indices = embedder.kneighbors(n_neighbors=3)
    assert distances.shape == indices.shape == (12, 3)
    assert (np.diff(distances) >= 0).all()
    names = embedder.categories_[0]
    for name, row in zip(names, indices):
        assert {climate[n] for n in names[row]} == {climate[name]}
        assert name not in names[row]
    for metric in ("cosine", "euclidean"):
        near = embedder.kneighbors(["city 04"], 4, return_distance=False, metric=metric)
        assert {climate[n] for n in names[near[0]]} == {climate["city 04"]}
        assert names[near[0, 0]] == "city 04"


def test_most_similar_lists_the_same_climate(climates):
    """A tidy frame without the query itself."""
    embedder, climate = climates
    frame = embedder.most_similar("city 05", n=3)
    assert frame.columns.tolist() == ["query", "rank", "entity", "similarity", "count"]
    assert {climate[n] for n in frame["entity"]} == {climate["city 05"]}
    assert frame["rank"].tolist() == [1, 2, 3]
    assert frame["count"].tolist() == [50, 50, 50]
    both = embedder.most_similar(["city 00", "city 03"], n=2, combine="mean")
    assert {climate[n] for n in both["entity"]} == {0}
    few = embedder.most_similar("city 05", candidates=["city 00", "city 02"], n=1)
    assert few["entity"].tolist() == ["city 02"]
    away = embedder.most_similar("city 05", exclude=["city 02", "city 08"], n=1)
    assert away["entity"].tolist() == ["city 11"]


def test_an_unknown_name_gets_spellings(climates):
    """A KeyError that says what may have been meant."""
    embedder, _ = climates
    for ask in (embedder.most_similar, lambda name: embedder.kneighbors([name])):
        with pytest.raises(KeyError, match=r"'City 3' is not among the 12 categories.*'city 03'"):
            ask("City 3")
    with pytest.raises(ValueError, match="only interaction='dot'"):
        embedder.most_similar("city 01", among="city")


def test_parameters_of_neighbours_may_change_after_fit(climates):
    """metric, n_neighbors and index are read when asked."""
    embedder, _ = climates
    other = pickle.loads(pickle.dumps(embedder)).set_params(n_neighbors=2, metric="euclidean")
    distances, _ = other.kneighbors()
    assert distances.shape == (12, 2)
    expected, _ = embedder.kneighbors(n_neighbors=2, metric="euclidean")
    np.testing.assert_array_equal(distances, expected)


# --- training --------------------------------------------------------------------------------


def test_random_state_decides_everything(shops):
    """The same int, the same bits; another, others; None, new ones each time."""
    X, y = shops

    def fit(random_state):
        return EntityEmbedder(**{**QUICK, "random_state": random_state}).fit_transform(X, y)

    # Widths are chosen on rows that are drawn: another draw may have another shape.
    np.testing.assert_array_equal(fit(1), fit(1))
    assert not np.array_equal(fit(1), fit(2))
    assert not np.array_equal(fit(None), fit(None))
    state = np.random.RandomState(1)
    np.testing.assert_array_equal(fit(np.random.RandomState(1)), fit(state))
    assert not np.array_equal(fit(state), fit(1))


@pytest.mark.parametrize("early_stopping", [False, True])
def test_global_state_is_left_alone(shops, globals_untouched, early_stopping):
    """Generators, thread counts, default dtype and warning filters."""
    X, y = shops
    embedder = EntityEmbedder(**QUICK, early_stopping=early_stopping)
    with globals_untouched():
        embedder.fit_transform(X, y)
        embedder.transform(X)


def test_global_seeds_do_not_matter(shops):
    """Nor does torch's default dtype."""
    import torch

    X, y = shops
    expected = EntityEmbedder(**QUICK).fit_transform(X, y)
    state, dtype = torch.get_rng_state(), torch.get_default_dtype()
    try:
        torch.manual_seed(123)
        torch.set_default_dtype(torch.float64)
        np.testing.assert_array_equal(EntityEmbedder(**QUICK).fit_transform(X, y), expected)
    finally:
        torch.set_rng_state(state)
        torch.set_default_dtype(dtype)


def test_the_input_is_left_alone(shops):
    """fit and transform write into nothing that they were given."""
    X, y = shops
    X_before, y_before = X.copy(deep=True), y.copy()
    EntityEmbedder(**QUICK).fit_transform(X, y)
    pd.testing.assert_frame_equal(X, X_before)
    np.testing.assert_array_equal(y, y_before)


@pytest.mark.parametrize("cv", [None, 3])
def test_early_stopping_keeps_the_best_epoch(shops, cv):
    """Noise is learned by heart; the vectors are those of the best epoch, not of the last."""
    X, _ = shops
    y = np.random.default_rng(0).normal(size=len(X))
    settings = {
        "hidden_layer_sizes": (64,),
        "cv": cv,
        "batch_size": 16,
        "learning_rate": 0.02,
        "random_state": 0,
        "validation_fraction": 0.3,
        "max_epochs": 40,
        "patience": 3,
    }
    embedder = EntityEmbedder(**settings, early_stopping=True).fit(X, y)
    losses = [record["validation_loss"] for record in embedder.history_]
    best = int(np.argmin(losses))
    assert embedder.n_epochs_ == len(losses) < 40
    assert len(losses) == best + 1 + 3
    taken = []
    Snapshot.taken = taken
    again = EntityEmbedder(**settings, early_stopping=True).set_callbacks(Snapshot()).fit(X, y)
    np.testing.assert_array_equal(again.embeddings_[0], taken[best])
    assert (taken[-1] != taken[best]).any()


class Snapshot(Callback):
    """Keeps the vectors of each epoch."""

    taken: list

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if fitted_estimator is not None:
            self.taken.append(fitted_estimator.embeddings_[0])


def test_validation_rows_are_held_out_without_folds(shops):
    """cv=None: what they say is not learned. Their labels change the stopping, not the first epoch."""
    X, y = shops
    settings = {**PLAIN, "max_epochs": 1, "early_stopping": True, "target_type": "continuous"}
    from sk_entity_embed import _fit_network

    drawn = []

    def draw(estimator, n_rows, random_state):
        drawn.append(original(estimator, n_rows, random_state))
        return drawn[-1]

    original = _fit_network.draw_validation
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_fit_network, "draw_validation", draw)
        one = EntityEmbedder(**settings).fit(X, y)
        other = y.copy()
        mean, spread = y.mean(), y.std()
        other[drawn[0]] = other[drawn[0]][::-1]  # the mean and spread of all stay
        two = EntityEmbedder(**settings).fit(X, other)
    assert len(drawn[0]) == 20
    np.testing.assert_allclose([other.mean(), other.std()], [mean, spread])
    for a, b in zip(one.embeddings_, two.embeddings_):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert one.history_[0]["validation_loss"] != two.history_[0]["validation_loss"]


@pytest.mark.parametrize("cv", [2, 5, 10])
def test_early_stopping_with_folds_that_have_no_row_to_score(shops, cv):
    """Two rows of twenty are drawn, from two folds at most."""
    X, y = shops[0][:20], shops[1][:20]
    embedder = EntityEmbedder(**{**QUICK, "cv": cv}, early_stopping=True).fit(X, y)
    assert all(np.isfinite(record["validation_loss"]) for record in embedder.history_)


def test_history_is_a_record_per_epoch(shops):
    """Plain numbers, and the loss falls."""
    X, y = shops
    embedder = EntityEmbedder(**{**QUICK, "max_epochs": 12}).fit(X, y)
    assert [record["epoch"] for record in embedder.history_] == list(range(1, 13))
    assert embedder.n_epochs_ == 12
    assert all(type(record["loss"]) is float for record in embedder.history_)
    assert embedder.history_[-1]["loss"] < embedder.history_[0]["loss"]


def test_auto_epochs_double_where_folds_can_tell(shops):
    """Cross-fitted training goes on while that pays; a number of epochs, or no folds, are taken at their word."""
    X, y = shops
    settings = {**QUICK, "max_epochs": "auto", "batch_size": 10, "learning_rate": 0.001}
    n_first = auto_epochs(len(X), 10)
    embedder = EntityEmbedder(**settings).fit(X, y)
    assert embedder.n_epochs_ in [n_first << i for i in range(1, 6)]
    ends = [r["epoch"] for r in embedder.history_ if "validation_loss" in r]
    assert ends == [n_first * 2**i for i in range(len(ends))]
    assert EntityEmbedder(**{**settings, "max_epochs": 3}).fit(X, y).n_epochs_ == 3
    assert EntityEmbedder(**settings, cv=None).fit(X, y).n_epochs_ == n_first
    assert EntityEmbedder(**settings, early_stopping=True).fit(X, y).n_epochs_ <= n_first


def test_doubling_is_bounded():
    """Five times at most, and never beyond a number of rows visited."""
    sizes = (500, 20_000, 10**6, 10**7)
    assert [auto_doublings(n, auto_epochs(n, 256)) for n in sizes] == [5, 5, 2, 0]


@pytest.mark.parametrize(
    "settings", [{"batch_size": 1}, {"batch_size": 10**6}, {"dropout": 0.0}, {"dropout": 0.9}]
)
def test_extreme_settings_train(shops, settings):
    """One row a step, all rows a step, no dropout, nearly nothing but dropout."""
    X, y = shops[0][:30], shops[1][:30]
    out = EntityEmbedder(**{**QUICK, **settings}).fit_transform(X, y)
    assert np.isfinite(out[:, :-1]).all()


@pytest.mark.parametrize("sizes", [(), (4,), (6, 5, 4), 7, [3, 2], np.array([5])])
def test_any_number_of_layers(shops, sizes):
    """None at all is a linear model of the vectors."""
    X, y = shops
    embedder = EntityEmbedder(**{**PLAIN, "hidden_layer_sizes": sizes}, add_prediction=True)
    assert embedder.fit_transform(X, y).shape[0] == len(X)


class Interrupt(Snapshot):
    """Ctrl-C at the end of the second epoch."""

    n_seen = 0

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "epoch":
            self.n_seen += 1
            if self.n_seen == 2:
                raise KeyboardInterrupt


@pytest.mark.parametrize("early_stopping", [False, True])
def test_ctrl_c_warns_and_keeps_what_was_learned(shops, early_stopping):
    """As MLPClassifier does; the estimator is fitted."""
    X, y = shops
    embedder = EntityEmbedder(**{**QUICK, "max_epochs": 9}, early_stopping=early_stopping)
    embedder.set_callbacks(Interrupt())
    with pytest.warns(ConvergenceWarning, match="interrupted in epoch 3; keeping what was learned"):
        out = embedder.fit_transform(X, y)
    assert embedder.n_epochs_ == 2
    assert np.isfinite(out[:, :-1]).all()


def test_a_loss_that_is_not_finite_leaves_the_estimator_as_it_was(shops):
    """The message names epoch, learning rate and remedy; what was fitted before still works."""
    X, y = shops
    embedder = EntityEmbedder(**PLAIN)
    embedder.set_params(learning_rate=1e30)
    message = r"loss became (nan|inf) in epoch \d+ with learning_rate=1e\+30. Lower learning_rate"
    with pytest.raises(FloatingPointError, match=message):
        embedder.fit(X, y)
    assert not [name for name in vars(embedder) if name.endswith("_")]
    before = embedder.set_params(learning_rate=0.01).fit(X, y).transform(X)
    embedder.set_params(learning_rate=1e30)
    other = X[["item", "shop"]].set_axis(["a", "b"], axis=1)
    with pytest.raises(FloatingPointError, match=message):
        embedder.fit(other, y)
    np.testing.assert_array_equal(embedder.transform(X), before)


@pytest.mark.parametrize("cv", [None, 5])
def test_a_last_step_gone_wrong_is_named(shops, cv):
    """No later step's loss would tell of it."""
    X, y = shops
    one_step = {"max_epochs": 1, "batch_size": len(X), "learning_rate": 1e38}
    with pytest.raises(FloatingPointError, match=r"in epoch 1 with learning_rate=1e\+38. Lower"):
        EntityEmbedder(**{**PLAIN, **one_step, "cv": cv}).fit(X, y)


def test_fit_again_forgets(shops):
    """Another interaction, another table: nothing of the first fit remains."""
    X, y = shops
    embedder = EntityEmbedder(**PLAIN, interaction="dot").fit(X[["shop", "item"]])
    embedder.set_params(interaction="mlp").fit(X[["shop"]].to_numpy(dtype=object), y)
    fresh = EntityEmbedder(**PLAIN).fit(X[["shop"]].to_numpy(dtype=object), y)
    assert set(vars(embedder)) == set(vars(fresh))
    assert same_state(embedder, fresh)


# --- an estimator among estimators -----------------------------------------------------------


def test_parameters_and_clone(shops):
    """clone copies parameters alone; get_params and set_params agree with the constructor."""
    X, y = shops
    params = {"n_components": {"shop": 2}, "hidden_layer_sizes": [4], "cv": 3, "random_state": 5}
    embedder = EntityEmbedder(**params)
    assert {k: embedder.get_params()[k] for k in params} == params
    copy = clone(embedder.set_params(max_epochs=1).fit(X, y))
    assert not hasattr(copy, "embeddings_")
    assert copy.get_params() == embedder.get_params()


@pytest.mark.parametrize("how", ["pickle", "joblib", "skops"])
@pytest.mark.parametrize("used", [False, True])
def test_round_trips_are_exact(shops, how, used, tmp_path):
    """Pickle, joblib, and skops with nothing to trust but our own class; caches stay behind."""
    X, y = shops
    embedder = EntityEmbedder(**PLAIN, add_prediction=True).set_output(transform="pandas").fit(X, y)
    size = len(pickle.dumps(embedder))
    if used:
        embedder.transform(X)
        embedder.most_similar("shop 1", column="shop")
    if how == "pickle":
        data = pickle.dumps(embedder)
        assert len(data) == size
        loaded = pickle.loads(data)
    elif how == "joblib":
        joblib.dump(embedder, tmp_path / "e")
        loaded = joblib.load(tmp_path / "e")
    else:
        data = skops.io.dumps(embedder)
        trusted = skops.io.get_untrusted_types(data=data)
        assert all(name.startswith("sk_entity_embed.") for name in trusted), trusted
        loaded = skops.io.loads(data, trusted=trusted)
    assert same_state(loaded, embedder)
    pd.testing.assert_frame_equal(loaded.transform(X), embedder.transform(X))
    pd.testing.assert_frame_equal(loaded.embedding("item"), embedder.embedding("item"))
    assert not any("torch" in type(v).__module__ for v in vars(loaded).values())


def test_html_and_text_show_the_parameters(shops, fitted):
    """In a notebook, fitted or not; a hostile name is text."""
    for embedder in (fitted, EntityEmbedder(categorical_features=["<script>x</script>"])):
        page = embedder._repr_html_()
        assert "EntityEmbedder" in page
        assert "<script>x</script>" not in page
    assert repr(EntityEmbedder(cv=3)) == "EntityEmbedder(cv=3)"


def test_fitted_attributes_are_plain(fitted):
    """Arrays, lists, numbers and strings: nothing of pandas or torch."""

    def check(value):
        if isinstance(value, dict):
            for v in value.values():
                check(v)
        elif isinstance(value, (list, tuple)):
            for v in value:
                check(v)
        else:
            module = type(value).__module__.partition(".")[0]
            assert module in ("builtins", "numpy", "sk_entity_embed"), type(value)

    check({k: v for k, v in vars(fitted).items() if k != "_cache"})
