"""Problems and certificates that are computed apart from the library."""

import numpy as np


def regression(rng, n=40, p=80, k=4, noise=0.5):
    """Design, targets with an offset, and the true coefficients."""
    X = rng.standard_normal((n, p)) + 0.3 * rng.standard_normal((n, 1))
    coef = np.zeros(p)
    coef[:k] = rng.choice([-2.0, 1.5], size=k)
    return X, X @ coef + noise * rng.standard_normal(n) + 1.0, coef


def lasso_gap(X, y, w, b, lam, *, s=None, positive=False, intercept=True):
    """Relative duality gap of a lasso, from its definition."""
    n = len(y)
    s = np.full(n, 1.0 / n) if s is None else s / s.sum()
    lam = np.broadcast_to(np.asarray(lam, dtype=float), X.shape[1])
    z = X @ w + b
    r = s * (y - z)
    if intercept:
        r = r - s * r.sum()
    slope = X.T @ r if positive else np.abs(X.T @ r)
    top = np.max(slope / lam)
    scale = 1.0 if top <= 1 else 1.0 / top
    primal = 0.5 * np.sum(s * (y - z) ** 2) + lam @ np.abs(w)
    inside = s > 0
    square = np.sum(r[inside] ** 2 / s[inside])
    best = min(max(r @ y / square, -scale), scale) if square > 0 else 0.0
    dual = best * (r @ y) - 0.5 * best**2 * square
    center = np.sum(s * y) if intercept else 0.0
    return (primal - dual) / (0.5 * np.sum(s * (y - center) ** 2))


def logistic_gap(X, y, w, b, lam, *, intercept=True):
    """Relative duality gap of l1-regularised logistic regression."""
    n = len(y)
    z = X @ w + b
    p = 1.0 / (1.0 + np.exp(y * z))
    theta = -y * p / n
    if intercept:
        assert abs(theta.sum()) < 1e-12
    scale = min(1.0, lam / np.abs(X.T @ theta).max())
    q = scale * p
    entropy = q * np.log(q) + (1 - q) * np.log(1 - q)
    primal = np.mean(np.logaddexp(0, -y * z)) + lam * np.abs(w).sum()
    share = np.mean(y > 0)
    zero = np.log(2.0)
    if intercept:
        zero = -share * np.log(share) - (1 - share) * np.log(1 - share)
    return (primal + entropy.mean()) / zero
