"""Data sets: a table of classic books that ships with the package, and readers of files."""

from ._classic_books import load_classic_books
from ._wikipedia import FORMATTING_LINKS, load_wikipedia_books

__all__ = ["FORMATTING_LINKS", "load_classic_books", "load_wikipedia_books"]
