"""What parallel searches cost: grid search, and searches in searches, against one job.

    python benchmarks/bench_threads.py [--quick] [--rows N] [--jobs N]

Each row is a fresh process, watched from outside every 20 ms through /proc (Linux), its workers
included. ``given`` is the number of threads that OMP_NUM_THREADS allows; none, as a user starts it,
but for the first row of each search, one job of one thread, which tells what the work is:

seconds, cpu_seconds   by the clock and of all processes, from the start of the search to its end;
                       the workers have started before
processes              most at a time, those that only watch the others included
threads                most operating-system threads in one process, asleep or not
running                most threads at work or waiting for a core at a time, in all processes;
                       ``busy`` is its mean

``classifier`` is GridSearchCV over EntityEmbeddingClassifier, of 4 candidates and 3 folds; ``pipeline`` over an
embedder before a linear model; ``nested`` is cross_validate around a grid search around a bagging of networks, all
three with ``n_jobs``. Too many threads at once would show in ``busy`` above the cores and in CPU seconds above those
of the work: the goals.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from _harness import HERE, goal, parse, record, thread_environment


def make_data(n_rows):
    """Three columns and a binary target."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    codes = rng.integers(0, [300, 40, 7], (n_rows, 3))
    logit = sum(rng.normal(size=n)[codes[:, j]] for j, n in enumerate((300, 40, 7)))
    X = pd.DataFrame({f"c{j}": pd.Categorical(codes[:, j].astype(str)) for j in range(3)})
    return X, (logit > rng.logistic(size=n_rows)).astype(int)


def search(name, n_jobs, n_rows):
    """In a process of its own: run one search; print when it began and ended."""
    warnings.simplefilter("ignore")
    from joblib import Parallel, delayed
    from sklearn.ensemble import BaggingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, cross_validate
    from sklearn.pipeline import make_pipeline

    from sk_entity_embed import EntityEmbedder, EntityEmbeddingClassifier

    X, y = make_data(n_rows)
    options = {"max_epochs": 5, "device": "cpu", "random_state": 0}
    grid = {"dropout": [0.0, 0.1], "n_components": [4, 8]}
    model = EntityEmbeddingClassifier(**options)
    # The workers start and import torch here: seconds each, once.
    Parallel(n_jobs)(delayed(model.fit)(X[:100], y[:100]) for _ in range(4 * n_jobs))
    if name == "pipeline":
        model = make_pipeline(EntityEmbedder(**options), LogisticRegression())
        grid = {f"entityembedder__{key}": values for key, values in grid.items()}
    elif name == "nested":
        model = BaggingClassifier(model, n_estimators=2, n_jobs=n_jobs, random_state=0)
        grid = {"estimator__dropout": grid["dropout"]}
    model = GridSearchCV(model, grid, cv=3, n_jobs=n_jobs)
    print("begin", flush=True)
    start = time.perf_counter()
    if name == "nested":
        cross_validate(model, X, y, cv=3, n_jobs=n_jobs, error_score="raise")
    else:
        model.fit(X, y)
    print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)
    sys.stdin.readline()  # wait until that is read


def watch(name, n_jobs, given, n_rows):
    """Start `search` and look at its processes until it ends."""
    chosen = {name: str(given) for name in thread_environment(given)}
    environment = {k: v for k, v in os.environ.items() if k not in chosen}
    environment |= chosen if given else {}
    command = [sys.executable, str(HERE / "bench_threads.py"), "--search", name, str(n_jobs)]
    before, cpu, sights = {}, {}, []
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder, "said")
        with said.open("w") as file:
            child = subprocess.Popen(
                [*command, str(n_rows)], stdin=subprocess.PIPE, stdout=file, env=environment
            )
        while not (text := said.read_text()).endswith("}\n"):
            if child.poll() is not None:
                raise RuntimeError(f"the search {name!r} ended with {child.returncode}")
            found = {pid: look(pid) for pid in descendants(child.pid)}
            cpu |= {pid: seconds for pid, (seconds, _, _) in found.items() if seconds}
            if not text:
                before = dict(cpu)
            else:
                sights.append([(threads, running) for _, threads, running in found.values()])
            time.sleep(0.02)
        child.communicate(b"\n")
    running = [sum(r for _, r in sight) for sight in sights]
    return {
        "seconds": round(json.loads(text.splitlines()[-1])["seconds"], 2),
        "cpu_seconds": round(sum(s - before.get(pid, 0.0) for pid, s in cpu.items()), 2),
        "processes": max(map(len, sights)),
        "threads": max(t for sight in sights for t, _ in sight),
        "running": max(running),
        "busy": round(sum(running) / len(running), 2),
    }


def descendants(pid):
    """The process and all below it."""
    found = [pid]
    for parent in found:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        except OSError:
            continue  # it has ended meanwhile
    return found


def look(pid):
    """CPU seconds of a process so far, its threads, and how many of them are at work."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        tasks = [t / "stat" for t in Path(f"/proc/{pid}/task").iterdir()]
        states = [task.read_text().rpartition(")")[2].split()[0] for task in tasks]
    except OSError:
        return 0.0, 0, 0
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK"), len(states), states.count("R")


def main():
    if sys.argv[1:2] == ["--search"]:
        search(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
        return
    arguments = parse(__doc__, n_seeds=1, rows=20_000, jobs=2)
    if not Path("/proc/self/task").exists():
        print("this benchmark reads /proc, which this system does not have")
        return
    n_rows, n_jobs = 1_000 if arguments.quick else arguments.rows, arguments.jobs
    names = ["classifier"] if arguments.quick else ["classifier", "pipeline", "nested"]
    rows = []
    for name in names:
        configurations = (
            [(1, 1), (n_jobs, "")] if arguments.quick else [(1, 1), (1, ""), (n_jobs, "")]
        )
        found = {c: watch(name, *c, n_rows) for c in configurations}
        for (n, given), row in found.items():
            rows.append({"search": name, "n_jobs": n, "given": given, "rows": n_rows, **row})
        work, many = found[1, 1], found[n_jobs, ""]
        ratio = many["cpu_seconds"] / work["cpu_seconds"]
        goal(f"{name}: CPU seconds of {n_jobs} jobs / one job of one thread", ratio, at_most=1.5)
        cores = len(os.sched_getaffinity(0))
        goal(f"{name}: threads at work, {n_jobs} jobs / cores", many["busy"] / cores, at_most=1.5)
    record(rows, arguments)


if __name__ == "__main__":
    main()
