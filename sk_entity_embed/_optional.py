"""Packages that only some users need: imported where used, missed with a helpful message."""

from importlib import import_module


def import_optional(name, *, extra):
    """Import a package that belongs to an extra of this library.

    Parameters
    ----------
    name : str
        The module to import, for example ``"matplotlib.pyplot"``.

    extra : str
        The extra of sk-entity-embed that installs it, for example ``"map"``.

    Returns
    -------
    module : module
        The imported module.

    Raises
    ------
    ImportError
        If the package is not installed. An error inside an installed package passes unchanged.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        if error.name != package:
            raise  # the package is there; a part of it, or something that it needs, is not
        raise ImportError(
            f"This feature needs {package}, which is not installed. It comes with "
            f"the extra '{extra}':\n    pip install 'sk-entity-embed[{extra}]'",
            name=package,
        ) from error
