"""A folder that is not there is told by the user's own path, before any work is done."""

import re

import pytest
from _fake_embedder import make_books
from _made import PLAIN, make_shops

from sk_entity_embed import EntityEmbedder
from sk_entity_embed.plotting import embedding_map, write_projector, write_word_vectors


@pytest.fixture(scope="module")
def embedder():
    X, y = make_shops(60)
    return EntityEmbedder(**PLAIN).fit(X[["shop"]], y)


WRITERS = {
    "save": lambda embedder, path: embedder.save(path),
    "embedding_map": lambda embedder, path: embedding_map(embedder, path, method=None),
    "EmbeddingMap.save": lambda embedder, path: embedding_map(embedder, method="pca").save(path),
    "write_projector": lambda embedder, path: write_projector(path, embedder),
    "write_word_vectors": lambda embedder, path: write_word_vectors(path, embedder),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_missing_folder_is_named(write, embedder, tmp_path):
    """The path as given and the folder to create; nothing is made. (The method of the map would fail, were it run.)"""
    path = tmp_path / "none" / "file.txt"
    told = rf"Cannot write '{re.escape(str(path))}': the folder '{re.escape(str(path.parent))}' .*Create it first"
    with pytest.raises(FileNotFoundError, match=told):
        write(embedder, path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["save", "embedding_map", "write_word_vectors"])
def test_a_folder_is_no_file(name, embedder, tmp_path):
    with pytest.raises(IsADirectoryError, match=r"it is a folder. Name a file in it"):
        WRITERS[name](embedder, tmp_path)


def test_a_file_is_no_folder(tmp_path):
    path = tmp_path / "file.txt"
    path.touch()
    with pytest.raises(NotADirectoryError, match=r"it is a file. Name a folder"):
        write_projector(path, make_books(5, 2)[0])
