"""A fit to a target, ``interaction="mlp"``, as a list of steps."""

import copy
from dataclasses import replace
from functools import partial

import numpy as np
from sklearn.utils import check_random_state

from ._calibration import balance, calibrate
from ._callbacks import EpochCallbacks
from ._cross_fitting import assign_folds, drop_empty_folds
from ._effects import append_effects
from ._numeric import learn_scaling, scale
from ._pairs import learn_pairs, no_pairs
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
from ._reading import (
    check_length,
    learn_columns,
    output_names,
    plain_target,
    read_weights,
    refuse_repeated,
)
from ._records import Fitted, NetworkSpec, TrainingTable
from ._responses import express
from ._target import read_target, start_output
from ._text_groups import append_groups, join_columns, learn_text_groups, tell_apart


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
    y = plain_target(y)
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
    table, scaling, numeric, fold = _lay_out(columns, encoded, weight, fold)
    n_folds = 1 if fold is None else int(fold.max()) + 1
    table = replace(table, validation=draw_validation(estimator, table.n_rows, random_state))
    names = attributes["categorical_features_"]
    n_categories = [len(c) for c in attributes["categories_"]]
    widths = resolve_components(estimator, names, n_categories, target.n_directions)
    out = output_names(
        attributes["_names"], attributes["_embedded"], widths, attributes["_numeric"]
    )
    others = out[sum(widths) :] + (target.column_names() if estimator.add_prediction else [])
    if owner is None:  # a predictor has no such columns
        refuse_repeated(out[: sum(widths)] + others)
    labels = [attributes["_names"][position] for position in attributes["_embedded"]]
    are_auto = [width == "auto" for width in wanted_components(estimator, names)]
    vocabularies = attributes["_vocabularies"]
    texts = find_text_groups(estimator.text_groups, vocabularies, are_auto, table)
    of_groups = [groups and groups.of_code for groups in texts]
    table = replace(table, codes=append_groups(table.codes, of_groups))
    grouped = [groups for groups in texts if groups]
    group_widths = [auto_components(len(groups), target.n_directions) for groups in grouped]
    n_codes = [v.n_codes for v in vocabularies] + [len(groups) + 1 for groups in grouped]
    is_asked = estimator.add_prediction or owner is not None
    pairs = learn_pairs(table.codes, n_codes, count_pairs(estimator, is_asked, target.n_outputs))
    spec = NetworkSpec(
        n_codes=tuple(n_codes),
        n_components=(*widths, *group_widths),
        n_numeric=table.numeric.shape[1],
        n_outputs=target.n_outputs,
        hidden_layer_sizes=read_layer_sizes(estimator.hidden_layer_sizes),
        loss=target.loss,
        dropout=estimator.dropout,
        n_tables=n_folds,
        quantile=estimator.quantile,
        start=start_output(target, table.mean_target()),
    )
    attributes |= {
        "target_type_": target.kind,
        "classes_": target.classes,
        "_target": vars(target),
        "_scaling": scaling,
        "_texts": [groups and vars(groups) for groups in texts],
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

    def shown_tables(network):
        most = [width if is_auto else None for width, is_auto in zip(widths, are_auto)]
        tables = express(network, table, most, loss=spec.loss, plan=plans[0])
        # Vectors with as many components as there are differences of categories tell them all.
        widest = [
            _first_taken(name, width, min(n - 1, MAX_AUTO_COMPONENTS), others) if is_auto else 0
            for name, width, n, is_auto in zip(labels, widths, n_categories, are_auto)
        ]
        return append_effects(tables, table, numeric, of_groups, widest, spec.loss)

    def describe_owner(*networks):
        embedder = copy.copy(estimator)
        # A predictor is asked for predictions, which need no other vectors than the network's.
        tables = shown_tables(networks[0]) if owner is estimator else networks[0].tables
        embedder.__dict__.update(describe(tables, *networks), _cache={})
        return owner._fitted_attributes(embedder)

    data = (X, y, sample_weight)
    n_epochs = sum(plan.max_epochs << plan.n_doublings for plan in plans)
    with EpochCallbacks(owner, describe_owner, n_epochs, data) as on_epoch:
        networks = _train(table, spec, plans, pairs, texts, on_epoch)
    losses = [network.validation_loss for network in networks]
    if estimator.crossed_pairs == "auto" and losses[-1] > losses[0]:
        networks.pop()  # what pairs tell beyond the vectors is noise
    tables = shown_tables(networks[0])
    return Fitted(columns, fold, networks[-1], tables, describe(tables, *networks))


def _first_taken(name, start, stop, others):
    """The first component from `start` whose name another output column has, else `stop`."""
    return next((i for i in range(start, stop) if f"{name}_{i}" in others), stop)


def _lay_out(columns, encoded, weight, fold):
    """The rows to train on, those of some weight.

    Returns
    -------
    table : TrainingTable
    scaling : dict
        Of the numbers, as `scale` takes it.
    numeric : ndarray of shape (n_used, n_numeric), float32
        The numbers as they came.
    fold : ndarray of shape (n_rows,) or None
        Of all rows; None if there are not two with something to train on.
    """
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
    return table, scaling, numeric, fold


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

    on_epoch.finish = partial(_finish, table=table, loss=spec.loss, texts=texts)
    network = on_epoch.finish(train(table, spec, plans[0], on_epoch))
    if not len(pairs) or network.interrupted:
        return [network]
    own_codes = table.codes[:, : len(network.tables)]
    table = replace(table, codes=np.hstack([own_codes, pairs.encode(table.codes)]))
    spec = replace(
        spec,
        n_codes=(*(t.shape[1] for t in network.tables), *pairs.n_codes),
        n_components=(*(t.shape[2] for t in network.tables), *[1] * len(pairs)),
    )
    on_epoch.so_far = [network]
    on_epoch.finish = partial(_finish, table=table, loss=spec.loss)
    of_pairs = on_epoch.finish(train(table, spec, plans[1], on_epoch, fixed=network.tables))
    return [network] if of_pairs.interrupted else [network, of_pairs]


def _finish(network, table, loss, texts=None):
    """What is done to a network after its training, and to what callbacks see of it."""
    if texts is not None:
        network = join_columns(network, texts)
    if table.fold is not None and loss in ("log_loss", "cross_entropy"):
        network = calibrate(network, table, loss)
    return balance(network, table, loss)


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
