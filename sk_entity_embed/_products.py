"""Where vectors start that count by a product: traits of the categories of two columns, multiplied. No torch."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import sparse

from ._effects import MAX_OUTPUTS, fit_additive_model, main_outputs, standardise
from ._rows import draw_rows

# Rows that tell which pairs are tried, and rows that traits are fitted to, at most.
N_SCREENED, N_ROWS = 1 << 17, 1 << 20
N_COLUMNS = 6  # that are tried with each other, those of the most categories
N_FOLDS = 5  # that try a pair where a fit has none
# What traits must explain of rows of other folds: a share of the target's variance, and standard errors. Of 59 real
# tables 7 have such products (benchmarks/bench_quality.py). With .01 another 8 do, which gain nothing, and the
# predictor of Rossmann's sales loses .005 (R2, 20,000 rows).
LEAST_SHARE, LEAST_Z = 0.03, 4.0
FIRST_Z = 0.5  # standard errors after each fold, or the others are not asked
# A trait is clear if its singular value is so many times the largest in random orders of the rows. Beside the clear
# ones some are fitted: of 5,000 rows of two factors of 300 categories with three traits one or two are clear.
CLEAR_RATIO, N_ORDERS = 1.2, 3
MAX_TRAITS, SPARE_TRAITS = 8, 3
# Share of a trait's variance that the mean of all folds must have: real ones have .9, chance .4. What differs by the
# fold is learned by heart, and lost in the mean of the tables that new rows are answered from.
LEAST_ALIKE = 0.75
LEAST_TRAIT = 0.005  # of the target's variance, that each is to explain
# Times the ridge that noise and the traits' variance ask for, as the singular values tell them: these flatter the
# traits. From 1 to 3 what is explained of other folds differs by a tenth, on few rows of many traits by a half.
SHRINKAGE = 1.5
N_POWERS, N_SWEEPS = 10, 8
MAX_CELLS = 1 << 24  # categories times squares of traits
# Root mean square of the first component of a column's start. From 0.1 to 1 crossed factors end alike; with 0.1
# "verbagg" (items and persons, benchmarks/bench_quality.py) gains a fifth as much.
START_SCALE = 0.3
_TINY, _ROUNDING = np.finfo(float).tiny, 1e-10


@dataclass(frozen=True)
class Product:
    """Traits of two columns' categories, whose product tells what the columns' effects leave.

    Attributes
    ----------
    pair : tuple of int
        Positions of the columns.
    traits : tuple of two ndarray of shape (n_tables, n_codes, n_traits)
        Of each column, of mean 0 and a variance of 1 in all. Those of table ``k`` are found without the labels of
        fold ``k``, but for the axes, which are those in which all tables agree.
    share : float
        Of the target's variance, explained in rows of other folds.
    """

    pair: tuple[int, int]
    traits: tuple[np.ndarray, np.ndarray]
    share: float


def find_products(table, numeric, n_codes):
    """Find the pairs of columns whose traits, multiplied, would tell much of what effects that add do not.

    Vectors start near zero, where nothing pulls at those that count by their product alone: a training learns them late
    or, from few rows, never. But such a product is a matrix of low rank, which can be found at once. What an additive
    model of all columns and numbers leaves is laid out by the categories of two columns, each row and column of the
    matrix divided by the root of its weight, as in correspondence analysis. Where its largest singular value is above
    those of random orders of the rows [1]_, traits are fitted by alternating ridge regressions [2]_, once for each fold
    without its labels, and kept if they explain the rows of that fold.

    Parameters
    ----------
    table : TrainingTable
    numeric : ndarray of shape (n_rows, n_numeric), float32 or float64
        The numbers of its rows as they came.
    n_codes : list of int
        Per column.

    Returns
    -------
    products : list of Product
        Those that explain most first.

    References
    ----------
    .. [1] Horn, J. L. (1965). A rationale and test for the number of factors in factor analysis. Psychometrika 30(2).
       :doi:`10.1007/BF02289447`
    .. [2] Gabriel, K. R. and Zamir, S. (1979). Lower rank approximation of matrices by least squares with any choice of
       weights. Technometrics 21(4). :doi:`10.1080/00401706.1979.10489819`
    """
    n_used = [np.count_nonzero(np.bincount(column)) for column in table.codes.T]
    columns = sorted(range(len(n_codes)), key=lambda c: -n_used[c])[:N_COLUMNS]
    columns = sorted(c for c in columns if n_used[c] > 1)
    if len(columns) < 2 or table.target.shape[1] > MAX_OUTPUTS:
        return []
    search = _Search(table, numeric, n_codes)
    products = [p for y in search.targets() for p in search.run(y, columns)]
    return sorted(products, key=lambda product: -product.share)


def start_vectors(products, table, widths):
    """The vectors that training begins with.

    Parameters
    ----------
    products : list of Product
    table : TrainingTable
    widths : sequence of int
        Components of each column.

    Returns
    -------
    starts : list of ndarray of shape (n_tables, n_codes, at most the width), float32, or None
        Of each column; None if none of its traits is known.
    """
    starts = [None] * len(widths)
    for c in {c for product in products for c in product.pair}:
        own = [np.sqrt(p.share) * p.traits[p.pair.index(c)] for p in products if c in p.pair]
        traits = np.concatenate(own, axis=2)
        share = np.bincount(table.codes[:, c], table.weights(), traits.shape[1])
        share /= share.sum() * len(traits)
        # The same axes for all tables, or these would lie apart.
        variances, axes = np.linalg.eigh(np.einsum("i,kid,kie->de", share, traits, traits))
        traits = traits @ axes[:, ::-1][:, : widths[c]]
        if variances[-1] > 0:
            traits *= START_SCALE / np.sqrt(variances[-1])
            traits[:, 0] = 0  # the unknown vector stays in the middle
            starts[c] = traits.astype(np.float32)
    return starts


class _Search:
    """What is known of the rows that tell, and the search for products that explain a target of theirs."""

    def __init__(self, table, numeric, n_codes):
        weight = table.weights()
        if table.fold is None:
            weight[table.validation] = 0
        rows = draw_rows(table.n_rows, N_ROWS)
        rows = rows[weight[rows] > 0]
        self.weight = weight[rows]
        self.codes, self.numeric = table.codes[rows], standardise(numeric[rows])
        self.target, self.n_codes = table.target[rows].astype(np.float64), n_codes
        fold, self.has_folds = table.fold, table.fold is not None
        if fold is None:
            self.fold = np.random.default_rng(0).permutation(len(rows)) % N_FOLDS
            self.n_folds = N_FOLDS
        else:
            self.fold, self.n_folds = fold[rows], int(fold.max()) + 1

    def targets(self):
        """What is to be explained of the target, an array of shape (n_rows,) for each of its axes."""
        if not len(self.weight):  # beside weights of rows that were not drawn these are nothing
            return []
        share = self.weight / self.weight.sum()
        return list(main_outputs(self.target - share @ self.target, share).T)

    def run(self, y, columns):
        """The products among `columns` that explain `y`."""
        candidates = self._screen(y, columns)
        for k in range(self.n_folds):
            if not candidates:
                return []
            is_out = self.fold == k
            left, found = self._fit(y, candidates, np.where(is_out, 0.0, self.weight))
            for candidate, traits in zip(candidates, found):
                u, v = (t[self.codes[is_out, i]] for t, i in zip(traits, candidate.pair))
                candidate.add(traits, left[is_out], (u * v).sum(axis=1), self.weight[is_out])
            # Most candidates are chance, and one fold shows that.
            candidates = [candidate for candidate in candidates if candidate.z() > FIRST_Z]
        total = self.weight @ np.square(y)
        kept = [c for c in candidates if c.z() > LEAST_Z and c.explained() > LEAST_SHARE * total]
        if kept and not self.has_folds:
            for candidate, traits in zip(kept, self._fit(y, kept, self.weight)[1]):
                candidate.traits.append(traits)
        tables = slice(0, self.n_folds) if self.has_folds else slice(self.n_folds, None)
        products = []
        for candidate in kept:
            share = float(candidate.explained() / total)
            traits = tuple(side[tables] for side in self._keep_alike(candidate, share))
            if traits[0].shape[2]:
                products.append(Product(candidate.pair, traits, share))
        return products

    def _screen(self, y, columns):
        """The pairs that may have a product, of what some rows tell."""
        rows = draw_rows(len(y), N_SCREENED)
        weight = self.weight[rows]
        left = self._leave(rows, y[rows], weight)
        used = {c: np.unique(self.codes[rows, c], return_inverse=True) for c in columns}
        candidates = []
        for i, j in combinations(columns, 2):
            shape = len(used[i][0]), len(used[j][0])
            room = MAX_CELLS // max(self.n_codes[i], self.n_codes[j])
            rank = min(MAX_TRAITS, min(shape) - 1, int(np.sqrt(room)))
            if rank < 1:
                continue
            grid = _Grid(used[i][1], used[j][1], shape, weight)
            # By one singular value, as those of random orders are: the first of several comes out larger.
            noise = grid.noise(left)
            if grid.decompose(left, 1)[1][0] > noise:
                candidates.append(_Candidate((i, j), rank))
        return candidates

    def _keep_alike(self, candidate, share):
        """The traits of both columns, turned alike, in which all folds agree, and that explain enough each.

        `share` is what they explain together of the target's variance.
        """
        sides, spread = [], 0.0
        for c, traits in zip(candidate.pair, _stack(candidate.traits)):
            weight = np.bincount(self.codes[:, c], self.weight, traits.shape[1])
            weight /= weight.sum()
            traits -= np.einsum("i,kid->d", weight, traits) / len(traits)
            traits /= np.sqrt(np.einsum("i,kid->", weight, np.square(traits)) / len(traits)) or 1.0
            mean = traits.mean(axis=0)
            spread = spread + np.einsum("i,id,ie->de", weight, mean, mean)
            sides.append((traits, weight))
        axes = np.linalg.eigh(spread)[1][:, ::-1]
        sides = [(traits @ axes, weight) for traits, weight in sides]
        of_mean = np.array([weight @ np.square(traits.mean(axis=0)) for traits, weight in sides])
        of_all = np.array([weight @ np.square(traits).mean(axis=0) for traits, weight in sides])
        explains = of_mean.prod(axis=0)
        is_kept = (of_mean > LEAST_ALIKE * of_all).all(axis=0)
        is_kept &= share * explains > LEAST_TRAIT * explains.sum()
        return tuple(traits[:, :, is_kept] for traits, _ in sides)

    def _leave(self, rows, y, weight):
        """What an additive model of all columns and numbers leaves of the target of rows."""
        return fit_additive_model(self.codes[rows], self.n_codes, self.numeric[rows], y, weight)[1]

    def _fit(self, y, candidates, weight):
        """What an additive model with some weights leaves of all rows, and the traits that explain it."""
        left = self._leave(slice(None), y, weight)
        rows, traits = np.flatnonzero(weight), []
        for candidate in candidates:
            i, j = candidate.pair
            place = self.codes[rows, i], self.codes[rows, j]
            grid = _Grid(*place, (self.n_codes[i], self.n_codes[j]), weight[rows])
            traits.append(grid.factorize(left[rows], candidate.rank))
        return left, traits


class _Candidate:
    """A pair of columns that may have a product, and what its traits tell of rows that they were fitted without."""

    def __init__(self, pair, rank):
        self.pair, self.rank = pair, rank
        self.traits = []  # of each fold
        self._product = self._squares = self._size = 0.0

    def add(self, traits, values, fitted, weight):
        """Count the rows of a fold."""
        self.traits.append(traits)
        product = weight * values * fitted
        self._product += product.sum()
        self._squares += product @ product
        self._size += weight @ np.square(fitted)

    def z(self):
        """Standard errors by which fitted values go with values.

        Of two rows either is in what the other is told by: half of the products say what the other half do.
        """
        return self._product / np.sqrt(2 * self._squares) if self._squares else 0.0

    def explained(self):
        """The squares that fitted values, times one number, explain."""
        return self._product**2 / self._size if self._size else 0.0


class _Grid:
    """Rows, each of some weight, laid out by the categories of two columns."""

    def __init__(self, left, right, shape, weight):
        self.place, self.shape, self.weight = (left, right), shape, weight
        self.mass = self._lay_out(weight)
        # One over the root of the mass of each category, 0 without any.
        self.roots = [
            np.where(m > 0, 1 / np.sqrt(np.maximum(m, _TINY)), 0)[:, None]
            for m in (np.bincount(c, weight, n) for c, n in zip(self.place, shape))
        ]

    def _lay_out(self, values):
        return sparse.csr_matrix((values, self.place), shape=self.shape)

    def decompose(self, values, rank):
        """The largest singular values of the values of rows, and the traits of the categories of either column.

        By subspace iteration. The square of a singular value is about the variance that the product of its two traits
        explains; the traits have a variance of one over the mass of all rows.
        """
        return self._decompose(self._lay_out(self.weight * values), rank)

    def _decompose(self, matrix, rank):
        a, b = self.roots
        turned = matrix.T.tocsr()
        right = np.random.default_rng(0).standard_normal((self.shape[1], rank))
        for _ in range(N_POWERS):
            right = np.linalg.qr(b * (turned @ (a**2 * (matrix @ (b * right)))))[0]
        left, triangle = np.linalg.qr(a * (matrix @ (b * right)))
        turn, lengths, back = np.linalg.svd(triangle)
        return a * (left @ turn), lengths, b * (right @ back.T)

    def noise(self, values):
        """The largest singular value of the values of rows in some random orders."""
        rng, root = np.random.default_rng(0), np.sqrt(self.weight)
        orders = (rng.permutation(len(values)) for _ in range(N_ORDERS))
        return max(self.decompose((root * values)[order] / root, 1)[1][0] for order in orders)

    def factorize(self, values, rank):
        """Traits of both columns whose product fits the values of rows best, shrunk as far as noise asks for.

        Returns
        -------
        left, right : ndarray of shape (n_codes, rank)
            Zero for categories without a row, and where there are fewer traits.
        """
        moment, total = self._lay_out(self.weight * values), self.weight.sum()
        left, lengths, right = self._decompose(moment, rank)
        noise = self.noise(values)
        used = slice(_count_clear(lengths, noise) + SPARE_TRAITS)
        left, lengths, right = left[:, used], lengths[used], right[:, used]
        signal = np.maximum(np.square(lengths) - noise**2, 0.1 * lengths[0] ** 2)
        variance = self.weight @ np.square(values) / max(total, _TINY)
        rest = max(variance - signal.sum(), 0.1 * variance)
        ridge = SHRINKAGE * rest / np.sqrt(np.maximum(signal, _TINY)) + _TINY
        right = right * np.sqrt(total * lengths)
        sides = (self.mass, moment), (self.mass.T.tocsr(), moment.T.tocsr())
        for _ in range(N_SWEEPS):
            left = _regress(*sides[0], right, ridge)
            right = _regress(*sides[1], left, ridge)
        unused = (0, 0), (0, rank - len(lengths))
        return np.pad(left, unused), np.pad(right, unused)


def _count_clear(lengths, noise):
    """How many singular values chance does not make."""
    return int((lengths > CLEAR_RATIO * noise).sum())


def _regress(mass, moment, traits, ridge):
    """Traits of one column by ridge regressions on those of the other, one for each category."""
    n, rank = traits.shape
    squares = (traits[:, :, None] * traits[:, None, :]).reshape(n, -1)
    gram = (mass @ squares).reshape(-1, rank, rank)
    diagonal = np.einsum("nii->ni", gram)  # a view
    # The second part is for a row that outweighs all others, beside which the ridge is rounded to nothing.
    diagonal += ridge + _ROUNDING * diagonal.sum(axis=1, keepdims=True)
    return np.linalg.solve(gram, (moment @ traits)[:, :, None])[:, :, 0]


def _stack(traits):
    """Traits of folds, each a pair of arrays, as one array for either column, turned to be alike."""
    first = np.concatenate(traits[0])
    turned = []
    for left, right in traits:
        a, _, b = np.linalg.svd(np.concatenate([left, right]).T @ first)
        turned.append((left @ (a @ b), right @ (a @ b)))
    return tuple(np.stack(side) for side in zip(*turned))
