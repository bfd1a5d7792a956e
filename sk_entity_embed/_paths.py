"""Where files go: looked at before any work is spent on what they will hold."""

from pathlib import Path


def file_path(path):
    """Return `path` as a Path; an error that names it where no file can be written.

    Parameters
    ----------
    path : path-like
        A file that is there or not, in a folder that is.

    Returns
    -------
    path : pathlib.Path

    Raises
    ------
    FileNotFoundError
        If its folder does not exist.
    IsADirectoryError
        If it is a folder itself.
    """
    path = _in_a_folder(path)
    if path.is_dir():
        raise IsADirectoryError(f"Cannot write {str(path)!r}: it is a folder. Name a file in it.")
    return path


def folder_path(folder):
    """Return `folder` as a Path; an error that names it where no folder can be.

    Parameters
    ----------
    folder : path-like
        A folder that is there or not, in one that is.

    Returns
    -------
    folder : pathlib.Path

    Raises
    ------
    FileNotFoundError
        If the folder above it does not exist.
    NotADirectoryError
        If it is a file.
    """
    folder = _in_a_folder(folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"Cannot write into {str(folder)!r}: it is a file. Name a folder.")
    return folder


def _in_a_folder(path):
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"Cannot write {str(path)!r}: the folder {str(path.parent)!r} does not exist. Create it first, or name "
            "another path."
        )
    return path
