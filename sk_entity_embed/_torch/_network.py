"""The network: tables of vectors below, a small body of dense layers above.

Gradients are written out by hand. The body is three products forward and six backward; autograd around them costs a
third of a step at the batch sizes used here, and honest training wants the gradients of the vectors and those of the
body from different rows.

Rules kept here: row 0 of a column's table is the unknown vector. A column narrower than its block is padded with zeros,
and so are the matching weights of the first layer, hence both gradients are zero there and stay so.
"""

import copy
import math
from itertools import accumulate, pairwise

import numpy as np
import torch

_threshold_backward = torch.ops.aten.threshold_backward  # the gradient of ReLU in one kernel

# Products of several matrices with fewer columns take up to ten times as long as the same turned round (MKL).
NARROW = 16
# A product whose number of columns is no multiple of this takes up to 1.6 times as long (MKL, 30 columns beside 32).
LANES = 8

_ALL = slice(None)

# Frequencies, outputs and scale of the numeric features. With them beside the raw numbers, the score on a table of
# cars, most of whose columns are numbers, rose from .980 to .992.
PERIODIC_FREQUENCIES = 8
PERIODIC_OUTPUTS = 4
PERIODIC_SCALE = 0.3
# Standard deviation of the vectors' start. Larger starts (0.05) let trees recognise a category by its noise, and so
# read from its fold vectors which label each of them left out; the score of the vectors is the same.
TABLE_SCALE = 0.005
# Two categories that start nearly alike may stay so where columns count by their product alone, for nothing pulls them
# apart: 2 of 16 draws of an exclusive or. So their standard deviation is made this. A larger start for three and more
# leaves noise beside what matters: neighbours on Tennessee's schools (R's mlmRev, "star") fell from R2 .63 to .59.
SCALE_OF_TWO = 0.015
# What a block costs, and how many padded cells of a table cost as much as one padded component, which is an input of
# the body for every row.
BLOCK_COST = 8.0
PADDED_CELLS = 1 << 17
EPSILON = 1e-8  # of Adam


def split_into_blocks(n_codes, n_components):
    """Group columns whose tables are stacked in one matrix.

    One gather for many columns costs little more than one for a single column, so columns of different width share a
    block, padded to its widest. But each padded component is one more input of the body, and a padded table takes more
    memory. Of all ways to cut the columns, sorted by width, into runs, this is the cheapest.

    Returns
    -------
    blocks : list of (list of int, int)
        Columns of each block, in order, and the width of its rows.
    """
    by_width = sorted(range(len(n_codes)), key=lambda c: -n_components[c])
    # Sums over the first columns in that order: what a run is padded by needs no look at each of its columns.
    widths = [0, *accumulate(n_components[c] for c in by_width)]
    codes = [0, *accumulate(n_codes[c] for c in by_width)]
    cells = [0, *accumulate(n_codes[c] * n_components[c] for c in by_width)]
    cheapest, start_of = [0.0], [0]  # of the first columns: cost, and where their last block starts
    for stop in range(1, len(by_width) + 1):
        costs = []
        for start in range(stop):
            width = n_components[by_width[start]]
            padding = (stop - start) * width - (widths[stop] - widths[start])
            padded = (codes[stop] - codes[start]) * width - (cells[stop] - cells[start])
            costs.append(cheapest[start] + BLOCK_COST + padding + padded / PADDED_CELLS)
        start = min(range(stop), key=costs.__getitem__)
        cheapest.append(costs[start])
        start_of.append(start)
    blocks, stop = [], len(by_width)
    while stop:
        start = start_of[stop]
        blocks.append((sorted(by_width[start:stop]), n_components[by_width[start]]))
        stop = start
    return blocks[::-1]


class Tables:
    """The vectors of all columns and fold tables, with an update that touches only the rows of a batch.

    A block is one matrix of shape (n_tables * n_rows, width); fold table k of a column begins at
    ``k * n_rows + offset``.

    `fixed` holds tables for the first columns, of shape (n_tables, n_codes, n_components), that stay as they are; their
    blocks come first. `starts` holds arrays of as many tables and codes, one for each column or None, that the first
    components start from, beside chance.
    """

    def __init__(self, spec, generator, device, fixed=(), starts=()):
        self.n_codes = n_codes = spec.n_codes
        self.n_components = n_components = spec.n_components
        self.n_tables = n_tables = spec.n_tables
        n = len(fixed)
        self.blocks = split_into_blocks(n_codes[:n], n_components[:n])
        self.n_fixed = len(self.blocks)
        self.fixed_width = self.width
        self.blocks += [
            ([n + c for c in columns], width)
            for columns, width in split_into_blocks(n_codes[n:], n_components[n:])
        ]
        self.offset = np.zeros(len(n_codes), dtype=np.int64)  # of a column within its block
        self.n_rows, self.matrices = [], []
        for columns, width in self.blocks:
            n_rows = sum(n_codes[c] for c in columns)
            stacked = torch.zeros(n_tables, n_rows, width, dtype=torch.float32)
            start = 0
            for c in columns:
                self.offset[c] = start
                own = stacked[:, start : start + n_codes[c], : n_components[c]]
                start += n_codes[c]
                if c < n:
                    own[:] = torch.from_numpy(fixed[c])
                else:
                    # Every fold table starts from the same values: that keeps them in one coordinate system.
                    drawn = own[0, 1:].normal_(0, TABLE_SCALE, generator=generator)
                    if len(drawn) == 2:
                        drawn -= drawn.mean(0)
                        drawn *= SCALE_OF_TWO / drawn.std(0, correction=0)
                    own[1:] = own[:1]
                    if starts and starts[c] is not None:
                        own[:, :, : starts[c].shape[2]] += torch.from_numpy(starts[c])
                    if spec.unknown_start is not None:
                        own[:, 0, 0] = spec.unknown_start[c]
            self.matrices.append(stacked.view(-1, width).to(device))
            self.n_rows.append(n_rows)
        # Batch weight of each row of all blocks that learn, zero between batches.
        learning = self.matrices[self.n_fixed :]
        self.mass = torch.zeros(sum(map(len, learning)), dtype=torch.float32, device=device)

    @property
    def width(self):
        """Components of all columns, padding included."""
        return sum(len(columns) * width for columns, width in self.blocks)

    def layout(self):
        """Position of each column's components in the gathered row, a list of index arrays."""
        positions = [None] * len(self.n_codes)
        start = 0
        for columns, width in self.blocks:
            for c in columns:
                positions[c] = np.arange(start, start + self.n_components[c])
                start += width
        return positions

    def gather(self, rows):
        """Vectors of a batch.

        Parameters
        ----------
        rows : list of tensor of shape (M, m, n columns of the block)
            Row numbers in each block's matrix.

        Returns
        -------
        vectors : tensor of shape (M, m, width)
        """
        parts = [
            matrix.index_select(0, r.reshape(-1)).view(*r.shape[:2], -1)
            for matrix, r in zip(self.matrices, rows)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 2)

    def update(self, rows, gradient, weight, rate):
        """One step of row-wise implicit SGD.

        A row whose cells weigh ``m`` in the batch moves by ``m * rate / (1 + 2 * n_columns * m * rate)`` of its mean
        gradient [1]_: rare categories move little, frequent ones never overshoot, and there is no state to keep.

        Parameters
        ----------
        rows : list of tensor of shape (M, m, n columns of the block)
        gradient : tensor of shape (M, m, width of the blocks that learn)
            Gradient of the batch's summed loss for each cell.
        weight : tensor of shape (M, m, 1) or None
            How many rows each counts as; None counts each once.
        rate : float

        References
        ----------
        .. [1] Toulis, P. and Airoldi, E. M. (2017). Asymptotic and finite-sample properties of estimators based on
           stochastic gradients. Annals of Statistics 45(4). :doi:`10.1214/16-AOS1506`
        """
        curvature = 2.0 * len(self.n_codes) * rate
        blocks, matrices = self.blocks[self.n_fixed :], self.matrices[self.n_fixed :]
        rows = [r.reshape(-1) for r in rows[self.n_fixed :]]
        first = [0, *accumulate(map(len, matrices))]
        cells = torch.cat([r if not f else r + f for r, f in zip(rows, first)])
        if weight is None:
            cell_weight = self.mass.new_ones(len(cells))
        else:
            cell_weight = torch.cat(
                [weight.expand(-1, -1, len(columns)).reshape(-1) for columns, _ in blocks]
            )
        # All blocks at once: these arrays are small, and a call costs more than its work.
        self.mass.index_add_(0, cells, cell_weight)
        steps = self.mass.index_select(0, cells).mul_(curvature).add_(1.0).reciprocal_().mul_(-rate)
        self.mass.index_fill_(0, cells, 0.0)
        start = 0
        for (columns, width), matrix, r, step in zip(
            blocks, matrices, rows, steps.split([len(r) for r in rows])
        ):
            stop = start + len(columns) * width
            own = gradient[..., start:stop]
            # Repeated for its components first: as a factor of one more axis a step takes twice as long.
            values = own.new_empty(own.shape)
            values.view(-1, width).copy_(step.unsqueeze(1))
            values *= own
            _scatter_add(matrix, r, values.view(-1, width))
            start = stop

    def views(self):
        """The vectors of each column, tensors of shape (n_tables, n_codes, n_components) that share the memory."""
        result = [None] * len(self.n_codes)
        for (columns, width), n_rows, matrix in zip(self.blocks, self.n_rows, self.matrices):
            stacked = matrix.view(self.n_tables, n_rows, width)
            for c in columns:
                start = self.offset[c]
                result[c] = stacked[:, start : start + self.n_codes[c], : self.n_components[c]]
        return result

    def export(self, copy=True):
        """The vectors as NumPy arrays; without a copy they share the memory, and change as training goes on."""
        arrays = [view.cpu().numpy() for view in self.views()]
        return [array.copy() for array in arrays] if copy else arrays


def _scatter_add(matrix, rows, values):
    """``matrix[rows] += values``, repeated rows adding up, with the same bits every time."""
    if matrix.is_cuda:  # index_add_ on CUDA adds in no fixed order; this one sorts
        matrix.index_put_((rows,), values, accumulate=True)
    else:
        matrix.index_add_(0, rows, values)


class MaskPool:
    """Dropout masks cut from one pool of random numbers at random places.

    Drawing a fresh mask costs more than the matrix products of a step (ten times on one core); a slice of a pool costs
    a copy. The pool is drawn anew after a few hundred slices.
    """

    def __init__(self, rate, largest, generator, device):
        self.rate, self.generator = rate, generator
        self.size = largest + (1 << 18)
        self.largest = largest
        self.device = device
        self.offsets = []

    def _refill(self):
        keep = torch.rand(self.size, dtype=torch.float32, generator=self.generator) >= self.rate
        self.pool = (keep.float() / (1.0 - self.rate)).to(self.device)
        self.offsets = torch.randint(
            0, self.size - self.largest, (256,), generator=self.generator
        ).tolist()

    def take(self, *shape):
        """A mask of `shape`: 0 where dropped, 1 / (1 - rate) elsewhere."""
        if not self.offsets:
            self._refill()
        start = self.offsets.pop()
        return self.pool[start : start + math.prod(shape)].view(shape)


class Bodies:
    """Periodic features of the numbers, then dense ReLU layers with dropout; one body a fold table, side by side.

    Body k works on table k and never meets the labels of fold k, so predictions for that fold are out-of-fold too. A
    step trains all K bodies on a K-th of the batch each, as batched products, at about the price of a single one.
    Shapes: M bodies, m rows each, B = M * m rows in a batch. All parameters live in one flat vector, so that an
    optimiser's step is a handful of operations.
    """

    def __init__(self, spec, tables, generator, device):
        self.n_bodies = n_bodies = spec.n_tables
        self.n_numeric = p = spec.n_numeric
        self.table_width = tables.width
        self.fixed_width = tables.fixed_width  # of the vectors that need no gradient
        self.numeric_width = p * (PERIODIC_OUTPUTS + 1)
        shapes = []
        if p:
            k, d = PERIODIC_FREQUENCIES, PERIODIC_OUTPUTS
            shapes += [(p, 1, k), (p, 2 * k, d), (p, 1, d)]
        self.first = len(shapes)  # of the dense layers
        sizes = [tables.width + self.numeric_width, *spec.hidden_layer_sizes, spec.n_outputs]
        for fan_in, fan_out in pairwise(sizes):
            shapes += [(fan_in, fan_out), (1, fan_out)]
        flat = torch.zeros(sum(math.prod(s) for s in shapes), dtype=torch.float32)
        views = _split(flat, shapes, 1)
        self._start(views, np.concatenate(tables.layout()), generator)
        if spec.start is not None:
            views[-1][:] = torch.tensor(spec.start)
        # One flat vector: all bodies of the first parameter, then all of the second, ...
        self.shapes = shapes
        self.hold(torch.cat([v.flatten().repeat(n_bodies) for v in views]).to(device))
        is_decayed = [
            float(i >= self.first and (i - self.first) % 2 == 0) for i in range(len(shapes))
        ]
        self.decays = torch.cat(
            [self.flat.new_full((n_bodies * math.prod(s),), d) for s, d in zip(shapes, is_decayed)]
        )

    def hold(self, flat):
        """Take `flat` for the parameters."""
        self.flat, self.gradient = flat, torch.zeros_like(flat)
        self.parameters = _split(flat, self.shapes, self.n_bodies)
        self.gradients = _split(self.gradient, self.shapes, self.n_bodies)
        self.weights = self.parameters[self.first :: 2]
        self.biases = self.parameters[self.first + 1 :: 2]
        # The first layer's weights of the vectors that learn, with zeros below: see LANES.
        n_rows = -(-(self.table_width - self.fixed_width) // LANES) * LANES
        self.of_vectors = flat.new_zeros(self.n_bodies, n_rows, self.weights[0].shape[2])

    def _start(self, views, layout, generator):
        """Random start of one body: uniform as in torch's Linear, zero where the vectors are padded."""
        if self.n_numeric:
            views[0].normal_(0, PERIODIC_SCALE, generator=generator)
            views[1].normal_(0, 1 / math.sqrt(2 * PERIODIC_FREQUENCIES), generator=generator)
        for i in range(self.first, len(views), 2):
            fan_in = len(layout) + self.numeric_width if i == self.first else views[i].shape[1]
            bound = 1 / math.sqrt(max(fan_in, 1))
            views[i].uniform_(-bound, bound, generator=generator)
            views[i + 1].uniform_(-bound, bound, generator=generator)
        padding = torch.ones(self.table_width, dtype=torch.bool)
        padding[torch.from_numpy(layout.astype(np.int64))] = False
        views[self.first][0, : self.table_width][padding] = 0.0

    def numeric_features(self, x):
        """Periodic and raw features of the numbers, and what their gradient needs.

        Follows [1]_, "PLR": a column's sines and cosines with learned frequencies, a dense layer of its own, ReLU. The
        raw value stays beside them.

        References
        ----------
        .. [1] Gorishniy, Y., Rubachev, I. and Babenko, A. (2022). On embeddings for numerical features in tabular deep
           learning. NeurIPS. :doi:`10.48550/arXiv.2203.05556`
        """
        frequency, weight, bias = self.parameters[:3]
        column = x.transpose(1, 2).unsqueeze(3)  # (M, p, m, 1)
        angle = column * (2 * math.pi * frequency)  # (M, p, m, k)
        waves = torch.cat([angle.sin(), angle.cos()], 3)  # (M, p, m, 2k)
        hidden = (waves @ weight).add_(bias).relu_()  # (M, p, m, d)
        features = torch.cat([hidden.transpose(1, 2).flatten(2), x], 2)
        return features, (column, waves, hidden)

    def _numeric_gradient(self, cache, g):
        column, waves, hidden = cache
        weight = self.parameters[1]
        n_bodies, p, m, d = hidden.shape
        g = g[:, :, : p * d].reshape(n_bodies, m, p, d).transpose(1, 2)
        g = _threshold_backward(g, hidden, 0)
        g_sines, g_cosines = (g @ weight.transpose(2, 3)).chunk(2, dim=3)
        sines, cosines = waves.chunk(2, dim=3)
        g_angle = g_sines * cosines - g_cosines * sines
        g_frequency = (2 * math.pi) * (g_angle * column).sum(2)
        return [g_frequency, waves.transpose(2, 3) @ g, g.sum(2)]

    def forward(self, vectors, numeric, masks=None):
        """Raw outputs of shape (M, m, n_outputs) and the activations that `backward` needs.

        Parameters
        ----------
        vectors : tensor of shape (M, m, table width)
        numeric : tensor of shape (M, m, width of the numeric features), or None
        masks : MaskPool, or None for no dropout
        """
        h = vectors if numeric is None else torch.cat([vectors, numeric], 2)
        activations = [h]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1]):
            h = torch.baddbmm(bias, h, weight).relu_()
            if masks is not None:
                h.mul_(masks.take(*h.shape))
            activations.append(h)
        return _affine(self.biases[-1], h, self.weights[-1]), activations

    def predict(self, k, vectors, numeric):
        """Raw outputs of body `k` for vectors of shape (1, m, table width)."""
        only = copy.copy(self)
        only.parameters = [p[k : k + 1] for p in self.parameters]
        only.weights = only.parameters[self.first :: 2]
        only.biases = only.parameters[self.first + 1 :: 2]
        features = None if numeric is None else only.numeric_features(numeric)[0]
        return only.forward(vectors, features)[0]

    def backward(self, activations, g, numeric=None, dropout=0.0, *, rows=_ALL, body_rows=_ALL):
        """Gradients of the vectors of `rows`, and of the parameters from `body_rows` as one flat vector.

        Parameters
        ----------
        activations : list of tensor of shape (M, m, width of a layer)
            From `forward`.
        g : tensor of shape (M, m, n_outputs)
            Gradient of the raw outputs.
        numeric : (features, cache) of `numeric_features` for `body_rows`, or None
        dropout : float
            The rate of the masks that `forward` used.
        rows, body_rows : slice
            Of the m rows of each body.

        Returns
        -------
        gradient : tensor of shape (number of parameters,)
            Written over by the next call.
        g_vectors : tensor of shape (M, len(rows), table width that learns)
        """
        for i in range(len(self.weights) - 1, -1, -1):
            h, learned = activations[i], g[:, body_rows]
            of_weight, of_bias = self.gradients[self.first + 2 * i : self.first + 2 * i + 2]
            torch.sum(learned, 1, keepdim=True, out=of_bias)
            _set_product(of_weight, h[:, body_rows].transpose(1, 2), learned)
            if i:
                turned = self.weights[i].transpose(1, 2)
                scale = 1.0 / (1.0 - dropout)  # undoes the dropout's
                if g.shape[2] == 1:
                    g = (g * scale) * turned
                else:  # beta=0: the first argument counts for nothing
                    g = torch.baddbmm(h, g, turned, beta=0, alpha=scale)
                # h > 0: neither off nor dropped
                _threshold_backward.grad_input(g, h, 0, grad_input=g)
        weight, width = self.weights[0], self.table_width
        n_learned = width - self.fixed_width
        self.of_vectors[:, :n_learned] = weight[:, self.fixed_width : width]
        g_vectors = torch.bmm(g[:, rows], self.of_vectors.transpose(1, 2))[..., :n_learned]
        if numeric is not None:
            g_numeric = torch.bmm(g[:, body_rows], weight[:, width:].transpose(1, 2))
            of_numeric = self._numeric_gradient(numeric[1], g_numeric)
            for own, new in zip(self.gradients, of_numeric):
                own.copy_(new.view(own.shape))
        return self.gradient, g_vectors

    def export(self, layout):
        """The parameters as NumPy arrays, the first layer's rows in the order of the columns."""
        arrays = [p.cpu().numpy().copy() for p in self.parameters]
        first = self.first
        numeric = np.arange(self.table_width, self.table_width + self.numeric_width)
        arrays[first] = arrays[first][:, np.concatenate([*layout, numeric]).astype(np.int64)]
        head = {"coefs": arrays[first::2], "intercepts": arrays[first + 1 :: 2]}
        if self.n_numeric:
            head |= dict(zip(["frequencies", "periodic_coefs", "periodic_intercepts"], arrays))
        return head


def _affine(bias, a, b):
    """``a @ b + bias`` of batches of matrices."""
    if _is_narrow(b):
        return _turned_product(a, b).add_(bias)
    return torch.baddbmm(bias, a, b)


def _set_product(out, a, b):
    """``out[:] = a @ b`` of batches of matrices."""
    if _is_narrow(b):
        out.copy_(_turned_product(a, b))
    else:
        torch.bmm(a, b, out=out)


def _is_narrow(b):
    """Whether a product with `b` is quicker turned round."""
    return len(b) > 1 and b.shape[2] < NARROW


def _turned_product(a, b):
    """``a @ b`` by way of ``b.T @ a.T``."""
    return torch.bmm(b.transpose(1, 2), a.transpose(1, 2)).transpose(1, 2)


def _split(flat, shapes, n_bodies):
    """Views of `flat`, one of each shape, the bodies as first axis."""
    views, start = [], 0
    for shape in shapes:
        size = n_bodies * math.prod(shape)
        views.append(flat[start : start + size].view(n_bodies, *shape))
        start += size
    return views


class AdamW:
    """Adam with decoupled weight decay [1]_ on one flat vector.

    References
    ----------
    .. [1] Loshchilov, I. and Hutter, F. (2019). Decoupled weight decay regularization. ICLR.
       :doi:`10.48550/arXiv.1711.05101`
    """

    def __init__(self, flat, decays, weight_decay, betas=(0.9, 0.99)):
        self.flat, self.betas = flat, betas
        self.decay = decays * weight_decay
        self.mean, self.square = torch.zeros_like(flat), torch.zeros_like(flat)
        self.steps = 0

    def step(self, gradient, rate):
        """Move against `gradient`, of a batch's sum or mean: the step does not depend on its scale."""
        b1, b2 = self.betas
        self.steps += 1
        self.mean.lerp_(gradient, 1 - b1)
        self.square.mul_(b2).addcmul_(gradient, gradient, value=1 - b2)
        # Adam's epsilon, under the root: roots of zeros, of which units that are off have many, are six times slower.
        self.square.add_((1 - b2) * EPSILON**2)
        correction = math.sqrt(1 - b2**self.steps)
        self.flat.addcmul_(self.flat, self.decay, value=-rate)
        self.flat.addcmul_(
            self.mean, self.square.rsqrt(), value=-rate * correction / (1 - b1**self.steps)
        )
