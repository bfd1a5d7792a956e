"""What comes in wrong, and the words that say so."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from _made import PLAIN, QUICK, make_shops
from sklearn.exceptions import NotFittedError

from sk_entity_embed import EntityEmbedder, EntityEmbeddingClassifier, EntityEmbeddingRegressor

X, Y = make_shops(60)
ALL = [EntityEmbedder, EntityEmbeddingClassifier, EntityEmbeddingRegressor]


def target_for(cls):
    return Y > 1 if cls is EntityEmbeddingClassifier else Y


def refuse(match, X=X, y=Y, error=ValueError, cls=EntityEmbedder, **params):
    """Fit must raise, and leave nothing behind."""
    estimator = cls(**{**PLAIN, **params})
    with pytest.raises(error, match=match):
        estimator.fit(X, y)
    assert not [name for name in vars(estimator) if name.endswith("_") and name[0] != "_"]


# --- y ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", ALL)
def test_y_missing(cls):
    """In scikit-learn's words, and what does without."""
    refuse(f"{cls.__name__} requires y to be passed, but the target y is None", y=None, cls=cls)
    if cls is EntityEmbedder:
        refuse("Only interaction='dot' learns from X alone", y=None)


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("n", [59, 61])
def test_y_of_another_length(cls, n):
    """Both lengths are given."""
    y = np.resize(target_for(cls), n)
    refuse(rf"inconsistent numbers of samples: \[60, {n}\]", y=y, cls=cls)


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize(
    ("bad", "match"), [(np.nan, "Input y contains NaN"), (np.inf, "Input y contains infinity")]
)
def test_y_not_finite(cls, bad, match):
    """Numbers that are none."""
    refuse(match, y=np.where(np.arange(60) == 7, bad, 1.0), cls=cls)


def test_y_of_labels_and_none():
    """A missing label."""
    for cls in (EntityEmbedder, EntityEmbeddingClassifier):
        refuse("Input y contains NaN or None", y=["a", None] * 30, cls=cls)


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("dtype", ["datetime64[us]", "timedelta64[s]"])
def test_y_of_times_that_are_missing(cls, dtype):
    """NaT is missing, and no number far below all others."""
    y = np.array([1, "NaT", 3] * 20, dtype=dtype)
    refuse("Input y contains NaN or None", y=y, cls=cls)


def test_y_of_text_for_a_regressor():
    """NumPy's own words name the text."""
    refuse(
        "needs a y of numbers: could not convert string to float: .*'a'.*a classifier",
        y=["a", "b"] * 30,
        cls=EntityEmbeddingRegressor,
    )


@pytest.mark.parametrize("dtype", [int, bool])
def test_y_of_python_objects_is_what_they_are(dtype):
    """Whole numbers or booleans in an object array are labels of that type."""
    y = (np.arange(60) % 2).astype(dtype)
    for cls in (EntityEmbedder, EntityEmbeddingClassifier):
        fitted = cls(**PLAIN).fit(X, y.astype(object))
        assert fitted.classes_.dtype == y.dtype
    ratings = EntityEmbedder(interaction="dot", random_state=0)
    assert ratings.fit(X[["shop", "item"]], y.astype(object)).target_type_ == "binary"


def test_y_of_python_floats_is_numbers():
    """In an object array, a Series or several columns; NaN among them is told."""
    kinds = [Y.astype(object), pd.Series(Y, dtype=object), np.c_[Y, Y].astype(object)]
    for y in kinds:
        assert EntityEmbedder(**PLAIN).fit(X, y).target_type_ == "continuous"
    refuse("Input y contains NaN", y=np.where(np.arange(60) == 7, np.nan, Y).astype(object))


@pytest.mark.parametrize("cls", [EntityEmbedder, EntityEmbeddingClassifier])
def test_y_of_strings_and_numbers(cls):
    """The types are named."""
    y = np.array(["a", 1] * 30, dtype=object)
    refuse(
        r"y must hold strings only .* got cells of types \['int', 'str'\]",
        y=y,
        error=TypeError,
        cls=cls,
    )


@pytest.mark.parametrize("cls", [EntityEmbedder, EntityEmbeddingClassifier])
def test_a_list_of_labels_hides_nothing(cls):
    """As an array of strings it would hold the classes "nan" or "1"."""
    refuse("NaN or None", y=[np.nan, "a", "b"] * 20, cls=cls)
    refuse("strings only", y=["a", 1] * 30, error=TypeError, cls=cls)
    assert cls(**PLAIN).fit(X, ["a", "b", "a"] * 20).classes_.tolist() == ["a", "b"]


@pytest.mark.parametrize("cls", [EntityEmbedder, EntityEmbeddingClassifier])
@pytest.mark.parametrize("labels", [["u", "v"], [True, False], [1, 2]])
def test_y_of_arrow(cls, labels):
    """As the same labels in a list."""
    pa = pytest.importorskip("pyarrow")
    y = labels * 30
    for arrow in (pa.array(y), pa.chunked_array([y[:7], y[7:]])):
        assert cls(**PLAIN).fit(X, arrow).classes_.tolist() == sorted(labels)
    refuse("NaN", y=pa.array([1.5, None] * 30), cls=cls)


@pytest.mark.parametrize("y", [3.0, "shop", {"y": 1}])
def test_y_that_is_one_value(y):
    """A column's name, say."""
    refuse("Expected y with a value for each row of X", y=y)


# --- X ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", [["x"], {"x": 1}, {"x"}, np.array([1, 2])])
def test_cells_of_lists_or_dicts(cell):
    """The column and the first such row are named, and what to do."""
    cells = [*["a"] * 5, cell, *["b"] * 54]
    column = np.empty(60, dtype=object)
    column[:] = cells
    kind = type(cell).__name__
    refuse(rf"Column 'tags' holds an? (\w+\.)?{kind} in row 5", X=X.assign(tags=column))


def test_columns_of_arrays_are_named_by_their_position():
    """A plain number, not NumPy's."""
    X = np.full((20, 2), "a", object)
    with pytest.raises(ValueError, match="Column 1 was expected to hold numbers"):
        EntityEmbedder(categorical_features=[0], **QUICK).fit(X, np.arange(20.0))
    X[7, 1] = [1]
    with pytest.raises(ValueError, match="Column 1 holds a list in row 7"):
        EntityEmbedder(**QUICK).fit(X, np.arange(20.0))


def test_text_where_numbers_are_meant():
    """The column is named, with the parameter that would embed it."""
    refuse(
        r"Column 'item' was expected to hold numbers.*Name it in categorical_features",
        categorical_features=["shop"],
    )


def test_infinite_numbers():
    """The column is named."""
    bad = X.assign(price=np.where(np.arange(60) == 3, np.inf, 1.0))
    refuse(r"contains infinity.* in column 'price'", X=bad)
    fitted = EntityEmbedder(**PLAIN).fit(X, Y)
    with pytest.raises(ValueError, match=r"contains infinity.* in column 'price'"):
        fitted.transform(bad)


@pytest.mark.parametrize(
    ("X", "error", "match"),
    [
        (np.array(["a", "b"]), ValueError, "Expected 2D array, got 1D array instead"),
        (X["shop"], ValueError, "Expected a 2-dimensional container"),
        (X[:0], ValueError, r"Found array with 0 sample\(s\)"),
        (X[[]], ValueError, r"Found array with 0 feature\(s\)"),
        (pl.from_pandas(X).lazy(), TypeError, "Collect it first"),
        (np.zeros((2, 2, 2)), ValueError, "Found array with dim 3"),
        (np.array([[1j], [2j]]), ValueError, "Complex data not supported"),
    ],
)
def test_what_is_no_table(X, error, match):
    """One dimension or three, nothing in it, not there yet."""
    refuse(match, X=X, error=error)


@pytest.mark.parametrize(
    ("choice", "match"),
    [
        (["shpo"], r"'shpo', which is no column of X. Did you mean one of \['shop'\]"),
        ([7], "position 7, but X has 3 columns"),
        ([True, False], "one entry for each of the 3 columns"),
        ([], "categorical_features chose no column"),
        ([1.5], "it holds 1.5 of type float"),
    ],
)
def test_categorical_features_that_are_not_there(choice, match):
    """The message says what there is."""
    refuse(match, categorical_features=choice)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("shop_0", {}),
        ("item_1", {"n_components": {"item": 2}}),
        ("prediction", {"add_prediction": True}),
    ],
)
def test_a_column_named_as_an_output(name, params):
    """Told before any training; columns of X with such names are no matter where nothing is equal."""
    table = X.rename(columns={"price": name})
    refuse(rf"several columns named \['{name}'\].*Rename these columns", X=table, y=Y, **params)
    harmless = X.rename(columns={"price": "shop_99"})
    names = EntityEmbedder(**PLAIN).fit(harmless, Y).get_feature_names_out().tolist()
    assert names[-1] == "shop_99"


def test_names_given_afterwards_that_repeat():
    """An array has no names; those given later must not repeat either."""
    embedder = EntityEmbedder(**PLAIN, categorical_features=[0])
    embedder.fit(np.arange(60).reshape(30, 2) % 5, Y[:30])
    with pytest.raises(ValueError, match="several columns named"):
        embedder.get_feature_names_out(["u", "u_0"])


# --- categories ------------------------------------------------------------------------------


def test_an_unseen_category_is_an_error_if_told():
    """The first five of them, and the column."""
    embedder = EntityEmbedder(**PLAIN, handle_unknown="error").fit(X, Y)
    new = X.assign(shop=[f"new {i:02}" for i in range(60)])
    listed = re.escape(str([f"new {i:02}" for i in range(5)]))
    with pytest.raises(ValueError, match=f"unknown categories {listed} in column 'shop'"):
        embedder.transform(new)
    rare = EntityEmbedder(**PLAIN, handle_unknown="error", min_frequency=50)
    with pytest.warns(UserWarning, match="min_frequency=50 is above every count"):
        rare.fit(X, Y)
    assert rare.transform(X).shape[0] == 60  # rare is not unseen


@pytest.mark.filterwarnings("ignore:min_frequency=50")
def test_no_category_to_go_back_to():
    """Where every category was rare, there is no nearest one."""
    embedder = EntityEmbedder(**PLAIN, min_frequency=50).fit(X, Y)
    with pytest.raises(
        ValueError, match=r"Column 'shop' has no category to go back to.*min_frequency"
    ):
        embedder.inverse_transform(embedder.transform(X))


def test_a_column_of_another_kind_is_told_after_loading(tmp_path):
    """The categories tell what was fitted."""
    EntityEmbedder(**PLAIN).fit(X, Y).save(tmp_path / "embedder.safetensors")
    embedder = EntityEmbedder.load(tmp_path / "embedder.safetensors")
    with pytest.warns(
        UserWarning, match="Column 'shop' held strings in fit and holds integers now"
    ):
        embedder.transform(X.assign(shop=1))


@pytest.mark.parametrize(
    "table",
    [
        X.assign(shop=None),
        X.assign(shop="one"),
        X.assign(price=np.nan),
        X.assign(price=2.0),
        X[:1],
    ],
    ids=["all missing", "constant", "number all missing", "constant number", "one row"],
)
def test_what_says_nothing_still_fits(table):
    """A column all missing or constant, one row: vectors all the same."""
    embedder = EntityEmbedder(**QUICK, add_prediction=True).set_output(transform="pandas")
    embedder.set_params(categorical_features=["shop", "item"])
    out = embedder.fit_transform(table, Y[: len(table)])
    assert np.isfinite(out.drop(columns="price")).all(axis=None)


def test_one_class_still_fits():
    """The prediction is certain, the vectors are there."""
    out = EntityEmbedder(**QUICK, add_prediction=True).fit_transform(X, ["same"] * 60)
    assert np.isfinite(out[:, -1]).all()


def test_more_components_than_categories_are_capped():
    """n_components_ tells."""
    embedder = EntityEmbedder(**PLAIN, n_components=99).fit(X, Y)
    assert embedder.n_components_ == [len(c) for c in embedder.categories_]


@pytest.mark.parametrize(
    ("n_components", "match"),
    [
        ({"shpo": 2}, r"names \['shpo'\], which are no embedded columns.*'shop', 'item'"),
        ({"shop": 0}, r"n_components of column 'shop' must be an int >= 1 or 'auto', got 0"),
        ({"shop": True}, "got True"),
        ({"shop": "many"}, "got 'many'"),
        (0, "The 'n_components' parameter"),
    ],
)
def test_n_components_that_make_no_sense(n_components, match):
    """The column is named."""
    refuse(match, n_components=n_components)


@pytest.mark.parametrize(
    "name", ["<b>&amp;</b>", "tab\there", "quo\"te's", "🦊🏳️‍🌈", "long " * 2048, "", " "]
)
def test_names_are_text_whatever_they_hold(name):
    """Markup, tabs, quotes, emoji, 10 kB, nothing at all: a category like any other."""
    table = pd.DataFrame({"c": [name, "b", "c", name] * 5})
    embedder = EntityEmbedder(**PLAIN).fit(table, np.arange(20) * 0.5)
    assert name in embedder.categories_[0].tolist()
    assert name in embedder.most_similar("b")["entity"].tolist()
    assert embedder.inverse_transform(embedder.transform(table))[0, 0] == name


def test_names_with_lone_surrogates():
    """Text that UTF-8 cannot hold: found, shown and, if it is not there, told like any other."""
    cells = np.array(["\ud800 a", "b", "c"] * 20, dtype=object)
    embedder = EntityEmbedder(**PLAIN).fit(pd.DataFrame({"u": pd.Series(cells, dtype=object)}), Y)
    assert "\ud800 a" in embedder.most_similar("b")["entity"].tolist()
    assert embedder.most_similar("\ud800 a")["query"].tolist() == ["\ud800 a"] * 2
    assert embedder.embedding("u").index.tolist() == ["b", "c", "\ud800 a"]
    with pytest.raises(KeyError, match="is not among the 3 categories"):
        embedder.most_similar("\ud801")


@pytest.mark.parametrize("cls", ALL)
def test_a_name_that_is_not_there_gets_the_closest_spellings(cls):
    """A KeyError whose text reads well."""
    estimator = cls(**PLAIN).fit(X, target_for(cls))
    embedder = getattr(estimator, "embedder_", estimator)
    with pytest.raises(KeyError) as error:
        embedder.kneighbors(["shop1"], column="shop")
    assert str(error.value).startswith("In column 'shop': 'shop1' is not among the 5 categories.")
    assert "Closest: 'shop 1'" in str(error.value)


# --- settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"cv": 1}, "The 'cv' parameter"),
        ({"cv": "five"}, "The 'cv' parameter"),
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes must hold integers >= 1"),
        ({"hidden_layer_sizes": (8, -1)}, "hidden_layer_sizes must hold integers >= 1"),
        ({"hidden_layer_sizes": (2.5,)}, "hidden_layer_sizes must hold integers >= 1"),
        ({"hidden_layer_sizes": ("wide",)}, "hidden_layer_sizes must hold integers >= 1"),
        ({"dropout": 1.0}, "The 'dropout' parameter"),
        ({"min_frequency": 0}, "The 'min_frequency' parameter"),
        ({"max_epochs": 0}, "The 'max_epochs' parameter"),
        ({"batch_size": 0}, "The 'batch_size' parameter"),
        ({"learning_rate": 0.0}, "The 'learning_rate' parameter"),
        ({"weight_decay": -1.0}, "The 'weight_decay' parameter"),
        ({"handle_unknown": "ignore"}, "The 'handle_unknown' parameter"),
        ({"device": "gpu of mine"}, "device='gpu of mine' cannot be used here"),
        ({"early_stopping": True, "validation_fraction": 0.999}, "leaves no row to train"),
    ],
)
@pytest.mark.parametrize("cls", ALL)
def test_parameters_out_of_range(cls, params, match):
    """The parameter is named, before any training."""
    refuse(match, y=target_for(cls), cls=cls, **params)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"target_type": "ranking"}, "The 'target_type' parameter"),
        ({"interaction": "add"}, "The 'interaction' parameter"),
        ({"loss": "softmax"}, "loss='softmax' does not fit a continuous target"),
        ({"target_type": "binary"}, "target_type='binary' needs a y of two classes"),
        ({"target_type": "multilabel"}, "target_type='multilabel' needs"),
        ({"quantile": 1.0}, "The 'quantile' parameter"),
        ({"metric": "manhattan"}, "The 'metric' parameter"),
    ],
)
def test_parameters_of_the_embedder_out_of_range(params, match):
    """Those that the predictors do not have."""
    refuse(match, **params)


def test_an_index_that_is_none():
    """Told before any training, not when the first neighbour is sought."""
    for index in ("x", object()):
        refuse("index must be None, 'exact', 'ann' or an object", error=TypeError, index=index)


def test_a_kind_of_target_that_pairs_do_not_have():
    """Links or ratings."""
    pairs = X[["shop", "item"]].dropna()
    y = np.arange(len(pairs)) % 3
    refuse("no target_type='multiclass'", pairs, y, interaction="dot", target_type="multiclass")


@pytest.mark.parametrize(
    ("weight", "match"),
    [
        (np.zeros(60), "non-zero|zero for every row"),
        (-np.ones(60), "Negative values in data passed to `sample_weight`"),
        (np.ones(59), "sample_weight.shape"),
        (np.full(60, np.nan), "Input sample_weight contains NaN"),
    ],
)
@pytest.mark.parametrize("cls", ALL)
def test_weights_that_make_no_sense(cls, weight, match):
    """All zero, negative, of another length, missing."""
    with pytest.raises(ValueError, match=match):
        cls(**PLAIN).fit(X, target_for(cls), sample_weight=weight)


# --- afterwards ------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", ALL)
def test_wrong_columns_afterwards(cls):
    """scikit-learn's errors about names, order and number of features."""
    estimator = cls(**PLAIN).fit(X, target_for(cls))
    use = estimator.transform if cls is EntityEmbedder else estimator.predict
    with pytest.raises(ValueError, match="must be in the same order as they were in fit"):
        use(X[["item", "shop", "price"]])
    with pytest.raises(ValueError, match=r"seen at fit time, yet now missing:\n- item"):
        use(X[["shop", "price"]])
    with pytest.raises(ValueError, match=r"unseen at fit time:\n- extra"):
        use(X.assign(extra=1.0))
    name = cls.__name__
    with pytest.warns(UserWarning, match=f"but {name} was fitted with feature names"):
        use(X.to_numpy(dtype=object))
    estimator.fit(X[["shop", "item"]].to_numpy(dtype=object), target_for(cls))
    with pytest.raises(ValueError, match=f"X has 3 features, but {name} is expecting 2 features"):
        use(X.to_numpy(dtype=object))


@pytest.mark.parametrize("cls", ALL)
def test_text_in_a_numeric_column_afterwards(cls):
    """The column is named."""
    estimator = cls(**PLAIN).fit(X, target_for(cls))
    use = estimator.transform if cls is EntityEmbedder else estimator.predict
    with pytest.raises(ValueError, match="Column 'price' was expected to hold numbers"):
        use(X.assign(price="dear"))


@pytest.mark.parametrize(
    "method", ["transform", "kneighbors", "most_similar", "embedding", "inverse_transform"]
)
def test_nothing_works_before_fit(method):
    """scikit-learn's error, whatever is asked."""
    arguments = {"transform": [X], "most_similar": ["a"], "inverse_transform": [np.zeros((1, 1))]}
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(EntityEmbedder(), method)(*arguments.get(method, []))
