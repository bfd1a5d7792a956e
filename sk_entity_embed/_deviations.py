"""Numbers of which a category tells nearly all: how far a row's lies from the mean of its category. No torch."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import rankdata

from ._numeric import learn_scaling, scale
from ._rows import draw_rows

# A category must tell this share of a number's variance: what is left of less is seen well enough beside the vector.
MIN_TOLD = 0.9
# What is left must tell this share of the target's variance within categories, and clearly. Of tables where it tells
# less some lose by it (benchmarks/bench_quality.py; grades and years of "egsingle", .004 R2 with a share of .036).
MIN_SHARE, MIN_F = 0.05, 25.0
N_BINS = 16  # equally many rows each, among which the target is compared
N_JUDGED = 1 << 14  # rows that tell all that
MIN_FREE = 30  # rows more than categories
_NO_REST = 1e-8  # share of a number's variance that is rounding errors


@dataclass(frozen=True)
class Deviations:
    """Which numbers are told by their deviations, too, and from what.

    Attributes
    ----------
    columns, numbers : ndarray of shape (n_deviations,), int64
        Positions of the category and of the number of each, among the embedded columns and the numeric ones.
    means : list of ndarray of shape (n_codes,), float32
        For each the mean of the scaled number by the category's code.
    counts : list of ndarray of shape (n_codes,), float32
        Training rows behind that.
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
        lengths = [n_codes[c] for c in self.columns]
        fits = (
            self.columns.shape == self.numbers.shape == (n,)
            and all(c >= 0 and 0 <= j < n_numeric for c, j in zip(self.columns, self.numbers))
            and [len(m) for m in self.means] == [len(m) for m in self.counts] == lengths
            and len(self.scaling["center"]) == n
        )
        if not fits:
            raise ValueError(f"deviations of categories {self.columns} and numbers {self.numbers}")

    def append(self, scaled, numeric, codes, are_trained=False):
        """The scaled numbers with the deviations behind them.

        Parameters
        ----------
        scaled : ndarray of shape (n_rows, n_scaled), float32
            From `scale`, the numbers first.
        numeric : ndarray of shape (n_rows, n_numeric), float32
            As they came, NaN where missing.
        codes : ndarray of shape (n_rows, n_embedded)
        are_trained : bool, default=False
            Whether these rows are among those behind the means. The mean of a new row's category is taken with the row
            itself as well, as the means of training rows are, so that a category of few rows deviates no more.

        Returns
        -------
        inputs : ndarray of shape (n_rows, n_scaled + n_deviations), float32
        """
        if not len(self.columns):
            return scaled
        apart = self._tell(scaled, numeric, codes, are_trained)
        return np.hstack([scaled, scale(apart, self.scaling)])

    def _tell(self, scaled, numeric, codes, are_trained):
        """The deviations as they are, 0 where the number is missing or the category unknown."""
        apart = np.zeros((len(scaled), len(self.columns)), dtype=np.float32)
        for i, (c, j) in enumerate(zip(self.columns, self.numbers)):
            mean, count = self.means[i], self.counts[i]
            code = codes[:, c]
            code = np.where(code < len(mean), code, 0)  # those of groups of texts are larger
            present = ~np.isnan(numeric[:, j])
            apart[present, i] = scaled[present, j] - mean[code[present]]
            if not are_trained:
                apart[:, i] *= count[code] / (count[code] + 1)
        return apart


def no_deviations():
    """None at all."""
    none = np.empty(0, dtype=np.int64)
    return Deviations(none, none, [], [], learn_scaling(np.empty((1, 0), dtype=np.float32)))


def learn_deviations(scaled, numeric, codes, n_codes, target):
    """Find the numbers whose deviations tell of the target, each with the category that tells most of it.

    Of a panel's populations the country tells nearly all; what tells of the year is the little that is left, too little
    to be seen on a scale where countries lie far apart. So it becomes a number of its own, as in the within
    transformation of panel data [1]_. The usual price of an item and a discount are another case.

    Parameters
    ----------
    scaled, numeric, codes
        Training rows, as in `Deviations.append`.
    n_codes : list of int
        Per column.
    target : ndarray of shape (n_rows, n_outputs), float32

    Returns
    -------
    deviations : Deviations

    References
    ----------
    .. [1] Mundlak, Y. (1978). On the pooling of time series and cross section data. Econometrica 46(1).
       :doi:`10.2307/1913646`
    """
    pairs = _choose(scaled, numeric, codes, target)
    if not pairs:
        return no_deviations()
    means, counts = [], []
    for c, j in pairs:
        present = ~np.isnan(numeric[:, j])
        code = codes[present, c]
        count = np.bincount(code, minlength=n_codes[c])
        total = np.bincount(code, scaled[present, j], n_codes[c])
        means.append((total / np.maximum(count, 1)).astype(np.float32))
        counts.append(count.astype(np.float32))
    columns, numbers = np.array(pairs, dtype=np.int64).T
    found = replace(no_deviations(), columns=columns, numbers=numbers, means=means, counts=counts)
    return replace(found, scaling=learn_scaling(found._tell(scaled, numeric, codes, True)))


def _choose(scaled, numeric, codes, target):
    """The positions of category and number of each deviation."""
    some, pairs = draw_rows(len(codes), N_JUDGED), []
    # Numbered anew, so that nothing is as long as the categories are many.
    columns = [np.unique(codes[some, c], return_inverse=True)[1] for c in range(codes.shape[1])]
    for j in range(numeric.shape[1]):
        values = scaled[some, j].astype(np.float64)
        present = ~np.isnan(numeric[some, j])
        told = [_judge(values[present], c[present], target[some[present]]) for c in columns]
        if max(told, default=0.0) > 0:
            pairs.append((int(np.argmax(told)), j))
    return pairs


def _judge(values, codes, target):
    """The share of a number's variance that a category tells, or 0 where its deviation is not worth having."""
    of_category = _Groups(codes)
    n_free = len(values) - of_category.n
    if n_free < MIN_FREE:
        return 0.0
    apart = values - of_category.mean(values)
    left, variance = apart @ apart / n_free, values.var(ddof=1)
    if not _NO_REST * variance < left <= (1 - MIN_TOLD) * variance:
        return 0.0
    of_bin = _Groups((rankdata(apart) * (N_BINS / (len(apart) + 1))).astype(np.int64))
    explained = unexplained = 0.0
    for y in target.T.astype(np.float64):
        y = y - of_category.mean(y)
        told = of_bin.mean(y)
        explained += told @ told
        unexplained += y @ y - told @ told
    n_steps = of_bin.n - 1
    n_left = n_free - n_steps
    if n_steps < 1 or n_left < 1 or explained + unexplained <= 0:
        return 0.0
    share = explained / (explained + unexplained) - n_steps / n_free
    is_clear = (
        explained * n_left > MIN_F * unexplained * n_steps
    )  # the F statistic of an analysis of variance
    return 1 - left / variance if share > MIN_SHARE and is_clear else 0.0


class _Groups:
    """Rows by a small integer."""

    def __init__(self, place):
        self._place, self._count = place, np.bincount(place)
        self.n = np.count_nonzero(self._count)

    def mean(self, values):
        """For each row the mean over its group."""
        sums = np.bincount(self._place, values)
        return (sums / np.maximum(self._count, 1))[self._place]
