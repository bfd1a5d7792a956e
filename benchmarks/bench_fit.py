"""How fast training is: rows per second beside a plain PyTorch loop, and a step's cost by number of categories.

    OMP_NUM_THREADS=1 python benchmarks/bench_fit.py             # 200,000 rows, 7 columns
    python benchmarks/bench_fit.py --quick

Three tables, all from one run, the methods taking turns and the medians compared:

rows     rows per CPU second of an epoch: ours (cv=None), ours cross-fitted, the loop that a tutorial would write
         (DataLoader, nn.Embedding, Adam), the same loop without DataLoader, and the limit: the bare matrix products of
         that network.
         Same layers, widths and batch size for all.
step     CPU time of a step at 1e3 to 1e6 categories in one column.
fit      CPU seconds of the default `fit_transform` from data frame to vectors.

Times are CPU seconds of the process, so give it one thread, as above; they hardly depend on what else the machine does.
The data are drawn at random with a planted effect of each category: speed does not depend on what they mean.
"""

import statistics
import time
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from _harness import parse, record
from torch import nn

from sk_entity_embed import EntityEmbedder


class Clock:
    """A scikit-learn callback that notes when epochs end."""

    def __init__(self):
        self.ends = []

    def setup(self, estimator, context):
        """Nothing to set up."""

    def teardown(self, estimator, context):
        """Nothing to tear down."""

    def on_fit_task_begin(self, estimator, context):
        """Note when the first epoch begins."""
        if context.task_name == "epoch" and not self.ends:
            self.ends.append(time.process_time())

    def on_fit_task_end(self, estimator, context):
        """Note when an epoch ends."""
        if context.task_name == "epoch":
            self.ends.append(time.process_time())

    def seconds(self):
        """Median of an epoch, without the first one, which includes the set-up of the network."""
        return statistics.median(np.diff(self.ends)[1:])


def make_data(n_rows, n_categories, seed=0):
    """A frame of categorical columns and a binary target that depends on them."""
    rng = np.random.default_rng(seed)
    logit = np.zeros(n_rows)
    columns = {}
    for j, n in enumerate(n_categories):
        codes = rng.integers(n, size=n_rows)
        logit += rng.normal(size=n)[codes]
        columns[f"c{j}"] = pd.Categorical.from_codes(codes, [f"v{i}" for i in range(n)])
    return pd.DataFrame(columns), (logit > rng.logistic(size=n_rows)).astype(int)


class PlainNetwork(nn.Module):
    """The network as a tutorial writes it."""

    def __init__(self, n_codes, widths, hidden):
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(n, w) for n, w in zip(n_codes, widths))
        sizes = [sum(widths), *hidden]
        layers = []
        for fan_in, fan_out in pairwise(sizes):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU(), nn.Dropout(0.1)]
        self.body = nn.Sequential(*layers, nn.Linear(sizes[-1], 1))

    def forward(self, codes):
        return self.body(torch.cat([t(codes[:, j]) for j, t in enumerate(self.tables)], 1))[:, 0]


def plain_loop(codes, y, n_codes, widths, hidden, batch_size, n_steps, loader):
    """Seconds per row of the hand-written loop, over `n_steps` steps after three to warm up."""
    network = PlainNetwork(n_codes, widths, hidden)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    loss = nn.BCEWithLogitsLoss()
    codes, y = torch.from_numpy(codes), torch.from_numpy(y.astype(np.float32))
    if loader:
        data = torch.utils.data.TensorDataset(codes, y)
        batches = torch.utils.data.DataLoader(data, batch_size, shuffle=True)
    else:
        order = torch.randperm(len(y))
        batches = ((codes[i], y[i]) for i in order.split(batch_size))
    ends = []
    for a, b in batches:
        optimizer.zero_grad()
        loss(network(a), b).backward()
        optimizer.step()
        ends.append(time.process_time())
        if len(ends) > n_steps + 3:
            break
    return statistics.median(np.diff(ends)[3:]) / batch_size


def bare_products(widths, hidden, batch_size):
    """Seconds per row of the matrix products of a step, forward and backward."""
    sizes = [sum(widths), *hidden, 1]
    weights = [torch.randn(a, b) for a, b in pairwise(sizes)]
    inputs = [torch.randn(batch_size, s) for s in sizes]
    seconds = []
    for _ in range(60):
        start = time.process_time()
        for w, x, g in zip(weights, inputs, inputs[1:]):
            x @ w
            x.t() @ g
            g @ w.t()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds[5:]) / batch_size


def ours(X, y, hidden, widths, batch_size, n_epochs, cv):
    """Seconds of an epoch per row."""
    clock = Clock()
    embedder = EntityEmbedder(
        n_components=dict(zip(X.columns, widths)),
        hidden_layer_sizes=hidden,
        batch_size=batch_size,
        max_epochs=n_epochs,
        cv=cv,
        device="cpu",
        random_state=0,
    )
    embedder.set_callbacks(clock).fit(X, y)
    return clock.seconds() / len(X)


def compare_rows(arguments):
    """The table `rows`."""
    n_rows = 5_000 if arguments.quick else arguments.rows
    n_categories = [4000, 3800, 365, 104, 19, 16, 7]
    widths, hidden = [24, 24, 20, 16, 10, 8, 6], (256, 128)  # 108 components
    X, y = make_data(n_rows, n_categories)
    codes = np.stack([X[c].cat.codes.to_numpy() for c in X], axis=1).astype(np.int64)
    batch_size, n_steps = arguments.batch_size, 10 if arguments.quick else 60
    methods = {
        "DataLoader + Adam": lambda: plain_loop(
            codes, y, n_categories, widths, hidden, batch_size, n_steps, True
        ),
        "loop without DataLoader": lambda: plain_loop(
            codes, y, n_categories, widths, hidden, batch_size, n_steps, False
        ),
        "ours, cv=None": lambda: ours(X, y, hidden, widths, batch_size, 3, None),
        "ours, cross-fitted": lambda: ours(X, y, hidden, widths, batch_size, 3, 5),
        "bare products": lambda: bare_products(widths, hidden, batch_size),
    }
    seconds = {name: [] for name in methods}
    for _ in range(1 if arguments.quick else 5):
        for name, run in methods.items():
            seconds[name].append(run())
    medians = {name: statistics.median(s) for name, s in seconds.items()}
    return [
        {
            "table": "rows",
            "method": name,
            "rows": n_rows,
            "batch_size": batch_size,
            "rows_per_second": round(1 / s),
            "times the DataLoader loop": round(medians["DataLoader + Adam"] / s, 2),
        }
        for name, s in medians.items()
    ]


def compare_steps(arguments):
    """The table `step`."""
    n_rows = 20_000 if arguments.quick else 100_000
    sizes = [1_000, 10_000] if arguments.quick else [1_000, 10_000, 100_000, 1_000_000]
    seconds = {n: [] for n in sizes}
    for _ in range(1 if arguments.quick else 5):
        for n in sizes:
            X, y = make_data(n_rows, [100, 20])
            # Every category is in the table, whether it has rows or not: the vocabulary is padded by its own rows.
            big = np.arange(max(n, n_rows)) % n
            X = X.iloc[np.arange(len(big)) % n_rows].reset_index(drop=True)
            X["big"] = big
            y_big = y[np.arange(len(big)) % n_rows]
            seconds[n].append(
                ours(X.astype({"big": "str"}), y_big, (128, 64), (8, 4, 10), 512, 3, None)
            )
    base = statistics.median(seconds[sizes[0]])
    return [
        {
            "table": "step",
            "categories": n,
            "milliseconds a step": round(statistics.median(s) * 512 * 1e3, 3),
            "times 1e3": round(statistics.median(s) / base, 2),
        }
        for n, s in seconds.items()
    ]


def time_fit(arguments):
    """The table `fit`."""
    n_rows = 2_000 if arguments.quick else 20_000
    X, y = make_data(n_rows, [4000, 3800, 365, 104, 19, 16, 7])
    start = time.process_time()
    EntityEmbedder(random_state=0, device="cpu").fit_transform(X, y)
    seconds = time.process_time() - start
    return [{"table": "fit", "rows": n_rows, "seconds": round(seconds, 2)}]


def main():
    arguments = parse(__doc__, rows=200_000, batch_size=1024)
    for table in (compare_rows, compare_steps, time_fit):
        record(table(arguments), arguments)


if __name__ == "__main__":
    main()
