"""What pictures and files read from embedders and metadata: kinds of columns, and their mistakes."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest
from _fake_embedder import FakeEmbedder

from sk_entity_embed._entities import read_attributes, read_color, read_entities

DAYS = [datetime.date(2020, 1, 3), None, datetime.date(1066, 10, 14)]
MONTHS = pd.PeriodIndex(["2020-01", None, "1999-12"], freq="M")
LARGE = [2**60 + 1, None, -3]


@pytest.fixture
def entities():
    return read_entities(FakeEmbedder(["a", "b", "c"], np.eye(3)))


def in_milliseconds(*days):
    return np.array(days, dtype="datetime64[ms]").astype(np.float64)


def columns_of(values, dtype):
    """The same column as pandas, polars and Arrow have it, the last two with a column of names."""
    pa, pl = pytest.importorskip("pyarrow"), pytest.importorskip("polars")
    yield pd.DataFrame({"x": pd.Series(values, dtype=object)}).set_axis(list("abc"))
    yield pd.DataFrame(
        {"x": pd.Series(pa.array(values, dtype), dtype=pd.ArrowDtype(dtype))}
    ).set_axis(list("abc"))
    arrow = pa.table({"book": list("abc"), "x": pa.array(values, dtype)})
    yield arrow
    yield pl.from_arrow(arrow)


def test_dates_of_every_make_are_dates(entities):
    pa = pytest.importorskip("pyarrow")
    for frame in columns_of(DAYS, pa.date32()):
        (attribute,) = read_attributes(frame, entities)
        assert attribute.kind == "date"
        expected = in_milliseconds("2020-01-03", "NaT", "1066-10-14")[[0, 2]]
        np.testing.assert_array_equal(attribute.values[[0, 2]], expected)
        assert np.isnan(attribute.values[1])


@pytest.mark.parametrize("months", [pd.Series(MONTHS), pd.Series(MONTHS.astype(object))])
def test_periods_are_dates(entities, months):
    attribute = read_color(months.set_axis(list("abc")), entities, [])
    assert attribute.kind == "date"
    expected = in_milliseconds("2020-01-01", "1999-12-01")
    np.testing.assert_array_equal(attribute.values[[0, 2]], expected)


def test_times_with_zones_are_told_in_universal_time(entities):
    zone = datetime.timezone(datetime.timedelta(hours=2))
    cells = [
        datetime.datetime(2020, 1, 3, 1, tzinfo=zone),
        pd.Timestamp("2020-01-03", tz="UTC"),
        None,
    ]
    attribute = read_color(cells, entities, [])
    expected = in_milliseconds("2020-01-02T23:00", "2020-01-03")
    np.testing.assert_array_equal(attribute.values[:2], expected)


def test_decimals_are_numbers(entities):
    pa = pytest.importorskip("pyarrow")
    values = [decimal.Decimal("1.50"), None, decimal.Decimal("-20")]
    for frame in columns_of(values, pa.decimal128(10, 2)):
        (attribute,) = read_attributes(frame, entities)
        assert attribute.kind == "number"
        np.testing.assert_array_equal(attribute.values, [1.5, np.nan, -20])


def test_durations_are_numbers_with_a_unit(entities):
    pa = pytest.importorskip("pyarrow")
    values = [datetime.timedelta(days=3), None, datetime.timedelta(hours=12)]
    for frame in columns_of(values, pa.duration("ms")):
        (attribute,) = read_attributes(frame, entities)
        assert attribute.kind == "number"
        assert (attribute.name, attribute.title) == ("x", "x (days)")
        np.testing.assert_array_equal(attribute.values, [3, np.nan, 0.5])
    short = read_color(pd.to_timedelta([90, 0, 5], unit="s").to_numpy(), entities, [])
    assert short.title == "color (seconds)"


def test_large_whole_numbers_stay_exact(entities):
    """Float64 colours, the numbers themselves are told; a gap does not make them floats."""
    pa = pytest.importorskip("pyarrow")
    for frame in columns_of(LARGE, pa.int64()):
        (attribute,) = read_attributes(frame, entities)
        assert attribute.kind == "number"
        assert list(attribute.integers) == LARGE
        assert list(attribute.take(np.array([2, 0])).integers) == [-3, 2**60 + 1]
    assert read_color([1, 2, None], entities, []).integers is None
    assert read_color([1e30, 2, None], entities, []).integers is None
    assert read_color([10**400, 2, None], entities, []).kind == "category"


def test_a_series_without_an_index_is_in_the_order_of_categories(entities):
    pl = pytest.importorskip("polars")
    attribute = read_color(pl.Series("mood", ["sad", None, "glad"]), entities, [])
    assert (attribute.name, attribute.values) == ("mood", ["glad", "sad"])
    assert attribute.codes.tolist() == [2, 0, 1]
    assert read_color(pl.Series([1.5, None, 2.5]), entities, []).kind == "number"
    with pytest.raises(ValueError, match="color has 2 values for 3 entities"):
        read_color(pl.Series([1, 2]), entities, [])


@pytest.mark.parametrize("ours", [None, np.nan])
@pytest.mark.parametrize("theirs", [None, np.nan, pd.NA])
def test_missing_values_are_a_category_with_facts_of_its_own(ours, theirs):
    """A group of missing values, as groupby(dropna=False) gives it, belongs to "(missing)"."""
    entities = read_entities(FakeEmbedder(["a", "b", ours], np.eye(3)))
    facts = pd.DataFrame({"x": [3, 1, 2]}, index=pd.Index([theirs, "a", "b"], dtype=object))
    for frame in (facts, facts.rename_axis("book").reset_index()):
        (attribute,) = read_attributes(frame, entities)
        assert attribute.values.tolist() == [1, 2, 3]
    assert read_color({"a": 1, "b": 2, theirs: 3}, entities, []).values.tolist() == [1, 2, 3]
    others = read_entities(FakeEmbedder(["a", "b"], np.eye(2)))
    assert read_attributes(facts, others)[0].values.tolist() == [1, 2]


def test_days_of_python_find_their_facts():
    """In fit they become times of NumPy; metadata may have them as they came."""
    days = [datetime.date(2020, 1, day) for day in (1, 2, 3)]
    embedder = FakeEmbedder("abc", np.eye(3))
    embedder.categories_ = [np.array(days, dtype="datetime64[s]")]
    facts = pd.DataFrame({"x": [3, 2, 1, 0]}, index=pd.Index([*days[::-1], None], dtype=object))
    (attribute,) = read_attributes(facts, read_entities(embedder))
    assert attribute.values.tolist() == [1, 2, 3]


def test_what_is_no_frame_in_memory_is_told(entities):
    pl = pytest.importorskip("polars")
    with pytest.raises(TypeError, match=r"in memory, got LazyFrame. Call collect\(\) on it first"):
        read_attributes(pl.LazyFrame({"book": ["a"], "x": [1]}), entities)
    with pytest.raises(TypeError, match="metadata must be a data frame in memory, got dict"):
        read_attributes({"x": [1, 2, 3]}, entities)


def test_a_series_of_others_is_not_told_of_columns(entities):
    """The remedy for a frame is none for a Series."""
    with pytest.raises(
        ValueError, match=r"is in the index of color .* Use the entities as the index\.$"
    ):
        read_color(pd.Series([1], index=["z"]), entities, [])
    with pytest.raises(ValueError, match="or give the frame a column named 'book'"):
        read_attributes(pd.DataFrame({"x": [1]}, index=["z"]), entities)
