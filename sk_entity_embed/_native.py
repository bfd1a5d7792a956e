"""A column of any make as plain arrays."""

import sys

import numpy as np
import pandas as pd

KIND_NUMBER, KIND_TEXT, KIND_OTHER = "number", "text", "other"


def kind_of(column):
    dtype = getattr(column, "dtype", None)
    if isinstance(dtype, np.dtype):
        return KIND_NUMBER if dtype.kind in "iuf" else KIND_OTHER if dtype.kind in "Mm" else KIND_TEXT
    import narwhals as nw

    dtype = nw.from_native(column, series_only=True).dtype
    if dtype.is_numeric():
        return KIND_NUMBER
    return KIND_OTHER if dtype.is_temporal() else KIND_TEXT


def objects_of(column):
    if isinstance(column, np.ndarray):
        return column.astype(object)
    if isinstance(column, pd.Series):
        return column.astype(object).to_numpy()
    if hasattr(column, "to_pylist"):
        values = column.to_pylist()
    else:
        values = column.to_list()
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def numbers_of(column, name):
    try:
        values = objects_of(column)
        missing = pd.isna(values)
        out = np.full(len(values), np.nan, dtype=np.float32)
        if any(isinstance(v, (str, bytes)) for v in values):
            raise TypeError
        out[~missing] = values[~missing].astype(np.float32)
    except (TypeError, ValueError):
        raise ValueError(
            f"Column {name!r} is not numeric: it cannot be used as a number. "
            "Add it to categorical_features or convert it to numbers."
        ) from None
    return out
