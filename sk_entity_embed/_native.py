"""A column of any make (NumPy, pandas, Polars, Arrow) as plain arrays, without a loop over rows.

Three shapes are enough for everything above:

- an ndarray (numbers, booleans, times, fixed-width text, objects), with a mask where missing values
  leave no trace in it;
- Arrow text, which keeps its own nulls;
- codes into a dictionary of one of the two, a negative code standing for missing.
"""

import math
import sys
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pandas as pd
from pandas.api import types as pandas_types

CATEGORY, NUMBER, OTHER = "category", "number", "other"

_INT64 = np.iinfo(np.int64)
_ADDRESSES_TRIED = 4096


@dataclass(frozen=True, eq=False)
class Plain:
    """Values of a column, and where they are missing (None: the values tell it themselves)."""

    values: object
    missing: object = None

    def __len__(self):
        return len(self.values)


@dataclass(frozen=True, eq=False)
class Coded:
    """Codes into a dictionary of values; a negative code is a missing value."""

    codes: np.ndarray
    dictionary: Plain

    def __len__(self):
        return len(self.codes)


def import_pyarrow():
    """Return pyarrow, or None where it is not installed: it speeds text up, nothing needs it."""
    try:
        import pyarrow as pa
        import pyarrow.compute
    except ImportError:  # pragma: no cover
        return None
    return pa


def is_arrow(values):
    """Whether `values` are an Arrow array, chunked or not."""
    return not isinstance(values, np.ndarray)


def is_missing(cell):
    """Whether a cell is None, NaN, NaT or pandas' NA."""
    return pandas_types.is_scalar(cell) and bool(pd.isna(cell))


def object_array(values):
    """Return a one-dimensional object array of any cells, be they lists or tuples."""
    return np.fromiter(values, dtype=object, count=len(values))


# --- what a column is --------------------------------------------------------------------------


def kind_of(column):
    """Return CATEGORY, NUMBER or OTHER (times) by the type of a column, its cells unread."""
    dtype = getattr(column, "dtype", None)
    if isinstance(dtype, np.dtype):
        return NUMBER if dtype.kind in "iuf" else OTHER if dtype.kind in "Mm" else CATEGORY
    if isinstance(dtype, pd.api.extensions.ExtensionDtype):
        if pandas_types.is_bool_dtype(dtype):
            return CATEGORY
        if pandas_types.is_numeric_dtype(dtype):
            return NUMBER
        if pandas_types.is_datetime64_any_dtype(dtype) or isinstance(dtype, pd.PeriodDtype):
            return OTHER
        if not isinstance(dtype, pd.ArrowDtype):
            return CATEGORY
    import narwhals

    dtype = narwhals.from_native(column, series_only=True).dtype
    return NUMBER if dtype.is_numeric() else OTHER if dtype.is_temporal() else CATEGORY


# --- columns as plain arrays -------------------------------------------------------------------


def plain(column):
    """Return a column as Plain or Coded, without copying more than its container makes us."""
    if isinstance(column, np.ndarray):
        return _from_numpy(column)
    if isinstance(column, (pd.Series, pd.Index)):
        return _from_pandas(column)
    if isinstance(column, (list, tuple)):
        return Plain(object_array(column))
    pyarrow, polars = sys.modules.get("pyarrow"), sys.modules.get("polars")
    if pyarrow is not None and isinstance(column, (pyarrow.Array, pyarrow.ChunkedArray)):
        return _from_arrow(column, pyarrow)
    if polars is not None and isinstance(column, polars.Series):
        return _from_polars(column, polars)
    if isinstance(column, pd.api.extensions.ExtensionArray):
        return _from_pandas(pd.Series(column, copy=False))
    import narwhals

    series = narwhals.from_native(column, series_only=True, pass_through=True)
    if isinstance(series, narwhals.Series) and (pyarrow := import_pyarrow()):
        return _from_arrow(series.to_arrow(), pyarrow)
    return _from_numpy(np.asarray(column))


def _from_numpy(values):
    if values.dtype.kind in "TV":  # strings of variable width, records
        values = values.astype(object)
    elif values.dtype.kind == "c":
        raise ValueError(f"Complex data not supported\n{values}\n")
    return Plain(values)


def _from_pandas(column):
    dtype, array = column.dtype, column.array
    if isinstance(dtype, np.dtype):
        return _from_numpy(np.asarray(array))
    if isinstance(dtype, pd.CategoricalDtype):
        return coded(array.codes, _from_pandas(array.categories))
    if isinstance(dtype, pd.StringDtype):
        if getattr(dtype, "storage", None) == "pyarrow":
            return Plain(sys.modules["pyarrow"].array(array))
        return Plain(np.asarray(array, dtype=object))
    if isinstance(dtype, pd.ArrowDtype):
        pyarrow = sys.modules["pyarrow"]
        return _from_arrow(pyarrow.array(array), pyarrow)
    if isinstance(dtype, pd.SparseDtype):
        return _from_numpy(np.asarray(array))
    base = getattr(dtype, "numpy_dtype", None)
    if isinstance(base, np.dtype) and base.kind in "biuf":  # a nullable type
        missing = np.asarray(array.isna())
        if not missing.any():
            return Plain(array.to_numpy(dtype=base))
        return Plain(array.to_numpy(dtype=base, na_value=base.type(0)), missing)
    codes, uniques = pd.factorize(array)  # times with a zone, periods, intervals
    return Coded(codes, Plain(np.asarray(uniques.astype(object), dtype=object)))


def _from_polars(column, polars):
    dtype = column.dtype
    is_category = dtype in (polars.Categorical, polars.Enum)
    if len(column) < 64 and (is_category or dtype == polars.String):
        return Plain(object_array(column.cast(polars.String).to_list()))
    if is_category:
        # How the integers behind categories relate to a list of them changed over the versions;
        # that equal integers are equal categories did not.
        physical = column.to_physical().cast(polars.Int64).fill_null(-1).to_numpy()
        codes, uniques = _distinct_integers(physical)
        names = column.gather(_first_rows(codes, len(uniques))).cast(polars.String)
        return coded(codes, _from_polars(names, polars))
    pyarrow = import_pyarrow()
    no_arrow = {polars.Object, getattr(polars, "Int128", None), getattr(polars, "UInt128", None)}
    if pyarrow is not None and dtype not in no_arrow:
        return _from_arrow(column.to_arrow(), pyarrow)
    has_numbers = dtype.is_float() or (dtype.is_integer() and not column.null_count())
    if has_numbers and dtype not in no_arrow:
        return Plain(column.to_numpy())
    return Plain(object_array(column.to_list()))


def _from_arrow(column, pyarrow):
    compute, types, kind = pyarrow.compute, pyarrow.types, column.type
    if types.is_string(kind) or types.is_large_string(kind):
        return Plain(column)
    if types.is_dictionary(kind):
        column = _one_chunk(column, pyarrow)
        return coded(_arrow_codes(column.indices), _from_arrow(column.dictionary, pyarrow))
    if getattr(types, "is_string_view", types.is_null)(kind) and not types.is_null(kind):
        return Plain(column.cast(pyarrow.large_string()))
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        missing = None
        if column.null_count:
            missing = compute.is_null(column).to_numpy(zero_copy_only=False)
            column = column.fill_null(pyarrow.scalar(0, pyarrow.int8()).cast(kind))
        return Plain(_arrow_numpy(column), missing)
    if types.is_date(kind) or (types.is_timestamp(kind) and kind.tz is None):
        return Plain(_arrow_numpy(column))
    if types.is_duration(kind):
        return Plain(_arrow_numpy(column))
    if types.is_nested(kind) or types.is_null(kind) or isinstance(kind, pyarrow.BaseExtensionType):
        return Plain(object_array(column.to_pylist()))
    try:  # decimals, times of day, times with a zone, bytes: Python objects, but only the distinct
        column = _one_chunk(column.dictionary_encode(), pyarrow)
    except (pyarrow.ArrowNotImplementedError, pyarrow.ArrowInvalid):
        return Plain(object_array(column.to_pylist()))
    return Coded(_arrow_codes(column.indices), Plain(object_array(column.dictionary.to_pylist())))


def _one_chunk(column, pyarrow):
    if not isinstance(column, pyarrow.ChunkedArray):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    if pyarrow.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    return column.combine_chunks()


def _arrow_codes(indices):
    if indices.null_count:
        kind = "int64" if str(indices.type).startswith("uint") else str(indices.type)
        indices = indices.cast(kind).fill_null(-1)
    return _arrow_numpy(indices)


def _arrow_numpy(column):
    if hasattr(column, "chunks"):
        return column.to_numpy()
    return column.to_numpy(zero_copy_only=False)


def coded(codes, dictionary):
    """Join codes to a dictionary, one that is itself coded included."""
    if isinstance(dictionary, Coded):
        # -1 picks the last entry, which stands for missing.
        codes, dictionary = np.append(dictionary.codes, -1)[codes], dictionary.dictionary
    return Coded(codes, dictionary)


def take(column, rows):
    """Return the `rows` of a Plain or Coded column."""
    if isinstance(column, Coded):
        return Coded(column.codes[rows], column.dictionary)
    missing = None if column.missing is None else column.missing[rows]
    if is_arrow(column.values):
        pyarrow = import_pyarrow()
        values = column.values
        if isinstance(values, pyarrow.ChunkedArray) and values.num_chunks == 1:
            values = values.chunk(0)  # spares a copy of all of it
        return Plain(values.take(pyarrow.array(rows)), missing)
    return Plain(column.values[rows], missing)


def without_long_dictionary(column):
    """Return a Coded column with few rows so that its cost does not grow with the dictionary."""
    codes, dictionary = column.codes, column.dictionary
    if 0 < len(codes) < 64:
        missing = codes < 0
        if missing.all():
            return Plain(np.full(len(codes), None, dtype=object))
        cells = take(dictionary, np.where(missing, 0, codes))
        return Plain(cells.values, missing if cells.missing is None else missing | cells.missing)
    return _only_used(column)


def _only_used(column):
    used, codes = np.unique(column.codes, return_inverse=True)
    n_missing = np.searchsorted(used, 0)
    return Coded(codes - n_missing, take(column.dictionary, used[n_missing:].astype(np.int64)))


def _first_rows(codes, n_codes):
    """Return a row of each code (none negative): the first."""
    rows = np.empty(n_codes, dtype=np.int64)
    rows[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)  # the last to be written stays
    return rows


# --- distinct values ---------------------------------------------------------------------------


def distinct(column):
    """Find the distinct values of a column.

    Parameters
    ----------
    column : Plain or Coded
        What `plain` gives.

    Returns
    -------
    codes : ndarray of shape (n_rows,), integer
        Positions in `values`, -1 for missing.
    values : ndarray
        Each value once, none of them missing: int64, uint64, float64, bool, datetime64,
        timedelta64 or object. Some may belong to no row.

    Raises
    ------
    TypeError
        If a cell cannot be hashed.
    """
    if isinstance(column, Coded):
        if len(column.dictionary) > 2 * len(column.codes):
            column = _only_used(column)
        codes, values = distinct(column.dictionary)
        if len(codes) == len(values) and (codes == np.arange(len(codes))).all():
            return column.codes, values
        return np.append(codes, -1).astype(codes.dtype)[column.codes], values
    values, missing = column.values, column.missing
    if is_arrow(values):
        return _distinct_arrow(values)
    kind = values.dtype.kind
    if kind == "b":
        codes, uniques = values.astype(np.int8), np.array([False, True])
    elif kind in "iu":
        codes, uniques = _distinct_integers(values)
    elif kind == "f":
        codes, uniques = pd.factorize(values.astype(np.float64))
        uniques = uniques + 0.0  # -0.0 is 0.0
    elif kind in "Mm":
        codes, uniques = pd.factorize(values)
    elif kind == "U" and missing is None:
        return _distinct_text(values)
    else:
        values = values.astype(object, copy=missing is not None)
        if missing is not None:
            values[missing] = None
        shared = by_identity(values)
        return _distinct_objects(values) if shared is None else distinct(shared)
    if missing is not None:
        codes = np.where(missing, -1, codes)
    return codes, uniques


def _distinct_integers(values):
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    if high - low > 4 * len(values) + 1000 or high > _INT64.max:
        codes, uniques = pd.factorize(values)
        return codes, uniques.astype(np.int64 if high <= _INT64.max else np.uint64)
    # A dense range needs no hash table.
    offsets = values.astype(np.int64) - low
    present = np.zeros(high - low + 1, dtype=bool)
    present[offsets] = True
    uniques = np.flatnonzero(present)
    positions = np.empty(len(present), dtype=np.int64)
    positions[uniques] = np.arange(len(uniques))
    return positions.take(offsets), uniques + low


def _distinct_arrow(values):
    pyarrow = import_pyarrow()
    encoded = _one_chunk(values.dictionary_encode(), pyarrow)
    return _arrow_codes(encoded.indices), _arrow_numpy(encoded.dictionary)


def _distinct_text(values):
    cells = characters(values)
    pyarrow = import_pyarrow()
    if pyarrow is None or not cells.size:
        return _distinct_objects(values.astype(object))
    if cells.max() < 256:
        cells = cells.astype(np.uint8)
    codes = _arrow_codes(fixed_width(cells, pyarrow).dictionary_encode().indices)
    first = _first_rows(codes, int(codes.max()) + 1)
    return codes, values[first].astype(object)


def characters(values, width=None):
    """Return NumPy text as numbers of shape (n_rows, width), without a copy where that can be."""
    width = width or values.dtype.itemsize // 4
    values = np.ascontiguousarray(values.astype(f"=U{width}", copy=False))
    return values.view(np.uint32).reshape(len(values), width)


def fixed_width(cells, pyarrow):
    """Return rows of `characters` as Arrow cells, which can be hashed where they lie."""
    kind = pyarrow.binary(cells.shape[1] * cells.itemsize)
    buffer = pyarrow.py_buffer(np.ascontiguousarray(cells))
    return pyarrow.FixedSizeBinaryArray.from_buffers(kind, len(cells), [None, buffer])


def _distinct_objects(values):
    typed = typed_objects(values) if len(values) > 100 else None
    if typed is not None:
        return distinct(typed)
    codes, uniques = pd.factorize(values)
    values = tidy(uniques)
    if values is not uniques and len(values):
        # Of other types now, two values may have become one (a date and its midnight).
        again, values = distinct(Plain(values)) if values.dtype != object else pd.factorize(values)
        codes = np.append(again, -1)[codes]
    return codes, values


def typed_objects(values):
    """Return objects that are all text, all integers or all floats as Plain, else None."""
    pyarrow = import_pyarrow()
    if pyarrow is None:
        return None
    try:
        # Without a type asked for, bytes are not mistaken for text.
        array = pyarrow.array(values, from_pandas=True)
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError):
        return None  # mixed cells, or strings that UTF-8 cannot hold
    types, kind = pyarrow.types, array.type
    if types.is_string(kind) or types.is_large_string(kind):
        return Plain(array)
    # Arrow joins integers and floats, but rounds: only what it found to be pure is kept.
    is_pure = types.is_integer(kind) or (
        types.is_floating(kind) and pandas_types.infer_dtype(values, skipna=True) == "floating"
    )
    return _from_arrow(array, pyarrow) if is_pure else None


def by_identity(values):
    """Return objects as codes into the few that they are, or None where most rows have an object of their own.

    Files, look-ups and literals often give equal cells one object. Its address says so without reading it, in a tenth
    of the time of hashing the strings.
    """
    n_tried = min(_ADDRESSES_TRIED, len(values) // 4)
    if n_tried < _ADDRESSES_TRIED // 4 or sys.implementation.name != "cpython":
        return None
    values = np.ascontiguousarray(values)
    addresses = np.ndarray(values.shape, np.intp, values)
    tried = addresses[:: len(values) // n_tried]
    n_repeated = len(tried) - len(np.unique(tried))
    # Of n draws from k objects some n * n / 2k are repeats: at most a quarter as many objects as rows are few.
    if n_repeated * len(values) < 2 * len(tried) ** 2:
        return None
    codes, uniques = pd.factorize(addresses)
    return Coded(codes, Plain(values[_first_rows(codes, len(uniques))]))


def arrow_text(values):
    """Return objects that are all text (or missing) as Arrow text, else None."""
    typed = typed_objects(values)
    return typed.values if typed is not None and is_arrow(typed.values) else None


def tidy(values):
    """Give distinct objects the plainest type that keeps every value as it is."""
    kind = pandas_types.infer_dtype(values, skipna=False)
    if kind == "empty":
        return values
    if kind == "string":
        if set(map(type, values.tolist())) != {str}:
            values = object_array([str(v) for v in values.tolist()])
        return values
    if kind in ("date", "datetime", "datetime64"):
        return _as_times(values, pd.DatetimeIndex)
    if kind in ("timedelta", "timedelta64"):
        return _as_times(values, pd.TimedeltaIndex)
    if kind == "bytes":
        return values
    values = without_numpy_scalars(values)
    scalars = values.tolist()
    types = set(map(type, scalars))
    if not types <= {bool, int, float}:
        return values
    if types == {bool}:
        return np.array(scalars, dtype=bool)
    if float in types:
        if all(map(_is_exact_float, scalars)):
            return np.array(scalars, dtype=np.float64)
    elif all(_INT64.min <= v <= _INT64.max for v in scalars):
        return np.array(scalars, dtype=np.int64)
    elif all(0 <= v < 2**64 for v in scalars):
        return np.array(scalars, dtype=np.uint64)
    return values


def _is_exact_float(number):
    try:
        return float(number) == number
    except OverflowError:
        return False


def without_numpy_scalars(values):
    """Return objects with Python's numbers for NumPy's, which fail to compare with some types."""
    numbers = (np.bool_, np.integer, np.floating)
    return object_array([v.item() if isinstance(v, numbers) else v for v in values.tolist()])


def _as_times(values, index):
    try:
        times = index(values)
    except (TypeError, ValueError, OverflowError):  # zones, or a mixture of them
        return values
    return times.to_numpy() if getattr(times, "tz", None) is None else values


def python_values(values):
    """Return distinct values as Python objects that are equal and hash alike across types."""
    if values.dtype.kind == "M":
        return pd.DatetimeIndex(values).astype(object).tolist()
    if values.dtype.kind == "m":
        return pd.TimedeltaIndex(values).astype(object).tolist()
    return values.tolist()


def in_pandas(container, values, **options):
    """Return values as a Series or an Index; text with lone surrogates, which UTF-8 lacks, as objects."""
    try:
        return container(values, **options)
    except UnicodeEncodeError:
        return container(values, dtype=object, **options)


# --- numbers -----------------------------------------------------------------------------------


def floats(column):
    """Return a Plain or Coded column as float64 with NaN for missing; TypeError if no numbers."""
    if isinstance(column, Coded):
        return np.append(floats(column.dictionary), np.nan)[column.codes]
    values, missing = column.values, column.missing
    if is_arrow(values):
        raise TypeError("text")
    if values.dtype.kind in "biuf":
        numbers = values.astype(np.float64)
    elif values.dtype.kind == "O":
        missing = pd.isna(values)
        numbers = np.full(len(values), np.nan)
        present = values[~missing]
        kind = pandas_types.infer_dtype(present, skipna=False)
        known = ("integer", "floating", "mixed-integer-float", "boolean", "decimal", "empty")
        scalars = (bool, int, float, np.bool_, np.integer, np.floating, Decimal)
        if kind not in known and not all(isinstance(v, scalars) for v in present.tolist()):
            raise TypeError(kind)
        try:
            numbers[~missing] = present.astype(np.float64)
        except OverflowError:  # integers beyond any float
            numbers[~missing] = [
                v if abs(v) < 2**1023 else math.copysign(math.inf, v > 0 or -1)
                for v in present.tolist()
            ]
    else:
        raise TypeError(str(values.dtype))
    if missing is not None:
        numbers[missing] = np.nan
    return numbers
