"""Seeded random problems: every certificate is recomputed in plain NumPy."""

import warnings

import numpy as np
import pytest
from scipy import sparse

from sparseopt.exceptions import ConvergenceWarning
from sparseopt.linear_model import Huber, LeastSquares, Logistic, minimize_composite
from sparseopt.prox import L1, MCP, ElasticNet, GroupLasso, Ridge, SparseGroupLasso

from ._outside import loss_value, mcp_distance, outside_gap

LOSSES = {"squares": LeastSquares, "huber": Huber, "logistic": Logistic}
SHAPES = [(1, 1), (1, 6), (6, 1), (2, 40), (12, 60), (80, 4), (60, 12), (30, 30)]
KINDS = ["l1", "elastic_net", "ridge", "group", "sparse_group", "mcp"]
SOLVERS = {
    "auto": 1.0,
    "prox_newton": 1.0,
    "prox_grad": 1.0,
    "saga": 0.3,
    "admm": 0.2,
    "pdhg": 0.2,
    "prox_svrg": 0.2,
}


def _penalty(kind, lam, size):
    return {
        "l1": lambda: L1(lam),
        "elastic_net": lambda: ElasticNet(lam, 0.5),
        "ridge": lambda: Ridge(lam),
        "mcp": lambda: MCP(lam, 3.0),
        "group": lambda: GroupLasso(lam, groups=size),
        "sparse_group": lambda: SparseGroupLasso(lam, l1_ratio=0.5, groups=size),
    }[kind]()


def _features(rng, n, p):
    """Columns of which some are zero, equal, constant, offset or of another scale."""
    X = rng.standard_normal((n, p))
    what = rng.choice(["plain", "zero", "equal", "constant", "offset", "far", "scales"])
    some = rng.random(p) < 0.4
    if what == "zero":
        X[:, some] = 0.0
    elif what == "equal":
        X[:, some] = X[:, :1]
    elif what == "constant":
        X[:, some] = 2.0
    elif what == "offset":
        X[:, some] += 30.0
    elif what == "far":
        X[:, some] += 1e5
    elif what == "scales":
        X[:, some] *= 100.0
    return X


def problem(seed):
    """A datafit with what is needed to know it from outside, a penalty, a solver."""
    rng = np.random.default_rng(seed)
    n, p = SHAPES[rng.integers(len(SHAPES))]
    X = _features(rng, n, p)
    loss = rng.choice(list(LOSSES))
    fit_intercept = bool(rng.random() < 0.5)
    y = 3.0 * rng.standard_normal(n) + X[:, 0]
    if loss == "logistic":
        y = np.where(y > np.median(y), 1.0, -1.0)
        if len(set(y)) == 1 and n > 1:
            y[0] = -y[0]
        fit_intercept &= n > 1  # both classes
    weights = rng.random(n) + 0.1 if rng.random() < 0.4 else None
    form = rng.choice(["C", "F", "csc", "csr", "float32"], p=[0.3, 0.2, 0.2, 0.1, 0.2])
    if form in ("csc", "csr"):
        X = X * (rng.random((n, p)) < 0.5)
        given = (sparse.csc_array if form == "csc" else sparse.csr_array)(X)
    else:
        X = X.astype(np.float32) if form == "float32" else X
        given = np.array(X, order="F" if form == "F" else "C")
    sizes = [size for size in (1, 2, 3) if p % size == 0]
    size = int(rng.choice(sizes))
    kind = str(rng.choice(KINDS))
    size = size if "group" in kind else 1
    s = np.full(n, 1 / n) if weights is None else weights / weights.sum()
    datafit = LOSSES[loss](given, y, sample_weight=weights, fit_intercept=fit_intercept)
    slope = np.abs(X.T @ datafit.gradient(np.zeros(n))).max()
    lam = float(slope or 1.0) * float(10.0 ** rng.uniform(-3, 0.1))
    odds = np.array(list(SOLVERS.values()))
    solver = str(rng.choice(list(SOLVERS), p=odds / odds.sum()))
    return datafit, given, (X, y, s, loss, kind, lam, size), solver


def check(seed, max_time=None):
    """Solve a problem and check all that the result claims; its status."""
    datafit, given, outside, solver = problem(seed)
    X, y, s, loss, kind, lam, size = outside
    stored = given.data if sparse.issparse(given) else given
    kept, targets = stored.copy(), y.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            result = minimize_composite(
                datafit,
                _penalty(kind, lam, size),
                solver=solver,
                max_time=max_time,
                max_iter=None if max_time else 500,
                random_state=0,
            )
        except ValueError as error:
            assert "must fit the problem" in str(error)
            return "unfit"
    assert np.array_equal(stored, kept) and np.array_equal(y, targets)
    assert np.isfinite(result.coef).all() and np.isfinite(result.intercept)
    assert np.flatnonzero(result.coef).tolist() == result.support.tolist()
    single = given.dtype == np.float32
    tol = 1e-5 if single else 1e-8
    assert result.converged == (result.residual <= tol)
    far = max(1.0, float(np.abs(X).max()))
    if kind == "mcp":
        slopes = X.T @ datafit.gradient(X @ result.coef + result.intercept)
        start = datafit.shift(0.0 * y) if datafit.fit_intercept else 0.0
        top = np.abs(X.T @ datafit.gradient(0.0 * y + start)).max()
        distance = mcp_distance(lam, 3.0, result.coef, slopes)
        rounding = (1e-5 if single else 1e-13) * far**2
        assert result.dual is None
        assert distance <= result.residual * top * (1 + 1e-6) + rounding
        return result.status.name
    if datafit.fit_intercept:
        # rounding of differences of targets and predictions
        assert abs(result.dual.sum()) <= 1e-14 * (1.0 + s @ np.abs(y)) * far
    unit = datafit.scale()
    # rounding of predictions, and of coefficients that are kept in float32
    fuzz = (2e-6 if single else 1e-13) * loss_value(loss, y, np.zeros(len(y)), s)
    fuzz *= far
    gap = outside_gap(result, X, y, s, loss, kind, lam, size)
    assert abs(gap - result.gap) <= 1e-3 * abs(gap) + fuzz
    assert result.gap == pytest.approx(result.residual * unit, abs=fuzz)
    return result.status.name


@pytest.mark.parametrize("first", range(0, 160, 20))
def test_random_problems(first):
    ends = [check(seed) for seed in range(first, first + 20)]
    assert ends.count("CONVERGED") >= 10
