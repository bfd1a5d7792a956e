"""How fast a column of names becomes columns of vectors.

    OMP_NUM_THREADS=1 python benchmarks/bench_transform.py --rows 1000,100000,1000000
    OMP_NUM_THREADS=1 python benchmarks/bench_transform.py --rows 10000000 --containers category,arrow
    python benchmarks/bench_transform.py --quick

One column of names, 37,000 of them distinct, to 50 float32 columns: `transform` of a fitted
EntityEmbedder, and its two halves (Vocabulary.encode, numpy take), against scikit-learn's
OrdinalEncoder and TargetEncoder and those of category_encoders, which stop at one number a row;
skrub's MinHashEncoder and StringEncoder with as many columns; pandas merge and map to the same 50
columns; and the limit, a copy of the result. Then the same for one row at a time. ``--containers``
takes words of their names. Above a million rows only scikit-learn and the limit are compared, and
skrub gets the pandas columns alone.

Times are CPU seconds, medians of the repeats (of those that take over a second, one run);
``microseconds`` is the time a row; ``ratio`` is the time over that of our transform of the same
column.
"""

import warnings
from importlib.util import find_spec

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from _harness import goal, parse, record, timed
from sklearn.preprocessing import OrdinalEncoder, TargetEncoder

from sk_entity_embed import EntityEmbedder
from sk_entity_embed._columns import read_table
from sk_entity_embed._vocabulary import Vocabulary

GOALS = {  # times TargetEncoder
    "pandas object": 5,
    "pandas object, shared": 5,
    "pandas str": 5,
    "pandas category": 20,
}
MANY = 1_000_000  # rows above which slow methods are left out
FEW_ROWS = 20  # calls that make one measurement of a single row


def containers(names, chosen=""):
    """The same column in each container, as a table of one column."""
    # A string object of its own for each row, as some file readers make them; others share those of equal cells.
    shared = names
    names = np.array([name[:-1] + name[-1:] for name in names], dtype=object)
    arrow = pa.array(names)
    makers = {
        "pandas object": lambda: pd.DataFrame({"title": pd.Series(names, dtype=object)}),
        "pandas object, shared": lambda: pd.DataFrame({"title": pd.Series(shared, dtype=object)}),
        "pandas str": lambda: pd.DataFrame({"title": pd.Series(names, dtype="str")}),
        "pandas category": lambda: pd.DataFrame({"title": pd.Series(names, dtype="category")}),
        "arrow string": lambda: pa.table({"title": arrow}),
        "arrow dictionary": lambda: pa.table({"title": arrow.dictionary_encode()}),
        "polars String": lambda: pl.DataFrame({"title": arrow}),
        "polars Categorical": lambda: pl.DataFrame(
            {"title": pl.Series(arrow).cast(pl.Categorical)}
        ),
    }
    for name, make in makers.items():
        if not chosen or any(word in name for word in chosen.split(",")):
            yield name, make()


def fitted(n_components, names, y):
    """An embedder whose vectors mean nothing: one pass over each category once."""
    frame = pd.DataFrame({"title": pd.Series(names, dtype="str")})
    embedder = EntityEmbedder(
        n_components=n_components, cv=None, max_epochs=1, hidden_layer_sizes=(8,), random_state=0
    )
    return embedder.fit(frame, y)


def encoders_of(titles, y, n_components):
    """Name -> fitted encoder; the package's name comes first where it is not scikit-learn."""
    learning = pd.DataFrame({"title": pd.Series(titles, dtype="str")})
    chosen = {
        "OrdinalEncoder": OrdinalEncoder(),
        "TargetEncoder": TargetEncoder(target_type="continuous"),
    }
    if find_spec("category_encoders"):
        import category_encoders

        chosen["category_encoders OrdinalEncoder"] = category_encoders.OrdinalEncoder()
        chosen["category_encoders TargetEncoder"] = category_encoders.TargetEncoder()
    if find_spec("skrub"):
        import skrub

        chosen["skrub MinHashEncoder"] = skrub.MinHashEncoder(n_components=n_components)
        chosen["skrub StringEncoder"] = skrub.StringEncoder(n_components=n_components)
    for name, encoder in chosen.items():
        encoder.fit(learning["title"] if "skrub" in name else learning, y)
    for package in ("category_encoders", "skrub"):
        if not find_spec(package):
            print(f"{package}: not installed")
    return chosen


def contenders(frame, embedder, vocabulary, encoders):
    """Name -> what to time."""
    vectors = np.vstack([embedder.unknown_vectors_[0], embedder.embeddings_[0]])
    codes = vocabulary.encode(read_table(frame).column(0))
    result = np.empty((len(codes), vectors.shape[1]), dtype=np.float32)
    result.fill(1)  # or its pages would not be there
    yield "EntityEmbedder.transform", lambda: embedder.transform(frame)
    yield "Vocabulary.encode", lambda: vocabulary.encode(read_table(frame).column(0))
    yield "numpy take", lambda: vectors.take(codes, axis=0, out=result, mode="clip")
    yield "copy of the result", result.copy
    yield from encodings(frame, encoders)
    if isinstance(frame, pd.DataFrame) and len(frame) <= MANY:
        categories = vocabulary.categories
        table = pd.DataFrame(vectors[1:], index=pd.Index(categories, name="title"))
        positions = pd.Series(np.arange(1, len(table) + 1, dtype=np.int32), index=table.index)
        yield "pandas merge", lambda: frame.merge(table, on="title", how="left")
        yield "pandas map + take", lambda: vectors.take(frame["title"].map(positions), axis=0)


def encodings(frame, encoders):
    """Name -> transform of each encoder that can read the frame."""
    # The other encoders know no Arrow: they get the pandas frame that a user would make.
    known = frame.to_pandas() if isinstance(frame, pa.Table) else frame
    for name, encoder in encoders.items():
        package, _, _ = name.rpartition(" ")
        if package and (len(frame) > MANY or not isinstance(frame, pd.DataFrame)):
            continue
        if package == "skrub":
            if known["title"].dtype == "str":
                yield name, lambda encoder=encoder: encoder.transform(known["title"])
            continue
        yield name, lambda encoder=encoder: encoder.transform(known)


def few_rows(frame, embedder, vocabulary, encoders):
    """Name -> what to time for a single row, over some calls."""
    one = frame[:1]
    column = read_table(one).column(0)
    calls = {
        "EntityEmbedder.transform": lambda: embedder.transform(one),
        "Vocabulary.encode": lambda: vocabulary.encode(column),
    }
    calls |= {} if isinstance(one, pa.Table) else dict(encodings(one, encoders))
    for name, call in calls.items():
        yield name, lambda call=call: [call() for _ in range(FEW_ROWS)]


def compare(calls, n_rows, n_calls, repeats, about):
    """A row of results for each call."""
    rows, ours = [], None
    for method, call in calls:
        run = timed(call)
        if run.cpu_seconds < 1:  # the first one made the look-up tables
            run = timed(call, repeats=repeats)
        ours = ours or run
        row = {"rows": n_rows, **about, "method": method}
        row["microseconds"] = run.cpu_seconds / n_calls / n_rows * 1e6
        row["ratio"] = round(run.cpu_seconds / max(ours.cpu_seconds, 1e-9), 2)
        row |= {"seconds": run.seconds / n_calls, "cpu_seconds": run.cpu_seconds / n_calls}
        rows.append(row | {"peak_mib": round(run.peak_mib, 1)})
    return rows


def judge(rows, container, n_rows):
    """Print the goals that one container is about."""
    ratios = {row["method"]: row["ratio"] for row in rows}
    where = f"{n_rows:,} rows, {container}"
    if container in GOALS:
        what = f"TargetEncoder / ours, {where}"
        goal(what, ratios["TargetEncoder"], at_least=GOALS[container])
        if "pandas merge" in ratios:
            goal(f"pandas merge / ours, {where}", ratios["pandas merge"], at_least=1)
    copied = 1 / max(ratios["copy of the result"], 1e-9)
    goal(f"ours / copy of the result, {where}", copied, at_most=3)


def main():
    arguments = parse(
        __doc__,
        n_seeds=1,
        rows="1000,100000,1000000",
        categories=37_000,
        components=50,
        containers="",
    )
    warnings.filterwarnings("ignore", category=FutureWarning)
    sizes, n_categories = [int(float(n)) for n in arguments.rows.split(",")], arguments.categories
    if arguments.quick:
        sizes, n_categories = [3_000], 200
    repeats = 2 if arguments.quick else 3
    rows = []
    for seed in arguments.seeds:
        rng = np.random.default_rng(seed)
        titles = np.array([f"the title of book {i}" for i in range(n_categories)], dtype=object)
        y = rng.normal(size=n_categories)
        embedder = fitted(arguments.components, titles, y)
        vocabulary, _ = Vocabulary.learn(titles)
        encoders = encoders_of(titles, y, arguments.components)
        for n_rows in sizes:
            names = titles[rng.integers(n_categories, size=n_rows)]
            for container, frame in containers(names, arguments.containers):
                about = {"categories": n_categories, "seed": seed, "container": container}
                calls = contenders(frame, embedder, vocabulary, encoders)
                found = compare(calls, n_rows, 1, repeats, about)
                judge(found, container, n_rows)
                rows += found
        for container, frame in containers(names[:10], arguments.containers):
            about = {"categories": n_categories, "seed": seed, "container": container}
            calls = few_rows(frame, embedder, vocabulary, encoders)
            rows += compare(calls, 1, FEW_ROWS, repeats, about)
    record(rows, arguments)


if __name__ == "__main__":
    main()
