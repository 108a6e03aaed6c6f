"""Arrays of other libraries come in and go out; NumPy pays nothing for it."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from sparseopt._core._array_api import (
    SUPPORT,
    array_namespace,
    device,
    from_numpy_like,
    is_numpy,
    is_on_host,
    to_numpy,
)

strict = pytest.importorskip("array_api_strict")
KNOWN = {"numpy", "array_api_strict", "torch", "cupy"}


def test_namespace_of_numpy():
    for arrays in (
        (np.zeros(2),),
        (np.zeros(2), [1, 2], None, 3.0),
        (np.float32(1), pd.Series([1.0])),
        ([1, 2],),
        (),
    ):
        assert array_namespace(*arrays) is np
    assert is_numpy(np)


def test_namespace(xp):
    found = array_namespace(xp.asarray([1.0]), None, [1, 2], 3.0)
    assert found.__name__.rpartition(".")[2] == xp.__name__
    assert is_numpy(found) is (xp is np)


def test_compat_namespace_of_numpy_is_numpy():
    compat = pytest.importorskip("array_api_compat.numpy")
    assert is_numpy(compat)


def test_libraries_do_not_mix():
    with pytest.raises(TypeError):
        array_namespace(np.zeros(2), strict.zeros(2))


def test_what_only_torch_has():
    torch = pytest.importorskip("torch")
    x = torch.tensor([1.0, 2.0])
    lazy = torch.complex(x, x).conj()  # marked, not computed
    np.testing.assert_array_equal(to_numpy(lazy), [1 - 1j, 2 - 2j])
    np.testing.assert_array_equal(to_numpy(lazy.imag), [-1, -2])
    for dtype in (torch.bfloat16, torch.float8_e4m3fn):
        array = to_numpy(x.to(dtype).requires_grad_())
        assert array.dtype == np.float32 and array.tolist() == [1, 2]
    assert np.shares_memory(to_numpy(x.requires_grad_()), to_numpy(x))


def test_what_lies_on_the_host(xp):
    assert is_on_host(xp.asarray([1.0]))
    assert is_on_host([1.0])
    assert not is_on_host(strict.asarray([1.0], device=strict.Device("device1")))


def test_there_and_back(xp, dtype):
    like = xp.asarray([[1.0, 2.0], [3.0, 4.0]], dtype=getattr(xp, dtype.__name__))
    array = to_numpy(like)
    assert type(array) is np.ndarray
    assert array.dtype == dtype
    assert array.tolist() == [[1, 2], [3, 4]]
    back = from_numpy_like(array + 1, like)
    assert type(back) is type(like)
    assert back.dtype == like.dtype
    assert device(back) == device(like)
    assert to_numpy(back).tolist() == [[2, 3], [4, 5]]


def test_other_device():
    """Reading it as NumPy by accident is an error there, as on a GPU."""
    other = strict.Device("device1")
    like = strict.asarray([1.0, 2.0], device=other)
    with pytest.raises((RuntimeError, TypeError)):
        np.asarray(like)
    array = to_numpy(like)
    assert array.tolist() == [1, 2]
    back = from_numpy_like(array, like)
    assert device(back) == other


def test_read_only_results_are_not_shared(xp):
    array = np.arange(3.0)
    array.flags.writeable = False
    back = from_numpy_like(array, xp.asarray([1.0]))
    if xp is np:
        assert back is array
    else:
        assert to_numpy(back).tolist() == [0, 1, 2]


def test_reversed_arrays(xp):
    """Torch has no negative strides, not even along axes of length one."""
    like = xp.asarray([1.0])
    for array in (np.arange(3.0)[::-1], np.ones((1, 1))[:, ::-1], np.float64(2.0)):
        back = from_numpy_like(np.asarray(array), like)
        np.testing.assert_array_equal(to_numpy(back), array)


def test_numpy_is_passed_through():
    array = np.zeros(3)
    assert to_numpy(array) is array
    assert from_numpy_like(array, np.zeros(1)) is array
    assert from_numpy_like(array, [1.0]) is array
    assert device(array) == device([1.0]) == "cpu"
    assert to_numpy([1.0, 2.0]).tolist() == [1, 2]


def test_torch_gradients_and_half_precision():
    torch = pytest.importorskip("torch")
    weights = torch.ones(3, requires_grad=True)
    assert to_numpy(weights).tolist() == [1, 1, 1]
    assert to_numpy(torch.ones(3, dtype=torch.bfloat16)).dtype == np.float32


@pytest.mark.gpu
def test_cuda():
    torch = pytest.importorskip("torch")
    like = torch.ones(3, device="cuda")
    assert to_numpy(like).tolist() == [1, 1, 1]
    assert from_numpy_like(np.zeros(3), like).device == like.device


_IMPORTS = """
import sys
import numpy as np
from sparseopt._core._array_api import *
from sparseopt._core._arrays import as_matrix
x = np.ones((2, 2))
xp = array_namespace(x, [1])
is_numpy(xp), device(x), to_numpy(x), from_numpy_like(x, x), as_matrix(x, "C")
print(*sorted({"array_api_compat", "torch", "cupy"} & set(sys.modules)))
"""


def test_numpy_imports_nothing():
    command = [sys.executable, "-P", "-c", _IMPORTS]
    # not for scipy either, which imports array_api_compat if told to
    done = subprocess.run(command, env={}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_support_table_is_well_formed():
    import sparseopt

    for path, libraries in SUPPORT.items():
        module, _, name = path.rpartition(".")
        assert callable(getattr(getattr(sparseopt, module), name))
        assert libraries[0] == "numpy"
        assert set(libraries) <= KNOWN
