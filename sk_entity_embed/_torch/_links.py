"""Train the vectors of two tables of entities from pairs of them."""

import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from .._links_records import TrainedLinks
from ._links_exact import Penalty, Side, link_matrix, start_tables, sweep


def train_links(pairs, spec, *, seed, device="cpu", on_epoch=None):
    """Vectors of the entities in `pairs`, trained as `spec` says.

    Parameters
    ----------
    pairs : LinkPairs
        The pairs, as 0-based codes.
    spec : LinkSpec
        The recipe.
    seed : int
        All chance comes from it; equal seeds give equal vectors on one device.
    device : str or torch.device, default="cpu"
        Where to compute.
    on_epoch : callable, default=None
        Called as ``on_epoch(epoch, record)`` after every pass or sweep, epochs counted from 0; a
        true result ends the training.

    Returns
    -------
    TrainedLinks
        NumPy arrays and plain numbers.

    Raises
    ------
    FloatingPointError
        If the loss becomes NaN or infinite.
    """
    solver = spec.solver
    if solver == "auto":
        solver = "sgd" if pairs.kind == "rating" else "exact"
    return _train_exact(pairs, spec, seed=seed, device=torch.device(device), on_epoch=on_epoch)


def _train_exact(pairs, spec, *, seed, device, on_epoch):
    links, targets = link_matrix(pairs)
    left = Side(links, targets, spec.n_components, device)
    right = Side(links.T.tocsr(), None if targets is None else targets.T.tocsr(), spec.n_components, device)
    penalty = Penalty(0.01, 0.15, 0.5)
    generator = torch.Generator().manual_seed(seed)
    tables = start_tables(left, right, spec.n_components, generator, device)
    history = []

    def end_sweep(objective, seconds):
        record = {"epoch": len(history), "loss": objective / max(1, links.nnz), "seconds": seconds}
        history.append(record)
        return bool(on_epoch is not None and on_epoch(record["epoch"], record))

    n_sweeps = 6 if spec.max_epochs == "auto" else spec.max_epochs
    x, v = sweep(left, right, tables, penalty, n_sweeps, end_sweep)
    return TrainedLinks(
        left_vectors=x.cpu().numpy(),
        right_vectors=v.cpu().numpy(),
        left_bias=np.zeros(pairs.n_left, np.float32),
        right_bias=np.zeros(pairs.n_right, np.float32),
        intercept=0.0,
        solver="exact",
        loss="squared_error",
        negative_weight=penalty.negative_weight,
        ridge=penalty.ridge,
        ridge_power=penalty.power,
        history=history,
        n_epochs=len(history),
    )
