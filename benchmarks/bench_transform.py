"""How fast a column of names becomes columns of vectors.

One column of 1,000,000 names, 37,000 of them distinct, to 50 float32 columns: `transform` of a
fitted EntityEmbedder, and its two halves (Vocabulary.encode, numpy take), against scikit-learn's
OrdinalEncoder and TargetEncoder, which stop at one number a row, against pandas merge and map to
the same 50 columns, and against a bare copy of the result. Times are CPU seconds, medians of the
repeats; `ratio` is the time over that of our transform of the same column.

    python benchmarks/bench_transform.py [--quick] [--rows N] [--categories N] [--components N]
"""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from _harness import parse, record, timed
from sklearn.preprocessing import OrdinalEncoder, TargetEncoder

from sk_entity_embed import EntityEmbedder
from sk_entity_embed._columns import read_table
from sk_entity_embed._vocabulary import Vocabulary


def containers(names):
    """The same column in each container, as a table of one column."""
    # A string object of its own for each row, as a file reader makes them.
    names = np.array([name[:-1] + name[-1:] for name in names], dtype=object)
    arrow = pa.array(names)
    return {
        "pandas object": pd.DataFrame({"title": pd.Series(names, dtype=object)}),
        "pandas str": pd.DataFrame({"title": pd.Series(names, dtype="str")}),
        "pandas category": pd.DataFrame({"title": pd.Series(names, dtype="category")}),
        "arrow string": pa.table({"title": arrow}),
        "arrow dictionary": pa.table({"title": arrow.dictionary_encode()}),
        "polars String": pl.DataFrame({"title": arrow}),
        "polars Categorical": pl.DataFrame({"title": pl.Series(arrow).cast(pl.Categorical)}),
    }


def fitted(n_components, names, y):
    """An embedder whose vectors mean nothing: one pass over each category once."""
    frame = pd.DataFrame({"title": pd.Series(names, dtype="str")})
    embedder = EntityEmbedder(
        n_components=n_components, cv=None, max_epochs=1, hidden_layer_sizes=(8,), random_state=0
    )
    return embedder.fit(frame, y)


def contenders(frame, embedder, vocabulary, encoders):
    """Name -> what to time."""
    vectors = np.vstack([embedder.unknown_vectors_[0], embedder.embeddings_[0]])
    codes = vocabulary.encode(read_table(frame).column(0))
    result = np.empty((len(codes), vectors.shape[1]), dtype=np.float32)
    yield "EntityEmbedder.transform", lambda: embedder.transform(frame)
    yield "Vocabulary.encode", lambda: vocabulary.encode(read_table(frame).column(0))
    yield "numpy take", lambda: vectors.take(codes, axis=0, out=result, mode="clip")
    yield "copy of the result", result.copy
    # scikit-learn's encoders know no Arrow: they get the pandas frame that a user would make.
    known = frame.to_pandas() if isinstance(frame, pa.Table) else frame
    for name, encoder in encoders.items():
        yield name, lambda encoder=encoder: encoder.transform(known)
    if isinstance(frame, pd.DataFrame):
        categories = vocabulary.categories
        table = pd.DataFrame(vectors[1:], index=pd.Index(categories, name="title"))
        positions = pd.Series(np.arange(1, len(table) + 1, dtype=np.int32), index=table.index)
        yield "pandas merge", lambda: frame.merge(table, on="title", how="left")
        yield "pandas map + take", lambda: vectors.take(frame["title"].map(positions), axis=0)


def few_rows(frame, embedder, vocabulary, encoder):
    """Microseconds for a single row, over many calls."""
    one = frame[:1]
    column = read_table(one).column(0)
    calls = {
        "EntityEmbedder.transform": lambda: embedder.transform(one),
        "Vocabulary.encode": lambda: vocabulary.encode(column),
    }
    if not isinstance(one, pa.Table):
        calls["OrdinalEncoder"] = lambda: encoder.transform(one)
    for name, call in calls.items():
        call()
        yield name, lambda call=call: [call() for _ in range(20)]


def main():
    arguments = parse(__doc__, n_seeds=1, rows=1_000_000, categories=37_000, components=50)
    n_rows, n_categories = arguments.rows, arguments.categories
    if arguments.quick:
        n_rows, n_categories = 3_000, 200
    repeats = 2 if arguments.quick else 3
    rows = []
    for seed in arguments.seeds:
        rng = np.random.default_rng(seed)
        titles = np.array([f"the title of book {i}" for i in range(n_categories)], dtype=object)
        names = titles[rng.integers(n_categories, size=n_rows)]
        y = rng.normal(size=n_categories)
        embedder = fitted(arguments.components, titles, y)
        vocabulary, _ = Vocabulary.learn(titles)
        learning = pd.DataFrame({"title": titles})
        encoders = {
            "OrdinalEncoder": OrdinalEncoder().fit(learning),
            "TargetEncoder": TargetEncoder(target_type="continuous").fit(learning, y),
        }
        for container, frame in containers(names).items():
            ours = None
            for method, call in contenders(frame, embedder, vocabulary, encoders):
                call()
                run = timed(call, repeats=repeats)
                ours = ours or run
                rows.append(
                    {
                        "rows": n_rows,
                        "categories": n_categories,
                        "seed": seed,
                        "container": container,
                        "method": method,
                        "ratio": round(run.cpu_seconds / max(ours.cpu_seconds, 1e-9), 2),
                        **run.row(),
                    }
                )
            ours = None
            for method, call in few_rows(frame, embedder, vocabulary, encoders["OrdinalEncoder"]):
                run = timed(call, repeats=repeats)
                ours = ours or run
                row = run.row() | {"cpu_seconds": run.cpu_seconds / 20, "seconds": run.seconds / 20}
                ratio = round(run.cpu_seconds / max(ours.cpu_seconds, 1e-9), 2)
                rows.append(
                    {
                        "rows": 1,
                        "categories": n_categories,
                        "seed": seed,
                        "container": container,
                        "method": method,
                        "ratio": ratio,
                        **row,
                    }
                )
    record(rows, arguments)


if __name__ == "__main__":
    main()
