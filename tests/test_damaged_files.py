"""Any byte of any file of the library changed: one kind of error, or the same content.

Bytes that are tried: all that give a file its structure (headers of archives, members,
arrays; the list of members at the end), and some of the numbers between, whose
checksums are compared before they are used. Slow tests try all 255 other values.
"""

import pickle
import re
import warnings
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from sparseopt import Status
from sparseopt._core._result import Result
from sparseopt.completion import (
    Checkpoint,
    complete,
    entries_from_chunks,
    load_checkpoint,
    open_entries,
)
from sparseopt.datasets import make_low_rank

NPY_HEADER = 128
DAMAGED = "damaged or w(as|ere) not written by"


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Box(Result):
    content: Any


def result_file(folder, n):
    content = (np.arange(float(n)), sparse.csr_array(np.eye(3)), "text")
    Box(status=Status.CONVERGED, content=content, n_iter=3).save(folder / "file.npz")
    return [folder / "file.npz"], lambda: Box.load(folder / "file.npz").__dict__


def checkpoint_file(folder, n):
    X = make_low_rank(n, 10, 1, oversampling=3, random_state=0).X
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        complete(X, 1, max_iter=2, callback=Checkpoint(folder / "fit.npz", every=1))

    def load():
        pair = load_checkpoint(folder / "fit.npz")
        return tuple(pair), pair.fit

    return [folder / "fit.npz"], load


def entries_files(folder, n, weighted=True):
    X = sparse.random_array((n, 5), density=0.4, rng=0, format="csr")
    chunk = (X, np.ones(X.nnz)) if weighted else X
    entries_from_chunks([chunk], folder)

    def load():
        e = open_entries(folder)
        return [e.shape, e.perm, *side(e.rows), *side(e.cols)]

    def side(s):
        return [
            x if x is None else np.array(x) for x in (s.ptr, s.idx, s.val, s.weight)
        ]

    return sorted(folder.iterdir()), load


def structure(path):
    """Places of a file that are no numbers of an array."""
    size = path.stat().st_size
    if path.suffix == ".json":
        return set(range(size))
    if path.suffix == ".npy":
        return set(range(min(NPY_HEADER, size)))
    places = set()
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            start = info.header_offset
            name, extra = (
                int.from_bytes(content[start + at : start + at + 2], "little")
                for at in (26, 28)
            )
            places |= set(range(start, start + 30 + name + extra + NPY_HEADER))
        places |= set(range(archive.start_dir, size))
    return {place for place in places if place < size}


def some_values(place):
    return {1 + (place * step) % 255 for step in (1, 101)}


def all_values(place):
    return range(1, 256)


def check(paths, load, values, n_numbers):
    """Change bytes by exclusive or with each of some values, and load."""
    whole = pickle.dumps(load())
    for path in paths:
        content = path.read_bytes()
        places = structure(path)
        rest = sorted({*range(len(content))} - places)
        places |= {*rest[:: max(1, len(rest) // n_numbers)]}
        for place in sorted(places):
            for value in values(place):
                bad = bytearray(content)
                bad[place] ^= value
                path.unlink()  # it may be mapped
                path.write_bytes(bad)
                try:
                    found = load()
                except ValueError as error:
                    assert re.search(DAMAGED, str(error))
                else:
                    assert pickle.dumps(found) == whole, (path.name, place, value)
        for size in (0, 1, 30, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:size])
            with pytest.raises(ValueError, match=DAMAGED):
                load()
        path.write_bytes(content)
    assert pickle.dumps(load()) == whole


KINDS = {
    "result": (result_file, 4),
    "large result": (result_file, 4000),
    "checkpoint": (checkpoint_file, 12),
    "large checkpoint": (checkpoint_file, 4000),
    "entries": (entries_files, 6),
    "large entries": (entries_files, 3000),
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_byte(kind, tmp_path):
    make, n = KINDS[kind]
    paths, load = make(tmp_path, n)
    if kind.startswith("large"):
        assert max(path.stat().st_size for path in paths) > 20_000
    check(paths, load, some_values, 20)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_any_byte_with_any_value(kind, tmp_path):
    make, n = KINDS[kind]
    check(*make(tmp_path, n), all_values, 100)
