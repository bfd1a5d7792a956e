"""Predictions that are as sure as they are right, and right on average. No torch."""

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import logit, logsumexp

from ._cross_fitting import ask_as_new, ask_body
from ._rows import draw_rows
from ._target import mean_of

N_ROWS = 1 << 14  # at most, that tell how sure to be
N_BALANCED = 1 << 15  # at most, that tell where the mean lies
_LARGEST = 1 << 22  # numbers in the answers to them
_ROWS_AT_ONCE = 1 << 12  # whose vectors are held
_LEAST = 0.1  # scale: a network that knows nothing keeps vectors that say what little it found
# Rows that speak for no shift: with none of a class in doubt any shift would do.
_DOUBT = 3.0


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
    prior = np.log(table.shares()) if is_softmax else logit(table.shares())
    some, target, weight = _draw(table, min(N_ROWS, _LARGEST // (n_bodies * len(prior))))
    codes, numeric = table.codes[some], table.numeric[some]
    beyond = np.stack([ask_body(network, codes, numeric, k) for k in range(n_bodies)]) - prior
    if is_softmax:
        beyond -= beyond.mean(axis=2, keepdims=True)
    own = beyond[table.fold[some], np.arange(len(some))]

    potential = _POTENTIALS[loss]

    def judge(scale):
        raw = prior + scale * own
        return weight @ (potential(raw) - (raw * target).sum(axis=1))

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


def balance(network, table, loss):
    """Shift the outputs so that the training rows, answered as new ones, have the mean of the target.

    A rare class that is predicted .4 % in the mean and comes with .5 % is short of a fifth of its rows. A network's
    mean is off [1]_ because a scale about the shares of the classes draws in its largest probabilities, because bodies
    are averaged before the odds become probabilities, and because it was trained with dropout.

    Parameters
    ----------
    network : TrainedNetwork
    table : TrainingTable
        The rows that it was trained on.
    loss : str
        Of the network. Quantiles are no means and stay as they are. So do numbers under the squared error: on 17 tables
        the shifts were at most .025 standard deviations, and as often away from the mean of new rows as toward it.

    Returns
    -------
    network : TrainedNetwork
        With other intercepts in its last layer.

    References
    ----------
    .. [1] Wüthrich, M. V. (2020). Bias regularization in neural network models for general insurance pricing. European
       Actuarial Journal 10. :doi:`10.1007/s13385-019-00215-z`
    """
    if loss not in _POTENTIALS:
        return network
    mean, potential = mean_of(loss), _POTENTIALS[loss]
    some, target, weight = _draw(table, min(N_BALANCED, _LARGEST // table.target.shape[1]))
    weight /= weight.sum()
    served = network.serve()
    parts = np.array_split(some, -(-len(some) // _ROWS_AT_ONCE))
    raw = np.concatenate(
        [ask_as_new(network.head, served, table.codes[r], table.numeric[r]) for r in parts]
    )
    # The rows drawn are not quite like all. As far as predictions follow the target, so must their mean.
    apart, predicted = target - weight @ target, mean(raw)
    variance = weight @ apart**2
    told = weight @ (apart * (predicted - weight @ predicted))
    follows = np.divide(told, variance, out=np.zeros_like(told), where=variance > 0).clip(0, 1)
    of_all = table.mean_target()
    wanted = of_all + follows * (weight @ target - of_all)
    ridge = _DOUBT / len(some)

    def judge(shift):
        value = weight @ potential(raw + shift) - wanted @ shift + ridge / 2 * shift @ shift
        return value, weight @ mean(raw + shift) - wanted + ridge * shift

    shift = minimize(judge, np.zeros(len(wanted)), jac=True, method="L-BFGS-B").x
    *intercepts, last = network.head["intercepts"]
    head = {"intercepts": [*intercepts, (last + shift).astype(last.dtype)]}
    return replace(network, head={**network.head, **head})


def _draw(table, at_most):
    """Rows that stand for all, one at least: their positions, target and weight, the latter in double precision."""
    some = draw_rows(table.n_rows, max(1, at_most))
    return some, table.target[some].astype(float), table.weights(some)


# Of each loss, the function of which the mean is the derivative: that function less raw output times target is the
# loss, up to terms of the target alone.
_POTENTIALS = {
    "log_loss": lambda raw: np.logaddexp(0, raw).sum(axis=1),
    "cross_entropy": lambda raw: logsumexp(raw, axis=1),
    "poisson": lambda raw: np.exp(raw).sum(axis=1),
}
