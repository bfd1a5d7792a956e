"""How far numbers deviate from the mean of their category, for those that a category nearly determines. No torch."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import rankdata

from ._cross_fitting import find_in_folds
from ._numeric import learn_scaling, scale
from ._rows import draw_by_weight

# Share of a number's variance that a category must explain. If it explains less, the network sees the deviations well
# enough from the number and the category's vector.
MIN_EXPLAINED = 0.9
# Share of the target's variance within categories that the deviations must explain, and its F statistic. Where they
# explain less, a further input may cost more than it tells: with grades and years, of a share of .036, the predictor
# loses .004 (R2 of "egsingle", benchmarks/bench_quality.py).
MIN_SHARE, MIN_F = 0.05, 25.0
N_BINS = (
    16  # into which deviations are divided evenly, so that they need not count in a straight line
)
N_JUDGED = 1 << 14  # rows drawn to judge by, at most
MIN_FREE = 30  # degrees of freedom within categories
_ROUNDING = 1e-8  # share of a number's variance that may be rounding errors


@dataclass(frozen=True)
class Deviations:
    """Numbers that the network reads once more, less the mean of their category.

    Attributes
    ----------
    columns, numbers : ndarray of shape (n_deviations,), int64
        Positions of the category and of the number of each, among the embedded columns and the numeric ones.
    means : list of ndarray of shape (n_codes,), float32
        For each the mean of the scaled number by the category's code.
    counts : list of ndarray of shape (n_codes,), float32
        The weight of the training rows behind that, 1 for an ordinary row; 0 for code 0, whose rows have nothing in
        common.
    scaling : dict
        Of the deviations, as `scale` takes it.
    """

    columns: np.ndarray
    numbers: np.ndarray
    means: list
    counts: list
    scaling: dict

    def check(self, n_codes, n_numeric):
        """Raise an error if the arrays do not fit together, as those of a damaged file may not."""
        n = len(self.columns)
        expected = [(n_codes[c],) for c in self.columns]
        fits = (
            self.columns.shape == self.numbers.shape == (n,)
            and all(c >= 0 and 0 <= j < n_numeric for c, j in zip(self.columns, self.numbers))
            and [m.shape for m in self.means] == [m.shape for m in self.counts] == expected
            and len(self.scaling["center"]) == n
        )
        if not fits:
            raise ValueError(f"deviations of categories {self.columns} and numbers {self.numbers}")

    def append(self, scaled, numeric, codes):
        """The numbers of new rows with their deviations behind them.

        Parameters
        ----------
        scaled : ndarray of shape (n_rows, n_scaled), float32
            From `scale`: the numbers, then marks of missing ones.
        numeric : ndarray of shape (n_rows, n_numeric), float32 or float64
            As they came, NaN where missing.
        codes : ndarray of shape (n_rows, n_embedded)

        Returns
        -------
        inputs : ndarray of shape (n_rows, n_scaled + n_deviations), float32
            A deviation is 0 where the category is unknown or the number missing.
        """
        if not len(self.columns):
            return scaled
        deviations, counts = self._subtract(scaled, numeric, codes)
        # A training row is part of its mean m of n rows. As part of it, x is x - (n m + x) / (n + 1) from the new mean.
        deviations *= counts / (counts + 1)
        return np.hstack([scaled, scale(deviations, self.scaling)])

    def append_trained(self, table, numeric):
        """The same of the rows behind the means, each of which is part of its own.

        A category whose rows all lie in one fold is as new to that fold as an unknown one, and so deviates by nothing.

        Parameters
        ----------
        table : TrainingTable
            With the scaled numbers.
        numeric : ndarray of shape (n_rows, n_numeric), float32 or float64
        """
        if not len(self.columns):
            return table.numeric
        deviations = self._deviate_trained(table, numeric)
        return np.hstack([table.numeric, scale(deviations, self.scaling)])

    def _deviate_trained(self, table, numeric):
        deviations, _ = self._subtract(table.numeric, numeric, table.codes)
        for i, c in enumerate(self.columns):
            deviations[~_is_known(table.codes[:, c], table.fold), i] = 0.0
        return deviations

    def _subtract(self, scaled, numeric, codes):
        """Numbers less their means, and the weights behind these, both of shape (n_rows, n_deviations)."""
        shape = (len(scaled), len(self.columns))
        deviations, counts = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        for i, (c, j) in enumerate(zip(self.columns, self.numbers)):
            mean, count = self.means[i], self.counts[i]
            # Codes beyond the categories are of new texts, of which only the group is known.
            code = np.where(codes[:, c] < len(mean), codes[:, c], 0)
            counts[:, i] = count[code]
            known = (counts[:, i] > 0) & ~np.isnan(numeric[:, j])
            deviations[known, i] = scaled[known, j] - mean[code[known]]
        return deviations, counts


def read_numbers(columns, scaling, deviations):
    """The numbers of new rows as the network reads them.

    Parameters
    ----------
    columns : Columns
    scaling : dict
        Of the numbers, as `scale` takes it.
    deviations : Deviations

    Returns
    -------
    inputs : ndarray of shape (n_rows, n_inputs), float32
    """
    return deviations.append(scale(columns.numeric, scaling), columns.numeric, columns.codes)


def no_deviations():
    """None at all."""
    none = np.empty(0, dtype=np.int64)
    return Deviations(none, none, [], [], learn_scaling(np.empty((1, 0), dtype=np.float32)))


def learn_deviations(table, numeric, n_codes):
    """Find numbers that a category nearly determines and whose deviations tell of the target.

    Of a panel's populations the country tells nearly all; what tells of the year is the little that is left, too little
    to be seen on a scale where countries lie far apart. So it becomes a number of its own, as in the within
    transformation of panel data [1]_. The usual price of an item and a discount are another case.

    Which numbers these are all labels decide, those of a row's own fold included; means have seen no label.

    Parameters
    ----------
    table : TrainingTable
        With the scaled numbers.
    numeric : ndarray of shape (n_rows, n_numeric), float32 or float64
        As they came.
    n_codes : list of int
        Per column.

    Returns
    -------
    deviations : Deviations

    References
    ----------
    .. [1] Mundlak, Y. (1978). On the pooling of time series and cross section data. Econometrica 46(1).
       :doi:`10.2307/1913646`
    """
    pairs = _choose(table, numeric)
    if not pairs:
        return no_deviations()
    means, counts = [], []
    for c, j in pairs:
        present = (table.codes[:, c] > 0) & ~np.isnan(numeric[:, j])
        code, values = table.codes[present, c], table.numeric[present, j].astype(np.float64)
        weight = table.weights(present)
        count = np.bincount(code, weight, n_codes[c])
        total = np.bincount(code, weight * values, n_codes[c])
        means.append((total / np.where(count > 0, count, 1)).astype(np.float32))
        counts.append(count.astype(np.float32))
    columns, numbers = np.array(pairs, dtype=np.int64).T
    found = replace(no_deviations(), columns=columns, numbers=numbers, means=means, counts=counts)
    deviations = found._deviate_trained(table, numeric)
    deviations[deviations == 0] = np.nan  # of what is unknown, which would narrow the scale
    scaling = learn_scaling(deviations)
    return replace(found, scaling={**scaling, "had_missing": np.zeros(len(pairs), dtype=bool)})


def _choose(table, numeric):
    """The positions of category and number of each deviation."""
    if not numeric.shape[1]:  # of many rows, what follows takes a while
        return []
    n_drawn = min(table.n_rows, N_JUDGED)
    rows = np.sort(draw_by_weight(np.random.default_rng(0), table.n_rows, table.weight, n_drawn))
    # Numbered anew, so that nothing is as long as the categories are many.
    columns = [np.unique(c[rows], return_inverse=True)[1] for c in table.codes.T]
    known = [_is_known(c, table.fold)[rows] for c in table.codes.T]
    values, target = table.numeric[rows].astype(np.float64), table.target[rows].astype(np.float64)
    pairs = []
    for j in range(numeric.shape[1]):
        present = ~np.isnan(numeric[rows, j])
        explained = [
            _judge(values[used, j], column[used], target[used])
            for column, used in zip(columns, (present & k for k in known))
        ]
        if max(explained, default=0.0) > 0:
            pairs.append((int(np.argmax(explained)), j))
    return pairs


def _is_known(codes, fold):
    """Whether each training row's category is one, and is known outside the row's fold."""
    if fold is None:
        return codes > 0
    is_spread = find_in_folds(codes, fold, codes.max() + 1).sum(axis=0) > 1
    is_spread[0] = False
    return is_spread[codes]


def _judge(values, codes, target):
    """The share of a number's variance that a category explains, or 0 where its deviations are not worth having.

    Within categories the target, less its means, is compared among bins of the deviations by an analysis of variance.
    Of several outputs the sums of squares are added up, so no single one need be explained clearly.
    """
    if not len(values):
        return 0.0
    categories = _Groups(codes)
    n_free = len(values) - categories.n
    if n_free < MIN_FREE:
        return 0.0
    deviations = values - categories.mean(values)
    within, variance = deviations @ deviations / n_free, values.var(ddof=1)
    if not _ROUNDING * variance < within <= (1 - MIN_EXPLAINED) * variance:
        return 0.0
    bins = _Groups((rankdata(deviations) * (N_BINS / (len(values) + 1))).astype(np.int64))
    explained = unexplained = 0.0
    for y in target.T:
        y = y - categories.mean(y)
        fitted = bins.mean(y)
        explained += fitted @ fitted
        unexplained += y @ y - fitted @ fitted
    n_steps = bins.n - 1
    n_left = n_free - n_steps
    if n_steps < 1 or n_left < 1 or explained + unexplained <= 0:
        return 0.0
    share = explained / (explained + unexplained) - n_steps / n_free
    # The F statistic, (explained / n_steps) / (unexplained / n_left); nothing may be left unexplained.
    is_clear = explained * n_left > MIN_F * unexplained * n_steps
    return 1 - within / variance if share > MIN_SHARE and is_clear else 0.0


class _Groups:
    """Rows by a small integer."""

    def __init__(self, place):
        self._place, self._count = place, np.bincount(place)
        self.n = np.count_nonzero(self._count)

    def mean(self, values):
        """For each row the mean over its group."""
        sums = np.bincount(self._place, values)
        return (sums / np.maximum(self._count, 1))[self._place]
