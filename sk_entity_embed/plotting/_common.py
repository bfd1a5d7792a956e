"""What pictures and the page ask of an embedder: neighbours, scores and how to project."""

from datetime import date

import numpy as np

from .._entities import is_missing, name_of
from .._projection import method_used

_NAMES = {"tsne": "t-SNE", "opentsne": "t-SNE", "pca": "PCA", "umap": "UMAP"}


def metric_of(embedder, metric):
    """The metric asked for, or the embedder's own."""
    return getattr(embedder, "metric", "cosine") if metric is None else metric


def uses_unit_rows(embedder, metric=None):
    """Whether only directions count, so that rows are scaled to length 1 before projecting."""
    return metric_of(embedder, metric) == "cosine"


def neighbors_of(embedder, entities, queries, n_neighbors, *, metric):
    """Similarities and positions of the nearest entities, a row per query, itself left out.

    `queries` is a list of categories, or None for all of them.
    """
    n_queries = len(entities) if queries is None else len(queries)
    n_neighbors = max(0, min(n_neighbors, len(entities) - 1))
    if n_neighbors == 0 or n_queries == 0:
        return np.zeros((n_queries, 0)), np.zeros((n_queries, 0), dtype=np.int64)
    if queries is None:
        distances, indices = embedder.kneighbors(
            None, n_neighbors, column=entities.column, metric=metric
        )
        return scores_of(distances, metric), np.asarray(indices)
    distances, indices = embedder.kneighbors(
        queries, n_neighbors + 1, column=entities.column, metric=metric
    )
    indices = np.asarray(indices)
    place = {_lookup_key(key): row for row, key in enumerate(entities.keys)}
    own = [place[_lookup_key(query)] for query in queries]
    keep = indices != np.array(own)[:, None]
    keep &= np.cumsum(keep, axis=1) <= n_neighbors  # where it did not come, one is too many
    shape = (n_queries, n_neighbors)
    return scores_of(distances, metric)[keep].reshape(shape), indices[keep].reshape(shape)


def _lookup_key(key):
    if is_missing(key):
        return None  # NaN is not equal to itself
    # Nor has a date the same hash in NumPy, pandas and Python.
    return ("date", name_of(key)) if isinstance(key, np.datetime64 | date) else key


def scores_of(distances, metric):
    """What a reader sees: similarity, larger for nearer; for "euclidean" the distance itself."""
    distances = np.asarray(distances, dtype=np.float64)
    if metric == "cosine":
        return 1 - distances
    return distances if metric == "euclidean" else -distances


def score_label(metric):
    """The name of a score."""
    return {"cosine": "cosine similarity", "dot": "dot product", "euclidean": "distance"}[metric]


def method_name(method, n_rows):
    """How the projection of so many rows is called in a picture; empty where it is not known."""
    if isinstance(method, str):
        return _NAMES[method_used(method, n_rows)]
    return "" if isinstance(method, np.ndarray) else type(method).__name__


def checked_coordinates(coordinates, n_rows, dimensions):
    """Finished coordinates as float32."""
    coordinates = np.asarray(coordinates, dtype=np.float32)
    if (
        coordinates.ndim != 2
        or len(coordinates) != n_rows
        or coordinates.shape[1] not in dimensions
    ):
        wanted = " or ".join(map(str, dimensions))
        raise ValueError(
            f"Coordinates must have shape ({n_rows}, {wanted}), got {coordinates.shape}."
        )
    if not np.isfinite(coordinates).all():
        raise ValueError("Coordinates must be finite, got NaN or infinity.")
    return coordinates
