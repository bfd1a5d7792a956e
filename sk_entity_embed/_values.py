"""Single values of numbers as codes: a number may be a code itself, or each price or minute have its own story."""

from dataclasses import dataclass

import numpy as np

from ._rows import most_frequent

# What makes values worth a look: so many that recur, in such a share of the rows.
MIN_VALUES, MIN_COUNT, MIN_COVERAGE = 2, 2, 0.2
MAX_VALUES = 1 << 18  # of a number, the most frequent ones


@dataclass(frozen=True)
class Values:
    """The known values of some numbers.

    Attributes
    ----------
    numbers : ndarray of shape (n_columns,), int64
        Positions among the numeric columns.
    known : list of ndarray of shape (n_known,), float32 or float64
        Sorted; NaN, if some were missing in training, is the last.
    """

    numbers: np.ndarray
    known: list

    def __len__(self):
        return len(self.numbers)

    @property
    def n_codes(self):
        """Codes of each number: its values, and 0 for unknown."""
        return [len(known) + 1 for known in self.known]

    def check(self, n_numeric):
        """Raise an error if the arrays do not fit together, as those of a damaged file may not."""
        fits = len(self.known) == len(self.numbers) and all(
            0 <= j < n_numeric and known.ndim == 1 and len(known)
            for j, known in zip(self.numbers, self.known)
        )
        if not fits:
            raise ValueError(f"values {[k.shape for k in self.known]} of numbers {self.numbers}")

    def encode(self, numeric):
        """Codes of the values in each row.

        Parameters
        ----------
        numeric : ndarray of shape (n_rows, n_numeric), float32 or float64
            As they came, NaN where missing.

        Returns
        -------
        codes : ndarray of shape (n_rows, n_columns), int32
            0 where a value is unknown, else its position and 1.
        """
        out = np.zeros((len(numeric), len(self)), dtype=np.int32)
        for i, (j, known) in enumerate(zip(self.numbers, self.known)):
            values = numeric[:, j]
            place = np.searchsorted(known, values).clip(max=len(known) - 1)
            found = known[place]
            is_known = (found == values) | (np.isnan(found) & np.isnan(values))
            out[:, i] = np.where(is_known, place + 1, 0)
        return out

    def only(self, places):
        """The values of some of the numbers."""
        return Values(self.numbers[places], [self.known[i] for i in places])


def no_values():
    """Of no number."""
    return Values(np.empty(0, dtype=np.int64), [])


def learn_values(numeric):
    """The values of the numbers whose values recur.

    Parameters
    ----------
    numeric : ndarray of shape (n_rows, n_numeric), float32 or float64
        As they came.

    Returns
    -------
    values : Values
    """
    numbers, all_known = [], []
    for j, column in enumerate(numeric.T):
        known, counts = np.unique(column, return_counts=True)
        recurs = (counts >= MIN_COUNT) & ~np.isnan(known)
        if recurs.sum() < MIN_VALUES or counts[recurs].sum() < MIN_COVERAGE * len(numeric):
            continue
        if len(known) > MAX_VALUES:
            known = known[most_frequent(counts, MAX_VALUES)]
        numbers.append(j)
        all_known.append(known)
    return Values(np.array(numbers, dtype=np.int64), all_known)
