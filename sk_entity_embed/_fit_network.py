"""A fit to a target, ``interaction="mlp"``, as a list of steps."""

import copy
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from sklearn.utils import check_random_state

from ._callbacks import EpochCallbacks
from ._cross_fitting import assign_folds, drop_empty_folds, mean_in_reach
from ._deviations import Deviations, learn_deviations, read_numbers
from ._effects import append_effects
from ._numeric import learn_scaling, scale
from ._pairs import no_pairs, pairs_by_counts
from ._plan import (
    MAX_AUTO_COMPONENTS,
    auto_components,
    count_pairs,
    draw_validation,
    make_plan,
    plan_of_pairs,
    read_layer_sizes,
    resolve_components,
    wanted_components,
)
from ._products import find_products, start_vectors
from ._reading import (
    check_length,
    learn_columns,
    output_names,
    plain_target,
    read_weights,
    refuse_repeated,
)
from ._records import Columns, Fitted, NetworkSpec, TrainingTable
from ._responses import express
from ._rows import FEW_ROWS
from ._target import Target, read_target, start_output
from ._text_groups import append_groups, learn_text_groups, tell_apart
from ._trainings import Task, train_all
from ._values import learn_values, no_values
from ._worth import loss_behind


def fit_network(estimator, X, y, sample_weight, split_params, owner=None, class_weight=None):
    """Train the network of ``interaction="mlp"``.

    `owner` is the predictor that holds the estimator, if one does: callbacks are called in its name. `class_weight`
    gives each row the weight of its class, beside `sample_weight`; callbacks are told only of the latter.

    Returns
    -------
    fitted : Fitted
    """
    random_state = check_random_state(estimator.random_state)
    data = _read(estimator, X, y, sample_weight, class_weight, split_params, random_state)
    vectors = _choose_vectors(estimator, data, is_predictor=owner is not None)
    is_asked = owner is not None or estimator.add_prediction
    task = _set_task(estimator, data, vectors, random_state, is_asked)
    owner = owner or estimator

    def describe_owner(learned):
        embedder = copy.copy(estimator)
        # A predictor is asked for predictions, which need no other vectors than the network's.
        tables = learned.network.tables
        if owner is estimator:
            tables = _show(data, vectors, task, learned.network)
        embedder.__dict__.update(_describe(data, vectors, tables, learned), _cache={})
        return owner._fitted_attributes(embedder)

    seen = (X, y, sample_weight)
    judge = None
    if not is_asked and data.fold is not None and task.table.n_rows >= FEW_ROWS:
        judge = lambda network: loss_behind(  # noqa: E731
            _show(data, vectors, task, network), task.table, data.numeric
        )
    with EpochCallbacks(owner, describe_owner, task.max_epochs, seen) as on_epoch:
        learned = train_all(task, on_epoch, judge)
    tables = _show(data, vectors, task, learned.network)
    return Fitted(
        columns=data.columns,
        inputs=data.inputs,
        fold=data.fold,
        trained=data.trained,
        network=learned.predicting,
        tables=tables,
        attributes=_describe(data, vectors, tables, learned),
    )


# -- what there is to learn from -------------------------------------------------------------------


@dataclass(frozen=True)
class _Data:
    """What a fit is given, read and checked.

    Attributes
    ----------
    columns : Columns
        All rows.
    attributes : dict
        Fitted attributes that describe them.
    target : Target
    table : TrainingTable
        The rows to train on, those of some weight.
    scaling : dict
        Of the numbers, as `scale` takes it.
    deviations : Deviations
        Which numbers the network reads once more, less the mean of their category.
    numeric : ndarray of shape (n_used, n_numeric), float32 or float64
        The numbers of the rows to train on as they came.
    inputs : ndarray of shape (n_rows, n_inputs), float32
        The numbers of all rows as the network reads them.
    fold : ndarray of shape (n_rows,) or None
        Of all rows; None if there are not two with something to train on.
    trained : slice or ndarray of shape (n_used,), int64
        The rows to train on among all.
    """

    columns: Columns
    attributes: dict
    target: Target
    table: TrainingTable
    scaling: dict
    deviations: Deviations
    numeric: np.ndarray
    inputs: np.ndarray
    fold: np.ndarray | None
    trained: slice | np.ndarray

    @property
    def n_categories(self):
        """Number of categories of each embedded column."""
        return [len(c) for c in self.attributes["categories_"]]


def _read(estimator, X, y, sample_weight, class_weight, split_params, random_state):
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None. "
            "Only interaction='dot' learns from X alone."
        )
    columns, attributes = learn_columns(estimator, X)
    y = plain_target(y)
    check_length(y, len(columns.codes))
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
    fold = assign_folds(
        estimator.cv, y, kind=target.kind, random_state=random_state, split_params=split_params, X=X
    )
    used = slice(None) if weight is None else np.flatnonzero(weight)  # a slice copies nothing
    fold = None if fold is None else drop_empty_folds(fold, used)
    fold = None if fold is None or not fold.any() else fold
    numeric = columns.numeric[used]
    scaling = learn_scaling(numeric)
    table = TrainingTable(
        codes=columns.codes[used],
        numeric=scale(numeric, scaling),
        target=encoded[used],
        weight=None if weight is None else (weight[used] / weight[used].mean()).astype(np.float32),
        fold=None if fold is None else fold[used],
    )
    n_codes = [v.n_codes for v in attributes["_vocabularies"]]
    deviations = learn_deviations(table, numeric, n_codes)
    table = replace(
        table,
        numeric=deviations.append_trained(table, numeric),
        validation=draw_validation(estimator, table.n_rows, random_state),
    )
    inputs = table.numeric
    if len(inputs) < len(columns.codes):  # rows without weight are new ones
        inputs = read_numbers(columns, scaling, deviations)
        inputs[used] = table.numeric
    return _Data(
        columns, attributes, target, table, scaling, deviations, numeric, inputs, fold, used
    )


# -- what there is to learn ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Vectors:
    """The vectors to learn.

    Attributes
    ----------
    widths : list of int
        Components of each embedded column in training.
    most : list of int or None
        How many it may be told by afterwards; None leaves its vectors as they are learned.
    widest : list of int
        How many it may have in the end, with those of effects.
    texts : list of TextGroups or None
        Groups of its texts, which have vectors of their own.
    group_widths : list of int
        Components of these, for each column that has any.
    products : list of Product
        What columns tell by their product alone.
    """

    widths: list
    most: list
    widest: list
    texts: list
    group_widths: list
    products: list

    @property
    def of_groups(self):
        """For each embedded column the codes of its groups by its own codes, None without groups."""
        return [groups and groups.of_code for groups in self.texts]


def _choose_vectors(estimator, data, is_predictor):
    attributes, target, n_categories = data.attributes, data.target, data.n_categories
    widths = resolve_components(estimator, attributes, n_categories, target.n_directions)
    are_auto = [width == "auto" for width in wanted_components(estimator, attributes)]
    out = output_names(
        attributes["_names"], attributes["_embedded"], widths, attributes["_numeric"]
    )
    others = out[sum(widths) :] + (target.column_names() if estimator.add_prediction else [])
    if not is_predictor:  # which has no such columns
        refuse_repeated(out[: sum(widths)] + others)
    labels = [attributes["_names"][position] for position in attributes["_embedded"]]
    # Vectors with as many components as there are differences of categories tell them all.
    widest = [
        _first_taken(name, width, min(n - 1, MAX_AUTO_COMPONENTS), others) if is_auto else 0
        for name, width, n, is_auto in zip(labels, widths, n_categories, are_auto)
    ]
    vocabularies = attributes["_vocabularies"]
    products = find_products(data.table, data.numeric, [v.n_codes for v in vocabularies])
    for product in products:
        for c, traits in zip(product.pair, product.traits):
            # One component more, for what a category does by itself.
            widths[c] = max(widths[c], min(widest[c], traits.shape[2] + 1))
    texts = _group_texts(estimator.text_groups, vocabularies, are_auto, data.table)
    return _Vectors(
        widths=widths,
        most=[width if is_auto else None for width, is_auto in zip(widths, are_auto)],
        widest=widest,
        texts=texts,
        group_widths=[auto_components(len(g), target.n_directions) for g in texts if g],
        products=products,
    )


def _first_taken(name, start, stop, others):
    """The first component from `start` whose name another output column has, else `stop`."""
    return next((i for i in range(start, stop) if f"{name}_{i}" in others), stop)


def _group_texts(wanted, vocabularies, are_auto, table):
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


def _set_task(estimator, data, vectors, random_state, is_asked):
    target = data.target
    table = replace(data.table, codes=append_groups(data.table.codes, vectors.of_groups))
    n_codes = [v.n_codes for v in data.attributes["_vocabularies"]]
    n_codes += [len(groups) + 1 for groups in vectors.texts if groups]
    n_counted = count_pairs(estimator, is_asked, target.n_outputs)
    counted = pairs_by_counts(table.codes, n_codes, n_counted)
    is_judged = data.fold is not None
    may_choose = is_judged and is_asked and estimator.crossed_pairs == "auto"
    candidates = learn_values(data.numeric) if may_choose else None
    spec = NetworkSpec(
        n_codes=tuple(n_codes),
        n_components=(*vectors.widths, *vectors.group_widths),
        n_numeric=table.numeric.shape[1],
        n_outputs=target.n_outputs,
        hidden_layer_sizes=read_layer_sizes(estimator.hidden_layer_sizes),
        loss=target.loss,
        dropout=estimator.dropout,
        n_tables=int(data.fold.max()) + 1 if is_judged else 1,
        quantile=estimator.quantile,
        start=start_output(target, table.mean_target()),
    )
    plans = [make_plan(estimator, table.n_rows, random_state, is_judged=is_judged)]
    if counted or (candidates is not None and len(n_codes) + len(candidates) > 1):
        plans.append(plan_of_pairs(plans[0], random_state))
    return Task(
        table=table,
        numeric=data.numeric,
        texts=vectors.texts,
        spec=spec,
        plans=plans,
        counted=counted,
        candidates=candidates,
        n_directions=target.n_directions,
        starts=start_vectors(vectors.products, table, spec.n_components),
    )


# -- what was learned ------------------------------------------------------------------------------


def _show(data, vectors, task, network):
    """The vectors as `transform` gives them, arrays of shape (n_tables, n_codes, n_components)."""
    loss = task.spec.loss
    tables = express(network, task.table, vectors.most, loss=loss, plan=task.plans[0])
    return append_effects(tables, task.table, data.numeric, vectors.of_groups, vectors.widest, loss)


def _describe(data, vectors, tables, learned):
    """The fitted attributes; `tables` are the vectors as they are shown."""
    network, predicting = learned.network, learned.predicting
    pairs, values = no_pairs(), no_values()
    if learned.crossing is not None:
        pairs, values = learned.crossing.pairs, learned.crossing.values
    read = [t[0] if len(t) == 1 else t for t in predicting.serve()]
    inner, effects = read[: len(tables)], read[len(tables) :]
    if data.table.fold is None:
        served = [t[0] for t in tables]
    else:
        codes, fold = data.table.codes, data.table.fold
        served = [mean_in_reach(t, column, fold) for t, column in zip(tables, codes.T)]
    return {
        **data.attributes,
        "target_type_": data.target.kind,
        "classes_": data.target.classes,
        "_target": vars(data.target),
        "_scaling": data.scaling,
        "_deviations": vars(data.deviations),
        "_texts": [groups and vars(groups) for groups in vectors.texts],
        **_name_vectors(served, data.n_categories),
        "n_components_": [t.shape[2] for t in tables],
        "_inner_tables": [
            None if np.array_equal(own, shown) else own for own, shown in zip(inner, served)
        ],
        "_head": predicting.head,
        "_values": vars(values),
        "_pairs": vars(pairs),
        "_pair_effects": effects,
        "history_": network.history,
        "n_epochs_": len(network.history),
    }


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
