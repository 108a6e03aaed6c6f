"""What a fit needs to go on as if it had not stopped."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from sparseopt.completion._problem import Entries
from sparseopt.completion._run import Factors, Run, repadded

# Bit generators whose state is one of numbers.
GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
# Numbers of a run beside its factors.
NUMBERS = ("n_iter", "n_restarts", "work", "residual", "objective", "note", "solver")


class SavedFit(tuple):
    """Pair (U, V) of a checkpoint; as ``init`` of the same fit all that it holds.

    Unpacked, or made a list, it is a start at the factors alone.
    """

    fit: dict[str, Any]

    def __new__(cls, pair: tuple[np.ndarray, np.ndarray], fit: dict[str, Any]) -> Any:
        made = super().__new__(cls, pair)
        made.fit = fit
        return made

    def __reduce__(self) -> Any:
        return type(self), (tuple(self), self.fit)


Mark = Callable[[], dict[str, Any]]


def marker(function: str, options: Mapping[str, Any], entries: Entries) -> Mark:
    """What a fit that goes on must have in common with the one that was stopped.

    Made when it is asked for, once: it takes a pass over the entries.
    """

    @cache
    def mark() -> dict[str, Any]:
        same = {name: _plain(value) for name, value in options.items()}
        return {"function": function, **same, "X": _fingerprint(entries)}

    return mark


def _fingerprint(entries: Entries) -> dict[str, Any]:
    """What tells entries from others, in plain numbers."""
    side, crc = entries.rows, 0
    arrays: list[Any] = [side.ptr, side.idx, side.val]
    if side.weight is not None:
        arrays.append(side.weight)
    for array in arrays:
        crc = zlib.crc32(memoryview(array), crc)
    return {
        "shape": [int(n) for n in entries.shape],
        "dtype": str(entries.dtype),
        "n_entries": entries.n_entries,
        "checksum": crc,
    }


def _plain(value: Any) -> Any:
    """An option as a file has it."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (tuple, list, np.ndarray)):
        return [_plain(v) for v in value]
    return value


def snapshot(
    run: Run, unit: float, alpha: float, same: Mapping[str, Any]
) -> dict[str, Any]:
    """The state of a run in an iteration: plain values, arrays and `Factors`.

    Parameters
    ----------
    run : Run
    unit : float
        What the values were divided by.
    alpha : float
        The caller's penalty.
    same : mapping
        What has to be the same when it goes on: "function", its options, "X".
    """
    return {
        "same": dict(same),
        "unit": unit,
        "k": run.k,
        "alpha": alpha,
        "homotopy": _plain(run.options.get("homotopy")),
        "factors": run.factors,
        "random": _random(run.rng),
        "methods": {name: keep() for name, keep in run.keeps.items()},
        **{name: _plain(getattr(run, name)) for name in NUMBERS},
    }


def _random(rng: np.random.Generator) -> dict[str, Any] | None:
    state = rng.bit_generator.state
    return dict(state) if state["bit_generator"] in GENERATORS else None


def going_on(init: Any, mark: Mark) -> dict[str, Any] | None:
    """What a checkpoint holds, if ``init`` is one; refused if it is of another fit."""
    if not isinstance(init, SavedFit):
        return None
    before, same = init.fit["same"], mark()
    for name in {**same, **before}:
        then, now = before.get(name), same.get(name)
        if then != now:
            raise ValueError(
                "The 'init' checkpoint is of a fit that had "
                f"{name}={_shown(then, now)}. Got {name}={_shown(now, then)}: it goes "
                "on only as it was. A pair (U, V) of its factors starts any fit."
            )
    return init.fit


def _shown(value: Any, other: Any) -> str:
    if not isinstance(value, dict) or not isinstance(other, dict):
        return repr(value)
    # of entries, what differs
    parts = (f"{k} {v}" for k, v in value.items() if v != other.get(k))
    return ", ".join(parts)


def restore(run: Run, saved: SavedFit) -> None:
    """Bring a run to where the checkpoint was written."""
    fit = saved.fit
    for name in NUMBERS:
        setattr(run, name, fit[name])
    run.options = {**run.options, "homotopy": fit["homotopy"]}
    run.factors = _padded(fit["factors"], run.entries)
    run.saved = {
        name: _padded(value, run.entries) for name, value in fit["methods"].items()
    }
    state = fit["random"]
    if state is not None:
        generator = getattr(np.random, state["bit_generator"])()
        generator.state = state
        run.rng = np.random.Generator(generator)


def _padded(value: Any, entries: Entries) -> Any:
    """Factors with padded rows, as kernels need them, wherever they are in a tree."""
    if isinstance(value, Factors):
        if (len(value.U), len(value.V)) != entries.shape:
            raise ValueError(
                "The 'init' checkpoint must hold factors of shape "
                f"{entries.shape}. Got {(len(value.U), len(value.V))}."
            )
        return repadded(value)
    if isinstance(value, dict):
        return {name: _padded(v, entries) for name, v in value.items()}
    if isinstance(value, list):
        return [_padded(v, entries) for v in value]
    return value
