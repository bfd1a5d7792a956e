"""Categories of one column and their codes.

Code 0 is for the unknown and the rare, codes 1 to n are for ``categories[code - 1]``. All kinds of
missing values (None, NaN, NaT, pd.NA, null) are one category, the last one.
"""

import numpy as np
import pandas as pd

from ._native import objects_of


class Vocabulary:
    def __init__(self, categories, counts, infrequent, name=None):
        self.categories = categories
        self.counts = counts
        self.infrequent = infrequent
        self.name = name

    @property
    def n_codes(self):
        return len(self.categories) + 1

    @classmethod
    def learn(cls, column, *, min_frequency=1, name=None):
        values = objects_of(column)
        codes, distinct = pd.factorize(values)
        counts = np.bincount(codes + 1, minlength=len(distinct) + 1)
        try:
            order = np.argsort(distinct)
        except TypeError:
            order = np.arange(len(distinct))
        values = list(distinct[order])
        rows = counts[1:][order]
        old = order.tolist()
        if counts[0]:
            values.append(None)
            rows = np.append(rows, counts[0])
            old.append(-1)
        least = min_frequency if min_frequency >= 1 else min_frequency * len(codes)
        kept = rows >= least
        table = np.zeros(len(distinct) + 1, dtype=np.int32)
        table[np.array(old, dtype=int)[kept]] = np.arange(1, kept.sum() + 1)
        cats = _typed([v for v, k in zip(values, kept) if k])
        rare = _typed([v for v, k in zip(values, kept) if not k])
        return cls(cats, rows[kept].astype(np.int64), rare, name), table[codes]

    def _index(self):
        if "_by_value" not in self.__dict__:
            self._by_value = {
                None if pd.isna(v) else v: i for i, v in enumerate(self.categories.tolist(), 1)
            }
        return self._by_value

    def encode(self, column):
        return self.lookup(objects_of(column).tolist())

    def lookup(self, values):
        index = self._index()
        return np.array([index.get(None if pd.isna(v) else v, 0) for v in values], dtype=np.int32)

    def unseen(self, column, limit=5):
        values = objects_of(column)
        known = {None if pd.isna(v) else v for v in self.infrequent.tolist()}
        out = []
        for v in values[self.encode(column) == 0].tolist():
            v = None if pd.isna(v) else v
            if v not in known and v not in out:
                out.append(v)
        return out[:limit]

    def __getstate__(self):
        return {k: v for k, v in self.__dict__.items() if not k.startswith("_")}


def _typed(values):
    out = np.empty(len(values), dtype=object)
    out[:] = values
    kinds = {type(v) for v in values}
    if kinds and kinds <= {int, np.int64}:
        return out.astype(np.int64)
    if kinds and kinds <= {bool, np.bool_}:
        return out.astype(bool)
    if kinds and kinds <= {float, int, type(None), np.float64, np.int64} and len(kinds - {type(None)}):
        return np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    return out
