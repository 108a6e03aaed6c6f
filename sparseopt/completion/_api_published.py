"""The published algorithms under their own names."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from sparseopt._core._monitor import Monitor
from sparseopt._core._params import (
    COMMON,
    Boolean,
    Interval,
    Options,
    Type,
    validate_params,
)
from sparseopt._core._random import as_generator
from sparseopt._core._threads import blas_limit, effective_n_threads
from sparseopt.completion._altmin import solve_altmin
from sparseopt.completion._api import SECONDS
from sparseopt.completion._fit import fit_entries
from sparseopt.completion._host import in_library, to_host
from sparseopt.completion._input import as_entries
from sparseopt.completion._result import CompletionResult
from sparseopt.completion._resume import going_on, marker
from sparseopt.completion._run import FIELDS
from sparseopt.completion._scaling import weighty
from sparseopt.completion._soft_impute import solve_soft_impute

# Arguments that a fit that goes on from a checkpoint may have anew.
_FREE = (
    "X", "weights", "init", "tol", "max_iter", "max_time", "shape", "duplicates",
    "dtype", "n_threads", "random_state", "callback", "verbose", "n_outer",
)  # fmt: skip
_COMMON = {
    **COMMON,
    "duplicates": [Options("raise", "sum", "last", "mean")],
}


@validate_params(
    {
        **_COMMON,
        "init": [Options("spectral", "random"), Type(tuple, list, CompletionResult)],
        "alpha": [Interval(0, None, closed="neither")],
        "max_rank": [Interval(1, None, integer=True), None],
    }
)
def soft_impute(
    X: Any,
    alpha: float,
    max_rank: int | None = None,
    *,
    weights: Any = None,
    init: Any = "spectral",
    tol: float = 1e-6,
    max_iter: int = 500,
    max_time: float | None = None,
    shape: tuple[int, int] | None = None,
    duplicates: str = "raise",
    dtype: Any = None,
    n_threads: int | None = None,
    random_state: Any = None,
    callback: Any = None,
    verbose: int = 0,
) -> CompletionResult:
    """Nuclear norm completion, solved to its optimality conditions.

    Minimises ``1/2 sum w_ij (x_ij - z_ij)^2 + alpha ||Z||_*`` over all matrices Z [1]_:
    a convex problem, whose answer does not depend on the start.

    Parameters
    ----------
    X : sparse matrix, array-like of shape (m, n), or tuple of three arrays
        Observed entries, as in `complete`.  Arrays of other libraries are fitted on the
        host, and what comes back is of their library and on their device.
    alpha : float
        Penalty, positive; nothing is left from the largest singular value of the
        zero-filled matrix on.
    max_rank : int, optional
        Largest rank allowed; ``min(m, n)`` if not given.
    weights : array-like, optional
        Non-negative weights, in the form of X or aligned with its stored entries.
    init : {"spectral", "random"}, CompletionResult or pair (U, V), default="spectral"
        Where to start, for instance the result of a larger `alpha`.  What
        `load_checkpoint` reads makes the fit that wrote it go on.
    tol : float, default=1e-6
        Bound on the violation of the optimality conditions relative to `alpha`: the
        spectral norm of the residuals may exceed it by so much.
    max_iter : int, default=500
        Limit on iterations.
    max_time : float, optional
        Limit in seconds.
    shape : tuple of int, optional
        Of the matrix, for triplets.
    duplicates : {"raise", "sum", "last", "mean"}, default="raise"
        What to do where an entry is given twice.
    dtype : {"float32", "float64"}, optional
        Type to convert X to.
    n_threads : int, optional
        OpenMP threads; the result does not depend on their number.
    random_state : int, Generator, RandomState or None
        Of the start.
    callback : callable, optional
        As in `complete`.
    verbose : int, default=0
        As in `complete`.

    Returns
    -------
    CompletionResult
        Singular value decomposition of the solution; ``gap`` is the duality gap.

    Raises
    ------
    ValueError
        For a value that is not allowed: the message names parameter and value.
    TypeError
        For an argument of the wrong type.

    Warns
    -----
    ConvergenceWarning
        If the conditions do not hold, for instance as `max_rank` is too small.

    See Also
    --------
    sparseopt.completion.complete : Of fixed rank, faster, and without shrinkage.

    Notes
    -----
    Not for exact recovery: the penalty shrinks all singular values.

    References
    ----------
    .. [1] T. Hastie, R. Mazumder, J. Lee, R. Zadeh, "Matrix Completion and Low-Rank SVD
       via Fast Alternating Least Squares", JMLR 2015, Section 2.

    Examples
    --------
    >>> from sparseopt.completion import soft_impute
    >>> from sparseopt.datasets import make_low_rank
    >>> X, *_ = make_low_rank(60, 50, 3, oversampling=3, noise=0.1, random_state=0)
    >>> result = soft_impute(X, 2.0)
    >>> result.converged, result.gap < 1e-4 * result.objective
    (True, True)
    """
    return _run(dict(locals()), "soft_impute", solve_soft_impute)


@validate_params(
    {
        **_COMMON,
        "n_components": [Interval(1, None, integer=True)],
        "n_outer": [Interval(1, None, integer=True)],
        "sample_splitting": [Boolean],
        "clip": [Interval(0, None, closed="neither"), None],
        "row_solver": [Options("cg", "sketch", "cholesky")],
        "row_tol": [Interval(0, 1, closed="neither")],
    }
)
def alternating_minimization(
    X: Any,
    n_components: int,
    *,
    n_outer: int = 20,
    sample_splitting: bool = False,
    clip: float | None = None,
    row_solver: str = "cg",
    row_tol: float = 1e-10,
    weights: Any = None,
    tol: float | None = None,
    max_time: float | None = None,
    shape: tuple[int, int] | None = None,
    duplicates: str = "raise",
    dtype: Any = None,
    n_threads: int | None = None,
    random_state: Any = None,
    callback: Any = None,
    verbose: int = 0,
) -> CompletionResult:
    """Robust alternating minimisation as published.

    A clipped spectral start, then rounds in which each factor is refitted to the other
    on fresh samples, every row by a sketched and preconditioned solver [1]_.  Kept for
    the experiments of the paper; `complete` is faster and recovers from fewer entries.

    Parameters
    ----------
    X : sparse matrix, array-like of shape (m, n), or tuple of three arrays
        Observed entries, as in `complete`.  Arrays of other libraries are fitted on the
        host, and what comes back is of their library and on their device.
    n_components : int
        Rank k.
    n_outer : int, default=20
        Rounds.
    sample_splitting : bool, default=False
        Whether each half-round has its own part of the entries, as the proof asks.
    clip : float, optional
        Numbers of the first frame above ``clip sqrt(k / m)`` become zero; the paper has
        twice the incoherence.  Nothing is clipped if not given.
    row_solver : {"cg", "sketch", "cholesky"}, default="cg"
        Conjugate gradients; those preconditioned by a sketch of the row's matrix; or
        exact solves, the classical algorithm.
    row_tol : float, default=1e-10
        Accuracy of the inexact row solvers.
    weights : array-like, optional
        Non-negative weights, in the form of X or aligned with its stored entries.
    tol : float, optional
        Bound on the relative error at the observed entries; 1e-8, float32: 1e-5.
    max_time : float, optional
        Limit in seconds.
    shape : tuple of int, optional
        Of the matrix, for triplets.
    duplicates : {"raise", "sum", "last", "mean"}, default="raise"
        What to do where an entry is given twice.
    dtype : {"float32", "float64"}, optional
        Type to convert X to.
    n_threads : int, optional
        OpenMP threads; the result does not depend on their number.
    random_state : int, Generator, RandomState or None
        Of the start, the parts and the sketches.
    callback : callable, optional
        As in `complete`.
    verbose : int, default=0
        As in `complete`.

    Returns
    -------
    CompletionResult
        Factors, status and residual.

    Raises
    ------
    ValueError
        For a value that is not allowed: the message names parameter and value.
    TypeError
        For an argument of the wrong type.

    Warns
    -----
    ConvergenceWarning
        If `tol` was not reached in `n_outer` rounds.

    See Also
    --------
    sparseopt.completion.complete : The method to use.

    References
    ----------
    .. [1] Y. Gu, Z. Song, J. Yin, L. Zhang, "Low Rank Matrix Completion via Robust
       Alternating Minimization in Nearly Linear Time", ICLR 2024, arXiv:2302.11068,
       Algorithm 1.

    Examples
    --------
    >>> from sparseopt.completion import alternating_minimization
    >>> from sparseopt.datasets import make_low_rank
    >>> problem = make_low_rank(200, 150, 3, oversampling=6, random_state=0)
    >>> result = alternating_minimization(problem.X, 3, n_outer=40, random_state=0)
    >>> result.converged
    True
    """
    return _run(dict(locals()), "alternating_minimization", solve_altmin)


def _run(given: dict[str, Any], name: str, method: Any) -> CompletionResult:
    given, like = to_host(given)
    n_threads = effective_n_threads(given["n_threads"])
    entries = as_entries(
        given["X"],
        weights=given["weights"],
        dtype=given["dtype"],
        shape=given["shape"],
        duplicates=given["duplicates"],
        n_threads=n_threads,
    )
    least = min(entries.shape)
    key = "max_rank" if "max_rank" in given else "n_components"
    k = least if given[key] is None else int(given[key])
    if k > least:
        raise ValueError(
            f"The {key!r} parameter of sparseopt.completion.{name} must be at most "
            f"min(m, n) = {least} for X of shape {entries.shape}. Got {k}."
        )
    # a parallel region must be worth its start
    n_threads = effective_n_threads(given["n_threads"], SECONDS * k * entries.n_entries)
    entries = replace(entries, n_threads=n_threads, _chunks={})
    same = {x: given[x] for x in given if x not in _FREE}
    mark = marker(name, same, entries)
    going_on(given.get("init"), mark)
    entries, _ = weighty(entries)
    tol = given["tol"] or (1e-8 if entries.dtype == np.float64 else 1e-5)
    monitor = Monitor(
        f"completion.{name}",
        tol=tol,
        max_iter=given.get("max_iter"),
        max_time=given["max_time"],
        verbose=given["verbose"],
        callback=given["callback"],
        fields=FIELDS,
    )
    with monitor, blas_limit(1):  # sums of several would have other bits
        result = fit_entries(
            entries,
            k,
            alpha=float(given.get("alpha", 0.0)),
            tol=tol,
            tol_obj=0.0,
            init=given.get("init", "spectral"),
            rng=as_generator(given["random_state"]),
            monitor=monitor,
            options=given,
            method=method,
            narrow=method is solve_soft_impute,
            mark=mark,
            like=like,
        )
        monitor.finish(result.status, result.message)
    residual = result.residual if math.isfinite(result.residual) else math.inf
    monitor.warn_if_not_converged(result.status, residual, tol)
    return in_library(result, like)
