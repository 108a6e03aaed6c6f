"""Columns in different units, and codes for missing values among measurements."""

import numpy as np
import pytest
from scipy import sparse

from sparseopt.linear_model import (
    Cox,
    Huber,
    LeastSquares,
    Logistic,
    Multinomial,
    Poisson,
    minimize_composite,
    path,
)
from sparseopt.linear_model._column_sizes import column_exponents
from sparseopt.linear_model._column_units import by_columns
from sparseopt.prox import (
    L0,
    L1,
    MCP,
    ElasticNet,
    GroupLasso,
    L0Ball,
    NonNegative,
    NoPenalty,
    Positive,
    Ridge,
    Scaled,
)

N, P = 80, 6
SCALES = 10.0 ** np.array([4.0, -6.0, 0.0, 6.0, -2.0, 2.0])
LOSSES = ["squares", "huber", "logistic", "poisson", "multinomial", "cox"]
SOLVERS = ["auto", "prox_newton", "anderson_cd", "prox_grad", "saga", "prox_svrg"]


def _data(seed):
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(N, P)) + 0.3 * rng.normal(size=(N, 1))
    return Z, Z[:, :3] @ [1.0, -1.0, 0.5] + rng.normal(size=N)


def _datafit(loss, X, u):
    """A loss whose targets are made of scores u."""
    icpt = {"fit_intercept": True}
    if loss == "squares":
        return LeastSquares(X, u, **icpt)
    if loss == "huber":
        return Huber(X, u, **icpt)
    if loss == "logistic":
        return Logistic(X, np.where(u > 0, 1, -1), **icpt)
    if loss == "poisson":
        return Poisson(X, np.floor(np.exp(np.clip(u, None, 2.0))), **icpt)
    if loss == "multinomial":
        return Multinomial(X, np.digitize(u, [-0.7, 0.7]), **icpt)
    y = np.column_stack([np.round(np.exp(u), 1), np.arange(len(u)) % 3 > 0])
    return Cox(X, y, ties="efron")


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_all_losses_and_solvers(loss, solver):
    """The problem in other units has the same value, and is solved as well."""
    Z, u = _data(0)
    plain, scaled = _datafit(loss, Z, u), _datafit(loss, Z * SCALES, u)
    tol = 1e-6
    options = {"solver": solver, "tol": tol}
    for inner, outer in [
        (L1(0.01), L1(0.01, weights=SCALES)),
        (NoPenalty(), NoPenalty()),
    ]:
        want = minimize_composite(plain, inner, tol=1e-10)
        assert want.converged
        try:
            found = minimize_composite(scaled, outer, **options)
        except ValueError as error:
            assert "must fit the problem" in str(error)
            continue
        assert found.converged, found.message
        unit = plain.scale()
        assert abs(found.objective - want.objective) <= 2 * tol * unit
        # the value is that of the coefficients handed out
        z = (Z * SCALES) @ found.coef + found.intercept
        value = scaled.value(z) + outer.value(found.coef)
        assert value == pytest.approx(found.objective, rel=1e-9)


@pytest.mark.parametrize("loss", ["squares", "logistic", "cox"])
def test_plain_penalties(loss):
    """One strength for all columns: what the units make of it has a certificate."""
    Z, u = _data(1)
    datafit = _datafit(loss, Z * SCALES, u)
    X = Z * SCALES
    group = GroupLasso(1e-3, groups=2)
    for penalty in (L1(1e-3), Ridge(1e-2), group, Positive(L1(0.1))):
        found = minimize_composite(datafit, penalty, tol=1e-9)
        assert found.converged
        # weak duality, from outside; products with the data round
        theta = found.dual
        v, size = -X.T @ theta, 1e-14 * np.abs(X).T @ np.abs(theta)
        v = np.sign(v) * np.maximum(np.abs(v) - size, 0.0)
        gap = datafit.value(X @ found.coef + found.intercept)
        gap += penalty.value(found.coef) + datafit.conjugate(theta)
        gap += penalty.conjugate(v)
        assert -1e-12 <= gap <= 1.1e-9 * datafit.scale() + 1e-12


@pytest.mark.parametrize("container", [np.asarray, sparse.csc_array, sparse.csr_array])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_containers(container, dtype):
    Z, u = _data(2)
    X = (Z * SCALES).astype(dtype)
    want = minimize_composite(_datafit("logistic", X, u), L1(0.0), tol=1e-10)
    data = container(X)
    before = data.copy()
    datafit = _datafit("logistic", data, u)
    found = minimize_composite(datafit, L1(0.0), tol=1e-6)
    assert found.converged and found.coef.dtype == dtype
    assert abs(found.objective - want.objective) < 1e-6
    assert abs(before - data).max() == 0
    grown = minimize_composite(datafit, L1(0.0), w0=found.coef, tol=1e-6)
    assert grown.n_iter <= 2


def test_path_and_callback():
    """Paths keep their units, and callbacks see coefficients of the data."""
    Z, u = _data(3)
    X = Z * SCALES
    seen = []
    penalty = L1(1.0, weights=SCALES)
    found = path(_datafit("squares", X, u), penalty, n_lams=5, tol=1e-8)
    for lam, coef, intercept in zip(
        found.lams, found.coef, found.intercept, strict=True
    ):
        alone = minimize_composite(
            LeastSquares(Z, u, fit_intercept=True), L1(lam), tol=1e-10
        )
        value = 0.5 * np.mean((X @ coef + intercept - u) ** 2)
        value += lam * np.abs(SCALES * coef).sum()
        assert value == pytest.approx(alone.objective, abs=1e-6)
    end = minimize_composite(
        _datafit("squares", X, u),
        penalty,
        callback=lambda state: seen.append(state.coef),
    )
    assert seen[-1].shape == end.coef.shape


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_survival_table_in_its_units(ties):
    """Years, days, counts and concentrations side by side, as clinics have them."""
    rng = np.random.default_rng(4)
    n = 200
    X = np.column_stack(
        [
            rng.integers(1978, 1994, n),
            rng.integers(24, 90, n),
            rng.integers(0, 2, n),
            np.floor(rng.exponential(150.0, n) * (rng.random(n) < 0.7)),
            rng.integers(0, 35, n),
            rng.lognormal(7.0, 1.0, n),
        ]
    ).astype(float)
    standard = (X - X.mean(axis=0)) / X.std(axis=0)
    risk = np.exp(standard @ [-0.2, 0.3, 0.2, -0.3, 0.4, 0.1])
    time = np.ceil(2000.0 * rng.exponential(1.0, n) / risk)
    y = np.column_stack([np.minimum(time, 3000.0), time < 3000.0])
    datafit = Cox(X, y, ties=ties)
    best = minimize_composite(Cox(standard, y, ties=ties), NoPenalty(), tol=1e-12)
    zero = datafit.value(np.zeros(n))
    for penalty in (NoPenalty(), L1(0.0), L1(1e-6), Ridge(1e-6)):
        found = minimize_composite(datafit, penalty)
        assert found.converged and found.n_iter < 40
        least = best.objective
        most = least + penalty.value(best.coef / X.std(axis=0))
        assert least - 1e-12 <= found.objective <= most + 1.1e-8 * zero
    found = minimize_composite(datafit, NoPenalty(), solver="prox_grad", tol=1e-6)
    assert found.converged
    assert found.objective <= best.objective + 2e-6 * zero


@pytest.mark.parametrize(("code", "where"), [(999999.0, 3), (1e7, 1), (-999.0, 2)])
@pytest.mark.parametrize("loss", ["logistic", "cox", "poisson"])
def test_codes_for_missing_values(loss, code, where):
    """The column with codes in units in which those are 1: the same optimum."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(200, 4))
    u = X @ [1.0, -1.0, 0.5, 0.0] + rng.normal(size=200)
    X[rng.choice(200, where, replace=False), 0] = code
    datafit = _datafit(loss, X, u)
    unit = datafit.scale()
    for penalty in (NoPenalty(), L1(1e-3), Ridge(1e-2)):
        found = minimize_composite(datafit, penalty)
        assert found.converged
        gradient = X.T @ datafit.gradient(X @ found.coef + found.intercept)
        # longer solves from zero and from the answer do not do better
        for w0 in (None, found.coef):
            longer = minimize_composite(
                datafit, penalty, w0=w0, tol=1e-11, max_iter=3000
            )
            assert found.objective <= longer.objective + 1e-8 * unit
        if isinstance(penalty, NoPenalty):
            assert np.abs(gradient[1:]).max() < 1e-4


def test_written_in_other_coefficients():
    exponents = np.array([3, -20, 0, 5, 1, -7])
    w = np.random.default_rng(6).normal(size=P)
    for penalty in (
        NoPenalty(),
        NonNegative(),
        L0(0.3),
        L0Ball(2),
        L1(0.3),
        L1(0.3, weights=np.arange(1.0, P + 1)),
        Ridge(0.3),
        GroupLasso(0.3, groups=2),
        GroupLasso(0.3, groups=2, rows=True),
        GroupLasso(0.3, groups=3, weights=[1.0, 2.0], rows=True),
        Positive(L1(0.2)),
        Scaled(L1(0.2), 3.0),
    ):
        other, allowed = by_columns(penalty, exponents)
        for coef in (w, np.abs(w)):
            same = other.value(np.ldexp(coef, allowed))
            assert same == pytest.approx(penalty.value(coef), rel=1e-14)
        rows = np.outer(w, [1.0, -2.0])
        if not isinstance(penalty, (Positive, NonNegative)):
            same = other.value(np.ldexp(rows, allowed[:, None]))
            assert same == pytest.approx(penalty.value(rows), rel=1e-14)
    assert by_columns(ElasticNet(0.1), exponents) is None
    assert by_columns(MCP(0.1), exponents) is None


def test_sizes():
    X = np.random.default_rng(7).normal(size=(50, 4))
    assert column_exponents(X) is None
    X[3] = 1e9  # codes are no sizes
    assert column_exponents(X) is None
    assert column_exponents(np.zeros((50, 4))) is None
    X[:, 2] *= 1e6
    found = column_exponents(X)
    assert found[2] - found[0] in (19, 20, 21) and abs(found[[0, 1, 3]]).max() <= 1
    for kind in (sparse.csc_array, sparse.csr_array):
        some = kind(X).tocsc()
        assert abs(column_exponents(some) - found).max() <= 1
    rare = np.zeros((1000, 3))
    rare[777, 0], rare[:, 1:] = 1e8, 1.0
    assert column_exponents(rare)[0] >= 26


def test_weights_of_several_outputs():
    """The choice of a solver asks coupled losses only for their coordinates."""
    Z, u = _data(8)
    datafit = _datafit("multinomial", Z, u)
    found = minimize_composite(datafit, L1(0.01, weights=np.ones((P, 3))))
    plain = minimize_composite(datafit, L1(0.01))
    assert found.converged and found.objective == pytest.approx(plain.objective)
