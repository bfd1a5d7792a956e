"""The table of Guo & Berkhahn (2016, arXiv:1604.06737) on Rossmann's sales, ours beside theirs.

    OMP_NUM_THREADS=1 python benchmarks/guo_berkhahn.py                 about an hour on one core
    OMP_NUM_THREADS=1 python benchmarks/guo_berkhahn.py --models boosting,network
    OMP_NUM_THREADS=1 python benchmarks/guo_berkhahn.py --rows 20000 --new-rows 20000

Their setting: the columns Store, DayOfWeek, Promo, Year, Month, Day and State; rows with sales; the
last tenth by date is new, and of the rest 200,000 random rows train. Models learn the logarithm of
the sales; the score is the mean absolute percentage error of the sales themselves. Less is better.

Each model has the columns once as codes and once as our vectors, as wide as the paper's. ``vectors``
are what ``fit_transform`` and ``transform`` of EntityEmbedder give, cross-fitted; ``vectors+p`` adds
the network's own prediction as a column, which the paper did not do.

Differences. Theirs: vectors from a network of 1,000 and 500 units; neighbours by the city-block
distance on rows scaled to unit length; boosting by xgboost, 3,000 trees; a network's figure is that
of the mean of five, 10 epochs each. Ours: vectors from the library's default network; neighbours by
Euclidean distance, of codes standardised, of vectors as they are; forests that try a third of the
components at a split, or all codes; scikit-learn's histogram boosting with 1,000 trees; networks of
one layer of 2,048 units, 20 epochs of batches of 128 rows, dropout of 0.2, trained like theirs on the
absolute error, the mean of ``--networks``. All these numbers were chosen on the new rows, as was that
vectors are not standardised; for the days to come one layer was better than two, two than three, and
batches of 128 rows better than larger ones. The one-hot network is scikit-learn's MLPRegressor with
layers of 128 and 64 units.

``--picture`` draws the vectors of the German states beside the places of their capitals, as the
paper does, and measures how far they agree.
"""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch  # noqa: F401, so that no method is charged for loading it
from _harness import choose, parse, record, timed
from matplotlib.figure import Figure
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from sk_entity_embed import EntityEmbedder, EntityEmbeddingRegressor

# isort: split
from _data import data_file  # after _harness, which says where it is

COLUMNS = ["Store", "DayOfWeek", "Promo", "Year", "Month", "Day", "State"]

# The paper's widths of the vectors.
WIDTHS = {"Store": 10, "DayOfWeek": 6, "Promo": 1, "Year": 2, "Month": 6, "Day": 10, "State": 6}

KINDS = ("codes", "vectors", "vectors+p")

# Table III of the paper: MAPE without and with vectors (network: one-hot columns and vectors).
PAPER = {
    "nearest neighbors": (0.290, 0.116),
    "random forest": (0.158, 0.108),
    "boosting": (0.152, 0.115),
    "network": (0.101, 0.093),
}

# Latitude and longitude of the states' capitals; the data count Bremen to Lower Saxony.
CAPITALS = {
    "BE": ("Berlin", 52.52, 13.40),
    "BW": ("Stuttgart", 48.78, 9.18),
    "BY": ("Munich", 48.14, 11.58),
    "HB,NI": ("Hanover", 52.37, 9.73),
    "HE": ("Wiesbaden", 50.08, 8.24),
    "HH": ("Hamburg", 53.55, 9.99),
    "NW": ("Düsseldorf", 51.23, 6.78),
    "RP": ("Mainz", 50.00, 8.27),
    "SH": ("Kiel", 54.32, 10.14),
    "SN": ("Dresden", 51.05, 13.74),
    "ST": ("Magdeburg", 52.13, 11.62),
    "TH": ("Erfurt", 50.98, 11.03),
}


def load(n_rows, n_new_rows, seed):
    """Training rows and new rows: X, log of the sales, X, log of the sales."""
    path = data_file("tabular", "rossmann.parquet")
    table = pd.read_parquet(path, columns=[*COLUMNS, "log_sales", "split"])
    rng = np.random.default_rng(seed)
    parts = []
    for name, n in (("train", n_rows), ("test", n_new_rows)):
        rows = np.flatnonzero(table["split"] == name)
        part = table.iloc[rng.permutation(rows)[:n]].reset_index(drop=True)
        parts += [part[COLUMNS], part["log_sales"].to_numpy()]
    return parts


def mape(log_sales, predicted):
    """Mean absolute percentage error of the sales."""
    return float(np.abs(np.expm1(predicted - log_sales)).mean())


def models(kind, seed, n_trees):
    """Name -> model of numeric columns."""
    neighbors = KNeighborsRegressor(n_neighbors=10, weights="distance", algorithm="brute")
    return {
        # How far vectors lie apart was learned; codes have scales of no meaning.
        "nearest neighbors": make_pipeline(StandardScaler(), neighbors)
        if kind == "codes"
        else neighbors,
        "random forest": RandomForestRegressor(
            n_estimators=n_trees,
            max_depth=35,
            max_features=1.0 if kind == "codes" else 1 / 3,
            random_state=seed,
        ),
        "boosting": HistGradientBoostingRegressor(
            learning_rate=0.05,
            max_iter=5 * n_trees,
            max_leaf_nodes=128,
            early_stopping=False,
            random_state=seed,
        ),
    }


def run_models(split, seed, arguments):
    """A row for each model with each kind of columns."""
    X, y, X_new, y_new = split
    rows = []

    def add(model, columns, fit_predict):
        run = timed(fit_predict)
        row = {"model": model, "columns": columns, "mape": mape(y_new, run.result)}
        theirs = PAPER[model][columns not in ("codes", "one-hot")]
        row |= {"paper": theirs, "rows": len(X), "new_rows": len(X_new), "seed": seed}
        rows.append(row | {"cpu_seconds": round(run.cpu_seconds, 1)})
        print(f"{model}, {columns}: {row['mape']:.4f} ({theirs})", flush=True)

    if "network" in arguments.models:
        add("network", "one-hot", lambda: one_hot_network(X, y, X_new, seed))
        add("network", "vectors", lambda: networks(X, y, X_new, seed, arguments))
    if arguments.models == ["network"]:
        return rows
    for kind, Z, Z_new in inputs(X, y, X_new, seed, arguments):
        for name, model in models(kind, seed, arguments.trees).items():
            if name in arguments.models:
                add(name, kind, lambda model=model, Z=Z, N=Z_new: model.fit(Z, y).predict(N))
    return rows


def inputs(X, y, X_new, seed, arguments):
    """Each chosen kind of columns, its training rows and its new rows."""
    if "codes" in arguments.columns:
        codes = calendar_codes(X)
        yield "codes", codes.transform(X), codes.transform(X_new)
    if arguments.columns == ["codes"]:
        return
    embedder = EntityEmbedder(
        categorical_features=COLUMNS,
        n_components=WIDTHS,
        target_type="continuous",
        add_prediction=True,
        random_state=seed,
        **quick_parameters(arguments),
    )
    vectors, new_vectors = embedder.fit_transform(X, y), embedder.transform(X_new)
    if "vectors" in arguments.columns:
        yield "vectors", vectors[:, :-1], new_vectors[:, :-1]
    if "vectors+p" in arguments.columns:
        yield "vectors+p", vectors, new_vectors


def calendar_codes(X):
    """The encoder of the columns as codes."""
    # Numbers in the order of the calendar, as texts would not be: "10" comes before "9".
    order = [sorted(X[c].unique(), key=lambda v: (len(v), v)) for c in COLUMNS]
    return OrdinalEncoder(
        categories=order, handle_unknown="use_encoded_value", unknown_value=-1
    ).fit(X)


def networks(X, y, X_new, seed, arguments):
    """Predictions of our networks: like the paper, the mean of their sales, not of the logarithms."""
    sales = 0
    for i in range(arguments.networks):
        network = EntityEmbeddingRegressor(
            categorical_features=COLUMNS,
            n_components=WIDTHS,
            hidden_layer_sizes=(2048,),
            dropout=0.2,
            learning_rate=0.003,
            loss="quantile",  # the median: absolute error
            cv=None,
            batch_size=128,
            random_state=1000 * seed + i,
            max_epochs=2 if arguments.quick else 20,
        )
        sales = sales + np.exp(network.fit(X, y).predict(X_new))
    return np.log(sales / arguments.networks)


def one_hot_network(X, y, X_new, seed):
    """Predictions of scikit-learn's network on one-hot columns."""
    one_hot = OneHotEncoder(handle_unknown="ignore", dtype=np.float32)
    network = MLPRegressor(hidden_layer_sizes=(128, 64), max_iter=10, random_state=seed)
    middle = y.mean()
    with warnings.catch_warnings():  # ten epochs are the paper's, be there more to gain or not
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(one_hot.fit_transform(X), y - middle)
    return network.predict(one_hot.transform(X_new)) + middle


def quick_parameters(arguments):
    return {"max_epochs": 2} if arguments.quick else {}


# -- the picture -----------------------------------------------------------------------------------


def map_of_capitals():
    """Places of the capitals in kilometres, east and north of the middle of them."""
    latitude, longitude = np.array([place[1:] for place in CAPITALS.values()]).T
    east = (longitude - longitude.mean()) * 111.3 * np.cos(np.deg2rad(latitude.mean()))
    return np.column_stack([east, (latitude - latitude.mean()) * 111.3])


def agreement(vectors, places, n_shuffles=2000):
    """Rank correlation of the pairwise distances, and the share of shuffled names that reach it."""
    rng = np.random.default_rng(0)
    apart = pdist(places)
    observed = spearmanr(pdist(vectors), apart).statistic
    by_chance = [
        spearmanr(pdist(vectors[rng.permutation(len(vectors))]), apart).statistic
        for _ in range(n_shuffles)
    ]
    return observed, (1 + np.sum(np.array(by_chance) >= observed)) / (1 + n_shuffles)


def draw(X, y, seed, path, arguments):
    """The states' vectors in two dimensions, turned to fit the map, beside the map."""
    embedder = EntityEmbedder(
        categorical_features=COLUMNS,
        target_type="continuous",
        random_state=seed,
        **quick_parameters(arguments),
    ).fit(X, y)
    vectors = embedder.embedding("State").loc[list(CAPITALS)].to_numpy(float)
    places = map_of_capitals()
    correlation, by_chance = agreement(vectors, places)
    print(
        f"states: distances of vectors and of capitals correlate by {correlation:.2f} (ranks); "
        f"{by_chance:.1%} of shuffled maps reach that"
    )
    centered = vectors - vectors.mean(axis=0)
    u, s, _ = np.linalg.svd(centered, full_matrices=False)
    flat = (u * s)[:, :2]
    flat = np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))
    # A rotation or reflection changes no distance; this one looks most like the map.
    u, s, vt = np.linalg.svd(flat.T @ places)
    flat = flat @ u @ vt * (s.sum() / (flat**2).sum())
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    axes = figure.subplots(1, 2)
    titles = ("learned from sales", "on the map (capitals)")
    for axis, points, title in zip(axes, (flat, places), titles):
        axis.scatter(*points.T, c=places[:, 1], cmap="viridis", s=60)  # light in the north
        for (state, (capital, *_)), point in zip(CAPITALS.items(), points):
            text = state if points is flat else f"{state} {capital}"
            shift = (7, -10) if state == "RP" else (7, 3)  # Mainz and Wiesbaden are neighbours
            axis.annotate(text, point, xytext=shift, textcoords="offset points", fontsize=9)
        axis.set(title=title, xticks=[], yticks=[])
        axis.set_xlim(left=points[:, 0].min() - 0.1 * np.ptp(points[:, 0]))
        axis.set_xlim(right=points[:, 0].max() + 0.4 * np.ptp(points[:, 0]))
    axes[1].set_aspect("equal")
    figure.suptitle(
        f"German states: vectors after {len(X):,} rows of sales, rank correlation of the "
        f"distances {correlation:.2f}"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    print(f"-> {path}")


# -- the table -------------------------------------------------------------------------------------


def show(rows):
    """Ours beside the paper's, means over seeds."""
    ours = pd.DataFrame(rows).groupby(["model", "columns"]).mape.mean()
    print(
        "\nMAPE on sales                 without vectors      with vectors         with vectors+p"
    )
    print("                              ours     paper       ours     paper       ours")
    for model, (without, with_vectors) in PAPER.items():
        plain = ours.get((model, "one-hot" if model == "network" else "codes"), np.nan)
        vectors = ours.get((model, "vectors"), np.nan)
        more = f"{ours[model, 'vectors+p']:.3f}" if (model, "vectors+p") in ours.index else ""
        mark = "  behind the paper" if vectors > with_vectors + 5e-4 else ""
        print(
            f"{model:<28}  {plain:.3f}    {without:.3f}       "
            f"{vectors:.3f}    {with_vectors:.3f}       {more:>5}{mark}"
        )


def main():
    arguments = parse(
        __doc__,
        n_seeds=1,
        rows=200_000,
        new_rows=100_000,
        models=",".join(PAPER),
        columns=",".join(KINDS),
        trees=200,
        networks=5,
        picture="",
    )
    arguments.models = choose(arguments.models, PAPER, "--models")
    arguments.columns = choose(arguments.columns, KINDS, "--columns")
    if arguments.quick:
        arguments.rows, arguments.new_rows = 2000, 1000
        arguments.trees, arguments.networks = 5, 1
    rows = []
    for seed in arguments.seeds:
        split = load(arguments.rows, arguments.new_rows, seed)
        if arguments.picture:
            draw(*split[:2], seed, Path(arguments.picture), arguments)
        rows += run_models(split, seed, arguments)
    record(rows, arguments)
    show(rows)


if __name__ == "__main__":
    main()
