"""The demo, as a newcomer runs it."""

import json

import pytest

from sk_entity_embed import EntityEmbedder, datasets
from sk_entity_embed.__main__ import main


@pytest.fixture(scope="module")
def ndjson(tmp_path_factory):
    """Twelve books of two kinds in the form of the article's data."""
    path = tmp_path_factory.mktemp("books") / "books.ndjson"
    lines = []
    for i in range(12):
        kind = "sea" if i % 2 else "moon"
        links = [f"{kind} {j}" for j in range(6) if (i + j) % 3]
        lines.append(json.dumps([f"{kind} book {i}", {"author": kind}, links, [], "", 100]))
    path.write_text("\n".join(lines), "utf-8")
    return str(path)


@pytest.mark.parametrize("seed", range(5))
def test_war_and_peace_leads_to_anna_karenina(seed):
    """The mission's own example holds whatever the seed."""
    pairs = datasets.load_classic_books().pairs[["book", "link"]]
    embedder = EntityEmbedder(interaction="dot", random_state=seed).fit(pairs)
    assert "Anna Karenina" in embedder.most_similar("War and Peace", n=5)["entity"].tolist()


def test_similar_prints_n_neighbours(ndjson, capsys):
    """Neighbours share links, so they are of the same kind; no progress bar where there is no terminal."""
    assert main(["similar", "sea book 1", "-n", "3", "--data", ndjson]) == 0
    printed = capsys.readouterr()
    lines = printed.out.strip().splitlines()
    assert "12 books" in lines[0]
    assert len([line for line in lines if "book" in line and line.startswith("  ")]) == 3
    assert "moon book" not in printed.out
    assert printed.err == ""


@pytest.mark.parametrize(
    ("words", "titles"),
    [
        (["sea", "book", "1"], ["sea book 1"]),
        (["sea book 1"], ["sea book 1"]),
        (["sea book 1", "moon book 2"], ["sea book 1", "moon book 2"]),
    ],
)
def test_a_title_needs_no_quotes(words, titles, ndjson, capsys):
    """Words are one title, unless each of them is a title itself."""
    assert main(["similar", *words, "-n", "2", "--data", ndjson]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = [line for line in lines if line.startswith("Nearest to ")]
    assert [line.split(" (")[0].removeprefix("Nearest to ") for line in found] == titles


def test_a_command_may_come_after_its_options(ndjson, tmp_path, monkeypatch, capsys):
    """And a file may be called like one."""
    monkeypatch.chdir(tmp_path)
    assert main(["--data", ndjson, "-n", "2", "--out", "map"]) == 0
    assert "Drawing the map" in capsys.readouterr().out
    assert (tmp_path / "map").exists()
    assert main(["--data", ndjson, "similar", "sea book 1"]) == 0
    assert "Nearest to sea book 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [["-n", "x"], ["-n", "0"], ["--seed", "-1"], ["--seed", str(2**32)]]
)
def test_numbers_out_of_range_are_told(words, capsys):
    with pytest.raises(SystemExit):
        main(["similar", "Dune", *words])
    assert f"must be a whole number of at least {'01'['-n' in words]}" in capsys.readouterr().err


def test_a_missing_folder_is_told_before_training(tmp_path, ndjson, capsys):
    assert main(["map", "--data", ndjson, "--out", str(tmp_path / "none" / "page.html")]) == 1
    printed = capsys.readouterr()
    assert "Create it first" in printed.err
    assert printed.out == ""


def test_an_unknown_title_is_told_with_the_closest_spellings(ndjson, capsys):
    assert main(["similar", "sea bok 1", "--data", ndjson]) == 1
    printed = capsys.readouterr()
    assert "'sea book 1'" in printed.err


def test_a_file_that_cannot_be_read_is_told(tmp_path, capsys):
    assert main(["--data", str(tmp_path / "none.ndjson")]) == 1
    assert "none.ndjson" in capsys.readouterr().err


def test_the_demo_prints_neighbours_and_writes_the_map(ndjson, tmp_path, capsys):
    """Without a command: neighbours of three books, and the page."""
    page = tmp_path / "page.html"
    assert main(["--data", ndjson, "--out", str(page), "-n", "2"]) == 0
    assert capsys.readouterr().out.count("Nearest to") == 3
    assert page.read_text("utf-8").startswith("<!doctype html>")
