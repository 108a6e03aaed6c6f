"""Norm and leading singular triplets of a sparse matrix, by Lanczos and by blocks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, svds

_PLAIN = 200  # dense SVD up to this size
# Tolerances one after the other; of the eigenvalues behind they are the squares, and
# what is below the rounding of those is never reached where singular values cluster.
_TOLS = (1e-6, 1e-4, 1e-2)
_RESTARTS = 300  # of the stricter ones

Triplets = tuple[np.ndarray, np.ndarray, np.ndarray]


def leading(
    E: sparse.csr_array, U: np.ndarray, V: np.ndarray, k: int, rng: np.random.Generator
) -> tuple[Triplets, float]:
    """Leading singular triplets of ``(I - U U') E (I - V V')``.

    Returns
    -------
    triplets : tuple of u, s, vt
        Descending.
    accuracy : float
        Relative one of the singular values.
    """

    def off(F: np.ndarray, x: np.ndarray) -> np.ndarray:
        return x - F @ (F.T @ x)

    if min(E.shape) <= _PLAIN:
        dense = off(U, off(V, E.toarray().T).T)
        u, s, vt = np.linalg.svd(dense, full_matrices=False)
        return (u, s, vt), 0.0
    operator = LinearOperator(
        E.shape,
        matvec=lambda x: off(U, E @ off(V, x)),
        rmatvec=lambda y: off(V, E.T @ off(U, y)),
        dtype=np.float64,
    )
    (u, s, vt), accuracy = _lanczos(operator, k, rng)
    order = np.argsort(-s)
    return (u[:, order], s[order], vt[order]), accuracy


def norm(E: sparse.csr_array, rng: np.random.Generator) -> float:
    """Spectral norm, from above by the accuracy of the method."""
    if min(E.shape) <= _PLAIN:
        return float(np.linalg.norm(E.toarray(), 2))
    (_, s, _), accuracy = _lanczos(E, 1, rng)
    return float(s[0]) * (1 + accuracy)


def _lanczos(A: Any, k: int, rng: np.random.Generator) -> tuple[Triplets, float]:
    v0 = rng.standard_normal(min(A.shape))
    for tol in _TOLS[:-1]:
        try:
            return svds(A, k=k, v0=v0, tol=tol, maxiter=_RESTARTS), 0.5 * tol**2
        except ArpackNoConvergence:
            pass
    return svds(A, k=k, v0=v0, tol=_TOLS[-1]), 0.5 * _TOLS[-1] ** 2


def norm_bound(E: sparse.csr_array, U: np.ndarray, V: np.ndarray, rest: float) -> float:
    """Bound on the spectral norm from that of the part off the frames U and V.

    With the blocks A, B, C and D of E in these frames and their complements, that of
    ``E E'`` has the norms of ``A A' + B B'``, ``A C' + B D'`` and ``C C' + D D'`` at
    most. Where U and V are singular vectors B and C vanish, and the bound is exact:
    many equal singular values, which Lanczos' method does not tell apart, do no harm.
    """
    left, right = (E.T @ U).T, E @ V
    A = left @ V
    first = left @ left.T
    B, C = left - A @ V.T, right - U @ A
    a, b, c = (math.sqrt(_largest(X)) for X in (A @ A.T, B @ B.T, C.T @ C))
    mixed = a * c + b * rest
    blocks = np.array([[_largest(first), mixed], [mixed, c * c + rest * rest]])
    return math.sqrt(_largest(blocks))


def _largest(G: np.ndarray) -> float:
    """Largest eigenvalue of a matrix that has no negative ones."""
    n = len(G) - 1
    top = linalg.eigvalsh(G, subset_by_index=(n, n), check_finite=False)
    return max(0.0, float(top[0]))
