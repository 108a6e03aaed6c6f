"""How maps are applied: to NumPy arrays by kernels, to others by formulas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sparseopt._core._array_api import array_namespace, device, is_numpy
from sparseopt._core._arrays import as_floats, check_finite
from sparseopt._core._params import Interval
from sparseopt.prox import _map_kernels as kernels
from sparseopt.prox._formulas import FORMULAS
from sparseopt.prox._inputs import as_output, as_point

# Constraints that many functions share.
LEVEL = [Interval(0, None, closed="left")]
POSITIVE = [Interval(0, None, closed="neither")]
RATIO = [Interval(0, 1)]
AXIS = [Interval(None, None, integer=True), None]

Check = Callable[[np.ndarray, str], None]


def apply(
    kind: int,
    x: Any,
    params: Sequence[float],
    out: Any,
    finite: bool,
    second: Any = None,
    name: str = "weights",
    check: Check = check_finite,
    x_name: str = "x",
) -> Any:
    """Apply an elementwise map; `second` is its other array, of the shape of x.

    The kernel itself sees values that are not allowed; only then `check` looks for
    the place.
    """
    xp = array_namespace(x)
    if not is_numpy(xp):
        formula = FORMULAS[kind]
        return _apply_formula(xp, formula, x, params, out, finite, second, name, check)
    array = as_point(x, finite=False, name=x_name)
    result = as_output(out, array)
    in_place = result is x and result.flags.c_contiguous
    if in_place and finite:
        check_all_finite(array, x_name)
    if second is not None:
        second = as_second(second, array, name, x_name)
    work = result if in_place or is_apart(result, array, second) else None
    work = np.empty_like(array) if work is None else work
    if array.size:
        p = np.array(params, dtype=np.float64)
        flat = None if second is None else second.reshape(-1)
        good = kernels.apply(kind, array.reshape(-1), flat, p, work.reshape(-1))
        if not good:
            if finite and not in_place:
                check_all_finite(array, x_name)
            if second is not None:
                check(second, name)
    if work is not result:
        result[...] = work
    return result


def check_all_finite(array: np.ndarray, name: str = "x") -> None:
    """Raise an error where an entry is NaN or infinite; scalars too."""
    if array.size:
        check_finite(np.atleast_1d(array), name)


def is_apart(out: np.ndarray, *others: np.ndarray | None) -> bool:
    """Whether kernels can write to `out` while they read the others."""
    return out.flags.c_contiguous and not any(
        other is not None and np.may_share_memory(out, other) for other in others
    )


def as_second(value: Any, like: np.ndarray, name: str, x_name: str = "x") -> np.ndarray:
    """Array of the shape and type of another; numbers are repeated."""
    array = as_floats(value, name, ndim=None, dtype=like.dtype, order="C")
    if array.ndim == 0:
        return np.full(like.shape, array, dtype=like.dtype)
    if array.shape != like.shape:
        raise ValueError(
            f"The {name!r} array must have shape {like.shape}, that of {x_name!r}. "
            f"Got {array.shape}."
        )
    return array


def check_weights(array: np.ndarray, name: str) -> None:
    """Raise an error that names the first negative or not finite weight."""
    check_all_finite(array, name)
    flat = array.reshape(-1)
    if flat.size and flat.min() < 0:
        index = int(flat.argmin())
        raise ValueError(
            f"The {name!r} array must not be negative. "
            f"Got {flat[index]} at index {index}."
        )


def as_floating(xp: Any, x: Any) -> Any:
    """Array of another library as real floating-point numbers."""
    if xp.isdtype(x.dtype, "complex floating"):
        raise ValueError(
            f"The 'x' array must be real. Complex data not supported; got {x.dtype}."
        )
    if xp.isdtype(x.dtype, "real floating"):
        return x
    return xp.astype(x, xp.float64)


def check_foreign(xp: Any, x: Any, name: str = "x") -> None:
    """Raise an error if an array of another library holds NaN or infinity."""
    if not bool(xp.all(xp.isfinite(x))):
        raise ValueError(f"The {name!r} array must be finite.")


def deliver(out: Any, result: Any) -> Any:
    """Result of another library's array in `out`, if there is one."""
    if out is None:
        return result
    if type(out) is not type(result) or out.shape != result.shape:
        raise ValueError(
            f"The 'out' array must be of the type and shape of 'x'. "
            f"Got {type(out).__name__} of shape {tuple(out.shape)}."
        )
    out[...] = result
    return out


def _apply_formula(xp, formula, x, params, out, finite, second, name, check) -> Any:
    x = as_floating(xp, x)
    if finite:
        check_foreign(xp, x)
    if second is not None:
        if isinstance(second, (int, float, list, tuple, np.ndarray)):
            check(np.atleast_1d(as_floats(second, name, ndim=None)), name)
        second = xp.asarray(second, dtype=x.dtype, device=device(x))
        second = xp.zeros_like(x) + second
    return deliver(out, formula(xp, x, params, second))
