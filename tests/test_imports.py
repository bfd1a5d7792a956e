"""Importing stays light, and each file imports from lower floors only."""

import subprocess
import sys
from pathlib import Path

import pytest

import sk_entity_embed

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("faiss", "matplotlib", "openTSNE", "polars", "pyarrow", "torch", "umap")


def run(script):
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("first", ["", "import pandas, sklearn.base, sklearn.utils"])
def test_import_loads_nothing_heavy(first):
    """Importing the package and all its public names loads nothing heavy by itself."""
    script = f"""
import sys
{first}
before = set(sys.modules)
import sk_entity_embed
for name in sk_entity_embed.__all__:
    getattr(sk_entity_embed, name)
new = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(*new.intersection({HEAVY}))
"""
    heavy = set(run(script))
    if not first:  # pandas brings pyarrow where it is installed; that is not ours to change
        heavy.discard("pyarrow")
    assert heavy == set()


def test_public_names_are_there():
    """`from sk_entity_embed import *` works, and dir() shows what it brings."""
    for name in sk_entity_embed.__all__:
        assert hasattr(sk_entity_embed, name), name
    shown = [name for name in dir(sk_entity_embed) if not name.startswith("_")]
    assert shown == sorted(set(sk_entity_embed.__all__) - {"__version__"})
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = sk_entity_embed.no_such_name


def test_floors_hold():
    """The import-linter contracts in pyproject.toml."""
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("not run from a checkout")
    pytest.importorskip("importlinter", reason="import-linter comes with the dev extra")
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_way_through_the_files_names_each():
    """CONTRIBUTING.md says where to look; a new file has a place there."""
    guide = ROOT / "CONTRIBUTING.md"
    if not guide.exists():
        pytest.skip("not run from a checkout")
    package = Path(sk_entity_embed.__file__).parent
    files = [*package.glob("_*.py"), *package.glob("_torch/_*.py")]
    names = [path.name for path in files if path.name != "__init__.py"]
    names += [f"{path.parent.name}/" for path in package.glob("*/__init__.py")]
    text = guide.read_text(encoding="utf-8")
    is_told = {name: f"`{name}`" in text or name.startswith("_links_") for name in names}
    assert len(names) > 30
    assert not [name for name in names if not is_told[name]]


def test_package_data_is_installed():
    """Files that are not Python come along: types, data, the page's template."""
    folder = Path(sk_entity_embed.__file__).parent
    assert (folder / "py.typed").exists()
    assert (folder / "datasets" / "data" / "classic_books.csv").exists()
