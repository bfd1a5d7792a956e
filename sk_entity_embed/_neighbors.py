"""Nearest rows of a matrix: exact blocked search, and a door for approximate indexes.

How the exact search is fast. The scores of a tile of queries against a block of rows are one
matrix product; picking the best of all those scores would cost more than the product. So only the
maximum of each small group of rows is kept: the groups with the k highest maxima contain the k
highest scores. The rows of these few groups are scored again.

How it is exact. The product is in float32 and gives each row an *upper bound* of its score, its
rounding error added (one more column of the product). The best rows by bound get their true score
in float64. When the highest bound left out lies below the k-th true score, nothing was missed;
otherwise that query is searched again among all rows whose bound reaches that score.

Rows that are equal have equal scores, and the lower row comes first.
"""

from copy import deepcopy
from functools import cached_property

import numpy as np

from ._optional import import_optional

METRICS = ("cosine", "dot", "euclidean")

# Tuned on 37,000 and 1,000,000 rows of 50 columns; benchmarks/bench_neighbors.py shows the result.
_TILE_QUERIES = 512  # fewer and the product slows down, more and the maxima grow
_TILE_CELLS = 1 << 19  # scores in a tile: 2 MiB, which stay in the cache until they are reduced
_FEW_CELLS = 1 << 15  # scores that are sorted sooner than grouped
_RESCORE_CELLS = 1 << 19  # floats gathered at once to score the rows of the best groups
_FEW_QUERIES = 32  # below, a tile has a query in each line, not a row
_KEPT_CELLS = 1 << 22  # bounds of few queries that are kept rather than computed again: 16 MiB
_TURNED_CELLS = 1 << 23  # of a matrix that is kept turned round as well, for single queries: 32 MiB
_SLACK = 2  # rows beyond k that get a true score, so that the proof nearly always succeeds
_CHUNK_CELLS = 1 << 20  # cells of float64 work at once
_ANN_MIN_ROWS = 20_000  # below, the exact search is faster than training an index
_MOST_LEFT_OUT = 64  # rows: an index asked for more than those misses many of the rest
_ANN_LISTS_READ = 24  # 500,000 rows of rank 12: recall .97 with 16 lists, .996 with 32
_ALIGNMENT = 4  # columns: one query reads lines of whole 16 bytes a tenth faster
_UNIT_ROUNDOFF = 2.0**-24
_COSINE_GRID = 2.0**40  # similarities are compared to this many parts: parallel rows are ties


class Searcher:
    """Exact nearest neighbours among the rows of a matrix.

    Parameters
    ----------
    vectors : array-like of shape (n_rows, n_features)
        Read as float32; finite. Kept by reference: do not write to it afterwards.
    metric : {"cosine", "dot", "euclidean"}, default="cosine"
        "cosine": the distance is 1 - similarity, in [0, 2]; a row of zeros has similarity 0 with
        everything. "dot": the distance is minus the dot product, so it can be negative.
        "euclidean": the usual distance.

    Raises
    ------
    ValueError
        If the metric is unknown or `vectors` is not a finite matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_entity_embed._neighbors import Searcher
    >>> vectors = np.array([[1, 0], [2, 0], [0, 1]])
    >>> distances, indices = Searcher(vectors).search([[3, 0]], 2)
    >>> distances, indices
    (array([[0., 0.]], dtype=float32), array([[0, 1]]))
    """

    def __init__(self, vectors, metric="cosine"):
        if metric not in METRICS:
            raise ValueError(f"metric must be one of {', '.join(METRICS)}; got {metric!r}.")
        self.metric = metric
        self.vectors = _as_matrix(vectors, "vectors")
        self._norms = _row_norms(self.vectors)
        self._error = (self.vectors.shape[1] + 8) * _UNIT_ROUNDOFF
        self._center, self._scale = self._origin()
        self._product_rows = self._bound_rows()
        self._was_asked_one = False

    @property
    def n_rows(self):
        """Number of rows that can be found."""
        return self.vectors.shape[0]

    def search(self, queries, n_neighbors, *, exclude=None, candidates=None):
        """Find the nearest rows of each query.

        Parameters
        ----------
        queries : array-like of shape (n_queries, n_features)
            Finite numbers.
        n_neighbors : int
            Rows wanted for each query, at least 1.
        exclude : ndarray of shape (n_queries,) or list of int arrays, default=None
            Rows left out: one for each query (-1: none), or an array of rows for each query.
        candidates : ndarray of shape (n_candidates,), default=None
            Sorted rows that may be found. None: all.

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors), float32
            Nearest first.
        indices : ndarray of shape (n_queries, n_neighbors), int64
            Rows; among equal distances the lower row comes first.

        Raises
        ------
        ValueError
            If fewer than `n_neighbors` rows can be found, or the shapes do not fit.
        TypeError
            If `n_neighbors` is not an integer.
        """
        queries = _as_matrix(queries, "queries")
        if queries.shape[1] != self.vectors.shape[1]:
            raise ValueError(
                f"queries have {queries.shape[1]} features, but the vectors have "
                f"{self.vectors.shape[1]}."
            )
        exclude = _exclusion_table(exclude, len(queries))
        if candidates is not None:
            return self._search_among(candidates, queries, n_neighbors, exclude)
        _check_n_neighbors(n_neighbors, self.n_rows, exclude, len(queries))
        distances = np.empty((len(queries), n_neighbors), dtype=np.float32)
        indices = np.empty((len(queries), n_neighbors), dtype=np.int64)
        n_wanted = n_neighbors + exclude.shape[1]  # the rows left out may all come first
        for start in range(0, len(queries), _TILE_QUERIES):
            part = slice(start, start + _TILE_QUERIES)
            scores, rows = self._best(queries[part], min(n_wanted, self.n_rows))
            scores, rows = _drop_excluded(scores, rows, exclude[part], n_neighbors)
            distances[part], indices[part] = self._distances(scores), rows
        return distances, indices

    def _search_among(self, candidates, queries, n_neighbors, exclude):
        """Search a copy of the allowed rows only; their order keeps the rule for ties."""
        candidates = np.asarray(candidates, dtype=np.int64)
        position = np.full(self.n_rows + 1, -1)  # the last place answers for row -1
        position[candidates] = np.arange(len(candidates))
        exclude = position[exclude]
        _check_n_neighbors(n_neighbors, len(candidates), exclude, len(queries))
        subset = type(self)(self.vectors[candidates], self.metric)
        distances, indices = subset.search(queries, n_neighbors, exclude=list(exclude))
        return distances, candidates[indices]

    # Scores: larger is nearer. "True" ones are float64 numbers of these units:
    # cosine: the similarity; dot: the dot product; euclidean: minus the squared distance.

    def _true_scores(self, queries, rows):
        """Score in float64 of `rows` of shape (n_queries, n) for their queries."""
        scores = np.empty(rows.shape)
        step = max(1, _CHUNK_CELLS // max(1, rows.shape[1] * self.vectors.shape[1]))
        for start in range(0, len(queries), step):
            part = slice(start, start + step)
            scores[part] = self._true_scores_of(queries[part], rows[part])
        return scores

    def _true_scores_of(self, queries, rows):
        """As `_true_scores`, all at once."""
        found = self.vectors.take(rows, axis=0, mode="clip").astype(np.float64)
        queries = queries.astype(np.float64)
        if self.metric == "euclidean":
            found -= queries[:, None, :]
            return -np.square(found, out=found).sum(axis=-1)
        # A plain sum along the row, not a BLAS product: equal rows must give equal bits.
        found *= queries[:, None, :]
        scores = found.sum(axis=-1)
        if self.metric == "cosine":
            norms = _row_norms(queries)[:, None] * self._norms[rows]
            np.divide(scores, norms, out=scores, where=norms > 0)
            scores = np.rint(scores * _COSINE_GRID) / _COSINE_GRID
        return scores

    def _distances(self, scores):
        """Turn scores into distances."""
        with np.errstate(over="ignore"):  # beyond float32: infinitely far
            if self.metric == "cosine":
                return np.minimum(np.maximum(1.0 - scores, 0.0), 2.0).astype(np.float32)
            if self.metric == "dot":
                return (0.0 - scores).astype(np.float32)  # no minus zero
            return np.sqrt(0.0 - scores).astype(np.float32)

    # Bounds: product_rows @ product_queries.T, in units of their own, never too low.

    def _origin(self):
        """Centre and size of the cloud: near 0 and 1 the product in float32 loses least."""
        n_features = self.vectors.shape[1]
        center = np.zeros(n_features)
        norms = self._norms
        if self.metric == "euclidean":
            center = self.vectors.mean(axis=0, dtype=np.float64)
            norms = _row_norms(self.vectors, center)
        largest = norms.max(initial=0.0)
        return center, (largest if largest > 0 else 1.0)

    def _bound_rows(self):
        """Left factor of the product of bounds, padded to whole groups and aligned lines."""
        n_rows, n_features = self.vectors.shape
        self._group_size = 32 if n_rows < 200_000 else 64
        self._n_used = n_features + {"cosine": 0, "dot": 1, "euclidean": 2}[self.metric]
        n_columns = -(-self._n_used // _ALIGNMENT) * _ALIGNMENT
        n_padded = -(-n_rows // self._group_size) * self._group_size
        product_rows = np.zeros((n_padded, n_columns), dtype=np.float32)
        step = max(1, _CHUNK_CELLS // max(1, n_features))
        for start in range(0, n_rows, step):
            part = slice(start, min(start + step, n_rows))
            target = product_rows[part, :n_features]
            if self.metric == "cosine":
                norms = self._norms[part, None]
                np.divide(
                    self.vectors[part], norms, out=target, where=norms > 0, casting="same_kind"
                )
                continue
            scaled = (self.vectors[part] - self._center) / self._scale
            target[:] = scaled
            norms = _row_norms(scaled)
            product_rows[part, n_features] = self._error * norms
            if self.metric == "euclidean":
                product_rows[part, n_features + 1] = (self._error - 0.5) * norms**2
        return product_rows

    def _bound_queries(self, queries):
        """Right factor of the product of bounds, and a function from true scores to its units.

        The function also takes off what rounding can do beside the error column, so that a row
        whose bound is below the result has a lower score, surely.
        """
        if self.metric == "euclidean":
            shifted = (queries - self._center) / self._scale
            norms = _row_norms(shifted)
            shrink = 1.0 / np.maximum(1.0, norms)  # far queries stay inside float32
            ones = np.ones(len(queries))
            factor = np.column_stack([shifted, norms, ones]) * shrink[:, None]
            tolerance = (1e-12 + 1e-14 * norms**2) * shrink

            def in_bound_units(scores):
                half = 0.5 * (scores / self._scale**2 + norms[:, None] ** 2)
                return half * shrink[:, None] - tolerance[:, None]

            return self._aligned(factor), in_bound_units
        norms = _row_norms(queries)
        norms[norms == 0] = 1.0
        factor = queries / norms[:, None]
        if self.metric == "cosine":
            return self._aligned(factor), lambda scores: scores - self._error
        factor = np.column_stack([factor, np.ones(len(queries))])
        units = norms[:, None] * self._scale
        return self._aligned(factor), lambda scores: scores / units - 1e-30

    def _aligned(self, factor):
        """As float32, with the columns of zeros that the rows have too."""
        aligned = np.zeros((len(factor), self._product_rows.shape[1]), dtype=np.float32)
        aligned[:, : self._n_used] = factor
        return aligned

    def _best(self, queries, k):
        """The k best rows of at most a tile of queries: (true scores, rows), best first."""
        factor, in_bound_units = self._bound_queries(queries)
        n_candidates = min(k + _SLACK, self.n_rows)
        n_cells = len(queries) * self.n_rows
        if n_cells <= _FEW_CELLS or n_candidates * self._group_size * 4 > self.n_rows:
            rows, left_out = self._candidates_from_all(factor, n_candidates)
        elif len(queries) < _FEW_QUERIES and n_cells <= _KEPT_CELLS:
            rows, left_out = self._candidates_of_few(factor, n_candidates)
        else:
            rows, left_out = self._candidates_from_groups(factor, n_candidates)
        scores, rows = _sort(self._true_scores(queries, rows), rows, k)
        needed = in_bound_units(scores[:, -1:])[:, 0]
        for i in np.flatnonzero(left_out >= needed):
            scores[i], rows[i] = self._best_by_scan(
                queries[i : i + 1], factor[i : i + 1], needed[i], k
            )
        return scores, rows

    def _candidates_from_all(self, factor, n_candidates):
        """Rows with the highest bounds, and the highest bound left out; for small matrices."""
        n_queries = len(factor)
        rows = np.empty((n_queries, n_candidates), dtype=np.int64)
        left_out = np.full(n_queries, -np.inf)
        step = max(1, _TILE_CELLS // self.n_rows)
        for start in range(0, n_queries, step):
            part = slice(start, start + step)
            bounds = self._all_bounds(factor[part])[:, : self.n_rows]
            rows[part], left_out[part] = _top(bounds, n_candidates)
        return rows, left_out

    def _candidates_from_groups(self, factor, n_candidates):
        """As `_candidates_from_all`, by the maxima of groups."""
        size = self._group_size
        groups, beaten = _top(self._group_maxima(factor), n_candidates)
        bounds = self._bounds_in_groups(factor, groups)
        best, also_beaten = _top(bounds, n_candidates)
        rows = _pick(groups, best // size) * size + best % size
        return rows, np.maximum(beaten, also_beaten)

    def _candidates_of_few(self, factor, n_candidates):
        """As `_candidates_from_groups`, of bounds that are all kept instead of computed again.

        Row ``i`` is in group ``i % n_groups``: maxima across long lines are quicker.
        """
        bounds = self._all_bounds(factor)
        bounds[:, self.n_rows :] = -np.inf  # padding
        bounds = bounds.reshape(len(factor), self._group_size, -1)
        groups, beaten = _top(bounds.max(axis=1), n_candidates)
        bounds = np.take_along_axis(bounds, groups[:, None, :], axis=2).reshape(len(factor), -1)
        best, also_beaten = _top(bounds, n_candidates)
        n_groups = len(self._product_rows) // self._group_size
        rows = best // n_candidates * n_groups + _pick(groups, best % n_candidates)
        return rows, np.maximum(beaten, also_beaten)

    def _all_bounds(self, factor):
        """Bounds of all rows, padding included: (n_queries, n_padded)."""
        if len(factor) == 1 and self._product_rows.size <= _TURNED_CELLS:
            # Turning takes as long as ten products or more: not for a search that is made for one query.
            if self._was_asked_one:
                return factor[:, : self._n_used] @ self._turned_rows
            self._was_asked_one = True
        return factor @ self._product_rows.T

    @cached_property
    def _turned_rows(self):
        """The factor of the rows with a column for each: one query goes through long lines twice as fast."""
        return np.ascontiguousarray(self._product_rows[:, : self._n_used].T)

    def _bounds_in_groups(self, factor, groups):
        """Bounds of all rows of the chosen groups: (n_queries, n_chosen * group_size)."""
        size, n_columns = self._group_size, factor.shape[1]
        n_chosen = groups.shape[1]
        bounds = np.empty((len(factor), n_chosen * size, 1), dtype=np.float32)
        rows_of_group = self._product_rows.reshape(-1, size * n_columns)
        step = min(len(factor), max(1, _RESCORE_CELLS // (n_chosen * size * n_columns)))
        found = np.empty((step, n_chosen, size * n_columns), dtype=np.float32)
        for start in range(0, len(factor), step):
            part = slice(start, start + step)
            n = len(factor[part])
            rows_of_group.take(groups[part], axis=0, mode="clip", out=found[:n])
            rows = found[:n].reshape(n, n_chosen * size, n_columns)
            np.matmul(rows, factor[part][:, :, None], out=bounds[part])
        bounds = bounds[:, :, 0]
        query, place = np.nonzero(groups == len(rows_of_group) - 1)  # the padded group
        for missing in range(1, len(self._product_rows) - self.n_rows + 1):
            bounds[query, (place + 1) * size - missing] = -np.inf
        return bounds

    def _group_maxima(self, factor):
        """Highest bound among each group of neighbouring rows: (n_queries, n_groups)."""
        n_queries, size = len(factor), self._group_size
        n_padded = len(self._product_rows)
        block = max(size, _TILE_CELLS // n_queries // size * size)
        maxima = np.empty((n_queries, n_padded // size), dtype=np.float32)
        tile = np.empty(min(block, n_padded) * n_queries, dtype=np.float32)
        for start in range(0, n_padded, block):
            part = self._product_rows[start : start + block]
            groups = slice(start // size, (start + len(part)) // size)
            if n_queries < _FEW_QUERIES:
                bounds = tile[: len(part) * n_queries].reshape(n_queries, len(part))
                np.matmul(factor, part.T, out=bounds)
                bounds[:, max(0, self.n_rows - start) :] = -np.inf  # padding
                maxima[:, groups] = bounds.reshape(n_queries, -1, size).max(axis=2)
            else:  # maxima of many queries side by side are what the processor is good at
                bounds = tile[: len(part) * n_queries].reshape(len(part), n_queries)
                np.matmul(part[:, : self._n_used], factor[:, : self._n_used].T, out=bounds)
                bounds[max(0, self.n_rows - start) :] = -np.inf
                maxima[:, groups] = bounds.reshape(-1, size, n_queries).max(axis=1).T
        return maxima

    def _best_by_scan(self, query, factor, needed, k):
        """The k best rows of one query among all rows whose bound is at least `needed`."""
        scores, rows = np.empty((1, 0)), np.empty((1, 0), dtype=np.int64)
        step = max(k, _CHUNK_CELLS // self.vectors.shape[1])
        for start in range(0, self.n_rows, step):
            stop = min(start + step, self.n_rows)
            bounds = self._product_rows[start:stop] @ factor[0]
            more = start + np.flatnonzero(bounds >= needed)[None, :]
            rows = np.concatenate([rows, more], axis=1)
            scores = np.concatenate([scores, self._true_scores(query, more)], axis=1)
            scores, rows = _sort(scores, rows, k)
        return scores[0], rows[0]


class LineSearcher(Searcher):
    """Exact nearest neighbours by cosine among vectors of a single component.

    Their cosines are 1, 0 and -1; among equal ones the row nearest in value comes first.

    Parameters
    ----------
    vectors : array-like of shape (n_rows, 1)
        As for `Searcher`.
    metric : {"cosine"}, default="cosine"
    """

    def __init__(self, vectors, metric="cosine"):
        super().__init__(vectors, metric)
        values, rows = self.vectors[:, 0], np.arange(self.n_rows)
        # Along both, equal values come in the order of their rows: to the right, and to the left.
        self._rightwards = np.argsort(values, kind="stable")
        self._leftwards = np.lexsort((-rows, values))
        self._sorted = values[self._rightwards]

    def _best(self, queries, k):
        """As `Searcher._best`."""
        step = max(1, _CHUNK_CELLS // (4 * k))
        parts = [self._nearest(queries[i : i + step], k) for i in range(0, len(queries), step)]
        rows = np.concatenate(parts)
        return self._true_scores(queries, rows), rows

    def _nearest(self, queries, k):
        """The k best rows of each query: of its sign, then zeros, then of the other sign."""
        n = self.n_rows
        below, above = (np.searchsorted(self._sorted, 0, side) for side in ("left", "right"))
        is_up, is_down = queries > 0, queries < 0
        has_sign = is_up | is_down
        # Places of the query's sign; for zero all.
        first, last = np.where(is_up, above, 0), np.where(is_down, below, n)
        place = np.searchsorted(self._sorted, queries)
        steps = np.arange(k)
        right, left = place + steps, place - 1 - steps
        zeros = np.broadcast_to(below + steps, right.shape)
        other = np.where(is_up, below - 1 - steps, above + steps)
        at_left, at_right = self._leftwards.take, self._rightwards.take
        rows = np.hstack(
            [
                at_right(right, mode="clip"),
                at_left(left, mode="clip"),
                at_right(zeros, mode="clip"),
                np.where(is_up, at_left(other, mode="clip"), at_right(other, mode="clip")),
            ]
        )
        rank = np.hstack(
            [
                np.where((right >= first) & (right < last), 0, 3),
                np.where((left >= first) & (left < last), 0, 3),
                np.where(has_sign & (zeros < above), 1, 3),
                np.where(has_sign & (other >= 0) & (other < n), 2, 3),
            ]
        )
        apart = np.abs(self.vectors[rows, 0] - queries.astype(np.float64))
        return _pick(rows, np.lexsort((rows, apart, rank), axis=-1)[:, :k])


class IndexSearcher:
    """Neighbours proposed by an index, then scored and sorted exactly.

    Parameters
    ----------
    exact : Searcher
        The vectors and the metric.
    index : object
        Has ``fit(vectors)`` and ``kneighbors(queries, n_neighbors)``, as
        :class:`sklearn.neighbors.NearestNeighbors` has. It is fitted on vectors for which the
        Euclidean distance gives the order of the metric; the object itself is left as it is.
    """

    def __init__(self, exact, index):
        self.exact = exact
        self.metric = exact.metric
        self.vectors = exact.vectors
        self._index = deepcopy(index)
        self._index.fit(_euclidean_rows(exact.vectors, exact.metric))

    @property
    def n_rows(self):
        """Number of rows that can be found."""
        return self.exact.n_rows

    def search(self, queries, n_neighbors, *, exclude=None, candidates=None):
        """As `Searcher.search`, among the rows that the index proposes.

        With `candidates` or many rows to leave out, and for queries for which the index proposes
        too few rows, the search is exact.
        """
        queries = _as_matrix(queries, "queries")
        exclude = _exclusion_table(exclude, len(queries))
        if candidates is not None or exclude.shape[1] > _MOST_LEFT_OUT:
            return self.exact.search(
                queries, n_neighbors, exclude=list(exclude), candidates=candidates
            )
        _check_n_neighbors(n_neighbors, self.n_rows, exclude, len(queries))
        n_wanted = min(n_neighbors + exclude.shape[1], self.n_rows)
        points = _euclidean_queries(queries, self.metric)
        _, rows = self._index.kneighbors(points, n_wanted)
        rows = np.asarray(rows, dtype=np.int64)[:, :n_wanted]
        n_missing = n_wanted - rows.shape[1]  # some indexes answer with what they have
        rows = np.pad(rows, ((0, 0), (0, n_missing)), constant_values=-1)
        scores = self.exact._true_scores(queries, rows)
        scores[rows < 0] = -np.inf  # what an index answers when it has found no more
        scores, rows = _sort(scores, rows, n_wanted)
        scores, rows = _drop_excluded(scores, rows, exclude, n_neighbors)
        distances = self.exact._distances(scores)
        short = np.flatnonzero(np.isneginf(scores).any(axis=1))
        if len(short):
            distances[short], rows[short] = self.exact.search(
                queries[short], n_neighbors, exclude=list(exclude[short])
            )
        return distances, rows


def check_index(index):
    """Raise TypeError for what is no index: not None, "exact", "ann" or an object with fit and kneighbors."""
    if index is None or (isinstance(index, str) and index in ("exact", "ann")):
        return
    for method in ("fit", "kneighbors"):
        if not callable(getattr(index, method, None)):
            raise TypeError(
                f"index must be None, 'exact', 'ann' or an object with fit and kneighbors, "
                f"such as sklearn.neighbors.NearestNeighbors; {index!r} has no {method}."
            )


def make_searcher(vectors, metric="cosine", index=None):
    """Prepare the search for neighbours among the rows of a matrix.

    Parameters
    ----------
    vectors : array-like of shape (n_rows, n_features)
        Finite numbers.
    metric : {"cosine", "dot", "euclidean"}, default="cosine"
        See `Searcher`.
    index : {"exact", "ann"} or object, default=None
        None and "exact": exact search. "ann": an inverted file of faiss (extra ``ann``) where
        there are rows enough for it to pay. An object with ``fit`` and ``kneighbors``: a copy of
        it proposes the neighbours.

    Returns
    -------
    Searcher or IndexSearcher
        Both have ``search(queries, n_neighbors, *, exclude=None, candidates=None)``.

    Raises
    ------
    ImportError
        With "ann", if faiss is not installed.
    TypeError
        If `index` is something else.
    """
    check_index(index)
    if metric == "cosine" and np.shape(vectors)[1:] == (1,):
        return LineSearcher(vectors)
    exact = Searcher(vectors, metric)
    if index is None or (isinstance(index, str) and index == "exact"):
        return exact
    if isinstance(index, str) and index == "ann":
        faiss = import_optional("faiss", extra="ann")
        if exact.n_rows < _ANN_MIN_ROWS:
            return exact
        index = _InvertedFile(faiss)
    return IndexSearcher(exact, index)


class _InvertedFile:
    """faiss's IVF index with the two methods of NearestNeighbors."""

    def __init__(self, faiss):
        self.faiss = faiss

    def __deepcopy__(self, memo):
        return _InvertedFile(self.faiss)

    def fit(self, vectors):
        n_rows, n_features = vectors.shape
        n_lists = int(np.sqrt(n_rows))
        quantizer = self.faiss.IndexFlatL2(n_features)
        self.index_ = self.faiss.IndexIVFFlat(quantizer, n_features, n_lists)
        self.index_.cp.niter = 10
        self.index_.cp.max_points_per_centroid = 64
        self.index_.train(vectors)
        self.index_.add(vectors)
        self.index_.nprobe = min(_ANN_LISTS_READ, n_lists)
        return self

    def kneighbors(self, queries, n_neighbors):
        return self.index_.search(queries, n_neighbors)


def _as_matrix(array, name):
    """The array as a contiguous float32 matrix of finite numbers."""
    array = np.asarray(array)
    if array.ndim != 2:
        raise ValueError(f"{name} must be a matrix, one row each; got {array.ndim} dimensions.")
    with np.errstate(over="ignore"):  # too large for float32 is infinite, and refused below
        array = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(array.sum(dtype=np.float64)):
        raise ValueError(f"{name} contain NaN, infinity or a value too large for float32.")
    return array


def _row_norms(matrix, center=None):
    """Length of each row (of its difference to `center`), in float64, in bounded memory."""
    norms = np.empty(len(matrix))
    step = max(1, _CHUNK_CELLS // max(1, matrix.shape[1]))
    for start in range(0, len(matrix), step):
        part = matrix[start : start + step].astype(np.float64)
        if center is not None:
            part -= center
        norms[start : start + step] = np.sqrt(np.square(part, out=part).sum(axis=1))
    return norms


def _check_n_neighbors(n_neighbors, n_rows, exclude, n_queries):
    """Raise in the words of NearestNeighbors."""
    if not isinstance(n_neighbors, (int, np.integer)) or isinstance(n_neighbors, bool):
        raise TypeError(f"n_neighbors does not take {type(n_neighbors)} value, enter integer value")
    if n_neighbors <= 0:
        raise ValueError(f"Expected n_neighbors > 0. Got {n_neighbors}")
    n_excluded = (exclude >= 0).sum(axis=1).max(initial=0)
    if n_neighbors > n_rows - n_excluded:
        sign = "<" if n_excluded == 1 else "<="  # as when the query is one of the rows
        less = f" ({n_excluded} of them left out)" if n_excluded > 1 else ""
        raise ValueError(
            f"Expected n_neighbors {sign} n_samples_fit, but n_neighbors = {n_neighbors}, "
            f"n_samples_fit = {n_rows}{less}, n_samples = {n_queries}"
        )


def _exclusion_table(exclude, n_queries):
    """Rows to leave out as a matrix, one row a query, distinct, filled up with -1."""
    if exclude is None:
        return np.empty((n_queries, 0), dtype=np.int64)
    if len(exclude) != n_queries:
        raise ValueError(f"exclude has {len(exclude)} entries for {n_queries} queries.")
    if isinstance(exclude, np.ndarray) and exclude.ndim == 1:
        return exclude.astype(np.int64)[:, None]
    lists = [np.unique(np.asarray(rows, dtype=np.int64)) for rows in exclude]
    lists = [rows[rows >= 0] for rows in lists]
    table = np.full((n_queries, max(map(len, lists), default=0)), -1, dtype=np.int64)
    for line, rows in zip(table, lists, strict=True):
        line[: len(rows)] = rows
    return table


def _drop_excluded(scores, rows, exclude, k):
    """The first k of each line whose rows are not left out."""
    if exclude.shape[1] == 0:
        return scores[:, :k], rows[:, :k]
    if exclude.shape[1] <= 8:
        dropped = (rows[:, :, None] == exclude[:, None, :]).any(axis=2)
    else:
        dropped = np.array([np.isin(r, e) for r, e in zip(rows, exclude, strict=True)])
    order = np.argsort(dropped, axis=1, kind="stable")[:, :k]
    return _pick(scores, order), _pick(rows, order)


def _top(values, k):
    """Columns of the k highest values of each line, unsorted, and the highest value beside them."""
    n_lines, n = values.shape
    if k >= n:
        return np.tile(np.arange(n), (n_lines, 1)), np.full(n_lines, -np.inf)
    columns = np.empty((n_lines, k + 1), dtype=np.int64)
    step = max(1, _CHUNK_CELLS // n)
    for start in range(0, n_lines, step):
        part = slice(start, start + step)
        columns[part] = np.argpartition(values[part], n - k - 1, axis=1)[:, n - k - 1 :]
    beaten = _pick(values, columns[:, :1])[:, 0]
    return columns[:, 1:], beaten.astype(np.float64)


def _pick(values, columns):
    """As numpy.take_along_axis for lines, at half the overhead."""
    return values[np.arange(len(values))[:, None], columns]


def _sort(scores, rows, k):
    """The first k by falling score, then by rising row."""
    order = np.lexsort((rows, -scores), axis=-1)[:, :k]
    return _pick(scores, order), _pick(rows, order)


def _euclidean_rows(vectors, metric):
    """Rows whose Euclidean distance to `_euclidean_queries` has the order of the metric."""
    if metric == "euclidean":
        return vectors
    norms = _row_norms(vectors)
    if metric == "cosine":
        norms[norms == 0] = 1.0
        return (vectors / norms[:, None]).astype(np.float32)
    # |q - v|^2 = |q|^2 + |v|^2 - 2 qv: one more coordinate makes all |v| alike.
    extra = np.sqrt(np.maximum(norms.max(initial=0.0) ** 2 - norms**2, 0.0))
    return np.column_stack([vectors, extra]).astype(np.float32)


def _euclidean_queries(queries, metric):
    """Queries for an index fitted on `_euclidean_rows`."""
    if metric == "dot":
        return np.column_stack([queries, np.zeros(len(queries), dtype=np.float32)])
    return _euclidean_rows(queries, metric)
