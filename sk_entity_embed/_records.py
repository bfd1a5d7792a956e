"""Records that cross the seam between estimators and training: arrays and numbers, never a half-fitted object."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Columns:
    """The columns of a table as the estimator reads them.

    Attributes
    ----------
    codes : ndarray of shape (n_rows, n_embedded), int32
    numeric : ndarray of shape (n_rows, n_numeric), float32 or float64
        As given, NaN where missing; float64 where the training rows have whole numbers that float32 does not hold.
    """

    codes: np.ndarray
    numeric: np.ndarray

    def rows(self, rows):
        """Some of the rows, a slice."""
        return Columns(self.codes[rows], self.numeric[rows])


@dataclass(frozen=True)
class TrainingTable:
    """The rows to learn from, laid out once.

    Attributes
    ----------
    codes : ndarray of shape (n_rows, n_columns), int32
        Code of each cell; 0 is unknown, ``i + 1`` is category ``i`` of that column.
    numeric : ndarray of shape (n_rows, n_numeric), float32
        Numeric context as the network reads it: scaled, no missing values, with marks and deviations.
    target : ndarray of shape (n_rows, n_outputs), float32
        What the loss compares with: standardised numbers, or 0 and 1.
    weight : ndarray of shape (n_rows,), float32, or None
        Weight of each row, with a mean of 1.
    fold : ndarray of shape (n_rows,), int64, or None
        Fold of each row, from 0; None trains a single table per column.
    validation : ndarray of shape (n_validation,), int64
        Positions of the rows that early stopping scores. Without folds they are not trained on.
    """

    codes: np.ndarray
    numeric: np.ndarray
    target: np.ndarray
    weight: np.ndarray | None = None
    fold: np.ndarray | None = None
    validation: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @property
    def n_rows(self):
        """Number of rows."""
        return len(self.codes)

    def weights(self, rows=slice(None)):
        """Weights of some rows, or of all, float64; 1 where all rows count alike."""
        if self.weight is None:
            return np.ones(len(self.target[rows]))
        return self.weight[rows].astype(np.float64)

    def mean_target(self):
        """Weighted mean of the target, shape (n_outputs,), float64."""
        # Not np.average: single precision counts no further than 2**24 rows.
        if self.weight is None:
            return self.target.mean(axis=0, dtype=np.float64)
        total = (self.target * self.weight[:, None]).sum(axis=0, dtype=np.float64)
        return total / self.weight.sum(dtype=np.float64)

    def shares(self):
        """Weighted shares of the classes, shape (n_outputs,), float64, never quite 0 or 1."""
        return self.mean_target().clip(1e-6, 1 - 1e-6)


@dataclass(frozen=True)
class NetworkSpec:
    """The shape of the network."""

    n_codes: tuple[int, ...]  # per column, the unknown code included
    n_components: tuple[int, ...]  # per column
    n_numeric: int
    n_outputs: int
    hidden_layer_sizes: tuple[int, ...]
    loss: str
    dropout: float = 0.1
    n_tables: int = 1  # fold tables
    quantile: float = 0.5  # of loss="quantile"
    start: tuple[float, ...] | None = None  # raw output before training; None: random, near zero
    # Per column, the first component of the unknown vector before training, in that of all others near zero.
    unknown_start: tuple[float, ...] | None = None


@dataclass(frozen=True)
class TrainingPlan:
    """How the network is trained."""

    max_epochs: int
    batch_size: int
    learning_rate: float
    table_learning_rate: float
    weight_decay: float
    early_stopping: bool
    patience: int
    seed: int
    device: str
    n_doublings: int = 0  # of the epochs, at most, while that lowers the out-of-fold loss

    @property
    def most_epochs(self):
        """Epochs of all cycles together, if none is left out."""
        return self.max_epochs << self.n_doublings


@dataclass(frozen=True)
class TrainedNetwork:
    """What training leaves behind, all NumPy.

    Attributes
    ----------
    tables : list of ndarray of shape (n_tables, n_codes, n_components)
        One per column; row 0 of each table is the unknown vector.
    head : dict of str to ndarray or list of ndarray
        The layers above the vectors, see :mod:`sk_entity_embed._head`.
    history : list of dict
        A record per epoch.
    best_epoch : int
        Epochs behind `tables` and `head`.
    validation_loss : float
        Of rows judged by tables and bodies that have not seen their labels; infinite without such rows.
    interrupted : bool
        Whether Ctrl-C or a callback ended the training.
    n_apart : int
        How many of the first tables new rows are answered from one by one, each body from its own, rather than from
        their mean.
    """

    tables: list[np.ndarray]
    head: dict
    history: list[dict]
    best_epoch: int
    validation_loss: float = math.inf
    interrupted: bool = False
    n_apart: int = 0

    def serve(self):
        """What new rows are answered from: a table for each body or one for all, shape (n_tables or 1, n_codes, d).

        No copy where there is a single one, which may be the largest array of a fit.
        """
        return [
            t if c < self.n_apart or len(t) == 1 else t.mean(axis=0, keepdims=True)
            for c, t in enumerate(self.tables)
        ]


@dataclass
class Fitted:
    """What a fit knows of its training rows, for `fit_transform`.

    Attributes
    ----------
    columns : Columns
    inputs : ndarray of shape (n_rows, n_inputs), float32, or None
        The numbers as the network reads them.
    fold : ndarray of shape (n_rows,) or None
    trained : slice or ndarray of shape (n_trained,), int64
        The rows that were trained on, those of some weight.
    network : TrainedNetwork or None
    tables : list of ndarray of shape (n_tables, n_codes, n_components) or None
        The vectors as `transform` gives them; the network reads those of its own.
    attributes : dict
        The fitted attributes.
    """

    columns: Columns
    inputs: np.ndarray | None = None
    fold: np.ndarray | None = None
    trained: slice | np.ndarray = field(default_factory=lambda: slice(None))
    network: object = None
    tables: list | None = None
    attributes: dict = field(default_factory=dict)
