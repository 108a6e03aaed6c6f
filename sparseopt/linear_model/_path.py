"""Solutions for a sequence of penalties, each from the one before."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from sparseopt._core._arrays import as_vector
from sparseopt._core._monitor import caller_level
from sparseopt._core._params import COMMON, Interval, Options, Type, validate_params
from sparseopt._core._result import Result
from sparseopt._core._status import Status
from sparseopt._core._threads import effective_n_threads
from sparseopt.exceptions import ConvergenceWarning
from sparseopt.linear_model._datafit import Datafit
from sparseopt.linear_model._design import Design
from sparseopt.linear_model._free import free_entries
from sparseopt.linear_model._result import CompositeResult
from sparseopt.linear_model._run import Run
from sparseopt.linear_model._solvers import MESSAGES, NAMES, choose, solve
from sparseopt.linear_model._units import Units
from sparseopt.prox import NoPenalty, Penalty

_OWNER = "sparseopt.linear_model.path"
# Share of F(0) that the first solution explains where none is zero.
_EXPLAINED = 0.01
# Gap to which features without a penalty are fitted for the first strength.
_FREE_TOL = 1e-10
# Largest strength of a grid.
_MOST = 1e300
# What ends a path, and not only the problem in which it happens.
_ENDING = (Status.STOPPED_BY_CALLBACK, Status.INTERRUPTED)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class PathResult(Result):
    """Coefficients for a sequence of penalties.

    Returned by `sparseopt.linear_model.path`.  Besides the attributes below it has
    those of every result: ``status`` is that of the last problem that did not converge,
    if any, ``residual`` and ``gap`` the largest, ``n_iter`` and ``elapsed`` the sums,
    ``objective`` that of the last problem.

    Parameters
    ----------
    lams : ndarray of shape (n_problems,)
        Strengths; NaN for penalties without one.
    coef : ndarray of shape (n_problems, p) or (n_problems, p, n_outputs)
        Coefficients of each problem.
    intercept : ndarray of shape (n_problems,) or (n_problems, n_outputs)
        Intercepts.
    objectives, residuals : ndarray of shape (n_problems,)
        Objective and residual of each problem.
    n_nonzero : ndarray of int of shape (n_problems,)
        Features with coefficients that are not zero.
    n_iters : ndarray of int of shape (n_problems,)
        Iterations of each problem.
    solver : str
        Name of the algorithm.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import LeastSquares, path
    >>> from sparseopt.prox import L1
    >>> result = path(LeastSquares(np.eye(3), [3.0, 0.1, -2.0]), L1(), [0.9, 0.5])
    >>> result.n_nonzero
    array([1, 2])
    """

    lams: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray
    objectives: np.ndarray
    residuals: np.ndarray
    n_nonzero: np.ndarray
    n_iters: np.ndarray
    solver: str = ""

    def plot(self, ax: Any = None, *, names: Sequence[str] | None = None) -> Any:
        """Draw the coefficients along the path with matplotlib.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Where to draw; a new figure if not given.
        names : sequence of str, optional
            Names of the features, for the ends of their curves; their positions if not
            given.

        Returns
        -------
        matplotlib axes
            What was drawn on.
        """
        from sparseopt.linear_model._plot import plot_path

        return plot_path(self, ax, names=names)


@validate_params(
    {
        **COMMON,
        "datafit": [Type(Datafit)],
        "penalty": [Type(Penalty, list, tuple)],
        "n_lams": [Interval(1, None, integer=True)],
        "eps": [Interval(0, 1, closed="neither")],
        "solver": [Options(*NAMES)],
        "options": [Type(dict), None],
    }
)
def path(
    datafit: Datafit,
    penalty: Penalty | Sequence[Penalty],
    lams: Any = None,
    n_lams: int = 100,
    eps: float = 1e-3,
    *,
    solver: str = "auto",
    tol: float | None = None,
    max_iter: int | None = None,
    max_time: float | None = None,
    callback: Any = None,
    verbose: int = 0,
    random_state: Any = None,
    n_threads: int | None = None,
    options: dict[str, Any] | None = None,
) -> PathResult:
    """Minimise ``F(X w + b) + P(w)`` for a sequence of penalties P.

    Each problem starts from the solution of the one before, and keeps what it computed
    of the Gram matrix.

    Parameters
    ----------
    datafit : Datafit
        The loss with its data.
    penalty : Penalty or sequence of Penalty
        One penalty, whose strength is varied, or the penalties themselves: for instance
        ``[WGSEF(k, 0.5) for k in range(1, 21)]``.
    lams : array-like, optional
        Strengths, in the order in which they are solved; a geometric grid down from
        the smallest for which ``w = 0`` is optimal if not given, but for coefficients
        that the penalty leaves free.  For penalties without
        such a strength the grid starts where the solution explains about one percent
        of F(0).
    n_lams : int, default=100
        Length of the grid.
    eps : float, default=1e-3
        Last value of the grid relative to the first, between 0 and 1.
    solver : str, default="auto"
        As in `minimize_composite`.
    tol : float, optional
        As in `minimize_composite`, for each problem.
    max_iter : int, optional
        Limit on outer iterations of each problem.
    max_time : float, optional
        Limit in seconds for all problems together.
    callback : callable, optional
        Called in every iteration; a true return value ends the path.
    verbose : int, default=0
        As in `minimize_composite`.
    random_state : int, RandomState or Generator, optional
        Order of the samples in stochastic solvers.
    n_threads : int, optional
        OpenMP threads.
    options : dict, optional
        Settings of single solvers.

    Returns
    -------
    PathResult
        Coefficients, intercepts and certificates; shorter than the grid if the time
        limit, the callback or the keyboard ended it.

    Raises
    ------
    ValueError
        For a value that is not allowed; the message names it.

    Warns
    -----
    ConvergenceWarning
        For each problem that did not reach `tol`, and where `max_time` ended the path
        before the last.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import LeastSquares, path
    >>> from sparseopt.prox import L1
    >>> X = np.random.default_rng(0).standard_normal((40, 100))
    >>> y = X[:, 0] - 2 * X[:, 1]
    >>> result = path(LeastSquares(X, y), L1(), n_lams=10, eps=0.01)
    >>> result.coef.shape, int(result.n_nonzero[0]), result.status.name
    ((10, 100), 0, 'CONVERGED')
    """
    start = perf_counter()
    sequence = _penalties(datafit, penalty, lams, n_lams, eps)
    single = datafit.design.dtype == np.float32
    run = Run(
        datafit,
        sequence[0],
        tol=tol or (1e-5 if single else 1e-8),
        options=options,
        n_threads=effective_n_threads(n_threads),
        rng=random_state,
    )
    results: list[CompositeResult] = []
    ended: Status | None = None  # between two problems
    for item in sequence:
        try:
            run = run.follow(item)
        except KeyboardInterrupt:  # between two problems
            if not results:
                raise
            ended = Status.INTERRUPTED
            break
        left = None if max_time is None else max_time - (perf_counter() - start)
        if left is not None and left <= 0 and results:
            ended = Status.TIME_LIMIT
            break
        name = choose(datafit, item, solver, _OWNER)
        results.append(
            solve(
                run,
                name,
                owner=_OWNER,
                max_iter=max_iter,
                max_time=None if left is None else max(left, 1e-9),
                callback=callback,
                verbose=int(verbose),
            )
        )
        if results[-1].status in _ENDING:
            break
    if ended is not None and results[-1].converged:
        _warn(ended, len(results), len(sequence))
    return _collect(sequence, results, ended, perf_counter() - start)


def _warn(ended: Status, n: int, n_all: int) -> None:
    change = {Status.TIME_LIMIT: " To change that, increase max_time or tol."}
    warnings.warn(
        f"{_OWNER} solved {n} of {n_all} problems ({ended})." + change.get(ended, ""),
        ConvergenceWarning,
        stacklevel=caller_level(),
    )


def _collect(
    sequence: list[Penalty], results: list, ended: Status | None, elapsed: float
) -> PathResult:
    failed = [r.status for r in results if not r.converged]
    if len(results) < len(sequence):
        # the path ended before its end; a problem that a limit of its own stopped
        # earlier does not hide that
        failed.append(ended or results[-1].status)
    status = failed[-1] if failed else Status.CONVERGED
    gaps = [r.gap for r in results if r.gap is not None]
    lams = [getattr(p, "lam", math.nan) for p in sequence[: len(results)]]
    return PathResult(
        lams=np.array([lam if np.isscalar(lam) else math.nan for lam in lams]),
        coef=np.stack([r.coef for r in results]),
        intercept=np.stack([np.asarray(r.intercept) for r in results]),
        objectives=np.array([r.objective for r in results]),
        residuals=np.array([r.residual for r in results]),
        n_nonzero=np.array([r.support.size for r in results]),
        n_iters=np.array([r.n_iter for r in results]),
        solver=results[-1].solver,
        status=status,
        message=MESSAGES.get(status, ""),
        n_iter=sum(r.n_iter for r in results),
        objective=results[-1].objective,
        residual=max(r.residual for r in results),
        gap=max(gaps) if gaps else None,
        elapsed=elapsed,
    )


def _penalties(datafit, penalty, lams, n_lams, eps) -> list[Penalty]:
    """The penalties of all problems."""
    if not isinstance(penalty, Penalty):
        items = list(penalty)
        if lams is not None:
            raise ValueError(
                f"The 'lams' parameter of {_OWNER} must be None where the penalties "
                f"are given one by one. Got {type(lams).__name__}."
            )
        if not items or not all(isinstance(item, Penalty) for item in items):
            raise TypeError(
                f"The 'penalty' parameter of {_OWNER} must be a Penalty or a sequence "
                f"of them, not empty. Got {penalty!r}."
            )
        return items
    check_strength(penalty, _OWNER)
    if lams is None:
        grid = critical_lam(datafit, penalty) * np.geomspace(1.0, eps, n_lams)
    else:
        grid = as_vector(lams, "lams").astype(np.float64)
        if grid.min() < 0:
            raise ValueError(
                f"The 'lams' array of {_OWNER} must not be negative. Got {grid.min()}."
            )
    return [penalty.with_lam(float(lam)) for lam in grid]


def check_strength(penalty: Penalty, owner: str) -> None:
    """Raise an error if the penalty has no strength that could be varied."""
    try:
        penalty.with_lam(1.0)
    except NotImplementedError as error:
        raise ValueError(
            f"The 'penalty' parameter of {owner} must have a strength 'lam'. "
            f"Got {penalty!r}."
        ) from error


def _critical_in(units: Units, datafit: Datafit, penalty: Penalty) -> float:
    """The critical strength by way of other units."""
    for probe in units.strengths():
        unit = units.penalty(penalty.with_lam(probe), datafit)
        lam = getattr(unit, "lam", math.nan)
        if 1e-100 < lam < 1e100:
            found = critical_lam(units.datafit(datafit), unit)
            return min(found / lam * probe, _MOST)
    raise ValueError(
        f"The 'lams' parameter of {_OWNER} is required for {penalty!r} with data of "
        "such magnitudes. Got None."
    )


def critical_lam(datafit: Datafit, penalty: Penalty) -> float:
    """Strength from which on zero is optimal, or where the solution is nearly zero.

    Coefficients that the penalty leaves free are fitted, as an intercept is.
    """
    units = Units.of(datafit)
    if units.scales:  # in units where nothing overflows, and back
        return _critical_in(units, datafit, penalty)
    if units:
        datafit = units.datafit(datafit)
    free = _free_features(datafit, penalty)
    z = datafit.zero()
    if free.size:
        z = _fit_free(datafit, free)
    elif datafit.fit_intercept:
        z = z + datafit.shift(z)
    theta = datafit.gradient(z)
    grad = (
        datafit.design.gradient(theta)
        if theta.ndim == 1
        else (datafit.design.rmatvec(theta))
    )
    grad[free] = 0.0
    top = float(penalty.critical_lam(grad))
    if not math.isfinite(top):
        # for penalties of degree 2 the first step explains P*(-grad) of F(0)
        try:
            gain = penalty.with_lam(1.0).conjugate(-grad)
        except NotImplementedError:  # a user's own penalty may have none
            gain = math.inf
        top = gain / (_EXPLAINED * datafit.scale()) if gain > 0 else 1.0
    if not math.isfinite(top):
        raise ValueError(
            f"The 'lams' parameter of {_OWNER} is required for "
            f"{type(penalty).__name__}: no strength is known to make zero optimal."
        )
    return top if top > 0 else 1.0


def _free_features(datafit: Datafit, penalty: Penalty) -> np.ndarray:
    """Features that a convex penalty does not see, if they are not all."""
    p, k = datafit.design.p, datafit.n_outputs
    none = np.empty(0, dtype=np.int64)
    if not penalty.is_convex or datafit.design.kind == "operator":
        return none
    mask = free_entries(penalty, (p, k) if k else (p,)).reshape(p, -1).all(axis=1)
    return none if mask.all() else np.flatnonzero(mask)


def _fit_free(datafit: Datafit, free: np.ndarray) -> np.ndarray:
    """Predictions of the best coefficients of some features, without a penalty."""
    part = copy.copy(datafit)
    part.design = Design(datafit.design.columns(free))
    penalty = NoPenalty()
    run = Run(part, penalty, tol=_FREE_TOL)
    name = choose(part, penalty, "auto", _OWNER)
    solve(run, name, owner=_OWNER, warn=False)
    return run.z
