"""One safetensors file: exact round trips, no code run, and a plain word about every broken file."""

import contextlib
import datetime
import decimal
import fractions
import json
import os

import numpy as np
import pandas as pd
import pytest
from _made import PLAIN, make_pairs, make_shops, same_state
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from sk_entity_embed import EntityEmbedder, _persistence


def same(left, right):
    """Equal in type and value, arrays by dtype too, NaN equal to itself."""
    if type(left) is not type(right):
        return False
    if isinstance(left, np.ndarray):
        if left.dtype != right.dtype or left.shape != right.shape:
            return False
        if left.dtype.kind != "O":
            return left.tobytes() == right.tobytes()
        return all(same(a, b) for a, b in zip(left.ravel().tolist(), right.ravel().tolist()))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[k], right[k]) for k in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right or (left != left and right != right)


def round_trip(content, tmp_path):
    path = tmp_path / "file.safetensors"
    _persistence.write(path, "Some", content)
    return _persistence.read(path, "Some")


# --- values ----------------------------------------------------------------------------------


def array_of(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -7,
        10**30,
        0.1,
        float("inf"),
        float("nan"),
        'text "quoted"\n\t🦊 \ud800 \x00',
        (),
        ("a", (1, 2.5), None),
        [],
        {"a": {1: "b", (2, 3): None}, 2.5: []},
        np.float32(0.1),
        np.int64(-3),
        np.bool_(True),
        np.arange(6).reshape(2, 3),
        np.arange(6).reshape(2, 3).T,
        np.arange(5, dtype=np.int32)[::2],
        np.array([True, False]),
        np.array([0.5, np.nan, -0.0, np.inf]),
        np.zeros((0, 4), dtype=np.float32),
        np.array(["2020-01-01", "NaT"], dtype="datetime64[ns]"),
        np.array([1, 2], dtype="timedelta64[s]"),
        np.array(["a", "long"]),
        array_of(["b", None]),
        array_of([1, "1", 1.5, None, True, b"\x00\xff"]),
        array_of([datetime.date(2020, 2, 29), datetime.datetime(1, 1, 1, 2, 3, 4, 5)]),
        array_of([datetime.time(3, 4), decimal.Decimal("1.10"), fractions.Fraction(1, 3)]),
        array_of([pd.Timestamp("2020-01-01 00:00:00.000000001"), pd.Timedelta(3, "ns")]),
        array_of([("a", 1), ("b", 2)]),
    ],
    ids=repr,
)
def test_values_come_back_as_they_were(value, tmp_path):
    """The same type, dtype and bits."""
    assert same(round_trip({"x": value}, tmp_path), {"x": value})


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC", "UTC+02:00", None])
def test_moments_keep_their_zone(zone, tmp_path):
    """Winter, summer and a local mean time of old are of one zone, and so they stay one type in a frame."""
    days = ("2020-01-01", "2020-07-01 12:30", "1850-01-01")
    moments = [pd.Timestamp(day, tz=zone) for day in days]
    loaded = round_trip({"x": array_of(moments)}, tmp_path)["x"]
    assert loaded.tolist() == moments
    assert pd.Series(loaded.tolist()).dtype == pd.Series(moments).dtype


_PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["", "a", '"é🦊\ud800\\'])
)


@given(
    st.recursive(
        _PLAIN,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.lists(inner, max_size=3).map(tuple)
            | st.dictionaries(_PLAIN.filter(lambda k: k == k), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_any_nesting_of_plain_values_survives_json(value):
    """Lists, tuples and dicts of numbers, text and None, keys of any of these types."""
    tensors = {}
    text = json.dumps(_persistence._pack(value, "", tensors))
    assert same(_persistence._unpack(json.loads(text), tensors), value)


def test_a_value_of_another_type_is_refused(tmp_path):
    """Its place and type are named, with what to use instead."""
    with pytest.raises(TypeError, match=r"cannot write x, .* of type function.*pickle or joblib"):
        round_trip({"x": [1, round_trip]}, tmp_path)
    with pytest.raises(TypeError, match=r"cannot write x, .* array of complex128"):
        round_trip({"x": np.zeros(2, dtype=complex)}, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_parameter_that_is_refused_is_named(tmp_path):
    """As the user wrote it, not by its place in the file."""
    X, y = make_shops(60)
    embedder = EntityEmbedder(**PLAIN, categorical_features=lambda X: ["shop", "item"]).fit(X, y)
    with pytest.raises(TypeError, match="cannot write categorical_features, which holds"):
        embedder.save(tmp_path / "file.safetensors")


# --- files -----------------------------------------------------------------------------------


def test_a_failure_leaves_the_older_file(tmp_path, monkeypatch):
    """All or nothing: no half-written file, no temporary one left behind."""
    path = tmp_path / "file.safetensors"
    _persistence.write(path, "Some", {"x": 1})

    def fail(tensors, name, metadata):
        with open(name, "wb") as file:
            file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(_persistence, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        _persistence.write(path, "Some", {"x": 2})
    assert [p.name for p in tmp_path.iterdir()] == ["file.safetensors"]
    assert _persistence.read(path, "Some") == {"x": 1}


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_the_file_is_as_readable_as_others(tmp_path):
    """The temporary file's private permissions do not stick."""
    _persistence.write(tmp_path / "ours", "Some", {})
    (tmp_path / "theirs").touch()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode


def test_foreign_and_newer_files_are_named(tmp_path):
    """Each with what it is and what was expected."""
    path = tmp_path / "file"
    metadata = {"format": _persistence.FORMAT, "version": "1", "class": "Some", "content": "{}"}

    def write(**changes):
        save_file({}, path, metadata={**metadata, **changes})

    write(version="2")
    with pytest.raises(ValueError, match=r"has format version 2, this release reads up to 1"):
        _persistence.read(path, "Some")
    write(version="one")
    with pytest.raises(ValueError, match="has format version one"):
        _persistence.read(path, "Some")
    write(format="other")
    with pytest.raises(ValueError, match="was not written by sk_entity_embed"):
        _persistence.read(path, "Some")
    save_file({"x": np.zeros(2)}, path)
    with pytest.raises(ValueError, match="was not written by sk_entity_embed"):
        _persistence.read(path, "Some")
    write()
    with pytest.raises(ValueError, match="holds an Some, expected Other"):
        _persistence.read(path, "Other")
    with pytest.raises(IsADirectoryError, match="is a folder, expected a file"):
        _persistence.read(tmp_path, "Other")
    with pytest.raises(FileNotFoundError):
        _persistence.read(tmp_path / "nowhere", "Some")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        '{"a": 1}',
        '{"__type__": "array", "tensor": "no"}',
        '{"__type__": "os"}',
        '{"__type__": "scalar", "value": []}',
        '{"__type__": "Decimal", "text": "1.x"}',
        '{"__type__": "Fraction", "text": "1/0"}',
        '{"__type__": "date", "text": "2020-01-1?"}',
    ],
)
def test_a_damaged_header_is_named(content, tmp_path):
    """JSON that is broken, or of types that are not ours, is data to refuse and never code to run."""
    path = tmp_path / "file"
    metadata = {"format": _persistence.FORMAT, "version": "1", "class": "Some"}
    save_file({}, path, metadata={**metadata, "content": content})
    with pytest.raises(ValueError, match="is damaged"):
        _persistence.read(path, "Some")


def test_a_missing_header_entry_is_named(tmp_path):
    """A file that claims to be ours and lacks what ours have."""
    save_file({}, tmp_path / "file", metadata={"format": _persistence.FORMAT})
    with pytest.raises(ValueError, match="is damaged"):
        _persistence.read(tmp_path / "file", "Some")


# --- the embedder ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted():
    X, y = make_shops()
    return EntityEmbedder(**PLAIN, add_prediction=True).fit(X, y), X


def test_save_and_load_give_the_same_embedder(fitted, tmp_path):
    """Parameters, fitted attributes and results, bit for bit; a second save is the same file."""
    embedder, X = fitted
    path = tmp_path / "embedder.safetensors"
    embedder.save(path)
    loaded = EntityEmbedder.load(path)
    assert loaded.get_params() == embedder.get_params()
    assert same_state(loaded, embedder)
    np.testing.assert_array_equal(loaded.transform(X), embedder.transform(X))
    np.testing.assert_array_equal(loaded.get_feature_names_out(), embedder.get_feature_names_out())
    pd.testing.assert_frame_equal(
        loaded.most_similar("shop 1", column="shop"), embedder.most_similar("shop 1", column="shop")
    )
    missing = set(vars(embedder)) - set(vars(loaded)) - {"_cache"}
    assert not missing
    loaded.save(tmp_path / "again")
    assert EntityEmbedder.load(str(tmp_path / "again")).history_ == embedder.history_


def test_a_loaded_embedder_keeps_its_settings_of_output(fitted, tmp_path):
    """set_output is part of what is saved."""
    X, path = fitted[1], tmp_path / "embedder"
    other = EntityEmbedder(**PLAIN).set_output(transform="pandas")
    other.fit(X, np.arange(len(X)) * 0.5).save(path)
    assert isinstance(EntityEmbedder.load(path).transform(X), pd.DataFrame)


def test_links_are_saved_too(tmp_path):
    """With what a pair's score needs."""
    pairs, _ = make_pairs()
    embedder = EntityEmbedder(interaction="dot", n_components=4, random_state=0).fit(pairs)
    embedder.save(tmp_path / "links")
    loaded = EntityEmbedder.load(tmp_path / "links")
    assert same_state(loaded, embedder)
    for among in (None, "link"):
        pd.testing.assert_frame_equal(
            loaded.most_similar("book 00", among=among),
            embedder.most_similar("book 00", among=among),
        )


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 3],
        [0.5, 2.0, np.nan],
        [True, False, True],
        ["a", "b", None],
        [1, "1", None],
        [datetime.date(2020, 1, 1), datetime.date(2021, 5, 5), None],
        pd.to_datetime(["2020-01-01", "2021-05-05", None]),
        pd.to_datetime(["2020-01-01", "2021-05-05", None], utc=True),
        pd.to_timedelta(["1h", "2h", None]),
        pd.Categorical(["x", "y", None]),
        pd.array([1, 2, None], dtype="Int64"),
        [decimal.Decimal("1.10"), decimal.Decimal("2"), None],
        [("a", 1), ("b", 2), None],
        ["<b>", "\t\n", "🦊" * 2000],
    ],
    ids=lambda values: str(getattr(values, "dtype", values))[:30],
)
def test_categories_keep_their_types(values, tmp_path):
    """Whatever a category is, the loaded embedder finds it again."""
    column = pd.Series(values) if not isinstance(values, list) else pd.Series(array_of(values))
    if isinstance(values, list) and all(isinstance(v, (int, float)) for v in values):
        column = pd.Series(values)
    X = pd.DataFrame({"c": column})
    X = pd.concat([X] * 4, ignore_index=True)
    embedder = EntityEmbedder(categorical_features=["c"], **PLAIN).fit(X, np.arange(12.0) % 3 + 0.5)
    embedder.save(tmp_path / "e")
    loaded = EntityEmbedder.load(tmp_path / "e")
    assert same(loaded.categories_[0], embedder.categories_[0])
    np.testing.assert_array_equal(loaded.transform(X), embedder.transform(X))
    assert len(np.unique(loaded.transform(X), axis=0)) == X["c"].nunique(dropna=False)


@pytest.mark.parametrize(
    "params",
    [
        {"categorical_features": ["shop"]},
        {"categorical_features": [True, False]},
        {"categorical_features": np.array([0, 1])},
        {"n_components": {"shop": 3}},
        {"hidden_layer_sizes": [4]},
        {"cv": [(np.arange(100), np.arange(100, 200)), (np.arange(100, 200), np.arange(100))]},
        {"learning_rate": np.float64(0.01)},
    ],
    ids=lambda params: next(iter(params)),
)
def test_parameters_keep_their_types(params, tmp_path):
    """Tuples, arrays, dicts and NumPy's numbers come back as such."""
    X, y = make_shops()
    settings = {**PLAIN, **params}
    embedder = EntityEmbedder(**settings).fit(X[["shop", "price"]], y)
    embedder.save(tmp_path / "e")
    loaded = EntityEmbedder.load(tmp_path / "e")
    for name in params:
        assert same(getattr(loaded, name), getattr(embedder, name))


@pytest.mark.parametrize("params", [{"categorical_features": lambda X: ["shop"]}])
def test_a_parameter_that_is_code_is_refused(params, tmp_path):
    """A file without code cannot hold a callable; the message offers pickle."""
    X, y = make_shops(40)
    embedder = EntityEmbedder(**PLAIN, **params).fit(X[["shop"]], y)
    with pytest.raises(TypeError, match="pickle or joblib"):
        embedder.save(tmp_path / "e")
    assert not list(tmp_path.iterdir())


def test_callbacks_and_requests_do_not_stop_a_save(tmp_path):
    """They belong to the session, not to what was learned."""
    from sklearn import config_context
    from sklearn.callback import ScoringMonitor

    X, y = make_shops(40)
    monitor = ScoringMonitor(scoring=lambda estimator, X, y: {"zero": 0.0})
    with config_context(enable_metadata_routing=True):
        embedder = (
            EntityEmbedder(**PLAIN).set_callbacks(monitor).set_fit_request(sample_weight=True)
        )
    embedder.fit(X, y).save(tmp_path / "e")
    loaded = EntityEmbedder.load(tmp_path / "e")
    np.testing.assert_array_equal(loaded.transform(X), embedder.transform(X))


def test_an_unfitted_embedder_has_nothing_to_save(tmp_path):
    """scikit-learn's error."""
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        EntityEmbedder().save(tmp_path / "e")


def test_broken_files_are_refused(fitted, tmp_path):
    """Cut short anywhere, or of a length of zero: a ValueError that names the file."""
    path = tmp_path / "e"
    fitted[0].save(path)
    whole = path.read_bytes()
    for length in (0, 4, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="is not a whole safetensors file"):
            EntityEmbedder.load(path)
    path.write_bytes(b"PK\x03\x04 something else entirely" * 50)
    with pytest.raises(ValueError, match="is not a whole safetensors file"):
        EntityEmbedder.load(path)


@pytest.mark.parametrize("seed", range(20))
def test_flipped_bytes_are_refused_or_harmless(fitted, tmp_path, seed):
    """A byte changed in the header: a ValueError, or an embedder that works; never another failure."""
    rng = np.random.default_rng(seed)
    path = tmp_path / "e"
    fitted[0].save(path)
    whole = bytearray(path.read_bytes())
    size = int.from_bytes(whole[:8], "little")
    for _ in range(3):
        broken = bytearray(whole)
        broken[8 + rng.integers(size)] = rng.integers(32, 127)
        path.write_bytes(broken)
        with contextlib.suppress(ValueError):
            EntityEmbedder.load(path)


def test_content_that_does_not_fit_together_is_refused(fitted, tmp_path):
    """Shapes are checked: vectors for other categories than there are, or none at all."""
    embedder = fitted[0]
    path = tmp_path / "e"
    embedder.save(path)
    content = _persistence.read(path, "EntityEmbedder")
    for damage in (
        lambda c: c["state"]["embeddings_"].__setitem__(0, np.zeros((2, 2), np.float32)),
        lambda c: c["state"].pop("embeddings_"),
        lambda c: c["state"]["embeddings_"].pop(),
        lambda c: c["vocabularies"].pop(),
        lambda c: c["vocabularies"][0].pop("categories"),
        lambda c: c.pop("state"),
        lambda c: c["state"].pop("_embedded"),
        lambda c: c["state"].pop("categorical_features_"),
        lambda c: c["state"].update(_numeric="x"),
        lambda c: c["state"].update(n_features_in_=9),
        lambda c: c["state"].update(unknown_vectors_=[1.0, None]),
        lambda c: c["state"]["_inner_tables"].__setitem__(0, np.zeros((2, 2), np.float32)),
        lambda c: c["state"]["_inner_tables"].pop(),
        lambda c: c["state"]["_head"]["coefs"].pop(),
        lambda c: c["state"]["_scaling"].pop("center"),
        lambda c: c["state"].update(_pair_effects=[np.zeros((3, 1))]),
        lambda c: c["state"].update(_values={"numbers": np.array([9]), "known": [np.zeros(1)]}),
        lambda c: c["vocabularies"][0].update(infrequent=None),
        lambda c: c["vocabularies"][0].update(counts=np.arange(9)),
    ):
        content = _persistence.read(path, "EntityEmbedder")
        damage(content)
        broken = tmp_path / "broken"
        _persistence.write(broken, "EntityEmbedder", content)
        with pytest.raises(ValueError, match="is damaged"):
            EntityEmbedder.load(broken)
