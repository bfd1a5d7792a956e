"""What the benchmarks share: each run becomes a CSV row that says where its numbers come from.

    arguments = parse(__doc__)                    # --quick, --seeds, --output
    rows = []
    for seed in arguments.seeds:
        run = timed(lambda: embedder.fit(X, y))
        rows.append({"rows": len(X), "seed": seed, **run.row(), "score": score})
    record(rows, arguments)

A row has parameters, seed, score and what `timed` measured; `record` adds commit, versions and
cores, prints the rows and appends them to ``results/<date>_<script>.csv`` (with ``--quick``, a
smoke test on little data: to ``results/quick/``, which git ignores). `goal` prints whether a ratio
is what we promise ourselves.
"""

import argparse
import csv
import datetime
import gc
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "tests"))  # for _data, the one place that finds the data

PACKAGES = ("numpy", "pandas", "scikit-learn", "torch")


def parse(description, n_seeds=3, **options):
    """Read the command line; `options` are more arguments, name -> default."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="little data: does it run at all?")
    parser.add_argument("--seeds", type=int, nargs="+", help=f"default: 0 to {n_seeds - 1}")
    parser.add_argument("--output", type=Path, help="CSV file to append to")
    for name, default in options.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=type(default), default=default, help=f"{default}"
        )
    arguments = parser.parse_args()
    if arguments.seeds is None:
        arguments.seeds = [0] if arguments.quick else list(range(n_seeds))
    if arguments.output is None:
        folder = HERE / "results" / ("quick" if arguments.quick else "")
        script = Path(sys.argv[0]).stem
        arguments.output = folder / f"{datetime.date.today():%Y-%m-%d}_{script}.csv"
    return arguments


def choose(text, all_names, option):
    """Names of a comma-separated list; one that is not among `all_names` ends the script."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in all_names]
    if unknown:
        sys.exit(f"{option}: {unknown} not among {', '.join(all_names)}")
    return names


@dataclass(frozen=True)
class Timing:
    """One measured call; times are medians over its repeats."""

    result: object
    seconds: float  # by the clock
    cpu_seconds: float  # of all threads of this process: less noisy on a busy machine
    peak_mib: float  # memory of the process, less what it held before; nan where unknown

    def row(self):
        return {
            "seconds": round(self.seconds, 5),
            "cpu_seconds": round(self.cpu_seconds, 5),
            "peak_mib": round(self.peak_mib, 1),
        }


def timed(function, repeats=1):
    """Call `function` and measure it. Returns a Timing, with the last call's result."""
    gc.collect()
    before = _reset_peak()
    clock, cpu, result = [], [], None
    for _ in range(repeats):
        result = None  # so that two results are never held at a time
        start, start_cpu = time.perf_counter(), time.process_time()
        result = function()
        clock.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
    middle = repeats // 2
    return Timing(result, sorted(clock)[middle], sorted(cpu)[middle], _peak_mib() - before)


def origin():
    """Where a row comes from: date, commit, cores and versions."""
    row = {"date": f"{datetime.datetime.now():%Y-%m-%d %H:%M}", "commit": _commit()}
    row |= {"cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()}
    row |= {"python": platform.python_version()}
    return row | {package: _version(package) for package in PACKAGES}


def record(rows, arguments):
    """Print the rows and append them to the CSV file of `arguments`, with their origin."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    width = {n: max(len(n), *(len(_text(row.get(n, ""))) for row in rows)) for n in names}
    for row in [{name: name for name in names}, *rows]:
        print("  ".join(f"{_text(row.get(n, '')):>{width[n]}}" for n in names))
    path = arguments.output
    path.parent.mkdir(parents=True, exist_ok=True)
    where_from = origin()
    names += [name for name in where_from if name not in names]
    header = ",".join(names)
    if path.exists() and path.read_text(encoding="utf-8").partition("\n")[0] != header:
        path = path.with_name(f"{path.stem}_{time.strftime('%H%M%S')}.csv")  # other columns
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerows(where_from | row for row in rows)
    print(f"-> {os.path.relpath(path)}")


def goal(what, value, *, at_least=None, at_most=None):
    """Print a ratio beside its goal: ``ok`` or ``missed``; on little data it says little."""
    met = value >= at_least if at_most is None else value <= at_most
    wanted = f"at least {at_least:g}" if at_most is None else f"at most {at_most:g}"
    print(
        f"goal  {'ok    ' if met else 'missed'}  {what}: {value:.3g}, wanted {wanted}", flush=True
    )


def in_child(*arguments, script=None, **environment):
    """Run this script (or another) in a process of its own; returns its last line, read as JSON."""
    command = [sys.executable, script or sys.argv[0], *map(str, arguments)]
    environment = {**os.environ, **{name: str(value) for name, value in environment.items()}}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def thread_environment(n_threads):
    """The variables that give every library so many threads."""
    names = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA", "POLARS_MAX")
    return {f"{name}_{'' if name == 'POLARS_MAX' else 'NUM_'}THREADS": n_threads for name in names}


def _text(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _commit():
    """Short hash; a plus sign: the library's files have changed since."""
    ask = ["git", "-C", str(HERE), "describe", "--always", "--dirty=+", "--exclude=*"]
    done = subprocess.run(ask, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _reset_peak():
    """Forget the peak so far; returns the memory held now, in MiB."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return float("nan")
    return _status("VmRSS")


def _peak_mib():
    return _status("VmHWM") if Path("/proc/self/status").exists() else float("nan")


def _status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(name))
