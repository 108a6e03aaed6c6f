"""Public function for best subsets of groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt._core._monitor import Monitor
from sparseopt._core._params import (
    COMMON,
    Interval,
    Type,
    check_params,
    validate_params,
)
from sparseopt._core._result import Result
from sparseopt._core._status import Status
from sparseopt.linear_model._datafit import Datafit
from sparseopt.linear_model._run import Stop
from sparseopt.linear_model._subset import RTOL, Found, Watch, search
from sparseopt.linear_model._subset_columns import Blocks, Columns
from sparseopt.linear_model._subset_newton import search_by_models, subset_fit
from sparseopt.linear_model._units import Units
from sparseopt.prox import Groups


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class SubsetResult(Result):
    """Coefficients on a subset of the groups that exchanges do not improve.

    Returned by `sparseopt.linear_model.best_subset`.  Besides the attributes below it
    has those of every result.  Its ``residual`` is the largest fall of the objective by
    an exchange of one group for another, relative to the objective at zero.

    Parameters
    ----------
    coef : ndarray of shape (p,)
        Coefficients, of the type of the samples.
    intercept : float
        Intercept, 0 where none is fitted.
    support : ndarray of int
        Indices of the features with coefficients that are not zero.
    group_support : ndarray of int
        Indices of the groups of the subset.
    is_local : bool
        Whether no exchange of one group for another lowers the objective; for losses
        that are not quadratic, none that its quadratic model proposes.
    n_steps : int
        Exchanges made.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import LeastSquares, best_subset
    >>> result = best_subset(LeastSquares(np.eye(3), [3.0, 0.1, -2.0]), 2)
    >>> result.group_support, result.is_local
    (array([0, 2]), True)
    """

    coef: np.ndarray
    intercept: float
    support: np.ndarray
    group_support: np.ndarray
    is_local: bool
    n_steps: int = 0


@validate_params(
    {
        **COMMON,
        "datafit": [Type(Datafit)],
        "lam": [Interval(0, None)],
        "tol": [Interval(0, 1, closed="neither")],
    }
)
def best_subset(
    datafit: Datafit,
    k: int,
    *,
    groups: Any = None,
    lam: float = 0.0,
    weights: Any = None,
    init: Any = None,
    tol: float = RTOL,
    max_iter: int | None = None,
    max_time: float | None = None,
    callback: Any = None,
    verbose: int = 0,
) -> SubsetResult:
    """Fit a model on at most k groups of features, chosen by exchanges.

    Looks for the minimum of ``F(X w + b) + lam/2 sum_j d_j ||w_j||^2`` over all w with
    at most k nonzero groups w_j.  That problem is hard: the answer is a subset from
    which no exchange of one group for another improves, the best of several.

    Parameters
    ----------
    datafit : Datafit
        The loss with its data, such as ``LeastSquares(X, y)``.
    k : int
        Number of groups, in [0, m]; where fewer explain everything, fewer are taken.
    groups : None, int, list of index arrays or array of p labels, default=None
        Disjoint groups.  None: each feature; an int: consecutive blocks of this size.
        Features in no group always belong to the model.
    lam : float, default=0.0
        Ridge on the coefficients in groups.
    weights : None, "sqrt", "size" or array-like of shape (m,), default=None
        Group weights d in the ridge; None is 1.
    init : array-like of int, optional
        Groups of a subset to start from, besides a forward selection.
    tol : float, default=1e-10
        Falls of the objective below this share of its value at zero are none.
    max_iter : int, optional
        Limit on passes over the design after the first; 25 if not given.
    max_time : float, optional
        Limit in seconds.
    callback : callable, optional
        Called after each pass with a read-only state: ``n_iter``, ``elapsed``,
        ``objective``, ``residual``, ``groups``.  A true return value stops the search.
    verbose : int, default=0
        0 silent, 1 progress bar and summary, 2 a line each half second, 3 every line.

    Returns
    -------
    SubsetResult
        Coefficients, subset, and whether it is a local optimum.

    Raises
    ------
    ValueError
        If k is not in [0, m], and for other values that are not allowed.
    TypeError
        For an argument of the wrong type, or a design without columns.

    Warns
    -----
    ConvergenceWarning
        If a limit ended the search before a local optimum was proved.

    See Also
    --------
    sparseopt.linear_model.SparseEnvelopeRegressor : Adds bounds for the optimum.

    Notes
    -----
    The search keeps the Gram matrix of a pool of promising columns, on which the exact
    fall of the loss by every exchange is one compiled pass.  Descents start from a
    forward selection and from `init`; from the best, a walk goes on over the exchanges
    that cost least, with those made barred for some steps.  A product with the whole
    design tells which columns outside the pool would help.  Other losses are searched
    by quadratic models at the best subset.

    References
    ----------
    .. [1] J. Zhu, C. Wen, J. Zhu, H. Zhang, X. Wang, "A polynomial algorithm for
       best-subset selection problem", PNAS 117(52), 2020: exchanges ("splicing") with
       approximate gains.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import LeastSquares, best_subset
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((60, 300))
    >>> y = X[:, [3, 50, 200]] @ [1.0, -1.0, 2.0] + 0.3 * rng.standard_normal(60)
    >>> best_subset(LeastSquares(X, y), 3).group_support
    array([  3,  50, 200])
    """
    if datafit.n_outputs:
        raise ValueError(
            "The 'datafit' parameter of sparseopt.linear_model.best_subset must be a "
            f"loss with one output. Got {type(datafit).__name__}, which has "
            f"{datafit.n_outputs}."
        )
    parts = Groups.of(groups, datafit.design.p)
    check_params(best_subset, {"k": [Interval(0, parts.m, integer=True)]}, {"k": k})
    blocks, found = Blocks.of(parts), Found()
    d = parts.weights(weights)
    units = Units.of(datafit)
    if units:
        datafit, lam = units.datafit(datafit), units.times(lam, 2)
    ridge = lam * parts.spread(np.ones(parts.m) if d is None else d, fill=0.0)
    unit = max(datafit.scale(), 1e-300)
    monitor = Monitor(
        "sparseopt.linear_model.best_subset",
        tol=tol,
        max_iter=max_iter or 25,
        max_time=max_time,
        verbose=int(verbose),
        callback=callback,
        state={"groups": lambda: found.blocks},
    )

    def record(state: Found) -> None:
        status = monitor.update(
            state.n_scans,
            objective=units.given_loss(0.5 * state.rss),
            residual=_residual(state, unit),
        )
        if status is not None and not state.is_local:
            raise Stop(status)

    with monitor:
        watch = Watch(record, lambda: monitor.time_left() <= 0.0)
        status = _search(datafit, blocks, int(k), ridge, init, tol, found, watch)
        result = _result(datafit, blocks, ridge, found, status, monitor, unit, units)
        monitor.finish(result.status, result.message)
    monitor.warn_if_not_converged(result.status, result.residual, tol)
    return result


def _residual(found: Found, unit: float) -> float:
    return 0.0 if found.is_local else 0.5 * found.gain / unit


def _search(datafit, blocks, k, ridge, init, tol, found, watch) -> Status:
    starts = [] if init is None else [_subset(init, k, blocks.n_groups)]
    try:
        if datafit.is_quadratic:
            columns = Columns(
                datafit.design,
                datafit.y,
                datafit.s,
                blocks,
                centred=datafit.fit_intercept,
                ridge=ridge,
            )
            search(columns, k, starts=starts, tol=tol, found=found, watch=watch)
        else:
            search_by_models(
                datafit, blocks, k, ridge, starts, found=found, tol=tol, watch=watch
            )
    except Stop as stop:
        return stop.status
    except KeyboardInterrupt:
        return Status.INTERRUPTED
    if found.is_local:
        return Status.CONVERGED
    return Status.TIME_LIMIT if watch.expired() else Status.MAX_ITER


def _subset(init: Any, k: int, m: int) -> np.ndarray:
    array = np.unique(np.asarray(init))
    if array.dtype.kind not in "iu" or array.size > k:
        raise ValueError(
            f"The 'init' parameter must hold at most {k} indices of groups. "
            f"Got {array.dtype} of length {array.size}."
        )
    if array.size and not 0 <= array[0] <= array[-1] < m:
        raise ValueError(
            f"The 'init' parameter must hold indices in [0, {m - 1}]. "
            f"Got {array[0] if array[0] < 0 else array[-1]}."
        )
    return array.astype(np.int64)


def _result(
    datafit, blocks, ridge, found, status, monitor, unit, units
) -> SubsetResult:
    fit = found.fit or subset_fit(datafit, blocks, found.blocks, ridge)
    coef = units.given_coef(fit.w, datafit.design.dtype)
    return SubsetResult(
        coef=coef,
        intercept=units.given_intercept(fit.intercept, fit.w),
        support=np.flatnonzero(coef),
        group_support=found.blocks,
        is_local=found.is_local,
        n_steps=found.n_steps,
        status=status,
        n_iter=found.n_scans,
        objective=units.given_loss(fit.objective),
        residual=_residual(found, unit),
        history=monitor.history(),
        elapsed=monitor.elapsed,
    )
