"""The one place that knows array libraries other than NumPy.

NumPy arrays, scalars and lists take short cuts that import nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

# Functions that accept arrays of other libraries and return the caller's type on the
# caller's device. Tests and documentation are made from this table.
_ALL = ("numpy", "array_api_strict", "torch", "cupy")
_PROX = (
    "project_box project_halfspace project_hyperplane project_l2_ball "
    "project_linf_ball prox_elastic_net prox_group_lasso prox_hinge prox_huber prox_kl "
    "prox_l0 prox_l1 prox_l2 prox_l_half prox_l_two_thirds prox_log_sum prox_logistic "
    "prox_lq prox_mcp prox_pinball prox_ridge prox_scad prox_sparse_group_lasso "
    "prox_squared_hinge prox_wgsef prox_wgsef_jvp"
)
SUPPORT: Mapping[str, tuple[str, ...]] = {
    **{
        f"completion.{name}": _ALL
        for name in ("alternating_minimization", "complete", "soft_impute")
    },
    "testing.assert_close": _ALL,
    **{f"prox.{name}": _ALL for name in _PROX.split()},
}


def array_namespace(*arrays: Any) -> ModuleType:
    """Namespace that the arrays share: NumPy itself if there is no other array."""
    foreign = [array for array in arrays if _is_foreign(array)]
    if not foreign:
        return np
    for array in foreign:
        _check_data(array)
    return _compat().array_namespace(*filter(_is_array, arrays))


def is_numpy(xp: ModuleType) -> bool:
    """Whether a namespace is NumPy's."""
    return xp is np or xp.__name__ == "array_api_compat.numpy"


def device(array: Any) -> Any:
    """Device of an array, in the terms of its library."""
    return _compat().device(array) if _is_foreign(array) else "cpu"


def is_on_host(array: Any) -> bool:
    """Whether an array of any library lies in the memory of the host."""
    name = str(device(array)).lower()  # array_api_strict.Device('CPU_DEVICE') for one
    return name.rpartition("device('")[2].startswith("cpu")


def to_numpy(array: Any) -> np.ndarray:
    """NumPy array of the same values; memory is shared where that is possible."""
    if not _is_foreign(array):
        return np.asarray(array)
    _check_data(array)
    if hasattr(array, "detach"):  # torch: without gradients, and what NumPy has not
        array = array.detach().resolve_conj().resolve_neg()
        short = any(name in str(array.dtype) for name in ("bfloat16", "float8"))
        array = array.float() if short else array
    if hasattr(array, "get"):  # cupy
        return np.asarray(array.get())
    if type(array).__module__.startswith("array_api_strict"):
        cpu = import_module("array_api_strict").Device("CPU_DEVICE")
        return np.asarray(array.to_device(cpu))
    return np.asarray(_compat().to_device(array, "cpu"))


def from_numpy_like(array: np.ndarray, like: Any) -> Any:
    """Array of ``like``'s library and device with the values of a NumPy array."""
    if not _is_foreign(like):
        return array
    xp = array_namespace(like)
    # torch would share read-only memory with a tensor that can be written to, and knows
    # no negative strides
    usable = array.flags.writeable and min(array.strides, default=0) >= 0
    source = array if usable else array.copy()
    return xp.asarray(source, device=device(like))


def _check_data(array: Any) -> None:
    """Torch's "meta" device has shapes and types only."""
    if str(getattr(array, "device", "")) == "meta":
        raise ValueError(
            "Arrays must hold data. Got a tensor on the device 'meta' of shape "
            f"{tuple(array.shape)}."
        )


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or _is_foreign(value)


def _is_foreign(value: Any) -> bool:
    """Whether this is an array of another library (a DataFrame has no dlpack)."""
    return not isinstance(value, (np.ndarray, np.generic)) and hasattr(
        value, "__dlpack__"
    )


def _compat() -> ModuleType:
    return import_module("array_api_compat")
