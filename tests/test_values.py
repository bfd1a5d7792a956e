"""Single values of numbers as codes."""

import numpy as np
import pytest

from sk_entity_embed import _values
from sk_entity_embed._values import Values, learn_values, no_values


def column(*values):
    return np.array(values, dtype=np.float32)[:, None]


def test_a_value_has_one_code():
    """In their order from 1; what was not seen is 0."""
    seen = column(*range(0, 40, 2), *range(0, 40, 2))
    values = learn_values(seen)
    assert values.numbers.tolist() == [0]
    assert values.n_codes == [21]
    assert values.encode(seen).ravel().tolist() == [*range(1, 21)] * 2
    assert values.encode(column(-1, 1, 99, 4, np.nan)).ravel().tolist() == [0, 0, 0, 3, 0]
    assert values.encode(seen).dtype == np.int32


def test_a_missing_value_is_one_of_its_own():
    """Where training had some; it is no unknown one."""
    values = learn_values(column(*[*range(12), np.nan] * 2))
    assert values.encode(column(np.nan, 11, 12)).ravel().tolist() == [13, 12, 0]


def test_values_that_hardly_recur_are_left_out():
    """A single value, values of one row each, mostly such, and none; not the others."""
    n_rows = 400
    numeric = np.column_stack(
        [
            np.arange(n_rows) % 1,
            np.arange(n_rows),
            np.where(np.arange(n_rows) % 8, np.arange(n_rows), -(np.arange(n_rows) % 80)),
            np.where(np.arange(n_rows) % 2, np.arange(n_rows), -(np.arange(n_rows) % 80)),
            np.arange(n_rows) // 2,
            np.full(n_rows, np.nan),
        ]
    ).astype(np.float32)
    assert learn_values(numeric).numbers.tolist() == [3, 4]


def test_of_very_many_values_the_most_frequent_are_known(monkeypatch):
    """The rarer ones are as unknown as new ones; codes are still in the order of the values."""
    monkeypatch.setattr(_values, "MAX_VALUES", 11)
    values = learn_values(column(*[*range(14)] * 2, 13, *range(10)))
    assert values.known[0].tolist() == [*range(10), 13]
    assert values.encode(column(12, 13)).ravel().tolist() == [0, 11]


def test_some_of_the_numbers():
    """Codes as before, for those alone."""
    numeric = np.random.default_rng(0).integers(20, size=(300, 3)).astype(np.float32)
    values = learn_values(numeric)
    some = values.only([2, 0])
    assert len(some) == 2
    np.testing.assert_array_equal(some.encode(numeric), values.encode(numeric)[:, [2, 0]])
    assert some.n_codes == [values.n_codes[2], values.n_codes[0]]
    assert values.only([]).encode(numeric).shape == (300, 0)
    assert no_values().encode(numeric).shape == (300, 0)


@pytest.mark.parametrize(
    "values",
    [
        Values(np.array([3]), [np.zeros(2, np.float32)]),
        Values(np.array([-1]), [np.zeros(2, np.float32)]),
        Values(np.array([0, 1]), [np.zeros(2, np.float32)]),
        Values(np.array([0]), [np.zeros((2, 2), np.float32)]),
        Values(np.array([0]), [np.zeros(0, np.float32)]),
    ],
)
def test_values_that_do_not_fit_are_refused(values):
    """Those of a damaged file."""
    with pytest.raises(ValueError, match="of numbers"):
        values.check(3)
