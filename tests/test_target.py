"""What y means, how it is encoded, and the way back."""

import numpy as np
import pandas as pd
import pytest
from scipy import special

from sk_entity_embed._records import TrainingTable
from sk_entity_embed._target import read_target, start_output


@pytest.mark.parametrize(
    ("y", "kind", "n_outputs"),
    [
        ([0.5, 1.5, 2.5], "continuous", 1),
        ([[0.5, 1.0], [1.5, 2.0]], "continuous", 2),
        ([[0, 5], [3, 2]], "continuous", 2),
        ([1, 0, 1], "binary", 1),
        ([True, False], "binary", 1),
        (["no", "yes", "no"], "binary", 1),
        ([3, 1, 2, 1], "multiclass", 3),
        (["a", "b", "c"], "multiclass", 3),
        ([[0, 1, 1], [1, 0, 1]], "multilabel", 3),
    ],
)
def test_auto_follows_type_of_target(y, kind, n_outputs):
    """The kind is scikit-learn's; several whole numbers a row are numbers."""
    target, encoded = read_target(np.asarray(y))
    assert target.kind == kind
    assert encoded.shape == (len(y), n_outputs)
    assert encoded.dtype == np.float32


def test_whole_numbers_are_numbers_if_told():
    """Ratings of 1 to 5 are no classes."""
    y = np.array([1, 5, 3, 3])
    target, encoded = read_target(y, target_type="continuous")
    assert target.classes is None
    np.testing.assert_allclose(target.predict(encoded), y, rtol=1e-6)


@pytest.mark.parametrize("shape", [(50,), (50, 1), (50, 3)])
@pytest.mark.parametrize("loss", ["squared_error", "quantile"])
def test_numbers_are_standardised_and_come_back(shape, loss):
    """Dollars of 1e5 and fractions of 1e-3 train alike, and predictions have the shape of y."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=shape) * 1e5 + 4e5
    target, encoded = read_target(y, target_type="continuous", loss=loss)
    np.testing.assert_allclose(encoded.std(axis=0), 1, rtol=1e-5)
    if loss == "squared_error":
        np.testing.assert_allclose(encoded.mean(axis=0), 0, atol=1e-5)
    back = target.predict(encoded)
    assert back.shape == shape
    assert back.dtype == np.float64
    np.testing.assert_allclose(back, y, rtol=1e-5)


def test_weights_count_in_the_standardising():
    """A row of weight 2 counts as two rows."""
    y, weight = np.array([1.0, 4.0, 10.0]), np.array([2.0, 1.0, 0.0])
    weighted, _ = read_target(y, target_type="continuous", sample_weight=weight)
    repeated, _ = read_target(np.array([1.0, 1.0, 4.0]), target_type="continuous")
    np.testing.assert_allclose(weighted.mean, repeated.mean)
    np.testing.assert_allclose(weighted.scale, repeated.scale)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_weights_count_in_the_quantile(quantile):
    """Training starts where rows of weight zero would have it if they were not there."""
    rng = np.random.default_rng(0)
    y = np.concatenate([rng.normal(size=(200, 2)), np.full((50, 2), 1e6)])
    settings = {"target_type": "continuous", "loss": "quantile", "quantile": quantile}
    weighted, _ = read_target(y, sample_weight=np.repeat([2.0, 0.0], [200, 50]), **settings)
    plain, _ = read_target(y[:200], **settings)
    np.testing.assert_allclose(weighted.mean, plain.mean)
    np.testing.assert_allclose(weighted.scale, plain.scale)
    repeats = rng.integers(1, 4, 200)
    weighted, _ = read_target(y[:200], sample_weight=repeats.astype(float), **settings)
    repeated, _ = read_target(np.repeat(y[:200], repeats, axis=0), **settings)
    # Within the gap between two rows: only the quantile of unweighted rows lies in between.
    np.testing.assert_allclose(weighted.mean, repeated.mean, atol=0.1)


@pytest.mark.parametrize("weight", [None, np.linspace(1, 2, 101)])
def test_an_outlier_does_not_squeeze_what_quantiles_are_learned_from(weight):
    """A median hardly moves with it, and the scale no more than twice; where most are one value, all tell it."""
    y = np.linspace(0, 1, 101)
    wild = np.append(y[:-1], 1e20)
    settings = {"target_type": "continuous", "loss": "quantile", "sample_weight": weight}
    others, expected = read_target(wild, **settings)[1], read_target(y, **settings)[1]
    ratio = np.ptp(others[:-1]) / np.ptp(expected[:-1])
    assert 0.3 < ratio <= 1
    rare = np.append(np.zeros(90), np.ones(11))
    assert read_target(rare, **settings)[0].scale == pytest.approx(rare.std(), rel=0.3)


@pytest.mark.parametrize("value", [0.0, 3.5, -1e-300, 1e30])
def test_constant_numbers_do_not_divide_by_zero(value):
    """A y without spread is encoded as zeros."""
    target, encoded = read_target(np.full(7, value), target_type="continuous")
    assert not encoded.any()
    np.testing.assert_allclose(target.predict(encoded + 0.1), np.full(7, value), rtol=1e-15)


@pytest.mark.parametrize("size", [1e-170, 1e-30, 1e30, 1e300])
def test_numbers_of_any_size_are_standardised(size):
    """Squares of them leave the range of floats; nothing warns."""
    y = np.random.default_rng(0).normal(size=50)
    target, encoded = read_target(y * size)
    plain, expected = read_target(y)
    np.testing.assert_allclose(encoded, expected, rtol=1e-5)
    np.testing.assert_allclose(target.predict(encoded) / size, plain.predict(expected))


def test_poisson_predicts_through_a_log_link():
    """The raw output is the logarithm of the mean, over the mean of y."""
    y = np.array([0.0, 1.0, 5.0, 2.0])
    target, encoded = read_target(y, target_type="continuous", loss="poisson")
    np.testing.assert_allclose(encoded[:, 0] * y.mean(), y)
    np.testing.assert_allclose(target.predict(np.zeros((1, 1))), [y.mean()])
    np.testing.assert_allclose(target.predict(np.full((1, 1), np.log(3))), [3 * y.mean()])


@pytest.mark.parametrize("y", [[-1.0, 2.5], [0.0, 0.0]])
def test_poisson_refuses_what_is_no_count(y):
    """Negative numbers, or nothing but zeros, have no log link."""
    with pytest.raises(ValueError, match=r"loss='poisson' needs y >= 0 with a positive mean"):
        read_target(np.array(y), target_type="continuous", loss="poisson")


@pytest.mark.parametrize("labels", [["x", "y"], [False, True], [-1, 1], [7, 9]])
def test_two_labels_are_one_log_odds(labels):
    """The second label in sorted order is the positive one."""
    y = np.array(labels)[[0, 1, 1, 0]]
    target, encoded = read_target(y)
    np.testing.assert_array_equal(encoded[:, 0], [0, 1, 1, 0])
    np.testing.assert_array_equal(target.classes, labels)
    np.testing.assert_allclose(target.predict(np.array([[np.log(3)]])), [[0.25, 0.75]])


def test_several_labels_are_a_softmax():
    """Probabilities in the order of the sorted labels; features are centred log-odds."""
    target, encoded = read_target(np.array(["b", "c", "a", "b"]))
    np.testing.assert_array_equal(encoded, np.eye(3)[[1, 2, 0, 1]])
    raw = np.array([[1.0, 2.0, 6.0]])
    np.testing.assert_allclose(target.predict(raw), special.softmax(raw, axis=1))
    np.testing.assert_allclose(target.as_columns(target.contrasts(raw)), [[-2.0, -1.0, 3.0]])
    assert target.column_names() == ["prediction_a", "prediction_b", "prediction_c"]


def test_one_class_is_learned_as_certain():
    """A y of one label trains towards it instead of failing."""
    target, encoded = read_target(np.array(["only"] * 3))
    assert target.kind == "binary"
    np.testing.assert_array_equal(encoded, np.ones((3, 1)))
    assert target.classes.tolist() == ["only"]


def test_labels_of_an_indicator_are_independent():
    """Each column of a multilabel indicator is a probability of its own."""
    target, _ = read_target(np.array([[0, 1], [1, 1], [0, 0]]))
    np.testing.assert_allclose(target.predict(np.array([[0.0, np.log(3)]])), [[0.5, 0.75]])
    assert target.column_names() == ["prediction_0", "prediction_1"]


@pytest.mark.parametrize(
    ("y", "weight"),
    [
        (np.array([0.5, 2.5, 9.0]), None),
        (np.array([0, 1, 1, 1]), None),
        (np.array(["a", "b", "c", "a"]), None),
        (np.array(["a", "b", "c", "a"]), np.array([1.0, 1.0, 1.0, 3.0])),
        (np.array([[0, 1], [1, 1], [0, 1], [1, 0]]), None),
    ],
)
def test_training_starts_at_the_mean(y, weight):
    """The first prediction is the mean of y, or the share of each class."""
    target, encoded = read_target(y)
    codes, numeric = np.ones((len(y), 1), np.int32), np.empty((len(y), 0), np.float32)
    table = TrainingTable(codes, numeric, encoded, weight=weight)
    start = np.array([start_output(target, table.mean_target())])
    expected = np.average(encoded, axis=0, weights=weight)
    if target.kind == "continuous":
        expected = np.array([y.mean()])
    elif target.kind == "binary":
        expected = np.array([1 - expected[0], expected[0]])
    np.testing.assert_allclose(np.ravel(target.predict(start)), expected, rtol=1e-3)


@pytest.mark.parametrize("target_type", ["auto", "continuous"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_missing_numbers_are_refused(target_type, bad):
    """NaN and infinity in y, in scikit-learn's words."""
    with pytest.raises(ValueError, match=r"Input y contains (NaN|infinity)"):
        read_target(np.array([1.0, bad, 2.0]), target_type=target_type)


@pytest.mark.parametrize("dtype", [str, object])
def test_texts_are_no_numbers(dtype):
    """Labels where numbers are asked for; texts of numbers are numbers, as in scikit-learn."""
    with pytest.raises(ValueError, match=r"needs a y of numbers: could not convert .*low"):
        read_target(np.array(["low", "high"], dtype), target_type="continuous")
    _, encoded = read_target(np.array(["1.5", "2.5"], dtype), target_type="continuous")
    np.testing.assert_allclose(encoded.ravel(), [-1, 1])


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_missing_labels_are_refused(missing):
    """A label that is not there is no class."""
    with pytest.raises(ValueError, match="Input y contains NaN or None"):
        read_target(np.array(["a", missing, "b"], dtype=object))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"target_type": "binary"}, "needs a y of two classes, got 'multiclass'"),
        ({"target_type": "multilabel"}, r"needs a y of shape \(n_samples, n_labels\)"),
        ({"loss": "poisson"}, r"does not fit a multiclass target.*target_type='continuous'"),
        ({"target_type": "continuous", "loss": "log_loss"}, "does not fit a continuous target"),
    ],
)
def test_a_kind_or_loss_that_does_not_fit_is_refused(settings, match):
    """What was asked for and what came are both named."""
    with pytest.raises(ValueError, match=match):
        read_target(np.array([1, 2, 3]), **settings)


def test_numbers_with_fractions_are_no_classes():
    """As in TargetEncoder: each of them would be a class of its own."""
    with pytest.raises(ValueError, match=r"needs a y of classes, got 'continuous'.*target_type="):
        read_target(np.array([0.5, 1.25, 3.0]), target_type="multiclass")
    assert read_target(np.array([1.0, 2.0, 3.0]), target_type="multiclass")[0].n_outputs == 3


@pytest.mark.parametrize("labels", [(-1, 1), (1, 2), (0.0, 5.0)])
def test_an_indicator_of_other_labels_is_refused(labels):
    """For scikit-learn's type_of_target any two whole numbers are one; the loss would take them for 0 and 1."""
    y = np.array(labels)[np.array([[0, 1], [1, 1], [0, 0]])]
    with pytest.raises(ValueError, match=r"must hold 0 and 1, got .*target_type='continuous'"):
        read_target(y)
    assert read_target(y, target_type="continuous")[0].kind == "continuous"


@pytest.mark.parametrize("dtype", [str, object])
def test_several_columns_of_names_are_refused(dtype):
    """Several columns of whole numbers are numbers; names are none."""
    with pytest.raises(ValueError, match="y has 2 columns of labels that are no numbers"):
        read_target(np.array([["a", "x"], ["b", "y"], ["c", "x"]], dtype=dtype))


def test_unknown_kind_is_refused():
    """Objects that are neither labels nor numbers."""
    with pytest.raises(ValueError, match="Unknown label type"):
        read_target(np.array([{1}, {2}], dtype=object))


def test_many_whole_numbers_ask_whether_they_are_classes():
    """Amounts in whole numbers look like classes; a warning names the way out, and taking it ends the warning."""
    y = np.arange(400) % 80
    with pytest.warns(UserWarning, match="set target_type='continuous'"):
        read_target(y)
    read_target(y, target_type="continuous")
    read_target(y, target_type="multiclass")
