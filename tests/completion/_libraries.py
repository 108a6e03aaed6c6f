"""Arrays of other libraries, and what tests make of them."""

import importlib
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from sparseopt._core._array_api import to_numpy
from sparseopt.completion import _host


def _strict():
    """On a device that NumPy cannot read, as a GPU's."""
    xp = pytest.importorskip("array_api_strict")
    return xp, xp.Device("device1")


def _torch():
    pytest.importorskip("torch")
    return importlib.import_module("array_api_compat.torch"), "cpu"


def _cuda():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this torch sees no CUDA device")
    return importlib.import_module("array_api_compat.torch"), "cuda:0"


def _cupy():
    pytest.importorskip("cupy")
    xp = importlib.import_module("array_api_compat.cupy")
    return xp, xp.__array_namespace_info__().default_device()


_LIBRARIES = {"strict": _strict, "torch": _torch, "cuda": _cuda, "cupy": _cupy}
# For fixtures.
LIBRARIES = [
    pytest.param(name, marks=[pytest.mark.gpu] * (name in ("cuda", "cupy")))
    for name in _LIBRARIES
]


def _strict_host():
    xp = pytest.importorskip("array_api_strict")
    return xp, xp.Device("CPU_DEVICE")


# In the memory of the host, where the kernels fit them.
HOST_LIBRARIES = {"strict": _strict_host, "torch": _torch}


@contextmanager
def library(name):
    """A function ``put(x)`` that copies a NumPy array to a library, ``put.xp``.

    Tensors of the host count as those of a device, for the portable path.
    """
    with _putting(*_LIBRARIES[name]()) as put, pytest.MonkeyPatch.context() as patch:
        if name == "torch":
            patch.setattr(_host, "is_on_host", lambda x: False)
        yield put


@contextmanager
def host_library(name):
    """As `library`, and tensors of the host are that."""
    with _putting(*HOST_LIBRARIES[name]()) as put:
        yield put


@contextmanager
def _putting(xp, where):

    def put(x):
        return xp.asarray(np.array(x), device=where)

    put.xp = xp
    n_threads = getattr(xp, "get_num_threads", int)()
    if n_threads:
        xp.set_num_threads(1)  # torch's spin, which costs where others run
    yield put
    if n_threads:
        xp.set_num_threads(n_threads)


def triplets(X):
    rows, cols = X.tocoo().coords
    return rows.astype(np.int64), cols.astype(np.int64), X.data


def dense(X):
    out = np.full(X.shape, np.nan, X.dtype)
    rows, cols = X.tocoo().coords
    out[rows, cols] = X.data
    return out


def there(lib, X):
    return tuple(map(lib, X))


def on_host(result):
    """U, s and V, and Z."""
    U, s, V = (to_numpy(x).astype(np.float64) for x in (result.U, result.s, result.V))
    return SimpleNamespace(U=U, s=s, V=V, Z=(U * s) @ V.T, result=result)
