"""Files read so that damage is an error, always of one kind, or changes nothing.

NumPy stops reading a member of an archive where the array ends that its header tells
of, and checksums are compared at the end of the member only: a damaged header would
give another array without a word.  Here a member is read whole and compared before
anything in it is believed.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Callable
from typing import IO, TypeVar

import numpy as np

T = TypeVar("T")

# The record that ends an archive: its length, and where the number of members stands.
_END, _COUNT = 22, slice(10, 12)
_BLOCK = 1 << 20


def read_file(
    path: str | os.PathLike[str], writer: str, decode: Callable[[IO[bytes]], T]
) -> T:
    """Return what ``decode`` makes of an open file; whatever it raises is damage.

    Parameters
    ----------
    path : path
        A file that is missing or may not be read raises what `open` does.
    writer : str
        What wrote the file, for the message.
    decode : callable
        Reads the open binary file.

    Raises
    ------
    ValueError
        For any exception of ``decode``: zipfile, its decompressors, numpy's parser of
        headers, json and scipy have more than a dozen kinds of them, and later versions
        of Python others.
    """
    with open(path, "rb") as file:
        try:
            return decode(file)
        except Exception as error:
            raise ValueError(
                f"The file {os.fspath(path)!r} is damaged or was not written by "
                f"{writer} ({type(error).__name__}: {error})."
            ) from error


def npz_arrays(file: IO[bytes]) -> dict[str, np.ndarray]:
    """Arrays of an npz file, compared with their checksums before they are parsed."""
    if not zipfile.is_zipfile(file):  # numpy would speak of pickles to be trusted
        raise ValueError("not an npz file")
    file.seek(-_END, os.SEEK_END)
    count = int.from_bytes(file.read()[_COUNT], "little")
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        # a damaged length in the list of members can hide the next one
        if len(set(names)) != count:
            raise ValueError(f"{count} members expected, found {names}")
        return {name.removesuffix(".npy"): _array(archive.read(name)) for name in names}


def _array(content: bytes) -> np.ndarray:
    file = io.BytesIO(content)
    array = np.lib.format.read_array(file, allow_pickle=False)
    if file.read(1):
        raise ValueError("a member is longer than its array")
    return np.asarray(array)


def file_checksum(file: IO[bytes]) -> int:
    """Checksum of the bytes from here to the end of a file."""
    checksum = 0
    while block := file.read(_BLOCK):
        checksum = zlib.crc32(block, checksum)
    return checksum
