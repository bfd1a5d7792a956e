"""Real data for tests and benchmarks, too large or not free enough for the repository.

It is looked for in the folder that the environment variable SK_ENTITY_EMBED_DATA names, else in
``shared/data`` beside the repository. A test whose data is not there is skipped, with the reason.
"""

import json
import os
import sys
from pathlib import Path

import pandas as pd

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def data_file(*parts):
    """Path of a file of the data folder, for example ``data_file("books", "link_names.txt")``."""
    path = Path(os.environ.get("SK_ENTITY_EMBED_DATA", _BESIDE), *parts)
    if not path.exists():
        reason = f"no data: {'/'.join(parts)} not found; SK_ENTITY_EMBED_DATA names its folder"
        if "pytest" in sys.modules:
            import pytest

            pytest.skip(reason, allow_module_level=True)
        raise FileNotFoundError(reason)
    return path


def load_tabular(name, n_rows=None, random_state=0):
    """Load one of the five tables.

    Parameters
    ----------
    name : str
        rossmann, amazon_access, nyc_flights, employee_salaries or shelter_animals.

    n_rows : int, default=None
        Draw so many rows, in a random order. None: all, in theirs.

    random_state : int, default=0
        Of the draw.

    Returns
    -------
    X : DataFrame
        Categorical columns are strings, numeric ones float32.

    y : Series
        The target.

    meta : dict
        ``cats`` (column -> cardinality), ``nums``, ``task``, ``target``, ... and ``folds``, the
        fixed split: an integer of 0 to 4 per row of X.
    """
    metas = json.loads(data_file("tabular", "meta.json").read_text(encoding="utf-8"))
    meta = next(m for m in metas if m["name"] == name)
    table = pd.read_parquet(data_file("tabular", f"{name}.parquet"))
    if n_rows is not None and n_rows < len(table):
        table = table.sample(n_rows, random_state=random_state).reset_index(drop=True)
    X = table[[*meta["cats"], *meta["nums"]]]
    return X, table[meta["target"]], {**meta, "folds": table["fold"].to_numpy()}
