"""Observed entries in arrays of any library: checked, and sorted where they lie.

Rows are numbered anew, by the number of their entries, and cut into buckets of rows of
similar length; each bucket is two or three rectangles. What works on a bucket is a few
calls for many rows, whatever the library.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from sparseopt._core._array_api import (
    SUPPORT,
    array_namespace,
    device,
    from_numpy_like,
    is_on_host,
    to_numpy,
)
from sparseopt.completion._input import as_entries, as_shape
from sparseopt.completion._scaling import Units, unit_of

# Lengths in a bucket differ by this factor at most, beyond the first few.
_GROWTH, _SHORT = 1.25, 4
# Bytes of factor rows gathered at a time: much on a device, which has to be told of
# each piece, and what stays in the cache of a processor.
_DEVICE_BLOCK, _HOST_BLOCK = 1 << 28, 1 << 22
# As many matrices as all batched solvers take.
_MOST_ROWS = 65_535


class Part(NamedTuple):
    """Some entries of each row of a bucket: arrays of shape (n_rows, length).

    Where there is no entry ``idx`` points past the end, and the value is zero.
    """

    idx: Any
    val: Any
    weight: Any | None


@dataclass(frozen=True)
class Bucket:
    """All entries of the rows ``start`` to ``stop``."""

    start: int
    stop: int
    part: Part

    def pieces(
        self, width: int, besides: int, size: int
    ) -> Iterator[tuple[int, int, list[Part]]]:
        """Ranges of rows, each with the parts of its entries to be gathered at once.

        A piece is of at most ``size`` numbers, or of one row: ``width`` for each entry
        and ``besides`` for each row. Only rows that are too long have several parts.
        """
        longest = self.part.idx.shape[1]
        length = min(longest, max(1, (size - besides) // width))
        count = min(_MOST_ROWS, max(1, size // (length * width + besides)))
        for lo in range(0, self.stop - self.start, count):
            hi = min(lo + count, self.stop - self.start)
            parts = [
                Part(*(None if x is None else x[lo:hi, at:to] for x in self.part))
                for at in range(0, longest, length)
                for to in [min(at + length, longest)]
            ]
            yield self.start + lo, self.start + hi, parts


@dataclass(frozen=True)
class DeviceSide:
    """Entries by row (or by column), rows in ascending order of their lengths.

    Parameters
    ----------
    counts : ndarray of shape (n_rows,)
        Entries of the caller's rows, on the host.
    order : array of shape (n_rows,)
        The caller's row in each place.
    places : array of shape (n_rows,)
        The place of each of the caller's rows.
    buckets : tuple of Bucket
        Of rows that have entries; those without come first.
    """

    counts: np.ndarray
    order: Any
    places: Any
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True)
class DeviceEntries:
    """Observed entries of an (m, n) matrix, in both orders, on one device.

    ``dtype`` is NumPy's name of their type, ``units`` are what values and weights were
    divided by.
    """

    xp: ModuleType
    shape: tuple[int, int]
    n_entries: int
    dtype: np.dtype
    units: Units
    rows: DeviceSide
    cols: DeviceSide

    def side(self, transposed: bool) -> DeviceSide:
        return self.cols if transposed else self.rows

    @property
    def block(self) -> int:
        """Numbers to gather at a time."""
        size = _HOST_BLOCK if is_on_host(self.rows.order) else _DEVICE_BLOCK
        return size // self.dtype.itemsize

    @property
    def floats(self) -> Any:
        """The type of the entries in terms of the library."""
        return getattr(self.xp, self.dtype.name)

    def array(self, values: Any, dtype: Any = None) -> Any:
        """What the host has, on the device; in the type of the entries if not told."""
        values = np.asarray(values, dtype=dtype or self.dtype)
        return from_numpy_like(values, self.rows.order)


class _Found(NamedTuple):
    """Entries in the caller's order, in the types to work with."""

    shape: tuple[int, int]
    rows: Any
    cols: Any
    values: Any
    weight: Any | None


class _RefusedError(Exception):
    """Input that is refused for NumPy arrays too."""


def is_portable(X: Any) -> bool:
    """Whether X, or an array of the tuple X, is of a library other than NumPy."""
    return any(map(library_of, parts_of(X).values()))


def library_of(value: Any) -> str:
    """The library of an array that fits are known to work with, "" for NumPy's."""
    try:
        name = array_namespace(value).__name__.rpartition("array_api_compat.")[2]
    except TypeError:  # columns of tables can have dlpack and no namespace
        return ""
    return name if name in set(SUPPORT["completion.complete"]) - {"numpy"} else ""


def device_entries(X: Any, *, weights: Any, dtype: Any, shape: Any) -> DeviceEntries:
    """Entries of triplets, or of a dense array with NaN.

    What would be refused for NumPy arrays is refused in the same words: the arrays are
    then read by the host. Otherwise that reads only how long rows are.
    """
    parts = parts_of(X)
    like = next(x for x in parts.values() if library_of(x))
    xp = array_namespace(like)
    try:
        if shape is not None and not isinstance(X, tuple):
            raise _RefusedError
        arrays = [_beside(x, like, name) for name, x in parts.items()]
        if weights is not None:
            weights = _beside(weights, like, "weights")
        find = _of_triplets if isinstance(X, tuple) else _of_dense
        found = find(xp, arrays, weights, dtype, shape)
        _check(xp, found)
        return _in_both_orders(xp, *_in_units(xp, found))
    except _RefusedError:
        pass
    host = [_on_host(x) for x in parts.values()]
    as_entries(
        tuple(host) if isinstance(X, tuple) else host[0],
        weights=None if weights is None else _on_host(weights),
        dtype=dtype,
        shape=shape,
    )
    raise ValueError("The 'X' and 'weights' arrays must hold real numbers.")


def parts_of(X: Any) -> dict[str, Any]:
    """Arrays of X by name; more than the three of a triplet are refused later."""
    if not isinstance(X, tuple):
        return {"X": X}
    names = ("rows", "cols", "values")
    return {names[i] if i < 3 else f"X[{i}]": part for i, part in enumerate(X)}


def _on_host(value: Any) -> Any:
    return to_numpy(value) if library_of(value) else value


def _beside(value: Any, like: Any, name: str) -> Any:
    """An array of the library and device of another, without its derivatives."""
    if not library_of(value):
        value = np.asarray(value)
        if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
            raise _RefusedError
        return from_numpy_like(value, like)
    check_beside(value, like, name)
    return value.detach() if hasattr(value, "detach") else value


def check_beside(value: Any, like: Any, name: str) -> None:
    """An array of another library is dense, and where the others are."""
    if array_namespace(value) is not array_namespace(like):
        raise TypeError(
            f"The {name!r} array must be of the library of the others, "
            f"{type(like).__module__}. Got {type(value)}."
        )
    if str(getattr(value, "layout", "torch.strided")) != "torch.strided":
        raise ValueError(
            f"The {name!r} array must be dense. Got a sparse tensor; pass what it "
            "holds as a tuple (rows, cols, values), and its shape."
        )
    if device(value) != device(like):
        raise ValueError(
            f"The {name!r} array must be on the device of the others, {device(like)}. "
            f"Got one on {device(value)}."
        )


def _as_floats(xp: ModuleType, x: Any, dtype: Any = None) -> Any:
    """float32 and what fits into it as float32, other real numbers as float64."""
    if not xp.isdtype(x.dtype, ("bool", "integral", "real floating")):
        raise _RefusedError
    if dtype is None:
        short = xp.isdtype(x.dtype, "real floating") and xp.finfo(x.dtype).bits <= 32
        dtype = xp.float32 if short else xp.float64
    with np.errstate(over="ignore"):  # infinities are found later
        return xp.astype(x, dtype, copy=False)


def _of_triplets(
    xp: ModuleType, arrays: list[Any], weights: Any, dtype: Any, shape: Any
) -> _Found:
    if len(arrays) != 3:
        raise _RefusedError
    rows, cols, values = arrays
    integral = all(xp.isdtype(ids.dtype, "integral") for ids in (rows, cols))
    lengths = {tuple(x.shape) for x in (*arrays, weights) if x is not None}
    size = values.shape[0] if len(values.shape) == 1 else 0
    if not size or not integral or lengths != {(size,)}:
        raise _RefusedError
    values = _as_floats(xp, values, dtype and getattr(xp, np.dtype(dtype).name))
    if weights is not None:
        weights = _as_floats(xp, weights, values.dtype)
    rows, cols = (xp.astype(ids, xp.int64, copy=False) for ids in (rows, cols))
    if shape is None:
        shape = tuple(max(0, int(xp.max(ids))) + 1 for ids in (rows, cols))
    return _Found(as_shape(shape), rows, cols, values, weights)


def _of_dense(
    xp: ModuleType, arrays: list[Any], weights: Any, dtype: Any, shape: Any
) -> _Found:
    X = arrays[0]
    if len(X.shape) != 2 or 0 in X.shape:
        raise _RefusedError
    if weights is not None and tuple(weights.shape) != tuple(X.shape):
        raise _RefusedError
    X = _as_floats(xp, X, dtype and getattr(xp, np.dtype(dtype).name))
    m, n = map(int, X.shape)
    flat = xp.reshape(X, (m * n,))
    at = xp.nonzero(xp.logical_not(xp.isnan(flat)))[0]
    if not at.shape[0]:
        raise _RefusedError
    if weights is not None:
        weights = xp.reshape(_as_floats(xp, weights, X.dtype), (m * n,))
        weights = xp.take(weights, at, axis=0)
    return _Found((m, n), at // n, at % n, xp.take(flat, at, axis=0), weights)


def _check(xp: ModuleType, found: _Found) -> None:
    """Ids in range, numbers that are finite, weights that are not negative."""
    good = xp.all(xp.isfinite(found.values))
    for ids, n in zip((found.rows, found.cols), found.shape, strict=True):
        good = good & xp.all((ids >= 0) & (ids < n))
    if found.weight is not None:
        good = good & xp.all(xp.isfinite(found.weight) & (found.weight >= 0))
        good = good & xp.any(found.weight > 0)
    if max(found.shape) >= 2**31 or not bool(good):
        raise _RefusedError


def _in_units(xp: ModuleType, found: _Found) -> tuple[_Found, Units]:
    """As `in_units`, of the entries whose weight is not zero."""
    weight: Any = found.weight
    mean = 1.0
    if weight is not None and not bool(xp.all(weight > 0)):
        at = xp.nonzero(weight > 0)[0]
        weight = xp.take(weight, at, axis=0)
        rows, cols, values = (xp.take(x, at, axis=0) for x in found[1:4])
        found = found._replace(rows=rows, cols=cols, values=values)
    if weight is not None and bool(xp.all(weight == weight[0])):
        weight, mean = None, float(weight[0])
    elif weight is not None:
        wide = xp.astype(weight, xp.float64)
        mean = float(xp.mean(wide))
        weight = xp.astype(wide / mean, weight.dtype)
    values, unit = found.values, unit_of(float(xp.max(xp.abs(found.values))))
    if unit != 1.0:  # by way of float64, where the inverse is a number
        values = xp.astype(xp.astype(values, xp.float64) * (1 / unit), values.dtype)
    return found._replace(values=values, weight=weight), Units(unit, mean)


def _in_both_orders(xp: ModuleType, found: _Found, units: Units) -> DeviceEntries:
    counts, orders, places = [], [], []
    for ids, n in zip((found.rows, found.cols), found.shape, strict=True):
        every = xp.arange(n + 1, dtype=xp.int64, device=device(ids))
        starts = xp.searchsorted(xp.sort(ids), every)
        counts.append(np.diff(to_numpy(starts)))
        order = np.argsort(counts[-1], kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(n)
        orders.append(from_numpy_like(order, ids))
        places.append(from_numpy_like(place, ids))
    values = found.values
    near = [
        xp.take(place, ids, axis=0)
        for place, ids in zip(places, (found.rows, found.cols), strict=True)
    ]
    sides = []
    for t in (0, 1):
        arrays = _sorted(xp, near[t], near[1 - t], values, found.weight)
        buckets = _buckets(xp, arrays, np.sort(counts[t]), found.shape[1 - t])
        sides.append(DeviceSide(counts[t], orders[t], places[t], buckets))
    dtype = np.dtype(np.float32 if values.dtype == xp.float32 else np.float64)
    size = int(values.shape[0])
    return DeviceEntries(xp, found.shape, size, dtype, units, *sides)


def _sorted(
    xp: ModuleType, rows: Any, cols: Any, values: Any, weight: Any
) -> list[Any]:
    """Columns, values and weights of entries, by row and then by column."""
    key = rows * (xp.max(cols) + 1) + cols
    order = xp.argsort(key)
    key = xp.take(key, order, axis=0)
    if bool(xp.any(key[1:] == key[:-1])):
        raise _RefusedError
    del key
    return [
        None if x is None else xp.take(x, order, axis=0) for x in (cols, values, weight)
    ]


def _buckets(
    xp: ModuleType, arrays: list[Any], counts: np.ndarray, n_cols: int
) -> tuple[Bucket, ...]:
    """Rectangles of sorted entries, for rows of these ascending lengths."""
    idx, val, weight = arrays
    where = device(idx)
    size = int(idx.shape[0])
    fill = xp.full((1,), n_cols, dtype=xp.int32, device=where)
    idx = xp.concat([xp.astype(idx, xp.int32), fill])
    zero = xp.zeros((1,), dtype=val.dtype, device=where)
    val, weight = (None if x is None else xp.concat([x, zero]) for x in (val, weight))
    ptr = np.concatenate([[0], np.cumsum(counts)])
    out = []
    for lo, hi in _cuts(counts):
        length = int(counts[hi - 1])
        starts, ends = (from_numpy_like(ptr[lo + i : hi + i], idx) for i in (0, 1))
        at = starts[:, None] + xp.arange(length, dtype=xp.int64, device=where)[None, :]
        at = xp.reshape(xp.where(at < ends[:, None], at, size), (-1,))
        shape = (hi - lo, length)
        rectangles = [
            None if x is None else xp.reshape(xp.take(x, at, axis=0), shape)
            for x in (idx, val, weight)
        ]
        out.append(Bucket(lo, hi, Part(*rectangles)))
    return tuple(out)


def _cuts(counts: np.ndarray) -> Iterator[tuple[int, int]]:
    """Ranges of rows of similar length, for ascending lengths; none of empty rows."""
    lo = int(np.searchsorted(counts, 1))
    while lo < len(counts):
        longest = max(_SHORT, _GROWTH * counts[lo])
        hi = int(np.searchsorted(counts, longest, side="right"))
        yield lo, hi
        lo = hi
