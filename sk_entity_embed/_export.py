"""Vectors as files for other tools: the Embedding Projector, and word-vector text."""

from itertools import chain

import numpy as np

from ._entities import one_line, read_attributes, read_entities
from ._paths import draft_of, file_path, folder_path


def write_projector(folder, embedder, *, column=None, metadata=None, binary=False):
    """Write files for TensorFlow's Embedding Projector and TensorBoard.

    In TensorBoard, start it with `folder` as log directory and open the tab "Projector". On the
    projector's own page, press "Load" and give it the two `.tsv` files.

    Parameters
    ----------
    folder : path-like
        Made if it is not there, in one that is. Files of the same names are written over.

    embedder : EntityEmbedder
        Fitted.

    column : str or int, default=None
        The embedded column. May be left out where there is one, or for links, where it means the
        first.

    metadata : data frame, default=None
        More columns for the labels: by index, or by a column with the name of the embedded one.
        With them `metadata.tsv` has a header; without them it must not have one.

    binary : bool, default=False
        Whether vectors go to `vectors.bytes` (raw little-endian float32, a third of the size)
        rather than to `vectors.tsv`. Only TensorBoard reads it, by the shape in the
        configuration.

    Returns
    -------
    folder : pathlib.Path
        Where the files are: the vectors, `metadata.tsv` and `projector_config.pbtxt`.

    Raises
    ------
    FileNotFoundError
        If the folder above `folder` does not exist.
    NotADirectoryError
        If `folder` is a file.

    See Also
    --------
    embedding_map : One page to explore, without a server.

    Notes
    -----
    A line is an entity. Tabs and line breaks inside a text become spaces.
    """
    folder = folder_path(folder)
    entities = read_entities(embedder, column)
    attributes = read_attributes(metadata, entities)
    folder.mkdir(exist_ok=True)
    if binary:
        vectors = "vectors.bytes"
        with draft_of(folder / vectors) as draft:
            draft.write_bytes(entities.vectors.astype("<f4").tobytes())
    else:
        vectors = "vectors.tsv"
        _write_lines(folder / vectors, ("\t".join(map(str, row)) for row in entities.vectors))
    _write_lines(folder / "metadata.tsv", _metadata_lines(entities, attributes))
    n_rows, n_columns = entities.vectors.shape
    config = [
        "embeddings {",
        f"  tensor_name: {_quoted(one_line(str(entities.column)))}",
        f"  tensor_shape: {n_rows}",
        f"  tensor_shape: {n_columns}",
        f"  tensor_path: {_quoted(vectors)}",
        '  metadata_path: "metadata.tsv"',
        "}",
    ]
    _write_lines(folder / "projector_config.pbtxt", config)
    return folder


def write_word_vectors(path, embedder, *, column=None):
    """Write vectors in the text format of word2vec, which gensim, spaCy and many others read.

    Parameters
    ----------
    path : path-like
        File to write, in a folder that is there.

    embedder : EntityEmbedder
        Fitted.

    column : str or int, default=None
        The embedded column. May be left out where there is one, or for links, where it means the
        first.

    Returns
    -------
    path : pathlib.Path
        The file. Its first line has the number of rows and of components.

    Raises
    ------
    FileNotFoundError
        If the folder of `path` does not exist.
    IsADirectoryError
        If `path` is a folder.

    Notes
    -----
    The format parts its fields by spaces, so those in a name become underscores; where two names
    become equal, the second gets "#2".
    """
    path = file_path(path)
    entities = read_entities(embedder, column)
    words = _unique(one_line(name).replace(" ", "_") for name in entities.names)
    shape = " ".join(map(str, entities.vectors.shape))
    rows = (f"{word} {' '.join(map(str, row))}" for word, row in zip(words, entities.vectors))
    _write_lines(path, chain([shape], rows))
    return path


def _metadata_lines(entities, attributes):
    names = [one_line(name) for name in entities.names]
    if not attributes:
        return names
    header = [one_line(str(entities.column)), *(one_line(each.title) for each in attributes)]
    cells = [names, *(_cells(each) for each in attributes)]
    return ["\t".join(row) for row in [header, *zip(*cells)]]


def _cells(attribute):
    if attribute.kind == "category":
        texts = ["", *map(one_line, attribute.values)]
        return [texts[code] for code in attribute.codes]
    if attribute.kind == "date":
        days = np.array(attribute.values, dtype="datetime64[ms]")
        return ["" if np.isnat(day) else str(day.astype("datetime64[s]")) for day in days]
    if attribute.integers is not None:
        return ["" if number is None else str(number) for number in attribute.integers]
    return ["" if np.isnan(number) else _number(number) for number in attribute.values]


def _number(number):
    """A whole number in full, another with the digits that survive a round trip through text."""
    return f"{number:.{17 if number.is_integer() else 15}g}"


def _unique(words):
    taken = set()
    for word in words:
        free, n = word, 1
        while free in taken:
            n += 1
            free = f"{word}#{n}"
        taken.add(free)
        yield free


def _quoted(text):
    """A string of protobuf's text format."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _write_lines(path, lines):
    with (
        draft_of(path) as draft,
        draft.open("w", encoding="utf-8", errors="replace", newline="\n") as file,
    ):
        file.writelines(f"{line}\n" for line in lines)
