"""Folds of the rows, and vectors that have not seen a row's label."""

from dataclasses import replace
from numbers import Integral

import numpy as np
from sklearn.model_selection import check_cv

from ._head import forward
from ._rows import draw_rows, some_rows

ROWS_COMPARED = 1 << 14  # rows on which fold tables are compared
ROWS_ASKED = 1 << 12  # rows that are asked whether the mean of the tables will do
# Share of the predictions' variance by which it must be off. Of 55 tables of bench_quality.py, 3,000 rows each, one is
# above .04: "cars", with .02 to .7 by the seed.
LEAST_APART = 0.05


def assign_folds(cv, y, *, kind, random_state, split_params=None, X=None):
    """Fold of each row.

    Parameters
    ----------
    cv : int, splitter, iterable or None
        An int deals the rows out at random, classes evenly. Never more folds than rows.
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
    kind : str
        Kind of target; classes are spread evenly over the folds.
    random_state : RandomState
    split_params : dict or None
        Further arguments of the splitter's ``split``, such as groups.
    X : array-like or None
        Passed to the splitter.

    Returns
    -------
    fold : ndarray of shape (n_rows,), int64, or None
        None where there is nothing to cross-fit: `cv` is None, or fewer than two rows.

    Raises
    ------
    ValueError
        If the splitter's test sets are none or a single one, or do not cover each row once.
    """
    n_rows = len(y)
    if cv is None or n_rows < 2:
        return None
    if isinstance(cv, Integral):
        n_folds = min(cv, n_rows)
        order = random_state.permutation(n_rows)
        if kind in ("binary", "multiclass"):
            # Stable: within a class the random order stays, so dealing out in turn is stratified and random.
            labels = np.asarray(y).reshape(n_rows)  # a column of labels is as good as a flat array
            order = order[np.argsort(labels[order], kind="stable")]
        fold = np.empty(n_rows, dtype=np.int64)
        fold[order] = np.arange(n_rows) % n_folds
        return fold
    splitter = check_cv(cv, y, classifier=kind in ("binary", "multiclass"))
    fold = np.full(n_rows, -1, dtype=np.int64)
    n_covered = 0
    X = np.zeros((n_rows, 1)) if X is None else X
    for k, (_, test) in enumerate(splitter.split(X, y, **(split_params or {}))):
        try:
            fold[test] = k
        except IndexError as error:
            raise ValueError(
                f"Split {k} of `cv` names rows beyond the {n_rows} of X: {error}. Splits belong to one table; pass a "
                "splitter such as KFold, which takes any."
            ) from error
        n_covered += len(fold[test])
    if not n_covered:
        raise ValueError(
            "`cv` gave no rows to hold out. An iterator, such as what KFold().split gives, serves one fit only: pass a "
            "list of splits, or the splitter."
        )
    if (fold < 0).any() or n_covered != n_rows:
        raise ValueError(
            "Validation indices from `cv` must cover each sample index exactly once with no overlap. "
            "Pass a splitter with non-overlapping validation folds as `cv`, such as KFold or GroupKFold."
        )
    if not fold.any():
        raise ValueError(
            "`cv` gave one fold of all rows, expected two or more. Set cv=None to turn cross-fitting off."
        )
    return np.unique(fold, return_inverse=True)[1]  # a fold without rows has no number


def drop_empty_folds(fold, used):
    """Number the folds anew so that each has a row to train on.

    Parameters
    ----------
    fold : ndarray of shape (n_rows,)
    used : ndarray of shape (n_used,)
        Positions of the rows that are trained on.

    Returns
    -------
    fold : ndarray of shape (n_rows,), int64
        Rows of a fold without such a row are in fold 0: no table has seen their labels.
    """
    kept = np.unique(fold[used])
    return np.where(np.isin(fold, kept), np.searchsorted(kept, fold), 0)


def out_of_fold_vectors(tables, codes, fold):
    """Vectors of each row from the table that has not seen its label.

    Parameters
    ----------
    tables : list of ndarray of shape (n_folds, n_codes, n_components)
        One per column; further ones count for nothing.
    codes : ndarray of shape (n_rows, n_columns)
    fold : ndarray of shape (n_rows,)

    Returns
    -------
    vectors : ndarray of shape (n_rows, sum of n_components), float32
    """
    return np.concatenate([t[fold, column] for t, column in zip(tables, codes.T)], axis=1)


def find_in_folds(codes, fold, n_codes):
    """Whether a fold has rows of a code, shape (n_folds, n_codes)."""
    is_there = np.zeros((int(fold.max()) + 1, n_codes), dtype=bool)
    is_there[fold, codes] = True
    return is_there


def mean_in_reach(table, codes, fold):
    """The mean of a column's fold tables, in which vectors that no row shows stay among those that rows show.

    A category whose rows all lie in one fold is unknown to the table that gives these rows their vectors. So what
    learns from such vectors never meets the category's own. If the column tells little apart from it, say a flag that
    is set in a single row, its vector would lie a thousand standard deviations off, and linear models and neighbours
    would fail on new rows that have it. The same goes for the vector of what is unknown, and for groups of texts.

    Parameters
    ----------
    table : ndarray of shape (n_folds, n_codes, n_components)
    codes : ndarray of shape (n_rows,)
    fold : ndarray of shape (n_rows,)

    Returns
    -------
    mean : ndarray of shape (n_codes, n_components)
        Where no category has rows in two folds, the mean as it is.
    """
    mean = table.mean(axis=0)
    is_there = find_in_folds(codes, fold, table.shape[1])
    is_shown = is_there.sum(axis=0) > 1
    if not is_shown.any():
        return mean
    shown = [of_fold[known] for of_fold, known in zip(table, is_there) if known.any()]
    lowest = np.min([values.min(axis=0) for values in shown], axis=0)
    highest = np.max([values.max(axis=0) for values in shown], axis=0)
    mean[~is_shown] = mean[~is_shown].clip(lowest, highest)
    return mean


def ask_body(network, codes, numeric, k):
    """Raw outputs of rows from body `k`, which reads table `k`.

    Parameters
    ----------
    network : TrainedNetwork
    codes : ndarray of shape (n_rows, n_columns)
        Those of crossed pairs as well, where the network has them.
    numeric : ndarray of shape (n_rows, n_numeric), float32
        Scaled as in training.
    k : int

    Returns
    -------
    raw : ndarray of shape (n_rows, n_outputs), float64
    """
    fold = np.full(len(codes), k)
    return forward(network.head, out_of_fold_vectors(network.tables, codes, fold), numeric, body=k)


def ask_out_of_fold(network, codes, numeric, fold):
    """Raw outputs of rows, each from the body and the tables that have not seen its label.

    Parameters
    ----------
    network, codes, numeric
        As in `ask_body`.
    fold : ndarray of shape (n_rows,)

    Returns
    -------
    raw : ndarray of shape (n_rows, n_outputs), float64
    """
    raw = np.empty((len(codes), network.head["coefs"][-1].shape[2]))
    for k in np.unique(fold):
        rows = np.flatnonzero(fold == k)
        raw[rows] = ask_body(network, codes[rows], numeric[rows], k)
    return raw


def gather(served, codes):
    """Vectors of new rows, for all bodies or for each.

    Parameters
    ----------
    served : list of ndarray of shape (n_bodies or 1, n_codes, n_components)
        One per column.
    codes : ndarray of shape (n_rows, n_columns)

    Returns
    -------
    vectors : ndarray of shape (n_bodies or 1, n_rows, sum of n_components), float32
    """
    n_bodies, width = max(map(len, served)), sum(t.shape[2] for t in served)
    out = np.empty((n_bodies, len(codes), width), dtype=np.float32)
    for k in range(n_bodies):
        write_vectors([t[k if len(t) > 1 else 0] for t in served], codes, out[k])
    return out


def write_vectors(tables, codes, out):
    """Write each row's vectors, column after column, into the first columns of `out`.

    Parameters
    ----------
    tables : list of ndarray of shape (n_codes, n_components)
    codes : ndarray of shape (n_rows, n_columns)
    out : ndarray of shape (n_rows, n_out)
    """
    is_whole = len(tables) == 1 and out.shape[1] == tables[0].shape[1]
    if is_whole and out.dtype == tables[0].dtype:
        # mode="clip" writes straight into `out`, and reads it first if its type is another. Codes are in range anyway.
        np.take(tables[0], codes[:, 0], axis=0, out=out, mode="clip")
        return
    start = 0
    for j, table in enumerate(tables):
        stop = start + table.shape[1]
        out[:, start:stop] = table.take(codes[:, j], axis=0, mode="clip")
        start = stop


def ask_as_new(head, served, codes, numeric):
    """Raw outputs of rows as if they were new ones.

    Parameters
    ----------
    head : dict
        As `forward` takes it.
    served : list of ndarray of shape (n_bodies or 1, n_codes, n_components)
        One per column, those of crossed pairs as well.
    codes : ndarray of shape (n_rows, n_columns)
    numeric : ndarray of shape (n_rows, n_numeric), float32
        Scaled as in training.

    Returns
    -------
    raw : ndarray of shape (n_rows, n_outputs), float64
    """
    return forward(head, gather(served, codes), numeric)


def keep_apart(network, table, n_vectors):
    """Settle whether new rows are answered from the mean of the fold tables, or by each body from its own.

    The mean is as good on most tables, and a fifth of the size. But where a category goes far, such as a country that
    exports more than all others together, its vector may go another way in each table, and the mean of them says
    nothing. Whether it says the same as they do, the training rows tell.

    Parameters
    ----------
    network : TrainedNetwork
        With fold tables.
    table : TrainingTable
        The rows that it was trained on.
    n_vectors : int
        How many of its first tables are meant. Effects of pairs are left to their mean: a combination that one fold
        alone has is unknown to one table, which alone would say so.

    Returns
    -------
    network : TrainedNetwork
    """
    some = draw_rows(table.n_rows, ROWS_ASKED)
    vectors = gather(network.tables, table.codes[some])
    mean = vectors.mean(axis=0, keepdims=True)
    width = sum(t.shape[2] for t in network.tables[:n_vectors])
    vectors[:, :, width:] = mean[:, :, width:]
    by_mean, apart = (forward(network.head, v, table.numeric[some]) for v in (mean, vectors))
    spread = np.square(apart - apart.mean(axis=0)).sum()
    is_far = np.square(by_mean - apart).sum() > LEAST_APART * spread
    return replace(network, n_apart=n_vectors) if is_far else network


def round_to_noise(vectors, tables, codes):
    """Round vectors, in place, to multiples of what the fold tables differ by.

    The same category has slightly other values in each fold table. Trees can split between those, and so tell which
    fold's labels are missing from a vector: that says something about these labels, and nothing about new rows.

    Parameters
    ----------
    vectors : ndarray of shape (n_rows, sum of n_components)
        From `out_of_fold_vectors`.
    tables : list of ndarray of shape (n_folds, n_codes, n_components)
        One per column; further ones count for nothing.
    codes : ndarray of shape (n_trained, n_columns)
        Of the rows that were trained on, by which the noise is told.

    Returns
    -------
    vectors : ndarray of shape (n_rows, sum of n_components)
        The step of each component is the standard deviation of a row's values over the fold tables, at most half of
        the one over the rows as well.
    """
    start = 0
    some = some_rows(codes, ROWS_COMPARED)
    for column, table in zip(some.T, tables):
        seen = table[:, column]
        noise = np.sqrt(seen.var(axis=0).mean(axis=0))
        step = np.minimum(noise, seen.std(axis=(0, 1)) / 2)
        place = start + np.flatnonzero(step)  # a component that was never trained has none
        step = step[step > 0]
        vectors[:, place] = np.rint(vectors[:, place] / step) * step
        start += table.shape[2]
    return vectors
