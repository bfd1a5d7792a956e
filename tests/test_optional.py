"""A missing extra is named, with the command that installs it."""

import sys
import types

import pytest

from sk_entity_embed._optional import import_optional


def test_an_installed_module_is_returned():
    """Also one inside a package."""
    assert import_optional("json", extra="map") is sys.modules["json"]
    assert import_optional("json.decoder", extra="map") is sys.modules["json.decoder"]


def test_a_missing_package_names_its_extra():
    """What is missing, which extra has it, how to install that."""
    with pytest.raises(ImportError, match="This feature needs no_such_package") as caught:
        import_optional("no_such_package.inside", extra="umap")
    assert "pip install 'sk-entity-embed[umap]'" in str(caught.value)
    assert caught.value.name == "no_such_package"


def test_a_blocked_module_counts_as_missing(monkeypatch):
    """None in sys.modules is how tests take a package away."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"sk-entity-embed\[map\]"):
        import_optional("matplotlib", extra="map")


def test_an_error_inside_the_package_passes_unchanged(monkeypatch, tmp_path):
    """A package that is there but broken must not be called missing."""
    (tmp_path / "broken_package.py").write_text("import no_such_package")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_package'"):
        import_optional("broken_package", extra="map")


def test_a_missing_part_of_an_installed_package_is_not_called_missing(monkeypatch):
    """The package is too old or too new: its own message tells more."""
    monkeypatch.setitem(sys.modules, "old_package", types.ModuleType("old_package"))
    with pytest.raises(ModuleNotFoundError, match="not a package"):
        import_optional("old_package.new_part", extra="map")
