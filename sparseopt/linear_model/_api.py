"""Public functions of sparse linear models."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparseopt._core._arrays import as_floats, check_finite
from sparseopt._core._params import (
    COMMON,
    Options,
    Type,
    describe,
    validate_params,
)
from sparseopt._core._threads import effective_n_threads
from sparseopt.linear_model._composed import Composed, as_penalty, exact_form
from sparseopt.linear_model._datafit import Datafit
from sparseopt.linear_model._result import CompositeResult
from sparseopt.linear_model._run import Run
from sparseopt.linear_model._solvers import NAMES, choose, solve
from sparseopt.prox import Penalty

_OWNER = "sparseopt.linear_model.minimize_composite"
# Starts with that many times the loss of zero are not used.
_LOST = 1e12


@validate_params(
    {
        **COMMON,
        "datafit": [Type(Datafit)],
        "penalty": [Type(Penalty, Composed, list, tuple)],
        "solver": [Options(*NAMES)],
        "options": [Type(dict), None],
    }
)
def minimize_composite(
    datafit: Datafit,
    penalty: Penalty | Composed | list[Penalty | Composed],
    w0: Any = None,
    *,
    solver: str = "auto",
    tol: float | None = None,
    max_iter: int | None = None,
    max_time: float | None = None,
    callback: Any = None,
    verbose: int = 0,
    random_state: Any = None,
    n_threads: int | None = None,
    init: Any = None,
    options: dict[str, Any] | None = None,
) -> CompositeResult:
    """Minimise ``F(X w + b) + P(w)``: a smooth loss plus a penalty, with a certificate.

    Parameters
    ----------
    datafit : Datafit
        The loss with its data, such as ``LeastSquares(X, y)``.
    penalty : Penalty, Composed, or list of them
        A penalty of `sparseopt.prox`, such as ``L1(0.1)``, one of a linear image of the
        coefficients, or a list of such terms, which stands for their sum.
    w0 : array-like of shape (p,) or (p, n_outputs), optional
        Coefficients to start from; zero if not given, or if their loss is so large
        that rounding would hide all others.
    solver : str, default="auto"
        "auto" takes the first that fits.  "anderson_cd": coordinate descent on working
        sets with Newton steps on the support, for least squares with a separable
        penalty.  "group_bcd": the same by groups.  "prox_newton": for losses with a
        second derivative.  "prox_grad": accelerated proximal gradient, for every
        smooth loss.  "saga", "prox_svrg": stochastic, for many samples.  "admm",
        "pdhg": splitting, for sums of penalties.  "multinomial_cd": block coordinate
        descent for several classes.  "envelope": for the group sparse envelope.
    tol : float, optional
        Bound on the duality gap relative to F at ``w = 0``, or where there is none, as
        for penalties that are not convex, on the largest distance of the negative
        gradient to the subdifferential relative to the largest gradient at ``w = 0``;
        1e-8, or 1e-5 for float32 samples.
    max_iter : int, optional
        Limit on outer iterations; the default depends on the solver.
    max_time : float, optional
        Limit in seconds.
    callback : callable, optional
        Called after each iteration with a read-only state: ``n_iter``, ``elapsed``,
        ``objective``, ``residual``, ``coef``, ``intercept``.  A true return value stops
        the solver at the point of the least objective so far, nearly always the last.
    verbose : int, default=0
        0 silent, 1 progress bar and summary, 2 a line each half second, 3 every line.
    random_state : int, RandomState or Generator, optional
        Order of the samples in stochastic solvers; fixed if not given.
    n_threads : int, optional
        OpenMP threads; all that the process may use if not given, -1 for all
        processors.  The result does not depend on it.
    init : CompositeResult or tuple of (coef, intercept), optional
        Point to start from, for instance the result of a neighbouring problem.
    options : dict, optional
        Settings of single solvers: "step", the length of a step, of "saga" and
        "prox_svrg"; "batch", samples in a step, of "prox_svrg" with penalties that
        are not separable; "rho", the first weight of the constraints, of "admm";
        "ratio", the first ratio of dual to primal steps, of "pdhg".

    Returns
    -------
    CompositeResult
        Coefficients, intercept, support, dual point and certificate.

    Raises
    ------
    ValueError
        For a value that is not allowed, or a solver that does not fit loss and penalty;
        the message names them.
    TypeError
        For an argument of the wrong type.

    Warns
    -----
    ConvergenceWarning
        If `tol` was not reached and no callback asked to stop; the best point that was
        looked at is returned, with its status.

    Notes
    -----
    Data with a largest magnitude beyond 1e50 or below 1e-50 (1e12 and 1e-12 for
    float32) are solved in units of powers of two, and results mapped back, for losses
    and penalties of this library that can be written in other units; for others that
    is a ValueError.  Dense features that lie far from zero, against their spread, are
    taken from one of their values where an intercept is fitted.  Either takes a copy
    of X.

    References
    ----------
    .. [1] M. Massias, A. Gramfort, J. Salmon, "Celer: a fast solver for the Lasso with
       dual extrapolation", ICML 2018, Section 3 (working sets and stopping).
    .. [2] E. Ndiaye, O. Fercoq, A. Gramfort, J. Salmon, "Gap safe screening rules for
       sparsity enforcing penalties", JMLR 2017, Section 3.
    .. [3] Q. Bertrand, Q. Klopfenstein, P.-A. Bannier, G. Gidel, M. Massias, "Beyond
       L1: faster and better sparse models with skglm", NeurIPS 2022, Section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import LeastSquares, minimize_composite
    >>> from sparseopt.prox import L1
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((50, 200))
    >>> y = X[:, :2] @ [3.0, -2.0] + 0.1 * rng.standard_normal(50)
    >>> result = minimize_composite(LeastSquares(X, y), L1(0.5), tol=1e-10)
    >>> result.support, result.status.name, result.residual <= 1e-10
    (array([0, 1]), 'CONVERGED', True)
    """
    k = datafit.n_outputs
    shape = (datafit.design.p, k) if k else (datafit.design.p,)
    penalty = as_penalty(penalty, shape, _OWNER)
    if solver == "auto" and datafit.curvature < math.inf:
        penalty = exact_form(penalty, shape)
    name = choose(datafit, penalty, solver, _OWNER)
    single = datafit.design.dtype == np.float32
    coef, intercept = _reachable(datafit, *_start(datafit, w0, init))
    run = Run(
        datafit,
        penalty,
        tol=tol or (1e-5 if single else 1e-8),
        w=coef,
        intercept=intercept,
        options=options,
        n_threads=effective_n_threads(n_threads),
        rng=random_state,
    )
    return solve(
        run,
        name,
        owner=_OWNER,
        max_iter=max_iter,
        max_time=max_time,
        callback=callback,
        verbose=int(verbose),
    )


def _start(datafit: Datafit, w0: Any, init: Any) -> tuple[Any, Any]:
    """Coefficients and intercept to start from, None for zero."""
    if init is not None and w0 is not None:
        raise ValueError(
            f"The 'w0' and 'init' parameters of {_OWNER} exclude one another. Got both."
        )
    if init is None:
        return (None, None) if w0 is None else (_coefficients(datafit, w0, "w0"), None)
    if isinstance(init, CompositeResult):
        pair: Any = (init.coef, init.intercept)
    elif isinstance(init, (tuple, list)) and len(init) == 2:
        pair = init
    else:
        raise TypeError(
            f"The 'init' parameter of {_OWNER} must be a CompositeResult, a pair of "
            f"coefficients and intercept or None. Got {describe(init)}."
        )
    coef = _coefficients(datafit, pair[0], "init")
    k = datafit.n_outputs
    intercept = np.asarray(pair[1])
    if (
        intercept.shape != ((k,) if k else ())
        or intercept.dtype.kind not in "fiub"
        or not np.isfinite(intercept).all()
    ):
        raise ValueError(
            f"The intercept in the 'init' parameter of {_OWNER} must be finite, of "
            f"shape {(k,) if k else ()}. Got {pair[1]!r}."
        )
    if not datafit.fit_intercept:
        return coef, None
    intercept = intercept.astype(np.float64)
    return coef, intercept if k else float(intercept)


def _reachable(datafit: Datafit, coef: Any, intercept: Any) -> tuple[Any, Any]:
    """The start, or None where its loss is so large that rounding hides that of zero.

    Steps from there would end at what rounding leaves of them.
    """
    if coef is None or not (np.any(coef) or np.any(intercept)):
        return coef, intercept
    with np.errstate(all="ignore"):
        z = datafit.design.predict(coef) + (0.0 if intercept is None else intercept)
        value = datafit.value(z) if np.isfinite(z).all() else np.inf
        top = float(np.abs(z).max(initial=0.0))
    if not value < _LOST * max(datafit.value(datafit.zero()), 1e-300):
        return None, None
    # losses with a flat end may be small there
    far = not top < _LOST * max(1.0, float(np.abs(datafit.y).max()))
    return (None, None) if far else (coef, intercept)


def _coefficients(datafit: Datafit, value: Any, name: str) -> np.ndarray:
    p, k = datafit.design.p, datafit.n_outputs
    shape = (p, k) if k else (p,)
    array = as_floats(value, name, ndim=None)
    if array.shape != shape:
        raise ValueError(
            f"The {name!r} array of {_OWNER} must have shape {shape}. "
            f"Got {array.shape}."
        )
    check_finite(array, name)
    return array.astype(np.float64)
