"""Every wrong argument gets an error that names it, its value and what is allowed."""

import numpy as np
import pytest
from scipy import sparse

from sparseopt import Status, ot

C3 = np.arange(9.0).reshape(3, 3)
NAN, INF = float("nan"), float("inf")


def put(value, i=1, j=2):
    C = C3.copy()
    C[i, j] = value
    return C


COSTS = [
    ("1-D", np.ones(3), ValueError, "'C'.*2 dimensions.*Got 1"),
    ("3-D", np.ones((2, 2, 2)), ValueError, "'C'.*2 dimensions.*Got 3"),
    ("scalar", 1.0, ValueError, "'C'.*2 dimensions.*Got 0"),
    ("no rows", np.ones((0, 3)), ValueError, "'C'.*empty"),
    ("no columns", np.ones((3, 0)), ValueError, "'C'.*empty"),
    ("nan", put(NAN), ValueError, r"'C'.*finite.*nan.*\(1, 2\)"),
    ("inf", put(INF), ValueError, r"'C'.*finite.*inf.*\(1, 2\)"),
    ("-inf", put(-INF), ValueError, r"'C'.*finite.*-inf.*\(1, 2\)"),
    ("complex", C3 * 1j, ValueError, "'C'.*real.*[Cc]omplex"),
    ("strings", np.full((3, 3), "a"), TypeError, "'C'.*real numbers"),
    ("objects", np.full((3, 3), None), TypeError, "'C'.*real numbers"),
    ("ragged", [[1.0, 2.0], [3.0]], ValueError, "'C'.*equal length"),
    ("sparse", sparse.csr_array(C3), TypeError, "'C'.*dense.*toarray"),
    ("masked", np.ma.masked_equal(C3, 4), ValueError, "'C'.*masked"),
    ("None", None, TypeError, "'C'"),
]

WEIGHTS = [
    ("short", [0.5, 0.5], ValueError, "'{}'.*length 3.*2"),
    ("2-D", np.full((3, 1), 1 / 3), ValueError, "'{}'.*1 dimension"),
    ("nan", [0.5, NAN, 0.5], ValueError, "'{}'.*finite.*nan.*1"),
    ("inf", [0.5, INF, 0.5], ValueError, "'{}'.*finite.*inf.*1"),
    ("negative", [0.5, -1e-9, 0.5], ValueError, "'{}'.*negative.*-1e-09.*1"),
    ("no mass", [0.0, 0.0, 0.0], ValueError, "'{}'.*sum.*0"),
    ("strings", ["a", "b", "c"], TypeError, "'{}'.*real numbers"),
    ("complex", [1j, 0, 0], ValueError, "'{}'.*real"),
    ("infinite sum", [1e308, 1e308, 1e308], ValueError, "'{}'.*sum"),
]

PARAMETERS = [
    ("reg", 0, ValueError, r"'reg'.*\(0, inf\).*Got 0"),
    ("reg", -1e-3, ValueError, r"'reg'.*Got -0.001"),
    ("reg", NAN, ValueError, "'reg'.*nan"),
    ("reg", INF, ValueError, "'reg'.*inf"),
    ("reg", True, TypeError, "'reg'.*float.*True"),
    ("reg", "1", TypeError, "'reg'.*float.*'1'"),
    ("reg", np.array([0.1]), TypeError, "'reg'.*shape"),
    ("reg", None, TypeError, "'reg'"),
    ("method", "newton", ValueError, "'auto'.*'sinkhorn'.*'sns'.*'ssns'.*'newton'"),
    ("method", 1, TypeError, "'method'"),
    ("reg_relative", 1, TypeError, "'reg_relative'.*bool.*1"),
    ("tol", 0, ValueError, "'tol'.*Got 0"),
    ("tol", -1.0, ValueError, "'tol'.*Got -1"),
    ("tol", NAN, ValueError, "'tol'.*nan"),
    ("tol", "small", TypeError, "'tol'"),
    ("tol", 10**400, ValueError, "'tol'.*100000"),
    ("reg", 10**400, ValueError, "'reg'.*100000"),
    ("callback", lambda state: np.ones(3), TypeError, "'callback'.*bool.*ndarray"),
    ("max_iter", 0, ValueError, "'max_iter'.*Got 0"),
    ("max_iter", 2.5, TypeError, "'max_iter'.*int.*2.5"),
    ("max_time", 0, ValueError, "'max_time'"),
    ("max_time", -1, ValueError, "'max_time'"),
    ("callback", 3, TypeError, "'callback'.*callable"),
    ("verbose", -1, ValueError, "'verbose'"),
    ("n_threads", 0, ValueError, "'n_threads'"),
    ("n_threads", 1.5, TypeError, "'n_threads'"),
    ("dtype", "int32", ValueError, "dtype.*float32.*float64"),
    ("n_sinkhorn", -1, ValueError, "'n_sinkhorn'"),
    ("n_sinkhorn", 5, ValueError, "'n_sinkhorn'.*method='sns'.*'auto'"),
    ("density", 0.5, ValueError, "'density'.*method='sns'.*'auto'"),
    ("density", 0, ValueError, "'density'"),
    ("density", 1.5, ValueError, "'density'"),
    ("init", 3, TypeError, "'init'.*OTResult"),
    ("init", (np.zeros(3),), TypeError, "'init'"),
    ("init", (np.zeros(2), np.zeros(3)), ValueError, r"'init\[0\]'.*3.*2"),
    ("init", (np.zeros(3), [0, NAN, 0]), ValueError, r"'init\[1\]'.*finite"),
]


def ids(cases):
    return [f"{case[0]}-{i}" for i, case in enumerate(cases)]


@pytest.mark.parametrize(("name", "C", "error", "text"), COSTS, ids=ids(COSTS))
def test_cost(name, C, error, text):
    with pytest.raises(error, match=text):
        ot.solve(C, reg=0.1)


@pytest.mark.parametrize("which", ["a", "b"])
@pytest.mark.parametrize(("name", "w", "error", "text"), WEIGHTS, ids=ids(WEIGHTS))
def test_weights(which, name, w, error, text):
    with pytest.raises(error, match=text.format(which)):
        ot.solve(C3, reg=0.1, **{which: w})


@pytest.mark.parametrize(
    ("name", "value", "error", "text"), PARAMETERS, ids=ids(PARAMETERS)
)
def test_parameters(name, value, error, text):
    options = {"reg": 0.1, name: value}
    with pytest.raises(error, match=text):
        ot.solve(C3, **options)


def test_unequal_masses():
    with pytest.raises(ValueError, match=r"'a' and 'b'.*same sum.*1.*1\.1.*unbalanced"):
        ot.solve(C3, [0.5, 0.2, 0.3], [0.6, 0.2, 0.3], reg=0.1)


def test_tolerated_difference_of_masses():
    a = np.array([0.5, 0.2, 0.3])
    assert ot.solve(C3, a, a * (1 + 5e-9), reg=0.5).converged
    with pytest.raises(ValueError, match="same sum"):
        ot.solve(C3, a, a * (1 + 5e-8), reg=0.5)
    single = (a * (1 + 5e-6)).astype(np.float32)
    assert ot.solve(C3, a, single, reg=0.5).converged


def test_arguments_that_do_not_exist():
    with pytest.raises(TypeError, match="unexpected keyword"):
        ot.solve(C3, reg=0.1, epsilon=3)


# What peers get wrong: silent NaN plans (POT issues 54 and 194) and loops that never
# end (748).  Each is solved here, or named.


@pytest.mark.parametrize("reg", [1e-2, 1e-4, 1e-6])
def test_small_reg_gives_a_plan_and_no_nan(reg):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 2)), rng.normal(size=(30, 2)) + 3
    C = ((x[:, None] - y) ** 2).sum(axis=2) * 100
    result = ot.solve(C, reg=reg * np.ptp(C))
    assert result.converged
    assert np.isfinite(result.plan).all()
    assert result.plan.sum() == pytest.approx(1)


@pytest.fixture
def uneven():
    rng = np.random.default_rng(1)
    C, a, b = rng.random((30, 25)), rng.random(30), rng.random(25)
    return C, a / a.sum(), b / b.sum()


@pytest.mark.parametrize("reg", [1e-10, 1e-12])
def test_reg_below_the_tolerance_of_rounding_is_named(uneven, reg):
    with pytest.warns(UserWarning, match="did not converge"):
        result = ot.solve(*uneven, reg=reg, max_time=20)
    assert result.status is Status.PRECISION
    assert np.isfinite(result.plan).all()
    assert result.lower_bound <= result.value_linear + 1e-6
    assert result.gap < 1e-5  # and still a good plan


@pytest.mark.parametrize("reg", [1e-18, 1e-300])
def test_reg_that_cannot_be_resolved_is_refused(uneven, reg):
    with pytest.raises(ValueError, match=r"'reg'.*at least.*float64.*Got 1e-"):
        ot.solve(*uneven, reg=reg)


@pytest.mark.parametrize("reg", [1e3, 1e8, 1e300])
def test_huge_reg_is_the_product_plan(reg):
    a, b = np.array([0.2, 0.3, 0.5]), np.array([0.1, 0.6, 0.3])
    plan = ot.solve(C3, a, b, reg=reg).plan
    np.testing.assert_allclose(plan, np.outer(a, b), atol=2 * 8 / reg + 1e-9)


def test_inputs_are_never_modified():
    C, a, b = C3.copy(), np.array([1.0, 0, 3]), np.array([2.0, 1, 1])
    kept = C.copy(), a.copy(), b.copy()
    for array in (C, a, b):
        array.flags.writeable = False
    for method in ("auto", "sinkhorn", "sns", "ssns"):
        result = ot.solve(C, a, b, reg=1.0, method=method)
        result.plan[:] = 0
    for mine, theirs in zip(kept, (C, a, b), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_relative_reg_that_overflows():
    with pytest.raises(ValueError, match=r"'reg'.*range of the cost.*1e\+308"):
        ot.solve(C3 * 1e10, reg=1e308, reg_relative=True)


@pytest.mark.parametrize("mass", [5e-324, 1e-306, 1e306])
def test_total_mass_that_float64_cannot_share_out(mass):
    w = np.full(3, mass)
    with pytest.raises(ValueError, match=r"'a'.*sum between.*normalise"):
        ot.solve(C3, w, w, reg=0.1)


def test_error_counts_rows_too():
    C = np.random.default_rng(0).random((20, 30))
    for reg in (1e-7, 1e-8):
        result = ot.solve(C, reg=reg, tol=1e-8)
        plan = result.plan
        error = np.abs(plan.sum(axis=1) - 1 / 20).sum()
        error += np.abs(plan.sum(axis=0) - 1 / 30).sum()
        assert error <= 3 * result.marginal_error + 1e-15
