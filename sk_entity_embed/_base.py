"""From X and y to a trained network: reading, encoding, the one call of training, and the callbacks around it."""

import copy
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from numbers import Integral

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.validation import validate_data

from ._calibration import calibrate
from ._columns import as_floats, read_table, select_categorical
from ._cross_fitting import assign_folds, drop_empty_folds
from ._links_records import LinkPairs, LinkSpec, link_matrix
from ._numeric import learn_scaling, scale
from ._pairs import MAX_PAIRS, learn_pairs, no_pairs
from ._records import NetworkSpec, TrainingPlan, TrainingTable
from ._responses import express
from ._target import infer_type, read_target, refuse_missing, start_output
from ._text_groups import (
    TextGroups,
    append_groups,
    join_columns,
    learn_text_groups,
    tell_apart,
)
from ._validation import check_sample_weight
from ._vocabulary import Vocabulary

MAX_AUTO_COMPONENTS = 10
AUTO_LINK_COMPONENTS = 50
MAX_DOUBLINGS = 5
MAX_VISITS = 1 << 26  # rows times epochs that doubling may come to: minutes


@dataclass(frozen=True)
class Columns:
    """The columns of a table as the estimator reads them.

    Attributes
    ----------
    codes : ndarray of shape (n_rows, n_embedded), int32
    numeric : ndarray of shape (n_rows, n_numeric), float32
        As given, NaN where missing.
    """

    codes: np.ndarray
    numeric: np.ndarray

    def rows(self, rows):
        """Some of the rows, a slice."""
        return Columns(self.codes[rows], self.numeric[rows])


@dataclass
class Fitted:
    """What a fit knows of its training rows, for `fit_transform`.

    Attributes
    ----------
    columns : Columns
    fold : ndarray of shape (n_rows,) or None
    network : TrainedNetwork or None
    tables : list of ndarray of shape (n_tables, n_codes, n_components) or None
        The vectors as `transform` gives them; the network reads those of its own.
    attributes : dict
        The fitted attributes.
    """

    columns: Columns
    fold: np.ndarray | None = None
    network: object = None
    tables: list | None = None
    attributes: dict = field(default_factory=dict)


def learn_columns(estimator, X):
    """Read the training table: choose and encode the categorical columns, take the others as numbers.

    Returns
    -------
    columns : Columns
    attributes : dict
        Fitted attributes that describe the columns.
    """
    table = read_table(X)
    validate_data(estimator, table.native, skip_check_array=True, reset=True)
    embedded = select_categorical(
        table, X, estimator.categorical_features, are_pairs=estimator.interaction == "dot"
    )
    if not len(embedded):
        raise ValueError(
            "categorical_features chose no column. Name at least one column to embed, or use 'auto'."
        )
    vocabularies, codes = [], np.empty((table.n_rows, len(embedded)), np.int32, order="F")
    for j, position in enumerate(embedded):
        vocabulary, codes[:, j] = Vocabulary.learn(
            table.column(position),
            min_frequency=estimator.min_frequency,
            name=table.label(position),
        )
        vocabularies.append(vocabulary)
    names = table.names or [f"x{i}" for i in range(table.n_columns)]
    numeric = np.setdiff1d(np.arange(table.n_columns), embedded)
    attributes = {
        "_vocabularies": vocabularies,
        "_embedded": [int(i) for i in embedded],
        "_numeric": [int(i) for i in numeric],
        "_names": list(names),
        "categories_": [v.categories for v in vocabularies],
        "infrequent_categories_": [
            v.infrequent if len(v.infrequent) else None for v in vocabularies
        ],
        "counts_": [v.counts for v in vocabularies],
        "categorical_features_": [names[i] if table.names else int(i) for i in embedded],
    }
    return Columns(codes, _read_numbers(table, numeric)), attributes


def read_columns(estimator, X, owner=None):
    """Read a table as in training, unknown values as code 0 or an error.

    `owner` is the predictor that holds the estimator, if one does: messages name it.

    Returns
    -------
    columns : Columns
    """
    table = read_table(X)
    validate_data(owner or estimator, table.native, skip_check_array=True, reset=False)
    codes = np.empty((table.n_rows, len(estimator._embedded)), np.int32, order="F")
    texts = vars(estimator).get("_texts") or [None] * len(estimator._embedded)
    for j, (position, vocabulary) in enumerate(zip(estimator._embedded, estimator._vocabularies)):
        column = table.column(position)
        codes[:, j] = vocabulary.encode(column)
        if codes[:, j].all():
            continue
        if estimator.handle_unknown == "error":
            unseen = vocabulary.unseen(column)
            if unseen:
                raise ValueError(
                    f"Found unknown categories {unseen} in column {table.label(position)!r} during transform. "
                    "Fit on data that has them, or set handle_unknown='vector'."
                )
        elif texts[j] is not None:  # groups have codes behind those of the categories
            rows, which, new = vocabulary.unseen_texts(column, codes[:, j])
            group = TextGroups(**texts[j]).assign(new)
            codes[rows, j] = np.where(group < 0, 0, vocabulary.n_codes + group)[which]
    return Columns(codes, _read_numbers(table, estimator._numeric))


def _read_numbers(table, positions):
    numeric = np.empty((table.n_rows, len(positions)), dtype=np.float32)
    for j, position in enumerate(positions):
        label = table.label(position)
        numeric[:, j] = as_floats(table.column(position), label)
        if np.isinf(numeric[:, j]).any():
            raise ValueError(
                f"Input X contains infinity or a value too large for dtype('float32') in column {label!r}. "
                "Replace it with a number or NaN."
            )
    return numeric


def auto_components(n_categories, n_directions=1):
    """The width that a vector is learned with: the fourth root of the number of categories, at most 10.

    What comes of it may be narrower: see `express`. A rule of thumb from TensorFlow's feature columns; caps from 4 to
    16 were equal within noise on five data sets. Where the prediction can move in more directions, as between several
    classes, as many as those: linear models and neighbours need them. But no more than the square root of the number of
    categories: in 2,500 rows of nine classes, columns of few categories that were as wide as that buried the numbers
    that neighbours go by.
    """
    width = max(np.ceil(n_categories**0.25), min(n_directions, np.floor(n_categories**0.5)))
    return int(max(1, min(MAX_AUTO_COMPONENTS, width, n_categories - 1)))


def _wanted_components(estimator, names):
    """What `n_components` asks for each embedded column, "auto" where it names none."""
    wanted = estimator.n_components
    if not isinstance(wanted, dict):
        return [wanted] * len(names)
    unknown = [key for key in wanted if key not in names]
    if unknown:
        raise ValueError(
            f"n_components names {unknown}, which are no embedded columns. Expected keys among {names}."
        )
    return [wanted.get(name, "auto") for name in names]


def resolve_components(estimator, names, n_categories, n_directions=1):
    """Width of each embedded column."""
    widths = []
    for name, n, width in zip(names, n_categories, _wanted_components(estimator, names)):
        if width == "auto":
            widths.append(auto_components(n, n_directions))
        elif isinstance(width, Integral) and not isinstance(width, bool) and width >= 1:
            widths.append(int(max(1, min(width, n))))
        else:
            raise ValueError(
                f"n_components of column {name!r} must be an int >= 1 or 'auto', got {width!r}."
            )
    return widths


def _resolve_link_components(estimator, names, n_categories):
    """Width of the vectors of both columns of pairs; one that is not given is as wide as the other."""
    widths = resolve_components(estimator, names, [n_categories] * 2)
    wanted = _wanted_components(estimator, names)
    given = [width for width, asked in zip(widths, wanted) if asked != "auto"]
    if len(given) == 2:
        return given
    return 2 * (given or [min(AUTO_LINK_COMPONENTS, n_categories)])


def output_names(names, embedded, widths, numeric):
    """Names of the components, then of the numeric columns."""
    components = [
        f"{names[position]}_{i}" for position, width in zip(embedded, widths) for i in range(width)
    ]
    return components + [names[position] for position in numeric]


def refuse_repeated(names):
    """Raise if two output columns would have one name."""
    repeated = [name for name, n in Counter(names).items() if n > 1]
    if repeated:
        raise ValueError(
            f"The output would have several columns named {repeated}: components are named after their column, as "
            "'city_0' after 'city', and predictions 'prediction'. Rename these columns of X."
        )


def read_layer_sizes(sizes):
    """Widths of the dense layers as a tuple."""
    array = np.atleast_1d(sizes)
    if array.size and (array.ndim > 1 or array.dtype.kind not in "iu" or array.min() < 1):
        raise ValueError(
            f"hidden_layer_sizes must hold integers >= 1, such as (128, 64), got {sizes!r}."
        )
    return tuple(array.tolist())


def read_weights(sample_weight, X_like):
    """Sample weights as float64, or None; refuses negative ones and all zeros."""
    if sample_weight is None:
        return None
    weight = check_sample_weight(sample_weight, X_like, dtype=np.float64, ensure_non_negative=True)
    if not weight.any():
        raise ValueError("sample_weight is zero for every row; at least one must be positive.")
    return weight


def check_length(y, n_rows):
    """Raise scikit-learn's error for a y of another length."""
    if len(y) != n_rows:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: [{n_rows}, {len(y)}]"
        )


def fit_network(estimator, X, y, sample_weight, split_params, owner=None, class_weight=None):
    """Train the network of ``interaction="mlp"``.

    `owner` is the predictor that holds the estimator, if one does: callbacks are called in its name. `class_weight`
    gives each row the weight of its class, beside `sample_weight`; callbacks are told only of the latter.

    Returns
    -------
    fitted : Fitted
    """
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None. "
            "Only interaction='dot' learns from X alone."
        )
    columns, attributes = learn_columns(estimator, X)
    n_rows = len(columns.codes)
    y = _plain_target(y)
    check_length(y, n_rows)
    weight = read_weights(sample_weight, columns.codes)
    if class_weight is not None:
        both = class_weight if weight is None else class_weight * weight
        weight = read_weights(both, columns.codes)
    target, encoded = read_target(
        y,
        target_type=estimator.target_type,
        loss=estimator.loss,
        quantile=estimator.quantile,
        sample_weight=weight,
    )
    random_state = check_random_state(estimator.random_state)
    fold = assign_folds(
        estimator.cv, y, kind=target.kind, random_state=random_state, split_params=split_params, X=X
    )
    used = slice(None) if weight is None else np.flatnonzero(weight)  # a slice copies nothing
    fold = None if fold is None else drop_empty_folds(fold, used)
    n_folds = 1 if fold is None else int(fold.max()) + 1
    fold = fold if n_folds > 1 else None
    numeric = columns.numeric[used]
    scaling = learn_scaling(numeric)
    n_codes = [v.n_codes for v in attributes["_vocabularies"]]
    table = TrainingTable(
        codes=columns.codes[used],
        numeric=scale(numeric, scaling),
        target=encoded[used],
        weight=None if weight is None else (weight[used] / weight[used].mean()).astype(np.float32),
        fold=None if fold is None else fold[used],
        validation=_draw_validation(estimator, len(numeric), random_state),
    )
    names = attributes["categorical_features_"]
    n_categories = [len(c) for c in attributes["categories_"]]
    widths = resolve_components(estimator, names, n_categories, target.n_directions)
    out = output_names(
        attributes["_names"], attributes["_embedded"], widths, attributes["_numeric"]
    )
    if owner is None:  # a predictor has no such columns
        refuse_repeated(out + (target.column_names() if estimator.add_prediction else []))
    are_auto = [width == "auto" for width in _wanted_components(estimator, names)]
    texts = find_text_groups(estimator.text_groups, attributes["_vocabularies"], are_auto, table)
    groups_of_codes = [groups.of_code if groups else None for groups in texts]
    table = replace(table, codes=append_groups(table.codes, groups_of_codes))
    grouped = [groups for groups in texts if groups]
    n_codes += [len(groups) + 1 for groups in grouped]
    is_asked = estimator.add_prediction or owner is not None
    pairs = learn_pairs(table.codes, n_codes, count_pairs(estimator, is_asked, target.n_outputs))
    spec = NetworkSpec(
        n_codes=tuple(n_codes),
        n_components=(
            *widths,
            *(auto_components(len(groups), target.n_directions) for groups in grouped),
        ),
        n_numeric=table.numeric.shape[1],
        n_outputs=target.n_outputs,
        hidden_layer_sizes=read_layer_sizes(estimator.hidden_layer_sizes),
        loss=target.loss,
        dropout=estimator.dropout,
        n_tables=n_folds,
        quantile=estimator.quantile,
        start=start_output(target, table.target, table.weight),
    )
    attributes |= {
        "target_type_": target.kind,
        "classes_": target.classes,
        "_target": vars(target),
        "_scaling": scaling,
        "_texts": [vars(groups) if groups else None for groups in texts],
    }

    def describe(tables, network, of_pairs=None):
        effects = [] if of_pairs is None else of_pairs.tables[len(names) :]
        return {
            **attributes,
            **_name_vectors([_mean_table(t) for t in tables], n_categories),
            "n_components_": [t.shape[2] for t in tables],
            "_inner_tables": [
                None if shown is inner else _mean_table(inner)
                for shown, inner in zip(tables, network.tables)
            ],
            "_head": (of_pairs or network).head,
            "_pairs": vars(pairs if effects else no_pairs()),
            "_pair_effects": [_mean_table(t).ravel() for t in effects],
            "history_": network.history,
            "n_epochs_": len(network.history),
        }

    owner = owner or estimator
    plans = [make_plan(estimator, table.n_rows, random_state, is_judged=fold is not None)]
    if len(pairs):
        plans.append(plan_of_pairs(plans[0], random_state))

    def express_free(network):
        most = [width if is_auto else None for width, is_auto in zip(widths, are_auto)]
        return express(network, table, most, loss=spec.loss, plan=plans[0])

    def describe_owner(*networks):
        embedder = copy.copy(estimator)
        # A predictor is asked for predictions, which need no other vectors than the network's.
        tables = express_free(networks[0]) if owner is estimator else networks[0].tables
        embedder.__dict__.update(describe(tables, *networks), _cache={})
        return owner._fitted_attributes(embedder)

    data = (X, y, sample_weight)
    n_epochs = sum(plan.max_epochs << plan.n_doublings for plan in plans)
    with EpochCallbacks(owner, describe_owner, n_epochs, data) as on_epoch:
        networks = _train(table, spec, plans, pairs, texts, on_epoch)
    losses = [network.validation_loss for network in networks]
    if estimator.crossed_pairs == "auto" and losses[-1] > losses[0]:
        networks.pop()  # what pairs tell beyond the vectors is noise
    tables = express_free(networks[0])
    return Fitted(columns, fold, networks[-1], tables, describe(tables, *networks))


def find_text_groups(wanted, vocabularies, are_auto, table):
    """Groups of alike texts, for the columns whose network is to know them.

    Parameters
    ----------
    wanted : "auto" or bool
        "auto": where groups differ in the target.
    vocabularies : list of Vocabulary
    are_auto : list of bool
        Which columns may have vectors of any width.
    table : TrainingTable

    Returns
    -------
    texts : list of TextGroups or None
    """
    texts = [None] * len(vocabularies)
    for c, (vocabulary, is_auto) in enumerate(zip(vocabularies, are_auto)):
        if wanted and is_auto:
            tells = partial(tell_apart, codes=table.codes[:, c], table=table)
            texts[c] = learn_text_groups(
                vocabulary.categories, vocabulary.counts, tells if wanted == "auto" else None
            )
    return texts


def _train(table, spec, plans, pairs, texts, on_epoch):
    """Train the network and, with pairs, a second one that has their effects besides the vectors of the first.

    Returns
    -------
    networks : list of one or two TrainedNetwork
        One only if the training was interrupted: a half trained second one would be worse.
    """
    from ._torch import train  # imported here: only fit needs torch

    def calibrated(network, table):
        if table.fold is None or spec.loss not in ("log_loss", "cross_entropy"):
            return network
        return calibrate(network, table, spec.loss)

    on_epoch.finish = partial(join_columns, texts=texts)
    network = calibrated(join_columns(train(table, spec, plans[0], on_epoch), texts), table)
    if not len(pairs) or network.interrupted:
        return [network]
    on_epoch.so_far, on_epoch.finish = [network], None
    own_codes = table.codes[:, : len(network.tables)]
    table = replace(table, codes=np.hstack([own_codes, pairs.encode(table.codes)]))
    spec = replace(
        spec,
        n_codes=(*(t.shape[1] for t in network.tables), *pairs.n_codes),
        n_components=(*(t.shape[2] for t in network.tables), *[1] * len(pairs)),
    )
    of_pairs = calibrated(train(table, spec, plans[1], on_epoch, fixed=network.tables), table)
    return [network] if of_pairs.interrupted else [network, of_pairs]


def count_pairs(estimator, is_asked, n_outputs):
    """How many crossed pairs of columns the network may use; `is_asked`: its prediction is wanted.

    Without folds their effects would learn the labels of their rows by heart. And an effect is one number, which cannot
    say for which of several outputs it is: on shelter animals, five classes, pairs cost .01 log-loss.
    """
    pairs = estimator.crossed_pairs
    if pairs == "auto":
        pairs = is_asked and estimator.cv is not None and n_outputs == 1
    return (MAX_PAIRS if pairs else 0) if isinstance(pairs, (bool, np.bool_)) else int(pairs)


def make_plan(estimator, n_rows, random_state, is_judged):
    """How to train on `n_rows`; what "auto" means was chosen with benchmarks/bench_quality.py.

    `is_judged`: folds tell whether longer training is better.
    """
    batch_size = estimator.batch_size
    if batch_size == "auto":
        batch_size = auto_batch_size(n_rows)
    max_epochs, n_doublings = estimator.max_epochs, 0
    if max_epochs == "auto":
        max_epochs = auto_epochs(n_rows, batch_size)
        if is_judged and not estimator.early_stopping:
            n_doublings = auto_doublings(n_rows, max_epochs)
    rate, decay = estimator.learning_rate, estimator.weight_decay
    return TrainingPlan(
        max_epochs=int(max_epochs),
        n_doublings=n_doublings,
        batch_size=int(batch_size),
        learning_rate=0.006 if rate == "auto" else float(rate),
        table_learning_rate=0.05,
        weight_decay=1e-4 if decay == "auto" else float(decay),
        early_stopping=estimator.early_stopping,
        patience=int(estimator.patience),
        seed=draw_seed(random_state),
        device=_resolve_device(estimator.device),
    )


def plan_of_pairs(plan, random_state):
    """How to train the effects of crossed pairs and a body above them, with the vectors as they are.

    Trained at the same time, the effects take from the vectors what these would otherwise say, and nearest neighbours
    get worse. Half the epochs are enough (within .001 on three data sets).
    """
    return replace(plan, max_epochs=-(-plan.max_epochs // 2), seed=draw_seed(random_state))


def draw_seed(random_state):
    """An int that seeds one thing."""
    return int(random_state.randint(np.iinfo(np.int32).max))


def auto_batch_size(n_rows):
    """An eighth of a small table; from 2,048 rows 256, then a power of two that grows with the table to 4,096.

    512 at 20,000 rows, 1,024 at 100,000 and 2,048 at 200,000. There a smaller batch was better on flights, a larger one
    on Rossmann sales.
    """
    if n_rows < 2048:
        return max(32, n_rows // 8)
    return int(np.clip(2 ** np.floor(np.log2(512 * (n_rows / 20_000) ** 0.75)), 256, 4096))


def auto_epochs(n_rows, batch_size):
    """40 up to 20,000 rows, fewer for more, and at least 300 steps.

    More steps on few rows may overfit: 2,000 rows of shelter animals lose .3 log-loss from 300 to 1,200 steps. Whether
    they do, cross-fitted training finds out: see `auto_doublings`.
    """
    n_epochs = 40 * min(1.0, 20_000 / n_rows) ** 0.25
    n_steps = max(1, n_rows // batch_size)
    return max(4, round(n_epochs), -(-300 // n_steps))


def auto_doublings(n_rows, n_epochs):
    """How often cross-fitted training may double its epochs while that lowers the out-of-fold loss.

    What takes long to learn, such as what two columns say only together, needs ten times the steps of a sum of effects,
    and more: on two crossed factors of 300 categories, 20,000 rows, R2 rises from .64 to .77 after the third doubling.
    """
    return min(MAX_DOUBLINGS, max(0, int(np.log2(MAX_VISITS / (n_rows * n_epochs)))))


def _resolve_device(device):
    from ._torch import resolve_device

    return resolve_device(device)


def _draw_validation(estimator, n_rows, random_state):
    """Rows that early stopping scores."""
    if not estimator.early_stopping:
        return np.empty(0, dtype=np.int64)
    n = int(np.ceil(n_rows * estimator.validation_fraction))
    if n < 1 or n_rows - n < 1:
        raise ValueError(
            f"early_stopping=True with validation_fraction={estimator.validation_fraction} leaves no row to train or "
            f"to validate on, of {n_rows}. Set early_stopping=False or pass more rows."
        )
    return np.sort(random_state.permutation(n_rows)[:n]).astype(np.int64)


def _mean_table(fold_tables):
    """The mean of a column's fold tables; of a single one no copy, which may be the largest array of a fit."""
    return fold_tables[0] if len(fold_tables) == 1 else fold_tables.mean(axis=0)


def _name_vectors(tables, n_categories):
    """The fitted attributes that tables hold: first the unknown vector, then categories, then groups of texts."""
    stops = [n + 1 for n in n_categories]
    return {
        "embeddings_": [
            np.ascontiguousarray(t[1:stop], dtype=np.float32) for t, stop in zip(tables, stops)
        ],
        "unknown_vectors_": [t[0].astype(np.float32) for t in tables],
        "_group_vectors": [
            np.ascontiguousarray(t[stop:], dtype=np.float32) for t, stop in zip(tables, stops)
        ],
    }


def _plain_target(y):
    """The target as an array, whatever frame it comes from; classes keep their type."""
    if issparse(y):  # a multilabel indicator
        return y.toarray()
    array = y.to_numpy() if hasattr(y, "to_numpy") else np.asarray(y)
    if array.ndim == 0:
        raise ValueError(f"Expected y with a value for each row of X, got {y!r}.")
    return array


def fit_links(estimator, X, y, sample_weight):
    """Train the two tables of ``interaction="dot"``.

    Returns
    -------
    fitted : Fitted
    """
    if estimator.add_prediction:
        raise ValueError(
            "add_prediction=True needs interaction='mlp'. With 'dot' the score of pairs is what "
            "most_similar(..., among=) ranks by."
        )
    columns, attributes = learn_columns(estimator, X)
    names = attributes["categorical_features_"]
    if columns.codes.shape[1] != 2 or columns.numeric.shape[1]:
        raise ValueError(
            "interaction='dot' learns from pairs: expected X with two categorical columns and no others, got "
            f"{len(names)} categorical {names} and {columns.numeric.shape[1]} numeric. Select two columns; what is "
            "known of each pair, such as a rating, goes into y."
        )
    weight = read_weights(sample_weight, columns.codes)
    value, kind = _read_link_values(estimator, y, len(columns.codes))
    # A pair with an infrequent entity teaches nothing about either.
    known = columns.codes.all(axis=1)
    if weight is not None:
        known &= weight > 0
    n_left, n_right = (len(c) for c in attributes["categories_"])
    if not known.any():
        raise ValueError(
            "No pair is left to learn from: every row holds a category rarer than min_frequency or has weight 0. "
            "Lower min_frequency."
        )
    widths = _resolve_link_components(estimator, names, max(n_left, n_right))
    if widths[0] != widths[1]:
        raise ValueError(
            f"interaction='dot' multiplies the vectors of a pair, so both columns need the same n_components, got "
            f"{dict(zip(names, widths))}."
        )
    pairs = LinkPairs(
        left=columns.codes[known, 0] - 1,
        right=columns.codes[known, 1] - 1,
        value=None if value is None else value[known],
        weight=None if weight is None else weight[known].astype(np.float32),
        n_left=n_left,
        n_right=n_right,
        kind=kind,
    )
    spec = LinkSpec(
        n_components=widths[0],
        solver=estimator.solver,
        loss=estimator.loss,
        n_negatives=estimator.n_negatives,
        negative_sampling=estimator.negative_sampling,
        max_epochs=estimator.max_epochs,
        batch_size=estimator.batch_size,
        learning_rate=estimator.learning_rate,
        weight_decay=estimator.weight_decay,
    )
    seed = draw_seed(check_random_state(estimator.random_state))
    attributes |= {"n_components_": widths, "target_type_": kind, "classes_": None}

    from ._torch import train_links

    bound = None if estimator.max_epochs == "auto" else estimator.max_epochs
    with EpochCallbacks(estimator, None, bound, (X, y, sample_weight)) as on_epoch:
        trained = train_links(
            pairs,
            spec,
            seed=seed,
            device=_resolve_device(estimator.device),
            on_epoch=lambda _, record: on_epoch(record),
        )
    vectors, unknown = [trained.left_vectors, trained.right_vectors], []
    for table, rows, counts in zip(vectors, (pairs.left, pairs.right), attributes["counts_"]):
        is_linked = np.bincount(rows, minlength=len(table)) > 0
        # An entity without a link that is known: the mean over the training rows, the best guess without any fact.
        mean = np.average(table, axis=0, weights=np.where(is_linked, counts, 0)).astype(np.float32)
        table[~is_linked] = mean
        unknown.append(mean)
    attributes |= {
        "embeddings_": vectors,
        "unknown_vectors_": unknown,
        "_group_vectors": [v[:0] for v in vectors],
        "biases_": [trained.left_bias, trained.right_bias],
        "intercept_": trained.intercept,
        "solver_": trained.solver,
        "loss_": trained.loss,
        "history_": [{"epoch": r["epoch"] + 1, "loss": r["loss"]} for r in trained.history],
        "n_epochs_": trained.n_epochs,
        "_fold_in": {
            "confidence": trained.confidence,
            "negative_weight": trained.negative_weight,
            "ridge": trained.ridge,
            "ridge_power": trained.ridge_power,
        },
        "_links": _kept_links(pairs, trained) if trained.solver == "exact" else None,
    }
    return Fitted(columns, attributes=attributes)


def _kept_links(pairs, trained):
    """The links of each left entity, as `explain` reads them, and the right table they are solved with.

    None stands for weights or targets that are all one, and for the right table that is kept.
    """
    links, targets = link_matrix(pairs)
    return {
        "indptr": links.indptr,
        "indices": links.indices,
        "weights": None if (links.data == 1).all() else links.data,
        "targets": None if targets is None else targets.data,
        "solved_right": trained.solved_right,
    }


def _read_link_values(estimator, y, n_rows):
    """Values of the pairs and what they mean: links, links and non-links, or ratings."""
    if y is None:
        return None, "links"
    y = column_or_1d(_plain_target(y))
    check_length(y, n_rows)
    refuse_missing(y)
    inferred = infer_type(y)
    kind = estimator.target_type
    if kind not in ("auto", "binary", "continuous"):
        raise ValueError(
            f"interaction='dot' has no target_type={kind!r}: expected 'binary' for links and non-links, 'continuous' "
            "for ratings, or 'auto'."
        )
    if kind == "auto":
        kind = "binary" if inferred == "binary" else "continuous"
    if y.dtype.kind not in "biuf":
        raise ValueError(
            "interaction='dot' needs y to be None (every row is a link), 0 and 1, or real numbers (ratings), got "
            f"values like {y[0]!r}."
        )
    y = y.astype(np.float32)
    if estimator.target_type == "auto" and not set(np.unique(y)) <= {-1.0, 0.0, 1.0}:
        kind = "continuous"  # two levels of a rating are not links and non-links
    if kind != "binary":
        return y, "rating"
    low, high = y.min(), y.max()
    if high <= 0:
        raise ValueError(
            f"y has no link: no value is above {high:g}. Expected a 1, or target_type='continuous' for ratings."
        )
    if low == high:
        return None, "links"
    return (y == high).astype(np.float32), "binary"


class EpochCallbacks:
    """scikit-learn's callbacks around the epochs of a fit.

    As a context manager it gives a function for the training loop to call after each epoch.
    """

    def __init__(self, estimator, describe, max_epochs, data):
        self.estimator, self.describe, self.max_epochs = estimator, describe, max_epochs
        X, y, sample_weight = data
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.data = {"X": X, "y": y, "metadata": metadata}
        self.so_far = []  # networks trained before the present one
        self.finish = None  # what turns the present one into one that the estimator can keep

    def __enter__(self):
        self.context = self.estimator._init_callback_context(max_subtasks=self.max_epochs)
        self.context.call_on_fit_task_begin(estimator=self.estimator, **self.data)
        self.epoch = None
        return self

    def begin(self):
        """Begin an epoch."""
        self.epoch = self.context.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(estimator=self.estimator, **self.data)
        return self.epoch

    def __call__(self, record, export=None):
        """End an epoch; returns whether a callback asks to stop."""
        epoch = self.epoch or self.begin()  # some solvers tell of an epoch only when it is done
        attributes = None
        if export is not None and self.describe is not None:
            finish = self.finish or (lambda network: network)
            attributes = lambda: self.describe(*self.so_far, finish(export()))  # noqa: E731  made only if a callback wants it
        self.epoch = None
        return epoch.call_on_fit_task_end(
            estimator=self.estimator, reconstruction_attributes=attributes, **self.data
        )

    def __exit__(self, kind, error, traceback):
        if kind is None:
            self.context.call_on_fit_task_end(estimator=self.estimator, **self.data)
