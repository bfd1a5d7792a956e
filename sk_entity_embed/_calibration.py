"""Probabilities of classes that are as sure as they are right. No torch."""

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logit, logsumexp

from ._cross_fitting import ask_body
from ._rows import draw_rows

N_ROWS = 1 << 14  # at most, that tell how sure to be
_LARGEST = 1 << 22  # numbers in the answers to them
_LEAST = 0.1  # scale: a network that knows nothing keeps vectors that say what little it found


def calibrate(network, table, loss):
    """Bring the log-odds nearer to those of the classes' shares if rows out of their folds say so.

    A network that trains for long becomes surer of single rows than it is right. Temperature scaling [1]_ repairs that
    with one number, here about the shares of the classes rather than about equal ones. Each row has a table and a body
    that have not seen its label, so none need be held out. New rows are answered by the mean of all bodies, which is
    less sure than each for what they disagree about, so the number is larger than for a single one.

    Parameters
    ----------
    network : TrainedNetwork
        With fold tables.
    table : TrainingTable
        The rows that it was trained on.
    loss : {"log_loss", "cross_entropy"}
        Of the network.

    Returns
    -------
    network : TrainedNetwork
        Its last layer gives ``prior + scale * (raw - prior)``, of the raw outputs so far and with a scale of 1 at most.

    References
    ----------
    .. [1] Guo, C., Pleiss, G., Sun, Y. and Weinberger, K. Q. (2017). On calibration of modern neural networks. ICML.
       :doi:`10.48550/arXiv.1706.04599`
    """
    n_bodies = int(table.fold.max()) + 1
    is_softmax = loss == "cross_entropy"
    weight = np.ones(table.n_rows) if table.weight is None else table.weight.astype(float)
    prior = np.log(table.shares()) if is_softmax else logit(table.shares())
    n_rows = max(1, min(N_ROWS, _LARGEST // (n_bodies * len(prior))))
    some = draw_rows(table.n_rows, n_rows)
    codes, numeric, target, weight = (
        part[some] for part in (table.codes, table.numeric, table.target, weight)
    )
    beyond = np.stack([ask_body(network, codes, numeric, k) for k in range(n_bodies)]) - prior
    if is_softmax:
        beyond -= beyond.mean(axis=2, keepdims=True)
    own = beyond[table.fold[some], np.arange(len(some))]

    def judge(scale):
        raw = prior + scale * own
        of_all = logsumexp(raw, axis=1) if is_softmax else np.logaddexp(0, raw).sum(axis=1)
        return weight @ (of_all - (raw * target).sum(axis=1))

    scale = minimize_scalar(judge, bounds=(_LEAST, 1), method="bounded", options={"xatol": 1e-3}).x
    # What bodies disagree about is noise. The scale takes it off, as a regression on noisy numbers does; their mean has
    # less of it to take off.
    noise = beyond.var(axis=0, ddof=1).mean() / max(np.square(own).mean(), np.finfo(float).tiny)
    scale /= max(1 - noise * (1 - 1 / n_bodies), scale)
    if scale > 0.99 or judge(1) <= judge(scale):
        return network
    *coefs, last = network.head["coefs"]
    *intercepts, constant = network.head["intercepts"]
    constant = (prior + scale * (constant - prior)).astype(constant.dtype)
    head = {
        "coefs": [*coefs, (scale * last).astype(last.dtype)],
        "intercepts": [*intercepts, constant],
    }
    return replace(network, head={**network.head, **head})
