"""What `complete` refuses of arrays of other libraries, and what it brings together."""

import numpy as np
import pytest

from sparseopt._core._array_api import device
from sparseopt.completion import Checkpoint, complete
from sparseopt.completion import _portable_entries as layout
from sparseopt.datasets import make_low_rank

from ._libraries import (
    LIBRARIES,
    dense,
    host_library,
    library,
    on_host,
    there,
    triplets,
)

M, N, K = 60, 50, 3


@pytest.fixture(params=LIBRARIES)
def lib(request):
    with library(request.param) as put:
        yield put


@pytest.fixture(scope="module")
def problem():
    return make_low_rank(M, N, K, oversampling=4, random_state=0)


@pytest.fixture(scope="module")
def noisy():
    return make_low_rank(M, N, K, oversampling=4, noise=0.2, random_state=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("solver", "als"), ("loss", "huber"), ("delta", 1.0), ("debias", False),
        ("biases", "both"), ("bias_reg", 1.0), ("nonnegative", True),
        ("reg", "count"), ("cg_steps", 3), ("precision", "mixed"),
        ("validation_fraction", 0.1), ("duplicates", "sum"), ("n_threads", 1),
        ("n_components", "auto"), ("alpha", "auto"),
    ],
)  # fmt: skip
def test_options_of_numpy_arrays(lib, name, value):
    options = {"n_components": 1, name: value}
    with pytest.raises(
        ValueError, match=f"The {name!r} parameter .* of the host. Got {value!r}"
    ):
        complete(lib(np.ones((4, 3))), **options)


def test_results_and_callbacks_that_do_not_fit(lib, noisy, tmp_path):
    X = lib(np.ones((M, N)))
    biased = complete(noisy.X, K, biases="both", alpha=1.0)
    with pytest.raises(ValueError, match=r"'init' parameter .* without biases"):
        complete(X, K, init=biased)
    with pytest.raises(ValueError, match=r"'callback' parameter .* of the host"):
        complete(X, K, callback=Checkpoint(tmp_path / "a.npz"))


def _bad_triplets():
    i, x = np.array([0, 1]), np.array([1.0, 2.0])
    for name, X, options in (
        ("nan", (i, i, np.array([1.0, np.nan])), {}),
        ("infinite", (i, i, np.array([1.0, np.inf])), {}),
        ("large for float32", (i, i, x * 1e200), {"dtype": "float32"}),
        ("complex", (i, i, x * 1j), {}),
        ("float ids", (i * 1.0, i, x), {}),
        ("negative id", (i, i - 1, x), {}),
        ("row too large", (i, i, x), {"shape": (1, 2)}),
        ("column too large", (i, i, x), {"shape": (2, 1)}),
        ("too large a matrix", (i + 2**31, i, x), {}),
        ("bad shape", (i, i, x), {"shape": (2.5, 1)}),
        ("short ids", (i[:1], i, x), {}),
        ("2-d ids", (i[:, None], i, x), {}),
        ("2-d values", (i, i, x[:, None]), {}),
        ("no entries", (i[:0], i[:0], x[:0]), {}),
        ("two arrays", (i, x), {}),
        ("four arrays", (i, i, x, x), {}),
        ("twice", (i * 0, i * 0, x), {}),
        ("negative weight", (i, i, x), {"weights": -x}),
        ("infinite weight", (i, i, x), {"weights": x * np.inf}),
        ("zero weights", (i, i, x), {"weights": x * 0}),
        ("short weights", (i, i, x), {"weights": x[:1]}),
        ("rank", (i, i, x), {"n_components": 5}),
    ):
        yield pytest.param(X, options, id=name)


def _bad_matrices():
    X = np.eye(3)
    for name, Y, options in (
        ("all missing", X * np.nan, {}),
        ("infinite matrix", np.full((2, 2), np.inf), {}),
        ("1-d", X[0], {}),
        ("empty", X[:0], {}),
        ("complex matrix", X * 1j, {}),
        ("weights of another shape", X, {"weights": X[:2]}),
        ("weight that is missing", X, {"weights": np.where(X > 0, np.nan, 1)}),
    ):
        yield pytest.param(Y, options, id=name)


@pytest.mark.parametrize(("X", "options"), [*_bad_triplets(), *_bad_matrices()])
def test_bad_input_is_told_as_for_numpy_arrays(lib, X, options):
    def error(put):
        given = tuple(map(put, X)) if isinstance(X, tuple) else put(X)
        mine = {"n_components": 1, **options}
        if "weights" in mine:
            mine["weights"] = put(mine["weights"])
        with pytest.raises((ValueError, TypeError)) as info:
            complete(given, **mine)
        return info.type, str(info.value)

    assert error(lib) == error(np.array)


def test_arrays_lie_in_one_place(lib, problem):
    """NumPy arrays and lists are brought to the others."""
    rows, cols, x = triplets(problem.X)
    expected = on_host(complete(there(lib, (rows, cols, x)), K, random_state=0))
    weights = np.ones(len(x))
    for X in ((rows, cols[::-1][::-1], lib(x)), (lib(rows), cols.tolist(), x.tolist())):
        result = complete(X, K, weights=weights, random_state=0)
        assert device(result.U) == device(expected.result.U)
        np.testing.assert_allclose(on_host(result).Z, expected.Z, atol=1e-10)
    strict = pytest.importorskip("array_api_strict")
    if lib.xp is strict:
        other = strict.asarray(x)
        with pytest.raises(ValueError, match="'values' array must be on the device of"):
            complete((lib(rows), lib(cols), other), K)
        with pytest.raises(ValueError, match="'weights' array must be on the device"):
            complete(there(lib, (rows, cols, x)), K, weights=other)
    else:
        with pytest.raises(TypeError, match="'values' array must be of the library"):
            complete((lib(rows), lib(cols), strict.asarray(x)), K)


def test_columns_of_tables_go_the_way_of_numpy_arrays(problem):
    class Column:
        def __init__(self, x):
            self.x = x

        def __array__(self, dtype=None, copy=None):
            return self.x

        def __len__(self):
            return len(self.x)

        def __dlpack__(self):
            raise BufferError("has nulls")

    assert not layout.is_portable(tuple(map(Column, triplets(problem.X))))
    rows, cols, x = triplets(problem.X)
    result = complete((Column(rows), Column(cols), x), K, random_state=0)
    assert isinstance(result.U, np.ndarray)


@pytest.mark.parametrize("where", [library, host_library])
def test_torch_tensors_of_other_kinds(problem, where):
    torch = pytest.importorskip("torch")
    with where("torch"):
        _check_other_kinds(torch, problem)


def _check_other_kinds(torch, problem):
    X = torch.asarray(dense(problem.X))
    with pytest.raises(ValueError, match=r"'X' array must be dense. .* \(rows, cols"):
        complete(torch.eye(3).to_sparse(), 1)
    with pytest.raises(ValueError, match="must hold data"):
        complete(torch.ones(3, 3, device="meta"), 1)
    tracked = complete(X.clone().requires_grad_(True), K, random_state=0)
    assert not tracked.U.requires_grad
    assert complete(X, K, dtype="float32", random_state=0).U.dtype == torch.float32
    for half in (torch.float16, torch.bfloat16):
        result = complete(X.to(half), K, max_iter=60, tol_obj=1e-3, random_state=0)
        assert result.U.dtype == torch.float32
