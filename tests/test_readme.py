"""The Python blocks of README.md run, and print what they say.

A ``text`` block right after a ``python`` block is its output, compared word by word; ``...``
stands for anything. Blocks share their variables. Write ``<!-- not run: reason -->`` above a block
that cannot run here. (The pages of docs are doctests: pytest collects them by itself.)
"""

import contextlib
import doctest
import io
import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"
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


def test_blocks_of_the_readme_run(tmp_path, monkeypatch):
    if not README.exists():
        pytest.skip("not run from a checkout")
    monkeypatch.chdir(tmp_path)  # a block may write files
    variables = {"__name__": "__main__"}
    for line, code, expected in blocks(README.read_text("utf-8")):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            # The blank lines put the page's own line numbers into a traceback.
            exec(compile("\n" * (line - 1) + code, str(README), "exec"), variables)
        if expected is not None:
            checker = doctest.OutputChecker()
            got = printed.getvalue()
            problem = checker.output_difference(doctest.Example(code, expected), got, FLAGS)
            assert checker.check_output(expected, got, FLAGS), f"README.md:{line}\n{problem}"


def test_blocks_are_found():
    """The reader of pages sees code, output, and what must not run."""
    page = (
        "# Title\n```python\nx = 1\n```\n\nprints\n```python\nprint(x)\n```\n\n```text\n1\n```\n"
        "<!-- not run: needs a GPU -->\n```python\nboom\n```\n```sh\nmake\n```\n"
    )
    assert list(blocks(page)) == [(3, "x = 1\n", None), (8, "print(x)\n", "1\n")]
