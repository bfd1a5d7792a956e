"""Vectors as files for other tools."""

import re

import numpy as np
import pandas as pd
import pytest
from _fake_embedder import HOSTILE, FakeEmbedder, make_books

from sk_entity_embed.plotting import write_projector, write_word_vectors


def read_lines(path):
    """Lines as the tools see them: parted by line feeds and by nothing else."""
    text = path.read_bytes().decode("utf-8")
    assert text.endswith("\n")
    return text[:-1].split("\n")


def read_config(folder):
    """The fields of projector_config.pbtxt, one a line, in order."""
    lines = read_lines(folder / "projector_config.pbtxt")
    assert lines[0] == "embeddings {"
    assert lines[-1] == "}"
    return [tuple(line.strip().split(": ", 1)) for line in lines[1:-1]]


def test_projector_files_hold_vectors_and_names(tmp_path):
    """One line an entity; without metadata there is no header."""
    embedder, _ = make_books(12, 5)
    folder = write_projector(tmp_path / "new", embedder)
    assert sorted(file.name for file in folder.iterdir()) == [
        "metadata.tsv",
        "projector_config.pbtxt",
        "vectors.tsv",
    ]
    rows = [line.split("\t") for line in read_lines(folder / "vectors.tsv")]
    np.testing.assert_array_equal(np.array(rows, dtype=np.float32), embedder.embeddings_[0])
    assert read_lines(folder / "metadata.tsv") == list(embedder.categories_[0])
    assert read_config(folder) == [
        ("tensor_name", '"book"'),
        ("tensor_shape", "12"),
        ("tensor_shape", "5"),
        ("tensor_path", '"vectors.tsv"'),
        ("metadata_path", '"metadata.tsv"'),
    ]


def test_metadata_gets_a_header(tmp_path):
    embedder, metadata = make_books(12, 5)
    write_projector(tmp_path, embedder, metadata=metadata)
    lines = read_lines(tmp_path / "metadata.tsv")
    assert lines[0] == "book\tgenre\tpages\tpublished\tauthor"
    assert len(lines) == 13
    for line, name in zip(lines[1:], embedder.categories_[0]):
        row = metadata.loc[name]
        genre = "" if pd.isna(row["genre"]) else row["genre"]
        date = row["published"].strftime("%Y-%m-%dT%H:%M:%S")
        assert line.split("\t") == [name, genre, f"{row['pages']:g}", date, row["author"]]


def test_whole_numbers_are_written_in_full(tmp_path):
    """Beyond what float64 holds, with a gap, as floats, and as durations: each is told as it is."""
    embedder, _ = make_books(3, 2)
    metadata = pd.DataFrame(
        {
            "large": pd.array([2**60 + 1, None, 7], dtype="Int64"),
            "digits": [1234567890123457, 2, 3],
            "float": [1234567890123457.0, 0.1, np.nan],
            "span": pd.to_timedelta([1, 2, 4], unit="h"),
        },
        index=embedder.categories_[0],
    )
    write_projector(tmp_path, embedder, metadata=metadata)
    header, *lines = (line.split("\t")[1:] for line in read_lines(tmp_path / "metadata.tsv"))
    assert header == ["large", "digits", "float", "span (hours)"]
    assert lines == [
        ["1152921504606846977", "1234567890123457", "1234567890123457", "1"],
        ["", "2", "0.1", "2"],
        ["7", "3", "", "4"],
    ]


def test_binary_vectors_are_little_endian_floats(tmp_path):
    embedder, _ = make_books(12, 5)
    write_projector(tmp_path, embedder, binary=True)
    stored = np.fromfile(tmp_path / "vectors.bytes", dtype="<f4").reshape(12, 5)
    np.testing.assert_array_equal(stored, embedder.embeddings_[0])
    assert ("tensor_path", '"vectors.bytes"') in read_config(tmp_path)


def test_any_name_stays_on_its_line(tmp_path):
    rng = np.random.default_rng(0)
    embedder = FakeEmbedder(HOSTILE, rng.normal(size=(len(HOSTILE), 3)), column='a "b"\n\\')
    index = pd.Index(HOSTILE, dtype=object)
    metadata = pd.DataFrame({'tab\tand "quote"': HOSTILE}, index=index, dtype=object)
    write_projector(tmp_path, embedder, metadata=metadata)
    lines = read_lines(tmp_path / "metadata.tsv")
    assert len(lines) == len(HOSTILE) + 1
    assert all(line.count("\t") == 1 for line in lines)
    assert re.sub("[\t\u200d]", "", "".join(lines)).isprintable()
    cells = [line.split("\t")[0] for line in lines[1:]]
    assert all(cells)  # a blank line would shift all that follow
    assert cells[0] == HOSTILE[0]
    assert ("tensor_name", r'"a \"b\" \\"') in read_config(tmp_path)


@pytest.mark.parametrize("binary", [False, True])
def test_tensorboard_reads_the_files(tmp_path, binary):
    """Its projector plugin finds the tensor, its shape, its values and its metadata."""
    plugin_module = pytest.importorskip("tensorboard.plugins.projector.projector_plugin")
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    embedder, metadata = make_books(12, 5)
    write_projector(tmp_path, embedder, metadata=metadata, binary=binary)
    config = text_format.Parse(
        (tmp_path / "projector_config.pbtxt").read_text("utf-8"), ProjectorConfig()
    )
    (entry,) = config.embeddings
    assert entry.tensor_name == "book"
    assert list(entry.tensor_shape) == [12, 5]
    path = str(tmp_path / entry.tensor_path)
    if binary:
        read = plugin_module._read_tensor_binary_file(path, list(entry.tensor_shape))
    else:
        read = plugin_module._read_tensor_tsv_file(path)
    np.testing.assert_allclose(read, embedder.embeddings_[0], rtol=1e-6)
    assert (tmp_path / entry.metadata_path).exists()


def test_word_vectors_are_read_back(tmp_path):
    embedder, _ = make_books(12, 5)
    path = write_word_vectors(tmp_path / "books.txt", embedder)
    first, *lines = read_lines(path)
    assert first == "12 5"
    words, *numbers = zip(*(line.split(" ") for line in lines))
    assert words[0] == "War_and_Peace"
    np.testing.assert_array_equal(np.array(numbers, dtype=np.float32).T, embedder.embeddings_[0])


def test_word_vectors_have_one_word_a_line(tmp_path):
    """Spaces become underscores; names that become equal are numbered."""
    names = [*HOSTILE, "a b", "a_b", "a_b#2"]
    embedder = FakeEmbedder(names, np.eye(len(names)))
    _, *lines = read_lines(write_word_vectors(tmp_path / "words.txt", embedder))
    words = [line.split(" ")[0] for line in lines]
    assert len(set(words)) == len(names)
    assert {len(line.split(" ")) for line in lines} == {len(names) + 1}
    assert words[-3:] == ["a_b", "a_b#2", "a_b#2#2"]


def test_a_failure_leaves_the_older_file(tmp_path, monkeypatch):
    """What was there is there still, and nothing beside it."""

    def fail(*_):
        raise OSError("the disk is full")

    path = tmp_path / "vectors.txt"
    write_word_vectors(path, FakeEmbedder(["a", "b"], np.eye(2)))
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="the disk is full"):
        write_word_vectors(path, FakeEmbedder(["c", "d"], np.eye(2)))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
