"""Arrays of other libraries in the memory of the host: the fit of NumPy arrays."""

import numpy as np
import pytest

from sparseopt._core._array_api import device, to_numpy
from sparseopt.completion import (
    Checkpoint,
    CompletionResult,
    MatrixFactorizer,
    alternating_minimization,
    complete,
    load_checkpoint,
    soft_impute,
)
from sparseopt.completion import _api as api
from sparseopt.datasets import make_low_rank

from ._libraries import (
    HOST_LIBRARIES,
    LIBRARIES,
    dense,
    host_library,
    library,
    there,
    triplets,
)

M, N, K = 60, 50, 3
ARRAYS = (
    "U", "s", "V", "row_bias", "col_bias", "outlier_mask", "held_out_mask",
    "underdetermined_rows",
    "underdetermined_cols",
)  # fmt: skip
NUMBERS = (
    "status", "n_iter", "objective", "residual", "alpha", "intercept", "solver", "work",
    "gap",
)  # fmt: skip
# One for each method and estimate, together with what only it has.
OPTIONS = [
    {},
    {"alpha": 2.0, "init": "random"},
    {"solver": "als", "cg_steps": 3, "homotopy": 0.7},
    {"solver": "als-exact", "precision": "working"},
    {"precision": "mixed"},
    {"loss": "huber", "delta": 0.8, "debias": False},
    {"loss": "huber"},
    {"biases": "both", "alpha": 0.5, "bias_reg": (1.0, 2.0)},
    {"biases": "col", "reg": "count", "alpha": 0.1, "validation_fraction": 0.1},
    {"nonnegative": True, "n_threads": 1},
    {"alpha": "auto"},
    {"n_components": "auto", "alpha": 1.0},
]


@pytest.fixture(params=HOST_LIBRARIES)
def lib(request):
    with host_library(request.param) as put:
        yield put


@pytest.fixture(scope="module")
def problem():
    return make_low_rank(M, N, K, oversampling=4, random_state=0)


@pytest.fixture(scope="module")
def noisy():
    return make_low_rank(
        M, N, K, oversampling=4, noise=0.2, outliers=0.03, random_state=1
    )


def check_same(result, expected, like):
    """To the last bit, in the library of ``like``."""
    for name in NUMBERS:
        assert getattr(result, name) == getattr(expected, name), name
    for name in ARRAYS:
        mine, other = getattr(result, name), getattr(expected, name)
        if other is None:
            assert mine is None
            continue
        assert type(mine) is type(like) and device(mine) == device(like)
        mine = to_numpy(mine)
        if mine.dtype.kind == "f":
            other = other.astype(expected.U.dtype)  # s is of float64 in NumPy's
        assert mine.dtype == other.dtype
        np.testing.assert_array_equal(mine, other, err_msg=name)
    np.testing.assert_array_equal(*(r.history["residual"] for r in (result, expected)))


@pytest.mark.filterwarnings("ignore::sparseopt.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o) or "default")
@pytest.mark.parametrize("form", ["triplets", "dense"])
def test_all_options(lib, noisy, dtype, form, options, monkeypatch):
    monkeypatch.setattr(api, "complete_portable", None)  # never called
    X = noisy.X.astype(dtype)
    given = triplets(X) if form == "triplets" else dense(X)
    w = np.random.default_rng(0).uniform(0.5, 2, np.shape(given[2 * (form[0] == "t")]))
    w = w if form == "triplets" else np.broadcast_to(w, (M, N)).copy()
    shape = (M, N) if form == "triplets" else None
    options = {"n_components": K, "max_iter": 40, "random_state": 0, **options}
    expected = complete(given, weights=w, shape=shape, **options)
    mine = there(lib, given) if form == "triplets" else lib(given)
    result = complete(mine, weights=lib(w), shape=shape, **options)
    check_same(result, expected, lib(w))
    # predictions are products of the same numbers, summed in another order: twice the
    # bound of one sum of rank + 3 terms, all taken by their absolute values
    biases = [
        0 if b is None else np.abs(b) for b in (expected.row_bias, expected.col_bias)
    ]
    most = np.abs(expected.U) * expected.s @ np.abs(expected.V).T
    most += np.reshape(biases[0], (-1, 1)) + biases[1] + abs(expected.intercept)
    terms = len(expected.s) + 3
    tol = {"rtol": 0, "atol": 2 * terms * np.finfo(dtype).eps * most.max()}
    rows, cols = np.array([3, 0, 59]), np.array([49, 2, 2])
    for i, j in ((rows, cols), (lib(rows), lib(cols)), (rows.tolist(), cols.tolist())):
        found = result.predict(i, j), result.reconstruct(i)
        for x, y in zip(
            found, (expected.predict(rows, cols), expected.reconstruct(rows)),
            strict=True,
        ):  # fmt: skip
            assert type(x) is type(mine[2] if form == "triplets" else mine)
            assert to_numpy(x).dtype == dtype
            np.testing.assert_allclose(to_numpy(x), y, **tol)
    np.testing.assert_allclose(
        to_numpy(result.reconstruct()), expected.reconstruct(), **tol
    )


def test_duplicates_and_input_that_stays_as_it_is(lib):
    X = np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]), np.array([1.0, 3.0, 4.0, 5.0])
    mine = there(lib, X)
    options = {"duplicates": "mean", "alpha": 0.1, "random_state": 0}
    check_same(complete(mine, 1, **options), complete(X, 1, **options), mine[2])
    for x, y in zip(mine, X, strict=True):
        np.testing.assert_array_equal(to_numpy(x), y)


def test_bad_values_are_told_as_for_numpy_arrays(lib):
    i, x = np.array([0, 1]), np.array([1.0, np.nan])
    for X, options in (
        ((i, i, x), {}),
        ((i - 1, i, i * 1.0), {}),
        ((i * 0, i * 0, i * 1.0), {}),
        ((i, i, 1.0 + i), {"weights": x}),
        ((i, i), {}),
        ((i, i, 1.0 + i), {"biases": "row", "nonnegative": True}),
        (np.eye(3) * np.nan, {}),
        (np.eye(3), {"shape": (3, 3)}),
        (np.eye(3) * 1j, {}),
    ):
        texts = []
        for put in (lib, np.array):
            given = there(put, X) if isinstance(X, tuple) else put(X)
            more = {n: put(v) if n == "weights" else v for n, v in options.items()}
            with pytest.raises((ValueError, TypeError)) as info:
                complete(given, 1, **more)
            texts.append(str(info.value).replace(str(type(given)), "X"))
        if "shape" not in options:  # that text describes X
            assert texts[0] == texts[1]


def test_arrays_lie_together(lib, problem):
    """NumPy arrays and lists may lie beside; two libraries, or a device, may not."""
    rows, cols, x = triplets(problem.X)
    expected = complete((rows, cols, x), K, random_state=0)
    for X in ((rows, cols, lib(x)), (lib(rows), cols.tolist(), x.tolist())):
        result = complete(X, K, weights=np.ones(len(x)), random_state=0)
        assert type(result.U) is type(lib(x))
        np.testing.assert_allclose(
            to_numpy(result.reconstruct()), expected.reconstruct(), atol=1e-7
        )
    strict = pytest.importorskip("array_api_strict")
    if lib.xp is strict:
        away = strict.asarray(x, device=strict.Device("device1"))
        for X, weights in (
            ((rows, lib(cols), away), None),
            ((rows, cols, lib(x)), away),
        ):
            with pytest.raises(ValueError, match="array must be on the device of"):
                complete(X, K, weights=weights)
    else:
        with pytest.raises(TypeError, match="'cols' array must be of the library"):
            complete((lib(rows), strict.asarray(cols), x), K)
        with pytest.raises(TypeError, match="'weights' array must be of the library"):
            complete((rows, cols, lib(x)), K, weights=strict.asarray(x))


# ----------------------------------------------------------------- starts and callbacks


@pytest.mark.filterwarnings("ignore::sparseopt.exceptions.ConvergenceWarning")
def test_starts_with_biases(lib, noisy):
    """Results of any library start fits to arrays of any other."""
    X, options = dense(noisy.X), {"biases": "both", "alpha": 1.0}
    first = complete(lib(X), K, max_iter=2, random_state=0, **options)
    on_numpy = complete(X, K, init=first, **options)
    again = complete(lib(X), K, init=first, **options)
    check_same(again, on_numpy, first.U)
    assert isinstance(on_numpy.row_bias, np.ndarray)
    pair = first.U * first.s, first.V
    options = {"init": pair, "max_iter": 20}
    check_same(complete(lib(X), K, **options), complete(X, K, **options), first.U)


def test_callbacks_see_the_library_and_cannot_change_the_fit(lib, noisy, dtype):
    X, seen = lib(dense(noisy.X.astype(dtype))), []

    def callback(state):
        factors = state.factors
        for F in factors:
            assert type(F) is type(X) and F.dtype == X.dtype
        seen.append(to_numpy((factors[0] * factors[1]) @ factors[2].T).copy())
        for F in factors:
            F[...] = 0.0
        return len(seen) == 4

    result = complete(X, 8, callback=callback, random_state=0)  # rows without padding
    expected = complete(
        dense(noisy.X.astype(dtype)), 8, callback=lambda s: s.n_iter == 4,
        random_state=0,
    )  # fmt: skip
    check_same(result, expected, X)
    np.testing.assert_array_equal(seen[-1], to_numpy(result.reconstruct()))


@pytest.mark.filterwarnings("ignore::sparseopt.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("options", [{}, {"biases": "both", "alpha": 1e-20}])
@pytest.mark.parametrize("wrapped", [False, True])
def test_checkpoints(lib, noisy, tmp_path, dtype, options, wrapped):
    """Written and read as for NumPy arrays, in float32 with all digits of s too."""
    x = dense(noisy.X.astype(dtype) * dtype(1e-20))  # in a unit of its own
    X, options = lib(x), {"random_state": 0, **options}
    checkpoint = Checkpoint(tmp_path / "fit.npz", every=2)
    callback = (lambda state: checkpoint(state)) if wrapped else checkpoint
    expected = complete(x, K, **options)
    complete(X, K, max_iter=3, callback=callback, **options)
    saved = load_checkpoint(tmp_path / "fit.npz")
    again, on_numpy = (complete(Y, K, init=saved, **options) for Y in (X, x))
    assert again.n_iter == on_numpy.n_iter == expected.n_iter
    for name in ("U", "s", "V"):
        y = getattr(expected, name)
        np.testing.assert_array_equal(getattr(on_numpy, name), y)
        np.testing.assert_array_equal(to_numpy(getattr(again, name)), y.astype(dtype))


# -------------------------------------------------------------------- other functions


@pytest.mark.parametrize(
    ("function", "args", "options"),
    [
        (soft_impute, (2.0,), {"random_state": 0}),
        (alternating_minimization, (K,), {"n_outer": 60, "random_state": 0}),
    ],
)
def test_published_methods(problem, function, args, options):
    X = triplets(problem.X)
    expected = function(X, *args, shape=(M, N), **options)
    for make, names in ((host_library, HOST_LIBRARIES), (library, ["strict"])):
        for name in names:
            with make(name) as lib:
                mine = there(lib, X)
                shown = []
                result = function(
                    mine, *args, shape=(M, N), **options,
                    callback=lambda s, shown=shown: shown.append(s.factors[0]),
                )  # fmt: skip
                check_same(result, expected, mine[2])
                assert type(shown[0]) is type(mine[2])
                weighted = function(
                    lib(dense(problem.X)),
                    *args,
                    weights=lib(np.ones((M, N))),
                    **options,
                )
                assert device(weighted.U) == device(mine[2])


@pytest.mark.parametrize("name", LIBRARIES)
def test_published_methods_on_devices(problem, name):
    """Fitted on the host, and back."""
    with library(name) as lib:
        X = lib(dense(problem.X))
        result = soft_impute(X, 2.0, random_state=0)
        check_same(result, soft_impute(dense(problem.X), 2.0, random_state=0), X)
        check = complete(X, K, init=result)
        assert check.converged and device(check.U) == device(X)


def test_results_are_saved_with_their_biases(lib, noisy, tmp_path):
    result = complete(lib(dense(noisy.X)), K, biases="both", alpha=1.0)
    result.save(tmp_path / "fit.npz")
    loaded = CompletionResult.load(tmp_path / "fit.npz")
    np.testing.assert_array_equal(loaded.row_bias, to_numpy(result.row_bias))
    np.testing.assert_allclose(
        loaded.reconstruct(), to_numpy(result.reconstruct()), atol=1e-12
    )


def test_estimators_have_numpy_attributes(lib, problem):
    X = triplets(problem.X)
    model, expected = (
        MatrixFactorizer(K, random_state=0).fit(tuple(map(put, X)))
        for put in (lib, np.array)
    )
    assert isinstance(model.row_factors_, np.ndarray)
    np.testing.assert_array_equal(model.row_factors_, expected.row_factors_)
