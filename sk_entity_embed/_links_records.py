"""What crosses the seam when links are trained: pairs in, a recipe in, two tables of vectors out.

Codes here are 0-based positions in the two tables; entities without a usable code were left
out before.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse


@dataclass(frozen=True)
class LinkPairs:
    """Pairs of entities, and what is known of each pair.

    Parameters
    ----------
    left, right : ndarray of shape (n_pairs,), int32 or int64
        Row of each entity in the left and in the right table.
    value : ndarray of shape (n_pairs,), float32, or None
        ``None``: every pair is a link. For ``kind="binary"`` 1 is a link and 0 a known non-link,
        for ``kind="rating"`` any real number.
    weight : ndarray of shape (n_pairs,), float32, or None
        Confidence of each pair, >= 0; ``None`` is 1 everywhere. A pair given twice counts twice.
    n_left, n_right : int
        Rows of the two tables.
    kind : {"links", "binary", "rating"}
        What `value` means.
    """

    left: np.ndarray
    right: np.ndarray
    value: np.ndarray | None
    weight: np.ndarray | None
    n_left: int
    n_right: int
    kind: str = "links"

    def only(self, rows):
        """Some of the pairs: positions or a mask."""
        value, weight = (None if a is None else a[rows] for a in (self.value, self.weight))
        return replace(
            self, left=self.left[rows], right=self.right[rows], value=value, weight=weight
        )


@dataclass(frozen=True)
class LinkSpec:
    """How to train. ``"auto"`` leaves a choice to the solver; `TrainedLinks` says what it became.

    Parameters
    ----------
    n_components : int
        Width of both tables.
    solver : {"auto", "exact", "sgd"}
        ``"exact"``: alternating weighted least squares with every non-link as a weak negative.
        ``"sgd"``: batches of pairs. ``"auto"``: sgd for ratings, else exact, and where every pair is a
        link the right table is then polished by a softmax, as far as held-back links rank better for it.
    loss : {"auto", "softmax", "logistic", "squared_error"}
        Of the sgd solver. ``"squared_error"`` on links is the method of the article
        "Neural Network Embeddings Explained": cosine, scaled, against +1 and -1. The exact
        solver knows ``"squared_error"`` only.
    n_negatives : int or "auto"
        Drawn non-links: for each pair with ``"squared_error"`` and ``"logistic"``, shared by
        the batch with ``"softmax"``, where ``"auto"`` means the other pairs of the batch.
    negative_sampling : {"auto", "uniform", "popularity"}
        Chance of an entity to be drawn as a non-link: all alike, or count ** 0.75.
    max_epochs : int or "auto"
        Passes over the pairs; sweeps over both tables for the exact solver.
    batch_size : int or "auto"
        Pairs a step of the sgd solver.
    learning_rate : float or "auto"
        Of the sgd solver, before its linear decay.
    weight_decay : float, None or "auto"
        L2 penalty of the vectors; None is 0. ``"auto"`` chooses on held-back pairs for the exact solver, with how
        far its right table is whitened, and for ratings and known non-links.
    negative_weight : float or "auto"
        Weight of a non-link beside a link of weight 1 in the exact solver.
    """

    n_components: int = 50
    solver: str = "auto"
    loss: str = "auto"
    n_negatives: int | str = "auto"
    negative_sampling: str = "auto"
    max_epochs: int | str = "auto"
    batch_size: int | str = "auto"
    learning_rate: float | str = "auto"
    weight_decay: float | str | None = "auto"
    negative_weight: float | str = "auto"


@dataclass(frozen=True)
class TrainedLinks:
    """Two tables of vectors and the numbers that a fold-in needs.

    Parameters
    ----------
    left_vectors, right_vectors : ndarray of shape (n_left or n_right, n_components), float32
        The score of a pair is the dot product of its two vectors, plus the biases.
    left_bias, right_bias : ndarray of shape (n_left or n_right,), float32
        Zeros unless ratings or logistic links were learned.
    intercept : float
        Zero unless ratings or logistic links were learned.
    solver, loss : str
        What ``"auto"`` became.
    solved_right : ndarray of shape (n_right, n_components), float32, or None
        The right table that the left vectors were solved with, for fold-ins; None: `right_vectors`.
    confidence : float
        Weight of a link of sample weight 1 (the c of the fold-in).
    negative_weight : float
        Weight of a non-link (w0 of the fold-in), for the left vectors.
    ridge, ridge_power : float
        The penalty of a left entity with k links is ``ridge * (k + negative_weight * n) **
        ridge_power`` with n the rows of the other table.
    right_negative_weight, right_ridge : float
        Those for the right vectors.
    history : list of dict
        A record per epoch: ``epoch``, ``loss``, ``seconds``.
    n_epochs : int
        Epochs (sweeps) that were run.
    interrupted : bool
        Whether Ctrl-C ended the training.
    """

    left_vectors: np.ndarray
    right_vectors: np.ndarray
    left_bias: np.ndarray
    right_bias: np.ndarray
    intercept: float
    solver: str
    loss: str
    solved_right: np.ndarray | None = None
    confidence: float = 1.0
    negative_weight: float = 0.0
    ridge: float = 0.0
    ridge_power: float = 0.0
    right_negative_weight: float = 0.0
    right_ridge: float = 0.0
    history: list = field(default_factory=list)
    n_epochs: int = 0
    interrupted: bool = False


def link_matrix(pairs):
    """Confidences and targets as two sparse matrices of one pattern; repeated pairs are added up.

    The target of a pair given several times is its mean by confidence, which has the same
    minimiser. The second matrix is ``None`` where every target is 1.
    """
    weight = np.ones(len(pairs.left), np.float32) if pairs.weight is None else pairs.weight
    at = (pairs.left, pairs.right)
    shape = (pairs.n_left, pairs.n_right)
    links = sparse.csr_matrix((weight.astype(np.float32), at), shape=shape)
    if pairs.value is None:
        return links, None
    targets = sparse.csr_matrix(((weight * pairs.value).astype(np.float32), at), shape=shape)
    targets.data /= links.data
    return links, targets
