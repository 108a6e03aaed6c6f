"""Result of a composite problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt._core._result import Result


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CompositeResult(Result):
    """Coefficients that minimise a data-fitting term plus a penalty.

    Returned by `sparseopt.linear_model.minimize_composite`.  Besides the attributes
    below it has those of every result: ``status``, ``converged``, ``message``,
    ``n_iter``, ``objective``, ``residual``, ``gap``, ``history`` and ``elapsed``.

    Parameters
    ----------
    coef : ndarray of shape (p,) or (p, n_outputs)
        Coefficients, of the type of the samples, or float64 if that does not hold them.
    intercept : float or ndarray of shape (n_outputs,)
        Intercept, 0 where none is fitted.
    support : ndarray of int
        Indices of the features with coefficients that are not zero.
    dual : ndarray of shape (n,) or (n, n_outputs), or None
        Dual feasible point that proves ``gap``: the objective is at most that far above
        ``-F*(dual) - P*(-X' dual)``.  None where there is no gap.
    gap : float or None
        Absolute duality gap; ``residual`` is its ratio to F(0).  None for penalties
        that are not convex, have no known conjugate, or leave very many coefficients
        free: then the residual is the largest distance of the negative gradient to the
        subdifferential, relative to the largest gradient at 0.
    u : ndarray or None
        Share in [0, 1] of each group, of the envelope penalty only.
    solver : str
        Name of the algorithm.
    n_epochs : int
        Passes over the coordinates of working sets, 0 for solvers that have none.
    history : ndarray
        Structured array with a row for each iteration.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import LeastSquares, minimize_composite
    >>> from sparseopt.prox import L1
    >>> datafit = LeastSquares(np.eye(3), [3.0, 0.1, -2.0])
    >>> result = minimize_composite(datafit, L1(0.5))
    >>> result.coef.round(6), result.support
    (array([ 1.5,  0. , -0.5]), array([0, 2]))
    """

    coef: np.ndarray
    intercept: Any
    support: np.ndarray
    dual: np.ndarray | None = None
    u: np.ndarray | None = None
    solver: str = ""
    n_epochs: int = 0
