"""Categories of one column and their codes.

Code 0 is for values unseen in `learn` and for those too rare; codes 1 to n are for
``categories[code - 1]``. Values are told apart as the keys of a dict are: 1, 1.0 and True are one
category, "1" is another. None, NaN, NaT, pd.NA and null are one, the last.
"""

import warnings
from datetime import date, datetime
from functools import cached_property
from itertools import repeat

import numpy as np
import pandas as pd

from ._native import (
    Coded,
    Plain,
    arrow_text,
    by_identity,
    characters,
    distinct,
    fixed_width,
    import_pyarrow,
    is_arrow,
    is_missing,
    object_array,
    plain,
    python_values,
    take,
    typed_objects,
    without_long_dictionary,
    without_numpy_scalars,
)

_INT64 = np.iinfo(np.int64)
_FEW_KEYS = 100_000  # a dict of so many numbers is made in no time
_NEARLY_NONE = 0.01  # share of known values up to which a column is asked for its kind
_EXACT = 2**53  # whole numbers up to here are exact as float64


class Vocabulary:
    """Categories of a column, and the way from values to codes.

    Parameters
    ----------
    categories : ndarray of shape (n_categories,)
        Distinct values; the missing one, if it is among them, last.
    counts : ndarray of shape (n_categories,), int64
        Rows of each category.
    infrequent : ndarray
        Values seen too seldom to be categories.
    name : str or int, optional
        The column's name or position, for messages.
    """

    def __init__(self, categories, counts, infrequent, name=None):
        self.categories = categories
        self.counts = counts
        self.infrequent = infrequent
        self.name = name

    def __getstate__(self):
        """Leave out the look-up tables, which are made again when needed."""
        return {key: value for key, value in self.__dict__.items() if not key.startswith("_")}

    def __repr__(self):
        return f"Vocabulary({len(self.categories)} categories, {len(self.infrequent)} infrequent)"

    @property
    def n_codes(self):
        """Number of codes: one a category, and the code 0."""
        return len(self.categories) + 1

    @classmethod
    def learn(cls, column, *, min_frequency=1, name=None):
        """Find the categories of a column and encode it.

        Parameters
        ----------
        column : Series, ChunkedArray, ndarray or list of shape (n_rows,)
            Cells that can be hashed.
        min_frequency : int or float, default=1
            Fewest rows of a category; below 1, the fewest as a fraction of all rows.
        name : str or int, optional
            The column's name or position, for messages.

        Returns
        -------
        vocabulary : Vocabulary
            What was learned. Categories are sorted where they can be, else they stand in order of
            first appearance.
        codes : ndarray of shape (n_rows,), int32
            The column's codes; 0 for infrequent values.

        Raises
        ------
        ValueError
            If a cell is a list, a dict or the like.

        Warns
        -----
        UserWarning
            If no value is frequent enough to be a category.
        """
        column = plain(column)
        try:
            codes, values = distinct(column)
        except TypeError as error:
            raise _unhashable(column.values, name, error) from error
        rows = _count(codes, len(values))  # the last one: missing
        order = _order(values, codes)
        order = order[rows[order] > 0]
        # Not rows against a product, which rounds: 7 of 100 rows are .07 of them, and .07 * 100 is above 7.
        frequency = rows / max(1, len(codes)) if 0 < min_frequency < 1 else rows
        is_kept = frequency[order] >= min_frequency
        kept, rare = order[is_kept], order[~is_kept]
        n_missing = int(rows[-1])
        keep_missing = n_missing > 0 and bool(frequency[-1] >= min_frequency)

        if len(codes) and not (len(kept) or keep_missing):
            _warn_all_infrequent(name, min_frequency, rows.max(initial=0), len(codes))
        counts = np.append(rows[kept], n_missing) if keep_missing else rows[kept]
        code_of = np.zeros(len(values) + 1, dtype=np.int32)
        code_of[kept] = np.arange(1, len(kept) + 1)
        code_of[-1] = len(counts) if keep_missing else 0
        vocabulary = cls(
            _with_missing(values[kept], keep_missing),
            counts,
            _with_missing(values[rare], n_missing > 0 and not keep_missing),
            name,
        )
        return vocabulary, code_of.take(codes, mode="wrap")  # -1 is the last entry

    def encode(self, column):
        """Return the codes of a column.

        Parameters
        ----------
        column : Series, ChunkedArray, ndarray or list of shape (n_rows,)
            Of any type, not only that of the column learned from.

        Returns
        -------
        codes : ndarray of shape (n_rows,), int32
            0 for unseen and infrequent values.

        Raises
        ------
        ValueError
            If a cell is a list, a dict or the like.

        Warns
        -----
        UserWarning
            If (nearly) none of the values is known and they are of another kind than the categories, such as strings
            instead of integers.
        """
        column = plain(column)
        codes = self._lookup.encode(column)
        # An object column may be of any kind: its cells are looked at only if none is known.
        if _rough_kind(column) != self._lookup.kind:
            self._check_kind(column, codes)
        return codes

    def lookup(self, values):
        """Return the codes of a short list of values."""
        return self._lookup.encode(Plain(object_array(values)))

    def unseen(self, column, limit=5):
        """Return the first values of a column that `learn` never saw; rare ones it did see.

        Parameters
        ----------
        column : Series, ChunkedArray, ndarray or list of shape (n_rows,)
            As for `encode`.
        limit : int, default=5
            Most values to return.

        Returns
        -------
        values : list
            Each once, in order of first appearance; a missing value as None.
        """
        column = plain(column)
        _, codes, values = self._find_unseen(column, self._lookup.encode(column))
        first = pd.factorize(codes)[1][:limit]
        return [python_values(values[code : code + 1])[0] if code >= 0 else None for code in first]

    def unseen_texts(self, column, codes):
        """Find the texts of a column that `learn` never saw.

        Parameters
        ----------
        column : Series, ChunkedArray, ndarray or list of shape (n_rows,)
            As for `encode`.
        codes : ndarray of shape (n_rows,)
            What `encode` gave for it.

        Returns
        -------
        rows : ndarray of shape (n_unseen,)
            Where they are.
        which : ndarray of shape (n_unseen,)
            Position of each in `texts`.
        texts : list of str
            Each once.
        """
        rows, which, values = self._find_unseen(plain(column), codes)
        rows, which = rows[which >= 0], which[which >= 0]
        used, which = np.unique(which, return_inverse=True)
        cells = python_values(values[used])
        is_text = np.fromiter((isinstance(c, str) for c in cells), bool, len(cells))
        kept = is_text[which]
        place = np.cumsum(is_text) - 1
        return rows[kept], place[which[kept]], [c for c in cells if isinstance(c, str)]

    def _find_unseen(self, column, codes):
        """Rows of values that `learn` never saw, their positions among these values (-1: missing), the values."""
        rows = np.flatnonzero(codes == 0)
        column = take(column, rows)
        if len(self.infrequent):
            is_new = np.flatnonzero(self._rare_lookup.encode(column) == 0)
            rows, column = rows[is_new], take(column, is_new)
        return rows, *distinct(column)

    def _check_kind(self, column, codes):
        """Warn if values of another kind than the categories are to blame for being unknown."""
        lookup = self._lookup
        n_known = np.count_nonzero(codes)
        if lookup.missing_code:
            n_known -= np.count_nonzero(codes == lookup.missing_code)
        if n_known > _NEARLY_NONE * len(codes):
            return
        present, values = distinct(column)
        expected, got = _fine_kind(lookup.keys), _fine_kind(values)
        n_present = np.count_nonzero(present >= 0)
        is_told_apart = expected and got and expected != got and not {expected, got} <= _NUMBERS
        if not n_present or not is_told_apart:
            return
        warnings.warn(
            f"Column {self.name!r} held {expected}s in fit and holds {got}s now: {n_known} of its {n_present} values "
            f"are known categories. Convert the column to {expected}s, or fit on {got}s.",
            UserWarning,
            stacklevel=2,
        )

    @property
    def _lookup(self):
        if "_cached_lookup" not in self.__dict__:
            self._cached_lookup = _Lookup(self.categories, self.name)
        return self._cached_lookup

    @property
    def _rare_lookup(self):
        if "_cached_rare_lookup" not in self.__dict__:
            self._cached_rare_lookup = _Lookup(self.infrequent, self.name)
        return self._cached_rare_lookup


class _Lookup:
    """The way from values to codes; each table is made when a column first needs it."""

    def __init__(self, categories, name):
        self.name = name
        n = len(categories)
        self.missing_code = n if n and is_missing(categories[-1]) else 0
        keys = categories[: n - 1] if self.missing_code else categories
        if keys.dtype.kind in "bif" or (
            keys.dtype.kind == "u" and keys.max(initial=0) <= _INT64.max
        ):
            self.kind = "number"
        elif keys.dtype.kind in "Mm":
            self.kind = "time"
        else:
            keys = keys.astype(object, copy=False)
            is_text = pd.api.types.infer_dtype(keys, skipna=False) == "string"
            self.kind = "text" if is_text else "object"
        self.keys = keys

    def encode(self, column):
        """Return the codes of a Plain or Coded column."""
        if isinstance(column, Coded):
            if len(column.dictionary) > 2 * len(column.codes):
                return self.encode(without_long_dictionary(column))
            return self._join(column.codes, self.encode(column.dictionary))
        codes = self._encode_values(column.values)
        if column.missing is not None:
            codes[column.missing] = self.missing_code
        return codes

    def _encode_values(self, values):
        if is_arrow(values):
            return self._encode_arrow(values)
        kind = values.dtype.kind
        if kind in "biuf" and self.kind == "number":
            if len(values) < 32 and len(self.keys) < _FEW_KEYS:
                return self._encode_by_dict(values.astype(object))
            return self._encode_numbers(values)
        if kind in "Mm" and values.dtype == self.keys.dtype:
            codes = self._encode_integers(values.view(np.int64))
            codes[np.isnat(values)] = self.missing_code
            return codes
        if kind in "biufMm":
            return self._encode_distinct(Plain(values))
        if kind == "U":
            return self._encode_fixed_width(values)
        return self._encode_objects(values.astype(object, copy=False))

    def _join(self, codes, dictionary):
        # A code of -1 picks the last entry: missing.
        return np.append(dictionary, np.int32(self.missing_code)).take(codes, mode="wrap")

    def _is_small(self, n_rows):
        # Setting up a pass over all categories costs more than a few look-ups in a dict.
        return n_rows < 256 or 4 * n_rows < len(self.keys)

    # --- any objects -----------------------------------------------------------------------------

    @cached_property
    def _code_of(self):
        keys = python_values(self.keys)
        code_of = dict(zip(keys, range(1, len(keys) + 1)))
        if self.kind in ("time", "object"):
            # A day and its midnight are one moment, whichever of the two a column holds.
            for key, code in list(code_of.items()):
                if isinstance(key, date):
                    code_of.setdefault(_day_or_midnight(key), code)
        return code_of

    def _encode_objects(self, values):
        shared = by_identity(values)
        if shared is not None:
            try:
                return self.encode(shared)
            except ValueError:
                pass  # a cell without a hash: below, the message can tell its row
        if self.kind in ("text", "number") and not self._is_small(len(values)):
            typed = typed_objects(values)
            if typed is not None:
                return self.encode(typed)
        return self._encode_by_dict(values)

    def _encode_by_dict(self, values):
        try:
            try:
                codes = self._get_each(values)
            except TypeError:  # a cell without a hash, or a NumPy integer that met a Decimal
                codes = self._get_each(without_numpy_scalars(values))
        except TypeError as error:
            raise _unhashable(values, self.name, error) from error
        if self.missing_code:
            unknown = np.flatnonzero(codes == 0)
            if len(unknown):
                codes[unknown[pd.isna(values[unknown])]] = self.missing_code
        return codes

    def _get_each(self, values):
        found = map(self._code_of.get, values.tolist(), repeat(0))
        return np.fromiter(found, np.int32, len(values))

    def _encode_distinct(self, column):
        codes, values = distinct(column)
        return self._join(codes, self._encode_by_dict(object_array(python_values(values))))

    # --- text ------------------------------------------------------------------------------------

    @cached_property
    def _arrow_keys(self):
        return arrow_text(self.keys)  # None where Arrow cannot hold them

    def _encode_arrow(self, values):
        if self.kind != "text":
            return self._encode_distinct(Plain(values))
        if self._is_small(len(values)) or self._arrow_keys is None:
            return self._encode_by_dict(object_array(values.to_pylist()))
        codes = _index_in(values, self._arrow_keys.cast(values.type))
        if self.missing_code and values.null_count:
            codes[values.is_null().to_numpy(zero_copy_only=False)] = self.missing_code
        return codes

    def _encode_fixed_width(self, values):
        # The characters of NumPy's text are hashed where they lie; Python strings of them would
        # cost more than everything else.
        width = values.dtype.itemsize // 4
        pyarrow = import_pyarrow()
        if self.kind != "text" or self._is_small(len(values)) or pyarrow is None or not width:
            return self._encode_objects(values.astype(object))
        cells = characters(values)
        fits = np.fromiter(map(len, self.keys.tolist()), np.int64, len(self.keys)) <= width
        keys = characters(self.keys[fits].astype(f"U{width}"), width)
        if cells.max() < 256:  # one byte a character instead of four
            fits[fits] = keys.max(axis=1) < 256
            keys = keys[keys.max(axis=1) < 256].astype(np.uint8)
            cells = cells.astype(np.uint8)
        codes = _index_in(fixed_width(cells, pyarrow), fixed_width(keys, pyarrow))
        return np.append(np.int32(0), np.flatnonzero(fits).astype(np.int32) + 1).take(codes)

    # --- numbers and times -----------------------------------------------------------------------

    @cached_property
    def _whole_keys(self):
        if self.kind == "time":
            return self.keys.view(np.int64)
        keys, exact = _as_whole(self.keys)
        return keys if exact is None or exact.all() else None

    @cached_property
    def _span(self):
        """Lowest and highest key, and the codes of all numbers between, if they are dense."""
        keys = self._whole_keys
        if not len(keys):
            return 0, 0, np.zeros(3, dtype=np.int32)
        low, high = int(keys.min()), int(keys.max())
        if high - low > 4 * len(keys) + 1000 or low - 1 < _INT64.min or high + 1 > _INT64.max:
            return low, high, None
        codes = np.zeros(high - low + 3, dtype=np.int32)  # both ends stand for all beyond
        codes[keys - (low - 1)] = np.arange(1, len(keys) + 1)
        return low, high, codes

    @cached_property
    def _index(self):
        return pd.Index(
            self.keys.astype(np.float64) if self._whole_keys is None else self._whole_keys
        )

    def _encode_integers(self, values):
        low, high, codes = self._span
        if codes is None:
            return (self._index.get_indexer(values) + 1).astype(np.int32)
        return codes.take(np.clip(values, low - 1, high + 1) - (low - 1))

    def _encode_numbers(self, values):
        if self._whole_keys is None:
            numbers, exact = _as_float(values)
            codes = (self._index.get_indexer(numbers) + 1).astype(np.int32)
        else:
            numbers, exact = _as_whole(values)
            codes = self._encode_integers(numbers)
        if exact is not None:
            codes[~exact] = 0
        if self.missing_code and values.dtype.kind == "f":
            codes[np.isnan(values)] = self.missing_code
        return codes


def _as_whole(values):
    """Return numbers as int64, and where that is exact (None: everywhere)."""
    kind = values.dtype.kind
    if kind in "bi":
        return values.astype(np.int64, copy=False), None
    if kind == "u":
        exact = None if values.dtype.itemsize < 8 else values <= np.uint64(_INT64.max)
        return values.astype(np.int64), exact
    if values.dtype.itemsize < 4:  # float16 does not reach the bounds below
        values = values.astype(np.float32)
    with np.errstate(invalid="ignore"):
        whole = values.astype(np.int64)
        exact = (whole == values) & (values >= -(2.0**63)) & (values < 2.0**63)
    return whole, exact


def _as_float(values):
    """Return numbers as float64, and where that is exact (None: everywhere)."""
    numbers = values.astype(np.float64, copy=False)
    if values.dtype.kind in "bf" or values.dtype.itemsize < 8:
        return numbers, None
    with np.errstate(invalid="ignore"):
        # The highest integers round up to a power of two that the type no longer holds.
        exact = (numbers < float(np.iinfo(values.dtype).max)) & (
            numbers.astype(values.dtype) == values
        )
    return numbers, exact


_ROUGH_KINDS = {**dict.fromkeys("biuf", "number"), **dict.fromkeys("Mm", "time"), "U": "text"}
_DTYPES = {"b": "boolean", "i": "integer", "u": "integer", "f": "float", "M": "date"}
_WORDS = {"floating": "float", "datetime": "zoned time", "bytes": "byte"}  # for pandas' own
_NUMBERS = {"boolean", "integer", "float", "decimal"}  # 1, 1.0 and True are one category


def _rough_kind(column):
    """The kind of a Plain or Coded column as `_Lookup` calls it, its cells unread."""
    if isinstance(column, Coded):
        return _rough_kind(column.dictionary)
    values = column.values
    return "text" if is_arrow(values) else _ROUGH_KINDS.get(values.dtype.kind, "object")


def _fine_kind(values):
    """The kind of distinct values in a word; None if they are mixed or there are none."""
    if not len(values):
        return None
    if values.dtype.kind != "O":
        return _DTYPES.get(values.dtype.kind, "duration")
    kind = pd.api.types.infer_dtype(values, skipna=False)
    return None if kind.startswith(("mixed", "unknown")) else _WORDS.get(kind, kind)


def _warn_all_infrequent(name, min_frequency, largest, n_rows):
    warnings.warn(
        f"min_frequency={min_frequency} is above every count in column {name!r}, whose commonest value has {largest} "
        f"of {n_rows} rows. All its values share the unknown vector. Lower min_frequency or leave the column out.",
        UserWarning,
        stacklevel=2,
    )


def _index_in(values, categories):
    """Return 1 + the position of each value among the categories, 0 where it is not there."""
    codes = import_pyarrow().compute.index_in(values, value_set=categories)
    if codes.null_count:
        codes = codes.fill_null(-1)
    return np.add(codes.to_numpy(), 1, dtype=np.int32)


def _day_or_midnight(moment):
    """Return the day of a midnight, the midnight of a day, anything else as it is."""
    if not isinstance(moment, datetime):
        return datetime(moment.year, moment.month, moment.day)
    is_midnight = moment.tzinfo is None and pd.Timestamp(moment).normalize() == moment
    return moment.date() if is_midnight else moment


def _count(codes, n_values):
    """Return the rows of each value, then of the missing one."""
    counts = np.bincount(np.add(codes, 1, dtype=np.intp), minlength=n_values + 1)
    return np.roll(counts, -1).astype(np.int64, copy=False)


def _order(values, codes):
    """Return positions that sort `values`, or put them in order of first appearance."""
    text = arrow_text(values) if values.dtype == object and len(values) > 1000 else None
    if text is not None:  # UTF-8 sorts as Python does, by code points
        return import_pyarrow().compute.sort_indices(text).to_numpy().astype(np.intp)
    try:
        return np.argsort(values, kind="stable")
    except TypeError:
        first = pd.factorize(codes)[1]
        return first[first >= 0].astype(np.intp)


def _with_missing(values, has_missing):
    """Append the missing category: NaN, NaT, or None where the type has neither."""
    if not has_missing:
        return values
    kind = values.dtype.kind if len(values) else "O"
    if kind in "Mm":
        return np.append(values, np.array(["NaT"], dtype=values.dtype))
    is_exact = kind in "iu" and max(values.max(initial=0), -values.min(initial=0)) <= _EXACT
    if kind == "f" or is_exact:
        return np.append(values.astype(np.float64), np.nan)
    return np.append(values.astype(object), np.array([None], dtype=object))


def _unhashable(values, name, error):
    """Return the error that names the first cell which is no category; `error` if there is none."""
    for row, value in enumerate(values.tolist()):
        try:
            hash(value)
        except TypeError:
            return ValueError(
                f"Column {name!r} holds a {type(value).__name__} in row {row}, the first of its "
                "kind, but a category must be one hashable value such as a string or a number. "
                "Join the items into one string, or give each item a row (explode) or a column of "
                "its own."
            )
    return error
