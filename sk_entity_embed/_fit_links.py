"""A fit of pairs, ``interaction="dot"``, as a list of steps."""

import numpy as np
from sklearn.utils import check_random_state, column_or_1d

from ._callbacks import EpochCallbacks
from ._links_records import LinkPairs, LinkSpec, link_matrix
from ._plan import draw_seed, resolve_components, resolve_device, wanted_components
from ._reading import check_length, learn_columns, plain_target, read_weights
from ._records import Fitted
from ._target import infer_type, refuse_missing

AUTO_LINK_COMPONENTS = 50


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
    pairs = _read_pairs(estimator, columns, attributes, y, sample_weight)
    spec = LinkSpec(
        n_components=_resolve_link_components(
            estimator, attributes, max(pairs.n_left, pairs.n_right)
        ),
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

    from ._torch import train_links

    bound = None if estimator.max_epochs == "auto" else estimator.max_epochs
    with EpochCallbacks(estimator, None, bound, (X, y, sample_weight)) as on_epoch:
        trained = train_links(
            pairs,
            spec,
            seed=seed,
            device=resolve_device(estimator.device),
            on_epoch=lambda _, record: on_epoch(record),
        )
    return Fitted(columns, attributes=attributes | _describe(attributes, pairs, trained))


def _read_pairs(estimator, columns, attributes, y, sample_weight):
    """The pairs to learn from, checked."""
    names = attributes["categorical_features_"]
    if columns.codes.shape[1] != 2 or columns.numeric.shape[1]:
        raise ValueError(
            "interaction='dot' learns from pairs: expected X with two categorical columns and no others, got "
            f"{len(names)} categorical {names} and {columns.numeric.shape[1]} numeric. Select two columns; what is "
            "known of each pair, such as a rating, goes into y."
        )
    weight = read_weights(sample_weight, columns.codes)
    # A pair with an infrequent entity teaches nothing about either.
    known = columns.codes.all(axis=1)
    if weight is not None:
        known &= weight > 0
    if not known.any():
        raise ValueError(
            "No pair is left to learn from: every row holds a category rarer than min_frequency or has weight 0. "
            "Lower min_frequency."
        )
    value, kind = _read_link_values(estimator, y, known)
    n_left, n_right = (len(c) for c in attributes["categories_"])
    return LinkPairs(
        left=columns.codes[known, 0] - 1,
        right=columns.codes[known, 1] - 1,
        value=value,
        weight=None if weight is None else weight[known].astype(np.float32),
        n_left=n_left,
        n_right=n_right,
        kind=kind,
    )


def _describe(attributes, pairs, trained):
    """The fitted attributes that training gives, besides those of the columns."""
    vectors, unknown = [trained.left_vectors, trained.right_vectors], []
    for table, rows, counts in zip(vectors, (pairs.left, pairs.right), attributes["counts_"]):
        is_linked = np.bincount(rows, minlength=len(table)) > 0
        # An entity without a link that is known: the mean over the training rows, the best guess without any fact.
        mean = np.average(table, axis=0, weights=np.where(is_linked, counts, 0)).astype(np.float32)
        table[~is_linked] = mean
        unknown.append(mean)
    return {
        "target_type_": pairs.kind,
        "classes_": None,
        "n_components_": [v.shape[1] for v in vectors],
        "embeddings_": vectors,
        "unknown_vectors_": unknown,
        "_group_vectors": [v[:0] for v in vectors],
        "biases_": [trained.left_bias, trained.right_bias],
        "intercept_": trained.intercept,
        "solver_": trained.solver,
        "loss_": trained.loss,
        "history_": [{"epoch": r["epoch"] + 1, "loss": r["loss"]} for r in trained.history],
        "n_epochs_": trained.n_epochs,
        "_fold_in": [
            {
                "confidence": trained.confidence,
                "negative_weight": negative_weight,
                "ridge": ridge,
                "ridge_power": trained.ridge_power,
            }
            for negative_weight, ridge in (
                (trained.negative_weight, trained.ridge),
                (trained.right_negative_weight, trained.right_ridge),
            )
        ],
        "_links": _kept_links(pairs, trained) if trained.solver == "exact" else None,
    }


def _resolve_link_components(estimator, attributes, n_categories):
    """Width of the vectors of both columns of pairs; one that is not given is as wide as the other."""
    widths = resolve_components(estimator, attributes, [n_categories] * 2)
    wanted = wanted_components(estimator, attributes)
    given = [width for width, asked in zip(widths, wanted) if asked != "auto"]
    if not given:
        return min(AUTO_LINK_COMPONENTS, n_categories)
    if given[0] != given[-1]:
        raise ValueError(
            f"interaction='dot' multiplies the vectors of a pair, so both columns need the same n_components, got "
            f"{dict(zip(attributes['categorical_features_'], given))}."
        )
    return given[0]


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


def _read_link_values(estimator, y, known):
    """Values of the pairs that are learned from and what they mean: links, links and non-links, or ratings.

    Other pairs have no say: a row of weight 0 is like none.
    """
    if y is None:
        return None, "links"
    y = column_or_1d(plain_target(y))
    check_length(y, len(known))
    refuse_missing(y)
    y = y[known]
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
    if not set(np.unique(y)) <= {low, high}:
        raise ValueError(
            f"target_type='binary' needs a y of two values, non-links and links, got others between {low:g} and "
            f"{high:g}. Set target_type='continuous' for ratings."
        )
    if high <= 0:
        raise ValueError(
            f"y has no link: no value is above {high:g}, rows of weight 0 or with a category rarer than min_frequency "
            "left aside. Expected a 1, or target_type='continuous' for ratings."
        )
    if low == high:
        return None, "links"
    return (y == high).astype(np.float32), "binary"
