"""Effects that add up: what a linear model of all columns would give each category. No torch."""

import math

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from ._cross_fitting import out_of_fold_vectors
from ._rows import draw_rows

# What a column's effects must explain of the variance that a linear model of the vectors leaves, of all outputs
# together. On 38 tables half of it gained linear models .001 more and cost nearest neighbours .001; effects for all
# columns, .002 and .003. Where one class alone was enough, ten of 17 tables of several classes had some, and neighbours
# lost .009.
MIN_SHARE = 0.02
MIN_ROWS = 30  # rows that it must explain as if alone: of few rows chance explains much
N_JUDGED = 1 << 16  # rows that tell that
MAX_OUTPUTS = 10  # of more, the models would take as long as the network
MAX_AXES = 3  # of several outputs that stand for all
MAX_EFFECTS = 1 << 28  # 1 GiB
MAX_SWEEPS = 20
TOLERANCE = 1e-3  # standard deviations of the target that effects may still move by
# Share of the rows that coefficients are shrunk by, for numbers that are sums of others; far above 32 bits' rounding.
_RIDGE = 1e-4
# Share of the largest variance below which an axis says nothing of its own: effects on all classes sum to about zero.
_NO_AXIS = 1e-3


def append_effects(tables, table, numeric, of_groups, widths, loss):
    """Give vectors further components where they do not tell a linear model what it could know.

    What the effect of a number says by its bends, the network leaves to the number, and a vector tells the rest. A
    linear model has no bends and would give that part to the categories. So a linear model of all columns and numbers
    is fitted beside the network, with an effect for each category. Rows of fold ``k`` have no say in its effects for
    table ``k``. If they explain enough of what a linear model of the vectors leaves, they become a component. Each of
    several outputs or classes has such a model, and the principal axes of all their effects are taken.

    Of 34 tables of one output 14 got some. Linear models behind them gain .030 on average (R2), boosting .003, and
    nearest neighbours lose .001. Of 17 of several classes eight did: linear models gain .024 (log-loss), neighbours
    .007. See "ours without effects" of bench_quality.

    Parameters
    ----------
    tables : list of ndarray of shape (n_tables, n_codes, n_components), float32
        One per column.
    table : TrainingTable
        Its codes may have further columns, those of groups of texts.
    numeric : ndarray of shape (n_rows, n_numeric), float32 or float64
        The numbers of its rows as they came, which is how a linear model gets them.
    of_groups : list of ndarray of shape (n_codes,) or None
        For each column the codes of its groups by its own codes, in the order of the further columns.
    widths : list of int
        Most components that each column may have in the end. None gets more than twice as many as it has.
    loss : str
        Of the network.

    Returns
    -------
    tables : list of ndarray
        The same arrays but for the columns that got a component.
    """
    n_further = [min(t.shape[2], width - t.shape[2]) for t, width in zip(tables, widths)]
    candidates = [c for c, n in enumerate(n_further) if n > 0]
    n_outputs = table.target.shape[1]
    n_effects = n_outputs * sum(t.shape[0] * t.shape[1] for t in tables)
    if table.fold is None or n_outputs > MAX_OUTPUTS or n_effects > MAX_EFFECTS or not candidates:
        return tables
    numeric = standardise(numeric)
    effects = _fold_effects(tables, table, numeric, of_groups)
    if loss in ("log_loss", "cross_entropy"):  # of shares, into log-odds as vectors are
        shares = table.shares()
        # One factor for all: by their own, rare classes would outweigh the others among the axes.
        slope = np.float32((shares * (1 - shares)).mean())
        for of_column in effects:
            of_column /= slope
    rows = draw_rows(table.n_rows, N_JUDGED)
    codes, fold = table.codes[rows, : len(tables)], table.fold[rows]
    of_rows = {c: effects[c][fold, codes[:, c]] for c in candidates}
    beside = np.column_stack([numeric[rows], out_of_fold_vectors(tables, codes, fold)])
    weight = table.weights(rows)
    weight /= weight.sum()
    judged = [
        _judge(np.column_stack([seen[:, i] for seen in of_rows.values()]), beside, y, weight)
        for i, y in enumerate(table.target[rows].T)
    ]
    gain, left = np.stack(judged, axis=1)
    tables = list(tables)
    for c, outputs in zip(candidates, _choose(gain, left, weight).T):
        if outputs.any():
            axes = principal_axes(of_rows[c][:, outputs], weight)[:, : n_further[c]]
            further = (effects[c][:, :, outputs] @ axes).astype(np.float32)
            tables[c] = np.concatenate([tables[c], further], axis=2)
    return tables


def standardise(numeric):
    """Numbers of mean 0 and variance 1, 0 where one is missing; then a column of marks for each that lacks any."""
    missing = np.isnan(numeric)
    out = np.zeros((len(numeric), numeric.shape[1] + missing.any(axis=0).sum()), np.float32)
    out[:, numeric.shape[1] :] = missing[:, missing.any(axis=0)]
    for j, lacks in enumerate(missing.T):  # doubles of all would take more than the codes
        values = numeric[~lacks, j].astype(np.float64)
        if len(values):
            values -= values.mean()
            out[~lacks, j] = values / (values.std() or 1.0)
    return out


def _fold_effects(tables, table, numeric, of_groups):
    """Effects of all codes of each column, those of their groups included.

    Returns
    -------
    effects : list of ndarray of shape (n_tables, n_codes, n_outputs), float32
    """
    grouped = [of_code for of_code in of_groups if of_code is not None]
    n_codes = [t.shape[1] for t in tables] + [int(of_code.max()) + 1 for of_code in grouped]
    weight = table.weights()
    n_outputs = table.target.shape[1]
    out = [np.empty((*t.shape[:2], n_outputs), dtype=np.float32) for t in tables]
    for k in range(len(tables[0])):
        kept = np.where(table.fold == k, 0.0, weight)
        for i, target in enumerate(table.target.T):
            effects, _ = fit_additive_model(table.codes, n_codes, numeric, target, kept)
            further = iter(effects[len(tables) :])
            for c, of_code in enumerate(of_groups):
                own = effects[c]
                out[c][k, :, i] = own if of_code is None else own + next(further)[of_code]
    return out


def fit_additive_model(codes, n_codes, numeric, target, weight):
    """Fit numbers linearly and categories by an effect each, which is shrunk as far as the column's variance says.

    A linear mixed model: effects of a column are draws from a normal distribution around zero, and what comes out are
    their best linear unbiased predictions [1]_, found by backfitting [2]_: one column after the other explains what the
    others leave. The variances are those of the EM algorithm [3]_, a step after each sweep.

    Parameters
    ----------
    codes : ndarray of shape (n_rows, n_columns), int32
    n_codes : list of int
        Per column.
    numeric : ndarray of shape (n_rows, n_numeric), float32
    target : ndarray of shape (n_rows,)
    weight : ndarray of shape (n_rows,), float64
        Rows of weight 0 count for nothing.

    Returns
    -------
    effects : list of ndarray of shape (n_codes,), float64
        Zero for codes without a row.
    residual : ndarray of shape (n_rows,), float64
        What the model leaves of the target, of rows of weight 0 as well.

    References
    ----------
    .. [1] Robinson, G. K. (1991). That BLUP is a good thing: the estimation of random effects. Statistical Science
       6(1). :doi:`10.1214/ss/1177011926`
    .. [2] Buja, A., Hastie, T. and Tibshirani, R. (1989). Linear smoothers and additive models. The Annals of
       Statistics 17(2). :doi:`10.1214/aos/1176347115`
    .. [3] Laird, N. M. and Ware, J. H. (1982). Random-effects models for longitudinal data. Biometrics 38(4).
       :doi:`10.2307/2529876`
    """
    effects = [np.zeros(n) for n in n_codes]
    total = weight.sum()
    if not total:  # next to weights of other rows these were rounded to zero
        return effects, target
    design = np.column_stack([np.ones(len(codes), np.float32), numeric])
    share = weight / total
    normal = (design.T @ (share.astype(np.float32)[:, None] * design)).astype(np.float64)
    # Of a number whose far outliers have large weights the rounding errors are as large as its own variance.
    normal[np.diag_indices_from(normal)] += _RIDGE * np.maximum(normal.diagonal(), 1.0)
    factor = cho_factor(normal)
    residual = target - np.average(target, weights=weight)
    spread = math.sqrt(weight @ np.square(residual) / total)
    mass = [np.bincount(column, weight, n) for column, n in zip(codes.T, n_codes)]
    # What a group of categories has in common is the group's; the other way round there would be nothing left of it.
    coarse_first = np.argsort(n_codes, kind="stable")
    ratio = np.full(len(n_codes), 5.0)  # variance of the noise over that of a column's effects
    for _ in range(MAX_SWEEPS):
        change = cho_solve(factor, (share * residual).astype(np.float32) @ design)
        residual -= design @ change.astype(np.float32)
        moved = 0.0
        for c in coarse_first:
            column = codes[:, c]
            sums = np.bincount(column, weight * residual, n_codes[c]) + mass[c] * effects[c]
            change = sums / (mass[c] + ratio[c]) - effects[c]
            effects[c] += change
            residual -= change[column]
            moved = max(moved, math.sqrt(mass[c] @ np.square(change) / total))
        if moved <= TOLERANCE * spread:
            break
        n_free = design.shape[1] + sum((m / (m + r)).sum() for m, r in zip(mass, ratio))
        noise = weight @ np.square(residual) / max(total - n_free, 0.05 * total)
        for c in range(len(n_codes)):
            used = mass[c] > 0
            uncertainty = noise / (mass[c][used] + ratio[c])
            variance = (np.square(effects[c][used]) + uncertainty).mean()
            ratio[c] = np.clip(noise / max(variance, np.finfo(float).tiny), 1e-3, 1e9)
    return effects, residual


def _judge(effects, beside, target, weight):
    """What effects on an output explain of what a linear model of the other inputs leaves.

    Parameters
    ----------
    effects : ndarray of shape (n_rows, n_columns)
    beside : ndarray of shape (n_rows, n_others)
        Numbers and vectors.
    target : ndarray of shape (n_rows,)
    weight : ndarray of shape (n_rows,)
        Of a sum of 1.

    Returns
    -------
    gain : ndarray of shape (n_columns,)
        The squared error that would come back without a column's effects; 0 where they point the wrong way.
    left : ndarray of shape (n_columns,)
        The squared error with all of them, and that gain.
    """
    n_columns = effects.shape[1]
    inputs = np.column_stack([effects, beside]).astype(np.float64)
    inputs -= weight @ inputs
    inputs /= np.maximum(np.sqrt(weight @ np.square(inputs)), np.finfo(np.float32).tiny)
    target = target - weight @ target
    normal = inputs.T @ (weight[:, None] * inputs)
    normal[np.diag_indices_from(normal)] += _RIDGE
    inverse = np.linalg.inv(normal)
    coefs = inverse @ (inputs.T @ (weight * target))
    error = weight @ np.square(target - inputs @ coefs)
    coefs, scale = coefs[:n_columns], np.diag(inverse)[:n_columns]
    gain = np.square(np.maximum(coefs, 0)) / scale
    return gain, error + gain


def _choose(gain, left, weight):
    """Which columns get the effects on which outputs.

    A column must explain enough of all outputs together, or chance and rare classes would find it some output. Of few
    rows, and of rows of which a few outweigh the others, chance explains much.

    Parameters
    ----------
    gain, left : ndarray of shape (n_outputs, n_columns)
        From `_judge`.
    weight : ndarray of shape (n_rows,)
        Of a sum of 1.

    Returns
    -------
    chosen : ndarray of shape (n_outputs, n_columns), bool
    """
    of_all = gain.sum(axis=0) > MIN_SHARE * left.sum(axis=0)
    return of_all & (gain > MIN_ROWS * (weight @ weight) * left)  # of even weights that is 1 / rows


def principal_axes(values, weight):
    """Principal axes of rows around their mean, as columns, each of the sign that makes its largest part positive.

    Those of hardly any variance are left out.
    """
    apart = values - weight @ values
    variances, axes = np.linalg.eigh(apart.T @ (weight[:, None] * apart))
    axes = axes[:, variances > _NO_AXIS * variances[-1]][:, ::-1]
    return axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])


def main_outputs(target, weight):
    """The target of rows, and of several outputs their coordinates on the few axes that vary most.

    Parameters
    ----------
    target : ndarray of shape (n_rows, n_outputs), float64
    weight : ndarray of shape (n_rows,)
        Of a sum of 1.

    Returns
    -------
    main : ndarray of shape (n_rows, at most MAX_AXES)
        One output as it is.
    """
    if target.shape[1] == 1:
        return target
    return target @ principal_axes(target, weight)[:, :MAX_AXES]
