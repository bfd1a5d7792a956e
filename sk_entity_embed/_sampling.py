"""Drawn non-links: pairs that are not among the given ones, from a NumPy generator.

The given pairs are kept as one sorted array of 64-bit keys, so that a draw is checked by binary
search and nothing loops over rows in Python.
"""

import numpy as np


class NegativeSampler:
    """Draws entities of the right table that are not linked to given entities of the left one.

    Parameters
    ----------
    left, right : ndarray of shape (n_pairs,)
        The true pairs, as 0-based codes. Repeated pairs are fine.
    n_left, n_right : int
        Rows of the two tables.
    sampling : {"uniform", "popularity"}, default="uniform"
        Chance of an entity to be drawn: all alike, or its number of pairs to the power of
        `power` [1]_. With "popularity" an entity without pairs is never drawn.
    power : float, default=0.75
        See `sampling`.
    n_rounds : int, default=4
        How often draws that hit a true pair are drawn anew.

    References
    ----------
    .. [1] T. Mikolov et al., "Distributed Representations of Words and Phrases and their
       Compositionality", NeurIPS 2013. https://doi.org/10.48550/arXiv.1310.4546
    """

    def __init__(self, left, right, *, n_left, n_right, sampling="uniform", power=0.75, n_rounds=4):
        if sampling not in ("uniform", "popularity"):
            raise ValueError(
                f"sampling must be 'uniform' or 'popularity', got {sampling!r} instead."
            )
        self.n_left, self.n_right, self.n_rounds = n_left, n_right, n_rounds
        self._keys = np.unique(self._key(left, right))
        self._cumulative = None
        if sampling == "popularity":
            chance = np.bincount(right, minlength=n_right).astype(np.float64) ** power
            chance[np.bincount(right, minlength=n_right) == 0] = 0
            self._cumulative = np.cumsum(chance)

    def _key(self, left, right):
        return np.asarray(left, np.int64) * self.n_right + np.asarray(right, np.int64)

    def contains(self, left, right):
        """Whether each pair is among the true ones."""
        keys = self._key(left, right)
        if not len(self._keys):
            return np.zeros(keys.shape, bool)
        at = np.searchsorted(self._keys, keys)
        return self._keys[np.minimum(at, len(self._keys) - 1)] == keys

    def draw(self, rng, size):
        """Right entities by their chance, true pairs not looked at; int64 of shape `size`."""
        if self._cumulative is None:
            return rng.integers(0, self.n_right, size)
        u = rng.random(size) * self._cumulative[-1]
        return np.minimum(np.searchsorted(self._cumulative, u, side="right"), self.n_right - 1)

    def sample(self, rng, left, n_negatives):
        """`n_negatives` right entities for each of `left`, none linked to it if that can be had.

        Returns
        -------
        right : ndarray of shape (len(left), n_negatives), int64
            The drawn entities.
        usable : ndarray of shape (len(left), n_negatives), bool
            False where every round drew a true pair, as for an entity linked to nearly all.
        """
        right = self.draw(rng, (len(left), n_negatives))
        left = np.broadcast_to(np.asarray(left)[:, None], right.shape)
        return self._redraw(rng, left, right, lambda k: (None, self.draw(rng, k)))[1:]

    def sample_pairs(self, rng, n_pairs):
        """Pairs of a uniformly drawn left entity and a right entity, as the article draws them.

        Returns
        -------
        left, right, usable : ndarray of shape (n_pairs,)
            As in `sample`.
        """

        def anew(k):
            return rng.integers(0, self.n_left, k), self.draw(rng, k)

        left, right = anew(n_pairs)
        return self._redraw(rng, left, right, anew)

    def _redraw(self, rng, left, right, anew):
        hit = self.contains(left, right)
        for _ in range(self.n_rounds):
            n_hits = int(hit.sum())
            if not n_hits:
                break
            new_left, right[hit] = anew(n_hits)
            if new_left is not None:
                left[hit] = new_left
            hit[hit] = self.contains(left[hit], right[hit])
        return left, right, ~hit
