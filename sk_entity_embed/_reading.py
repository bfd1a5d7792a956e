"""What a fit is given, as arrays: X as codes and numbers, y and weights checked."""

from collections import Counter

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import validate_data

from ._columns import as_floats, read_table, select_categorical
from ._records import Columns
from ._text_groups import TextGroups
from ._validation import check_sample_weight
from ._vocabulary import Vocabulary


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
    vocabularies, codes = [], np.empty((table.n_rows, len(embedded)), np.int32)
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
    columns = Columns(codes, _read_numbers(table, numeric))
    return columns, {**attributes, "_number_type": columns.numeric.dtype.name}


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
    return Columns(codes, _read_numbers(table, estimator._numeric, estimator._number_type))


def _read_numbers(table, positions, dtype=None):
    """The numeric columns as one array.

    `dtype` is None in training: float32, or float64 if that would change a whole number, such as a date (20150731), a
    time in seconds or a long code.
    """
    numeric = np.empty((table.n_rows, len(positions)), dtype=dtype or np.float32)
    for j, position in enumerate(positions):
        label = table.label(position)
        numbers = as_floats(table.column(position), label)
        with np.errstate(over="ignore"):
            single = numbers.astype(np.float32)
        if np.isinf(single).any():
            raise ValueError(
                f"Input X contains infinity or a value too large for dtype('float32') in column {label!r}. "
                "Replace it with a number or NaN."
            )
        if dtype is None and numeric.dtype == np.float32 and _is_rounded(numbers, single):
            numeric = numeric.astype(np.float64)
        numeric[:, j] = single if numeric.dtype == np.float32 else numbers
    return numeric


def _is_rounded(numbers, single):
    """Whether a whole number is another in single precision."""
    return bool(((numbers != single) & (numbers == np.rint(numbers))).any())


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


def plain_target(y):
    """The target as an array, whatever frame it comes from; classes keep their type."""
    if issparse(y):  # a multilabel indicator
        return y.toarray()
    array = y.to_numpy() if hasattr(y, "to_numpy") else np.asarray(y)
    if array.ndim == 0:
        raise ValueError(f"Expected y with a value for each row of X, got {y!r}.")
    return array


def check_length(y, n_rows):
    """Raise scikit-learn's error for a y of another length."""
    if len(y) != n_rows:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: [{n_rows}, {len(y)}]"
        )


def read_weights(sample_weight, X_like):
    """Sample weights as float64, or None; refuses negative ones and all zeros."""
    if sample_weight is None:
        return None
    weight = check_sample_weight(sample_weight, X_like, dtype=np.float64, ensure_non_negative=True)
    if not weight.any():
        raise ValueError("sample_weight is zero for every row; at least one must be positive.")
    return weight
