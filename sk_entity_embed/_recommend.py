"""What is near to what, in names: neighbours and recommendations from vectors.

Similarities are larger for nearer entities, whatever the metric: the cosine, the dot product, or
minus the Euclidean distance.
"""

import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from difflib import SequenceMatcher
from heapq import nsmallest
from numbers import Real

import numpy as np
import pandas as pd
from sklearn.utils import check_array

from ._entities import is_missing
from ._native import in_pandas, python_values
from ._neighbors import Searcher, make_searcher

# Entities to leave out up to which a search over all, longer by as many, is cheapest: so many, or this share of those
# there are, summed over the queries (37,000 of 50 components: 300 for one query .3 ms, the allowed ones alone 20 ms).
_FEW, _FEW_SHARE = 64, 0.25
_MAX_COMPARED = 2000  # spellings compared letter by letter: .15 s if all are alike
_MAX_REPORTED = 5  # unknown names in one message


@dataclass(frozen=True)
class EntityColumn:
    """The entities of one column and their vectors.

    Parameters
    ----------
    name : str or int
        Name or position of the column, for messages.
    categories : ndarray of shape (n_categories,)
        The entities.
    vectors : ndarray of shape (n_categories, n_components), float32
        Row i belongs to ``categories[i]``.
    counts : ndarray of shape (n_categories,), int64
        Training rows of each entity.
    lookup : callable
        From a list of values to their codes: 0 for an unknown one, i + 1 for ``categories[i]``.
    infrequent : ndarray
        Values seen in training but too rarely to have a vector.
    """

    name: str | int
    categories: np.ndarray
    vectors: np.ndarray
    counts: np.ndarray
    lookup: Callable
    infrequent: np.ndarray


class UnknownEntityError(KeyError):
    """A name that has no vector. Its text is shown as it is, not quoted as keys are."""

    def __str__(self):
        return self.args[0]


def kneighbors(
    source,
    X=None,
    n_neighbors=5,
    return_distance=True,
    *,
    metric="cosine",
    searcher=None,
):
    """Find the nearest categories of a column, in the manner of NearestNeighbors.

    Parameters
    ----------
    source : EntityColumn
        The column.
    X : list of categories, floats of shape (n_queries, n_components) or None, default=None
        Whose neighbours: names, or vectors of at least two components. As in NearestNeighbors, a
        category that is named is a point among the others and its own first neighbour (at distance
        0 for the metrics that are distances). None: those of every category, itself left out.
    n_neighbors : int, default=5
        Neighbours of each.
    return_distance : bool, default=True
        Whether to return the distances too.
    metric : {"cosine", "dot", "euclidean"}, default="cosine"
        The cosine distance is 1 - similarity, the distance of "dot" is minus the product.
    searcher : Searcher, default=None
        A search prepared over ``source.vectors``, used if it has the metric. None: made here.

    Returns
    -------
    distances : ndarray of shape (n_queries, n_neighbors), float32
        Nearest first; only with `return_distance`.
    indices : ndarray of shape (n_queries, n_neighbors), int64
        Positions in ``source.categories``.

    Raises
    ------
    UnknownEntityError
        A KeyError, if a name has no vector. It offers the closest spellings.
    ValueError
        If there are not that many neighbours, or vectors are of another width.
    """
    everyone = np.arange(len(source.categories)) if X is None else None
    distances, indices = _searcher(source, metric, searcher).search(
        _points(source, X, everyone), n_neighbors, exclude=everyone
    )
    return (distances, indices) if return_distance else indices


def _points(source, X, everyone):
    """Vectors to search from: those of some rows, of names, or `X` itself."""
    if everyone is not None:
        return source.vectors[everyone]
    if isinstance(X, list) and X and isinstance(X[0], (list, np.ndarray)):
        nested = np.array(X)
        X = nested.astype(np.float64) if nested.dtype.kind in "iuf" else X
    if not _holds_vectors(X):
        return source.vectors[rows_of(source, _as_names(X, source))]
    points = check_array(X, dtype=np.float32)
    width = source.vectors.shape[1]
    if points.shape[1] != width:
        raise ValueError(
            f"Expected vectors of {width} components, those of column {source.name!r}; got an array of shape "
            f"{points.shape}. Categories are given as a list."
        )
    return points


def _holds_vectors(X):
    """Whether `X` is a matrix of floats; one column of them may just as well be numbers for categories."""
    if len(getattr(X, "shape", ())) != 2 or X.shape[1] < 2:
        return False
    return np.asarray(X).dtype.kind == "f"


def most_similar(
    source,
    entities,
    n=10,
    *,
    target=None,
    metric=None,
    exclude=None,
    candidates=None,
    combine=None,
    negative=None,
    popularity=0.0,
    searcher=None,
):
    """List the entities most similar to one or several.

    Parameters
    ----------
    source : EntityColumn
        Column of `entities` and `negative`.
    entities : category or list of categories
        One name, or several: each gets its own rows, in order.
    n : int, default=10
        Rows for each query. All there are, where there are fewer.
    target : EntityColumn, default=None
        Column to find entities in. None: the same, and the names in the query are left out.
    metric : {"cosine", "dot", "euclidean"}, default=None
        None: "cosine" within a column, "dot", the score of the pair, with a `target`.
    exclude, candidates : list of categories of the target column, default=None
        Entities never listed, infrequent ones among them or not; the only ones that may be listed.
    combine : {"mean"}, default=None
        "mean": one list for all `entities` together, near to the mean of their vectors (of length
        one, for "cosine"). None: a list for each.
    negative : category or list of categories, default=None
        Move away from these: their vectors (of length one, for "cosine") are subtracted, each with
        the weight of one of `entities`.
    popularity : float, default=0.0
        What being common costs: the list is ordered by similarity minus
        ``popularity * log1p(count) / log1p(largest count)``. Below 0 the common ones gain. Only
        the order changes, the similarities shown stay as they are. Not for "euclidean".
    searcher : Searcher, default=None
        A search prepared over the vectors of the target, used if it has the metric.

    Returns
    -------
    DataFrame
        One row for each entity found: ``query``, ``rank`` (from 1), ``entity``, ``similarity``
        (larger is nearer: cosine in [-1, 1], dot product, or minus the Euclidean distance) and
        ``count``, its training rows. With `combine`, the query reads "a + b - c".

    Raises
    ------
    UnknownEntityError
        A KeyError, if a name has no vector. It offers the closest spellings.
    ValueError
        If a parameter makes no sense.
    """
    same_column = target is None
    target = source if same_column else target
    if metric is None:
        metric = "cosine" if same_column else "dot"
    _check_request(n, combine, popularity, metric)
    rows = rows_of(source, _as_names(entities, source))
    away = rows_of(source, _as_names(negative, source, none=()))
    points = _query_points(source.vectors, rows, away, metric, combine)
    if len(away) and not points.any(axis=1).all():
        raise ValueError(
            "negative takes away all there is of an entity: nothing is left to search by."
        )
    own = [rows] if combine else list(rows[:, None])
    allowed, left_out = _choices(target, candidates, exclude, own, away, same_column)
    search = _search_by_name(target, popularity, metric, searcher)
    found = _search_each(search, points, n, allowed, left_out, len(target.categories))
    labels = _joined(source, rows, away) if combine else source.categories[rows]
    return _as_frame(labels, found, target)


def read_new(links, other):
    """Read new entities that are given by their links, as `fold_in` wants them.

    Parameters
    ----------
    links : dict
        For each new name the list of its links.
    other : EntityColumn
        Column of the links. Those that are not in it are left out.

    Returns
    -------
    names : ndarray of shape (n_new,), object
        The new names.
    indptr, indices : ndarray
        The links of new entity i are ``indices[indptr[i]:indptr[i + 1]]``.

    Raises
    ------
    TypeError
        If `links` is no dict of lists.
    UnknownEntityError
        A KeyError, if none of the links of a new entity is known.
    """
    if not isinstance(links, dict):
        raise TypeError(
            "New entities are given as a dict from name to list of links, such as "
            f"{{'My book': ['tolstoy', 'russia']}}; got {type(links).__name__}."
        )
    names = np.empty(len(links), dtype=object)
    names[:] = list(links)
    rows = []
    for name, values in links.items():
        values = _as_names(values, other)
        found = np.asarray(other.lookup(values), dtype=np.int64) - 1 if values else np.empty(0)
        if not (found >= 0).any():
            reason = _unknown_message(other, values, found) if values else "Its list is empty."
            raise UnknownEntityError(f"{name!r} has no known link. {reason}")
        rows.append(found[found >= 0])
    indptr = np.cumsum([0, *map(len, rows)])
    return names, indptr, np.concatenate([np.empty(0, np.int64), *rows])


def new_column(name, names, vectors):
    """Make a column of new entities, to search from."""
    place = {entity: i + 1 for i, entity in enumerate(names)}
    return EntityColumn(
        name=name,
        categories=names,
        vectors=vectors,
        counts=np.zeros(len(names), dtype=np.int64),
        lookup=lambda values: [place.get(value, 0) for value in values],
        infrequent=np.empty(0, dtype=object),
    )


class Spellings:
    """Categories as lower-case text, prepared once for all unknown names of a message. A million take a second."""

    def __init__(self, categories):
        self.values = python_values(categories)
        self.texts = [str(value).casefold() for value in self.values]

    def closest(self, name, limit=3):
        """List the categories that a mistyped name may have meant: equal but for case, holding the name, then alike."""
        wanted = str(name).casefold().strip()
        if not wanted:
            return []
        holding = (i for i, text in enumerate(self.texts) if wanted in text)
        # An equal text is the shortest of those that hold the name.
        chosen = nsmallest(limit, holding, key=lambda i: (len(self.texts[i]), i))
        if len(chosen) < limit:
            chosen += [i for i in self._alike(wanted, limit) if i not in chosen]
        return [self.values[i] for i in chosen[:limit]]

    def _alike(self, wanted, limit):
        """Positions of texts with many letters in common, most first."""
        matcher = SequenceMatcher(b=wanted, autojunk=False)
        ratios = []
        for i in self._worth_comparing(wanted):
            matcher.set_seq1(self.texts[i])
            if matcher.real_quick_ratio() >= 0.6 and matcher.quick_ratio() >= 0.6:
                ratios.append((-matcher.ratio(), i))
        return [i for ratio, i in sorted(ratios)[: 2 * limit] if ratio <= -0.6]

    def _worth_comparing(self, wanted):
        """All positions if few; else of texts that hold a third of the name, or its first letter.

        Two slips of the hand leave one third of the name whole.
        """
        if len(self.texts) <= _MAX_COMPARED:
            return range(len(self.texts))
        third = -(-len(wanted) // 3)
        pieces = {wanted[start : start + third] for start in range(0, len(wanted), third)}
        shared = {}
        for piece in pieces:
            for i, text in enumerate(self.texts):
                if piece in text:
                    shared[i] = shared.get(i, 0) + 1
        shared = shared or {i: 1 for i, text in enumerate(self.texts) if text[:1] == wanted[0]}
        length = len(wanted)
        likely = sorted(shared, key=lambda i: (-shared[i], abs(len(self.texts[i]) - length), i))
        return likely[:_MAX_COMPARED]


def _check_request(n, combine, popularity, metric):
    """Refuse what makes no sense, and say what would."""
    if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 1:
        raise ValueError(f"n must be an integer of at least 1; got {n!r}.")
    if combine not in (None, "mean"):
        raise ValueError(f"combine must be None or 'mean'; got {combine!r}.")
    if not isinstance(popularity, Real) or not math.isfinite(popularity):
        raise ValueError(f"popularity must be a finite number; got {popularity!r}.")
    if popularity and metric == "euclidean":
        raise ValueError("popularity works with the metrics 'cosine' and 'dot' only.")


def _as_names(names, column, none=(None,)):
    """One name of a column or several as a list of names; `none` is what None stands for."""
    if names is None:
        return list(none)
    shape = getattr(names, "shape", ())
    if len(shape) == 2 and not (isinstance(names, np.ndarray) and shape[1] == 1):
        raise TypeError(
            f"Names of column {column.name!r} are given one by one, as a list or as a column; got a "
            f"{type(names).__name__} of shape {shape}. Select a column of it; vectors are for kneighbors, as floats."
        )
    if hasattr(names, "to_pylist"):  # Arrow's cells are no Python values
        return names.to_pylist()
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        return [names]
    if isinstance(names, (tuple, frozenset)) and column.categories.dtype == object:
        with suppress(TypeError):  # a tuple of lists, say, is no category
            if column.lookup([names])[0]:
                return [names]
    if isinstance(names, np.ndarray):
        return python_values(names.ravel())
    return list(names)


def rows_of(column, names):
    """Positions of the names in the column, or an error that helps."""
    rows = np.asarray(column.lookup(names), dtype=np.int64) - 1 if names else np.empty(0, np.int64)
    if (rows < 0).any():
        raise UnknownEntityError(_unknown_message(column, names, rows))
    return rows


def _rows_left_out(column, names):
    """As `rows_of`; those that were too rare for a vector cannot be found anyway."""
    rows = np.asarray(column.lookup(names), dtype=np.int64) - 1 if names else np.empty(0, np.int64)
    unknown = [names[i] for i in np.flatnonzero(rows < 0)]
    if unknown:
        was_infrequent = _infrequent_test(column)
        rows_of(column, [name for name in unknown if not was_infrequent(name)])
    return rows[rows >= 0]


def _infrequent_test(column):
    """Return a function that tells whether a name was too rare in fit; all missing ones are alike."""
    values = python_values(column.infrequent)
    known, holds_missing = set(values), any(map(is_missing, values[-1:]))
    return lambda name: name in known or (holds_missing and is_missing(name))


def _unknown_message(column, names, rows):
    """Say of each name why it has no vector, and what may have been meant."""
    unknown = list(dict.fromkeys(names[i] for i in np.flatnonzero(rows < 0)))
    was_infrequent = _infrequent_test(column)
    spellings = Spellings(column.categories)
    lines = []
    for name in unknown[:_MAX_REPORTED]:
        if was_infrequent(name):
            lines.append(f"{name!r} was rarer than min_frequency in fit, so it has no vector.")
            continue
        near = spellings.closest(name, 3)
        hint = f" Closest: {', '.join(map(repr, near))}." if near else ""
        lines.append(f"{name!r} is not among the {len(column.categories)} categories.{hint}")
    if len(unknown) > _MAX_REPORTED:
        lines.append(f"And {len(unknown) - _MAX_REPORTED} more unknown names.")
    return f"In column {column.name!r}: " + "\n".join(lines)


def _query_points(vectors, rows, away, metric, combine):
    """The vectors to search near to: one for each row, or one for all."""
    towards, minus = vectors[rows].astype(np.float64), vectors[away].astype(np.float64)
    if metric == "cosine" and vectors.shape[1] > 1:  # on a line all would be alike
        towards, minus = _unit(towards), _unit(minus)
    if combine:
        if not len(rows):
            raise ValueError("combine='mean' needs at least one entity.")
        return (towards.sum(axis=0, keepdims=True) - minus.sum(axis=0)) / len(rows)
    return towards - minus.sum(axis=0)


def _unit(vectors):
    """Rows of length one; rows of zeros stay."""
    norms = np.sqrt(np.square(vectors).sum(axis=1, keepdims=True))
    return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)


def _choices(target, candidates, exclude, own, away, same_column):
    """Rows of the target that may be found (None: all), and those left out for each query."""
    common = _rows_left_out(target, _as_names(exclude, target, none=()))
    if same_column:
        common = np.union1d(common, away)
    else:
        own = [np.empty(0, dtype=np.int64)] * len(own)
    few = max(_FEW, _FEW_SHARE * len(target.categories) / max(1, len(own)))
    if candidates is None and len(common) <= few:
        return None, [np.union1d(rows, common) for rows in own]
    if candidates is None:
        allowed = np.arange(len(target.categories))
    else:
        allowed = np.unique(rows_of(target, _as_names(candidates, target)))
    allowed = np.setdiff1d(allowed, common)
    return allowed, [np.intersect1d(rows, allowed) for rows in own]


def _searcher(column, metric, searcher):
    """The prepared search if it fits, else a new one."""
    if searcher is not None and searcher.metric == metric:
        return searcher
    return make_searcher(column.vectors, metric)


def _search_by_name(target, popularity, metric, searcher):
    """Return a function as Searcher.search that gives similarities in place of distances."""
    if popularity:
        return _corrected_search(target, popularity, metric)
    searcher = _searcher(target, metric, searcher)

    def search(points, n_neighbors, **choices):
        distances, indices = searcher.search(points, n_neighbors, **choices)
        return (1 - distances if metric == "cosine" else 0 - distances), indices

    return search


def _corrected_search(target, popularity, metric):
    """As `_search_by_name`, in the order of the similarity less the cost of being common."""
    counts = np.log1p(target.counts)
    cost = popularity * counts / max(counts.max(initial=0.0), 1.0)
    vectors = target.vectors
    if metric == "cosine":
        vectors = _unit(vectors.astype(np.float64))
    # The cost is one more coordinate of a dot product.
    searcher = Searcher(np.column_stack([vectors, -cost]), "dot")

    def search(points, n_neighbors, **choices):
        points = _unit(points) if metric == "cosine" else points
        with_cost = np.column_stack([points, np.ones(len(points))])
        _, indices = searcher.search(with_cost, n_neighbors, **choices)
        # Not the cost taken off again: beside a large one little of the similarity is left in single precision.
        found = [vectors[rows] @ point for rows, point in zip(indices, points, strict=True)]
        similarities = np.array(found, dtype=np.float32)
        return (np.clip(similarities, -1, 1) if metric == "cosine" else similarities), indices

    return search


def _search_each(search, points, n, allowed, left_out, n_rows):
    """Similarities and rows of each query: n, or as many as there are."""
    n_allowed = n_rows if allowed is None else len(allowed)
    n_found = np.array([min(n, n_allowed - len(rows)) for rows in left_out], dtype=np.int64)
    found = [(np.empty(0, dtype=np.float32), np.empty(0, dtype=np.int64))] * len(points)
    for k in np.unique(n_found[n_found > 0]).tolist():  # nearly always one k for all
        queries = np.flatnonzero(n_found == k)
        exclude = [left_out[i] for i in queries]
        answers = search(points[queries], k, exclude=exclude, candidates=allowed)
        for i, similarities, indices in zip(queries, *answers, strict=True):
            found[i] = similarities, indices
    return found


def _as_frame(labels, found, target):
    """One row for each entity found."""
    lengths = [len(indices) for _, indices in found]
    empty = np.empty(0, dtype=np.int64)
    indices = np.concatenate([empty, *(indices for _, indices in found)])
    return pd.DataFrame(
        {
            "query": in_pandas(pd.Series, np.repeat(labels, lengths)),
            "rank": np.concatenate([empty, *(np.arange(1, length + 1) for length in lengths)]),
            "entity": in_pandas(pd.Series, target.categories[indices]),
            "similarity": np.concatenate([empty.astype(np.float32), *(s for s, _ in found)]),
            "count": target.counts[indices],
        }
    )


def _joined(column, rows, away):
    """One readable name of a combined query."""
    text = " + ".join(map(str, python_values(column.categories[rows])))
    text += "".join(f" - {name}" for name in python_values(column.categories[away]))
    return np.array([text], dtype=object)
