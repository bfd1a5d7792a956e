"""The only subpackage that imports torch. It offers functions from records of arrays to records of arrays."""

from ._device import resolve_device
from ._links import train_links
from ._loop import train

__all__ = ["resolve_device", "train", "train_links"]
