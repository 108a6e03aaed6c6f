"""Dual points that are feasible by the caller's own products."""

import numpy as np
import pytest
from scipy import sparse

from sparseopt.linear_model import Huber, LeastSquares, Logistic, minimize_composite
from sparseopt.prox import L1, SLOPE, ElasticNet, GroupLasso, SparseGroupLasso

LOSSES = {"squares": LeastSquares, "huber": Huber, "logistic": Logistic}
PENALTIES = {
    "l1": lambda lam: L1(lam),
    "positive": lambda lam: L1(lam, positive=True),
    "weights": lambda lam: L1(lam, weights=np.linspace(0.5, 2.0, 12)),
    "group": lambda lam: GroupLasso(lam, groups=4),
    "sparse_group": lambda lam: SparseGroupLasso(lam, l1_ratio=0.5, groups=4),
    "slope": lambda lam: SLOPE(lam * np.linspace(1.0, 0.5, 12)),
    "elastic_net": lambda lam: ElasticNet(lam, 1.0),
}


def _products(X, theta):
    """``X' theta`` by sums in different orders and forms."""
    yield X.T @ theta
    yield np.asfortranarray(X).T @ theta
    yield np.einsum("ij,i->j", X, theta)
    yield (X * theta[:, None]).sum(axis=0)
    yield (X * theta[:, None])[::-1].cumsum(axis=0)[-1]
    yield (X * theta[:, None]).cumsum(axis=0)[-1]
    yield sparse.csr_array(X).T @ theta
    exact = (X.astype(np.longdouble) * theta[:, None]).sum(axis=0)
    yield exact.astype(np.float64)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_every_product_is_within_the_bounds(name, loss, fit_intercept):
    for seed in (0, 3):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((60, 12)) + (seed == 3) * 30.0
        y = X[:, 0] - X[:, 3] + rng.standard_normal(60)
        y = np.where(y > np.median(y), 1.0, -1.0) if loss == "logistic" else y
        datafit = LOSSES[loss](X, y, fit_intercept=fit_intercept)
        for lam in (1e-3, 0.1):
            penalty = PENALTIES[name](lam)
            for solver in ("auto", "prox_grad")[: 1 + (lam > 0.01)]:
                result = minimize_composite(datafit, penalty, solver=solver, tol=1e-6)
                assert result.converged
                bounds = [penalty.conjugate(-v) for v in _products(X, result.dual)]
                assert bounds == [0.0] * len(bounds)
                # the gap is that of the point handed out
                bound = result.objective + datafit.conjugate(result.dual)
                assert result.gap == pytest.approx(bound, abs=1e-13 * datafit.scale())


@pytest.mark.parametrize("form", [np.float32, sparse.csr_array, np.asfortranarray])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e60])
def test_forms_and_units(form, scale):
    rng = np.random.default_rng(1)
    # of a dense design far from zero an origin is taken off
    X = form(rng.standard_normal((300, 20)) + 500.0 * (form is np.asfortranarray))
    X = X * (1.0 if form is np.float32 else scale)
    unit = 1.0 if form is np.float32 else scale
    y = rng.standard_normal(300)
    for share in (1e-4, 0.05):
        penalty = L1(share * unit)
        result = minimize_composite(LeastSquares(X, y, fit_intercept=True), penalty)
        assert result.converged
        dense = X.toarray() if sparse.issparse(X) else np.asarray(X, np.float64)
        for v in _products(dense, result.dual):
            assert penalty.conjugate(-v) == 0.0
