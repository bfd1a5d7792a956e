"""What y means: its kind, what the loss compares with, and the way back from raw outputs to predictions."""

import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy import special
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import assert_all_finite, check_array, column_or_1d
from sklearn.utils.multiclass import type_of_target

from ._native import is_missing

# The scale of "quantile" in standard deviations that the quartiles tell: ordinary targets keep their own.
_MOST_DEVIATIONS = 2.0
_MANY_CLASSES = 50  # numeric labels from which a warning asks whether they are amounts
# Of each loss whose raw outputs are not means themselves, the means that they stand for.
_MEANS = {
    "log_loss": special.expit,
    "cross_entropy": partial(special.softmax, axis=1),
    "poisson": np.exp,
}
_KINDS = {
    "continuous": "continuous",
    "continuous-multioutput": "continuous",
    "multiclass-multioutput": "continuous",
    "binary": "binary",
    "multiclass": "multiclass",
    "multilabel-indicator": "multilabel",
}
_LOSSES = {
    "continuous": ("squared_error", "poisson", "quantile"),
    "binary": ("log_loss",),
    "multiclass": ("cross_entropy",),
    "multilabel": ("log_loss",),
}


def mean_of(loss):
    """The function from raw outputs, of shape (n_rows, n_outputs), to the means that they stand for under a loss."""
    return _MEANS.get(loss, np.asarray)


@dataclass(frozen=True)
class Target:
    """A learned reading of y.

    Attributes
    ----------
    kind : {"continuous", "binary", "multiclass", "multilabel"}
    loss : {"squared_error", "poisson", "quantile", "log_loss", "cross_entropy"}
    classes : ndarray of shape (n_classes,) or None
        Sorted labels of binary and multiclass targets.
    mean, scale : ndarray of shape (n_outputs,)
        Of continuous targets; 0 and 1 for the others. The scale is the standard deviation, for "quantile" at most
        twice that of a normal distribution of the same quartiles, and 0 for a constant.
    n_outputs : int
        Columns of the network's raw output.
    one_dimensional : bool
        Whether y had one dimension.
    """

    kind: str
    loss: str
    classes: np.ndarray | None
    mean: np.ndarray
    scale: np.ndarray
    n_outputs: int
    one_dimensional: bool

    @property
    def n_directions(self):
        """In how many directions a prediction can move: the share of the last of several classes is what is left."""
        return self.n_outputs - (self.kind == "multiclass")

    def predict(self, raw):
        """Predictions in the units of y: numbers, or probabilities of shape (n_rows, n_classes).

        Parameters
        ----------
        raw : ndarray of shape (n_rows, n_outputs)

        Returns
        -------
        prediction : ndarray
            Multilabel: the probability of each label.
        """
        means = mean_of(self.loss)(np.asarray(raw, dtype=np.float64))
        if self.kind == "continuous":
            prediction = means * self.scale + self.mean
            return prediction[:, 0] if self.one_dimensional else prediction
        return np.hstack([1 - means, means]) if self.kind == "binary" else means

    def contrasts(self, raw):
        """Raw outputs that compare from row to row: those of several classes less their mean, others as they are."""
        if self.kind == "multiclass":
            return raw - raw.mean(axis=1, keepdims=True)
        return raw

    def as_columns(self, contrasts):
        """Predictions as features for another model: numbers in the units of y, or log-odds.

        Parameters
        ----------
        contrasts : ndarray of shape (n_rows, n_outputs)

        Returns
        -------
        columns : ndarray of shape (n_rows, n_outputs), float32
        """
        if self.kind == "continuous":
            contrasts = self.predict(contrasts).reshape(contrasts.shape)
        return contrasts.astype(np.float32)

    def column_names(self):
        """Names of what `as_columns` gives."""
        if self.n_outputs == 1:
            return ["prediction"]
        labels = range(self.n_outputs) if self.classes is None else self.classes
        return [f"prediction_{label}" for label in labels]


def read_target(y, *, target_type="auto", loss="auto", quantile=0.5, sample_weight=None):
    """Decide what y means and encode it.

    Parameters
    ----------
    y : array-like of shape (n_rows,) or (n_rows, n_outputs)
    target_type : {"auto", "continuous", "binary", "multiclass", "multilabel"}
        "auto" follows scikit-learn's ``type_of_target``: whole numbers are classes.
    loss : str
        "auto" or a loss that fits the kind of target.
    quantile : float
        Where "quantile" starts.
    sample_weight : ndarray of shape (n_rows,) or None

    Returns
    -------
    target : Target
    encoded : ndarray of shape (n_rows, n_outputs), float32

    Raises
    ------
    ValueError
        If y holds NaN or infinity, or does not fit `target_type` or `loss`.
    """
    refuse_missing(y)
    kind = target_type
    inferred = None if kind == "continuous" else infer_type(y)
    if kind == "auto":
        if inferred not in _KINDS:
            raise ValueError(
                f"Unknown label type: {inferred!r}. Expected y to be real, binary, multiclass or a multilabel "
                "indicator; give target_type to choose."
            )
        if inferred == "multiclass-multioutput" and np.asarray(y).dtype.kind not in "biuf":
            raise ValueError(
                f"y has {np.shape(y)[1]} columns of labels that are no numbers. Expected one column of classes, a "
                "multilabel indicator of 0 and 1, or numbers; fit an embedder for each column."
            )
        kind = _KINDS[inferred]
        _warn_of_many_classes(y, kind)
    elif kind == "binary" and inferred != "binary":
        raise ValueError(f"target_type='binary' needs a y of two classes, got {inferred!r}.")
    elif kind == "multiclass" and inferred == "continuous":
        raise ValueError(
            "target_type='multiclass' needs a y of classes, got 'continuous' numbers. Set target_type='continuous' to "
            "predict them, or turn them into labels, for example with astype(str)."
        )
    elif kind == "multilabel" and inferred != "multilabel-indicator":
        raise ValueError(
            "target_type='multilabel' needs a y of shape (n_samples, n_labels) that holds only 0 and 1, "
            f"got {inferred!r}."
        )
    if kind == "multilabel":
        _check_indicator(y)
    if loss == "auto":
        loss = _LOSSES[kind][0]
    elif loss not in _LOSSES[kind]:
        raise ValueError(
            f"loss={loss!r} does not fit a {kind} target, expected one of {_LOSSES[kind]} or 'auto'. "
            "If whole numbers are meant as numbers, set target_type='continuous'."
        )
    if kind in ("binary", "multiclass"):
        return _read_classes(y, kind, loss)
    return _read_numbers(y, kind, loss, quantile, sample_weight)


def infer_type(y):
    """scikit-learn's ``type_of_target``, without NumPy's warning of very large numbers."""
    with np.errstate(invalid="ignore"):  # it casts numbers to integers, however large they are
        return type_of_target(y, input_name="y")


def plain_labels(y):
    """Numbers or booleans in a list or an object array as an array of their type; anything else as it is.

    Parameters
    ----------
    y : array-like

    Returns
    -------
    y : array-like

    Raises
    ------
    TypeError
        If strings stand among values of other types.
    """
    if type(y).__module__.startswith("pyarrow"):
        y = y.to_pandas()
    elif isinstance(y, (list, tuple)):
        y = np.array(y, dtype=object)  # as an array of strings it would hide what is missing
    cells = y.to_numpy() if hasattr(y, "to_numpy") else y
    if not isinstance(cells, np.ndarray) or cells.dtype.kind != "O":
        return y
    kind = pd.api.types.infer_dtype(np.ravel(cells), skipna=False)
    if kind in ("integer", "floating", "boolean", "mixed-integer-float", "decimal"):
        return np.array(cells.tolist(), dtype=float if kind == "decimal" else None)
    present = [cell for cell in np.ravel(cells) if not is_missing(cell)]
    types = sorted({"str" if isinstance(c, str) else type(c).__name__ for c in present})
    if len(types) > 1 and "str" in types:
        raise TypeError(
            f"y must hold strings only or numbers only, got cells of types {types}. Convert them to one type, for "
            "example with astype(str)."
        )
    return y


def refuse_missing(y):
    """Raise scikit-learn's error for NaN or infinity in y, and the like for None among labels and NaT among times.

    Before ``type_of_target``, which would warn of a bad cast first.
    """
    y = np.asarray(y)
    if y.dtype.kind in "OmM" and pd.isna(y).any():
        raise ValueError("Input y contains NaN or None. Drop these rows, or name the class.")
    assert_all_finite(y, input_name="y")


def start_output(target, mean):
    """Raw output that predicts the mean of the target, where training starts.

    Parameters
    ----------
    target : Target
    mean : ndarray of shape (n_outputs,)
        Of the encoded target.

    Returns
    -------
    start : tuple of float
        One a column of the raw output.
    """
    if target.kind == "continuous":
        return (0.0,) * target.n_outputs
    share = mean.clip(1e-4, 1 - 1e-4)
    odds = np.log(share) if target.kind == "multiclass" else special.logit(share)
    return tuple(float(x) for x in odds)


def _check_indicator(y):
    """Raise if a multilabel y holds other labels than 0 and 1: scikit-learn's type has any two whole numbers."""
    labels = np.unique(y)
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(
            f"A y of several columns of two labels must hold 0 and 1, got {labels.tolist()}. Encode the labels as 0 "
            "and 1, for example with (y == label).astype(int); numbers to predict need target_type='continuous'."
        )


def _warn_of_many_classes(y, kind):
    """Numbers such as prices or counts are easily taken for classes."""
    if kind != "multiclass" or np.asarray(y).dtype.kind not in "iuf":
        return
    n_classes = len(np.unique(y))
    if n_classes > _MANY_CLASSES:
        warnings.warn(
            f"y holds {n_classes} different whole numbers and is taken for as many classes. If they are amounts, set "
            "target_type='continuous'; if they are labels, target_type='multiclass' ends this warning.",
            UserWarning,
            stacklevel=2,
        )


def _read_classes(y, kind, loss):
    encoder = LabelEncoder().fit(column_or_1d(y))
    codes, classes = encoder.transform(column_or_1d(y)), encoder.classes_
    if kind == "binary" and len(classes) == 1:  # one class: learn that it always comes
        encoded = np.ones((len(codes), 1), dtype=np.float32)
    elif len(classes) == 2 and kind == "binary":
        encoded = codes[:, None].astype(np.float32)
    else:
        encoded = np.zeros((len(codes), len(classes)), dtype=np.float32)
        encoded[np.arange(len(codes)), codes] = 1
    n_outputs = encoded.shape[1]
    target = Target(kind, loss, classes, np.zeros(n_outputs), np.ones(n_outputs), n_outputs, True)
    return target, encoded


def _weighted_quantile(values, quantile, weight):
    """The quantile of each column, of rows that count by their weight."""
    if weight is not None:
        values, weight = values[weight > 0], weight[weight > 0]
    if weight is None or np.ptp(weight) == 0:
        return np.quantile(values, quantile, axis=0)
    order = np.argsort(values, axis=0)
    below = np.cumsum(weight[order], axis=0)
    place = np.sum(below < quantile * below[-1], axis=0)
    return np.take_along_axis(values, np.take_along_axis(order, place[None], 0), 0)[0]


def _read_numbers(y, kind, loss, quantile, sample_weight):
    try:
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
    except ValueError as error:
        if not any(isinstance(cell, str) for cell in np.ravel(y)):
            raise
        raise ValueError(
            f"A {kind} target needs a y of numbers: {error}. Convert the texts to numbers; classes need a classifier "
            "or target_type='auto'."
        ) from error
    one_dimensional = y.ndim == 1
    values = y.reshape(len(y), -1)
    n_outputs = values.shape[1]
    mean, scale = np.zeros(n_outputs), np.ones(n_outputs)
    if kind == "continuous":
        center = np.average(values, axis=0, weights=sample_weight)
        if loss == "poisson":
            if values.min() < 0 or not np.all(center > 0):
                raise ValueError(
                    "loss='poisson' needs y >= 0 with a positive mean, got a smallest value of "
                    f"{values.min():g} and a mean of {center.min():g}. Use loss='squared_error' otherwise."
                )
            scale = center
        else:
            apart = values - center
            largest = np.abs(apart).max(axis=0)
            largest[largest == 0] = 1.0
            # Of numbers near 1: the squares of very large and very small ones leave the range of floats.
            variance = np.average((apart / largest) ** 2, axis=0, weights=sample_weight)
            spread = largest * np.sqrt(variance)
            if loss == "quantile":
                # As quantiles, the scale must not follow a few outliers: beside them all others would look alike.
                center, low, high = (
                    _weighted_quantile(values, q, sample_weight) for q in (quantile, 0.25, 0.75)
                )
                most = np.where(high > low, _MOST_DEVIATIONS * (high - low) / 1.349, np.inf)
                spread = np.minimum(spread, most)
            # A constant y, up to rounding, has nothing to scale, and is predicted as it is.
            constant = spread <= 1e-12 * np.maximum(np.abs(center), 1e-300)
            scale = np.where(constant, 0.0, spread)
            values = np.where(constant, center, values)
            mean = center
    encoded = (values - mean) / np.where(scale == 0, 1.0, scale)
    return Target(kind, loss, None, mean, scale, n_outputs, one_dimensional), encoded.astype(
        np.float32
    )
