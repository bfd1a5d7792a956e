"""Fold tables of one coordinate system: find those that left it."""

import numpy as np

ROWS_COMPARED = 1 << 12
# Correlations of a table with the others: after a turn it must be as large as the first, and the turn must gain the
# second. The chance differences of many vectors gain less.
LEAST_ALIKE, LEAST_TURN = 0.5, 0.2
# Root mean square of a row's vector, less the mean of all. Where few categories hardly count, chance differences look
# like a turn: their tables had .1 at most, mirrored ones .5 and more.
LEAST_SIZE = 0.25


def find_turns(vectors):
    """Find the fold tables of a column that lie another way than the others, and how to turn them.

    All fold tables start from the same values, which mostly keeps them in one coordinate system. But where columns
    count by their product alone, mirrored vectors serve as well, and a table may drift into the mirror. The layers
    above learn to read it too; what breaks is the mean of the tables, and the model behind the vectors.

    Parameters
    ----------
    vectors : ndarray of shape (n_folds, n_rows, n_components)
        Vectors of the same rows in each table.

    Returns
    -------
    turns : dict of int -> (centre, rotation, new_centre)
        For each table to be turned the arrays by which its vectors ``v`` become ``(v - centre) @ rotation +
        new_centre``. They are all that the table takes from the others. The rotation, or reflection, is the one that
        brings it nearest [1]_ to the mean of the tables that agree.

    References
    ----------
    .. [1] Schönemann, P. H. (1966). A generalized solution of the orthogonal Procrustes problem. Psychometrika 31.
       :doi:`10.1007/BF02289451`
    """
    n_tables, n_rows, _ = vectors.shape
    # Of two tables neither is right, and a training that diverges is reported elsewhere.
    if n_tables < 3 or not np.isfinite(vectors).all():
        return {}
    centres = vectors.mean(axis=1, dtype=np.float64)
    unit = vectors - centres[:, None]
    sizes = np.linalg.norm(unit, axis=(1, 2))
    if not sizes.all():
        return {}
    unit /= sizes[:, None, None]
    alike = np.einsum("kij,lij->kl", unit, unit)
    alike = alike[np.argmax(alike.sum(axis=1))]  # to the one that is most like all others
    agrees = alike > LEAST_ALIKE
    common = unit[agrees].mean(axis=0)
    common /= np.linalg.norm(common)
    turns = {}
    for k in np.flatnonzero((alike < 1 - LEAST_TURN) & (sizes > LEAST_SIZE * n_rows**0.5)):
        left, gains, right = np.linalg.svd(unit[k].T @ common)
        if gains.sum() > max(LEAST_ALIKE, np.vdot(unit[k], common) + LEAST_TURN):
            turns[int(k)] = centres[k], left @ right, centres[agrees].mean(axis=0)
    return turns
