"""Rows of a matrix -> points in two or three dimensions.

Rows are scaled to unit length first, so that distance in the plane speaks about cosine similarity.
Every method starts from the same exact PCA and gets the same seed: a picture can be drawn again.
"""

from numbers import Integral

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state

from ._optional import import_optional

METHODS = ("tsne", "pca", "opentsne", "umap")


def project(
    vectors, method="tsne", *, n_components=2, normalize=True, random_state=None, verbose=False
):
    """Coordinates in the plane or in space, near for rows that are similar.

    Parameters
    ----------
    vectors : array-like of shape (n_rows, n_features)
        Finite numbers, a row per point.

    method : {"tsne", "pca", "opentsne", "umap"} or object, default="tsne"
        "tsne" is scikit-learn's; "opentsne" does the same with less work on many rows and needs
        the package openTSNE; "umap" needs umap-learn. An object is used through its
        `fit_transform`; a scikit-learn estimator is cloned first.

    n_components : {2, 3}, default=2
        Dimensions of the result. An object decides for itself.

    normalize : bool, default=True
        Whether rows are scaled to unit length. Rows of one number stay as they are: their length
        is all that they have.

    random_state : int, RandomState instance or None, default=None
        Same number, same coordinates.

    verbose : bool, default=False
        Whether t-SNE and UMAP print their progress.

    Returns
    -------
    coordinates : ndarray of shape (n_rows, n_components), dtype float32
        Too few rows for the method (fewer than four for t-SNE) are laid out by PCA.

    Raises
    ------
    ValueError
        If `vectors` is not a finite matrix, `n_components` is neither 2 nor 3, the method is
        unknown, or an object returns something of another shape.
    """
    vectors = _checked(vectors)
    if n_components not in (2, 3):
        raise ValueError(f"n_components must be 2 or 3, got {n_components!r}.")
    if normalize:
        vectors = unit_rows(vectors)
    seed = seed_of(random_state)
    if not isinstance(method, str):
        return _by_object(vectors, method)
    if method not in METHODS:
        names = ", ".join(map(repr, METHODS))
        raise ValueError(
            f"method must be one of {names} or an object with fit_transform, got {method!r}."
        )
    if method_used(method, len(vectors)) == "pca":
        return _pca(vectors, n_components).astype(np.float32)
    fit = {"tsne": _tsne, "opentsne": _opentsne, "umap": _umap}[method]
    points = fit(vectors, _start(vectors, n_components, seed), seed, bool(verbose))
    return np.asarray(points, dtype=np.float32)


def method_used(method, n_rows):
    """The name of the method that lays out so many rows: of fewer than four, each is PCA."""
    return "pca" if n_rows <= 3 else method


def trustworthiness(vectors, coordinates, *, n_neighbors=10, max_rows=2000, random_state=0):
    """How far neighbours in the picture are neighbours in truth: 1 is best, .5 is chance.

    Parameters
    ----------
    vectors : array-like of shape (n_rows, n_features)
        The rows as they were projected (of unit length for cosine similarity).

    coordinates : array-like of shape (n_rows, n_components)
        What `project` made of them.

    n_neighbors : int, default=10
        Neighbours looked at; fewer when there are few rows.

    max_rows : int, default=2000
        With more rows a random sample of that many is judged, within itself: the cost is
        quadratic.

    random_state : int, RandomState instance or None, default=0
        Draws the sample.

    Returns
    -------
    score : float
        NaN where there are too few rows to tell (fewer than four).

    References
    ----------
    Venna and Kaski, "Neighborhood preservation in nonlinear projection methods", ICANN 2001,
    doi:10.1007/3-540-44668-0_68.
    """
    from sklearn.manifold import trustworthiness as score

    vectors, coordinates = np.asarray(vectors), np.asarray(coordinates)
    n_rows = len(vectors)
    if n_rows < 4:
        return float("nan")
    if n_rows > max_rows:
        rows = np.random.default_rng(seed_of(random_state)).choice(n_rows, max_rows, replace=False)
        vectors, coordinates = vectors[rows], coordinates[rows]
    n_neighbors = min(n_neighbors, (len(vectors) - 1) // 2)  # the measure wants k < n / 2
    return float(score(vectors, coordinates, n_neighbors=n_neighbors))


def unit_rows(vectors):
    """Rows scaled to length 1; rows of zeros stay, as do rows of one number, which have nothing but their length."""
    vectors = np.asarray(vectors, dtype=np.float32)
    if vectors.shape[1] == 1:
        return vectors
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def _checked(vectors):
    vectors = np.asarray(vectors, dtype=np.float32)
    if vectors.ndim != 2 or vectors.shape[1] == 0:
        raise ValueError(
            f"vectors must be a matrix with a row per point, got shape {vectors.shape}."
        )
    if not np.isfinite(vectors).all():
        raise ValueError("vectors must be finite, got NaN or infinity.")
    return vectors


def seed_of(random_state):
    """An int, so that every library understands it; None leaves NumPy's global state alone."""
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _pca(vectors, n_components):
    """Exact PCA with settled signs; missing dimensions are zeros."""
    points = np.zeros((len(vectors), n_components))
    if len(vectors) == 0:
        return points
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, :n_components]  # largest variance first
    largest = np.abs(axes).argmax(axis=0)
    axes = axes * np.where(axes[largest, np.arange(axes.shape[1])] < 0, -1, 1)
    points[:, : axes.shape[1]] = centred @ axes
    return points


def _start(vectors, n_components, seed):
    """PCA, small, with a breath of noise: equal rows and empty dimensions can move apart."""
    points = _pca(vectors, n_components)
    scale = points[:, 0].std()
    noise = np.random.default_rng(seed).normal(size=points.shape)
    return (1e-4 * (points / (scale if scale > 0 else 1) + 1e-2 * noise)).astype(np.float32)


def _perplexity(n_rows):
    return min(30.0, (n_rows - 1) / 3)  # each row needs three times as many neighbours


def _tsne(vectors, start, seed, verbose):
    from sklearn.manifold import TSNE

    return TSNE(
        n_components=start.shape[1],
        perplexity=_perplexity(len(vectors)),
        init=start,
        random_state=seed,
        verbose=int(verbose),
    ).fit_transform(vectors)


def _opentsne(vectors, start, seed, verbose):
    opentsne = import_optional("openTSNE", extra="map")
    return opentsne.TSNE(
        n_components=start.shape[1],
        perplexity=_perplexity(len(vectors)),
        initialization=start.astype(np.float64),
        random_state=seed,
        verbose=verbose,
    ).fit(vectors)


def _umap(vectors, start, seed, verbose):
    umap = import_optional("umap", extra="umap")
    return umap.UMAP(
        n_components=start.shape[1],
        n_neighbors=min(15, len(vectors) - 1),
        init=start
        * 1e5,  # UMAP starts from coordinates of about 10; also, spectral needs many rows
        random_state=seed,
        n_jobs=1,  # what a fixed seed needs; said here, umap does not have to warn
        verbose=verbose,
    ).fit_transform(vectors)


def _by_object(vectors, method):
    if not hasattr(method, "fit_transform"):
        raise ValueError(
            f"method must be a name or an object with fit_transform, got {type(method).__name__}."
        )
    if hasattr(method, "get_params"):
        method = clone(method)
    points = np.asarray(method.fit_transform(vectors), dtype=np.float32)
    if points.ndim != 2 or len(points) != len(vectors) or points.shape[1] not in (2, 3):
        raise ValueError(
            f"{type(method).__name__}.fit_transform must return {len(vectors)} rows of 2 or 3 "
            f"numbers, got shape {points.shape}."
        )
    return points
