"""Losses, penalties and duality gaps in plain NumPy, to check certificates with."""

import numpy as np
from scipy.special import xlogy


def loss_value(kind, y, z, s):
    """Weighted mean of a loss; logistic targets are -1 and 1, the width of huber 1."""
    if kind == "squares":
        return 0.5 * float(s @ (y - z) ** 2)
    if kind == "logistic":
        return float(s @ np.logaddexp(0.0, -y * z))
    r = np.abs(y - z)
    return float(s @ np.where(r <= 1.0, 0.5 * r * r, r - 0.5))


def loss_conjugate(kind, y, theta, s):
    """Its conjugate, for weights that are all positive."""
    if kind == "logistic":
        p = -y * theta / s
        assert p.min() >= -1e-12 and p.max() <= 1 + 1e-12
        p = np.clip(p, 0.0, 1.0)
        return float(s @ (xlogy(p, p) + xlogy(1 - p, 1 - p)))
    if kind == "huber":
        assert np.all(np.abs(theta) <= s * (1 + 1e-12))
    return float(theta @ y + 0.5 * theta @ (theta / s))


def _norms(w, size):
    return np.linalg.norm(w.reshape(-1, size), axis=1)


def penalty_value(kind, lam, w, size=1):
    """The penalties "l1", "group", "sparse_group", "elastic_net" and "ridge"."""
    group = np.sqrt(size) * _norms(w, size).sum()
    return (
        lam
        * {
            "l1": np.abs(w).sum(),
            "group": group,
            "sparse_group": 0.5 * np.abs(w).sum() + 0.5 * group,
            "elastic_net": 0.5 * np.abs(w).sum() + 0.25 * w @ w,
            "ridge": 0.5 * w @ w,
        }[kind]
    )


def penalty_conjugate(kind, lam, v, slack, size=1):
    """Its conjugate; of norms 0, and an error beyond the dual ball and `slack`."""
    soft = np.maximum(np.abs(v) - 0.5 * lam, 0.0)
    if kind == "elastic_net":
        return float(soft @ soft) / lam
    if kind == "ridge":
        return 0.5 * float(v @ v) / lam
    root = np.sqrt(size)
    top = {
        "l1": np.abs(v) - lam,
        "group": _norms(v, size) - lam * root,
        "sparse_group": _norms(soft, size) - 0.5 * lam * root,
    }[kind].max()
    assert top <= slack
    return 0.0


def outside_gap(result, X, y, s, loss, penalty, lam, size=1):
    """Duality gap of a result, of which only coefficients and dual point are used."""
    X = np.asarray(X, dtype=np.float64)
    w, theta = np.asarray(result.coef, np.float64), result.dual
    z = X @ w + result.intercept
    primal = loss_value(loss, y, z, s) + penalty_value(penalty, lam, w, size)
    # rounding of the products with the dual point
    slack = 1e-14 * float(np.abs(X.T @ np.abs(theta)).max()) + 1e-300
    bound = penalty_conjugate(penalty, lam, -(X.T @ theta), 10 * slack, size)
    return primal + bound + loss_conjugate(loss, y, theta, s)


def mcp_distance(lam, gamma, w, grad):
    """Largest distance of ``-grad`` to the subdifferential of MCP."""
    w = np.asarray(w, dtype=np.float64)
    slope = np.sign(w) * np.maximum(lam - np.abs(w) / gamma, 0.0)
    at_zero = np.maximum(np.abs(grad) - lam, 0.0)
    return float(np.where(w != 0, np.abs(grad + slope), at_zero).max())
