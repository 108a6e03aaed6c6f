"""Entries that stay on disk: chunks of rows sorted into memory-mapped files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
from scipy import sparse

from sparseopt._core._arrays import as_floats
from sparseopt._core._params import COMMON, check_params
from sparseopt._core._reading import file_checksum, read_file
from sparseopt._core._threads import effective_n_threads
from sparseopt.completion._blocks import paired, restartable
from sparseopt.completion._input import _ids, as_shape, check_some, sort_entries
from sparseopt.completion._orders import from_csr
from sparseopt.completion._problem import Entries, Side
from sparseopt.completion._tables import plain_table

_FILES = ("row_ptr", "row_idx", "row_val", "col_ptr", "col_idx", "col_val", "perm")
_WEIGHTS = ("row_weight", "col_weight")
# Shape of the matrix, and the names of the arrays with the checksums of their files.
_INDEX = "entries.json"


def entries_from_chunks(
    chunks: Any,
    directory: str | os.PathLike[str],
    *,
    weights: Any = None,
    shape: tuple[int, int] | None = None,
    dtype: Any = None,
    n_threads: int = 1,
) -> Entries:
    """Sort chunks of entries into files once, and map these into memory.

    Two passes over the chunks: one counts, one writes the order by rows and, by a
    counting sort of each chunk into the places of its columns, the order by columns.
    What is in memory at a time is one chunk and a number for each row and column. The
    result is solved like any other, to the same bits; `open_entries` finds it again.

    Parameters
    ----------
    chunks : iterable, callable or dask collection
        Blocks of consecutive rows: sparse matrices, dense arrays with NaN where nothing
        was observed, data frames, or triplets (rows, cols, values) with the row ids of
        the whole, each row in one chunk and chunks in ascending order of rows. With
        weights of the entries: pairs (block, weights) in the form that `complete` takes
        them, or (rows, cols, values, weights). It is gone through twice: a callable is
        called for each pass. Of a dask collection the delayed parts are computed one
        after the other, blocks of a dask array joined to whole rows; an element of a
        dask bag, or of a list of dask.delayed objects, is a chunk.
    directory : path
        Where the files go, 20 bytes an entry in float32 and 28 in float64, 8 and 16
        more with weights; made if need be. Files of an earlier call are replaced.
    weights : iterable, callable or dask collection, optional
        Non-negative weights in blocks of their own, one for each chunk, where chunks
        have none with them.
    shape : tuple of (int, int), optional
        Of the whole matrix; necessary for triplets.
    dtype : float32 or float64, optional
        That of the first chunk if not given.
    n_threads : int, default=1
        OpenMP threads of solvers that are given the entries.

    Returns
    -------
    Entries
        What `complete`, `soft_impute` and `MatrixFactorizer` take for X.

    Raises
    ------
    TypeError
        For an iterator, which has no second pass.
    ValueError
        Rows out of order, chunks that differ between passes, duplicates, bad values,
        weights for some chunks only.

    Examples
    --------
    >>> import tempfile
    >>> from sparseopt.completion import complete, entries_from_chunks
    >>> from sparseopt.datasets import make_low_rank
    >>> X, *_ = make_low_rank(50, 40, 2, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     entries = entries_from_chunks([X[:30], X[30:]], folder)
    ...     complete(entries, 2).converged
    True
    """
    given = {"dtype": dtype, "n_threads": n_threads}
    check_params(entries_from_chunks, COMMON, given)
    again = restartable(chunks, "chunks")
    if weights is not None:
        again = paired(again, restartable(weights, "weights"))
    folder = as_path(directory, "directory")
    folder.mkdir(parents=True, exist_ok=True)
    counts = _Counts(shape, dtype)
    for block in again():
        counts.add(block)
    files = counts.files(folder)
    head, start, row = files["col_ptr"][:-1].copy(), 0, 0
    for block in again():
        e = counts.read(block, row)
        size, last = e.n_entries, row + e.shape[0]
        if (
            start + size > counts.size
            or last > counts.shape[0]
            or not np.array_equal(files["row_ptr"][row : last + 1], start + e.rows.ptr)
            or (size and (e.rows.weight is not None) != counts.weighted)
        ):
            raise ValueError(_DIFFERENT)
        number = np.diff(e.cols.ptr)
        if (head + number > files["col_ptr"][1:]).any():
            raise ValueError(_DIFFERENT)
        # the chunk's part of a column goes behind that of the chunks before it
        target = np.repeat(head - e.cols.ptr[:-1], number) + np.arange(size)
        for name, side, place, first in (
            ("row", e.rows, slice(start, start + size), 0),
            ("col", e.cols, target, row),
        ):
            files[f"{name}_idx"][place] = side.idx + np.int32(first)
            files[f"{name}_val"][place] = side.val
            if counts.weighted and size:
                files[f"{name}_weight"][place] = side.weight
        files["perm"][target] = e.perm.astype(np.int64) + start
        head += number
        start, row = start + size, last
    if start != counts.size:
        raise ValueError(_DIFFERENT)
    for file in files.values():
        file.flush()
    _write_index(folder, counts.shape, files)
    return open_entries(folder, n_threads=n_threads)


_DIFFERENT = (
    "The 'chunks' parameter must give the same chunks in each pass. The second pass "
    "had other entries than the first."
)


def open_entries(directory: str | os.PathLike[str], *, n_threads: int = 1) -> Entries:
    """Map entries that `entries_from_chunks` left in a directory into memory.

    Parameters
    ----------
    directory : path
        Where the files are.
    n_threads : int, default=1
        OpenMP threads of solvers that are given the entries.

    Returns
    -------
    Entries
        What `complete`, `soft_impute` and `MatrixFactorizer` take for X.

    Raises
    ------
    FileNotFoundError
        If files are missing.
    ValueError
        If a file is damaged: all are read once and compared with their checksums.

    Examples
    --------
    >>> import tempfile
    >>> from scipy import sparse
    >>> from sparseopt.completion import entries_from_chunks, open_entries
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = entries_from_chunks([sparse.eye_array(3)], folder)
    ...     open_entries(folder).n_entries
    3
    """
    check_params(open_entries, COMMON, {"n_threads": n_threads})
    folder = as_path(directory, "directory")
    (m, n), f = _arrays(folder)
    if not _is_whole((m, n), f):
        raise ValueError(
            f"The files in the directory {str(folder)!r} are damaged or were not "
            "written by one call of entries_from_chunks: arrays do not fit together. "
            "Make them anew."
        )
    rows, cols = (
        Side(
            np.array(f[f"{name}_ptr"]), f[f"{name}_idx"], f[f"{name}_val"],
            f.get(f"{name}_weight"),
        )
        for name in ("row", "col")
    )  # fmt: skip
    return Entries((m, n), rows, cols, f["perm"], effective_n_threads(n_threads))


def _write_index(folder: Path, shape: tuple[int, int], names: Iterable[str]) -> None:
    """The last file: those of a call that ended before are not taken for whole ones."""
    checksums = {}
    for name in names:
        with (folder / f"{name}.npy").open("rb") as file:
            checksums[name] = file_checksum(file)
    index = {"shape": [int(size) for size in shape], "checksums": checksums}
    (folder / _INDEX).write_text(json.dumps(index))


def _arrays(folder: Path) -> tuple[tuple[int, int], dict[str, np.ndarray]]:
    """Shape of the matrix, and the arrays of the files, mapped."""
    _check_there(folder, [_INDEX])
    (m, n), checksums = read_file(folder / _INDEX, "entries_from_chunks", _read_index)
    _check_there(folder, [f"{name}.npy" for name in checksums])
    arrays = {}
    for name, checksum in checksums.items():
        path = folder / f"{name}.npy"

        def decode(
            file: IO[bytes], path: Path = path, checksum: int = checksum
        ) -> np.ndarray:
            if file_checksum(file) != checksum:
                raise ValueError("its checksum is another")
            return np.lib.format.open_memmap(path, mode="r")

        arrays[name] = read_file(path, "entries_from_chunks", decode)
    return (m, n), arrays


def _read_index(file: IO[bytes]) -> tuple[tuple[int, int], dict[str, int]]:
    index = json.load(file)
    (m, n), checksums = index["shape"], index["checksums"]
    named = checksums.keys()
    whole = named == {*_FILES} or named == {*_FILES, *_WEIGHTS}
    if not whole or not all(type(x) is int for x in (m, n, *checksums.values())):
        raise ValueError(f"not the names and numbers of such files: {index}")
    return (m, n), checksums


def _check_there(folder: Path, names: list[str]) -> None:
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise FileNotFoundError(
            f"The directory {str(folder)!r} must hold the files of "
            f"entries_from_chunks. Missing: {', '.join(missing)}."
        )


def as_path(path: Any, name: str) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"The {name!r} parameter must be a path. Got {path!r}.")
    return Path(path)


def _is_whole(shape: tuple[int, int], f: dict[str, np.ndarray]) -> bool:
    """Whether kernels can follow the indices: a damaged file must not crash them."""
    ids = [f[name] for name in ("row_idx", "col_idx")]
    size, kind = f["perm"].shape, f["row_val"].dtype
    good = (
        len(size) == 1
        and kind in (np.float32, np.float64)
        and f["col_val"].dtype == kind
        and f["perm"].dtype in (np.int32, np.int64)
        and all(a.dtype == np.int32 for a in ids)
        and all(f[name].shape == size for name in f if name[4:] in ("idx", "val"))
        and all(
            f[name].shape == size and f[name].dtype == kind
            for name in _WEIGHTS
            if name in f
        )
    )
    if not good:
        return False
    for name, own, other in (("row", *shape), ("col", *shape[::-1])):
        ptr, idx = f[f"{name}_ptr"], f[f"{name}_idx"]
        if (
            ptr.dtype != np.int64
            or ptr.shape != (own + 1,)
            or ptr[0] != 0
            or ptr[-1] != size[0]
            or (np.diff(ptr) < 0).any()
            or idx.min(initial=0) < 0
            or idx.max(initial=0) >= other
            or not np.isfinite(f[f"{name}_val"].sum(dtype=np.float64))
        ):
            return False
        weight = f.get(f"{name}_weight")
        if weight is not None and not (
            weight.min(initial=0) >= 0 and np.isfinite(weight.sum(dtype=np.float64))
        ):
            return False
    perm = f["perm"]
    return bool(perm.min(initial=0) >= 0 and perm.max(initial=0) < size[0])


class _Counts:
    """First pass: how many entries each row and column has."""

    def __init__(self, shape: tuple[int, int] | None, dtype: Any) -> None:
        self.given = None if shape is None else as_shape(shape)
        self.dtype = None if dtype is None else np.dtype(dtype)
        self.rows: list[np.ndarray] = []
        self.cols = np.empty(0, np.int64)
        self.row = self.size = 0
        self.weighted: bool | None = None
        self.heaviest = 0.0  # largest weight

    @property
    def shape(self) -> tuple[int, int]:
        if not self.rows:
            raise ValueError("The 'chunks' parameter must give at least one chunk.")
        return self.row, len(self.cols)

    def read(self, block: Any, row: int) -> Entries:
        """Entries of a chunk, its first row being number ``row`` of the whole."""
        try:
            return self._read(block, row)
        except (ValueError, TypeError) as error:
            error.add_note(
                f"In the chunk that starts at row {row} of the whole; rows and "
                "positions are those in the chunk."
            )
            raise

    def _read(self, block: Any, row: int) -> Entries:
        weights = None
        if isinstance(block, tuple) and len(block) == 2:
            block, weights = block
        if not isinstance(block, tuple):
            if sparse.issparse(block):
                empty = block.nnz == 0
            elif np.ma.isMaskedArray(block):
                empty = not block.count()
            else:
                if np.shape(block) != (0, len(self.cols)):
                    block = as_floats(plain_table(block, "chunk"), "chunk", ndim=2)
                empty = bool(np.isnan(block).all())
            if empty:  # of a chunk, that is no mistake
                return _nothing(block.shape, self.dtype or np.float64)
            return sort_entries(block, weights=weights, dtype=self.dtype)
        if self.given is None:
            raise ValueError(
                "The 'shape' parameter is necessary for chunks of triplets. Got None."
            )
        if weights is not None or len(block) not in (3, 4):
            raise ValueError(
                "A chunk that is a tuple must hold three arrays (rows, cols, values), "
                "weights as a fourth, or a block and its weights. "
                f"Got {len(block)} elements."
            )
        _, cols, values, weights = block if len(block) == 4 else (*block, None)
        rows = _ids(block[0], "rows")
        if not len(rows):
            return _nothing((0, self.given[1]), self.dtype or np.float64)
        low, high = int(rows.min()), int(rows.max())
        if low < row or high >= self.given[0]:
            raise ValueError(
                f"The rows of a chunk must be at least {row}, after those of the chunk "
                f"before, and below {self.given[0]}. Got rows {low} to {high}."
            )
        shape = (high + 1 - row, self.given[1])
        return sort_entries(
            (rows - row, cols, values), weights=weights, dtype=self.dtype, shape=shape
        )

    def add(self, block: Any) -> None:
        e = self.read(block, self.row)
        if self.dtype is None and e.n_entries:
            self.dtype = e.dtype
        if e.n_entries:
            weight = e.rows.weight
            if self.weighted not in (None, weight is not None):
                raise ValueError(
                    "All chunks must have weights, or none of them. Got chunks with "
                    "weights and without."
                )
            self.weighted = weight is not None
            if weight is not None:
                self.heaviest = max(self.heaviest, float(weight.max()))
        if not self.rows:
            self.cols = np.zeros(e.shape[1], np.int64)
        if e.shape[1] != len(self.cols):
            raise ValueError(
                f"All chunks must have {len(self.cols)} columns, as the first. "
                f"Got {e.shape[1]}."
            )
        self.rows.append(np.diff(e.rows.ptr))
        self.cols += np.diff(e.cols.ptr)
        self.row += e.shape[0]
        self.size += e.n_entries

    def files(self, folder: Path) -> dict[str, np.memmap]:
        """Files of the final sizes, the starts filled in."""
        m, n = self.shape
        if self.given is not None:
            rest = self.given[0] - m
            if rest < 0 or self.given[1] != n:
                raise ValueError(
                    f"The 'shape' parameter must be that of the chunks together, "
                    f"({m}, {n}), or have more rows. Got {self.given}."
                )
            self.rows.append(np.zeros(rest, np.int64))
            m = self.row = self.given[0]
        if not self.size:
            raise ValueError(
                "The 'chunks' parameter must give at least one entry. Got none."
            )
        if self.weighted:
            check_some(np.array([self.heaviest], self.dtype))
        wide = self.size >= np.iinfo(np.int32).max
        types = {
            "row_ptr": (np.int64, m + 1), "col_ptr": (np.int64, n + 1),
            "row_idx": (np.int32, self.size), "col_idx": (np.int32, self.size),
            "row_val": (self.dtype, self.size), "col_val": (self.dtype, self.size),
            "perm": (np.int64 if wide else np.int32, self.size),
        }  # fmt: skip
        if self.weighted:
            types.update({name: (self.dtype, self.size) for name in _WEIGHTS})
        # arrays mapped from earlier files must not change, nor must these stay
        for name in (_INDEX, *(f"{name}.npy" for name in (*_FILES, *_WEIGHTS))):
            (folder / name).unlink(missing_ok=True)
        files = {
            name: np.lib.format.open_memmap(
                folder / f"{name}.npy", "w+", np.dtype(kind), (size,)
            )
            for name, (kind, size) in types.items()
        }
        for name, numbers in (("row", np.concatenate(self.rows)), ("col", self.cols)):
            files[f"{name}_ptr"][0] = 0
            np.cumsum(numbers, out=files[f"{name}_ptr"][1:])
        return files


def _nothing(shape: tuple[int, ...], dtype: Any) -> Entries:
    none = np.empty(0, np.int32), np.empty(0, dtype)
    return from_csr(np.zeros(shape[0] + 1, np.int64), *none, (shape[0], shape[1]))
