"""Probabilities of classes that are as sure as they are right. No torch."""

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logit, logsumexp

from ._cross_fitting import ask_body

N_ROWS = 1 << 15  # at most, that tell how sure to be
_LARGEST = 1 << 22  # numbers in their answers
_LEAST = 0.1  # scale: a network that knows nothing keeps vectors that say what little it found
_NEVER = 1e-6  # share of a class without weight


def calibrate(network, table, loss):
    """Bring the log-odds nearer to those of the classes' shares if rows out of their folds say so.

    A network that trains for long becomes surer of single rows than it is right. Temperature scaling [1]_ repairs that
    with one number, here about the shares of the classes rather than about equal ones. Each row has a table and a body
    that have not seen its label, so none need be held out.

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
    is_softmax = loss == "cross_entropy"
    weight = np.ones(table.n_rows) if table.weight is None else table.weight.astype(float)
    shares = np.average(table.target, axis=0, weights=weight).clip(_NEVER, 1 - _NEVER)
    prior = np.log(shares) if is_softmax else logit(shares)
    n_rows = max(1, min(N_ROWS, _LARGEST // len(prior)))
    some = np.arange(0, table.n_rows, -(-table.n_rows // n_rows))
    raw = np.empty((len(some), len(prior)))
    for k in range(int(table.fold.max()) + 1):
        own = table.fold[some] == k
        rows = some[own]
        raw[own] = ask_body(network, table.codes[rows], table.numeric[rows], k)
    target, weight = table.target[some], weight[some]

    def judge(scale):
        scaled = prior + scale * (raw - prior)
        of_all = logsumexp(scaled, axis=1) if is_softmax else np.logaddexp(0, scaled).sum(axis=1)
        return weight @ (of_all - (scaled * target).sum(axis=1))

    scale = minimize_scalar(judge, bounds=(_LEAST, 1), method="bounded", options={"xatol": 1e-3}).x
    if judge(1) <= judge(scale):
        return network
    *coefs, last = network.head["coefs"]
    *intercepts, constant = network.head["intercepts"]
    constant = (prior + scale * (constant - prior)).astype(constant.dtype)
    head = {
        "coefs": [*coefs, (scale * last).astype(last.dtype)],
        "intercepts": [*intercepts, constant],
    }
    return replace(network, head={**network.head, **head})
