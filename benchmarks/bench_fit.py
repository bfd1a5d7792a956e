"""How fast training is: rows per second and memory, beside a plain PyTorch loop, other libraries and the limit.

    python benchmarks/bench_fit.py                             # the table of the user guide, one thread
    python benchmarks/bench_fit.py --threads 1,2 --rows 10000,100000,1000000,10000000 --categories 4000
    python benchmarks/bench_fit.py --tables sizes --sizes 10,1000,10000,100000,1000000,10000000
    python benchmarks/bench_fit.py --quick

Four tables (``--tables`` chooses), each from one run, the methods taking turns, medians of the turns:

rows     rows per second of an epoch by number of rows and of categories in the first of seven columns: ours (cv=None),
         ours cross-fitted, the loop that a tutorial would write (DataLoader, nn.Embedding, Adam), the same loop without
         DataLoader, Keras, embedding-encoder's method, fastai, pytabkit, and the limit: the bare matrix products of the
         network, the bare gathers of its vectors and the bare writes of their gradients. Same layers, widths and batch
         size for all.
memory   what a fit holds at most beside the data frame, each method in a process of its own, after it has fitted a
         small table. ``data_mib`` are the rows as int32 codes and the target as float32, ``tables_mib`` the vectors.
sizes    time of a step of ours by the number of categories in one column.
wait     what a user waits for: default fits on 20,000 rows of flights, ours, CatBoost and LightGBM, with the AUC of
         each on new rows; behind our vectors stands HistGradientBoosting, whose time is given apart.

The other libraries are optional (``pip install -e '.[peers]'``; large, so better into an environment of its own); what
is not there is said and skipped. They and the loops train on the first rows only, 60 steps, 20 where there are a
million categories, which is quicker for them if anything.

``--threads`` starts a process for each number of threads. With one thread, ratios are of CPU seconds of the process,
which hardly depend on what else the machine does; with more, of seconds by the clock.
The data are drawn at random with a planted effect of each category: speed does not depend on what they mean. A million
categories among fewer rows are those that occur.
"""

import json
import os
import statistics
import subprocess
import sys
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from _harness import goal, in_child, parse, record, thread_environment, timed
from _peers import PEERS, Case, Clock, missing
from torch import nn

from sk_entity_embed import EntityEmbedder

OTHER_COLUMNS = (3800, 365, 104, 19, 16, 7)  # categories
WIDTHS = (24, 24, 20, 16, 10, 8, 6)  # 108 components
LOOP, PLAIN, HONEST, LIMIT = (
    "DataLoader + Adam",
    "ours, cv=None",
    "ours, cross-fitted",
    "products and gathers",
)
TABLES = "rows,memory,sizes,wait"
MANY = 100_000  # categories from which a dense optimiser is slow


class EpochClock(Clock):
    """A scikit-learn callback that notes when epochs end."""

    def setup(self, estimator, context):
        """Nothing to set up."""

    def teardown(self, estimator, context):
        """Nothing to tear down."""

    def on_fit_task_begin(self, estimator, context):
        """Note when the first epoch begins."""
        if context.task_name == "epoch" and not self.ends:
            self.note()

    def on_fit_task_end(self, estimator, context):
        """Note when an epoch ends."""
        if context.task_name == "epoch":
            self.note()


def make_data(n_rows, n_categories, seed=0):
    """A frame of categorical columns and a binary target; where rows suffice, every category occurs."""
    rng = np.random.default_rng(seed)
    logit = np.zeros(n_rows)
    columns = {}
    for j, n in enumerate(n_categories):
        codes = rng.integers(n, size=n_rows)
        if n <= n_rows:
            codes[rng.permutation(n_rows)[:n]] = np.arange(n)
        logit += rng.normal(size=n)[codes]
        names = np.array([f"v{i}" for i in range(n)], dtype=object)
        if n > n_rows:
            occurring, codes = np.unique(codes, return_inverse=True)
            names = names[occurring]
        columns[f"c{j}"] = pd.Categorical.from_codes(codes, names)
    return pd.DataFrame(columns), (logit > rng.logistic(size=n_rows)).astype(int)


def make_case(n_rows, n_categories, **options):
    X, y = make_data(n_rows, (n_categories, *OTHER_COLUMNS))
    many = len(X["c0"].cat.categories) >= MANY
    return Case(X, y, WIDTHS, **{"n_steps": 20 if many else 60} | options)


# -- contestants: seconds and CPU seconds of an epoch per row ---------------------------------------


class PlainNetwork(nn.Module):
    """The network as a tutorial writes it."""

    def __init__(self, case):
        super().__init__()
        sizes = zip(case.n_categories, case.widths)
        self.tables = nn.ModuleList(nn.Embedding(n, w) for n, w in sizes)
        sizes = [sum(case.widths), *case.hidden]
        layers = []
        for fan_in, fan_out in pairwise(sizes):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU(), nn.Dropout(0.1)]
        self.body = nn.Sequential(*layers, nn.Linear(sizes[-1], 1))

    def forward(self, codes):
        return self.body(torch.cat([t(codes[:, j]) for j, t in enumerate(self.tables)], 1))[:, 0]


def plain_loop(case, loader=True):
    """The hand-written loop, over some steps after three to warm up."""
    network = PlainNetwork(case)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    loss = nn.BCEWithLogitsLoss()
    codes, y = torch.from_numpy(case.codes), torch.from_numpy(case.y.astype(np.float32))
    if loader:
        data = torch.utils.data.TensorDataset(codes, y)
        batches = torch.utils.data.DataLoader(data, case.batch_size, shuffle=True)
    else:
        order = torch.randperm(len(y))
        batches = ((codes[i], y[i]) for i in order.split(case.batch_size))
    clock = Clock()
    for a, b in batches:
        optimizer.zero_grad()
        loss(network(a), b).backward()
        optimizer.step()
        clock.note()
        if len(clock.ends) > case.n_steps + 3:
            break
    return clock.pace(case.batch_size, skip=3)


def limit(case):
    """What no training can do without: the products of a step, its vectors read, their gradients added."""
    sizes = [sum(case.widths), *case.hidden, 1]
    weights = [torch.randn(a, b) for a, b in pairwise(sizes)]
    inputs = [torch.randn(case.batch_size, s) for s in sizes]
    tables = [torch.zeros(n, w) for n, w in zip(case.n_categories, case.widths)]
    columns = torch.from_numpy(np.ascontiguousarray(case.codes[: 64 * case.batch_size].T))
    clock = Clock()
    clock.note()
    for step in range(60):
        start = step * case.batch_size % columns.shape[1]
        for table, codes in zip(tables, columns[:, start : start + case.batch_size]):
            table.index_add_(0, codes, table.index_select(0, codes))
        for w, x, g in zip(weights, inputs, inputs[1:]):
            x @ w
            x.t() @ g
            g @ w.t()
        clock.note()
    return clock.pace(case.batch_size, skip=5)


def ours(case, cv=None):
    """`fit`, two epochs, three of a small table."""
    clock = EpochClock()
    embedder = EntityEmbedder(
        n_components=dict(zip(case.X.columns, case.widths)),
        hidden_layer_sizes=case.hidden,
        batch_size=case.batch_size,
        max_epochs=3 if len(case.y) <= 300_000 else 2,
        cv=cv,
        device="cpu",
        random_state=0,
    )
    embedder.set_callbacks(clock).fit(case.X, case.y)
    return clock.pace(len(case.y))


METHODS = {
    LOOP: plain_loop,
    "loop without DataLoader": lambda case: plain_loop(case, loader=False),
    PLAIN: ours,
    HONEST: lambda case: ours(case, cv=5),
    **{name: function for name, (_, function) in PEERS.items()},
    LIMIT: limit,
}


def available():
    """The methods whose modules are installed; the others are named."""
    absent = {name: modules for name in PEERS if (modules := missing(name))}
    for name, modules in absent.items():
        print(f"{name}: not installed ({', '.join(modules)})")
    return {name: function for name, function in METHODS.items() if name not in absent}


def backend(name):
    """Which of Keras's backends ran."""
    is_keras = "keras" in name.lower() or "encoder" in name
    return sys.modules["keras"].backend.backend() if is_keras and "keras" in sys.modules else ""


# -- tables ------------------------------------------------------------------------------------------


def grid(arguments):
    """Pairs of rows and categories."""
    if arguments.quick:
        return [(20_000, 4000), (20_000, 20_000)]
    return [(n, c) for c in numbers(arguments.categories) for n in numbers(arguments.rows)]


def numbers(text):
    return [int(float(word)) for word in text.split(",")]


def compare_rows(arguments):
    """The table `rows`."""
    rows, methods = [], available()
    for n_rows, n_categories in grid(arguments):
        options = {"n_steps": 10} if arguments.quick else {}
        case = make_case(n_rows, n_categories, n_threads=int(arguments.threads), **options)
        turns = 1 if arguments.quick or n_rows > 2_000_000 else arguments.turns
        paces = {name: [] for name in methods}
        for _ in range(turns):
            for name, method in methods.items():
                paces[name].append(method(case))
        medians = {name: np.median(p, axis=0) for name, p in paces.items()}
        used = {name: m[int(arguments.threads == "1")] for name, m in medians.items()}
        seen = case.n_categories[0]
        rows += [
            {
                "table": "rows",
                "method": f"{name} ({backend(name)})" if backend(name) else name,
                "rows": n_rows,
                "categories": seen,
                "threads": arguments.threads,
                "batch_size": case.batch_size,
                "rows_per_second": round(1 / m[0]),
                "rows_per_cpu_second": round(1 / m[1]),
                "times the DataLoader loop": round(used[LOOP] / used[name], 2),
            }
            for name, m in medians.items()
        ]
        judge_rows(used, f"{n_rows:,} rows, {seen:,} categories, {arguments.threads} thread(s)")
    return rows


def judge_rows(used, where):
    """Print the goals that one block of the table `rows` is about."""
    many = "1,000,000 categories" in where
    goal(
        f"ours / hand-written loop, {where}", used[LOOP] / used[PLAIN], at_least=10 if many else 2.5
    )
    for name in PEERS.keys() & used.keys():
        goal(f"ours / {name}, {where}", used[name] / used[PLAIN], at_least=1)
    goal(f"time of ours / limit, {where}", used[PLAIN] / used[LIMIT], at_most=1.5)
    goal(f"time of cross-fitted / cv=None, {where}", used[HONEST] / used[PLAIN], at_most=1.7)


def compare_memory(arguments):
    """The table `memory`."""
    rows, names = [], list(available())
    for n_rows, n_categories in grid(arguments)[-1:] if arguments.quick else grid(arguments):
        for name in names:
            if name == LIMIT or (arguments.quick and not name.startswith("ours")):
                continue
            asked = ("--child", name, "--rows", n_rows, "--categories", n_categories)
            found = in_child(*asked, "--threads", arguments.threads)
            rows.append({"table": "memory", "method": name, "rows": n_rows, **found})
            if name.startswith("ours"):
                tables = found["tables_mib"] * (5 if name == HONEST else 1)
                where = f"{n_rows:,} rows, {found['categories']:,} categories"
                allowed = found["data_mib"] + 3 * tables
                what = f"memory of {name} / (data + 3 tables), {where}"
                goal(what, found["peak_mib"] / allowed, at_most=1)
    return rows


def measure_memory(arguments):
    """In a process of its own: print what one method holds at most, as JSON."""
    method = METHODS[arguments.child]
    method(make_case(5000, 100, n_steps=2))  # modules and buffers of any size are not the data's
    options = {"n_threads": int(arguments.threads), "n_steps": 10}
    case = make_case(int(arguments.rows), int(arguments.categories), **options)
    whole = arguments.child.startswith("ours") or "Loader" in arguments.child
    run = timed(lambda: method(case))
    found = {
        "categories": case.n_categories[0],
        "fitted_rows": len(case.y) if whole else case.n_part,
    }
    found |= {"peak_mib": round(run.peak_mib, 1), "data_mib": round(case.data_mib, 1)}
    print(json.dumps(found | {"tables_mib": round(case.tables_mib, 1)}))


def compare_sizes(arguments):
    """The table `sizes`."""
    sizes = [10, 1_000, 10_000] if arguments.quick else numbers(arguments.sizes)
    seconds = {n: [] for n in sizes}
    for turn in range(1 if arguments.quick else arguments.turns):
        for n in sizes:
            if n > 2_000_000 and turn:
                continue  # minutes each
            X, y = make_data(max(n, 20_000 if arguments.quick else 100_000), [n, 100, 20])
            case = Case(X, y, (min(10, n - 1), 8, 4), hidden=(128, 64), batch_size=512)
            seconds[n].append(ours(case)[1])
    base = statistics.median(seconds[sizes[0]])
    return [
        {
            "table": "sizes",
            "categories": n,
            "milliseconds a step": round(statistics.median(s) * 512 * 1e3, 3),
            f"times {sizes[0]}": round(statistics.median(s) / base, 2),
        }
        for n, s in seconds.items()
    ]


def compare_waits(arguments):
    """The table `wait`."""
    from bench_quality import MODELS, MODELS_BY_DEFAULT, boosting, load_split, score

    size = 900 if arguments.quick else 20_000
    runs = {}
    for seed in [0] if arguments.quick else range(arguments.turns):
        split = load_split("crossed" if arguments.quick else "nyc_flights", 0, seed, size, {})

        def embed(split=split):
            embedder = EntityEmbedder(device="cpu", random_state=split.seed)
            return embedder, embedder.fit_transform(split.X, split.y)

        run = timed(embed)
        embedder, vectors = run.result
        later = timed(lambda split=split, v=vectors: boosting(split).fit(v, split.y))
        found = score(split, later.result, embedder.transform(split.X_new), split.y_new)
        runs.setdefault("EntityEmbedder().fit_transform", []).append(
            (run, later.cpu_seconds, found)
        )
        for name in MODELS_BY_DEFAULT:
            if name in ("CatBoost", "LightGBM") and not find_spec(name.lower()):
                print(f"{name}: not installed")
                continue
            model, X, X_new = MODELS[name](split)
            run = timed(lambda model=model, X=X, split=split: model.fit(X, split.y))
            found = score(split, run.result, X_new, split.y_new)
            runs.setdefault(name, []).append((run, 0.0, found))
    rows = []
    for name, all_runs in runs.items():
        timings, later, scores = zip(*all_runs)
        row = {"table": "wait", "method": name, "rows": size, "threads": arguments.threads}
        row |= {"seconds": round(statistics.median(t.seconds for t in timings), 2)}
        row |= {"cpu_seconds": round(statistics.median(t.cpu_seconds for t in timings), 2)}
        row |= {"model_behind_seconds": round(statistics.median(later), 2)}
        rows.append(row | {"AUC": round(statistics.mean(scores), 4)})
    waits = {row["method"]: row["cpu_seconds"] for row in rows}
    if "CatBoost" in waits:
        ratio = waits["EntityEmbedder().fit_transform"] / waits["CatBoost"]
        goal("CPU seconds of the default fit_transform / CatBoost's fit", ratio, at_most=1)
    return rows


def main():
    arguments = parse(
        __doc__,
        rows="10000,100000,1000000",
        categories="4000,1000000",
        sizes="10,1000,10000,100000,1000000",
        threads="1",
        turns=3,
        tables=TABLES,
        child="",
    )
    if arguments.child:
        measure_memory(arguments)
        return
    environment = thread_environment(arguments.threads)
    if "," in arguments.threads or os.environ.get("OMP_NUM_THREADS") != arguments.threads:
        for n_threads in arguments.threads.split(","):
            environment = {k: str(v) for k, v in thread_environment(n_threads).items()}
            command = [sys.executable, *sys.argv, "--threads", n_threads]
            subprocess.run(command, env={**os.environ, **environment}, check=True)
        return
    torch.set_num_threads(int(arguments.threads))
    makers = {"rows": compare_rows, "memory": compare_memory}
    makers |= {"sizes": compare_sizes, "wait": compare_waits}
    for name in arguments.tables.split(","):
        record(makers[name](arguments), arguments)


if __name__ == "__main__":
    main()
