"""Vectors by what a category does to the prediction, no wider than that deserves. No torch."""

import math

import numpy as np
from scipy.linalg import eigh
from scipy.special import softmax

from ._head import numeric_parts
from ._rows import draw_by_weight

N_ROWS = (8, 64)  # training rows in which each category is tried, least and most
N_TRIED = 2048  # cells of a column that tell which axes there are
N_NUMBERS = 128  # values of a number that tell how much it moves the prediction
_VALUES_AT_ONCE = 64  # times the rows: activations that stay in the cache
_LARGEST = 1 << 25  # numbers in the responses that tell the axes
_NEGLIGIBLE = 0.01  # probability of a class: how far below it is says little
_NO_RANK = 1e-9  # share of the largest variance below which an axis is rounding errors


def express(network, table, widths, *, loss, plan):
    """Replace the vectors of columns by what their categories do to the prediction.

    The network is asked for its predictions with each category in turn put into the same few training rows. These
    responses, less their mean, say all that a category does; their principal axes are the new components. The distance
    of two categories is then the root mean square of the difference that they make, in units of the raw output (of
    several classes: log-odds that end where a class is negligible), and as each fold table answers through its own
    body, all tables share one space without a step that aligns them.

    A column that moves the prediction less than the column or number that moves it most gets fewer components, in
    proportion. Else columns that hardly count bury the others where a model weighs all components alike, as nearest
    neighbours on standardised features do. The components left are turned so that each has the same share of the most
    important axis: standardised, their distances stay about what they are. "ours as learned" of bench_quality tells
    what all that is worth: neighbours gain .027 on 24 tables and .005 on 14 others.

    Parameters
    ----------
    network : TrainedNetwork
    table : TrainingTable
        The rows that it was trained on.
    widths : list of int or None
        Most components of each column; None leaves its vectors as they are.
    loss : str
        Of the network.
    plan : TrainingPlan
        Of the network.

    Returns
    -------
    tables : list of ndarray of shape (n_tables, n_codes, n_components), float32
        As ``network.tables``, those of columns with a width replaced; row ``k`` of each comes from table and body ``k``
        alone but for the choice of the axes.
    """
    if not any(widths):
        return network.tables
    rng = np.random.default_rng(plan.seed)
    n_cells = sum(t.shape[0] * t.shape[1] for t, width in zip(network.tables, widths) if width)
    n_visits = 2 * table.n_rows * plan.max_epochs  # this should cost a small part of the training
    n_rows = min(table.n_rows, int(np.clip(n_visits // n_cells, *N_ROWS)))
    n_outputs = network.head["coefs"][-1].shape[2]
    if n_outputs > 8:
        n_rows = min(n_rows, max(8, 512 // n_outputs))
    asked = _Inputs(network, table, draw_by_weight(rng, table.n_rows, table.weight, n_rows), loss)
    n_tried = max(64, min(N_TRIED, _LARGEST // (asked.n_tables * n_rows * n_outputs)))
    tried = np.sort(draw_by_weight(rng, table.n_rows, table.weight, n_tried))
    found = [
        asked.find_axes(table.codes[tried, c], c, width or 1) for c, width in enumerate(widths)
    ]
    sizes = [math.sqrt(variance) for _, _, variance, _ in found]
    some = tried[:: -(-len(tried) // N_NUMBERS)]
    largest = max([*sizes, *(asked.size_of_number(some, j) for j in range(asked.n_numeric))])
    tables = list(network.tables)
    for c, (axes, variances, _, means) in enumerate(found):
        width = widths[c]
        if width is None:
            continue
        if largest > 0:
            width = min(width, max(1, round(width * sizes[c] / largest)))
        width = max(1, min(width, int((variances > _NO_RANK * variances[0]).sum())))
        tables[c] = asked.project(c, axes[:, :width] @ _even_turn(width), means)
    return tables


class _Inputs:
    """The inputs of the network's first layer, each a table of what its values add there."""

    def __init__(self, network, table, rows, loss):
        self.network, self.table, self.rows = network, table, rows
        self.n_tables = len(network.head["coefs"][0])
        self.n_numeric = table.numeric.shape[1]
        self.is_share = loss == "cross_entropy"  # of one class among several
        widths = [t.shape[2] for t in network.tables]
        self.stops = np.cumsum(widths)
        self.starts = self.stops - widths
        coefs = [c.astype(np.float32) for c in network.head["coefs"]]
        self.first, self.rest = coefs[0], coefs[1:]
        self.intercepts = [b.astype(np.float32) for b in network.head["intercepts"]]
        self.base = [self._sum_of_all(k) for k in range(self.n_tables)]

    def _of_categories(self, k, c, codes=slice(None)):
        vectors = self.network.tables[c][k, codes]
        return vectors @ self.first[k, self.starts[c] : self.stops[c]]

    def _of_numbers(self, k, j, rows):
        return numeric_parts(self.network.head, self.table.numeric[rows], k, j).astype(np.float32)

    def _sum_of_all(self, k):
        codes, columns = self.table.codes[self.rows], range(len(self.network.tables))
        total = self.intercepts[0][k] + sum(self._of_categories(k, c, codes[:, c]) for c in columns)
        for j in range(self.n_numeric):
            total = total + self._of_numbers(k, j, self.rows)
        return total

    def _respond(self, k, parts, own):
        """Answers of body `k` in each row, with the part `own` of one input replaced by each of `parts`.

        Returns
        -------
        responses : ndarray of shape (len(parts), n_rows * n_outputs)
            Divided by the root of the number of rows.
        """
        base = self.base[k] - own
        n_rows, n_outputs = len(self.rows), self.intercepts[-1].shape[2]
        out = np.empty((len(parts), n_rows, n_outputs), dtype=np.float32)
        for start in range(0, len(parts), _VALUES_AT_ONCE):
            values = slice(start, start + _VALUES_AT_ONCE)
            h = (parts[values, None] + base).reshape(-1, base.shape[1])
            for coef, intercept in zip(self.rest, self.intercepts[1:]):
                np.maximum(h, 0, out=h)
                h = h @ coef[k]
                h += intercept[k]
            out[values] = h.reshape(-1, n_rows, n_outputs)
        if self.is_share:
            out = _damped_log_odds(out)
        out /= math.sqrt(n_rows)
        return out.reshape(len(parts), -1)

    def _respond_to_categories(self, k, c, codes):
        own = self._of_categories(k, c, self.table.codes[self.rows, c])
        return self._respond(k, self._of_categories(k, c, codes), own)

    def find_axes(self, codes, c, n_axes):
        """Principal axes of a column's responses, largest variance first.

        Returns
        -------
        axes : ndarray of shape (n_rows * n_outputs, n_axes)
            At most as many as asked for.
        variances : ndarray of shape (n_axes,)
        variance : float
            Of all axes together.
        means : list of ndarray of shape (n_rows * n_outputs,)
            Of each table's responses.
        """
        codes, counts = np.unique(codes, return_counts=True)
        share = counts / counts.sum()
        responses = np.stack(
            [self._respond_to_categories(k, c, codes) for k in range(self.n_tables)]
        )
        means = np.einsum("i,kij->kj", share, responses)
        spread = (responses - means[:, None]) * np.sqrt(share / self.n_tables)[:, None]
        spread = spread.reshape(-1, spread.shape[2]).astype(np.float64)
        axes, variances = _largest_axes(spread, n_axes)
        # Of the two directions of an axis the one in which predictions rise. Those of classes sum to zero: of them the
        # one in which the largest change is upwards, for the sum would be rounding errors.
        rises = axes.sum(axis=0)
        if self.is_share:
            rises = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])]
        return axes * np.where(rises < 0, -1, 1), variances, np.square(spread).sum(), means

    def size_of_number(self, rows, j):
        """Root mean square of what a number's values do to the prediction."""
        variance = 0.0
        for k in range(self.n_tables):
            own = self._of_numbers(k, j, self.rows)
            responses = self._respond(k, self._of_numbers(k, j, rows), own)
            variance += responses.var(axis=0, dtype=np.float64).sum() / self.n_tables
        return math.sqrt(variance)

    def project(self, c, axes, means):
        """Coordinates of all categories of a column on `axes`, shape (n_tables, n_codes, n_axes), float32."""
        _, n_codes, _ = self.network.tables[c].shape
        out = np.empty((self.n_tables, n_codes, axes.shape[1]), dtype=np.float32)
        for k in range(self.n_tables):
            for start in range(0, n_codes, N_TRIED):
                codes = np.arange(start, min(start + N_TRIED, n_codes))
                out[k, codes] = (self._respond_to_categories(k, c, codes) - means[k]) @ axes
        return out


def _damped_log_odds(raw):
    """Logarithms of softmax probabilities, less their mean, that end where a class is negligible.

    A network that is sure drives the raw outputs of wrong classes ever lower. Most of a distance would tell which of
    them it holds for the least likely.
    """
    shares = softmax(raw, axis=2)
    shares += _NEGLIGIBLE
    np.log(shares, out=shares)
    shares -= shares.mean(axis=2, keepdims=True)
    return shares


def _largest_axes(spread, n_axes):
    """The principal axes of rows around zero, largest variance first, as columns, and their variances."""
    is_wide = spread.shape[0] < spread.shape[1]  # few categories, many outputs
    product = spread @ spread.T if is_wide else spread.T @ spread
    n = len(product)
    variances, axes = eigh(product, subset_by_index=(max(0, n - n_axes), n - 1), overwrite_a=True)
    variances, axes = np.maximum(variances[::-1], 0), axes[:, ::-1]
    if is_wide:
        axes = spread.T @ axes
        axes /= np.maximum(np.linalg.norm(axes, axis=0), np.finfo(float).tiny)
    return axes, variances


def _even_turn(n):
    """Rotation of `n` axes that deals the first out evenly over all: the second discrete cosine transform."""
    turn = math.sqrt(2 / n) * np.cos(math.pi / n * np.outer(np.arange(n), np.arange(n) + 0.5))
    turn[0] = math.sqrt(1 / n)
    return turn
