"""Operators of singular values: on diagonal matrices, and on rotated ones."""

import numpy as np
import pytest

from sparseopt import prox

OPERATORS = {
    "nuclear": (prox.prox_nuclear, prox.prox_l1, (0.8,)),
    "rank": (prox.prox_rank, prox.prox_l0, (0.8,)),
    "schatten": (prox.prox_schatten, prox.prox_lq, (0.8, 0.5)),
    "schatten 1.5": (prox.prox_schatten, prox.prox_lq, (0.8, 1.5)),
    "k-support": (
        lambda X, lam, **o: prox.prox_spectral_ksupport(X, 1, lam, **o),
        lambda s, lam: prox.prox_ksupport(s, 1, lam),
        (0.8,),
    ),
    "projection": (prox.project_rank, prox.project_l0_ball, (2,)),
}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("shape", [(5, 5), (8, 3), (3, 8), (1, 4), (4, 1)])
def test_values(name, shape, dtype, layout, rng):
    operator, vector, params = OPERATORS[name]
    values = np.sort(3 * rng.uniform(size=min(shape)))[::-1]
    left = np.linalg.qr(rng.standard_normal((shape[0], len(values))))[0]
    right = np.linalg.qr(rng.standard_normal((shape[1], len(values))))[0]
    X = layout(((left * values) @ right.T).astype(dtype))
    before = X.copy()
    found = operator(X, *params)
    wanted = (left * vector(values, *params)) @ right.T
    assert found.dtype == dtype
    assert np.abs(found - wanted).max() <= (1e-13 if dtype is np.float64 else 5e-6)
    assert (X == before).all()
    same = np.array(X)
    assert operator(same, *params, out=same) is same
    assert (same == found).all()


def test_nuclear_against_cvxpy(rng):
    cp = pytest.importorskip("cvxpy")
    X = rng.standard_normal((4, 5))
    W = cp.Variable((4, 5))
    problem = cp.Problem(cp.Minimize(cp.sum_squares(W - X) / 2 + cp.normNuc(W)))
    problem.solve(solver="CLARABEL")
    assert np.abs(prox.prox_nuclear(X, 1.0) - W.value).max() <= 1e-4
    # Moreau: the rest has spectral norm at most 1
    assert np.linalg.norm(X - prox.prox_nuclear(X, 1.0), 2) <= 1 + 1e-12


def test_k_support(rng):
    """Between the nuclear norm, k = 1, and the Frobenius norm."""
    X = rng.standard_normal((5, 4))
    first = prox.prox_spectral_ksupport(X, 1, 0.7)
    assert np.allclose(first, prox.prox_nuclear(X, 0.7))
    last = prox.prox_spectral_ksupport(X, 4, 0.7)
    assert np.allclose(last, prox.prox_l2(X, 0.7))
    values = np.linalg.svd(X, compute_uv=False)
    middle = prox.prox_spectral_ksupport(X, 2, 0.7)
    found = np.linalg.svd(middle, compute_uv=False)
    assert np.allclose(found, prox.prox_ksupport(values, 2, 0.7))
    with pytest.raises(ValueError, match="'k'"):
        prox.prox_spectral_ksupport(X, 5)


def test_edge_cases():
    for operator, _, params in OPERATORS.values():
        assert operator(np.empty((0, 3)), *params).shape == (0, 3)
        assert not operator(np.zeros((2, 3)), *params).any()
        nan = np.array([[1.0, np.nan], [0.0, 1.0]])
        assert np.isnan(operator(nan, *params, check_finite=False)).all()
        with pytest.raises(ValueError, match="'X' array must be finite"):
            operator(nan, *params)
        with pytest.raises(ValueError, match="2 dimensions"):
            operator(np.ones(3), *params)
    with pytest.raises(ValueError, match="'lam'"):
        prox.prox_nuclear(np.eye(2), -1.0)
    with pytest.raises(TypeError, match="'rank'"):
        prox.project_rank(np.eye(2), 1.0)
    scaled = prox.prox_nuclear(1e150 * np.eye(2), 0.5e150)
    assert np.allclose(scaled / 1e150, 0.5 * np.eye(2))
