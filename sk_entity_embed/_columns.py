"""A table of any make as a list of one-dimensional columns."""

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import sparse

from ._native import CATEGORY, NUMBER, distinct, floats, kind_of, plain

_FEW_ROWS = 200  # too few to tell amounts from categories
_RESHAPE = (
    "Reshape your data either using array.reshape(-1, 1) if your data has a single feature or "
    "array.reshape(1, -1) if it contains a single sample."
)


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of a data frame or a two-dimensional array, none of them copied.

    Attributes
    ----------
    native : ndarray or data frame
        What holds the columns.
    n_rows, n_columns : int
        Its shape.
    names : list of str or None
        Column names; None for an array and for a frame whose names are not all strings.
    is_frame : bool
        Whether the columns have types of their own.
    """

    native: object
    n_rows: int
    n_columns: int
    names: list | None
    is_frame: bool
    _column: Callable = field(repr=False)

    def column(self, i):
        """Return column `i` as its container keeps it."""
        return self._column(int(i))  # Arrow takes no NumPy integer

    def label(self, i):
        """Return the name of column `i` for a message, its position if it has none."""
        return int(i) if self.names is None else self.names[i]  # 1, not np.int64(1)

    def is_categorical(self, i):
        """Whether column `i` has a string, object, categorical, boolean or enum type."""
        return kind_of(self._column(i)) == CATEGORY

    def is_numeric(self, i):
        """Whether column `i` has a number type (booleans are categories)."""
        return kind_of(self._column(i)) == NUMBER


def read_table(X):
    """Return the columns of `X` without copying it."""
    if sparse.issparse(X):
        raise TypeError(
            "Sparse data was passed for X, but dense data is required. "
            "Use '.toarray()' to convert to a dense numpy array."
        )
    table = _read_frame(X) or _read_array(X)
    shape = (table.n_rows, table.n_columns)
    if table.n_rows < 1:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={shape}) while a minimum of 1 is required."
        )
    if table.n_columns < 1:
        raise ValueError(
            f"Found array with 0 feature(s) (shape={shape}) while a minimum of 1 is required."
        )
    return table


def _read_frame(X):
    if isinstance(X, (np.ndarray, list, tuple)):
        return None
    if isinstance(X, pd.DataFrame):
        names = list(X.columns)
        if X.columns.is_unique and all(isinstance(name, str) for name in names):
            return _frame(X, X.shape, names, lambda i: X[names[i]])  # thrice as fast as iloc
        return _frame(X, X.shape, names, lambda i: X.iloc[:, i])
    polars, pyarrow = sys.modules.get("polars"), sys.modules.get("pyarrow")
    if polars is not None and isinstance(X, polars.DataFrame):
        return _frame(X, X.shape, X.columns, X.to_series)
    if pyarrow is not None and isinstance(X, pyarrow.RecordBatch):
        X = pyarrow.Table.from_batches([X])
    if pyarrow is not None and isinstance(X, pyarrow.Table):
        return _frame(X, X.shape, X.schema.names, X.column)
    import narwhals

    frame = narwhals.from_native(X, allow_series=True, pass_through=True)
    if isinstance(frame, narwhals.LazyFrame):
        raise TypeError(
            f"Expected a data frame with its rows at hand, got the lazy {type(X)}. Collect it "
            "first: X.collect() or the like."
        )
    is_arrow = pyarrow is not None and isinstance(X, pyarrow.Array)
    if is_arrow or isinstance(X, pd.Index) or isinstance(frame, narwhals.Series):
        raise ValueError(
            f"Expected a 2-dimensional container but got {type(X)} instead. Pass a DataFrame "
            "containing a single row (i.e. single sample) or a single column (i.e. single "
            "feature) instead."
        )
    if not isinstance(frame, narwhals.DataFrame):
        return None
    names = frame.columns
    native = frame.to_native()
    return _frame(native, frame.shape, names, lambda i: frame.get_column(names[i]).to_native())


def _frame(native, shape, names, column):
    names = list(names) if all(isinstance(name, str) for name in names) else None
    return Table(native, *shape, names, True, column)


def _read_array(X):
    # A list of mixed cells is not left to NumPy, which would turn 1 into "1" next to "a".
    array = np.asarray(X, dtype=object) if isinstance(X, (list, tuple)) else np.asarray(X)
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported\n{array}\n")
    if array.ndim == 0:
        raise ValueError(
            f"Expected 2D array, got scalar array instead:\narray={array}.\n{_RESHAPE}"
        )
    if array.ndim == 1:
        raise ValueError(f"Expected 2D array, got 1D array instead:\narray={array}.\n{_RESHAPE}")
    if array.ndim > 2:
        raise ValueError(f"Found array with dim {array.ndim}, while dim <= 2 is required.")
    return Table(array, *array.shape, None, False, lambda i: array[:, i])


def select_categorical(table, X, categorical_features, are_pairs=False):
    """Return the sorted positions of the columns to embed.

    "auto" takes all columns of pairs: both sides are entities, be they numbers.

    Warns
    -----
    UserWarning
        If "auto", for want of a better column or as objects, takes columns of floats that hardly repeat.
    """
    if callable(categorical_features):
        categorical_features = categorical_features(X)
    if isinstance(categorical_features, str) and categorical_features == "auto":
        if are_pairs:
            return np.arange(table.n_columns)
        chosen = []
        if table.is_frame:
            chosen = [i for i in range(table.n_columns) if table.is_categorical(i)]
        if not chosen:
            chosen = range(table.n_columns)
        _warn_of_amounts(table, chosen)
        return np.array(chosen, dtype=np.intp)
    if isinstance(categorical_features, str) or np.ndim(categorical_features) == 0:
        categorical_features = [categorical_features]
    wanted = list(categorical_features)
    if wanted and all(isinstance(w, (bool, np.bool_)) for w in wanted):
        if len(wanted) != table.n_columns:
            raise ValueError(
                f"categorical_features as a mask must have one entry for each of the "
                f"{table.n_columns} columns of X, got {len(wanted)}. Give a longer or shorter "
                "mask, or the names or positions of the columns."
            )
        return np.flatnonzero(wanted)
    return np.array(sorted({_position(table, w) for w in wanted}), dtype=np.intp)


def _warn_of_amounts(table, chosen):
    if table.n_rows < _FEW_ROWS:
        return
    amounts = [table.label(i) for i in chosen if _are_amounts(table.column(i))]
    if amounts:
        more = f" and {len(amounts) - 5} more" if len(amounts) > 5 else ""
        warnings.warn(
            "Columns of objects are embedded, and all columns of an array or of a table without strings or categories, "
            f"a vector for each value. But most rows have a value of their own in {amounts[:5]}{more}: these look like "
            "amounts. Name the columns that are categories in categorical_features; the others stay numbers.",
            UserWarning,
            stacklevel=2,
        )


def _are_amounts(column):
    """Whether a column holds floats, and so many that more than half of its rows might have one each."""
    if isinstance(column, (np.ndarray, pd.Series)) and column.dtype == object:  # once beside text
        if pd.api.types.infer_dtype(column) not in ("floating", "mixed-integer-float"):
            return False
    elif kind_of(column) != NUMBER:
        return False
    codes, values = distinct(plain(column))
    return values.dtype.kind == "f" and 2 * len(values) > len(codes)


def _position(table, wanted):
    n = table.n_columns
    if isinstance(wanted, str):
        if table.names is None:
            raise ValueError(
                f"categorical_features holds the name {wanted!r}, but X has no column names. Give "
                "positions, or pass a data frame whose column names are strings."
            )
        if wanted not in table.names:
            import difflib

            close = difflib.get_close_matches(wanted, table.names, n=3) or table.names[:10]
            raise ValueError(
                f"categorical_features holds {wanted!r}, which is no column of X. Did you mean one "
                f"of {close}?"
            )
        return table.names.index(wanted)
    if not isinstance(wanted, (int, np.integer)) or isinstance(wanted, (bool, np.bool_)):
        raise ValueError(
            'categorical_features must be "auto", column names, positions, a mask of booleans or '
            f"a callable that returns one of these; it holds {wanted!r} of type "
            f"{type(wanted).__name__}."
        )
    if not -n <= wanted < n:
        raise ValueError(
            f"categorical_features holds position {wanted}, but X has {n} columns: positions run "
            f"from 0 to {n - 1}."
        )
    return int(wanted) % n


def as_floats(column, name):
    """Return a numeric column as float64, NaN where a value is missing.

    Parameters
    ----------
    column : Series, ChunkedArray or ndarray of shape (n_rows,)
        Booleans, integers, floats or decimals.
    name : str or int
        The column's name or position, for the message.

    Returns
    -------
    numbers : ndarray of shape (n_rows,), float64
        Infinities stay, and what exceeds float64 becomes one.

    Raises
    ------
    ValueError
        If the column holds anything but numbers.
    """
    try:
        return floats(plain(column))
    except TypeError as error:
        raise ValueError(
            f"Column {name!r} was expected to hold numbers, but holds {error}. Name it in "
            "categorical_features to embed it, convert it to numbers, or drop it."
        ) from error
