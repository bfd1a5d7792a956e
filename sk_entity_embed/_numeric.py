"""Numeric context for the network: missing values filled and marked, robust scale, smooth clip."""

import numpy as np

_CLIP = 3.0  # scaled values bend towards this bound, so that a heavy tail cannot dominate


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
        the values off the median) and ``had_missing``.
    """
    n_columns = values.shape[1]
    center, scale = np.zeros(n_columns), np.ones(n_columns)
    had_missing = np.zeros(n_columns, dtype=bool)
    for j in range(n_columns):
        present = values[:, j][~np.isnan(values[:, j])].astype(np.float64)
        had_missing[j] = len(present) < len(values)
        if not len(present):
            continue
        low, center[j], high = np.quantile(present, [0.25, 0.5, 0.75])
        spread = (high - low) / 1.349 or _spread_of_others(present - center[j])
        scale[j] = spread if spread > 1e-9 * abs(center[j]) else 1.0
    return {"center": center, "scale": scale, "had_missing": had_missing}


def _spread_of_others(apart):
    """Spread of values of which most lie on their median, from how far the others lie off it: about their deviation.

    The median of the distances, since a single one may be as large as all others together.
    """
    others = np.abs(apart[apart != 0])
    return np.sqrt(len(others) / len(apart)) * np.median(others) if len(others) else 0.0


def scale(values, scaling):
    """Scaled values, then a column of 0 and 1 for each column that had missing values in training.

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
    z[missing] = 0.0
    z /= np.sqrt(1.0 + (z / _CLIP) ** 2)
    marks = missing[:, scaling["had_missing"]]
    return np.hstack([z, marks]).astype(np.float32)
