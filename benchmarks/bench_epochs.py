"""How long to train: what is lost where cross-fitted training stops doubling its epochs early.

    OMP_NUM_THREADS=1 python benchmarks/bench_epochs.py
    OMP_NUM_THREADS=1 python benchmarks/bench_epochs.py --datasets rossmann,factors --seeds 0
    python benchmarks/bench_epochs.py --report benchmarks/results/2026-01-31_bench_epochs.csv
    python benchmarks/bench_epochs.py --quick

A cycle of epochs is followed by one as long as all before it while the loss of rows out of their
folds falls. Here each table is trained until it falls no more; then the same history tells where
a rule would have stopped: after a cycle that promised less than ``--promises``, see ``promises``
in the library's training loop. ``epochs`` and ``loss`` are those of the whole training, and beside
them those of each rule. The tables are those of bench_quality.py that have the 5,000 rows which the
rule asks for: up to 20,000 rows of the five and of the factors, up to 10,000 of R's. A seed is a
fold as well, so another draw of the rows.
"""

from unittest import mock

import bench_quality
import numpy as np
import pandas as pd
import torch  # noqa: F401, so that no table is charged for loading it
from _encoders import asking_no_model_behind, our_embedder
from _harness import choose, parse, record, timed
from _r_tables import LATER_R_TABLES, R_TABLES

from sk_entity_embed._rows import FEW_ROWS
from sk_entity_embed._torch import _loop

OURS = (*bench_quality.DATASETS, "factors")
TABLES = [*OURS, *R_TABLES, *LATER_R_TABLES]


def whole_history(split):
    """The records of a training that no rule stops, cycle by cycle."""
    embedder = our_embedder(split)
    with asking_no_model_behind(), mock.patch.object(_loop, "promises", return_value=True):
        embedder.fit(split.X, split.y)
    cycles = [[]]
    for one in embedder.history_:
        cycles[-1].append(one)
        if "validation_loss" in one:
            cycles.append([])
    return cycles[:-1]


def stop(cycles, n_rows, least):
    """Epochs of a training that stops after the first cycle that promises less, and its best loss."""
    losses = []
    for cycle in cycles:
        losses.append(cycle[-1]["validation_loss"])
        if not _loop.promises(cycle, n_rows, least):
            break
    return cycle[-1]["epoch"], min(losses)


def run(name, seed, rules, n_rows):
    """A row for one table, None if it has too few rows."""
    split = bench_quality.load_split(name, seed, seed, n_rows, {})
    n_used = len(split.X)
    if n_used < min(FEW_ROWS, n_rows):
        return None
    training = timed(lambda: whole_history(split))
    epochs, loss = stop(training.result, n_used, -np.inf)
    row = {"dataset": name, "rows": n_used, "seed": seed}
    row |= {"cpu_seconds": round(training.cpu_seconds, 1), "epochs": epochs, "loss": loss}
    for least in rules:
        row[f"epochs_{least}"], row[f"loss_{least}"] = stop(training.result, n_used, least)
    return row


def report(rows):
    """What each rule saves and loses."""
    rules = [name.removeprefix("epochs_") for name in rows if name.startswith("epochs_")]
    for rule in rules:
        worse = (rows[f"loss_{rule}"] - rows["loss"]) / rows["loss"].abs()
        left = rows[f"epochs_{rule}"] / rows["epochs"]
        worst = rows.dataset[worse.idxmax()] if worse.max() > 0 else "none"
        print(
            f"promise of {rule}: {(left < 1).sum()} of {len(rows)} trainings stop earlier, {left.mean():.2f} of the "
            f"epochs are left on average; loss {worse.mean():+.4f} on average, {worse.max():+.4f} at worst ({worst})"
        )


def main():
    arguments = parse(
        __doc__,
        n_seeds=2,
        datasets=",".join(TABLES),
        promises="0.02,0.03,0.04,0.06",
        report="",
    )
    if arguments.report:
        return report(pd.read_csv(arguments.report))
    if arguments.quick:
        arguments.datasets = "crossed"
    rules = [float(text) for text in arguments.promises.split(",")]
    rows = []
    for name in choose(arguments.datasets, [*TABLES, "crossed"], "--datasets"):
        for seed in arguments.seeds:
            n_rows = 300 if arguments.quick else 20_000 if name in OURS else 10_000
            row = run(name, seed, rules, n_rows)
            if row is not None:
                rows.append(row)
                record([row], arguments)
    return report(pd.DataFrame(rows))


if __name__ == "__main__":
    main()
