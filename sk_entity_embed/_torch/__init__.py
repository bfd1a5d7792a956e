"""The only subpackage that imports torch. It offers functions from records of arrays to records of arrays."""

from ._links import train_links
from ._loop import train

__all__ = ["train", "train_links"]
