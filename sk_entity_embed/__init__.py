"""Vectors for categories, learned by a small neural network, as scikit-learn estimators.

Importing the package loads neither torch nor matplotlib.
"""

from importlib import import_module as _import_module

__version__ = "0.1.0.dev0"

_WHERE = {  # public name -> module that has it, imported when first asked for
    "EntityEmbedder": "._embedder",
    "EntityEmbeddingClassifier": "._predictors",
    "EntityEmbeddingRegressor": "._predictors",
    "datasets": ".datasets",
    "plotting": ".plotting",
}

__all__ = ["__version__", *_WHERE]


def __getattr__(name):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _import_module(_WHERE[name], __name__)
    value = module if _WHERE[name] == f".{name}" else getattr(module, name)
    globals()[name] = value  # the next look-up is a plain one
    return value


def __dir__():
    return sorted({*globals(), *_WHERE})
