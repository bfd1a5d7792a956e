"""What pictures and exports read from a fitted embedder: names as text, vectors, attributes.

Nothing here knows an estimator's class: whatever has `categories_`, `embeddings_` and
`categorical_features_` will do. An attribute is a fact about each entity, by which it is coloured.
"""

import sys
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from numbers import Integral

import numpy as np
from sklearn.exceptions import NotFittedError

MISSING = "(missing)"
EMPTY = "(empty)"
EXACT = 2**53  # float64 holds every whole number up to here
_JOINERS = "\u200c\u200d"  # they hold letters of many scripts and compound emoji together


@dataclass(frozen=True)
class Entities:
    """The entities of one embedded column.

    `keys` are the categories as they are, `names` the same as text; row i of `vectors` and entry
    i of `counts` (None where unknown) belong to entry i of both.
    """

    column: object
    keys: np.ndarray
    names: list
    vectors: np.ndarray
    counts: np.ndarray | None

    def __len__(self):
        return len(self.names)

    def take(self, rows):
        """The entities of some rows."""
        return replace(
            self,
            keys=self.keys[rows],
            names=[self.names[row] for row in rows],
            vectors=self.vectors[rows],
            counts=None if self.counts is None else self.counts[rows],
        )


@dataclass(frozen=True)
class Attribute:
    """One fact about each entity.

    Of kind "category": `values` are texts, the commonest first, and `codes` number them from 1,
    0 where it is missing. Of kind "number" or "date" (milliseconds since 1970): `values` is a
    float64 array with NaN where it is missing, and `codes` is None. `unit` is that of a duration.
    `integers` are whole numbers of which some are too large for float64, None where missing.
    """

    name: str
    kind: str
    values: list | np.ndarray
    codes: np.ndarray | None = None
    unit: str = ""
    integers: np.ndarray | None = None

    @property
    def title(self):
        """The name with the unit, for those who read."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def take(self, rows):
        """The attribute of some entities."""
        if self.codes is None:
            integers = None if self.integers is None else self.integers[rows]
            return replace(self, values=np.asarray(self.values)[rows], integers=integers)
        return category(self.name, self.values, self.codes[rows])


def read_entities(embedder, column=None):
    """The entities of a column of a fitted embedder, as `Entities`.

    Parameters
    ----------
    embedder : object
        Fitted: has `categories_`, `embeddings_`, `categorical_features_`, perhaps `counts_`.

    column : str or int, default=None
        Name or position as in `categorical_features_`. May be left out where one column is
        embedded, or for links, where it means the first.
    """
    place = _column_position(embedder, column)
    keys = np.asarray(embedder.categories_[place])
    counts = getattr(embedder, "counts_", None)
    return Entities(
        column=list(embedder.categorical_features_)[place],
        keys=keys,
        names=[name_of(key) for key in keys],
        vectors=np.asarray(embedder.embeddings_[place], dtype=np.float32),
        counts=None if counts is None else np.asarray(counts[place]),
    )


def _column_position(embedder, column):
    if not hasattr(embedder, "embeddings_"):
        if not hasattr(embedder, "kneighbors"):
            raise TypeError(
                f"Expected a fitted EntityEmbedder, got {type(embedder).__name__}. Pass a pipeline's step, or the "
                "attribute embedder_ of a classifier or regressor."
            )
        raise NotFittedError(
            f"This {type(embedder).__name__} is not fitted yet: call 'fit' before looking at it."
        )
    columns = list(embedder.categorical_features_)
    if column is None:
        if len(columns) == 1 or getattr(embedder, "interaction", None) == "dot":
            return 0
        raise ValueError(
            f"{len(columns)} columns are embedded: say which one with column=, one of {columns}."
        )
    if column not in columns:
        raise ValueError(f"Column {column!r} is not embedded: choose one of {columns}.")
    return columns.index(column)


def name_of(key):
    """A category as a text that is never blank."""
    if isinstance(key, str):
        return str(key) if key.strip() else EMPTY
    if is_missing(key):
        return MISSING
    if isinstance(key, float | np.floating) and float(key).is_integer():
        return str(int(key))
    if isinstance(key, datetime) and key.tzinfo is None:  # of pandas or of Python
        key = key.to_datetime64() if hasattr(key, "to_datetime64") else np.datetime64(key)
    if isinstance(key, np.datetime64):
        return str(np.datetime_as_string(key, unit="auto"))
    if isinstance(key, timedelta | np.timedelta64):  # NumPy tells a day in nanoseconds
        import pandas as pd

        return str(pd.Timedelta(key))
    return str(key)


def is_missing(key):
    """Whether a category stands for missing values: None, NaN, NaT or pandas' NA."""
    return key is None or type(key).__name__ in ("NAType", "NaTType") or bool(key != key)


def one_line(text, width=None):
    """A text without line breaks, tabs and control characters, cut to `width` characters."""
    text = "".join(c if c.isprintable() or c in _JOINERS else " " for c in text)
    text = " ".join(text.split())
    if width is not None and len(text) > width:
        text = text[: width - 1].rstrip() + "…"
    return text or EMPTY


# --- attributes --------------------------------------------------------------------------------


def read_attributes(metadata, entities):
    """Columns of a data frame as a list of `Attribute`, lined up with the entities.

    Parameters
    ----------
    metadata : data frame or None
        pandas, polars or another that narwhals reads. Rows are found by the column that has the
        name of the embedded column, else by the index. An entity without a row gets missing
        values; of several rows the first counts.

    entities : Entities
        Whom the rows belong to.
    """
    if metadata is None:
        return []
    frame = _as_pandas(metadata)
    if entities.column in frame.columns:
        frame = frame.set_index(entities.column)
    rows = _rows_of(frame.index, entities, "metadata")
    return [_attribute(str(name), frame.iloc[:, i], rows) for i, name in enumerate(frame.columns)]


def read_color(color, entities, attributes):
    """What to colour by, as an `Attribute` or None.

    `color` is the name of one of `attributes`, "count", a Series or dict by entity, or an array
    with a value per entity.
    """
    import pandas as pd

    if color is None:
        return None
    if isinstance(color, str):
        known = {attribute.name: attribute for attribute in attributes}
        if color not in known and color == "count" and entities.counts is not None:
            return Attribute("count", "number", entities.counts.astype(np.float64))
        if color not in known:
            raise ValueError(
                f"color={color!r} is no column of metadata: choose one of {sorted(known)}, or pass "
                "a Series indexed by entity."
            )
        return known[color]
    if isinstance(color, dict):
        color = pd.Series(color)
    name = "color"
    if not isinstance(color, pd.Series):  # of polars, say, it has a name but no index
        import narwhals.stable.v2 as nw

        series = nw.from_native(color, series_only=True, pass_through=True)
        if isinstance(series, nw.Series):
            name, color = series.name or name, _pandas_series(series).to_numpy()
    if isinstance(color, pd.Series):
        name = "color" if color.name is None else str(color.name)
        return _attribute(name, color, _rows_of(color.index, entities, "color"))
    if getattr(color, "dtype", None) is None:
        color = _objects(color)
    color = pd.Series(color, dtype=color.dtype)
    if len(color) != len(entities):
        raise ValueError(
            f"color has {len(color)} values for {len(entities)} entities: pass one for each, in "
            "the order of categories_, or a Series indexed by entity."
        )
    return _attribute(name, color, np.arange(len(color)))


def category(name, values, codes):
    """A categorical attribute whose values are sorted anew, the commonest first."""
    counts = np.bincount(codes, minlength=len(values) + 1)[1:]
    order = sorted(np.flatnonzero(counts), key=lambda i: (-counts[i], values[i]))
    renumber = np.zeros(len(values) + 1, dtype=np.int64)
    renumber[np.asarray(order, dtype=np.int64) + 1] = np.arange(1, len(order) + 1)
    return Attribute(name, "category", [values[i] for i in order], renumber[codes])


def _objects(values):
    """A list as an array of its items as they are: nothing is turned into text."""
    values = list(values)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _as_pandas(frame):
    import pandas as pd

    if isinstance(frame, pd.DataFrame):
        return frame
    if isinstance(frame, pd.Series):
        return frame.to_frame()
    import narwhals.stable.v2 as nw

    table = nw.from_native(frame, pass_through=True)
    if not isinstance(table, nw.DataFrame):
        collect = "Call collect() on it first." if isinstance(table, nw.LazyFrame) else ""
        raise TypeError(
            f"metadata must be a data frame in memory, got {type(frame).__name__}. {collect}".rstrip()
        )
    return pd.DataFrame({name: _pandas_series(table[name]) for name in table.columns})


def _pandas_series(series):
    """A narwhals Series as pandas has it, but for whole numbers, which a gap would make floats."""
    import pandas as pd

    cells = series.to_pandas()
    if series.dtype.is_integer() and series.null_count():
        return pd.Series(_objects(series.to_list()), index=cells.index)
    return cells


def _rows_of(index, entities, what):
    """Row of each entity in an index; -1 where it has none."""
    import pandas as pd

    keys = entities.keys
    if keys.dtype.kind == "M" and pd.api.types.infer_dtype(index) == "date":
        index = pd.to_datetime(index)  # days of Python, which pandas will soon tell from times
    first = np.flatnonzero(~index.duplicated())
    found = index[first].get_indexer(pd.Index(keys, dtype=keys.dtype))
    gone = np.flatnonzero(index[first].isna()) if index.nlevels == 1 else []
    if len(gone):  # None, NaN, NaT and NA are one category, whichever of them stands for it
        found[pd.isna(keys)] = gone[0]
    if len(entities) and len(index) and (found < 0).all():
        theirs, ours = list(index[:3]), list(entities.keys[:3])
        ways = "Use the entities as the index"
        if what == "metadata":
            ways += f", or give the frame a column named {entities.column!r}"
        raise ValueError(
            f"None of the {len(entities)} entities of column {entities.column!r} (such as {ours}) "
            f"is in the index of {what} (such as {theirs}). {ways}."
        )
    return np.where(found >= 0, first[found], -1) if len(first) else found


def _attribute(name, series, rows):
    import pandas as pd

    series = series.reset_index(drop=True).reindex(pd.Index(rows))
    kind, cells = _inferred(series)
    if kind == "date":
        return Attribute(name, "date", np.where(np.isnat(cells), np.nan, cells.astype(np.float64)))
    if kind == "duration":
        return _duration(name, cells)
    if kind == "number":
        numbers = cells.to_numpy(dtype=np.float64, na_value=np.nan)
        numbers = np.where(np.isfinite(numbers), numbers, np.nan)
        return Attribute(name, "number", numbers, integers=_integers(cells, numbers))
    missing = cells.isna().to_numpy()
    texts = ["" if gone else str(cell) for cell, gone in zip(cells, missing)]
    codes, values = pd.factorize(np.array([*texts, ""], dtype=object))  # "" is there for sure
    values = list(values)
    blanks = [place for place, value in enumerate(values) if not value.strip()]
    codes = np.where(np.isin(codes, blanks), 0, codes + 1)[:-1]
    return category(name, values, codes)


def _inferred(series):
    """What the cells of a column are, and the cells in a form that fits.

    "number" and "text" with a Series, "date" and "duration" with an array of milliseconds.
    """
    import pandas as pd
    from pandas.api import types

    if isinstance(series.dtype, pd.PeriodDtype):
        series = series.dt.to_timestamp()
    elif isinstance(series.dtype, pd.ArrowDtype) and series.dtype.type in (date, Decimal):
        series = series.astype(object)  # as which pandas knows them better
    kind = series.dtype
    if types.is_datetime64_any_dtype(kind):
        if getattr(kind, "tz", None) is not None:
            series = series.dt.tz_convert("UTC").dt.tz_localize(None)
        return "date", series.to_numpy(dtype="datetime64[ms]")
    if types.is_timedelta64_dtype(kind) or kind.kind == "m":
        return "duration", series.to_numpy(dtype="timedelta64[ms]")
    if types.is_numeric_dtype(kind) and not types.is_bool_dtype(kind) and kind.kind != "c":
        return "number", series
    if not types.is_object_dtype(kind):
        return "text", series
    found = types.infer_dtype(series, skipna=True)
    if found in ("integer", "decimal") and (series.dropna().abs() > sys.float_info.max).any():
        return "text", series
    if found in ("integer", "floating", "mixed-integer-float", "decimal"):
        return "number", series
    if found in ("datetime64", "datetime", "date", "period"):
        return "date", np.array([_instant(cell) for cell in series], dtype="datetime64[ms]")
    if found in ("timedelta", "timedelta64"):
        return "duration", pd.to_timedelta(series).to_numpy(dtype="timedelta64[ms]")
    return "text", series


def _instant(cell):
    """A date of any make as NumPy has it, in universal time; a period as its start."""
    if is_missing(cell):
        return np.datetime64("NaT", "ms")
    cell = getattr(cell, "start_time", cell)
    if getattr(cell, "tzinfo", None) is not None:
        cell = cell.astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(cell, "ms")


def _duration(name, cells):
    """Numbers of the largest unit of which the longest duration has two."""
    seconds = np.where(np.isnat(cells), np.nan, cells.astype(np.float64) / 1000)
    longest = np.nanmax(np.abs(seconds), initial=0)
    units = (("days", 86_400), ("hours", 3_600), ("minutes", 60), ("seconds", 1))
    unit, size = next(each for each in units if longest >= 2 * each[1] or each[1] == 1)
    return Attribute(name, "number", seconds / size, unit=unit)


def _integers(cells, numbers):
    """Whole numbers as they are, None where missing, if float64 cannot hold all of them."""
    if not (np.abs(numbers) > EXACT).any() or cells.dtype.kind == "f":
        return None
    items = [None if np.isnan(number) else cell for cell, number in zip(cells, numbers)]
    whole = (
        isinstance(item, Integral | Decimal) and item == item // 1
        for item in items
        if item is not None
    )
    if not all(whole):
        return None
    return _objects(None if item is None else int(item) for item in items)
