"""A table of well-known books that ships with the package: small, true, readable."""

from pathlib import Path

import pandas as pd
from sklearn.utils import Bunch

_CSV = Path(__file__).with_name("data") / "classic_books.csv"
_SEPARATOR = "; "


def load_classic_books():
    """Load well-known books of the world, with links as an encyclopaedia article has them.

    The books reach from antiquity to today and come from all continents: fiction, poetry, drama
    and non-fiction. A link is a person, place, movement, theme, prize, setting or other work that
    the article on the book would link to, in lower case; the author is among them. The table was
    written by hand from general knowledge for this library; it holds facts only.

    Returns
    -------
    data : Bunch
        Dictionary-like, with the attributes

        pairs : DataFrame of shape (n_pairs, 2)
            The columns ``book`` (title) and ``link``; no row comes twice.
        books : DataFrame of shape (n_books, 6)
            A row for each book, oldest first: ``title``, ``author``, ``year`` (of first
            publication, negative for BC, about right where it is not known), ``country``,
            ``language`` (of the original) and ``genres`` (joined by ``"; "``).
        DESCR : str
            What the data are, with their numbers.
        filename : str
            The CSV file in the package.

    Examples
    --------
    >>> from sk_entity_embed.datasets import load_classic_books
    >>> data = load_classic_books()
    >>> data.books.set_index("title").loc["War and Peace", "author"]
    'Leo Tolstoy'
    >>> "napoleonic wars" in set(data.pairs.query("book == 'War and Peace'")["link"])
    True
    """
    table = pd.read_csv(_CSV, encoding="utf-8", keep_default_na=False)
    links = table["links"].str.split(_SEPARATOR)
    pairs = pd.DataFrame({"book": table["title"], "link": links}).explode("link")
    books = table.drop(columns="links")
    return Bunch(
        pairs=pairs.reset_index(drop=True),
        books=books,
        DESCR=(
            f"{len(books)} well-known books, {pairs['link'].nunique()} links, {len(pairs)} pairs "
            "(book, link), written by hand from general knowledge for sk_entity_embed."
        ),
        filename=str(_CSV),
    )
