"""Crossed pairs of columns: what two categories say together and neither says alone.

Each pair of columns gets one more column, whose categories are their combinations. A pair of a column with itself has
its single codes. Their vectors are learned after those of the columns, which stay as they are: effects that a body may
use as it uses vectors. Whether a combination is kept depends on counts alone, never on labels.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ._rows import most_frequent, some_rows

MAX_PAIRS = 64
MAX_COMBINATIONS = 1 << 18  # of one pair, the most frequent ones
MAX_CELLS = 1 << 28  # rows times pairs: 1 GiB of codes
MIN_COUNT = 2  # rows of a combination: seen once, it is new outside its fold
MIN_COVERAGE = 0.2  # share of the rows whose combination has so many
# A pair with hardly more combinations than one of its columns has categories says what that column says.
MIN_GAIN = 1.05
_ROWS_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class Pairs:
    """The chosen pairs and their combinations.

    A combination's key is ``first_key + left code * n_right + right code``, so that the keys of all pairs are distinct
    and one look-up serves them all.

    Attributes
    ----------
    left, right : ndarray of shape (n_pairs,), int64
        Positions of the two columns.
    n_right : ndarray of shape (n_pairs,), int64
        Codes of the second column, the unknown code included.
    first_key : ndarray of shape (n_pairs,), int64
    start : ndarray of shape (n_pairs + 1,), int64
        Keys of pair ``p`` are ``keys[start[p] : start[p + 1]]``.
    keys : ndarray of shape (n_combinations,), int64
        Sorted.
    """

    left: np.ndarray
    right: np.ndarray
    n_right: np.ndarray
    first_key: np.ndarray
    start: np.ndarray
    keys: np.ndarray

    def __len__(self):
        return len(self.left)

    @property
    def n_codes(self):
        """Codes of each pair: its combinations, and 0 for unknown."""
        return (np.diff(self.start) + 1).tolist()

    def encode(self, codes):
        """Codes of the combinations in each row.

        Parameters
        ----------
        codes : ndarray of shape (n_rows, n_columns), int32

        Returns
        -------
        pair_codes : ndarray of shape (n_rows, n_pairs), int32
            0 where a combination is unknown, else its position in the pair and 1.
        """
        out = np.zeros((len(codes), len(self)), dtype=np.int32)
        if not len(self.keys):
            return out
        for first in range(0, len(codes), _ROWS_AT_ONCE):
            rows = slice(first, first + _ROWS_AT_ONCE)
            wanted = (
                codes[rows, self.left] * self.n_right + codes[rows, self.right] + self.first_key
            )
            place = np.searchsorted(self.keys, wanted).clip(max=len(self.keys) - 1)
            found = self.keys[place] == wanted
            out[rows] = np.where(found, place - self.start[:-1] + 1, 0)
        return out


def pairs_by_counts(codes, n_codes, max_pairs=MAX_PAIRS):
    """Choose pairs of columns by their counts.

    Parameters
    ----------
    codes : ndarray of shape (n_rows, n_columns), int32
        0 is unknown.
    n_codes : list of int
        Per column, the unknown code included.
    max_pairs : int
        The pairs with the most combinations are kept: few combinations the body learns by itself.

    Returns
    -------
    chosen : list of tuple of int
        Positions of the columns of each pair.
    """
    max_pairs = min(max_pairs, MAX_CELLS // max(1, len(codes)))
    sizes = find_pairs(codes, n_codes) if max_pairs else {}
    return sorted(sorted(sizes, key=lambda pair: (-sizes[pair], pair))[:max_pairs])


def find_pairs(codes, n_codes):
    """Pairs of columns whose combinations recur and are more than the categories of either.

    Parameters
    ----------
    codes : ndarray of shape (n_rows, n_columns), int32
    n_codes : list of int

    Returns
    -------
    sizes : dict of tuple of int to int
        By pair, the combinations of `MIN_COUNT` rows or more.
    """
    n_columns = codes.shape[1]
    candidates = list(combinations(range(n_columns), 2))
    if not candidates:
        return {}
    # Counting is bounded too: of very many cells some rows have to do for the choice.
    sample = some_rows(codes, max(1, MAX_CELLS // len(candidates)))
    n_used = [len(np.unique(sample[:, c])) for c in range(n_columns)]
    sizes = {}
    for i, j in candidates:
        counts = _count(sample, i, j, n_codes)[1]
        kept = counts[counts >= MIN_COUNT]
        is_new = len(counts) > MIN_GAIN * max(n_used[i], n_used[j])
        if is_new and kept.sum() >= MIN_COVERAGE * len(sample):
            sizes[i, j] = len(kept)
    return sizes


def collect_pairs(codes, n_codes, chosen, min_counts):
    """The combinations of some pairs of columns.

    Parameters
    ----------
    codes : ndarray of shape (n_rows, n_columns), int32
    n_codes : list of int
    chosen : list of tuple of int
        Positions of the columns of each pair.
    min_counts : list of int
        Rows that a combination of each must have.

    Returns
    -------
    pairs : Pairs
    """
    left, right = np.array(chosen, dtype=np.int64).reshape(-1, 2).T
    n_right = np.asarray(n_codes, dtype=np.int64)[right]
    n_keys = np.asarray(n_codes, dtype=np.int64)[left] * n_right
    first_key = np.cumsum(n_keys) - n_keys
    keys = []
    for (i, j), first, least in zip(chosen, first_key, min_counts):
        own, counts = _count(codes, i, j, n_codes)
        own, counts = own[counts >= least], counts[counts >= least]
        if len(own) > MAX_COMBINATIONS:
            own = own[most_frequent(counts, MAX_COMBINATIONS)]
        keys.append(own + first)
    start = np.cumsum([0, *(len(k) for k in keys)])
    keys = np.concatenate([*keys, np.empty(0, np.int64)])
    return Pairs(left, right, n_right, first_key, start, keys)


def no_pairs():
    """Pairs, none of them."""
    none = np.empty(0, np.int64)
    return Pairs(none, none, none, none, np.zeros(1, np.int64), none)


def combine(codes, i, j, n_codes):
    """The combination of two columns in each row, ``left code * n_right + right code``, int64."""
    return codes[:, i] * np.int64(n_codes[j]) + codes[:, j]


def _count(codes, i, j, n_codes):
    """Distinct combinations of two columns, and their counts."""
    keys = combine(codes, i, j, n_codes)
    n_possible = n_codes[i] * n_codes[j]
    if n_possible <= 4 * len(keys):  # counting into an array beats sorting
        counts = np.bincount(keys, minlength=n_possible)
        distinct = np.flatnonzero(counts)
        return distinct, counts[distinct]
    return np.unique(keys, return_counts=True)
