"""Fits that go on: their state written to a file now and then."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import IO, Any

import numpy as np

from sparseopt._core._arrays import as_floats, check_finite
from sparseopt._core._monitor import State
from sparseopt._core._params import Interval, check_params
from sparseopt._core._reading import npz_arrays, read_file
from sparseopt.completion._chunks import as_path
from sparseopt.completion._resume import GENERATORS, NUMBERS, SavedFit
from sparseopt.completion._run import Factors

# Files of version 1 hold U, s, V and n_iter alone; those of version 2 have them too.
_VERSION = 2
_FACTORS = (("U", 2), ("s", 1), ("V", 2))
_NAMES = tuple(field.name for field in fields(Factors))
_KEYS = {"same", "unit", "k", "alpha", "homotopy", "factors", "random", "methods"}


class Checkpoint:
    """Callback that writes the state of a fit to a file now and then.

    The file is replaced as a whole: what stops the process leaves the last one. It
    holds factors and biases, and what the fit needs to go on as if it had not stopped:
    ridge and stage of the method, iterations, random numbers, and its options with a
    checksum of the entries, which have to be the same then.

    Parameters
    ----------
    path : path
        An npz file, without pickles.
    every : int, default=10
        Iterations between two files.

    See Also
    --------
    load_checkpoint : The start for a fit that goes on.

    Notes
    -----
    A file has one to three times the size of the factors. A fit by `complete` that goes
    on has the iterates of one that was not stopped, to the last bit on the same machine
    with the same versions; by `soft_impute`, a convex problem, the same answer to its
    tolerance. ``n_iter`` and ``work`` count on; ``history`` and ``elapsed`` are of the
    part since. `alternating_minimization` has no start to give, so its checkpoints are
    for their factors. Sweeps of ``partial_fit`` write none.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sparseopt.completion import Checkpoint, complete, load_checkpoint
    >>> from sparseopt.datasets import make_low_rank
    >>> X, *_ = make_low_rank(50, 40, 2, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "fit.npz"
    ...     first = complete(X, 2, callback=Checkpoint(path, every=5))
    ...     again = complete(X, 2, init=load_checkpoint(path))
    >>> again.n_iter == first.n_iter, bool((again.U == first.U).all())
    (True, True)
    """

    def __init__(self, path: str | os.PathLike[str], every: int = 10) -> None:
        check_params(
            type(self), {"every": [Interval(1, None, integer=True)]}, {"every": every}
        )
        self.path, self.every = as_path(path, "path"), int(every)
        if self.path.is_dir() or not self.path.absolute().parent.is_dir():
            # better now than after the first iterations
            raise FileNotFoundError(
                "The 'path' parameter of sparseopt.completion.Checkpoint must be a "
                f"file in a directory that exists. Got {str(self.path)!r}."
            )

    def __call__(self, state: State) -> bool:
        # sweeps of partial_fit are no fit that could go on
        if state.n_iter % self.every == 0 and "checkpoint" in dir(state):
            _write(self.path, state)
        return False


def _write(path: Path, state: State) -> None:
    fit, pack = state.checkpoint, _Packer()
    f = fit["factors"]  # those that are shown may be of another library
    U, s, V = f.U[:, : f.k], f.s * fit["unit"], f.V[:, : f.k]
    if fit["unit"] == 1.0:  # then these are the factors of the run
        pack.same[id(f.U)] = "U"
        pack.same[id(f.s)] = "s"
        pack.same[id(f.V)] = "V"
    text = json.dumps({"version": _VERSION, **pack(fit)})
    part = path.with_name(path.name + ".part")
    arrays: dict[str, Any] = {"U": U, "s": s, "V": V, **pack.arrays}
    try:
        with part.open("wb") as file:
            np.savez(file, n_iter=state.n_iter, state=np.array(text), **arrays)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


class _Packer:
    """Trees for JSON; arrays are put aside, each once, and named."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.same: dict[int, str] = {}  # names by identity, while the tree is there

    def __call__(self, value: Any, k: int | None = None) -> Any:
        if isinstance(value, Factors):
            whole = {name: getattr(value, name) for name in _NAMES}
            return {"factors": {n: self(v, value.k) for n, v in whole.items()}}
        if isinstance(value, np.ndarray):
            name = self.same.setdefault(id(value), f"array{len(self.arrays)}")
            if name not in ("U", "s", "V"):
                # frames without their padding
                self.arrays[name] = value[:, :k] if value.ndim == 2 else value
            return {"array": name}
        if isinstance(value, dict):
            return {"dict": {name: self(v) for name, v in value.items()}}
        if isinstance(value, (list, tuple)):
            return [self(v) for v in value]
        return value.item() if isinstance(value, np.generic) else value


def _unpacked(tree: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(tree, list):
        return [_unpacked(v, arrays) for v in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, value),) = tree.items()
    if kind == "array":
        return arrays[value]
    if kind == "dict":
        return {name: _unpacked(v, arrays) for name, v in value.items()}
    if kind != "factors":
        raise ValueError(f"a {kind!r} in it")
    found = {name: _unpacked(v, arrays) for name, v in value.items()}
    _check_factors(found)
    return Factors(**found)


def _check_factors(found: dict[str, Any]) -> None:
    """Kernels follow shapes: a damaged file must not crash them."""
    for name, ndim in _FACTORS:
        found[name] = as_floats(found[name], name, ndim=ndim)
        check_finite(found[name], name)
    U, s, V = (found[name] for name, _ in _FACTORS)
    shapes = [U.shape, s.shape, V.shape]
    if not (len(s) == U.shape[1] == V.shape[1]):
        raise ValueError(f"factors of shapes {shapes}")
    for name, F in (("row_bias", U), ("col_bias", V)):
        bias = found.get(name)
        if bias is not None:
            bias = as_floats(bias, name, ndim=1)
            check_finite(bias, name)
            if len(bias) != len(F):
                raise ValueError(f"a {name} of {len(bias)} beside {shapes}")


def load_checkpoint(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Read what makes a fit go on from a `Checkpoint`.

    Given as it is for ``init`` of the same function, with the same entries and options,
    the fit goes on as if it had not stopped. Unpacked it is a pair of factors, at which
    any fit may start. Limits on iterations and time, tolerances, threads and callback
    may be others.

    Parameters
    ----------
    path : path
        File that a `Checkpoint` wrote; nothing in it is unpickled. Files of earlier
        versions hold factors only, and give a plain pair.

    Returns
    -------
    U : ndarray of shape (m, k)
        Left factor, times the singular values.
    V : ndarray of shape (n, k)
        Right factor.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, not one of a `Checkpoint`, or of a later version.

    Examples
    --------
    See `Checkpoint`.
    """
    path = as_path(path, "path")
    pair, version, state = read_file(path, "a Checkpoint", _decode)
    if version not in (1, _VERSION):
        raise ValueError(
            f"The file {str(path)!r} must be a checkpoint of version 1 or {_VERSION}. "
            f"Got version {version!r}, of another sparseopt."
        )
    return pair if state is None else SavedFit(pair, state)


def _decode(file: IO[bytes]) -> tuple[tuple[np.ndarray, np.ndarray], Any, Any]:
    """Factors of a checkpoint, its version, and the state if that is known."""
    arrays = npz_arrays(file)
    found = {name: arrays[name] for name, _ in _FACTORS}
    _check_factors(found)
    pair = found["U"] * found["s"].astype(found["U"].dtype), found["V"]
    if arrays.keys() == {*found, "n_iter"}:
        return pair, 1, None
    tree = json.loads(str(arrays["state"]))
    version = tree.pop("version")
    if version != _VERSION:
        return pair, version, None
    state = _unpacked(tree, arrays)
    _check_state(state)
    return pair, version, state


def _check_state(state: Any) -> None:
    missing = {*_KEYS, *NUMBERS} - state.keys()
    if missing:
        raise ValueError(f"{', '.join(sorted(missing))} missing")
    if not isinstance(state["factors"], Factors):
        raise ValueError("factors missing")
    random = state["random"]
    if random is not None and random["bit_generator"] not in GENERATORS:
        raise ValueError(f"random numbers of {random['bit_generator']!r}")
