"""What "auto" means: how wide vectors are, and how to train."""

from dataclasses import replace
from numbers import Integral

import numpy as np

from ._pairs import MAX_PAIRS
from ._records import TrainingPlan

MAX_AUTO_COMPONENTS = 10
MAX_DOUBLINGS = 5
# Where the unknown vectors of pairs that residuals chose start; the others start near zero. So a body can tell
# combinations that were never seen from those seen once or twice, whose vectors have not moved far. For pairs chosen by
# their counts that costs .003 to .01 on amazon, flights and Rossmann.
UNKNOWN_START = 0.3
MAX_VISITS = 1 << 26  # rows times epochs that doubling may come to: minutes


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


def wanted_components(estimator, attributes):
    """What `n_components` asks for each embedded column, "auto" where it does not name the column."""
    names, wanted = attributes["categorical_features_"], estimator.n_components
    if not isinstance(wanted, dict):
        return [wanted] * len(names)
    name_of_position = dict(zip(attributes["_embedded"], names))
    wanted = {name_of_position.get(key, key): width for key, width in wanted.items()}
    unknown = [key for key in wanted if key not in names]
    if unknown:
        raise ValueError(
            f"n_components names {unknown}, which are no embedded columns. Expected keys among {names}, or positions."
        )
    return [wanted.get(name, "auto") for name in names]


def resolve_components(estimator, attributes, n_categories, n_directions=1):
    """Width of each embedded column."""
    names, wanted = attributes["categorical_features_"], wanted_components(estimator, attributes)
    widths = []
    for name, n, width in zip(names, n_categories, wanted):
        if width == "auto":
            widths.append(auto_components(n, n_directions))
        elif isinstance(width, Integral) and not isinstance(width, bool) and width >= 1:
            widths.append(int(max(1, min(width, n))))
        else:
            raise ValueError(
                f"n_components of column {name!r} must be an int >= 1 or 'auto', got {width!r}."
            )
    return widths


def read_layer_sizes(sizes):
    """Widths of the dense layers as a tuple."""
    array = np.atleast_1d(sizes)
    if array.size and (array.ndim > 1 or array.dtype.kind not in "iu" or array.min() < 1):
        raise ValueError(
            f"hidden_layer_sizes must hold integers >= 1, such as (128, 64), got {sizes!r}."
        )
    return tuple(array.tolist())


def count_pairs(estimator, is_asked, n_outputs):
    """How many pairs of columns are crossed by their counts; `is_asked`: the network's prediction is wanted.

    Without folds their effects would learn the labels of their rows by heart. And an effect is one number, which cannot
    say for which of several outputs it is: on shelter animals, five classes, pairs cost .01 log-loss. What residuals
    choose comes on top of that.
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
        device=resolve_device(estimator.device),
    )


def plan_of_pairs(plan, random_state):
    """How to train the effects of crossed pairs and a body above them, with the vectors as they are.

    Trained at the same time, the effects take from the vectors what these would otherwise say, and nearest neighbours
    get worse. Half the epochs are enough (within .001 on three data sets).
    """
    return replace(plan, max_epochs=-(-plan.max_epochs // 2), seed=draw_seed(random_state))


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


def draw_validation(estimator, n_rows, random_state):
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


def draw_seed(random_state):
    """An int that seeds one thing."""
    return int(random_state.randint(np.iinfo(np.int32).max))


def resolve_device(device):
    from ._torch import resolve_device

    return resolve_device(device)
