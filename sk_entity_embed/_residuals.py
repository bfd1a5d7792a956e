"""What a trained network leaves to be told by two columns together, or by single values of a number. No torch."""

import numpy as np

from ._cross_fitting import ask_out_of_fold
from ._pairs import MAX_CELLS, combine, find_pairs
from ._rows import draw_rows
from ._target import mean_of

# Share of the squared residuals that effects must take off rows of other folds. Chance makes these larger.
LEAST_GAIN = 0.002
# And standard errors by which effects must go with residuals, at least; more where more pairs are tried.
LEAST_Z = 2.0
PRIOR_ROWS = 10.0  # the mean residual of so many rows is halved
# Values of a number. Fewer are left to waves and lines, unless beside another column.
MIN_SINGLES = 10
MAX_CHOSEN = 16
N_JUDGED = 1 << 17  # rows that tell, at most
_LARGEST = 1 << 26  # rows times outputs times pairs that are tried


def choose_pairs(network, table, numeric, values, spec):
    """Choose pairs of columns, and numbers, whose effects would explain what the network does not.

    Each row has a prediction of a body that has not seen its label. The residuals of these are averaged over the rows
    of equal combinations in all folds but a row's own, and taken off the row's: where that makes them smaller, there is
    something to learn that the network could not read off vectors and numbers. One pair after the other is chosen, each
    by what those before have left, as in boosting [1]_ and in the choice of interactions for additive models [2]_;
    first single values of numbers, then combinations.

    Parameters
    ----------
    network : TrainedNetwork
        With fold tables.
    table : TrainingTable
        The rows that it was trained on.
    numeric : ndarray of shape (n_rows, n_numeric), float32 or float64
        Their numbers as they came.
    values : Values
        Of the numbers that may be chosen.
    spec : NetworkSpec
        Of the network.

    Returns
    -------
    chosen : list of tuple of int
        Positions of the columns of each pair, those of `values` behind those of `table`. A number's single values are a
        pair of it with itself.

    References
    ----------
    .. [1] Friedman, J. H. (2001). Greedy function approximation: a gradient boosting machine. The Annals of Statistics
       29(5). :doi:`10.1214/aos/1013203451`
    .. [2] Lou, Y., Caruana, R., Gehrke, J. and Hooker, G. (2013). Accurate intelligible models with pairwise
       interactions. KDD. :doi:`10.1145/2487575.2487579`
    """
    n_columns = table.codes.shape[1]
    n_all = n_columns + len(values)
    n_tried = spec.n_outputs * (len(values) + n_all * (n_all - 1) // 2)
    rows = draw_rows(table.n_rows, max(1, min(N_JUDGED, _LARGEST // max(1, n_tried))))
    codes = np.hstack([table.codes[rows], values.encode(numeric[rows])])
    n_codes = [*spec.n_codes, *values.n_codes]
    left = _Residuals(network, table, rows, spec)
    singles = [(c, c) for c in range(n_columns, n_all) if n_codes[c] > MIN_SINGLES]
    at_most, chosen = min(MAX_CHOSEN, MAX_CELLS // table.n_rows), []
    for candidates in (singles, find_pairs(codes, n_codes)):
        keys = {pair: _key(codes, n_codes, *pair) for pair in candidates}
        chosen += left.choose(keys, at_most - len(chosen))
    return chosen


def _key(codes, n_codes, i, j):
    """The combination of two columns in each row, as small integers."""
    if i == j:
        return codes[:, i]
    key = np.unique(combine(codes, i, j, n_codes), return_inverse=True)[1]
    return key.astype(np.int32)  # thousands of pairs may be held


class _Residuals:
    """What is left to explain of the target in some rows: minus the gradient of the loss by the raw outputs."""

    def __init__(self, network, table, rows, spec):
        target, self.fold = table.target[rows], table.fold[rows]
        self.n_folds = int(self.fold.max()) + 1
        self.weight = table.weights(rows)
        raw = ask_out_of_fold(network, table.codes[rows], table.numeric[rows], self.fold)
        if spec.loss == "quantile":
            self.values = spec.quantile - (target < raw)
        else:
            self.values = target - mean_of(spec.loss)(raw)

    def choose(self, keys, at_most):
        """Choose keys greedily, and take off what they explain.

        Parameters
        ----------
        keys : dict of pair to ndarray of shape (n_rows,)
            A small integer for each row.
        at_most : int

        Returns
        -------
        chosen : list of pair
        """
        # The largest of n normal numbers is about the root.
        least_z = max(LEAST_Z, np.sqrt(2 * np.log(max(1, len(keys)))))
        gains = {pair: self._gain(key, least_z) for pair, key in keys.items()}
        chosen, is_fresh = [], set(gains)
        while gains and len(chosen) < at_most:
            best = max(gains, key=gains.__getitem__)
            if gains[best] < LEAST_GAIN:
                break
            if best not in is_fresh:
                # What was chosen since has lowered most gains; only those that come up are told anew.
                gains[best] = self._gain(keys[best], least_z)
                is_fresh.add(best)
                continue
            # Twice, or what shrinking leaves would be found again, in pairs of it with anything.
            for _ in range(2):
                self.values -= self._fit(keys[best])
            chosen.append(best)
            del gains[best]
            is_fresh.clear()
        return chosen

    def _fit(self, key):
        """For each row the mean residual of the rows of its key in other folds, shrunk."""
        n_keys = int(key.max()) + 1
        cell = key * np.int64(self.n_folds) + self.fold

        def elsewhere(values):
            sums = np.bincount(cell, values, n_keys * self.n_folds).reshape(n_keys, self.n_folds)
            return (sums.sum(axis=1, keepdims=True) - sums).ravel()

        mass = elsewhere(self.weight)
        means = [elsewhere(self.weight * v) / (mass + PRIOR_ROWS) for v in self.values.T]
        return np.column_stack([m[cell] for m in means])

    def _gain(self, key, least_z):
        """The share of the squared residuals that effects take off; none if they do not clearly go with residuals."""
        fitted = self._fit(key)
        product = self.weight * (self.values * fitted).sum(axis=1)
        # Of two rows of a key either is in the mean of the other: half of the products say what the other half do.
        z = product.sum() / np.sqrt(2 * product @ product) if product.any() else 0.0
        total = self.weight @ np.square(self.values).sum(axis=1)
        taken = 2 * product.sum() - self.weight @ np.square(fitted).sum(axis=1)
        return taken / total if z > least_z else 0.0
