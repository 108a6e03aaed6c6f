"""Dataclasses in npz files: arrays as they are, everything else in a JSON header.

Nothing is pickled and no name from a file is looked up: a file can only fill declared
fields of the class that the caller names.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import IO, Any, TypeVar

import numpy as np
from scipy import sparse

from sparseopt._core._array_api import to_numpy
from sparseopt._core._params import public_name
from sparseopt._core._reading import npz_arrays, read_file
from sparseopt._core._status import Status

FORMAT = 1
HEADER = "__header__"
_COMPRESSED = {"csr_array", "csr_matrix", "csc_array", "csc_matrix"}

T = TypeVar("T")


def save(obj: Any, path: str | os.PathLike[str]) -> None:
    """Write the fields of a dataclass, but for those marked ``{"save": False}``."""
    arrays: dict[str, np.ndarray] = {}
    header = {
        "format": FORMAT,
        "class": public_name(type(obj)),
        "fields": {
            field.name: _encode(getattr(obj, field.name), field.name, arrays)
            for field in _saved_fields(type(obj))
        },
    }
    arrays[HEADER] = np.array(json.dumps(header))
    # an open file: np.savez would append a suffix to a name
    with open(path, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load(cls: type[T], path: str | os.PathLike[str]) -> T:
    """Make an instance of ``cls`` from what `save` wrote."""
    name = public_name(cls)

    def decode(file: IO[bytes]) -> T | str:
        arrays = npz_arrays(file)
        header = json.loads(str(arrays[HEADER]))
        found = str(header["class"])
        if found != name:
            return found
        if header["format"] != FORMAT:
            raise ValueError(f"unknown format {header['format']!r}")
        return cls(**_decode_fields(cls, header["fields"], arrays))

    found = read_file(path, f"{name}.save", decode)
    if isinstance(found, str):
        raise ValueError(
            f"The file {os.fspath(path)!r} holds a {found}, which {name}.load does "
            "not read."
        )
    return found


def _saved_fields(cls: type) -> list[Field[Any]]:
    return [f for f in fields(cls) if f.init and f.metadata.get("save", True)]


def _encode(value: Any, key: str, arrays: dict[str, np.ndarray]) -> Any:
    """JSON for ``value``; arrays go to ``arrays`` under ``key`` or a key below it."""
    if isinstance(value, Status):
        return {"status": value.name}
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (tuple, list):
        items = [_encode(v, f"{key}.{i}", arrays) for i, v in enumerate(value)]
        return {type(value).__name__: items}
    if type(value).__name__ in _COMPRESSED and sparse.issparse(value):
        for part in ("data", "indices", "indptr"):
            arrays[f"{key}.{part}"] = getattr(value, part)
        return {"sparse": type(value).__name__, "key": key, "shape": value.shape}
    if isinstance(value, np.ma.MaskedArray) or not _is_array(value):
        raise TypeError(
            f"The field {key!r} cannot be saved. Allowed are arrays, csr and csc "
            "matrices, numbers, strings, None, Status and tuples or lists of these. "
            f"Got {type(value).__name__}."
        )
    array = to_numpy(value)
    if array.dtype.hasobject:
        raise TypeError(f"The field {key!r} cannot be saved: it holds Python objects.")
    arrays[key] = array
    return {"scalar" if isinstance(value, np.generic) else "array": key}


def _is_array(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.generic)) or hasattr(value, "__dlpack__")


def _decode_fields(
    cls: type, encoded: dict[str, Any], arrays: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    declared = {field.name: field for field in _saved_fields(cls)}
    unknown = sorted(encoded.keys() - declared.keys())
    missing = [
        name
        for name, field in declared.items()
        if name not in encoded
        and field.default is MISSING
        and field.default_factory is MISSING
    ]
    if unknown or missing:
        raise ValueError(f"unknown fields {unknown}, missing fields {missing}")
    return {name: _decode(value, arrays) for name, value in encoded.items()}


def _decode(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case {"status": name}:
            return Status[name]
        case {"array": key}:
            return arrays[key]
        case {"scalar": key}:
            return arrays[key][()]
        case {"tuple": items}:
            return tuple(_decode(item, arrays) for item in items)
        case {"list": items}:
            return [_decode(item, arrays) for item in items]
        case {"sparse": kind, "key": key, "shape": shape} if kind in _COMPRESSED:
            return _decode_sparse(kind, key, shape, arrays)
    raise ValueError(f"unknown content {value!r}")


def _decode_sparse(
    kind: str, key: str, shape: list[int], arrays: Mapping[str, np.ndarray]
) -> Any:
    parts = [arrays[f"{key}.{part}"] for part in ("data", "indices", "indptr")]
    matrix = getattr(sparse, kind)(tuple(parts), shape=tuple(shape))
    # an index out of range would be read from foreign memory by compiled code
    matrix.check_format(full_check=True)
    # the constructor narrows wide indices
    matrix.indices, matrix.indptr = parts[1:]
    return matrix
