"""Factor rows of new data while the other side's factor is held."""

from __future__ import annotations

import numpy as np

from sparseopt.completion._half_step import HalfSteps
from sparseopt.completion._kernels import aligned
from sparseopt.completion._problem import Entries, padded


def fold_in(
    entries: Entries,
    V: np.ndarray,
    ridge: np.ndarray,
    scale: np.ndarray | None = None,
) -> np.ndarray:
    """Rows a_i that fit new entries, ``x_ij ~ a_i . V_j``, of least norm where free.

    Conjugate gradients from zero to rounding: that is the minimum-norm solution where
    a row has fewer entries than V has columns and there is no ridge.

    Parameters
    ----------
    entries : Entries
        Of shape (m, n).
    V : ndarray of shape (n, k)
    ridge : ndarray of shape (k,)
    scale : ndarray of shape (m,), optional
        Multiplies a row's ridge.

    Returns
    -------
    ndarray of shape (m, k)
    """
    k = V.shape[1]
    width = padded(k, entries.dtype)
    fixed = aligned((len(V), width), entries.dtype)
    fixed[:, :k] = V
    out = aligned((entries.shape[0], width), entries.dtype)
    curvature = np.mean(np.square(V, dtype=np.float64), axis=0)
    HalfSteps(entries, k).cg(
        False,
        fixed,
        out,
        np.asarray(ridge, np.float64),
        # in exact arithmetic k steps are enough
        steps=4 * k + 20,
        curvature=curvature,
        scale=scale,
        tol=1e-13,
    )
    return np.ascontiguousarray(out[:, :k])
