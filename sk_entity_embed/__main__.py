"""The demo: learn which books are alike from what their articles link to, and ask for neighbours.

python -m sk_entity_embed                          three famous books, their neighbours, and the page
python -m sk_entity_embed similar Dune -n 10       neighbours of one title; quotes are needless
python -m sk_entity_embed map --out books.html     a page to explore all of them
"""

import argparse
import os
import sys
from importlib.util import find_spec

from . import __version__

_COMMANDS = ("demo", "similar", "map")
_WITH_VALUE = ("--data", "--seed", "-n", "--out")
_SHOWN = ("War and Peace", "Pride and Prejudice", "Dune")


def main(argv=None):
    """Run the command line; returns the exit code."""
    arguments = _parse(argv)
    from . import EntityEmbedder  # after parsing, so that --help and mistakes answer at once
    from ._paths import file_path

    try:
        if "out" in arguments:
            file_path(arguments.out)
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        books = _load(arguments.data)
    except (OSError, ValueError) as error:
        print(f"Could not read {arguments.data}: {error}", file=sys.stderr)
        return 1
    pairs = books.pairs[["book", "link"]]
    print(
        f"{pairs['book'].nunique():,} books, {pairs['link'].nunique():,} links, {len(pairs):,} pairs",
        flush=True,
    )
    embedder = EntityEmbedder(interaction="dot", random_state=arguments.seed)
    _show_progress(embedder)
    embedder.fit(pairs)
    if arguments.command == "similar":
        titles = _titles(arguments.title, embedder.categories_[0])
        return _print_similar(embedder, titles, arguments.n, books.books)
    if arguments.command == "map":
        return _write_map(embedder, books.books, arguments)
    known = set(embedder.categories_[0])
    titles = [t for t in _SHOWN if t in known] or list(pairs["book"].value_counts().index[:3])
    _print_similar(embedder, titles, arguments.n, books.books)
    print("\nDrawing the map of all books ...", flush=True)
    return _write_map(embedder, books.books, arguments)


def _parse(argv):
    parser = argparse.ArgumentParser(
        prog="python -m sk_entity_embed",
        description=__doc__.partition("\n")[0],
    )
    parser.add_argument("--version", action="version", version=__version__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--data",
        metavar="FILE",
        help="newline-delimited JSON of Wikipedia's books instead of the classics",
    )
    common.add_argument("--seed", type=_seed, default=0, help="random_state of the training (0)")
    common.add_argument("-n", type=_positive, default=5, help="neighbours a book (5)")
    page = argparse.ArgumentParser(add_help=False)
    page.add_argument("--out", default="books.html", help="page to write (books.html)")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser(
        "demo",
        parents=[common, page],
        help="three books, their neighbours, and the page (the default)",
    )
    similar = commands.add_parser("similar", parents=[common], help="the books nearest to a title")
    similar.add_argument("title", nargs="+", help="a title, in quotes or not; or several in quotes")
    commands.add_parser("map", parents=[common, page], help="write a page that shows all books")
    return parser.parse_args(_command_first(list(sys.argv[1:] if argv is None else argv)))


def _command_first(words):
    """The words of a command line, the command before all options, "demo" if there is none."""
    for i, word in enumerate(words):
        if word in _COMMANDS and (i == 0 or words[i - 1] not in _WITH_VALUE):
            return [word, *words[:i], *words[i + 1 :]]
    return words if {"-h", "--help", "--version"} & {*words} else ["demo", *words]


def _positive(text):
    return _whole_number(text, 1)


def _seed(text):
    return _whole_number(text, 0, 2**32 - 1)


def _whole_number(text, low, high=None):
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or number < low or (high is not None and number > high):
        most = "" if high is None else f" and at most {high}"
        raise argparse.ArgumentTypeError(
            f"must be a whole number of at least {low}{most}, got {text}"
        )
    return number


def _titles(words, known):
    """The titles that words of a command line mean: one title without quotes, or several titles."""
    known, joined = set(known), " ".join(words)
    return words if joined not in known and known.issuperset(words) else [joined]


def _load(path):
    from . import datasets

    return datasets.load_classic_books() if path is None else datasets.load_wikipedia_books(path)


def _show_progress(embedder):
    """A progress bar in a terminal, where rich, which scikit-learn's bar is made of, is installed."""
    if sys.stderr.isatty() and sys.stdout.isatty() and find_spec("rich"):
        from sklearn.callback import ProgressBar

        embedder.set_callbacks(ProgressBar())


def _print_similar(embedder, titles, n, books):
    authors = books.set_index("title")["author"].to_dict() if "author" in books else {}
    for title in titles:
        try:
            found = embedder.most_similar(title, n=n)
        except KeyError as error:
            print(error, file=sys.stderr)
            return 1
        print(f"\nNearest to {title}" + (f" ({authors[title]})" if authors.get(title) else ""))
        for row in found.itertuples():
            author = authors.get(row.entity)
            print(f"  {row.similarity:5.2f}  {row.entity}" + (f" ({author})" if author else ""))
    return 0


def _write_map(embedder, books, arguments):
    from .plotting import embedding_map

    metadata = books.set_index("title")
    if "genres" in metadata:  # the first one says most; all of them together are rarely shared
        metadata.insert(0, "genre", metadata["genres"].str.partition(";")[0])
    page = embedding_map(
        embedder,
        arguments.out,
        metadata=metadata,
        color="genre" if "genre" in metadata else None,
        title="Books by what they link to",
        random_state=arguments.seed,
    )
    print(f"-> {page.path}  (open it in a browser: search, zoom, click)")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # who reads our output has seen enough, such as head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to come
        sys.exit(1)
