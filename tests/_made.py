"""Small tables with a planted truth, and settings that train in a blink."""

import numpy as np
import pandas as pd

QUICK = {"hidden_layer_sizes": (8,), "max_epochs": 3, "random_state": 0}
PLAIN = {**QUICK, "cv": None}  # where cross-fitting is not the point


class Callback:
    """A scikit-learn callback that does nothing."""

    def setup(self, estimator, context):
        """Before the fit."""

    def teardown(self, estimator, context):
        """After the fit."""

    def on_fit_task_begin(self, estimator, context):
        """Before each task."""

    def on_fit_task_end(self, estimator, context):
        """After each task."""


class EpochCounter(Callback):
    """Counts epochs, and may stop or interrupt the training in one of them."""

    def __init__(self, stop_in=None, interrupt_in=None):
        self.n, self.stop_in, self.interrupt_in = 0, stop_in, interrupt_in

    def on_fit_task_end(self, estimator, context):
        if context.task_name != "epoch":
            return False
        self.n += 1
        if self.n == self.interrupt_in:
            raise KeyboardInterrupt
        return self.n == self.stop_in


def make_shops(n_rows=200, random_state=0, missing=True):
    """A shop, an item and a price with a real target: effects of shop and item, plus the price.

    Each category is seen; with `missing`, a few prices are NaN and a few items None.
    """
    rng = np.random.default_rng(random_state)
    shop = _deal([f"shop {i}" for i in range(5)], n_rows, rng)
    item = _deal([f"item {i:02}" for i in range(12)], n_rows, rng)
    price = rng.gamma(2.0, 5.0, n_rows)
    y = shop + np.sin(item) + 0.05 * price + rng.normal(0, 0.1, n_rows)
    X = pd.DataFrame(
        {
            "shop": [f"shop {i}" for i in shop],
            "item": np.array([f"item {i:02}" for i in item], dtype=object),
            "price": price,
        }
    )
    if missing:
        X.loc[rng.choice(n_rows, n_rows // 10, replace=False), "price"] = np.nan
        X.loc[rng.choice(n_rows, n_rows // 10, replace=False), "item"] = None
    return X, y


def _deal(names, n_rows, rng):
    return rng.permutation(np.arange(n_rows) % len(names))


def make_climates(n_rows=600, random_state=0):
    """Twelve cities in three climates; the target is the climate's temperature and rain.

    Returns the table, the target of two columns, and the climate of each city by name.
    """
    rng = np.random.default_rng(random_state)
    city = rng.permutation(np.arange(n_rows) % 12)
    weather = np.array([[0.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    y = weather[city % 3] + rng.normal(0, 0.2, (n_rows, 2))
    climate = {f"city {i:02}": i % 3 for i in range(12)}
    return pd.DataFrame({"city": [f"city {i:02}" for i in city]}), y, climate


def make_pairs(n_groups=4, n_books=6, n_links=8, random_state=0):
    """Books in groups; each is linked to most of its group's links and to one of another group.

    Returns the pairs and the group of each book and each link by name.
    """
    rng = np.random.default_rng(random_state)
    pairs, group = [], {}
    for g in range(n_groups):
        for b in range(n_books):
            book = f"book {g}{b}"
            group[book] = g
            own = rng.permutation(n_links)[: n_links - 2]
            other = (g + 1 + rng.integers(n_groups - 1)) % n_groups
            links = [f"link {g}{i}" for i in own] + [f"link {other}{rng.integers(n_links)}"]
            pairs += [(book, link) for link in links]
    group |= {f"link {g}{i}": g for g in range(n_groups) for i in range(n_links)}
    return pd.DataFrame(pairs, columns=["book", "link"]), group


def same_state(left, right):
    """Whether two fitted embedders hold the same, bit for bit."""
    for name in ("embeddings_", "unknown_vectors_", "categories_", "counts_"):
        pairs = zip(getattr(left, name), getattr(right, name), strict=True)
        if not all(a.dtype == b.dtype and _same_array(a, b) for a, b in pairs):
            return False
    return left.history_ == right.history_ and left.n_components_ == right.n_components_


def _same_array(a, b):
    return np.array_equal(a, b, equal_nan=a.dtype.kind in "fmM")
