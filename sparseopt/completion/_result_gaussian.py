"""Result of a Gaussian model of a table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparseopt._core._result import Result


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class GaussianResult(Result):
    """Mean and covariance of a table with missing entries.

    The ``result_`` of `sparseopt.completion.LowRankImputer` where the rank is not
    limited. Besides the attributes below it has those of every result: ``status``,
    ``converged``, ``message``, ``n_iter``, ``objective`` (minus the logarithm of the
    posterior density, for each row, of standardised columns), ``residual`` (what
    missing entries had left to go, root mean square, in conditional standard
    deviations, or the last relative change of a conditional variance), ``history`` and
    ``elapsed``.

    Parameters
    ----------
    mean : ndarray of shape (p,)
        Of the columns that are neither empty nor constant.
    scale : ndarray of shape (p,)
        Their standard deviations.
    correlation : ndarray of shape (p, p)
        Their correlations: the covariance is ``scale[:, None] * correlation * scale``.
    columns : ndarray of int of shape (p,)
        Which columns of the table they are.
    alpha : float
        Weight of the prior, relative to that of the rows.
    neighbor_share : ndarray of shape (p,)
        Share of the nearest rows in imputed values.
    outlier_mask : ndarray of bool of shape (n, p) or None
        Entries that were taken for gross errors.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.completion import LowRankImputer
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 1)) + 0.5 * rng.normal(size=(500, 3))
    >>> X[rng.random(X.shape) < 0.2] = np.nan
    >>> result = LowRankImputer().fit(X).result_
    >>> result.correlation.round(1)
    array([[1. , 0.8, 0.8],
           [0.8, 1. , 0.8],
           [0.8, 0.8, 1. ]])
    """

    mean: np.ndarray
    scale: np.ndarray
    correlation: np.ndarray
    columns: np.ndarray
    alpha: float = 0.0
    neighbor_share: np.ndarray
    outlier_mask: np.ndarray | None = None
