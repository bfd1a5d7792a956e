"""Vectors of linked entities from batches of pairs.

Every loss is a function of dot products, so its gradient is written down instead of recorded:
only the rows of the batch are read and written, and a step costs the same for any number of
entities. The gradients of a row are summed, not averaged, over the batch, and its L2 penalty is
added once a step, so that both mean the same for any batch size. A *model* below is a
`step(batch, rate)` that returns the sum of the batch's losses, and `result()`.
"""

import time
from dataclasses import dataclass

import numpy as np
import torch

from .._sampling import NegativeSampler

# Of ratings, in units of their variance (benchmarks/bench_links.py --ratings).
BIAS_RIDGE = 2.0


@dataclass(frozen=True)
class Recipe:
    """The sgd settings of a `LinkSpec` once every "auto" is a value."""

    loss: str
    n_negatives: int  # softmax: 0 means the other pairs of the batch
    negative_sampling: str
    max_epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float


@dataclass(frozen=True)
class Batch:
    """Some of the pairs."""

    left: torch.Tensor  # (B,)
    right: torch.Tensor
    value: torch.Tensor | None
    weight: torch.Tensor | None


class RowAdagrad:
    """A table whose touched rows move by Adagrad with one step size a row [1]_.

    References
    ----------
    .. [1] J. Duchi, E. Hazan, Y. Singer, "Adaptive Subgradient Methods", JMLR 12, 2011.
       https://jmlr.org/papers/v12/duchi11a.html
    """

    def __init__(self, table, weight_decay):
        """`weight_decay` is one number, or one for each row."""
        self.table, self.weight_decay = table, weight_decay
        self._sum = table.new_zeros(len(table))

    def rows(self, ids):
        """The vectors of `ids`."""
        return self.table.index_select(0, ids)

    def step(self, ids, gradient, rate):
        """Move the rows `ids` (repeats allowed) against `gradient`."""
        rows, g = _sum_by_row(ids, gradient)
        if isinstance(self.weight_decay, torch.Tensor):
            g.addcmul_(self.rows(rows), self.weight_decay.index_select(0, rows)[:, None])
        elif self.weight_decay:
            g.add_(self.rows(rows), alpha=self.weight_decay)
        total = self._sum.index_select(0, rows).add_(g.square().mean(dim=1))
        self._sum.index_copy_(0, rows, total)
        self.table.index_add_(0, rows, g.div_(total.sqrt_().add_(1e-8)[:, None]), alpha=-rate)


class RowAdam(RowAdagrad):
    """A table whose touched rows move by Adam; the others stand still."""

    def __init__(self, table, weight_decay):
        super().__init__(table, weight_decay)
        self._mean, self._square = torch.zeros_like(table), torch.zeros_like(table)
        self._n_steps = 0

    def step(self, ids, gradient, rate):
        """Move the rows `ids` (repeats allowed) against `gradient`."""
        rows, g = _sum_by_row(ids, gradient)
        if self.weight_decay:
            g.add_(self.rows(rows), alpha=self.weight_decay)
        self._n_steps += 1
        mean = self._mean.index_select(0, rows).mul_(0.9).add_(g, alpha=0.1)
        square = self._square.index_select(0, rows).mul_(0.999).addcmul_(g, g, value=0.001)
        self._mean.index_copy_(0, rows, mean)
        self._square.index_copy_(0, rows, square)
        correction = (1 - 0.999**self._n_steps) ** 0.5 / (1 - 0.9**self._n_steps)
        move = mean.div_(square.sqrt_().add_(1e-8))
        self.table.index_add_(0, rows, move, alpha=-rate * correction)


def _sum_by_row(ids, gradient):
    rows, where = torch.unique(ids, return_inverse=True)
    total = gradient.new_zeros(len(rows), gradient.shape[1])
    return rows, total.index_add_(0, where, gradient)


class Softmax:
    """Softmax of the true link against the links of the batch, or against shared drawn ones.

    Scores are corrected by the log of how often a link is met as a negative, so that the model
    learns the true chances and popularity is not held against a link [1]_.

    References
    ----------
    .. [1] Y. Bengio, J.-S. Senecal, "Adaptive Importance Sampling to Accelerate Training of a
       Neural Probabilistic Language Model", IEEE TNN 19, 2008.
       https://doi.org/10.1109/TNN.2007.912312
    """

    def __init__(self, tables, pairs, recipe, rng, is_left_fixed=False):
        self._left, self._right = (RowAdagrad(t, recipe.weight_decay) for t in tables)
        self._is_left_fixed = is_left_fixed
        self._k, self._rng = recipe.n_negatives, rng
        # The other links of a batch come as often as they are there, whatever they weigh.
        count = np.bincount(pairs.right, pairs.weight if self._k else None, pairs.n_right)
        power = 0.0 if self._k and recipe.negative_sampling == "uniform" else 1.0
        if self._k and power:
            power = 0.75
        chance = np.where(count > 0, np.maximum(count, 1e-9) ** power, 0)
        self._cumulative = np.cumsum(chance)
        log_chance = np.log(np.maximum(chance / self._cumulative[-1], 1e-30))
        self._log_chance = torch.from_numpy(log_chance.astype(np.float32)).to(tables[0].device)

    def step(self, batch, rate):
        """Learn from one batch."""
        u, v = self._left.rows(batch.left), self._right.rows(batch.right)
        weight = u.new_ones(len(u)) if batch.weight is None else batch.weight
        learn = self._against_drawn if self._k else self._against_the_batch
        loss, grad_u, rows, gradient = learn(u, v, batch.right, weight)
        if grad_u is not None:
            self._left.step(batch.left, grad_u, rate)
        self._right.step(rows, gradient, rate)
        return float((loss * weight).sum())

    def _against_the_batch(self, u, v, right, weight):
        """Loss, gradient of the left vectors, rows of the right table and theirs; the diagonal are the true links."""
        z = torch.addmm(-self._log_chance.index_select(0, right), u, v.T)  # (B, B)
        true = z.diagonal().clone()
        z.view(-1).index_fill_(0, _places_of_equals(right), -torch.inf)
        z.diagonal().copy_(true)
        g = torch.softmax(z, dim=1)
        true = g.diagonal()
        loss = -true.clamp_min(1e-30).log()
        true -= 1
        g *= weight[:, None]
        return loss, None if self._is_left_fixed else g @ v, right, (u.T @ g).T

    def _against_drawn(self, u, v, right, weight):
        """The same against links drawn for all pairs of the batch."""
        drawn = np.searchsorted(
            self._cumulative, self._rng.random(self._k) * self._cumulative[-1], side="right"
        )
        others = torch.from_numpy(np.minimum(drawn, len(self._cumulative) - 1)).to(u.device)
        w = self._right.rows(others)
        log_expected = self._log_chance.index_select(0, others) + float(np.log(self._k))
        true = (u * v).sum(1)
        z = torch.addmm(-log_expected, u, w.T)  # (B, K)
        z.masked_fill_(right[:, None] == others, -torch.inf)
        top = torch.maximum(z.amax(1), true)
        z.sub_(top[:, None]).exp_()
        e = (true - top).exp()
        total = z.sum(1) + e
        loss = total.log() + top - true
        z.mul_((weight / total)[:, None])  # chance of each negative, times the weight of its pair
        g = (e / total - 1) * weight
        grad_u = None if self._is_left_fixed else torch.addmm(g[:, None] * v, z, w)
        gradient = torch.cat([g[:, None] * u, z.T @ u])
        return loss, grad_u, torch.cat([right, others]), gradient

    def result(self):
        """The two tables, biases and intercept."""
        return _plain(self._left.table, self._right.table)


def _places_of_equals(ids):
    """Where a flattened square table of `ids` by `ids` has equal ones: a few places, so no mask of them all."""
    _, group, count = torch.unique(ids, return_inverse=True, return_counts=True)
    by_group = torch.argsort(group, stable=True)
    n_equal = count.index_select(0, group)
    row = torch.repeat_interleave(n_equal)
    start = (count.cumsum(0) - count).index_select(0, group) - (n_equal.cumsum(0) - n_equal)
    nth = start.index_select(0, row) + torch.arange(len(row), device=ids.device)
    return row * len(ids) + by_group.index_select(0, nth)


class Factorization:
    """Intercept + bias + bias + dot product, under squared error or logistic loss.

    For ratings [1]_ and for given links and non-links; where only links are given, non-links are
    drawn.

    References
    ----------
    .. [1] Y. Koren, R. Bell, C. Volinsky, "Matrix Factorization Techniques for Recommender
       Systems", Computer 42(8), 2009. https://doi.org/10.1109/MC.2009.263
    """

    def __init__(self, tables, pairs, recipe, rng):
        x, v = tables
        decay = recipe.weight_decay
        self._left, self._right = RowAdagrad(x, decay), RowAdagrad(v, decay)
        self._left_bias, self._right_bias = (
            RowAdagrad(t.new_zeros(len(t), 1), self._decay_of_biases(t, codes, pairs, recipe))
            for t, codes in ((x, pairs.left), (v, pairs.right))
        )
        self._logistic = recipe.loss == "logistic"
        self._k, self._rng = recipe.n_negatives, rng
        self._spread = 1.0
        self._sampler = None
        if self._k:
            self._sampler = NegativeSampler(
                pairs.left,
                pairs.right,
                n_left=pairs.n_left,
                n_right=pairs.n_right,
                sampling=recipe.negative_sampling,
            )
        if pairs.value is None:
            mean = 1 / (1 + self._k)
        else:
            mean = float(np.average(pairs.value, weights=pairs.weight))
            if self._k:
                mean /= 1 + self._k
        if self._logistic:
            mean = min(max(mean, 1e-4), 1 - 1e-4)
            self._intercept = float(np.log(mean / (1 - mean)))
        else:
            self._intercept = mean
            if pairs.value is not None:  # a step should not depend on the unit of a rating
                square = np.average((pairs.value - mean) ** 2, weights=pairs.weight)
                self._spread = float(np.sqrt(square)) or 1.0

    @staticmethod
    def _decay_of_biases(table, codes, pairs, recipe):
        """So much for each row that an epoch's steps amount to `BIAS_RIDGE`: a bias is a mean, shrunk by its count.

        They come to less for a row that several pairs of a batch touch, as it decays once a step.
        """
        if pairs.value is None or recipe.n_negatives:  # drawn pairs count as well
            return recipe.weight_decay
        count = np.bincount(codes, minlength=len(table)).clip(min=1)
        return torch.from_numpy((BIAS_RIDGE / count).astype(np.float32)).to(table.device)

    def step(self, batch, rate):
        """Learn from one batch."""
        left, right, value, weight = batch.left, batch.right, batch.value, batch.weight
        if value is None:
            value = torch.ones(len(left), dtype=torch.float32, device=left.device)
        if self._sampler is not None:
            left, right, value, weight = self._with_negatives(
                self._sampler, left, right, value, weight
            )
        u, v = self._left.rows(left), self._right.rows(right)
        loss, g = self._compare(left, right, u, v, value)
        if weight is not None:
            g, loss = g * weight, loss * weight
        g = g[:, None]
        self._left.step(left, g * v, rate)
        self._right.step(right, g * u, rate)
        self._left_bias.step(left, g, rate)
        self._right_bias.step(right, g, rate)
        return float(loss.sum())

    def mean_loss(self, batch):
        """The loss of pairs that nothing is learned from."""
        u, v = self._left.rows(batch.left), self._right.rows(batch.right)
        loss, _ = self._compare(batch.left, batch.right, u, v, batch.value)
        if batch.weight is None:
            return float(loss.mean())
        return float((loss * batch.weight).sum() / batch.weight.sum())

    def _compare(self, left, right, u, v, value):
        """Loss of each pair, and its gradient by the score, but for the square of the spread."""
        z = (u * v).sum(1) + (self._left_bias.rows(left) + self._right_bias.rows(right))[:, 0]
        if self._logistic:
            z += self._intercept
            return torch.nn.functional.softplus(z) - value * z, torch.sigmoid(z) - value
        g = z - (value - self._intercept) / self._spread
        return g.square() * self._spread**2, g

    def _with_negatives(self, sampler, left, right, value, weight):
        drawn, usable = sampler.sample(self._rng, left.cpu().numpy(), self._k)
        n_pairs, device = len(left), left.device
        weight = value.new_ones(n_pairs) if weight is None else weight
        usable = torch.from_numpy(usable.astype(np.float32)).to(device)
        other = left.repeat_interleave(self._k)
        drawn = torch.from_numpy(drawn.reshape(-1)).to(device)
        return (
            torch.cat([left, other]),
            torch.cat([right, drawn]),
            torch.cat([value, value.new_zeros(len(other))]),
            torch.cat([weight, (usable * weight[:, None]).reshape(-1)]),
        )

    def result(self):
        """The two tables, biases and intercept, in the unit of the values."""
        root = self._spread**0.5
        return (
            self._left.table * root,
            self._right.table * root,
            self._left_bias.table[:, 0] * self._spread,
            self._right_bias.table[:, 0] * self._spread,
            self._intercept,
        )


class Cosine:
    """The article's method: a scaled cosine against +1 for links and -1 for drawn pairs [1]_.

    Differs from [1]_: the scale is kept positive, and Adam moves only the rows of the batch.

    References
    ----------
    .. [1] W. Koehrsen, "Neural Network Embeddings Explained", 2018,
       https://github.com/WillKoehrsen/wikipedia-data-science
    """

    def __init__(self, tables, pairs, recipe, rng):
        self._left, self._right = (RowAdam(t, recipe.weight_decay) for t in tables)
        device = tables[0].device
        self._log_scale = RowAdam(tables[0].new_zeros(1, 1), 0.0)
        self._only_row = torch.zeros(1, dtype=torch.int64, device=device)
        self._k, self._rng = recipe.n_negatives, rng
        self._sampler = NegativeSampler(
            pairs.left,
            pairs.right,
            n_left=pairs.n_left,
            n_right=pairs.n_right,
            sampling=recipe.negative_sampling,
        )

    def step(self, batch, rate):
        """Learn from one batch."""
        device, n_pairs = batch.left.device, len(batch.left)
        drawn = self._sampler.sample_pairs(self._rng, n_pairs * self._k)
        left, right, usable = (torch.from_numpy(a).to(device) for a in drawn)
        left, right = torch.cat([batch.left, left]), torch.cat([batch.right, right])
        aim = torch.ones(len(left), dtype=torch.float32, device=device)
        if batch.value is not None:
            aim[:n_pairs] = 2 * batch.value - 1
        aim[n_pairs:] = -1
        weight = torch.ones_like(aim)
        if batch.weight is not None:
            weight[:n_pairs] = batch.weight
        weight[n_pairs:] = usable.float()
        x, y = self._left.rows(left), self._right.rows(right)
        x_norm = x.norm(dim=1, keepdim=True).clamp_(1e-12)
        y_norm = y.norm(dim=1, keepdim=True).clamp_(1e-12)
        u, v = x / x_norm, y / y_norm
        cosine = (u * v).sum(1)
        scale = self._log_scale.table.exp().item()
        error = scale * cosine - aim
        g = 2 * error * weight / len(left)
        along = (g * scale)[:, None]
        self._left.step(left, along * (v - cosine[:, None] * u) / x_norm, rate)
        self._right.step(right, along * (u - cosine[:, None] * v) / y_norm, rate)
        self._log_scale.step(self._only_row, (g * cosine).sum().view(1, 1) * scale, rate)
        return float((error.square() * weight).mean()) * n_pairs

    def result(self):
        """Vectors of one length, so that their dot product is the scaled cosine."""
        root = self._log_scale.table.exp().sqrt().item()
        tables = (o.table for o in (self._left, self._right))
        return _plain(*(torch.nn.functional.normalize(t) * root for t in tables))


def as_batch(pairs, device):
    """All pairs as one batch."""
    return Batch(
        *(
            torch.from_numpy(np.ascontiguousarray(a)).to(device).long()
            for a in (pairs.left, pairs.right)
        ),
        *(
            None if a is None else torch.from_numpy(np.ascontiguousarray(a)).to(device)
            for a in (pairs.value, pairs.weight)
        ),
    )


def _plain(x, v):
    zeros = [t.new_zeros(len(t)) for t in (x, v)]
    return x, v, *zeros, 0.0


def run_epochs(model, pairs, recipe, rng, device, end_epoch):
    """Passes over the pairs in new random orders; the rate falls linearly to zero.

    `end_epoch(loss, seconds)` may ask to stop. The article's method keeps its rate, as there.
    """
    of_all = as_batch(pairs, device)
    parts = (of_all.left, of_all.right, of_all.value, of_all.weight)
    n_pairs = len(pairs.left)
    size = min(recipe.batch_size, n_pairs)
    starts = range(0, n_pairs, size)
    n_steps, done = max(1, len(starts) * recipe.max_epochs), 0
    decays = not isinstance(model, Cosine)
    for _ in range(recipe.max_epochs):
        tick = time.perf_counter()
        order = torch.from_numpy(rng.permutation(n_pairs)).to(device)
        loss = 0.0
        for start in starts:
            at = order[start : start + size]
            rows = (None if a is None else a.index_select(0, at) for a in parts)
            rate = recipe.learning_rate * (1 - done / n_steps if decays else 1)
            loss += model.step(Batch(*rows), rate)
            done += 1
        if end_epoch(loss / n_pairs, time.perf_counter() - tick):
            break
