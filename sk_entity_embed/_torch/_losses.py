"""Losses on the raw outputs of the network, each with its gradient in closed form.

Every function takes `raw` and `target` of shape (..., n_outputs) and gives ``(values, gradient)``: the loss of each
row, shape (...), and the gradient of the rows' sum with respect to `raw`. Writing the gradient down saves autograd's
bookkeeping, which costs a third of a step at these sizes (benchmarks/bench_fit.py).
"""

from functools import partial

import torch
from torch.nn import functional as F


def squared_error(raw, target):
    """Mean over the outputs of the squared difference."""
    residual = raw - target
    return residual.square().mean(-1), residual * (2.0 / raw.shape[-1])


def log_loss(raw, target):
    """Binary cross-entropy of log-odds, mean over the outputs (several for multilabel)."""
    values = F.softplus(raw) - raw * target
    return values.mean(-1), (torch.sigmoid(raw) - target) / raw.shape[-1]


def cross_entropy(raw, target):
    """Cross-entropy of softmax; `target` is one-hot."""
    log_probability = F.log_softmax(raw, dim=-1)
    return -(log_probability * target).sum(-1), log_probability.exp() - target


def poisson(raw, target):
    """Half the Poisson deviance of counts with a log link.

    With the terms of `target` alone, which make it 0 at best: whether to train on is judged by the share it falls by.
    On 29 tables of counts and amounts they lower the deviance of new rows on 11, by up to 18 %, and raise it on two, of
    fewer than 150 training rows.
    """
    mean = _mean_count(raw)
    values = mean - target * raw + torch.xlogy(target, target) - target
    return values.mean(-1), (mean - target) / raw.shape[-1]


def _mean_count(raw):
    # A count of exp(15) is beyond what training meets; the bound keeps a wild first step finite.
    return raw.clamp(max=15.0).exp()


def pinball(raw, target, quantile):
    """Pinball loss of a quantile."""
    residual = target - raw
    values = torch.maximum(quantile * residual, (quantile - 1.0) * residual)
    gradient = torch.where(residual > 0, -quantile, 1.0 - quantile)  # of torch's default type
    return values.mean(-1), gradient.to(raw.dtype) / raw.shape[-1]


def make_loss(name, quantile=0.5):
    """The loss called `name`."""
    return {
        "squared_error": squared_error,
        "log_loss": log_loss,
        "cross_entropy": cross_entropy,
        "poisson": poisson,
        "quantile": partial(pinball, quantile=quantile),
    }[name]


def steepness(name, raw, target):
    """How many rows each row counts as where steps are kept short enough for the bend of the loss.

    The loss of counts bends as much as the mean that is predicted, and by the count on the way there; the others bend
    nowhere more than the squared error. Without it a few large counts drove all predictions to zero.

    Returns
    -------
    steepness : tensor of shape (..., 1), at least 1, or None
        None where all count as one.
    """
    if name != "poisson":
        return None
    return torch.maximum(_mean_count(raw), target).mean(-1, keepdim=True).clamp_(min=1.0)
