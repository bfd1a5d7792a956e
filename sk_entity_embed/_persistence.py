"""Arrays and plain values to and from one safetensors file with a JSON header. No code runs on load.

Numeric arrays are tensors of the file. Everything else stands in the header as JSON, each value that JSON does not have
as ``{"__type__": ..., ...}``.
"""

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ._paths import draft_of, file_path

FORMAT = "sk_entity_embed"
VERSION = 1

_TENSOR_KINDS = "biuf"


def write(path, class_name, content):
    """Write `content` to `path`, all or nothing.

    Parameters
    ----------
    path : str or Path
    class_name : str
        Checked by `read`.
    content : dict
        Nested dicts, lists, tuples, strings, numbers, None and arrays.

    Raises
    ------
    TypeError
        If a value is of another type; its names in `content` tell which.
    FileNotFoundError
        If the folder of `path` does not exist.
    IsADirectoryError
        If `path` is a folder.
    """
    path = file_path(path)
    tensors = {}
    try:
        header = json.dumps(_pack(content, "", tensors), allow_nan=True)
    except _CannotPack as error:
        key, kind = error.args
        raise TypeError(
            f"save() cannot write {_name_of(key, content)}, which holds a value of type {kind}: expected numbers, "
            "strings, None, dates and arrays of these. Use pickle or joblib for this object."
        ) from None
    metadata = {"format": FORMAT, "version": str(VERSION), "class": class_name, "content": header}
    with draft_of(path) as draft:
        save_file(tensors, draft, metadata=metadata)


def read(path, class_name):
    """Read what `write` wrote.

    Parameters
    ----------
    path : str or Path
    class_name : str
        The class that is expected.

    Returns
    -------
    content : dict

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If the file is broken, of another make, of a newer version or of another class.
    """
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path} is a folder, expected a file that save() wrote.")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from error
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path} was not written by {FORMAT}'s save().")
    if not {"version", "class", "content"} <= metadata.keys():
        raise ValueError(f"{path} is damaged: its header is not whole.")
    if not metadata["version"].isdecimal() or int(metadata["version"]) > VERSION:
        raise ValueError(
            f"{path} has format version {metadata['version']}, this release reads up to {VERSION}. "
            "Upgrade sk_entity_embed."
        )
    if metadata["class"] != class_name:
        raise ValueError(f"{path} holds an {metadata['class']}, expected {class_name}.")
    try:
        return _unpack(json.loads(metadata["content"]), tensors)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # the first: a Decimal
        raise ValueError(f"{path} is damaged: {error!r}.") from error


def _pack(value, key, tensors):
    if value is None or (isinstance(value, (bool, int, float, str)) and type(value) in _PLAIN):
        return value
    if isinstance(value, np.generic):
        return {"__type__": "scalar", "value": _pack(np.asarray([value]), key, tensors)}
    if isinstance(value, np.ndarray):
        return _pack_array(value, key, tensors)
    if isinstance(value, (list, tuple)):
        items = [_pack(v, f"{key}.{i}", tensors) for i, v in enumerate(value)]
        return items if isinstance(value, list) else {"__type__": "tuple", "items": items}
    if isinstance(value, dict):
        items = [
            [_pack(k, f"{key}.{i}k", tensors), _pack(v, f"{key}.{i}", tensors)]
            for i, (k, v) in enumerate(value.items())
        ]
        return {"__type__": "dict", "items": items}
    kind = type(value).__name__
    if kind in _BY_TEXT:
        return {"__type__": kind, "text": _BY_TEXT[kind][0](value)}
    raise _CannotPack(key, type(value).__name__)


def _pack_array(array, key, tensors):
    if array.dtype.kind in _TENSOR_KINDS and array.dtype.itemsize <= 8:
        tensors[key] = np.ascontiguousarray(array)
        return {"__type__": "array", "tensor": key, "shape": list(array.shape)}
    if array.dtype.kind in "mM":
        tensors[key] = np.ascontiguousarray(array).view(np.int64)
        return {
            "__type__": "array",
            "tensor": key,
            "shape": list(array.shape),
            "dtype": array.dtype.str,
        }
    if array.dtype.kind in "OUS":
        items = [_pack(v, f"{key}.{i}", tensors) for i, v in enumerate(array.ravel().tolist())]
        dtype = "object" if array.dtype.kind == "O" else array.dtype.str
        return {"__type__": "objects", "items": items, "shape": list(array.shape), "dtype": dtype}
    raise _CannotPack(key, f"array of {array.dtype}")


class _CannotPack(Exception):
    """The key and the type of what has no place in a file."""


def _name_of(key, content):
    """What a user calls the value of a key, which counts positions: a parameter or an attribute."""
    names = []
    for part in key.split(".")[1:]:
        if isinstance(content, dict):
            name, content = list(content.items())[int(part.rstrip("k"))]
            names.append(str(name))
        elif isinstance(content, (list, tuple)):
            content = content[int(part)]
        else:
            break  # inside an array
    return ".".join(names[1:] or names) or "a value"  # the first only sorts the content


def _unpack(value, tensors):
    if isinstance(value, list):
        return [_unpack(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    kind = value["__type__"]
    if kind == "dict":
        return {_unpack(k, tensors): _unpack(v, tensors) for k, v in value["items"]}
    if kind == "tuple":
        return tuple(_unpack(value["items"], tensors))
    if kind == "scalar":
        return _unpack(value["value"], tensors)[0]
    if kind == "array":
        array = tensors[value["tensor"]]
        if "dtype" in value:
            array = array.view(value["dtype"])
        if list(array.shape) != value["shape"]:
            raise ValueError(
                f"Array {value['tensor']} has shape {array.shape}, the header says {value['shape']}."
            )
        return array
    if kind == "objects":
        items = _unpack(value["items"], tensors)
        array = np.empty(len(items), dtype=value["dtype"])
        array[:] = items
        return array.reshape(value["shape"])
    return _BY_TEXT[kind][1](value["text"])


def _text_types():
    import datetime
    import decimal
    import fractions

    import pandas as pd

    return {
        "bytes": (bytes.hex, bytes.fromhex),
        "date": (datetime.date.isoformat, datetime.date.fromisoformat),
        "time": (datetime.time.isoformat, datetime.time.fromisoformat),
        "datetime": (datetime.datetime.isoformat, datetime.datetime.fromisoformat),
        "Timestamp": (_timestamp_text, _timestamp),
        "Timedelta": (str, pd.Timedelta),
        "Decimal": (str, decimal.Decimal),
        "Fraction": (str, fractions.Fraction),
    }


def _timestamp_text(value):
    """The moment; where its zone has a name in universal time and with that: an offset alone is another zone."""
    zone = getattr(value.tz, "key", None) or getattr(value.tz, "zone", None)  # the latter of pytz
    return f"{value.tz_convert('UTC')} {zone}" if zone else str(value)


def _timestamp(text):
    import pandas as pd

    day, time, *zone = text.split(" ")
    moment = pd.Timestamp(f"{day} {time}")
    return moment.tz_convert(zone[0]) if zone else moment


_PLAIN = {bool, int, float, str}
_BY_TEXT = _text_types()
