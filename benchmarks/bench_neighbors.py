"""Neighbours: ours against scikit-learn, faiss and approximate indexes, and the bare product.

    OMP_NUM_THREADS=1 python benchmarks/bench_neighbors.py [--ann 1] [--sizes 37000,1000000]
    OMP_NUM_THREADS=1 python benchmarks/bench_neighbors.py --sizes 1000000 --all 1    # hours
    python benchmarks/bench_neighbors.py --quick

Ten nearest by cosine among the rows of a matrix with 50 columns (a mixture of 500 Gaussian clouds,
made here): for one row, for 1,000 rows and, of 37,000 rows, for all; of more rows all with
``--all 1``, ours and the limit alone, and for 10,000 of them otherwise. ``limit``: for a batch, the
matrix product of queries and rows, nothing kept; for one query, reading the matrix once (its sum).
scikit-learn is given unit vectors and the Euclidean distance (its fast path)
and, once, its cosine. All get unit vectors ready-made; ours normalises while it is built.

``cpu_seconds`` is the median of the repeats, which the methods take in turns; ``ratio`` is to the
limit of the same block. ``recall`` counts ties as found. Set the threads in the shell: with two or
more, CPU seconds add up those of all threads, so compare ``seconds`` then. faiss, hnswlib, usearch
and pynndescent are optional (``pip install -e '.[peers]'``); ``--ann 1`` brings in the approximate
ones, among them ours, ``index="ann"``.
"""

import sys
import time
from importlib.util import find_spec

import numpy as np
from _harness import goal, parse, record, timed
from sklearn.neighbors import NearestNeighbors

from sk_entity_embed._neighbors import Searcher, make_searcher

N_FEATURES = 50
K = 10
CALLS = 20  # of a single query, that make one measurement
SLOW = 10**10  # pairs above which only ours and the limit are timed
GOALS = {37_000: 2.0, 1_000_000: 1.7}  # rows -> times the bare product
ONE_QUERY_GOAL = 1.5  # times reading the matrix once
EXACT = ("sklearn euclid", "sklearn cosine", "faiss flat")


def make_vectors(n_rows, seed):
    """Unit vectors around 500 centres."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((500, N_FEATURES), dtype=np.float32)
    vectors = 0.7 * rng.standard_normal((n_rows, N_FEATURES), dtype=np.float32)
    vectors += centers[rng.integers(0, 500, n_rows)]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def bare_product(vectors):
    """The product in tiles, the limit of every exact method; for one query, one reading."""
    tile = np.empty((1024, 512), dtype=np.float32)

    def search(queries):
        if len(queries) == 1:
            return vectors.sum()
        for start in range(0, len(queries), 512):
            part = queries[start : start + 512]
            for row in range(0, len(vectors), 1024):
                rows = vectors[row : row + 1024]
                out = tile[: len(rows), : len(part)] if len(part) == 512 else None
                np.matmul(rows, part.T, out=out)
        return None

    return search


def ours(vectors, index=None):
    searcher = make_searcher(vectors, "cosine", index)
    return lambda queries: searcher.search(queries, K)[1]


def scikit_learn(vectors, metric):
    model = NearestNeighbors(n_neighbors=K, algorithm="brute", metric=metric).fit(vectors)
    return lambda queries: model.kneighbors(queries)[1]


def faiss_flat(vectors):
    import faiss

    index = faiss.IndexFlatIP(N_FEATURES)
    index.add(vectors)
    return lambda queries: index.search(queries, K)[1]


def hnsw(vectors):
    import hnswlib

    index = hnswlib.Index("ip", N_FEATURES)
    index.init_index(len(vectors), M=16, ef_construction=100)
    index.set_num_threads(1)
    index.add_items(vectors)
    index.set_ef(100)
    return lambda queries: index.knn_query(queries, K)[0].astype(np.int64)


def usearch(vectors):
    from usearch.index import Index

    index = Index(ndim=N_FEATURES, metric="ip", dtype="f32")
    index.add(np.arange(len(vectors)), vectors, threads=1)
    return lambda queries: np.atleast_2d(index.search(queries, K, threads=1).keys).astype(int)


def pynndescent(vectors):
    from pynndescent import NNDescent

    index = NNDescent(vectors, metric="cosine", random_state=0)
    index.prepare()
    return lambda queries: index.query(queries, K)[0]


def methods(n_rows, n_queries, with_ann):
    """Name -> function that builds it; slow ones only where they end in time."""
    chosen = {"limit": bare_product, "ours": ours}
    if n_rows * n_queries > SLOW:
        return chosen
    chosen["sklearn euclid"] = lambda vectors: scikit_learn(vectors, "euclidean")
    if n_rows * n_queries <= 10**8:
        chosen["sklearn cosine"] = lambda vectors: scikit_learn(vectors, "cosine")
    if find_spec("faiss"):
        chosen["faiss flat"] = faiss_flat
    if with_ann:
        if find_spec("faiss"):
            chosen["ours, ann"] = lambda vectors: ours(vectors, "ann")
        others = {"hnswlib": hnsw, "usearch": usearch, "pynndescent": pynndescent}  # minutes
        chosen |= {name: build for name, build in others.items() if find_spec(name)}
    return chosen


def recall(found, truth, vectors, queries):
    """Share of the found rows that are no further than the k-th true one."""
    worst = np.einsum("qd,qd->q", queries, vectors[truth[:, -1]])
    scores = np.einsum("qd,qkd->qk", queries, vectors[found])
    return float((scores >= worst[:, None] - 1e-6).mean())


def block(n_rows, n_queries, seed, repeats, with_ann):
    """One row of results for each method, repeats in turns."""
    vectors = make_vectors(n_rows, seed)
    queries = vectors[:: max(1, n_rows // n_queries)][:n_queries]
    n_calls = CALLS if n_queries == 1 else 1  # one after the other, as a server gets them
    repeats = 1 if n_rows * n_queries > SLOW else repeats
    searches, build_seconds, times = {}, {}, {}
    for name, build in methods(n_rows, n_queries, with_ann).items():
        start = time.process_time()
        searches[name] = build(vectors)
        build_seconds[name] = time.process_time() - start
    for _ in range(repeats):
        for name, search in searches.items():
            run = timed(lambda search=search: [search(queries) for _ in range(n_calls)][-1])
            times.setdefault(name, []).append(run)
    some = slice(0, 500)
    truth = Searcher(vectors).search(queries[some], K)[1]
    limit = np.median([t.cpu_seconds for t in times["limit"]]) / n_calls
    rows = []
    for name, runs in times.items():
        cpu = float(np.median([t.cpu_seconds for t in runs])) / n_calls
        row = {"rows": n_rows, "queries": n_queries, "seed": seed, "method": name}
        seconds = float(np.median([t.seconds for t in runs])) / n_calls
        row |= {"seconds": seconds, "cpu_seconds": cpu}
        row |= {"ratio": cpu / limit, "queries_per_cpu_second": n_queries / cpu}
        row |= {"peak_mib": max(t.peak_mib for t in runs), "build_cpu_seconds": build_seconds[name]}
        if name != "limit":
            found = runs[-1].result[some]
            row["recall"] = recall(found, truth, vectors, queries[some])
        rows.append(row)
    return rows


def judge(rows):
    """Print the goals that one block is about."""
    cpu = {row["method"]: row["cpu_seconds"] for row in rows}
    n_rows, n_queries = rows[0]["rows"], rows[0]["queries"]
    where = f"{n_queries:,} queries of {n_rows:,} rows"
    if n_queries == 1:
        what = f"ours / reading the matrix, {where}"
        goal(what, cpu["ours"] / cpu["limit"], at_most=ONE_QUERY_GOAL)
    elif n_queries > 1000 or n_rows not in GOALS:
        wanted = GOALS.get(n_rows, max(GOALS.values()))
        goal(f"ours / bare product, {where}", cpu["ours"] / cpu["limit"], at_most=wanted)
    for name in EXACT:
        if name in cpu:
            goal(f"{name} / ours, {where}", cpu[name] / cpu["ours"], at_least=1)


def shapes_of(arguments):
    """Pairs of rows and queries."""
    if arguments.quick:
        return [(2000, 1), (2000, 300)]
    shapes = []
    for n_rows in (int(float(n)) for n in arguments.sizes.split(",")):
        most = n_rows if n_rows <= 50_000 or arguments.all else 10_000
        shapes += [(n_rows, 1), (n_rows, 1000), (n_rows, most)]
    return shapes


def main():
    arguments = parse(__doc__, n_seeds=1, repeats=5, ann=0, sizes="37000,1000000", all=0)
    for name in ("faiss", "hnswlib", "usearch", "pynndescent"):
        if not find_spec(name):
            print(f"{name}: not installed")
    rows = []
    for seed in arguments.seeds:
        for n_rows, n_queries in shapes_of(arguments):
            repeats = 11 if n_queries == 1 else arguments.repeats
            found = block(n_rows, n_queries, seed, repeats, bool(arguments.ann))
            judge(found)
            rows += found
            print(f"{n_rows} rows, {n_queries} queries: done", file=sys.stderr)
    record(rows, arguments)


if __name__ == "__main__":
    main()
