"""Tests of sk_entity_embed/_vocabulary.py."""

import datetime
import math
import pickle
from collections import Counter
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_entity_embed import _native, _vocabulary
from sk_entity_embed._vocabulary import Vocabulary

FEW = settings(max_examples=25, deadline=None)


def objects(cells):
    return np.fromiter(cells, dtype=object, count=len(cells))


def chunked(cells):
    half = len(cells) // 2
    return pa.chunked_array(
        [pa.array(cells[:half], pa.string()), pa.array(cells[half:], pa.string())]
    )


TEXT = {
    "object array": objects,
    "list": list,
    "pandas object": lambda cells: pd.Series(cells, dtype=object),
    "pandas str": lambda cells: pd.Series(cells, dtype="str"),
    "pandas string": lambda cells: pd.Series(cells, dtype="string"),
    "pandas string[python]": lambda cells: pd.Series(cells, dtype="string[python]"),
    "pandas category": lambda cells: pd.Series(cells, dtype="category"),
    "pandas arrow": lambda cells: pd.Series(cells, dtype=pd.ArrowDtype(pa.string())),
    "pandas arrow dictionary": lambda cells: pd.Series(
        cells, dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))
    ),
    "polars String": lambda cells: pl.Series(cells, dtype=pl.String),
    "polars Categorical": lambda cells: pl.Series(cells, dtype=pl.Categorical),
    "polars Enum": lambda cells: pl.Series(
        cells, dtype=pl.Enum(["unused", *sorted({c for c in cells if c is not None}, reverse=True)])
    ),
    "arrow string": lambda cells: pa.array(cells, pa.string()),
    "arrow large_string": lambda cells: pa.array(cells, pa.large_string()),
    "arrow string_view": lambda cells: pa.array(cells, pa.string_view()),
    "arrow chunked": chunked,
    "arrow dictionary": lambda cells: pa.array(cells, pa.string()).dictionary_encode(),
    "arrow dictionary chunked": lambda cells: pa.chunked_array(
        [chunk.dictionary_encode() for chunk in chunked(cells).chunks]
    ),
}
WHOLE = {
    "object array": objects,
    "int64": np.array,
    "float64": lambda cells: np.array(cells, dtype=float),
    "pandas Int64": lambda cells: pd.Series(cells, dtype="Int64"),
    "pandas Float64": lambda cells: pd.Series(cells, dtype="Float64"),
    "pandas category": lambda cells: pd.Series(cells, dtype="category"),
    "pandas arrow": lambda cells: pd.Series(cells, dtype=pd.ArrowDtype(pa.int64())),
    "polars Int64": lambda cells: pl.Series(cells, dtype=pl.Int64),
    "polars Float64": lambda cells: pl.Series(cells, dtype=pl.Float64),
    "arrow int64": lambda cells: pa.array(cells, pa.int64()),
    "arrow double": lambda cells: pa.array([None if c is None else float(c) for c in cells]),
    "arrow dictionary": lambda cells: pa.array(cells, pa.int64()).dictionary_encode(),
    "arrow decimal": lambda cells: pa.array(
        [None if c is None else Decimal(c) for c in cells], pa.decimal128(20, 0)
    ),
}

short_text = st.text(alphabet="ab0é猫 ", max_size=3)
texts = st.lists(st.none() | short_text, min_size=1, max_size=12)
full_texts = st.lists(short_text, min_size=1, max_size=12)
small_numbers = st.integers(-3, 3) | st.sampled_from([-5000, 12345, 2**40])
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([2**53, 2**53 + 1, float(2**53), 2**64, -(2**70), 2**70 + 1, 10**400]),
    st.sampled_from([0.1, -0.0, math.inf, float(2**70)]),
    st.sampled_from([float("nan"), pd.NA, pd.NaT, np.nan, np.float32(0.5), 0.5, np.int8(1)]),
    st.sampled_from([np.str_("a"), "a", "1", "", "nan", b"a", "\ud800", (1, "a"), Decimal(1)]),
    st.sampled_from([datetime.datetime(2020, 1, 1), pd.Timestamp(2020, 1, 1), frozenset([1])]),
)


def cells_of(values):
    """Return categories as Python objects (tolist makes integers of nanoseconds)."""
    return _native.python_values(values)


def key_of(cell):
    """Say which category a cell belongs to, in the slow way."""
    if isinstance(cell, (np.integer, np.floating)):
        cell = cell.item()  # np.int8(1) == Decimal(1) is a TypeError
    return None if np.ndim(cell) == 0 and pd.api.types.is_scalar(cell) and pd.isna(cell) else cell


def slow_codes(vocabulary, cells):
    """Encode by a dict over Python objects."""
    code_of = {key_of(c): i for i, c in enumerate(cells_of(vocabulary.categories), 1)}
    return [code_of.get(key_of(cell), 0) for cell in cells]


def grown(cells, is_long):
    """Repeat cells until they take the ways of long columns."""
    return cells * (300 // len(cells) + 1) if is_long else cells


# --- against the slow version --------------------------------------------------------------------


@FEW
@given(cells=st.lists(anything, min_size=1, max_size=15), is_long=st.booleans())
def test_learn_agrees_with_a_dict(cells, is_long):
    """Categories are the keys of a dict over the cells, counts its Counter."""
    cells = grown(cells, is_long)
    vocabulary, codes = Vocabulary.learn(objects(cells))
    expected = Counter(key_of(cell) for cell in cells)
    learned = [key_of(c) for c in cells_of(vocabulary.categories)]
    assert dict(zip(learned, vocabulary.counts.tolist())) == expected
    assert len(learned) == len(set(learned)) == vocabulary.n_codes - 1
    assert codes.dtype == np.int32
    assert vocabulary.counts.dtype == np.int64
    assert codes.tolist() == slow_codes(vocabulary, cells)
    assert vocabulary.encode(objects(cells)).tolist() == codes.tolist()
    if None in learned:
        assert learned[-1] is None


@pytest.mark.filterwarnings("ignore:Column None held")  # another kind, on purpose
@FEW
@given(
    known=st.lists(anything, max_size=12),
    cells=st.lists(anything, min_size=1, max_size=12),
    is_long=st.booleans(),
)
def test_encode_agrees_with_a_dict(known, cells, is_long):
    """Whatever was learned, cells of any kind are found by value or get code 0."""
    cells = grown(cells, is_long)
    vocabulary, _ = Vocabulary.learn(objects(known))
    assert vocabulary.encode(objects(cells)).tolist() == slow_codes(vocabulary, cells)
    assert vocabulary.lookup(cells).tolist() == slow_codes(vocabulary, cells)


@pytest.mark.parametrize("container", TEXT)
@FEW
@given(known=texts, cells=texts, is_long=st.booleans())
def test_text_is_the_same_in_every_container(container, known, cells, is_long):
    """Text learned from one container and encoded from another gives the codes of plain lists."""
    known, cells = grown(known, is_long), grown(cells, is_long)
    plain, plain_codes = Vocabulary.learn(objects(known))
    vocabulary, codes = Vocabulary.learn(TEXT[container](known))
    assert vocabulary.categories.dtype == object
    assert vocabulary.categories.tolist() == plain.categories.tolist()
    assert vocabulary.counts.tolist() == plain.counts.tolist()
    assert codes.tolist() == plain_codes.tolist()
    expected = slow_codes(plain, cells)
    assert plain.encode(TEXT[container](cells)).tolist() == expected
    assert vocabulary.encode(objects(cells)).tolist() == expected


@FEW
@given(known=full_texts, cells=full_texts, is_long=st.booleans())
def test_fixed_width_text_is_text(known, cells, is_long):
    """NumPy's str arrays, whatever their width, are equal to lists of str."""
    known, cells = grown(known, is_long), grown(cells, is_long)
    vocabulary, codes = Vocabulary.learn(np.array(known))
    assert vocabulary.categories.tolist() == sorted(set(known))
    assert codes.tolist() == slow_codes(vocabulary, known)
    assert vocabulary.encode(np.array(cells)).tolist() == slow_codes(vocabulary, cells)
    strided = np.array([cells, cells]).T[:, 1]
    assert vocabulary.encode(strided).tolist() == slow_codes(vocabulary, cells)
    swapped = np.array(cells)
    swapped = swapped.astype(swapped.dtype.newbyteorder(">"))
    assert vocabulary.encode(swapped).tolist() == slow_codes(vocabulary, cells)


@pytest.mark.parametrize("container", WHOLE)
@FEW
@given(
    known=st.lists(small_numbers, min_size=1, max_size=12),
    cells=st.lists(small_numbers, min_size=1, max_size=12),
    is_long=st.booleans(),
)
def test_whole_numbers_are_the_same_in_every_container(container, known, cells, is_long):
    """1 is 1, be it an int, a float, a decimal or an object."""
    known, cells = grown(known, is_long), grown(cells, is_long)
    plain, plain_codes = Vocabulary.learn(np.array(known))
    assert plain.categories.dtype == np.int64
    vocabulary, codes = Vocabulary.learn(WHOLE[container](known))
    assert vocabulary.categories.tolist() == plain.categories.tolist()
    assert codes.tolist() == plain_codes.tolist()
    expected = slow_codes(plain, cells)
    assert plain.encode(WHOLE[container](cells)).tolist() == expected
    assert vocabulary.encode(np.array(cells)).tolist() == expected


@pytest.mark.parametrize("container", [c for c in WHOLE if c not in ("int64", "float64")])
@FEW
@given(
    known=st.lists(st.none() | small_numbers, min_size=1, max_size=12),
    cells=st.lists(st.none() | small_numbers, min_size=1, max_size=12),
)
def test_missing_numbers_are_one_category(container, known, cells):
    """A nullable column has the codes of its list, whatever stands for missing."""
    plain, plain_codes = Vocabulary.learn(objects(known))
    vocabulary, codes = Vocabulary.learn(WHOLE[container](known))
    assert codes.tolist() == plain_codes.tolist()
    expected = slow_codes(plain, cells)
    assert plain.encode(WHOLE[container](cells)).tolist() == expected
    assert vocabulary.encode(objects(cells)).tolist() == expected


@FEW
@given(
    known=st.lists(st.booleans() | st.none(), min_size=1, max_size=6),
    cells=st.lists(st.booleans() | st.none(), min_size=1, max_size=6),
)
def test_booleans_are_the_same_in_every_container(known, cells):
    """bool, boolean, Boolean and objects agree."""
    plain, plain_codes = Vocabulary.learn(objects(known))
    for make in (
        lambda c: pd.Series(c, dtype="boolean"),
        lambda c: pl.Series(c, dtype=pl.Boolean),
        lambda c: pa.array(c, pa.bool_()),
        lambda c: pd.Series(c, dtype="category"),
    ):
        vocabulary, codes = Vocabulary.learn(make(known))
        assert vocabulary.categories.tolist() == plain.categories.tolist()
        assert codes.tolist() == plain_codes.tolist()
        assert vocabulary.encode(make(cells)).tolist() == slow_codes(plain, cells)
    assert Vocabulary.learn(np.array([True, False]))[0].categories.dtype == bool


# --- values --------------------------------------------------------------------------------------


def test_equal_numbers_are_one_category_and_text_another():
    """1, 1.0 and True are one, "1" is another; nothing fails on the mixture."""
    vocabulary, codes = Vocabulary.learn(objects([1, 1.0, True, "1", np.int8(1), np.str_("1")]))
    assert codes.tolist() == [1, 1, 1, 2, 1, 2]
    assert vocabulary.encode(np.array([1.0, 2.0])).tolist() == [1, 0]
    assert vocabulary.encode(np.array(["1", "2"])).tolist() == [2, 0]
    assert vocabulary.encode(np.array([True, False])).tolist() == [1, 0]


def test_numpy_integers_beside_decimals():
    """NumPy raises where the two are compared; here they are equal by value."""
    cells = objects([Decimal(1), np.int8(1), np.int8(2), "a"])
    vocabulary, codes = Vocabulary.learn(cells)
    assert codes.tolist() == [1, 1, 2, 3]
    assert vocabulary.encode(cells).tolist() == [1, 1, 2, 3]


def test_all_kinds_of_missing_are_one_category():
    """None, NaN, NaT, pd.NA and a decimal NaN share the last code."""
    cells = [None, float("nan"), pd.NaT, pd.NA, np.datetime64("NaT"), Decimal("nan"), "a"]
    vocabulary, codes = Vocabulary.learn(objects(cells))
    assert vocabulary.categories.tolist() == ["a", None]
    assert codes.tolist() == [2, 2, 2, 2, 2, 2, 1]
    for column in (
        np.array([np.nan]),
        np.array(["NaT"], dtype="M8[s]"),
        pd.Series([None], dtype="Int64"),
        pl.Series([None]),
        pa.nulls(1),
        pa.nulls(300, pa.string()),
        pd.Series([None], dtype="category"),
    ):
        assert set(vocabulary.encode(column).tolist()) == {2}


def test_missing_unseen_in_learn_is_unknown():
    """Without a missing value in `learn` it has code 0."""
    for cells in (["a", "b"], [1.0, 2.0], [True, False], [1, "a"]):
        vocabulary, _ = Vocabulary.learn(objects(cells))
        for column in (objects([None]), np.array([np.nan]), pa.nulls(300, pa.string())):
            assert set(vocabulary.encode(column).tolist()) == {0}


@pytest.mark.parametrize(
    ("cells", "dtype"),
    [
        (np.array([2, 1], dtype=np.int8), np.int64),
        (np.array([2, 1], dtype=np.uint64), np.int64),
        (np.array([2**63, 1], dtype=np.uint64), np.uint64),
        (np.array([2, 1], dtype=np.float32), np.float64),
        (np.array([True, False]), bool),
        (objects([2, True]), np.int64),
        (objects([2.5, 1]), np.float64),
        (objects([True, False]), bool),
        (objects([2**63, 1]), np.uint64),
        (objects([2**70, 1]), object),
        (objects([2**53 + 1, 0.5]), object),
        (objects([2**70 + 1, 2**70, 0.5]), object),
        (objects([10**400, 0.5]), object),
        (objects(["b", "a"]), object),
        (np.array([b"b", b"a"]), object),
        (pd.Series([2, None], dtype="Int64"), np.float64),
        (pd.Series([2**60, None], dtype="Int64"), object),
        (np.array(["2020-01-01"], dtype="M8[D]"), "M8[D]"),
        (np.array([3], dtype="m8[h]"), "m8[h]"),
    ],
)
def test_categories_have_the_plainest_type(cells, dtype):
    """Integers are int64, floats float64, text objects of str."""
    vocabulary, codes = Vocabulary.learn(cells)
    assert vocabulary.categories.dtype == dtype
    assert vocabulary.encode(cells).tolist() == codes.tolist()
    assert codes.min() == 1


def test_large_integers_are_not_rounded():
    """Neighbours beyond 2**53 stay apart, and a float finds only what it equals."""
    big = 2**53
    vocabulary, codes = Vocabulary.learn(np.array([big, big + 1, big + 2]))
    assert codes.tolist() == [1, 2, 3]
    assert vocabulary.encode(np.array([float(big), float(big + 2)])).tolist() == [1, 3]
    floats, _ = Vocabulary.learn(np.array([float(big), 0.5]))
    assert floats.encode(np.array([big, big + 1])).tolist() == [2, 0]
    ends = np.array([-(2**63), 2**63 - 1])
    vocabulary, _ = Vocabulary.learn(ends)
    assert vocabulary.encode(ends).tolist() == [1, 2]
    assert vocabulary.encode(np.array([-(2.0**63), 2.0**63, np.inf])).tolist() == [1, 0, 0]
    assert vocabulary.encode(np.array([2**63, 2**64 - 1], dtype=np.uint64)).tolist() == [0, 0]
    unsigned, _ = Vocabulary.learn(np.array([2**64 - 1, 3], dtype=np.uint64))
    assert unsigned.encode(np.array([3, -1])).tolist() == [1, 0]
    assert unsigned.encode(np.array([2.0**64, 3.0])).tolist() == [0, 1]
    floats, _ = Vocabulary.learn(np.array([2.0**64, 2.0**63, 0.5]))
    high = np.array([2**64 - 1, 2**63], dtype=np.uint64)
    assert floats.encode(high).tolist() == [0, 2]


def test_minus_zero_is_zero():
    """-0.0, 0.0, 0 and False are one."""
    vocabulary, codes = Vocabulary.learn(np.array([-0.0, 0.0, 0.5]))
    assert codes.tolist() == [1, 1, 2]
    assert math.copysign(1, vocabulary.categories[0]) == 1
    assert vocabulary.encode(objects([-0.0, 0, False])).tolist() == [1, 1, 1]
    assert Vocabulary.learn(objects([-0.0, 0]))[1].tolist() == [1, 1]


def test_moments_are_compared_by_time():
    """Units, days and Python's own types give the same codes; zones are compared as instants."""
    days = ["2020-01-02", "2020-01-01"]
    vocabulary, codes = Vocabulary.learn(np.array(days, dtype="M8[ns]"))
    assert codes.tolist() == [2, 1]
    stamps = [pd.Timestamp(day) for day in days]
    for column in (
        np.array(days, dtype="M8[D]"),
        objects(stamps),
        objects([stamp.to_pydatetime() for stamp in stamps]),
        objects([stamp.date() for stamp in stamps]),
        pl.Series([stamp.date() for stamp in stamps]),
        pl.Series([stamp.to_pydatetime() for stamp in stamps]),
        pa.array([stamp.date() for stamp in stamps]),
        pd.Series(stamps, dtype="category"),
        pd.Series(stamps, dtype=pd.ArrowDtype(pa.timestamp("ms"))),
    ):
        assert vocabulary.encode(column).tolist() == [2, 1]
        other, other_codes = Vocabulary.learn(column)
        assert other_codes.tolist() == [2, 1]
        assert other.encode(np.array(days, dtype="M8[ns]")).tolist() == [2, 1]
    with pytest.warns(UserWarning, match="held dates in fit and holds strings now"):
        assert vocabulary.encode(np.array(days)).tolist() == [0, 0]
    with_missing, codes = Vocabulary.learn(pd.Series([pd.NaT, stamps[0]]))
    assert np.isnat(with_missing.categories[-1])
    assert codes.tolist() == [2, 1]
    zoned = pd.Series(stamps).dt.tz_localize("UTC")
    vocabulary, codes = Vocabulary.learn(zoned)
    assert codes.tolist() == [2, 1]
    assert vocabulary.encode(zoned.dt.tz_convert("Asia/Tokyo")).tolist() == [2, 1]
    assert vocabulary.encode(pl.Series(zoned.tolist())).tolist() == [2, 1]
    with pytest.warns(UserWarning, match="held zoned times in fit and holds dates now"):
        assert vocabulary.encode(pd.Series(stamps)).tolist() == [0, 0]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(pd.period_range("2020-01", periods=2, freq="M")),
        pd.cut(pd.Series([1.0, 9.0]), [0, 5, 10]),
        pd.Series(pd.IntervalIndex.from_breaks([0, 1, 2])),
        pd.Series(pd.arrays.SparseArray([0, 1])),
        pd.Series([datetime.time(1), datetime.time(2)]),
        pl.Series([datetime.time(1), datetime.time(2)]),
        pl.Series([b"a", b"b"]),
        pl.Series([Decimal("1.5"), Decimal("2.5")]),
        pl.Series([1, 2], dtype=pl.Int128),
        pl.Series([(1,), (2,)], dtype=pl.Object),
        pa.array([1.5, 2.5], pa.float16()),
        pd.Series([(1, 2), (1, 3)]),
        np.array(["a", "b"], dtype=np.dtypes.StringDType()),
        pd.Index(["a", "b"]),
        pd.array(["a", "b"]),
        pd.Categorical(["a", "b"]),
        pa.array([datetime.timedelta(1), datetime.timedelta(2)]),
    ],
    ids=lambda column: (
        f"{type(column).__module__.split('.')[0]} {column.dtype}"
        if hasattr(column, "dtype")
        else str(column.type)
    ),
)
def test_rare_types_work(column):
    """Two distinct values are two categories, found again."""
    vocabulary, codes = Vocabulary.learn(column)
    assert codes.tolist() == [1, 2]
    assert vocabulary.encode(column).tolist() == [1, 2]
    assert pickle.loads(pickle.dumps(vocabulary)).encode(column).tolist() == [1, 2]


def test_whole_numbers_in_half_precision():
    """float16 ends long before the whole numbers of int64 do; many rows take another way than few."""
    column = np.tile(np.array([2, 1, np.inf, np.nan], dtype=np.float16), 20)
    vocabulary, _ = Vocabulary.learn(np.array([1, 2]))
    assert vocabulary.encode(column).tolist() == [2, 1, 0, 0] * 20


def test_dictionary_with_duplicates_nulls_and_unused_entries():
    """Arrow's dictionaries promise little: equal entries, nulls inside, entries without a row."""
    dictionary = pa.array(["unused", "b", None, "a", "b"])
    column = pa.DictionaryArray.from_arrays(pa.array([1, 4, 2, 3, None], pa.uint8()), dictionary)
    vocabulary, codes = Vocabulary.learn(column)
    assert vocabulary.categories.tolist() == ["a", "b", None]
    assert vocabulary.counts.tolist() == [1, 2, 2]
    assert codes.tolist() == [2, 2, 3, 1, 3]
    assert vocabulary.encode(column).tolist() == codes.tolist()


def test_slice_of_a_long_dictionary():
    """A few rows of a column with many categories."""
    names = [f"n{i}" for i in range(1000)]
    column = pd.Series(pd.Categorical.from_codes([7, -1, 999, 7], names))
    vocabulary, codes = Vocabulary.learn(column)
    assert vocabulary.categories.tolist() == ["n7", "n999", None]
    assert codes.tolist() == [1, 3, 2, 1]
    everything, _ = Vocabulary.learn(pd.Series(names, dtype="category"))
    assert everything.categories[everything.encode(column)[[0, 2]] - 1].tolist() == ["n7", "n999"]
    assert everything.encode(column)[1] == 0


def test_order_of_first_appearance_where_nothing_sorts():
    """Mixed types keep the order of the rows, in every container."""
    cells = ["b", 2, "a", 1, "b"]
    vocabulary, codes = Vocabulary.learn(objects(cells))
    assert vocabulary.categories.tolist() == ["b", 2, "a", 1]
    assert codes.tolist() == [1, 2, 3, 4, 1]
    column = pd.Series(pd.Categorical(cells, categories=["unused", 1, 2, "a", "b"]))
    assert Vocabulary.learn(column)[0].categories.tolist() == ["b", 2, "a", 1]


def test_long_sorted_text():
    """Sorting through Arrow is Python's order, by code points."""
    names = [chr(i) + str(i % 7) for i in range(30, 0x2000)] + ["\U0001f600", "\uffff", ""]
    vocabulary, _ = Vocabulary.learn(objects(names[::-1]))
    assert vocabulary.categories.tolist() == sorted(names)


# --- rare ------------------------------------------------------------------------------------------


ALL_RARE = pytest.mark.filterwarnings("ignore:min_frequency=")  # not what is tested


@FEW
@ALL_RARE
@given(cells=st.lists(anything, min_size=1, max_size=20), least=st.integers(1, 4))
def test_rare_values_have_code_zero(cells, least):
    """Categories have at least `min_frequency` rows, the rest is listed as infrequent."""
    counts = Counter(key_of(cell) for cell in cells)
    vocabulary, codes = Vocabulary.learn(objects(cells), min_frequency=least)
    assert {key_of(c) for c in cells_of(vocabulary.categories)} == {
        key for key, count in counts.items() if count >= least
    }
    assert {key_of(c) for c in cells_of(vocabulary.infrequent)} == {
        key for key, count in counts.items() if count < least
    }
    assert (codes > 0).tolist() == [counts[key_of(cell)] >= least for cell in cells]
    assert vocabulary.encode(objects(cells)).tolist() == codes.tolist()
    assert vocabulary.unseen(objects(cells)) == []


def test_min_frequency_as_a_fraction():
    """A fraction counts rows of the whole column, missing ones included."""
    column = objects(["a"] * 5 + ["b"] * 4 + [None])
    vocabulary, codes = Vocabulary.learn(column, min_frequency=0.5)
    assert vocabulary.categories.tolist() == ["a"]
    assert vocabulary.infrequent.tolist() == ["b", None]
    assert codes.tolist() == [1] * 5 + [0] * 5
    vocabulary, _ = Vocabulary.learn(column, min_frequency=0.1)
    assert vocabulary.categories.tolist() == ["a", "b", None]


@pytest.mark.parametrize("least", [0.07, 0.14])
def test_a_share_of_just_min_frequency_is_enough(least):
    """Both shares times 100 round up to more than 7 and 14."""
    n_rows = round(100 * least)
    column = objects(["a"] * n_rows + ["b"] * (100 - 2 * n_rows) + [None] * n_rows)
    vocabulary, _ = Vocabulary.learn(column, min_frequency=least)
    assert vocabulary.categories.tolist() == ["a", "b", None]


@ALL_RARE
def test_all_rare():
    """No category is left, and everything has code 0."""
    for column in (objects(["a", None]), np.array([1.5, np.nan]), np.array([1, 2])):
        vocabulary, codes = Vocabulary.learn(column, min_frequency=3)
        assert vocabulary.n_codes == 1
        assert codes.tolist() == [0, 0]
        assert vocabulary.encode(column).tolist() == [0, 0]
        assert vocabulary.encode(pd.Series(["a"] * 300)).tolist() == [0] * 300


def test_all_rare_is_told():
    """The column, its largest count and what to do; a share of the rows is as good as a count."""
    for least in (3, 0.9):
        match = (
            rf"min_frequency={least} is above every count in column 'u', .* has 2 of 3 rows.*Lower"
        )
        with pytest.warns(UserWarning, match=match):
            Vocabulary.learn(objects(["a", "a", None]), min_frequency=least, name="u")


# --- another kind --------------------------------------------------------------------------------

INTEGERS, STRINGS = np.arange(60) % 3, (np.arange(60) % 3).astype(str)


@pytest.mark.parametrize(
    ("known", "new", "words"),
    [
        (INTEGERS, STRINGS, "integers in fit and holds strings"),
        (INTEGERS, STRINGS.astype(object), "integers in fit and holds strings"),
        (INTEGERS, pd.Series(STRINGS, dtype="category"), "integers in fit and holds strings"),
        (INTEGERS, pa.array(STRINGS.tolist()), "integers in fit and holds strings"),
        (STRINGS, INTEGERS, "strings in fit and holds integers"),
        (STRINGS, INTEGERS.astype(object), "strings in fit and holds integers"),
        (STRINGS, INTEGERS.astype(float), "strings in fit and holds floats"),
        (STRINGS, INTEGERS > 0, "strings in fit and holds booleans"),
        (STRINGS, STRINGS.astype(bytes), "strings in fit and holds bytes"),
        (INTEGERS.astype("M8[D]"), STRINGS, "dates in fit and holds strings"),
    ],
)
def test_values_of_another_kind_are_told(known, new, words):
    """Every value is unknown, which is seldom meant: the column, both kinds, what to do."""
    vocabulary, _ = Vocabulary.learn(known, name="u")
    match = rf"Column 'u' held {words} now: 0 of its 60 values are known categories. Convert the column to"
    with pytest.warns(UserWarning, match=match):
        assert not vocabulary.encode(new).any()


@pytest.mark.parametrize(
    ("known", "new"),
    [
        (INTEGERS, INTEGERS.astype(float)),
        (INTEGERS.astype(float), INTEGERS),
        (INTEGERS, INTEGERS.astype(object)),
        (INTEGERS, INTEGERS > 1),
        (INTEGERS, INTEGERS + 10.5),
        (STRINGS, np.char.add(STRINGS, " new")),
        (STRINGS, np.char.add(STRINGS, " new").astype(object)),
        (STRINGS, np.full(60, np.nan)),
        (STRINGS, np.full(60, None)),
        (np.append(STRINGS.astype(object), 1), INTEGERS + 7),
        (STRINGS, np.where(np.arange(60) == 0, STRINGS.astype(object), INTEGERS)),
    ],
    ids=[
        "floats for integers",
        "integers for floats",
        "objects",
        "booleans for integers",
        "other numbers",
        "other strings",
        "other strings as objects",
        "all NaN",
        "all None",
        "fitted on a mixture",
        "a mixture now",
    ],
)
def test_values_that_are_unknown_for_another_reason_are_not_told(known, new):
    """Warnings are errors here: equal numbers match, and what is new, missing or mixed is no mistake."""
    Vocabulary.learn(known)[0].encode(new)


# --- unseen ----------------------------------------------------------------------------------------


def test_unseen_lists_new_values_in_order():
    """Each new value once, rare ones left out, a missing one as None."""
    vocabulary, _ = Vocabulary.learn(objects(["a", "a", "rare"]), min_frequency=2)
    cells = ["new", "a", None, "rare", "new", "z", "y", "x", "w"]
    for make in TEXT.values():
        assert vocabulary.unseen(make(cells)) == ["new", None, "z", "y", "x"]
        assert vocabulary.unseen(make(cells), limit=2) == ["new", None]
        assert vocabulary.unseen(make(["a", "rare"])) == []
    assert vocabulary.unseen(np.array([3, 3, 1])) == [3, 1]
    assert vocabulary.unseen(np.array(["2020-01-01"], dtype="M8[ns]")) == [pd.Timestamp(2020, 1, 1)]


def test_unseen_texts_are_found():
    """Where they are and what they say; no missing value, no number, no rare one."""
    vocabulary, _ = Vocabulary.learn(objects(["a", "a", "rare"]), min_frequency=2)
    cells = ["new", "a", None, "rare", "new", "z"]
    for make in TEXT.values():
        column = make(cells)
        rows, which, texts = vocabulary.unseen_texts(column, vocabulary.encode(column))
        assert dict(zip(rows.tolist(), np.array(texts)[which])) == {0: "new", 4: "new", 5: "z"}
        assert len(texts) == 2
    mixed = objects([3, "b", 2.5, b"c"])
    rows, which, texts = vocabulary.unseen_texts(mixed, vocabulary.encode(mixed))
    assert (rows.tolist(), which.tolist(), texts) == ([1], [0], ["b"])
    none = objects(["a", None])
    rows, which, texts = vocabulary.unseen_texts(none, vocabulary.encode(none))
    assert (len(rows), len(which), texts) == (0, 0, [])


def test_rare_values_are_looked_up_in_one_table(monkeypatch):
    """It is made once: of 70,000 rare texts it takes 20 ms, which each row that is served would wait for."""
    vocabulary, _ = Vocabulary.learn(objects(["a", "a", "rare"]), min_frequency=2)
    made = []

    class Lookup(_vocabulary._Lookup):
        def __init__(self, categories, name):
            made.append(len(categories))
            super().__init__(categories, name)

    monkeypatch.setattr(_vocabulary, "_Lookup", Lookup)
    column = objects(["new", "rare"])
    for _ in range(3):
        assert vocabulary.unseen_texts(column, vocabulary.encode(column))[2] == ["new"]
        assert vocabulary.unseen(column) == ["new"]
    assert len(made) == 2  # of the categories and of the rare ones
    assert "_cached_rare_lookup" not in vocabulary.__getstate__()


# --- laws ------------------------------------------------------------------------------------------


@FEW
@given(cells=full_texts)
def test_a_monotone_renaming_changes_no_code(cells):
    """Names that sort alike are coded alike."""
    _, codes = Vocabulary.learn(objects(cells))
    _, renamed = Vocabulary.learn(objects(["x" + cell for cell in cells]))
    assert codes.tolist() == renamed.tolist()


@FEW
@given(cells=st.lists(anything, min_size=1, max_size=12))
def test_pickle_holds_arrays_only_and_round_trips(cells):
    """Look-up tables stay out of a pickle and are made again."""
    vocabulary, codes = Vocabulary.learn(objects(cells), name="colour")
    before = pickle.dumps(vocabulary)
    vocabulary.encode(objects(cells))
    assert pickle.dumps(vocabulary) == before
    again = pickle.loads(before)
    assert set(vars(again)) == {"categories", "counts", "infrequent", "name"}
    assert again.encode(objects(cells)).tolist() == codes.tolist()


def test_vocabulary_from_its_arrays():
    """The three arrays are all that `encode` needs, whatever text type they were stored in."""
    vocabulary = Vocabulary(np.array(["a", "b"]), np.array([1, 2]), np.array([], dtype=object))
    assert vocabulary.encode(pd.Series(["b", "c"])).tolist() == [2, 0]
    assert "2 categories" in repr(vocabulary)


@pytest.mark.parametrize("cells", [["a", "b", None], [1, 2, None], [1, "a", None]])
def test_without_pyarrow(cells, monkeypatch):
    """pyarrow makes text faster and changes no code."""
    cells = cells * 150
    _, expected = Vocabulary.learn(objects(cells))
    monkeypatch.setattr(_native, "import_pyarrow", lambda: None)
    monkeypatch.setattr(_vocabulary, "import_pyarrow", lambda: None)
    kinds = pd.CategoricalDtype(pd.Index(cells[:2], dtype=object))
    columns = [objects(cells), pd.Series(cells, dtype=object), pd.Series(cells, dtype=kinds)]
    if cells[0] == "a":
        columns += [
            pl.Series(cells),
            pl.Series(cells, dtype=pl.Categorical),
            pd.Series(cells, dtype="string[python]"),
        ]
        texts = np.array(["a", "b", "c"] * 100)
        vocabulary, _ = Vocabulary.learn(objects(cells))
        assert vocabulary.encode(texts).tolist() == [1, 2, 0] * 100
    if cells[:2] == [1, 2]:
        columns += [pl.Series(cells), pl.Series(cells, dtype=pl.Float64)]
    for column in columns:
        vocabulary, codes = Vocabulary.learn(column)
        assert codes.tolist() == expected.tolist()
        assert vocabulary.encode(column).tolist() == expected.tolist()


# --- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_long", [False, True])
@pytest.mark.parametrize("bad", [["x"], {"x": 1}, {1}, np.arange(2)], ids=str)
def test_unhashable_cells_are_named(bad, is_long):
    """Lists and dicts are refused by column and row, with a way out."""
    cells = grown(["a", "b"], is_long) + [bad]
    message = f"Column 'tags' holds a {type(bad).__name__} in row {len(cells) - 1}.*explode"
    with pytest.raises(ValueError, match=message):
        Vocabulary.learn(objects(cells), name="tags")
    vocabulary, _ = Vocabulary.learn(objects(["a", "b"]), name="tags")
    with pytest.raises(ValueError, match=message):
        vocabulary.encode(objects(cells))


@pytest.mark.parametrize(
    "column", [pl.Series([["a"], ["b"]]), pa.array([["a"], ["b"]]), pl.Series([{"a": 1}])]
)
def test_nested_columns_are_named(column):
    """List and struct columns are refused like lists."""
    with pytest.raises(ValueError, match=r"Column 3 holds a (list|dict) in row 0"):
        Vocabulary.learn(column, name=3)


# --- one object for equal cells ---------------------------------------------------------------

KINDS_OF_OBJECTS = {
    "text": ["b", "a", "ü", "d"],
    "text and missing": ["b", None, "a", float("nan")],
    "integers": [10**6, 5 * 10**6, -(10**7)],
    "numbers": [1.5, 10**6, True],
    "mixed": ["a", 1.5, (1, 2), None],
    "days": [datetime.date(2024, 5, 1), datetime.date(2023, 1, 1), None],
}


@pytest.mark.parametrize("kind", KINDS_OF_OBJECTS)
def test_shared_objects_are_what_their_copies_are(kind):
    """Told apart by address or by value: the same categories, counts and codes."""
    cells = objects(KINDS_OF_OBJECTS[kind])
    rows = np.random.default_rng(0).integers(len(cells), size=20_000)
    shared = np.stack([cells[rows], cells[rows]], axis=1)[:, 1]  # every other place in memory
    own = objects([copy_of(cell) for cell in shared])
    assert _native.by_identity(shared) is not None
    vocabulary, codes = Vocabulary.learn(shared)
    again, codes_again = Vocabulary.learn(own)
    assert vocabulary.categories.dtype == again.categories.dtype
    assert list(map(repr, vocabulary.categories)) == list(map(repr, again.categories))
    np.testing.assert_array_equal(vocabulary.counts, again.counts)
    np.testing.assert_array_equal(codes, codes_again)
    np.testing.assert_array_equal(again.encode(shared), codes)
    np.testing.assert_array_equal(vocabulary.encode(own), codes)


def copy_of(cell):
    """An equal object at another address, where there can be one."""
    if isinstance(cell, datetime.date):
        return datetime.date(cell.year, cell.month, cell.day)
    if isinstance(cell, (bool, type(None))):
        return cell
    return pickle.loads(pickle.dumps(cell))


def test_objects_of_their_own_are_not_told_by_address():
    """It would be a hash table more, for nothing."""
    assert _native.by_identity(objects([str(i) for i in range(20_000)])) is None
    assert _native.by_identity(objects(["a"] * 10)) is None


def test_a_shared_list_is_named_with_its_row():
    """Not with its place among the objects."""
    cells = objects(["a", "b", ["c"]])
    rows = np.r_[np.arange(10_000) % 2, [2, 0] * 5000]
    vocabulary, _ = Vocabulary.learn(cells[rows[:10_000]])
    for use in (vocabulary.encode, Vocabulary.learn):
        with pytest.raises(ValueError, match="holds a list in row 10000,"):
            use(cells[rows])
