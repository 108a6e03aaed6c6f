"""Stand-ins for functions that other modules will hold."""

from __future__ import annotations

import numpy as np


def _put(out, result, x):
    result = result.astype(x.dtype)
    if out is None:
        return result
    out[...] = result
    return out


def _pava(y):
    """Nonincreasing regression."""
    sums, counts = [], []
    for v in y:
        s, c = float(v), 1
        while sums and sums[-1] / counts[-1] <= s / c:
            s, c = s + sums.pop(), c + counts.pop()
        sums.append(s)
        counts.append(c)
    return np.repeat(np.array(sums) / np.array(counts), counts)


def prox_isotonic(x, *, weights=None, increasing=True, out=None, check_finite=True):
    y = x[::-1] if increasing else x
    r = _pava(y)
    return _put(out, r[::-1] if increasing else r, x)


def prox_slope(x, lam, *, axis=None, out=None, check_finite=True):
    flat = np.abs(x).reshape(-1).astype(float)
    order = np.argsort(-flat, kind="stable")
    r = np.maximum(_pava(flat[order] - lam), 0)
    back = np.empty_like(r)
    back[order] = r
    return _put(out, (np.sign(x.reshape(-1)) * back).reshape(x.shape), x)


def prox_tv1d(x, lam, *, weights=None, axis=None, out=None, check_finite=True):
    y = x.reshape(-1).astype(float)
    n = y.size
    if n < 2:
        return _put(out, x.copy(), x)
    lev = lam * (np.ones(n - 1) if weights is None else weights)
    # dual active set by projected Newton is not needed here: Dykstra-free QP
    from scipy.optimize import lsq_linear

    D = np.diff(np.eye(n), axis=0)
    on = lev > 0
    z = np.zeros(n - 1)
    if on.any():
        z[on] = lsq_linear(D[on].T, y, (-lev[on], lev[on]), tol=1e-15).x
    return _put(out, (y - D.T @ z).reshape(x.shape), x)


def prox_fused_lasso(
    x, lam_tv, lam_l1, *, weights=None, axis=None, out=None, check_finite=True
):
    u = prox_tv1d(x, lam_tv, weights=weights)
    return _put(out, np.sign(u) * np.maximum(np.abs(u) - lam_l1, 0), x)


def prox_nuclear(X, lam, *, out=None, check_finite=True):
    U, s, V = np.linalg.svd(X, full_matrices=False)
    return _put(out, (U * np.maximum(s - lam, 0)) @ V, X)
