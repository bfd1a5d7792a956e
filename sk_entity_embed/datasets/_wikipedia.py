"""Books of Wikipedia with the links of their articles, from newline-delimited JSON.

The cleaning is that of the article "Neural Network Embeddings Explained" (W. Koehrsen, 2018):
links in lower case, each once a book, without those of formatting, without the rare ones.
"""

import gzip
import json
import re
import zlib
from numbers import Integral
from pathlib import Path

import pandas as pd
from sklearn.utils import Bunch

# Links that say how a book is printed or who looks after its page, not what it is about.
FORMATTING_LINKS = (
    "hardcover",
    "paperback",
    "hardback",
    "e-book",
    "wikipedia:wikiproject books",
    "wikipedia:wikiproject novels",
)

# column of `books` -> the fields of the infobox that may hold it; the first one filled wins
_INFO = {
    "author": ("author", "authors", "editor", "editors"),
    "genre": ("genre",),
    "country": ("country",),
    "language": ("language",),
    "publisher": ("publisher",),
    "published": ("release_date", "pub_date", "published", "english_release_date"),
    "pages": ("pages",),
    "series": ("series",),
}
_COMMENT = re.compile(r"<\s*!--.*?(?:--\s*>|$)", re.DOTALL)
_BREAK = re.compile(r"<\s*/?\s*br\s*/?\s*>", re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")


def load_wikipedia_books(path, *, min_count=4, drop_links=FORMATTING_LINKS):
    r"""Load books and the links of their Wikipedia articles from newline-delimited JSON.

    Links are put in lower case and counted once a book. A page of Wikipedia's own (with
    ``Wikipedia:`` in its title) is not a book and is left out. A title that comes twice is one
    book, with the links of both lines and the metadata of the first.

    Parameters
    ----------
    path : str or path-like
        A file with one book a line, plain or compressed (its name ends in ``.gz``). A line is an
        object with ``title``, ``info`` (the infobox, an object) and ``links`` (a list of str), or
        the article's list ``[title, info, links, ...]``; what else it holds is ignored.

    min_count : int, default=4
        Drop the links that fewer books have, at least 1.

    drop_links : collection of str, default=FORMATTING_LINKS
        Links to drop whatever their count, in lower case. By default those of the article, which
        tell how a book is printed: hardcover, paperback, hardback, e-book, and two WikiProjects.

    Returns
    -------
    data : Bunch
        Dictionary-like, with the attributes

        pairs : DataFrame of shape (n_pairs, 2)
            The columns ``book`` (title) and ``link``; no row comes twice.
        books : DataFrame of shape (n_books, 9)
            A row for each book of `pairs`, in the order of the file: ``title``, and ``author``,
            ``genre``, ``country``, ``language``, ``publisher``, ``published``, ``pages``,
            ``series`` as the infobox spells them, missing where it has none.
        DESCR : str
            What the data are, with their numbers.
        filename : str
            The file read.

    Raises
    ------
    FileNotFoundError
        If there is no such file.

    ValueError
        If a line is not a book (the message names file and line), the file holds no book, or no
        link is left.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> from sk_entity_embed.datasets import load_wikipedia_books
    >>> path = pathlib.Path(tempfile.mkdtemp(), "books.ndjson")
    >>> books = [
    ...     {"title": "Dune", "info": {"author": "Frank Herbert"}, "links": ["Desert", "Spice"]},
    ...     {"title": "Sahara", "info": {}, "links": ["desert", "Hardcover"]},
    ... ]
    >>> _ = path.write_text("\n".join(json.dumps(book) for book in books))
    >>> load_wikipedia_books(path, min_count=2).pairs
         book    link
    0    Dune  desert
    1  Sahara  desert
    """
    if isinstance(min_count, bool) or not isinstance(min_count, Integral) or min_count < 1:
        raise ValueError(f"min_count must be an integer of at least 1, got {min_count!r}.")
    if isinstance(drop_links, str):
        raise ValueError(f"drop_links must be a collection of strings, got {drop_links!r}.")
    path = Path(path)
    titles, infos, book, link = [], [], [], []
    for title, info, links in _read_books(path):
        titles.append(title)
        infos.append(info)
        links = dict.fromkeys(name.strip().lower() for name in links)
        book.extend([title] * len(links))
        link.extend(links)
    if not titles:
        raise ValueError(f"{path} holds no book.")

    pairs = pd.DataFrame({"book": book, "link": link}).drop_duplicates()
    pairs = pairs[~pairs["link"].isin(["", *drop_links])]
    pairs = pairs[pairs.groupby("link")["book"].transform("size") >= min_count]
    if pairs.empty:
        raise ValueError(
            f"No link is left of {path}: none is used by at least min_count={min_count} of its "
            f"{len(titles)} books. Lower min_count."
        )
    books = pd.DataFrame(
        {"title": titles} | {column: [_field(i, column) for i in infos] for column in _INFO}
    ).drop_duplicates("title")
    books = books[books["title"].isin(pairs["book"])]
    return Bunch(
        pairs=pairs.reset_index(drop=True),
        books=books.reset_index(drop=True),
        DESCR=(
            f"{len(books)} books of Wikipedia, {pairs['link'].nunique()} links that at least "
            f"{min_count} of them have, {len(pairs)} pairs, read from {path.name}. Wikipedia's "
            "text is licensed CC BY-SA."
        ),
        filename=str(path),
    )


def _read_books(path):
    """Yield (title, info, links) for each line that holds a book."""
    number = 0  # of the last line read
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
        try:
            for line in lines:
                number += 1
                if line.isspace():
                    continue
                title, info, links = _check_book(json.loads(line))
                if "Wikipedia:" not in title:
                    yield title, info, links
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(
                f"{path} is not a whole gzip file, it breaks after line {number}: {error}"
            ) from error
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(
                f"{path}, line {number}: {error}. Expected JSON, a book a line; a table of pairs, such as CSV, goes "
                "by pandas to EntityEmbedder.fit."
            ) from error
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}, line {number}: {error}") from error


def _check_book(record):
    if isinstance(record, list) and len(record) >= 3:
        title, info, links = record[:3]
    elif isinstance(record, dict):
        title, info, links = record.get("title"), record.get("info"), record.get("links")
    else:
        raise ValueError(
            "expected an object with title, info and links, or a list [title, info, links, ...], "
            f"got {_short(record)}"
        )
    if not isinstance(title, str) or not title:
        raise ValueError(f"expected a title, got {_short(title)}")
    if not isinstance(links, list) or not all(isinstance(link, str) for link in links):
        raise ValueError(f"expected the links of {title!r} to be a list of strings")
    if info is not None and not isinstance(info, dict):
        raise ValueError(f"expected the info of {title!r} to be an object, got {_short(info)}")
    return title, info or {}, links


def _short(value):
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _field(info, column):
    for name in _INFO[column]:
        value = info.get(name)
        if isinstance(value, str):
            value = _TAG.sub(" ", _BREAK.sub("; ", _COMMENT.sub(" ", value)))
            value = " ".join(value.split()).replace(" ;", ";").strip("; ")
            if value:
                return value
    return None
