"""A few that stand for all: of rows, and of what is counted."""

import numpy as np

FEW_ROWS = 5000  # fewer are quick to fit, and losses of theirs say less


def draw_rows(n_rows, at_most):
    """Positions of rows drawn at random, the same each time; all if there are no more than `at_most`.

    Every so many rows would not do: in a table that lists the same shops day after day they may all be of one.

    Returns
    -------
    rows : ndarray of shape (min(n_rows, at_most),), int64
        Sorted.
    """
    if n_rows <= at_most:
        return np.arange(n_rows)
    drawn = np.random.default_rng(0).choice(n_rows, at_most, replace=False, shuffle=False)
    return np.sort(drawn)


def draw_by_weight(rng, n_rows, weight, n):
    """Positions of at most `n` rows; with uneven weights of `n` draws, in which rows come up by their weight."""
    if weight is None or np.ptp(weight) == 0:
        return rng.permutation(n_rows)[:n]
    share = weight.astype(np.float64)
    return rng.choice(n_rows, n, p=share / share.sum())


def some_rows(array, at_most):
    """The rows of an array or tensor that `draw_rows` names; the array itself, not a copy, if that is all."""
    return array if len(array) <= at_most else array[draw_rows(len(array), at_most)]


def most_frequent(counts, at_most):
    """Positions of the largest counts, of equal ones the first, sorted."""
    return np.sort(np.argsort(-counts, kind="stable")[:at_most])
