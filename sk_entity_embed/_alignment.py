"""Fold tables of one coordinate system: find those that left it, and bring them back."""

from dataclasses import replace

import numpy as np

from ._rows import some_rows

ROWS_COMPARED = 1 << 12
# Correlations of a table with the others: after a turn it must be as large as the first, and the turn must gain the
# second. The chance differences of many vectors gain less.
LEAST_ALIKE, LEAST_TURN = 0.5, 0.2
# What a turn must gain when training is over. Then bodies are turned with their tables, so that it costs nothing.
LEAST_LAST_TURN, MAX_LAST_TURNS = 0.05, 4
# Root mean square of a row's vector, less the mean of all. Where few categories hardly count, chance differences look
# like a turn: their tables had .1 at most, mirrored ones .5 and more.
LEAST_SIZE = 0.25


def find_turns(vectors, least_turn=LEAST_TURN):
    """Find the fold tables of a column that lie another way than the others, and how to turn them.

    All fold tables start from the same values, which mostly keeps them in one coordinate system. But where columns
    count by their product alone, mirrored vectors serve as well, and a table may drift into the mirror. The layers
    above learn to read it too; what breaks is the mean of the tables, and the model behind the vectors.

    Parameters
    ----------
    vectors : ndarray of shape (n_folds, n_rows, n_components)
        Vectors of the same rows in each table.
    least_turn : float, default=LEAST_TURN
        By how much more a table must be like the others once turned.

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
    n_rows = vectors.shape[1]
    if not np.isfinite(vectors).all():  # a training that diverges is reported elsewhere
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
    for k in np.flatnonzero((alike < 1 - least_turn) & (sizes > LEAST_SIZE * n_rows**0.5)):
        left, gains, right = np.linalg.svd(unit[k].T @ common)
        if gains.sum() > max(LEAST_ALIKE, np.vdot(unit[k], common) + least_turn):
            turns[int(k)] = centres[k], left @ right, centres[agrees].mean(axis=0)
    return turns


def turn_back(network, codes, first=0):
    """Turn fold tables that lie another way than the others, and the bodies that read them.

    In training a turn disturbs a body, so only tables that are far off are turned. What is left at the end, such as
    one component that is mirrored, is turned with the rows of the body's first layer that read it: no prediction of a
    body from its own table changes, but the mean of the tables means the same to all bodies.

    Parameters
    ----------
    network : TrainedNetwork
    codes : ndarray of shape (n_rows, n_columns), int32
        Of the rows that it was trained on, a column for each of its tables.
    first : int, default=0
        Tables before this one stay as they are.

    Returns
    -------
    network : TrainedNetwork
    """
    tables = list(network.tables)
    coefs, intercepts = (list(network.head[key]) for key in ("coefs", "intercepts"))
    some = some_rows(codes, ROWS_COMPARED)
    stops = np.cumsum([t.shape[2] for t in tables])
    for c in range(first, len(tables)):
        own = slice(stops[c] - tables[c].shape[2], stops[c])
        for _ in range(MAX_LAST_TURNS):
            # Where one table is off, the mean that it was compared with was; so all come nearer then.
            is_off = tables[c] is not network.tables[c]
            turns = find_turns(tables[c][:, some[:, c]], 0.0 if is_off else LEAST_LAST_TURN)
            if not turns:
                break
            if not is_off:
                tables[c] = tables[c].copy()
            if coefs[0] is network.head["coefs"][0]:
                coefs[0], intercepts[0] = coefs[0].copy(), intercepts[0].copy()
            for k, (centre, rotation, new_centre) in turns.items():
                tables[c][k] = (tables[c][k] - centre) @ rotation + new_centre
                read = coefs[0][k, own].astype(np.float64)
                coefs[0][k, own] = rotation.T @ read
                intercepts[0][k] += (centre - new_centre @ rotation.T) @ read
    return replace(
        network, tables=tables, head={**network.head, "coefs": coefs, "intercepts": intercepts}
    )
