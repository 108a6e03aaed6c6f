"""Whether arrays that a result reads later are still those that were solved for.

Results that would need a copy of large data keep a reference to the caller's array.  A
caller may refill it; then a fingerprint, taken when the problem was solved, tells.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from scipy import sparse

# Words that are added at once, so that they and their sums stay in the cache, and how
# often before the sums count: as many changes of one exponent would cancel at 4096.
_WORDS, _TERMS = 4096, 64


def fingerprint(*arrays: Any) -> int:
    """Checksum of the content of dense and sparse arrays; None counts as empty.

    One pass at the speed of memory; strided arrays are copied for it.  Any change of a
    single number is seen, any other but for one in 2**32.
    """
    checksum = 0
    for array in arrays:
        for part in _parts(array):
            checksum = _add(checksum, part)
    return checksum


def check_unchanged(expected: int, *arrays: Any, name: str, wanted: str) -> None:
    """Raise an error if the arrays are no longer those of the `fingerprint` expected.

    Parameters
    ----------
    expected : int
        Their fingerprint at the time of the solve.
    *arrays : arrays
        As they were given to `fingerprint`.
    name : str
        Of the parameter as which the caller passed them.
    wanted : str
        What would be computed from them now, such as "the plan".
    """
    if fingerprint(*arrays) == expected:
        return
    raise ValueError(
        f"The {name!r} array was changed after it was passed: it is not copied, and "
        f"{wanted} would be computed from other numbers than those that were solved "
        f"for. Pass a copy of {name!r}, or ask for {wanted} before it is changed."
    )


def _parts(array: Any) -> list[np.ndarray]:
    if array is None:
        return []
    if sparse.issparse(array):
        if hasattr(array, "indptr"):
            return [array.data, array.indices, array.indptr]
        return _parts(array.tocsr())
    return [np.asarray(array)]


def _add(checksum: int, array: np.ndarray) -> int:
    head = f"{array.shape}{array.dtype.str}".encode()
    checksum = zlib.crc32(head, checksum)
    if not array.flags.c_contiguous and array.flags.f_contiguous:
        array = array.T
    # copied where it is strided, so that the copy in a pickle has the same
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    step = 8 * _WORDS * _TERMS
    for start in range(0, len(content), step):
        checksum = _add_piece(checksum, content[start : start + step])
    return checksum


def _add_piece(checksum: int, content: np.ndarray) -> int:
    """Checksum of sums of words, and of sums of those, which tell their order."""
    whole = len(content) // 8 * 8
    words = content[:whole].view(np.uint64)
    first, second = np.zeros((2, min(_WORDS, len(words))), dtype=np.uint64)
    for start in range(0, len(words), _WORDS):
        part = words[start : start + _WORDS]
        first[: len(part)] += part
        second += first
    for sums in (first, second, content[whole:]):
        checksum = zlib.crc32(sums.data, checksum)
    return checksum
