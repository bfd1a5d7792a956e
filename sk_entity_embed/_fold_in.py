"""Vectors of new entities from their links alone, and why two entities are near.

The exact solver's vector of an entity is a closed form of its links, given the other table::

    x = A^-1 sum_l c_l t_l v_l,    A = w0 V'V + r I + sum_l c_l v_l v_l'

with confidences c_l, targets t_l (1 for a link), w0 the weight of a non-link and
r = ridge * (sum_l c_l + w0 n) ** ridge_power. So a new entity needs no training, and since x is a
sum over the entity's own links, so is every dot product with it.
"""

from dataclasses import dataclass

import numpy as np

_CELLS = 2_000_000  # float64 numbers gathered at a time


@dataclass(frozen=True)
class Explanation:
    """The links of two entities and what each adds to their similarity, largest first.

    Parameters
    ----------
    links : ndarray of shape (n_links,), int64
        Codes of the links that the first or the second entity has.
    parts : ndarray of shape (n_links,), float64
        What each adds; they sum up to `score`.
    shared : ndarray of shape (n_links,), bool
        Whether both entities have the link.
    score : float
        The similarity of the two folded-in vectors.
    """

    links: np.ndarray
    parts: np.ndarray
    shared: np.ndarray
    score: float


def fold_in(
    other_vectors,
    indptr,
    indices,
    weights=None,
    targets=None,
    *,
    negative_weight,
    ridge,
    ridge_power=0.0,
    confidence=1.0,
):
    """Vectors of entities from their links to the entities of the other table.

    Parameters
    ----------
    other_vectors : ndarray of shape (n_other, n_components)
        The trained table that the links point to.
    indptr : ndarray of shape (n_new + 1,)
        The links of new entity i are ``indices[indptr[i]:indptr[i + 1]]``.
    indices : ndarray of shape (n_links,)
        Rows of `other_vectors`. A link given twice counts twice.
    weights : ndarray of shape (n_links,), default=None
        Confidence of each link, >= 0; None is 1 for all.
    targets : ndarray of shape (n_links,), default=None
        What the dot product should be: 1 for a link, 0 for a known non-link, or a rating less
        its biases. None is 1 for all.
    negative_weight, ridge, ridge_power, confidence : float
        The numbers of `TrainedLinks` with these names.

    Returns
    -------
    vectors : ndarray of shape (n_new, n_components), float32
        Zeros for an entity without links.
    """
    v = np.asarray(other_vectors, np.float64)
    indptr, indices = np.asarray(indptr, np.int64), np.asarray(indices, np.int64)
    n_new, (n_other, d) = len(indptr) - 1, v.shape
    c = np.full(len(indices), float(confidence))
    if weights is not None:
        c *= weights
    t = c if targets is None else c * targets
    gram = negative_weight * (v.T @ v)
    count = np.diff(indptr)
    found = np.zeros((n_new, d), np.float32)
    for n_links in np.unique(count[count > 0]):  # entities of equal count are one batch
        same = np.flatnonzero(count == n_links)
        step = max(1, _CELLS // (d * (d + int(n_links))))
        for rows in np.split(same, range(step, len(same), step)):
            at = indptr[rows][:, None] + np.arange(n_links)
            near = v[indices[at]]  # (B, k, d)
            a = gram + np.matmul((near * c[at][:, :, None]).transpose(0, 2, 1), near)
            mass = c[at].sum(axis=1)
            strength = ridge * (mass + negative_weight * n_other) ** ridge_power
            a[:, np.arange(d), np.arange(d)] += np.maximum(strength, 1e-12)[:, None]
            b = np.matmul(t[at][:, None, :], near)[:, 0]
            found[rows] = np.linalg.solve(a, b[:, :, None])[:, :, 0]
    return found


def explain(
    other_vectors,
    links_a,
    links_b,
    weights_a=None,
    weights_b=None,
    targets_a=None,
    targets_b=None,
    *,
    negative_weight,
    ridge,
    ridge_power=0.0,
    confidence=1.0,
    metric="cosine",
):
    """Split the similarity of two entities into what each of their links adds.

    The dot product of two vectors is a sum over the links of the first, and as well one over the
    links of the second; a link gets the mean of what it adds to the two sums.

    Parameters
    ----------
    other_vectors : ndarray of shape (n_other, n_components)
        The trained table that the links point to.
    links_a, links_b : ndarray of shape (n_links_of_a,) and (n_links_of_b,)
        Rows of `other_vectors`.
    weights_a, weights_b : ndarray, default=None
        Confidences of the links; None is 1 for all.
    targets_a, targets_b : ndarray, default=None
        1 for a link, 0 for a known non-link, which adds nothing and is not listed; None is 1 for all.
    negative_weight, ridge, ridge_power, confidence : float
        The numbers of `TrainedLinks` with these names.
    metric : {"cosine", "dot"}, default="cosine"
        The similarity to split.

    Returns
    -------
    Explanation
        Links and their parts. Exact for vectors of the exact solver; for others it is the
        similarity of their fold-ins.
    """
    numbers = (negative_weight, ridge, ridge_power, confidence)
    v = np.asarray(other_vectors, np.float64)
    links_a, links_b = np.asarray(links_a, np.int64), np.asarray(links_b, np.int64)
    has_a, has_b = _linked(links_a, targets_a), _linked(links_b, targets_b)
    a = _system(v, links_a, weights_a, targets_a, *numbers)
    b = _system(v, links_b, weights_b, targets_b, *numbers)
    x_a, x_b = (np.linalg.solve(system, t @ near) for system, t, near in (a, b))
    links = np.union1d(links_a[has_a], links_b[has_b])
    parts = np.zeros(len(links))
    for (system, t, near), own, has, other in ((a, links_a, has_a, x_b), (b, links_b, has_b, x_a)):
        part = t * (near @ np.linalg.solve(system, other))
        np.add.at(parts, np.searchsorted(links, own[has]), part[has] / 2)
    if metric == "cosine":
        parts /= np.linalg.norm(x_a) * np.linalg.norm(x_b) or 1.0  # however short they are
    elif metric != "dot":
        raise ValueError(f"metric must be 'cosine' or 'dot', got {metric!r} instead.")
    order = np.argsort(-parts, kind="stable")
    shared = np.isin(links, links_a[has_a]) & np.isin(links, links_b[has_b])
    return Explanation(links[order], parts[order], shared[order], float(parts.sum()))


def _linked(links, targets):
    """Which of them are links: a known non-link adds nothing, and is no reason."""
    return np.ones(len(links), bool) if targets is None else np.asarray(targets) != 0


def _system(v, links, weights, targets, negative_weight, ridge, ridge_power, confidence):
    """The matrix A of an entity, the confidences times targets of its links and their vectors."""
    c = np.full(len(links), float(confidence))
    if weights is not None:
        c *= weights
    near = v[links]
    strength = ridge * (c.sum() + negative_weight * len(v)) ** ridge_power
    system = negative_weight * (v.T @ v) + near.T @ (c[:, None] * near)
    system[np.diag_indices_from(system)] += max(strength, 1e-12)
    return system, c if targets is None else c * targets, near
