"""Random low-rank matrices, the entries seen of them, and runs on those."""

import math
from typing import Any, NamedTuple

import numpy as np

from sparseopt._core._monitor import Monitor
from sparseopt.completion._init import spectral
from sparseopt.completion._orders import both_orders
from sparseopt.completion._problem import Entries
from sparseopt.completion._run import FIELDS, Factors, Run, Stop


class Truth(NamedTuple):
    """The matrix ``left @ right.T``."""

    left: np.ndarray
    right: np.ndarray

    def error(self, factors: Factors) -> float:
        """Relative error on all entries, without forming them."""
        k = factors.k
        A = np.hstack([factors.U[:, :k] * factors.s, self.left])
        B = np.hstack([factors.V[:, :k], -self.right])
        return _norm(A, B) / _norm(self.left, self.right)


def _norm(A: np.ndarray, B: np.ndarray) -> float:
    R, S = (np.linalg.qr(X.astype(np.float64))[1] for X in (A, B))
    return float(np.linalg.norm(R @ S.T))


def dense(factors: Factors) -> np.ndarray:
    k = factors.k
    return (factors.U[:, :k] * factors.s) @ factors.V[:, :k].T


def from_mask(
    X: np.ndarray, mask: np.ndarray, weight: np.ndarray | None = None, threads: int = 1
) -> Entries:
    """Entries of X where the mask is true; weights of the shape of X."""
    ptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    idx = np.nonzero(mask)[1].astype(np.int32)
    w = None if weight is None else weight[mask]
    return both_orders(X.shape, ptr, idx, X[mask], w, threads)


def problem(
    m: int,
    n: int,
    k: int,
    oversampling: float,
    *,
    kappa: float = 1.0,
    seed: int = 0,
    noise: float = 0.0,
    dtype: Any = np.float64,
) -> tuple[Entries, Truth]:
    """Uniform sample with at least k + 1 entries in each row and column."""
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.standard_normal((m, k)))[0]
    right = np.linalg.qr(rng.standard_normal((n, k)))[0]
    left = left * np.geomspace(kappa, 1, k) * math.sqrt(m * n / k)
    count = min(int(oversampling * k * (m + n - k)), m * n)
    mask = np.zeros(m * n, bool)
    mask[rng.choice(m * n, count, replace=False)] = True
    mask = mask.reshape(m, n)
    for M in (mask, mask.T):
        for i in np.flatnonzero(M.sum(axis=1) < k + 1):
            free = np.flatnonzero(~M[i])
            M[i, rng.choice(free, k + 1 - M[i].sum(), replace=False)] = True
    X = left @ right.T
    X += noise * math.sqrt(np.mean(X[mask] ** 2)) * rng.standard_normal((m, n))
    return from_mask(X.astype(dtype), mask), Truth(left, right)


def start(
    entries: Entries,
    k: int,
    *,
    tol: float = 1e-9,
    tol_obj: float = 1e-5,
    alpha: float = 0.0,
    max_iter: int = 500,
    seed: int = 0,
    **options: Any,
) -> Run:
    """A run at its spectral start."""
    rng = np.random.default_rng(seed)
    monitor = Monitor("complete", tol=tol, max_iter=max_iter, fields=FIELDS)
    factors = Factors(*spectral(entries, k, rng))
    return Run(entries, k, alpha, tol, tol_obj, rng, monitor, factors, options)


def solve(solver: Any, run: Run) -> str:
    """The status as a word, also where a limit stops the run."""
    try:
        return str(solver(run))
    except Stop as stop:
        return str(stop.status)
