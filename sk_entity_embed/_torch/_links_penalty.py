"""Choose the penalty of the exact solver on held-back pairs.

No one value fits all data: the best ridge differs four times and the best weight of a non-link
thirty times between catalogues with five links an item and film ratings with fifty. A walk on a
grid, each trial a single sweep from the best tables so far, costs about as much as one fit.
"""

from dataclasses import replace

import numpy as np
import torch
from scipy import sparse

from ._links_exact import Penalty, Side, both_sides, start_table, sweep

_WEIGHTS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
_RIDGES = (0.05, 0.1, 0.2, 0.4, 0.8)
_POWER = 0.5
# The left vectors that are kept are solved for once more, against heavier non-links: that puts items
# with a rare link in common nearer to each other (attr: precision@10 of authors .25 to .28) and costs
# the ranking of links next to nothing (recall@20 .359 to .355; codex_m .626 to .622, its NDCG gains).
_KEPT_WEIGHT = 2.5
# Where links are ranked by a polished right table, the left one can be shrunk more as well (precision@10 by
# benchmarks/bench_links.py, seeds 0 to 2: codex_m .816 to .818, attr's authors .286 to .288, wiki and genres the same).
# Twice the ridge gains as much again there and takes .003 of codex_m's NDCG.
_KEPT_RIDGE = 1.5
_START = (2, 2)
_STEPS = ((0, -1), (0, 1), (1, 0), (-1, 0))
_FIRST_SWEEPS, _MAX_TRIALS = 4, 6  # the later trials sweep once, from the best table so far
_MAX_PAIRS, _SAMPLE = 250_000, 100_000  # of more pairs, entities with about 100,000 choose
_MAX_RANKED = 10_000  # entities that a held-back pair is ranked among
_HELD_SHARE, _MIN_HELD, _MAX_HELD = 0.02, 1000, 2000
_BLOCK = 128  # held-back pairs ranked at a time: their scores stay in the cache


def choose_penalty(
    links, targets, n_components, rng, generator, device, negative_weight="auto", relaxation=0.0
):
    """The penalty under which held-back links rank best; `relaxation` is that of its first sweeps.

    Gives the right table it was found with, a good start for the fit, and whether Ctrl-C cut the
    search. The table is None where there is nothing to hold back.
    """
    trial = _Trial(*_sample(links, targets, rng), n_components, rng, generator, device)
    weights = _WEIGHTS if negative_weight == "auto" else (negative_weight,)
    at = (_START[0] if negative_weight == "auto" else 0, _START[1])
    if not trial.can_score:
        return _penalty(weights, at), None, False
    at, interrupted = _walk(trial, weights, at, relaxation)
    return _penalty(weights, at), trial.table, interrupted


def _walk(trial, weights, at, relaxation):
    """From `at` to a better neighbour on the grid until there is none, and whether Ctrl-C came."""
    steps = list(_STEPS)
    try:
        gains = {at: trial.gains(_penalty(weights, at), _FIRST_SWEEPS, relaxation)}
        trial.keep()
        while len(gains) < _MAX_TRIALS:
            for step in steps:
                new = (at[0] + step[0], at[1] + step[1])
                on_grid = 0 <= new[0] < len(weights) and 0 <= new[1] < len(_RIDGES)
                if not on_grid or new in gains:
                    continue
                gains[new] = trial.gains(_penalty(weights, new), 1)
                if _is_better(gains[new], gains[at]):
                    at = new
                    trial.keep()
                    steps.sort(key=lambda other: other != step)  # go on in the same direction
                    break
            else:
                break  # no neighbour is better
    except KeyboardInterrupt:
        return at, True
    return at, False


def _is_better(gains, others):
    """Whether the sum is larger by half a standard error: few held-back pairs cannot tell more.

    A whole one stops the search too early: attr lost .013 of its recall@20 (benchmarks/bench_links.py).
    """
    difference = gains - others
    return difference.sum() > 0.5 * difference.std() * len(difference) ** 0.5


def _penalty(weights, at):
    return Penalty(weights[at[0]], _RIDGES[at[1]], _POWER)


def _sample(links, targets, rng):
    """Some entities with all their links where there are more pairs than needed."""
    if links.nnz <= _MAX_PAIRS:
        return links, targets
    rows = rng.permutation(links.shape[0])[: int(links.shape[0] * _SAMPLE / links.nnz) + 1]
    return links[rows], None if targets is None else targets[rows]


def penalty_of_kept(penalty, is_polished=False):
    """The penalty for the left vectors that are kept, given the one that the tables were solved with."""
    return replace(
        penalty,
        negative_weight=_KEPT_WEIGHT * penalty.negative_weight,
        ridge=(_KEPT_RIDGE if is_polished else 1.0) * penalty.ridge,
    )


class _Trial:
    """A split of the links, and the tables of the best trial so far."""

    def __init__(self, links, targets, n_components, rng, generator, device):
        rows, columns, held = _hold_back(links, targets, rng)
        self.can_score = len(held) > 0
        if not self.can_score:
            return
        keep = np.ones(links.nnz, bool)
        keep[held] = False

        def part(matrix):
            at = (rows[keep], columns[keep])
            return sparse.csr_matrix((matrix.data[keep], at), shape=links.shape)

        known = part(links)
        aims = None if targets is None else part(targets)
        self._left, self._right = both_sides(known, aims, n_components, device)
        self.table = self._last = start_table(links.shape[1], n_components, generator, device)
        self._random_norm = self.table.norm()
        rows, columns = rows[held], columns[held]
        asked, where, count = np.unique(rows, return_inverse=True, return_counts=True)
        self._asked = Side(
            known[asked], None if aims is None else aims[asked], n_components, device
        )
        self._where = torch.from_numpy(where).to(device)
        # A row counts once, however many of its links are held back.
        self._share = 1 / count[where] / len(count)
        self._columns = torch.from_numpy(columns).to(device)
        self._draw_competitors(known[rows], columns, rng, device)

    def _draw_competitors(self, known, columns, rng, device):
        """Whom each held-back pair is ranked among: neither known links nor itself."""
        n_ranked = min(known.shape[1], _MAX_RANKED)
        ranked = np.sort(rng.choice(known.shape[1], n_ranked, replace=False))
        self._ranked = torch.from_numpy(ranked).to(device)
        own = sparse.csr_matrix(
            (np.ones(len(columns), np.float32), columns, np.arange(len(columns) + 1)),
            shape=known.shape,
        )
        left_out = (known + own)[:, ranked]
        self._left_out = [
            tuple(
                torch.from_numpy(codes.astype(np.int64)).to(device)
                for codes in left_out[start : start + _BLOCK].tocoo().coords
            )
            for start in range(0, len(columns), _BLOCK)
        ]
        self._n_left_out = np.diff(left_out.indptr)

    def gains(self, penalty, n_sweeps, relaxation=0.0):
        """1 / log2(1 + rank) of each held-back link, times its share in the mean."""
        v, interrupted = sweep(
            self._left, self._right, self.table, penalty, n_sweeps, relaxation=relaxation
        )
        if interrupted:
            raise KeyboardInterrupt
        self._last = v
        x = self._asked.solve(v, penalty_of_kept(penalty))[0].index_select(0, self._where)
        true = (x * v.index_select(0, self._columns)).sum(1, keepdim=True)
        ranked = v.index_select(0, self._ranked).T
        balance = []  # competitors above less those below
        blocks = zip(x.split(_BLOCK), true.split(_BLOCK), self._left_out, strict=True)
        for some, own, left_out in blocks:
            ahead = torch.addmm(-own, some, ranked)
            ahead[left_out] = 0
            balance.append(ahead.sign_().sum(1))
        balance = torch.cat(balance).double().cpu().numpy()
        n_ranked = len(self._ranked)
        above = (n_ranked - self._n_left_out + balance) / 2  # of ties one half
        return self._share / np.log2(2 + above * (len(v) / n_ranked))

    def keep(self):
        """Start the next trials from the table of the last one, unless its penalty emptied it."""
        if self._last.norm() > self._random_norm:
            self.table = self._last


def _hold_back(links, targets, rng):
    """Rows and columns of all links, and which to hold back: entities keep one, links two."""
    coo = links.tocoo()
    rows, columns = (codes.astype(np.int64) for codes in coo.coords)
    n_held = int(min(max(_HELD_SHARE * links.nnz, _MIN_HELD), 0.1 * links.nnz, _MAX_HELD))
    order = rng.permutation(links.nnz)
    if targets is not None:
        order = order[targets.data[order] > 0.5]
    order = order[: 2 * n_held]  # enough, however many are passed over
    spare_row = np.bincount(rows, minlength=links.shape[0])[rows[order]] - 1
    spare_column = np.bincount(columns, minlength=links.shape[1])[columns[order]] - 2
    free = _nth_time(rows[order]) < spare_row
    free &= _nth_time(columns[order]) < spare_column
    return rows, columns, order[free][:n_held]


def _nth_time(codes):
    """How many times the code of each place came before it."""
    order = np.argsort(codes, kind="stable")
    first = np.flatnonzero(np.r_[True, np.diff(codes[order]) > 0])
    place = np.empty(len(codes), np.int64)
    place[order] = np.arange(len(codes)) - np.repeat(first, np.diff(np.r_[first, len(codes)]))
    return place
