"""Rows that stand for all."""

import numpy as np
import pytest

from sk_entity_embed._rows import draw_rows, some_rows


@pytest.mark.parametrize("at_most", [10, 11])
def test_few_rows_are_all_taken(at_most):
    """In their order."""
    np.testing.assert_array_equal(draw_rows(10, at_most), np.arange(10))


def test_drawn_rows_are_sorted_different_and_the_same_each_time():
    """However many there are to draw from."""
    rows = draw_rows(10**12, 1000)
    assert len(rows) == 1000
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(rows, draw_rows(10**12, 1000))


@pytest.mark.parametrize("period", [2, 7, 10, 365])
def test_rows_of_a_panel_are_of_all_entities(period):
    """A table that lists the same entities day after day: each has about its share of the rows."""
    entity = draw_rows(200 * 365, 14_600) % period
    counts = np.bincount(entity, minlength=period)
    assert counts.min() > 0.3 * len(entity) / period
    assert counts.max() < 2 * len(entity) / period


def test_an_array_of_few_rows_is_not_copied():
    """Codes of millions of rows are looked at, not laid out a second time."""
    array = np.arange(20).reshape(10, 2)
    assert some_rows(array, 10) is array
    np.testing.assert_array_equal(some_rows(array, 4), array[draw_rows(10, 4)])
