"""What a process pays before the first vector: imports and serving, in seconds and MiB.

    python benchmarks/bench_startup.py [--quick] [--repeats N]

Each row is a fresh process, the rows taking turns, medians of the repeats; before the first turn all
files have been read once. ``beyond`` is what a row adds to NumPy, pandas and scikit-learn:

numpy, pandas, sklearn          the three alone
import sk_entity_embed          the package: its names are looked up when asked for
import EntityEmbedder           the estimator
torch                           what training loads, for comparison
serve                           import, ``EntityEmbedder.load`` of a saved file and one ``transform`` of
                                one row; of 37,000 categories x 50
serve, torch loaded             the same in a process that has torch already
serve, pickle                   the same with ``joblib.load``
predict                         the same with a classifier's ``predict_proba``

A serving process must not load torch: that is checked, and said.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from _harness import HERE, goal, in_child, parse, record

BASE = "import numpy, pandas, sklearn"
READ = "frame = pandas.DataFrame({'title': ['t17']})"
SERVE = f"from sk_entity_embed import EntityEmbedder; {READ}; "
SERVE += "EntityEmbedder.load(folder + '/embedder.safetensors').transform(frame)"
PICKLE = f"import joblib; {READ}; joblib.load(folder + '/embedder.joblib').transform(frame)"
PREDICT = f"import joblib; {READ}; joblib.load(folder + '/classifier.joblib').predict_proba(frame)"
# name -> what runs before the clock starts, what is measured
ROWS = {
    "numpy, pandas, sklearn": ("", BASE),
    "import sk_entity_embed": (BASE, "import sk_entity_embed"),
    "import EntityEmbedder": (BASE, "from sk_entity_embed import EntityEmbedder"),
    "torch": (BASE, "import torch"),
    "serve": (BASE, SERVE),
    "serve, torch loaded": (BASE + ", torch", SERVE),
    "serve, pickle": (BASE, PICKLE),
    "predict": (BASE, PREDICT),
}
IMPORT_GOAL = 0.6  # seconds beyond NumPy, pandas and scikit-learn


def save_models(folder, n_categories, n_components):
    """What the serving rows load."""
    import joblib
    import numpy as np
    import pandas as pd

    from sk_entity_embed import EntityEmbedder, EntityEmbeddingClassifier

    X = pd.DataFrame({"title": [f"t{i}" for i in range(n_categories)]})
    y = np.arange(n_categories) % 2
    options = {"n_components": n_components, "cv": None, "max_epochs": 1, "random_state": 0}
    embedder = EntityEmbedder(**options).fit(X, y)
    embedder.save(folder / "embedder.safetensors")
    joblib.dump(embedder, folder / "embedder.joblib")
    joblib.dump(EntityEmbeddingClassifier(**options).fit(X, y), folder / "classifier.joblib")


def measure(before, code, folder):
    """In a fresh process: print seconds and memory of `code`, as JSON."""
    names = {"folder": folder}
    exec(before, names)
    start, start_cpu, held = time.perf_counter(), time.process_time(), _held_mib()
    exec(code, names)
    found = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - start_cpu}
    found |= {"mib": _held_mib() - held, "torch": "torch" in sys.modules}
    print(json.dumps(found))


def _held_mib():
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    lines = status.read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def main():
    # Read before anything is imported: a measured process is this script too.
    if sys.argv[1:2] == ["--measure"]:
        measure(*ROWS[sys.argv[2]], sys.argv[3])
        return
    arguments = parse(__doc__, n_seeds=1, repeats=7)
    repeats = 1 if arguments.quick else arguments.repeats
    size = (500, 8) if arguments.quick else (37_000, 50)
    runs = {name: [] for name in ROWS}
    with tempfile.TemporaryDirectory() as folder:
        save_models(Path(folder), *size)
        for turn in range(-1, repeats):
            for name in ROWS:
                if turn < 0 and arguments.quick:
                    continue
                found = in_child("--measure", name, folder, script=str(HERE / "bench_startup.py"))
                if turn >= 0:  # the first turn brought the files into memory
                    runs[name].append(found)
    rows = []
    for name, found in runs.items():
        row = {"row": name, "categories": size[0], "repeats": repeats}
        for value in ("seconds", "cpu_seconds", "mib"):
            row[value] = round(statistics.median(f[value] for f in found), 4)
        rows.append(row | {"beyond": name != next(iter(ROWS)), "torch": found[0]["torch"]})
    seconds = {row["row"]: row["cpu_seconds"] for row in rows}
    beyond = "CPU seconds beyond NumPy, pandas and scikit-learn"
    goal(
        f"import sk_entity_embed, {beyond}", seconds["import sk_entity_embed"], at_most=IMPORT_GOAL
    )
    goal(f"import EntityEmbedder, {beyond}", seconds["import EntityEmbedder"], at_most=IMPORT_GOAL)
    goal(f"serve, {beyond}", seconds["serve"], at_most=IMPORT_GOAL)
    loaded = [r["row"] for r in rows if r["torch"] and "torch" not in r["row"]]
    goal("serving processes that loaded torch", len(loaded), at_most=0)
    record(rows, arguments)


if __name__ == "__main__":
    main()
