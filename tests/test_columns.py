"""Tests of sk_entity_embed/_columns.py."""

import datetime
import re
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.compose import make_column_selector

from sk_entity_embed._columns import as_floats, read_table, select_categorical
from sk_entity_embed._vocabulary import Vocabulary

CELLS = {
    "colour": ["red", "blue", None],
    "size": [1, 2, 3],
    "price": [1.5, None, 2.0],
    "new": [True, False, True],
}


def frames():
    pandas = pd.DataFrame(CELLS)
    return {
        "pandas": pandas,
        "pandas nullable": pandas.convert_dtypes(),
        "pandas arrow": pandas.convert_dtypes(dtype_backend="pyarrow"),
        "pandas category": pandas.astype({"colour": "category"}),
        "polars": pl.DataFrame(CELLS),
        "polars Categorical": pl.DataFrame(CELLS, schema_overrides={"colour": pl.Categorical}),
        "polars Enum": pl.DataFrame(CELLS, schema_overrides={"colour": pl.Enum(["blue", "red"])}),
        "arrow": pa.table(CELLS),
        "arrow batch": pa.RecordBatch.from_pydict(CELLS),
    }


@pytest.fixture(params=frames())
def frame(request):
    return frames()[request.param]


# --- reading -------------------------------------------------------------------------------------


def test_frames_of_any_make_are_read_alike(frame):
    """Shape, names, kinds and codes do not depend on the library."""
    table = read_table(frame)
    assert (table.n_rows, table.n_columns) == (3, 4)
    assert table.names == list(CELLS)
    assert [table.is_categorical(i) for i in range(4)] == [True, False, False, True]
    assert [table.is_numeric(i) for i in range(4)] == [False, True, True, False]
    assert select_categorical(table, frame, "auto").tolist() == [0, 3]
    _, codes = Vocabulary.learn(table.column(0))
    assert codes.tolist() == [2, 1, 3]
    np.testing.assert_array_equal(as_floats(table.column(2), "price"), [1.5, np.nan, 2.0])


def test_arrays_and_lists_have_positions_only():
    """An array has no names, and all its columns are embedded by default."""
    rows = list(zip(*CELLS.values()))
    for X in (rows, [list(row) for row in rows], np.array(rows, dtype=object)):
        table = read_table(X)
        assert table.names is None
        assert table.label(2) == 2
        assert select_categorical(table, X, "auto").tolist() == [0, 1, 2, 3]
        assert Vocabulary.learn(table.column(0))[1].tolist() == [2, 1, 3]
        assert Vocabulary.learn(table.column(1))[0].categories.dtype == np.int64
        np.testing.assert_array_equal(as_floats(table.column(2), 2), [1.5, np.nan, 2.0])


def test_lists_keep_the_type_of_each_cell():
    """NumPy would turn 1 into "1" beside text, and 2**53 + 1 into a float beside floats."""
    vocabulary, _ = Vocabulary.learn(read_table([[1, "a"], ["1", "b"]]).column(0))
    assert vocabulary.categories.tolist() == [1, "1"]
    vocabulary, _ = Vocabulary.learn(read_table([[2**53, 0.5], [2**53 + 1, 0.5]]).column(0))
    assert vocabulary.categories.tolist() == [2**53, 2**53 + 1]


def test_numbers_are_context_in_a_frame_and_no_copy_is_made():
    """A column of an array is a view, and asking twice gives the same."""
    X = np.arange(6.0).reshape(3, 2)
    assert np.shares_memory(read_table(X).column(1), X)
    frame = pd.DataFrame(X)
    assert np.shares_memory(read_table(frame).column(1).to_numpy(), frame.to_numpy())


def test_frame_with_integer_names():
    """Like scikit-learn, names that are not strings count as none."""
    frame = pd.DataFrame({0: ["a"], 1: [2.0]})
    table = read_table(frame)
    assert table.names is None
    assert select_categorical(table, frame, "auto").tolist() == [0]
    assert table.column(1).tolist() == [2.0]


def test_frame_with_repeated_names():
    """Columns are taken by position."""
    frame = pd.DataFrame([["a", 1], ["b", 2]], columns=["x", "x"])
    table = read_table(frame)
    assert list(table.column(0)) == ["a", "b"]
    assert list(table.column(1)) == [1, 2]


def test_objects_with_an_array_are_read_as_one():
    """__array__ is enough."""

    class Wrapped:
        def __array__(self, dtype=None, copy=None):
            return np.array([[1.0, 2.0]])

    assert read_table(Wrapped()).n_columns == 2


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (3, ValueError, r"Expected 2D array, got scalar array instead[\s\S]*Reshape your data"),
        ([1, 2], ValueError, r"Expected 2D array, got 1D array instead[\s\S]*Reshape your data"),
        (
            np.ones(2),
            ValueError,
            r"Expected 2D array, got 1D array instead[\s\S]*Reshape your data",
        ),
        (np.ones((1, 1, 1)), ValueError, "Found array with dim 3"),
        (pd.Series(["a"]), ValueError, "Expected a 2-dimensional container but got <class"),
        (pl.Series(["a"]), ValueError, "Expected a 2-dimensional container but got <class"),
        (pa.array(["a"]), ValueError, "Expected a 2-dimensional container but got <class"),
        (sparse.eye(2), TypeError, "Sparse data was passed"),
        (sparse.csr_array(np.eye(2)), TypeError, r"toarray\(\)"),
        (np.ones((1, 1), dtype=complex), ValueError, "Complex data not supported"),
        (np.ones((0, 2)), ValueError, r"0 sample\(s\) \(shape=\(0, 2\)\) while a minimum of 1"),
        (np.ones((2, 0)), ValueError, r"0 feature\(s\) \(shape=\(2, 0\)\) while a minimum of 1"),
        (pd.DataFrame({"a": []}), ValueError, r"0 sample\(s\) \(shape=\(0, 1\)\)"),
        (pd.DataFrame(index=[0, 1]), ValueError, r"0 feature\(s\) \(shape=\(2, 0\)\)"),
        (pl.DataFrame({"a": []}), ValueError, r"0 sample\(s\)"),
        ([[1, 2], [3]], ValueError, "inhomogeneous|1D array"),
        (pl.LazyFrame({"a": [1]}), TypeError, r"collect\(\)"),
    ],
)
def test_bad_tables_are_refused_in_the_words_of_scikit_learn(X, error, message):
    """Shape, sparseness and emptiness, as check_array says it."""
    with pytest.raises(error, match=message):
        read_table(X)


# --- choosing columns ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        ("auto", [0, 3]),
        (["new", "colour"], [0, 3]),
        (("size",), [1]),
        ("size", [1]),
        ([3, 0, 0], [0, 3]),
        ([-1], [3]),
        (2, [2]),
        (np.array([1]), [1]),
        (pd.Index(["price"]), [2]),
        ([True, False, False, True], [0, 3]),
        (np.array([False, True, False, False]), [1]),
        ([], []),
        (lambda X: ["colour"], [0]),
        (lambda X: [1, 2], [1, 2]),
    ],
)
def test_columns_are_chosen(frame, asked, chosen):
    """Names, positions, masks and callables, sorted and each once."""
    positions = select_categorical(read_table(frame), frame, asked)
    assert positions.tolist() == chosen
    assert positions.dtype == np.intp


def test_callable_gets_the_frame():
    """make_column_selector works."""
    frame = frames()["pandas"]
    selector = make_column_selector(dtype_include=bool)
    assert select_categorical(read_table(frame), frame, selector).tolist() == [3]


def test_frame_of_numbers_only_is_all_categories():
    """As with TargetEncoder, when "auto" finds nothing it takes everything."""
    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]})
    assert select_categorical(read_table(frame), frame, "auto").tolist() == [0, 1]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["color"], r"'color', which is no column of X. Did you mean one of \['colour'\]"),
        ("everything", r"'everything', which is no column"),
        ([4], "position 4, but X has 4 columns: positions run from 0 to 3"),
        ([-5], "position -5"),
        ([True, False], "one entry for each of the 4 columns of X, got 2"),
        ([1.5], "holds 1.5 of type float"),
        ([0, True], "holds True of type bool"),
        (None, "holds None of type NoneType"),
        (lambda X: ["nothing"], "'nothing', which is no column"),
    ],
)
def test_columns_that_are_not_there(frame, asked, message):
    """The message says what came, what was expected and what is near."""
    with pytest.raises(ValueError, match=message):
        select_categorical(read_table(frame), frame, asked)


def test_names_need_a_frame():
    """An array has positions only."""
    X = np.ones((2, 2))
    with pytest.raises(ValueError, match="X has no column names"):
        select_categorical(read_table(X), X, ["a"])


@pytest.mark.parametrize(
    ("column", "is_categorical", "is_numeric"),
    [
        (pd.Series([Decimal(1)], dtype=pd.ArrowDtype(pa.decimal128(5))), False, True),
        (pd.Series([True], dtype="boolean"), True, False),
        (pd.Series([True], dtype=pd.ArrowDtype(pa.bool_())), True, False),
        (pd.Series(pd.to_datetime(["2020"])), False, False),
        (pd.Series(pd.to_datetime(["2020"])).dt.tz_localize("UTC"), False, False),
        (pd.Series(pd.period_range("2020", periods=1, freq="D")), False, False),
        (pd.Series([datetime.date(2020, 1, 1)], dtype=pd.ArrowDtype(pa.date32())), False, False),
        (pd.Series(["a"], dtype=pd.ArrowDtype(pa.string())), True, False),
        (pd.Series([1], dtype="category"), True, False),
        (pd.Series([["a"]]), True, False),
        (pd.Series(pd.arrays.SparseArray([0.5])), False, True),
        (pl.Series([Decimal(1)]), False, True),
        (pl.Series([datetime.date(2020, 1, 1)]), False, False),
        (pl.Series([["a"]]), True, False),
        (pl.Series([1], dtype=pl.UInt8), False, True),
    ],
)
def test_kinds_of_columns(column, is_categorical, is_numeric):
    """Text, objects and booleans are categories, numbers are numbers, times are neither."""
    table = read_table(column.to_frame("c"))
    assert table.is_categorical(0) is is_categorical
    assert table.is_numeric(0) is is_numeric


@pytest.mark.parametrize(
    "make", [pd.DataFrame, pl.DataFrame, None], ids=["pandas", "polars", "array"]
)
def test_amounts_that_would_be_embedded_are_told(make):
    """Floats that hardly repeat, where nothing looks like a category: columns, and how to keep them numbers."""
    rng = np.random.default_rng(0)
    columns = {"size": rng.normal(size=300), "grade": rng.integers(5, size=300) * 0.5}
    X = np.column_stack(list(columns.values())) if make is None else make(columns)
    table, listed = read_table(X), re.escape(str(["size"] if make else [0]))
    with pytest.warns(
        UserWarning, match=rf"in {listed}: .* Name the columns .* in categorical_features"
    ):
        assert select_categorical(table, X, "auto").tolist() == [0, 1]


@pytest.mark.parametrize("make", [np.array, pd.DataFrame], ids=["array", "pandas"])
@pytest.mark.parametrize("missing", [None, np.nan, 7], ids=["None", "NaN", "a whole number"])
def test_amounts_as_objects_are_told(make, missing):
    """As an imputer, or an ensemble that hands on arrays, leaves a table of text and numbers."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"town": rng.choice(["Oslo", "Lima"], 300), "size": rng.normal(size=300)})
    X = X.to_numpy(dtype=object)
    X[0, 1] = missing
    X = make(X)
    with pytest.warns(UserWarning, match=r"in \[1\]: these look like amounts"):
        assert select_categorical(read_table(X), X, "auto").tolist() == [0, 1]


def test_numbers_that_may_be_categories_are_not_told():
    """Warnings are errors here: few rows, whole numbers, repeated floats, columns that were named."""
    rng = np.random.default_rng(0)
    amounts = pd.DataFrame({"size": rng.normal(size=300)})
    ids = pd.DataFrame({"id": np.arange(300)})
    objects = [X.to_numpy(dtype=object) for X in (ids, amounts.round(1), ids.astype(str))]
    objects += [pd.DataFrame(X) for X in objects]
    for X in (amounts[:100], ids, amounts.round(1), amounts.astype("category"), *objects):
        assert select_categorical(read_table(X), X, "auto").tolist() == [0]
    assert select_categorical(read_table(amounts), amounts, ["size"]).tolist() == [0]


# --- numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "column",
    [
        np.array([1, np.nan, 0]),
        np.array([1, None, 0], dtype=object),
        np.array([True, pd.NA, 0.0], dtype=object),
        np.array([Decimal(1), Decimal("nan"), Decimal(0)], dtype=object),
        np.array([np.int8(1), float("nan"), np.float32(0)], dtype=object),
        pd.Series([1, None, 0], dtype="Int8"),
        pd.Series([1, None, 0], dtype="Float32"),
        pd.Series([True, None, False], dtype="boolean"),
        pd.Series([1, None, 0], dtype="category"),
        pd.Series([1, None, 0], dtype=pd.ArrowDtype(pa.int64())),
        pd.Series([1, None, 0], dtype=pd.ArrowDtype(pa.decimal128(5))),
        pl.Series([1, None, 0]),
        pl.Series([1.0, float("nan"), 0.0]),
        pl.Series([True, None, False]),
        pl.Series([Decimal(1), None, Decimal(0)]),
        pa.array([1, None, 0]),
        pa.array([1, None, 0]).dictionary_encode(),
        pa.chunked_array([[1.0], [None, 0.0]]),
        [1, None, 0],
    ],
    ids=lambda column: f"{type(column).__name__} {getattr(column, 'dtype', '')}",
)
def test_numbers_become_floats(column):
    """Any number type, NaN where it is missing."""
    numbers = as_floats(column, "price")
    assert numbers.dtype == np.float64
    np.testing.assert_array_equal(numbers, [1, np.nan, 0])


def test_infinities_stay():
    """Infinity is the caller's to refuse, and what no float holds becomes one."""
    assert as_floats(np.array([np.inf, -np.inf, 1e300]), 0).tolist() == [np.inf, -np.inf, 1e300]
    assert as_floats(np.array([10**400, -(10**400), 1], dtype=object), 0).tolist() == [
        np.inf,
        -np.inf,
        1,
    ]


def test_all_missing_is_all_nan():
    """A column of nothing is a column of NaN."""
    for column in (np.array([None, None]), pa.nulls(2), pl.Series([None, None])):
        assert np.isnan(as_floats(column, "price")).all()


@pytest.mark.parametrize(
    "column",
    [
        np.array(["1", "2"]),
        np.array(["1", 2], dtype=object),
        np.array(["2020-01-01"], dtype="M8[D]"),
        pd.Series(["1"]),
        pd.Series(["1"], dtype="category"),
        pd.Series(pd.to_datetime(["2020"])),
        pd.Series(pd.to_datetime(["2020"])).dt.tz_localize("UTC"),
        pl.Series(["1"]),
        pl.Series([datetime.date(2020, 1, 1)]),
        pa.array(["1"]),
        pl.Series([[1]]),
    ],
    ids=lambda column: f"{type(column).__name__} {getattr(column, 'dtype', '')}",
)
def test_what_is_no_number_is_refused(column):
    """The message names the column and the parameter."""
    with pytest.raises(ValueError, match=r"Column 'price' .*categorical_features"):
        as_floats(column, "price")
