"""The Python blocks of README.md and of the pages of docs run, and print what they say.

A ``text`` block right after a ``python`` block is its output, compared word by word; ``...``
stands for anything. Blocks of one page share their variables. Write ``<!-- not run: reason -->``
above a block of Markdown that cannot run here.
"""

import contextlib
import doctest
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?P<skip><!-- not run: .+? -->\s*)?^```python\n(?P<code>.*?)^```$"
    r"(?:\s*^```text\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def blocks(text):
    for match in BLOCK.finditer(text):
        if not match["skip"]:
            line = text.count("\n", 0, match.start("code")) + 1
            yield line, match["code"], match["output"]


@pytest.mark.parametrize(
    "page",
    [p for p in PAGES if p.exists() and any(blocks(p.read_text("utf-8")))],
    ids=lambda page: page.stem,
)
def test_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a block may write files
    variables = {"__name__": "__main__"}
    for line, code, expected in blocks(page.read_text("utf-8")):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            # The blank lines put the page's own line numbers into a traceback.
            exec(compile("\n" * (line - 1) + code, str(page), "exec"), variables)
        if expected is not None:
            checker = doctest.OutputChecker()
            got = printed.getvalue()
            problem = checker.output_difference(doctest.Example(code, expected), got, FLAGS)
            assert checker.check_output(expected, got, FLAGS), f"{page.name}:{line}\n{problem}"


def test_blocks_are_found():
    """The reader of pages sees code, output, and what must not run."""
    page = (
        "# Title\n```python\nx = 1\n```\n\nprints\n```python\nprint(x)\n```\n\n```text\n1\n```\n"
        "<!-- not run: needs a GPU -->\n```python\nboom\n```\n```sh\nmake\n```\n"
    )
    assert list(blocks(page)) == [(3, "x = 1\n", None), (8, "print(x)\n", "1\n")]
