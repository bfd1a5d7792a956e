"""Where files go: looked at before any work is spent on what they will hold, then written whole."""

import os
import secrets
import stat
from contextlib import contextmanager
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


@contextmanager
def draft_of(path):
    """Give the path of an empty draft, which takes the place of `path` if the block ends well.

    A link stays a link: what it leads to is written. A file that was there keeps its mode.

    Parameters
    ----------
    path : Path
        From `file_path`.

    Yields
    ------
    draft : Path
        In the same folder as the file, so that the one can replace the other in one step.
    """
    path = Path(os.path.realpath(path))
    # A name has 255 bytes in most file systems, a character up to four.
    draft = path.with_name(f".{path.name[:50]}.{secrets.token_hex(4)}.tmp")
    draft.touch(exist_ok=False)
    try:
        mode = stat.S_IMODE((path if path.exists() else draft).stat().st_mode)
        yield draft
        draft.chmod(mode)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _in_a_folder(path):
    path = Path(path)
    folder = (Path(os.path.realpath(path)) if path.is_symlink() else path).parent
    if not folder.is_dir():
        raise FileNotFoundError(
            f"Cannot write {str(path)!r}: the folder {str(folder)!r} does not exist. Create it first, or name "
            "another path."
        )
    return path
