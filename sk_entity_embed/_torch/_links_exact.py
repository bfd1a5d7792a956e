"""Vectors of linked entities by least squares, one table at a time in closed form.

Every pair that is not a link counts as a weak non-link. For one entity with links l, vectors v_l of
the other table, confidences c_l and targets t_l (1 for a link, 0 for a known non-link), the best
vector minimises ::

    sum_l c_l (t_l - x.v_l)^2  +  w0 sum_all (x.v)^2  +  r |x|^2

The sum over all of the other table is x' (w0 V'V) x, the same for every entity, so its cost does
not grow with the number of non-links [1]_. In the basis of its eigenvectors, divided by the
square root of eigenvalue + r, that term is the identity: an entity with k links needs a k x k
system where k is below the width of the table, and one as wide as the table where it is not.

References
----------
.. [1] Y. Hu, Y. Koren, C. Volinsky, "Collaborative Filtering for Implicit Feedback Datasets",
   ICDM 2008. https://doi.org/10.1109/ICDM.2008.22
.. [2] D. Mitchell, N. Ye, H. De Sterck, "Nesterov acceleration of alternating least squares for
   canonical tensor decomposition", Numerical Linear Algebra with Applications 27, 2020.
   https://doi.org/10.1002/nla.2297
.. [3] G. Takacs, I. Pilaszy, D. Tikk, "Applications of the Conjugate Gradient Method for Implicit
   Feedback Collaborative Filtering", RecSys 2011. https://doi.org/10.1145/2043932.2043987
"""

import time
from dataclasses import dataclass

import numpy as np
import torch

_CELLS = 1_000_000  # floats gathered at a time: what a cache holds, measured by bench_links.py
_SLACK = 1.15  # entities solved in one batch may have up to 15 % more links than the smallest
_FEW, _WIDE_SLACK = 64, 1.5  # a batch of fewer may have up to 50 % more: a call costs as much
# Systems up to so wide are solved side by side if a batch has as many as this times their width: LAPACK is called
# for each, and torch.bmm multiplies so small matrices without a library (4,629 of width 4: 2.0 ms, side by side 0.4).
_NARROW, _ENOUGH = 7, 64
# Of more pairs than these, sweeps bring systems at least so wide nearer to their solution by so many steps [3]_. Two
# steps or three, from 12 links or from 16, or all systems solved: the same quality (seven pair sets, NDCG@20 within
# .003, precision@10 within .0006), and two take the least (the article's shape 2.6 s, with three 2.8, solved 4.1). The
# same holds with counts as weights; weights of a heavy tail, a standard deviation above the mean, would lose a tenth.
_MANY_PAIRS, _WIDE, _STEPS = 50_000, 16, 2
_LEAST_AXIS = 1e-8  # of the largest variance: no axis of rounding errors is blown up
_TINY = 1e-30  # no division by zero where a solution is reached


@dataclass(frozen=True)
class Penalty:
    """What is held against large vectors: `negative_weight` w0, and ridge * (k + w0 n) ** power."""

    negative_weight: float
    ridge: float
    power: float

    def of(self, mass, n_other):
        """The ridge of entities whose links weigh `mass`."""
        return self.ridge * (mass + self.negative_weight * n_other) ** self.power


def pull(links, targets, penalty, enough=np.inf, n_steps=10):
    """How hard the links pull small vectors away from zero: at 1 or below, sweeps let all vectors vanish.

    Where all vectors are small, a sweep multiplies them by the links' confidences times targets, each divided by the
    ridges of its two entities. The largest singular value, with roots of the ridges, says whether they grow. Of
    entities that are all alike, links then score 1 - 1 / pull. By power iteration, from below, until it is `enough`.
    """
    matrix = (links if targets is None else links.multiply(targets)).tocsr()
    mass = [np.asarray(links.sum(axis=axis), np.float64).ravel() for axis in (1, 0)]
    ridges = (penalty.of(m, n) for m, n in zip(mass, links.shape[::-1], strict=True))
    # Of an entity without links the ridge may be zero; nothing pulls it. In the matrix's own type, lest it be copied.
    left, right = ((np.maximum(ridge, _TINY) ** -0.5).astype(matrix.dtype) for ridge in ridges)
    v, size = np.sqrt(mass[1]).astype(matrix.dtype), 0.0
    for _ in range(n_steps):
        x = left * (matrix @ (right * v / max(np.linalg.norm(v), _TINY)))
        size = float(np.linalg.norm(x))
        if size > enough:
            break
        v = right * (matrix.T @ (left * x))
    return size


@dataclass(frozen=True)
class _Batch:
    """Entities with about equally many links, laid out as one rectangle of codes."""

    rows: torch.Tensor  # (B,)
    codes: torch.Tensor  # (B * k,), the row past the end of the table fills up
    width: int  # k
    mass: torch.Tensor  # (B,), sum of the confidences
    root: torch.Tensor | None  # (B, k), square roots of the confidences, None: all 1
    target: torch.Tensor | None  # (B, k), confidence root times target, None: all 1
    n_filled: int  # codes that only fill up
    constant: float  # sum of confidence * target ** 2


class Side:
    """The links of every entity of one table, batched by their number once for all sweeps."""

    def __init__(self, links, targets, n_components, device):
        self.n_rows, self.n_other = links.shape
        self._device = device
        self._unit = targets is None and bool((links.data == 1).all())
        self._may_improve = links.nnz > _MANY_PAIRS and bool(links.data.std() <= links.data.mean())
        degree = np.diff(links.indptr)
        order = np.argsort(degree, kind="stable")
        order = order[degree[order] > 0]
        self.batches = [
            self._batch(links, targets, rows, degree[rows])
            for rows in _groups(order, degree[order], n_components)
        ]
        self._most = max((len(batch.codes) for batch in self.batches), default=0)  # gathered
        mass = np.asarray(links.sum(axis=1), dtype=np.float32).ravel()
        self.mass = torch.from_numpy(mass).to(device)

    def _batch(self, links, targets, rows, degree):
        width = int(degree[-1])
        slots = np.arange(width)
        at = links.indptr[rows].astype(np.int64)[:, None] + slots
        beyond = slots >= degree[:, None]
        filled = bool(degree[0] < width)
        if filled:
            at[beyond] = 0
        codes = links.indices[at]
        root = target = None
        constant = float(degree.sum())
        mass = degree if filled else degree[:1]  # of equals, one ridge is computed
        if filled:
            codes[beyond] = self.n_other
        if not self._unit:
            weight = links.data[at]
            if filled:
                weight[beyond] = 0
            mass = weight.sum(axis=1)
            root = np.sqrt(weight)
            aim = targets.data[at] if targets is not None else np.ones_like(weight)
            target = self._tensor((root * aim).astype(np.float32))
            constant = float((weight * aim * aim).sum())
            root = self._tensor(root.astype(np.float32))
        return _Batch(
            rows=self._tensor(rows),
            codes=self._tensor(codes.astype(np.int32).reshape(-1)),
            width=width,
            mass=self._tensor(mass.astype(np.float32)),
            root=root,
            target=target,
            n_filled=int(beyond.sum()) if filled else 0,
            constant=constant,
        )

    def _tensor(self, array):
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def solve(self, other, penalty, near=None):
        """The best vector of every entity given the other table, and the objective they reach.

        `near` is a table to start from: of many pairs, entities of many links are then only brought nearer to their
        best vectors.
        """
        n_components = other.shape[1]
        gram = (other.T @ other).cpu().double() * penalty.negative_weight
        if not gram.isfinite().all():  # eigh would say that the matrix is ill-conditioned
            raise FloatingPointError(
                "The vectors stopped being finite: single precision does not hold the pairs' weights side by side. "
                "Look for huge values of sample_weight, or try a larger weight_decay."
            )
        values, basis = torch.linalg.eigh(gram)
        values = values.clamp_min(0).float().to(self._device)
        basis = basis.float().to(self._device)
        rotated = other.new_zeros(len(other) + 1, n_components)
        torch.mm(other, basis, out=rotated[:-1])
        shared = None
        if penalty.power == 0:  # one penalty for all entities: scale the table, not each gather
            shared = (values + penalty.ridge).rsqrt()
            rotated *= shared
        found = other.new_zeros(self.n_rows, n_components)
        objective = torch.zeros((), dtype=torch.float64, device=self._device)
        # One for all batches, as touching new memory takes long (left table of attr: 10 of 50 ms).
        room = other.new_empty(self._most, n_components)
        start = near @ basis if near is not None and self._may_improve else None
        for batch in self.batches:
            v = room[: len(batch.codes)]
            torch.index_select(rotated, 0, batch.codes, out=v)
            v = v.view(len(batch.rows), batch.width, -1)
            scale = shared
            if shared is None:
                ridge = penalty.of(batch.mass, self.n_other)
                scale = (values + ridge[:, None]).rsqrt()  # (B, d)
            if batch.root is not None:
                v *= batch.root[:, :, None]
            if start is not None and min(batch.width, n_components) >= _WIDE:
                x = start.index_select(0, batch.rows).div_(scale)
                x, value = _improve(v, scale if shared is None else 1.0, batch, x)
            else:
                if shared is None:
                    v *= scale[:, None, :]
                x, value = _solve(v, batch)
            objective += value
            found.index_copy_(0, batch.rows, x.mul_(scale) @ basis.T)
        return found, float(objective)


def both_sides(links, targets, n_components, device):
    """The left table's side and the right table's."""
    turned = None if targets is None else targets.T.tocsr()
    return (
        Side(links, targets, n_components, device),
        Side(links.T.tocsr(), turned, n_components, device),
    )


def _solve(v, batch):
    """Minimise |target - v x|^2 + |x|^2 for every entity of a batch; v is (B, k, d)."""
    if batch.width <= v.shape[2]:
        system = torch.bmm(v, v.transpose(1, 2))  # (B, k, k)
        right = batch.target
        if right is None:
            right = v.new_ones(system.shape[:2])
    else:
        system = torch.bmm(v.transpose(1, 2), v)  # (B, d, d)
        if batch.target is None:
            right = v.sum(dim=1)
        else:
            right = _sum(batch.target, v)
    system.diagonal(dim1=1, dim2=2).add_(1)
    if batch.width <= min(_NARROW, v.shape[2]) and len(v) >= _ENOUGH * batch.width:
        y = _eliminate(system, right)
        reached = (right.T * y).sum(dtype=torch.float64)
        x = v[:, 0] * y[0, :, None]
        for i in range(1, batch.width):
            x.addcmul_(v[:, i], y[i, :, None])
    else:
        factor = torch.linalg.cholesky_ex(system, upper=True)[0]  # the lower takes a tenth longer
        y = torch.cholesky_solve(right[:, :, None], factor, upper=True)[:, :, 0]
        reached = (right * y).sum(dtype=torch.float64)
        if batch.width > v.shape[2]:
            return y, batch.constant - reached
        x = _sum(y, v)
    if batch.target is None:  # the ones of the codes that only fill up
        reached = reached - batch.n_filled
    return x, reached


def whiten(table, amount):
    """`table` in the axes of its second moments, each divided by its root mean square to the power `amount`.

    From 0, which leaves it as it is, to 1, which makes all axes alike. A ridge of vectors that are solved with the
    table costs, along an axis of second moment m, m ** `amount` times as much as before: at 0 weak axes shrink most, at
    1 all alike. The table's norm stays.
    """
    if amount == 0:
        return table
    values, basis = torch.linalg.eigh((table.T @ table).cpu().double())
    values = values.clamp_min(max(float(values[-1]), _TINY) * _LEAST_AXIS)
    turned = table @ (basis * values ** (-amount / 2)).float().to(table.device)
    return turned * (table.norm() / turned.norm().clamp_min(_TINY))


def _improve(v, scale, batch, x):
    """As `_solve` by a few steps of conjugate gradients from `x`, (B, d), without a k x k system.

    The vectors are `v` times `scale`, (B, d) or 1. To multiply what they are multiplied by takes less.
    """
    ones = batch.target is None
    error = _times(v, x * scale)  # (B, k)
    error = error.neg_().add_(1) if ones else batch.target - error
    rest = _sum(error, v).mul_(scale).sub_(x)
    step, square = rest, rest.square().sum(1)
    for i in range(_STEPS):
        along = _times(v, step * scale)
        curvature = along.square().sum(1) + step.square().sum(1)
        length = (square / curvature.clamp_min_(_TINY))[:, None]
        x = x.addcmul_(length, step)
        error.addcmul_(length, along, value=-1)
        if i + 1 < _STEPS:
            rest = rest - length * _sum(along, v).mul_(scale).add_(step)
            before, square = square, rest.square().sum(1)
            step = torch.addcmul(rest, (square / before.clamp_min_(_TINY))[:, None], step)
    reached = error.square().sum(dtype=torch.float64) + x.square().sum(dtype=torch.float64)
    return x, reached - batch.n_filled if ones else reached


def _times(v, x):
    """The products of `v`, (B, k, d), and `x`, (B, d), as rows: as columns torch.bmm takes seven times as long."""
    return torch.bmm(x[:, None, :], v.transpose(1, 2))[:, 0]


def _sum(weights, v):
    """The sums of `v`, (B, k, d), by weights of shape (B, k)."""
    return torch.bmm(weights[:, None, :], v)[:, 0]


def _eliminate(system, right):
    """The solutions of many small positive definite systems as columns, (k, B)."""
    k = system.shape[1]
    rows = system.new_empty(k, k + 1, len(system))
    rows[:, :k], rows[:, k] = system.permute(1, 2, 0), right.T
    for i in range(k - 1):
        times = rows[i + 1 :, i] / rows[i, i]
        rows[i + 1 :, i + 1 :].addcmul_(times[:, None], rows[i, i + 1 :], value=-1)
    y = rows[:, k]
    for i in reversed(range(k)):
        y[i] /= rows[i, i]
        y[:i].addcmul_(rows[:i, i], y[i], value=-1)
    return y


def _groups(order, degree, n_components):
    """Slices of `order` (entities by rising degree) that fit one rectangle each."""
    start = 0
    while start < len(order):
        smallest = int(degree[start])
        end = int(np.searchsorted(degree, int(smallest * _SLACK), side="right"))
        if end - start < _FEW:
            wider = int(np.searchsorted(degree, int(smallest * _WIDE_SLACK), side="right"))
            end = max(end, min(start + _FEW, wider))
        width = int(degree[end - 1])
        small = min(width, n_components)
        step = max(1, _CELLS // (width * n_components + small * small))
        for s in range(start, end, step):
            yield order[s : min(s + step, end)]
        start = end


def start_table(n_rows, n_components, generator, device, scale=0.01):
    """Small random vectors: a spectral start gives the same links and worse neighbours."""
    # All else takes its type from here, whatever torch.set_default_dtype was told.
    start = torch.randn(n_rows, n_components, dtype=torch.float32, generator=generator)
    return (start * scale).to(device)


def sweep(left, right, tables, penalty, n_sweeps, end_sweep=None, relaxation=0.0):
    """Solve the left table given the right one, then the right one anew, `n_sweeps` times.

    Each sweep but the first starts `relaxation` times the last change beyond what the one before it
    found, which gets as far in fewer [2]_. Of many pairs, vectors of many links are not solved for but improved by a
    few steps.

    `tables` are the left one, None at the very start, and the right one. Gives both, and whether Ctrl-C came between.
    `left.solve` makes every left vector of the right table the exact fold-in of its own links. `end_sweep(objective,
    seconds)` may ask to stop.
    """
    x, v = tables
    start = v
    if x is None:
        x = v.new_zeros(left.n_rows, v.shape[1])
    try:
        for i in range(n_sweeps):
            tick = time.perf_counter()
            x, objective = left.solve(start, penalty, x)
            ridge = penalty.of(right.mass, left.n_rows)
            objective += float((ridge * start.square().sum(1)).sum())
            before, v = v, right.solve(x, penalty, v)[0]
            # The first change is that from a start which may be random.
            start = v + relaxation * (v - before) if relaxation and i else v
            if end_sweep is not None and end_sweep(objective, time.perf_counter() - tick):
                break
    except KeyboardInterrupt:
        return (x, v), True
    return (x, v), False
