"""Docstrings of public names follow numpydoc, and say everything it asks for."""

import inspect
import sys

import pytest

import sk_entity_embed

validate = pytest.importorskip("numpydoc.validate", reason="numpydoc comes with the dev extra")

IGNORED = {
    "ES01",  # an extended summary is not always needed
    "EX01",  # nor an example, on a method
    "GL01",  # the summary starts on the line of the quotes
    "RT02",  # named return values, as scikit-learn has them
    "SA01",  # nor See Also
    "SA04",
    "SS05",  # takes plurals for verbs in the third person
}


def public_objects():
    """Yield the dotted names of public classes, functions and methods of this package."""
    names = [("sk_entity_embed", name) for name in sk_entity_embed.__all__]
    for module in [getattr(sk_entity_embed, name) for name in sk_entity_embed.__all__]:
        if inspect.ismodule(module):
            names += [(module.__name__, name) for name in module.__all__]
    for module_name, name in names:
        value = getattr(sys.modules[module_name], name)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        yield f"{module_name}.{name}"
        if inspect.isclass(value):
            for attribute, member in inspect.getmembers(value):
                module = getattr(inspect.unwrap(member), "__module__", None) or ""
                ours = callable(member) and module.startswith("sk_entity_embed")
                if ours and not attribute.startswith("_"):
                    yield f"{module_name}.{name}.{attribute}"


@pytest.mark.parametrize("name", sorted(set(public_objects())))
def test_docstring_is_whole(name):
    errors = validate.validate(name)["errors"]
    assert [(code, text) for code, text in errors if code not in IGNORED] == []
