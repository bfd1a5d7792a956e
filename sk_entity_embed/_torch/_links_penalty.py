"""Choose the penalties of the exact solver on held-back pairs, and how far to whiten and polish what it solved.

No one value fits all data: the best ridge differs a hundred times and the best weight of a non-link a
thousand times between catalogues with five links an item, film ratings with fifty, and tables where hardly
anything but popularity tells. A walk on a grid, each trial a sweep or two from the best tables so far, costs
about as much as one fit; small tables, whose trials say less and cost less, are given more of them. What is made of
the tables is then chosen step by step, each judged by the same pairs.
"""

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from scipy import sparse

from ._links_exact import Penalty, Side, both_sides, pull, start_table, sweep, whiten
from ._links_polish import polish, toward

_WEIGHTS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
# Smaller ridges are worth less than .002 anywhere and take trials (attr: precision@10 of genres .265 in place of .270).
_RIDGES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6)
_POWERS = (0.0, 0.5, 1.0)
# The left vectors that are kept are solved for once more, against heavier non-links: that puts items
# with a rare link in common nearer to each other (attr: precision@10 of authors .25 to .28) and costs
# the ranking of links next to nothing (recall@20 .359 to .355; codex_m .626 to .622, its NDCG gains).
_KEPT_WEIGHT = 2.5
# Where links are ranked by a polished right table, the left one can be shrunk more as well (precision@10 by
# benchmarks/bench_links.py, seeds 0 to 2: codex_m .816 to .818, attr's authors .286 to .288, wiki and genres the same).
# Twice the ridge gains as much again there and takes .003 of codex_m's NDCG.
_KEPT_RIDGE = 1.5
# Where an entity has many links, heavy non-links may be chosen, and neighbours are better with light ones. So lighter
# ones are tried for the kept left vectors, the lightest first, and the right table is solved for anew against these.
# The first that is not clearly worse is taken: the links that chose the heavier ones speak for them more than new ones
# would. By benchmarks/bench_links.py, seeds 0 to 2: precision@10 of lecturers' departments .689 to .695, of films'
# genres .626 to .634, of planes' models .737 to .743, no attribute loses; NDCG@20 of "films_turned" .319 to .325,
# "insteval" .726 to .733, "films" .261 to .255, "movielens" .224 to .220, of 15 pair sets .0005 more on average. Of
# books and codex_m the chosen weight is mostly smaller than these.
_LIGHTS = (0.028, 0.083, 0.25)
_LIGHT_CLEAR = 0.75
# Where walks begin. Most begin at what suits books. Of many pairs, for which there are few trials, another place may be
# better at once: heavier non-links and one ridge for all (NDCG@20 of "films" .249 to .261; with the latter at (3, 3, 0)
# "films_turned" has .308 for .319). A few pairs hold back too few to tell by, and the latter is seldom bad for them
# ("agents" .628 to .634, ten seeds). Between the two a walk from there may end too soon ("movielens_turned" .263 to
# .251). All by benchmarks/bench_links.py.
_START, _OTHER_START = (2, 2, 1), (4, 2, 0)
# The later one must be better by so many standard errors. Where it is best it is by 2.1 to 6.6; on parts of codex_m it
# is by .3 to 1.7, and from there neighbours lose (precision@10 of places of birth .097 to .092).
_FAR_CLEAR = 2.0
# Weight and ridge are tried together, too, either way: with one alone the walk may end too soon. Not at first, as many
# pairs have few trials ("attr" .264 to .260).
_STEPS = (
    *((0, -1, 0), (0, 1, 0), (1, 0, 0), (-1, 0, 0), (1, -1, 0), (-1, 1, 0)),
    *((1, 1, 0), (-1, -1, 0), (0, 0, 1), (0, 0, -1)),
)
# A trial's few sweeps may rank well while the vectors shrink to nothing (one of three draws of "pets" and of
# "agents_turned"). So no step leads to a penalty under which links would score less than .2.
_LEAST_PULL = 1.25
_FIRST_SWEEPS = 4
# The later trials start from the best table so far. Of many pairs they sweep once and are few, so a step must be better
# by half a standard error, lest they be spent on differences that held-back pairs cannot tell. Of fewer pairs they
# sweep twice, as many times as come to so many pairs, and any gain counts: half a standard error takes up to .004 of a
# table of R's packages, a whole one .014. By benchmarks/bench_links.py, seeds 0 to 2. A few hundred pairs hold back too
# few for that; fewer still, where all is chance, were not tried.
# All pairs take part, however many: a sample of left entities thins the links of the right ones, for which another
# penalty and less polish is best (three tenths of attr's and of codex_m's: NDCG@20 .267 to .243 and .453 to .434).
_FEW_PAIRS, _MANY_PAIRS = range(250, 3000), 80_000
_MIN_TRIALS, _MAX_TRIALS, _PAIRS_TRIED = 6, 36, 1_000_000
_CLEAR = 0.5
_MAX_RANKED = 10_000  # entities that a held-back pair is ranked among
# Held-back pairs: as many as are ranked among others `_SCORES` times in all, but no more than a tenth.
_MIN_HELD, _MAX_HELD, _SCORES = 2000, 4000, 20_000_000
_HELD_SHARE = 0.1
_BLOCK = 128  # held-back pairs ranked at a time: their scores stay in the cache
# How far to whiten the right table before the left vectors that are kept are solved for, in this order as long as it
# gets clearly better: one penalty is then, along each axis, another one. Most tables want none of it (NDCG@20, seeds 0
# to 2: "planes" .273 to .281, "planes_turned" .404 to .417, 19 pair sets .4201 to .4212), and left neighbours stay as
# good (21 attributes: -.0002). If any gain counts, links gain half as much again, but right neighbours lose (codex_m
# turned, two seeds: occupation .807 to .803, genre .365 to .360). In every sweep it is worse ("planes_turned" .388).
_WHITENINGS = (0.3, 0.6, 1.0)
# How far to polish is tried out in this order, with a quarter of the steps: enough to tell (with all of them no table
# gains or loses .003). Half of the way hardly ever takes anything (tables of R's packages at a good penalty, two seeds:
# NDCG@20 -.004 to .007), the whole up to .02, and of books and codex_m half is worth about half. So the way goes on
# unless it is clearly worse (18 pair sets, three seeds: .4222 on average, and .4217 where it must be better).
_SHARES = (0.5, 1.0)
_EFFORT = 0.25


@dataclass(frozen=True)
class Choice:
    """What held-back pairs chose: penalties, and how far to whiten and to polish the right table, from 0 to 1 each.

    `penalty` is that of the sweeps and `kept` that of the left vectors which are kept. `tables` are the left and the
    right one they were found with, a good start for the fit; None where there is nothing to hold back. `interrupted`
    tells whether Ctrl-C cut the search.
    """

    penalty: Penalty
    kept: Penalty
    tables: tuple[torch.Tensor | None, torch.Tensor] | None
    whitening: float = 0.0
    polish_share: float = 0.0
    interrupted: bool = False


def choose(
    links,
    targets,
    n_components,
    rng,
    generator,
    device,
    *,
    negative_weight="auto",
    penalty=None,
    relaxation=0.0,
    may_polish=False,
):
    """The choice under which held-back links rank best.

    A `penalty` that is given stays, for the left vectors that are kept as well. `relaxation` is that of the first
    sweeps.
    """
    weights = _WEIGHTS if negative_weight == "auto" else (negative_weight,)
    grid = _Grid(weights, links, targets) if penalty is None else _Given(penalty)
    trial = _Trial(links, targets, n_components, rng, generator, device)
    starts = [_on_grid(at, negative_weight) for at in _starts(trial.n_pairs)]
    if not trial.can_score:
        chosen = grid.penalty(starts[0])
        return Choice(chosen, penalty or _heavier(chosen), None)
    at, interrupted = _walk(trial, grid, starts, relaxation)
    chosen = grid.penalty(at)
    choice = Choice(chosen, penalty or _heavier(chosen), trial.tables, interrupted=interrupted)
    if interrupted:
        return choice
    steps = []
    if penalty is None:
        steps.append(trial.whitened)
    if penalty is None and negative_weight == "auto":
        steps.append(trial.lightened)
    if may_polish:
        kept_ridge = _KEPT_RIDGE if penalty is None else 1.0
        steps.append(partial(trial.polished, kept_ridge=kept_ridge, rng=rng))
    try:
        for step in steps:
            choice = step(choice)
    except KeyboardInterrupt:
        choice = replace(choice, interrupted=True)
    return choice


class _Grid:
    """Penalties by place: weight of a non-link, ridge, power.

    An entity of middling mass has one ridge whatever the power, so that this says only how the
    ridge is spread between frequent and rare entities.
    """

    def __init__(self, weights, links, targets=None):
        self._weights = weights
        self._links, self._targets = links, targets
        self._shape, self._mass = links.shape, float(links.sum())

    def __contains__(self, at):
        sizes = (len(self._weights), len(_RIDGES), len(_POWERS))
        return all(0 <= i < size for i, size in zip(at, sizes, strict=True))

    def penalty(self, at):
        """The one at a place."""
        weight, ridge, power = self._weights[at[0]], _RIDGES[at[1]], _POWERS[at[2]]
        middling = math.prod(
            self._mass / n + weight * n_other for n, n_other in (self._shape, self._shape[::-1])
        )
        return Penalty(weight, ridge * middling ** ((0.5 - power) / 2), power)

    def is_bearable(self, at):
        """Whether the vectors do not vanish there."""
        reached = pull(self._links, self._targets, self.penalty(at), enough=_LEAST_PULL)
        return reached > _LEAST_PULL


class _Given:
    """A grid of one penalty."""

    def __init__(self, penalty):
        self._penalty = penalty

    def __contains__(self, at):
        return False

    def penalty(self, at):
        """The one given."""
        return self._penalty


def _on_grid(at, negative_weight):
    """The place `at`; where the weight of a non-link is given, it is the only one."""
    return at if negative_weight == "auto" else (0, *at[1:])


def _starts(n_pairs):
    """Where to begin; the later ones are tried, too."""
    if n_pairs in _FEW_PAIRS:
        return _OTHER_START, _START
    return (_START, _OTHER_START) if n_pairs > _MANY_PAIRS else (_START,)


def _walk(trial, grid, starts, relaxation):
    """From the first start, or a clearly better one, to a better neighbour until there is none; and if Ctrl-C came."""
    steps, (at, *others) = list(_STEPS), starts
    n_sweeps = 1 if trial.n_pairs > _MANY_PAIRS else 2
    is_doubtful = trial.n_pairs in _FEW_PAIRS or trial.n_pairs > _MANY_PAIRS
    clear = _CLEAR if is_doubtful else 0.0
    most = int(min(max(_MIN_TRIALS, _PAIRS_TRIED / trial.n_pairs), _MAX_TRIALS))
    try:
        gains = {at: trial.gains(grid.penalty(at), _FIRST_SWEEPS, relaxation)}
        trial.keep()
        for other in others:
            if other in grid and _may_step(grid, at, other):
                # Further off than a neighbour, so the tables have further to go.
                gains[other] = trial.gains(grid.penalty(other), n_sweeps + 1)
                if _is_better(gains[other], gains[at], _FAR_CLEAR):
                    at = other
                    trial.keep()
        while True:
            for step in steps:
                if len(gains) == most:
                    return at, False
                new = tuple(i + j for i, j in zip(at, step, strict=True))
                if new not in grid or new in gains or not _may_step(grid, at, new):
                    continue
                gains[new] = trial.gains(grid.penalty(new), n_sweeps)
                if _is_better(gains[new], gains[at], clear):
                    at = new
                    trial.keep()
                    steps.sort(key=lambda other: other != step)  # go on in the same direction
                    break
            else:
                break  # no neighbour is better
    except KeyboardInterrupt:
        return at, True
    return at, False


def _may_step(grid, at, new):
    """Not to where the vectors vanish, unless they do already."""
    return grid.is_bearable(new) or not grid.is_bearable(at)


def _is_better(gains, others, clear):
    """Whether the sum is larger, by `clear` standard errors of the difference."""
    difference = gains - others
    return difference.sum() > clear * difference.std() * len(difference) ** 0.5


def _heavier(penalty):
    """The penalty of the left vectors that are kept, unless held-back links speak for another one."""
    return replace(penalty, negative_weight=_KEPT_WEIGHT * penalty.negative_weight)


def kept_tables(left, right, v, penalty, kept):
    """The left table that is kept, and the right one to go with it, given the one that `penalty` was solved with.

    Against left vectors of lighter non-links than its own the right one is solved for anew.
    """
    x = left.solve(v, kept)[0]
    is_lighter = kept.negative_weight < penalty.negative_weight
    return x, right.solve(x, penalty)[0] if is_lighter else v


class _Trial:
    """A split of the links, and the tables of the best trial so far.

    When the penalty is chosen, `whitened`, `lightened` and `polished`, in this order, each give a choice that is as
    good or better.
    """

    def __init__(self, links, targets, n_components, rng, generator, device):
        n_held = min(max(_MIN_HELD, _SCORES // min(links.shape[1], _MAX_RANKED)), _MAX_HELD)
        rows, columns, held = _hold_back(links, targets, n_held, rng)
        self.n_pairs = links.nnz - len(held)
        self.can_score = len(held) > 0
        if not self.can_score:
            return
        keep = np.ones(links.nnz, bool)
        keep[held] = False

        def part(matrix):
            at = (rows[keep], columns[keep])
            return sparse.csr_matrix((matrix.data[keep], at), shape=links.shape)

        self._known = known = part(links)
        aims = None if targets is None else part(targets)
        self._left, self._right = both_sides(known, aims, n_components, device)
        start = start_table(links.shape[1], n_components, generator, device)
        self.tables = self._last = None, start
        self._random_norm = start.norm()
        rows, columns = rows[held], columns[held]
        asked, where, count = np.unique(rows, return_inverse=True, return_counts=True)
        self._asked = Side(
            known[asked], None if aims is None else aims[asked], n_components, device
        )
        self._where = torch.from_numpy(where).to(device)
        # A row of k held-back links counts as much as the root of k rows of one: each once would leave few rows to
        # tell by where there are few, and be those of the longest rows where they count by their links.
        share = count[where] ** -0.5
        self._share = share / share.sum()
        self._rows = torch.from_numpy(rows).to(device)
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
        self._last, interrupted = sweep(
            self._left, self._right, self.tables, penalty, n_sweeps, relaxation=relaxation
        )
        if interrupted:
            raise KeyboardInterrupt
        return self._gains_behind(self._last[1], _heavier(penalty))

    def whitened(self, choice):
        """`choice` with the right table whitened as far as it clearly ranks better."""
        best, gains = 0.0, self._gains_behind(self.tables[1], choice.kept)
        for amount in _WHITENINGS:
            others = self._gains_behind(whiten(self.tables[1], amount), choice.kept)
            if not _is_better(others, gains, _CLEAR):
                break
            best, gains = amount, others
        return replace(choice, whitening=best)

    def lightened(self, choice):
        """`choice` with the lightest non-links for the kept left vectors that do not clearly rank worse."""
        weights = [w for w in _LIGHTS if w < choice.penalty.negative_weight]
        gains = self._gains_of_kept(choice) if weights else None
        for weight in weights:
            light = replace(choice, kept=replace(choice.kept, negative_weight=weight))
            if not _is_better(gains, self._gains_of_kept(light), _LIGHT_CLEAR):
                return light
        return choice

    def polished(self, choice, kept_ridge, rng):
        """`choice` with as much of a short polish of the right table as ranks about best.

        Where any does, the ridge of the left vectors is `kept_ridge` times as large.
        """
        kept = replace(choice.kept, ridge=kept_ridge * choice.kept.ridge)
        shrunk = replace(choice, kept=kept)
        x, v = self._kept_tables(shrunk)
        polished = polish(self._known, x, v, rng, _EFFORT)
        gains = self._gains_of_held(x, v)
        for share in _SHARES:
            others = self._gains_of_held(x, toward(v, polished, share))
            if _is_better(gains, others, _CLEAR):
                break
            choice, gains = replace(shrunk, polish_share=share), others
        return choice

    def _kept_tables(self, choice):
        """The tables that would be kept but for the polish."""
        v = whiten(choice.tables[1], choice.whitening)
        return kept_tables(self._left, self._right, v, choice.penalty, choice.kept)

    def _gains_of_kept(self, choice):
        return self._gains_of_held(*self._kept_tables(choice))

    def _gains_of_held(self, x, v):
        """As `_gains`, of a whole left table."""
        return self._gains(x.index_select(0, self._rows), v)

    def _gains_behind(self, v, kept):
        """As `_gains`, of left vectors that are solved with `v`."""
        x = self._asked.solve(v, kept)[0].index_select(0, self._where)
        return self._gains(x, v)

    def _gains(self, x, v):
        """1 / log2(1 + rank) of each held-back link, times its share in the mean, given its left vector."""
        true = (x * v.index_select(0, self._columns)).sum(1, keepdim=True)
        ranked = v.index_select(0, self._ranked).T
        balance = []  # competitors above less those below
        room = ranked.new_empty(min(_BLOCK, len(x)), ranked.shape[1])
        blocks = zip(x.split(_BLOCK), true.split(_BLOCK), self._left_out, strict=True)
        for some, own, left_out in blocks:
            ahead = torch.addmm(-own, some, ranked, out=room[: len(some)])
            ahead[left_out] = 0
            balance.append(ahead.sign_().sum(1))
        balance = torch.cat(balance).double().cpu().numpy()
        n_ranked = len(self._ranked)
        above = (n_ranked - self._n_left_out + balance) / 2  # of ties one half
        return self._share / np.log2(2 + above * (len(v) / n_ranked))

    def keep(self):
        """Start the next trials from the tables of the last one, unless its penalty emptied them."""
        if self._last[1].norm() > self._random_norm:
            self.tables = self._last


def _hold_back(links, targets, n_held, rng):
    """Rows and columns of all links, and which to hold back: entities keep one, links two."""
    coo = links.tocoo()
    rows, columns = (codes.astype(np.int64) for codes in coo.coords)
    n_held = int(min(n_held, _HELD_SHARE * links.nnz))
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
