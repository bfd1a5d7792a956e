"""The table of classic books keeps its promises; the reader cleans and complains as it says."""

import gzip
import json

import pytest
from _data import data_file

from sk_entity_embed.datasets import load_classic_books, load_wikipedia_books

# --- the classic books ---------------------------------------------------------------------------

ONE_BOOK_SHARE = 0.25  # at most so many of the distinct links may belong to one book only


@pytest.fixture(scope="module")
def classics():
    return load_classic_books()


def test_classic_books_are_many(classics):
    """The sizes that the docs state as "at least"."""
    assert len(classics.books) >= 600
    assert len(classics.pairs) >= 7000
    assert list(classics.pairs.columns) == ["book", "link"]
    columns = ["title", "author", "year", "country", "language", "genres"]
    assert list(classics.books.columns) == columns


def test_classic_books_have_no_duplicates(classics):
    """A title names one book; a book has a link once, whatever its case or its spaces."""
    assert not classics.books["title"].str.casefold().duplicated().any()
    folded = classics.pairs.apply(lambda column: column.str.casefold().str.split().str.join(" "))
    assert not folded.duplicated().any()


def test_classic_books_have_no_empty_or_untidy_field(classics):
    """Every field is filled, without stray spaces, separators or letters that did not decode."""
    for column in (*classics.books.drop(columns="year").items(), *classics.pairs.items()):
        name, values = column
        assert (values != "").all(), name
        assert (values == values.str.strip()).all(), name
        assert not values.str.contains(r"\s\s|\t|\n|\ufffd|;;|;$|^;", regex=True).any(), name
    assert not classics.pairs["link"].str.contains(";").any()


def test_classic_books_have_8_to_20_links_each(classics):
    """Enough links to place a book, not so many that one book outweighs others."""
    n_links = classics.pairs.groupby("book").size()
    assert set(n_links.index) == set(classics.books["title"])
    assert n_links[n_links < 8].empty
    assert n_links[n_links > 20].empty


def test_classic_books_share_their_links(classics):
    """Links are spelled alike, so that books meet in them."""
    counts = classics.pairs["link"].value_counts()
    assert (counts == 1).mean() <= ONE_BOOK_SHARE


def test_classic_links_are_spelled_in_one_way(classics):
    """Lower case, as load_wikipedia_books has them; no two differ in marks or spaces only."""
    links = classics.pairs["link"].drop_duplicates()
    assert (links == links.str.lower()).all()
    key = links.str.replace(r"\W", "", regex=True)
    assert links[key.duplicated(keep=False)].sort_values().tolist() == []


def test_no_classic_book_links_to_itself(classics):
    """An article does not link to itself."""
    own = classics.pairs["link"].str.casefold() == classics.pairs["book"].str.casefold()
    assert classics.pairs[own].empty


def test_every_classic_book_links_to_its_author(classics):
    """The author is a link like others, unless nobody knows who it was."""
    authors = classics.books.set_index("title")["author"].str.split("; ").explode()
    authors = authors[authors != "Anonymous"].str.lower()
    have = set(classics.pairs.itertuples(index=False, name=None))
    assert [pair for pair in authors.items() if pair not in have] == []


def test_classic_years_are_integers_in_order(classics):
    """Years are numbers from antiquity (negative) to today, and the table is sorted by them."""
    years = classics.books["year"]
    assert years.dtype.kind == "i"
    assert years.is_monotonic_increasing
    assert years.iloc[0] < -500
    assert years.iloc[-1] <= 2026
    assert (years != 0).all()  # there was no year 0


@pytest.mark.parametrize(
    "country",
    ["Argentina", "Australia", "China", "Egypt", "India", "Japan", "Nigeria", "Russia"],
)
def test_classic_books_come_from_everywhere(classics, country):
    """Each continent is there, with more than one book."""
    assert (classics.books["country"] == country).sum() >= 3


def test_classic_books_are_new_at_each_call(classics):
    """Changing what one call returned changes nothing for the next."""
    changed = load_classic_books()
    changed.books.loc[0, "title"] = "Changed"
    assert load_classic_books().books.equals(classics.books)


# --- books of Wikipedia --------------------------------------------------------------------------


def write(path, records):
    text = "".join(f"{json.dumps(record)}\n" for record in records)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return path


RECORDS = [
    {
        "title": "Émile",
        "info": {"author": "J.-J. Rousseau < br > A. Friend", "pub_date": "1762 <!-- May -->"},
        "links": ["Education", "education", "Hardcover", "France"],
    },
    {"title": "Candide", "info": None, "links": ["France ", "Lisbon", "Education"]},
    {"title": "Wikipedia:Books", "info": {}, "links": ["France", "Lisbon"]},
    {"title": "Zadig", "info": {"author": "", "authors": "Voltaire"}, "links": ["Paperback"]},
]


@pytest.mark.parametrize("name", ["books.ndjson", "books.ndjson.gz"])
@pytest.mark.parametrize("form", ["object", "list"])
def test_wikipedia_books_are_cleaned_as_in_the_article(tmp_path, name, form):
    """Lower case, once a book, no formatting, nothing rare; plain or compressed, either form."""
    records = RECORDS
    if form == "list":
        records = [
            [r["title"], r["info"], r["links"], ["http://example.org"], "2018-08-29", 1000]
            for r in RECORDS
        ]
    data = load_wikipedia_books(write(tmp_path / name, records), min_count=2)
    assert data.pairs.to_numpy().tolist() == [
        ["Émile", "education"],
        ["Émile", "france"],
        ["Candide", "france"],
        ["Candide", "education"],
    ]
    assert data.books["title"].tolist() == ["Émile", "Candide"]
    assert data.books.loc[0, "author"] == "J.-J. Rousseau; A. Friend"
    assert data.books.loc[0, "published"] == "1762"
    assert data.books.loc[1].drop("title").isna().all()


def test_min_count_counts_books(tmp_path):
    """A link that one book has three times is still a link of one book."""
    path = write(tmp_path / "b.ndjson", [{"title": "A", "links": ["x", "X", "x "]}, *RECORDS])
    assert "x" not in set(load_wikipedia_books(path, min_count=2).pairs["link"])
    assert "x" in set(load_wikipedia_books(path, min_count=1).pairs["link"])


def test_links_to_drop_can_be_chosen(tmp_path):
    path = write(tmp_path / "b.ndjson", RECORDS)
    kept = load_wikipedia_books(path, min_count=1, drop_links=["france"]).pairs["link"]
    assert set(kept) == {"education", "hardcover", "lisbon", "paperback"}


def test_the_same_title_twice_is_one_book(tmp_path):
    """Links of both lines, metadata of the first."""
    records = [
        {"title": "A", "info": {"author": "First"}, "links": ["x", "y"]},
        {"title": "A", "info": {"author": "Second"}, "links": ["y", "z"]},
    ]
    data = load_wikipedia_books(write(tmp_path / "b.ndjson", records), min_count=1)
    assert data.pairs["link"].tolist() == ["x", "y", "z"]
    assert data.books["author"].tolist() == ["First"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"title": "A", "links": ["x"', "Expecting"),
        (b"book,link", "Expected JSON, a book a line; .*CSV"),
        (b'"A"', "expected an object with title, info and links"),
        (b'["A", {}]', "expected an object with title"),
        (b'{"links": []}', "expected a title"),
        (b'{"title": "", "links": []}', "expected a title"),
        (b'{"title": "A", "links": "x"}', "links of 'A' to be a list of strings"),
        (b'{"title": "A", "links": [1]}', "links of 'A' to be a list of strings"),
        (b'{"title": "A", "info": 3, "links": []}', "info of 'A' to be an object"),
        (b'{"title": "\xff"}', "decode"),
        (b"[" * 10_000, "recursion"),
    ],
)
def test_a_broken_line_is_named(tmp_path, line, message):
    """The error tells file, line and what was expected there."""
    path = tmp_path / "broken.ndjson"
    path.write_bytes(b'{"title": "A", "links": ["x"]}\n\n' + line + b"\n")
    with pytest.raises(ValueError, match=rf"(?s)broken\.ndjson, line 3: .*{message}"):
        load_wikipedia_books(path, min_count=1)


def test_a_cut_gzip_file_is_named(tmp_path):
    path = tmp_path / "cut.ndjson.gz"
    path.write_bytes(write(tmp_path / "whole.ndjson.gz", RECORDS).read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"cut\.ndjson\.gz is not a whole gzip file"):
        load_wikipedia_books(path)
    path.write_bytes(b"plain text")
    with pytest.raises(ValueError, match=r"cut\.ndjson\.gz is not a whole gzip file"):
        load_wikipedia_books(path)


def test_nothing_left_is_an_error(tmp_path):
    """Rather than an empty table on which fit would stumble."""
    path = write(tmp_path / "b.ndjson", RECORDS)
    with pytest.raises(ValueError, match="none is used by at least min_count=9 of its 3 books"):
        load_wikipedia_books(path, min_count=9)
    with pytest.raises(ValueError, match="holds no book"):
        load_wikipedia_books(write(tmp_path / "empty.ndjson", []))
    with pytest.raises(FileNotFoundError):
        load_wikipedia_books(tmp_path / "absent.ndjson")


@pytest.mark.parametrize("min_count", [0, 1.5, True, "4", None])
def test_min_count_is_checked(tmp_path, min_count):
    with pytest.raises(ValueError, match="min_count must be an integer of at least 1"):
        load_wikipedia_books(write(tmp_path / "b.ndjson", RECORDS), min_count=min_count)


def test_drop_links_is_a_collection(tmp_path):
    with pytest.raises(ValueError, match="drop_links must be a collection of strings"):
        load_wikipedia_books(write(tmp_path / "b.ndjson", RECORDS), drop_links="france")


def test_the_real_partition_has_the_known_size():
    """The numbers that the README of the data states for min_count 4."""
    data = load_wikipedia_books(data_file("books", "p15_books.ndjson.gz"))
    assert data.pairs["book"].nunique() == len(data.books) == 1396
    assert data.pairs["link"].nunique() == 1153
    assert len(data.pairs) == 10_955
