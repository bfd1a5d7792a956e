"""Numbers for the network: missing values filled and marked, robust scale, smooth clip, ranks in heavy tails."""

import numpy as np
from scipy.special import ndtr, ndtri

_CLIP = 3.0  # scaled values bend towards this bound, so that a heavy tail cannot dominate
# A tail is heavy if one value in a hundred lies further out; of a normal distribution 2.6, of an exponential one 4.8.
_FAR, _MOST = 6.0, 0.99
_SCORES = np.linspace(-3.0, 3.0, 33)  # quantiles of a heavy tail that are kept, as normal scores


def learn_scaling(values):
    """What `scale` needs.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_columns), float32
        NaN where missing.

    Returns
    -------
    scaling : dict of str to ndarray of shape (n_columns,)
        ``center`` (median), ``scale`` (interquartile range, as a standard deviation of a normal; if 0, the spread of
        the values off the median) and ``had_missing``; and of columns with a heavy tail, whose positions are
        ``heavy``, ``quantiles`` and their normal ``scores``, of shape (n_heavy, n_quantiles).
    """
    n_columns = values.shape[1]
    center, scale = np.zeros(n_columns), np.ones(n_columns)
    had_missing = np.zeros(n_columns, dtype=bool)
    heavy, quantiles, scores = [], [], []
    for j in range(n_columns):
        present = values[:, j][~np.isnan(values[:, j])].astype(np.float64)
        had_missing[j] = len(present) < len(values)
        if not len(present):
            continue
        low, center[j], high = np.quantile(present, [0.25, 0.5, 0.75])
        spread = (high - low) / 1.349 or _spread_of_others(present - center[j])
        scale[j] = spread if spread > 1e-9 * abs(center[j]) else 1.0
        # The lower of two values: of few rows, one that is wild makes no tail.
        most = np.quantile(np.abs(present - center[j]), _MOST, method="lower")
        if most > _FAR * scale[j]:
            heavy.append(j)
            quantiles.append(np.quantile(present, ndtr(_SCORES)))
            scores.append(_normal_scores(quantiles[-1]))
    shape = (len(heavy), len(_SCORES))
    return {
        "center": center,
        "scale": scale,
        "had_missing": had_missing,
        "heavy": np.array(heavy, dtype=np.int64),
        "quantiles": np.reshape(quantiles, shape),
        "scores": np.reshape(scores, shape),
    }


def _normal_scores(quantiles):
    """Normal scores of the quantiles; equal ones have that of the middle of their shares."""
    share = ndtr(_SCORES)
    first = np.searchsorted(quantiles, quantiles, side="left")
    last = np.searchsorted(quantiles, quantiles, side="right") - 1
    return ndtri((share[first] + share[last]) / 2)


def _spread_of_others(apart):
    """Spread of values of which most lie on their median, from how far the others lie off it: about their deviation.

    The median of the distances, since a single one may be as large as all others together.
    """
    others = np.abs(apart[apart != 0])
    return np.sqrt(len(others) / len(apart)) * np.median(others) if len(others) else 0.0


def scale(values, scaling):
    """Scaled values, then a column of 0 and 1 for each column that had missing values in training.

    Values of a heavy tail are told by their ranks, as normal scores: by the clip alone they might be one value to the
    network. Of other numbers ranks would lose how far apart they are. By benchmarks/bench_quality.py a table of
    populations ("continents") gains .05 log-loss by that, and most others nothing.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_columns), float32
    scaling : dict
        From `learn_scaling`.

    Returns
    -------
    scaled : ndarray of shape (n_rows, n_columns + number of marks), float32
    """
    missing = np.isnan(values)
    z = (values - scaling["center"]) / scaling["scale"]
    z /= np.sqrt(1.0 + (z / _CLIP) ** 2)
    for j, quantiles, scores in zip(scaling["heavy"], scaling["quantiles"], scaling["scores"]):
        z[:, j] = np.interp(values[:, j], quantiles, scores)
    z[missing] = 0.0
    marks = missing[:, scaling["had_missing"]]
    return np.hstack([z, marks]).astype(np.float32)
