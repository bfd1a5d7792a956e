"""A folder that is not there is told by the user's own path, before any work is done."""

import os
import re
import stat

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


@pytest.mark.skipif(os.name != "posix", reason="links and modes as POSIX has them")
@pytest.mark.parametrize("name", ["save", "EmbeddingMap.save", "write_word_vectors"])
def test_a_link_stays_a_link_and_a_file_keeps_its_mode(name, embedder, tmp_path):
    """What a link leads to is written, there or not; no draft is left beside either."""
    (tmp_path / "store").mkdir()
    target, link = tmp_path / "store" / "file", tmp_path / "link"
    link.symlink_to(target)
    for mode in (None, 0o640):  # the first time there is no file
        if mode is not None:
            target.write_text("old")
            target.chmod(mode)
        WRITERS[name](embedder, link)
        assert link.is_symlink()
        assert target.stat().st_size > 100
        assert mode is None or stat.S_IMODE(target.stat().st_mode) == mode
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["file"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "store"]


def test_a_name_may_be_as_long_as_the_system_takes(tmp_path):
    """The draft beside the file has a name of its own, which is no longer in bytes."""
    path = tmp_path / ("本" * 80 + ".html")  # 245 bytes
    embedding_map(make_books(5, 2)[0], path, method="pca")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="links as POSIX has them")
def test_a_link_to_nowhere_is_told_where_it_leads(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "none" / "file")
    with pytest.raises(FileNotFoundError, match=rf"Cannot write '{link}': the folder '.*none'"):
        embedding_map(make_books(5, 2)[0], link, method=None)


@pytest.mark.parametrize("name", ["save", "embedding_map", "write_word_vectors"])
def test_a_folder_is_no_file(name, embedder, tmp_path):
    with pytest.raises(IsADirectoryError, match=r"it is a folder. Name a file in it"):
        WRITERS[name](embedder, tmp_path)


def test_a_file_is_no_folder(tmp_path):
    path = tmp_path / "file.txt"
    path.touch()
    with pytest.raises(NotADirectoryError, match=r"it is a file. Name a folder"):
        write_projector(path, make_books(5, 2)[0])
