"""Public functions of matrix completion."""

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
from sparseopt._core._status import Status
from sparseopt._core._threads import blas_limit, effective_n_threads
from sparseopt.completion._alpha import choose_alpha
from sparseopt.completion._fit import PLAIN, fit_entries, warn_of_gaps
from sparseopt.completion._host import in_library, lies_on_host, to_host
from sparseopt.completion._input import as_entries, places_of_mask
from sparseopt.completion._portable import complete_portable
from sparseopt.completion._portable_entries import is_portable
from sparseopt.completion._problem import Entries
from sparseopt.completion._rank import estimate_rank
from sparseopt.completion._result import CompletionResult
from sparseopt.completion._resume import going_on, marker
from sparseopt.completion._run import FIELDS
from sparseopt.completion._scaling import Units, among, in_units, weighty

# Arguments that methods look up.
_OPTIONS = (
    "solver",
    "loss",
    "delta",
    "debias",
    "biases",
    "nonnegative",
    "reg",
    "bias_reg",
    "cg_steps",
    "homotopy",
    "precision",
    "validation_fraction",
)
# Of a half-step, for each entry and number of a factor row.
SECONDS = 4e-10
_TOL = {np.dtype(np.float64): 1e-8, np.dtype(np.float32): 1e-5}


@validate_params(
    {
        **COMMON,
        "n_components": [Interval(1, None, integer=True), Options("auto")],
        "alpha": [Interval(0, None), Options("auto")],
        "reg": [Options("frobenius", "count"), Interval(0, 1)],
        "bias_reg": [Interval(0, None), Type(tuple, list), None],
        "solver": [Options(*PLAIN)],
        "loss": [Options("squared", "huber")],
        "delta": [Interval(0, None, closed="neither"), Options("mad")],
        "debias": [Boolean],
        "biases": [Options("row", "col", "both"), None],
        "nonnegative": [Boolean],
        "init": [Options("spectral", "random"), Type(tuple, list, CompletionResult)],
        "tol_obj": [Interval(0, None)],
        "cg_steps": [Interval(1, None, integer=True), Options("auto")],
        "homotopy": [Options("auto"), Boolean, Interval(0, 1, closed="neither")],
        "precision": [Options("working", "mixed")],
        "validation_fraction": [Interval(0, 1, closed="left")],
        "duplicates": [Options("raise", "sum", "last", "mean")],
    }
)
def complete(
    X: Any,
    n_components: int | str,
    *,
    alpha: float | str = 0.0,
    reg: str | float = "frobenius",
    bias_reg: float | tuple[float, float] | None = None,
    solver: str = "auto",
    loss: str = "squared",
    delta: float | str = "mad",
    debias: bool = True,
    biases: str | None = None,
    weights: Any = None,
    nonnegative: bool = False,
    init: Any = "spectral",
    tol: float | None = None,
    tol_obj: float = 1e-5,
    max_iter: int = 500,
    max_time: float | None = None,
    cg_steps: int | str = "auto",
    homotopy: Any = "auto",
    precision: str = "working",
    validation_fraction: float = 0.0,
    shape: tuple[int, int] | None = None,
    duplicates: str = "raise",
    dtype: Any = None,
    n_threads: int | None = None,
    random_state: Any = None,
    callback: Any = None,
    verbose: int = 0,
) -> CompletionResult:
    """Low-rank completion of a partly observed matrix by alternating minimisation.

    Minimises ``1/2 sum w_ij (x_ij - z_ij)^2 + alpha ||Z||_*`` over matrices Z of rank
    at most k, the sum over the observed entries; each half-step solves its least
    squares problems only roughly, in time linear in ``n_entries * k`` [1]_.
    Arrays of other libraries (array API) are fitted where they lie, and what comes back
    is of their library and on their device; for options there see Notes.

    Parameters
    ----------
    X : sparse matrix, array-like of shape (m, n), or tuple of three arrays
        Observed entries: all that a sparse matrix stores (zeros too), those of a dense
        one that are not NaN, or ``(rows, cols, values)``.  float32 and float64 are
        kept, other types become float64; never modified.
    n_components : int or "auto"
        Rank k, at most ``min(m, n)``; "auto" estimates it from the spectrum.
    alpha : float or "auto", default=0.0
        Nuclear norm penalty, in units of X; with ``reg="count"`` or biases the ridge
        ``alpha / 2`` on squared factor rows.  "auto" takes what predicts a tenth of the
        entries best.
    reg : {"frobenius", "count"} or float, default="frobenius"
        "count" multiplies a row's ridge by its number of entries, a number in [0, 1] by
        that power of it.
    bias_reg : float or pair of float, optional
        Ridge of the biases (of rows and of columns), whatever the number of entries: as
        many entries with the mean are added to each; 5 if not given.
    solver : {"auto", "als", "als-exact"}, default="auto"
        "auto": ridge homotopy, inexact half-steps, Gauss-Newton where the tail is slow,
        further starts where that fails.  "als": inexact half-steps alone.  "als-exact":
        with Cholesky solves in their place.
    loss : {"squared", "huber"}, default="squared"
        "huber" for gross errors in some entries.
    delta : float or "mad", default="mad"
        Residual beyond which "huber" is linear; "mad" follows the median residual.
    debias : bool, default=True
        Whether "huber" ends with a plain fit of the entries that are no outliers.
    biases : {"row", "col", "both"} or None, default=None
        Offsets fitted beside the factors.
    weights : array-like, optional
        Non-negative weights, in the form of X or aligned with its stored entries; in
        any unit, which is that of `alpha` too.  An entry of weight 0 is none.
    nonnegative : bool, default=False
        Whether factors must not be negative.
    init : {"spectral", "random"}, CompletionResult or pair (U, V), default="spectral"
        Where to start; a pair is taken for ``U V'``.  From a result or a pair there is
        no homotopy unless asked for.  What `load_checkpoint` reads makes the fit that
        wrote it go on, with its own random numbers, to the answer that it would have
        had, to the last bit.
    tol : float, optional
        Bound on the relative error at the observed entries; 1e-8, float32: 1e-5.
    tol_obj : float, default=1e-5
        Relative decrease of the objective over three iterations below which noisy data
        are fitted.
    max_iter : int, default=500
        Limit on iterations, each of two half-steps; those before a checkpoint count.
    max_time : float, optional
        Limit in seconds.
    cg_steps : int or "auto", default="auto"
        Conjugate-gradient steps in a half-step.
    homotopy : float, bool or "auto", default="auto"
        Factor between successive ridges, in (0, 1); False starts at the final ridge.
    precision : {"working", "mixed"}, default="working"
        "mixed" iterates in float32 until that has no more digits, then in float64 with
        Gauss-Newton increments in float32: as accurate, and faster from rank 30 on.
    validation_fraction : float, default=0.0
        Share of the entries held out, at random, but rather not where rows or columns
        need theirs.  The fit ends when the error there falls no more; the iterate that
        had the least is returned, be it one with the ridge of the homotopy.
    shape : tuple of int, optional
        Of the matrix, for triplets; the largest index plus one if not given.
    duplicates : {"raise", "sum", "last", "mean"}, default="raise"
        What to do where an entry is given twice.
    dtype : {"float32", "float64"}, optional
        Type to convert X to.
    n_threads : int, optional
        OpenMP threads; the result does not depend on their number.
    random_state : int, Generator, RandomState or None
        Of the spectral start, a held-out part and restarts.
    callback : callable, optional
        Called after each iteration with a read-only state: ``n_iter``, ``elapsed``,
        ``objective``, ``residual``, ``ridge``, ``factors`` (of the library of X), and
        ``validation`` (the error at held-out entries) where there are any.  A true
        return value stops the solver.
    verbose : int, default=0
        0 silent, 1 progress bar and summary, 2 a line each half second, 3 every line.

    Returns
    -------
    CompletionResult
        Factors, status and residual; ``predict`` and ``reconstruct`` give values.

    Raises
    ------
    ValueError
        For a value that is not allowed: the message names parameter and value.
    TypeError
        For an argument of the wrong type.

    Warns
    -----
    ConvergenceWarning
        If neither `tol` nor `tol_obj` was reached; the last iterate is returned.
    UserWarning
        If rows or columns have fewer entries than the rank, or the whole matrix has
        fewer than a rank-k matrix has degrees of freedom.

    See Also
    --------
    sparseopt.completion.LowRankImputer : Estimator for dense tables with NaN.
    sparseopt.completion.MatrixFactorizer : Estimator for ratings.

    Notes
    -----
    Needs about 28 bytes an entry (float32: 20) beside the factors, and with weights 56
    (36), as they are brought to mean 1; an (m, n) array is
    never formed.  Recovery needs ``n_entries`` above about 1.2 ``k (m + n - k)``,
    entries at random places and factors without spikes; where entries are missing for
    a reason (a low rating not given) predictions are biased.  Not for side information
    on rows and columns.

    Arrays of other libraries are dense or triplets.  In the memory of the host they are
    fitted as NumPy's, whose memory is theirs; torch's without their derivatives.  On a
    device the method is "als-exact" in batches, without further starts: `n_components`
    and `alpha` are numbers then, `loss`, `biases`, `nonnegative`, `reg`, `precision`,
    `validation_fraction`, `cg_steps`, `duplicates` and `n_threads` have their defaults,
    and `callback` is no `Checkpoint`.  That needs float64 there, and for a moment, to
    sort, about 80 bytes an entry.

    References
    ----------
    .. [1] Y. Gu, Z. Song, J. Yin, L. Zhang, "Low Rank Matrix Completion via Robust
       Alternating Minimization in Nearly Linear Time", ICLR 2024, arXiv:2302.11068.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.completion import complete
    >>> rng = np.random.default_rng(0)
    >>> M = rng.normal(size=(80, 3)) @ rng.normal(size=(3, 60))
    >>> X = np.where(rng.random(M.shape) < 0.4, M, np.nan)
    >>> result = complete(X, 3)
    >>> result.converged, bool(np.allclose(result.reconstruct(), M, atol=1e-5))
    (True, True)
    """
    given = dict(locals())  # the arguments, as nothing else is known yet
    if is_portable(X) and not lies_on_host(X, weights):
        return complete_portable(given)
    _check_together(given)
    check_bias_reg("complete", bias_reg)
    given, like = to_host(given)
    entries = as_entries(
        given["X"],
        weights=given["weights"],
        dtype=dtype,
        shape=shape,
        duplicates=duplicates,
        n_threads=effective_n_threads(n_threads),
    )
    return in_library(_complete(entries, given, like), like)


def _complete(entries: Entries, given: dict[str, Any], like: Any) -> CompletionResult:
    rng = as_generator(given["random_state"])
    same = {name: given[name] for name in ("n_components", "alpha", *_OPTIONS)}
    mark, every = marker("complete", same, entries), entries
    saved = going_on(given["init"], mark)
    entries, counts = weighty(entries)
    units, plain = Units(), entries
    if saved is None and "auto" in (given["n_components"], given["alpha"]):
        plain, units = in_units(entries)  # their squares must be numbers
    k = saved["k"] if saved else _rank(given["n_components"], plain, rng)
    tol = given["tol"] or _TOL[entries.dtype]
    # a parallel region must be worth its start
    n_threads = effective_n_threads(given["n_threads"], SECONDS * k * entries.n_entries)
    entries = replace(entries, n_threads=n_threads, _chunks={})
    options = {name: given[name] for name in _OPTIONS}
    if options["homotopy"] is True:
        options["homotopy"] = "auto"
    monitor = Monitor(
        "completion.complete",
        tol=tol,
        max_iter=given["max_iter"],
        max_time=given["max_time"],
        verbose=given["verbose"],
        callback=given["callback"],
        fields=(*FIELDS, *["validation"] * (given["validation_fraction"] > 0)),
    )
    with monitor, blas_limit(1):  # sums of several would have other bits
        alpha = saved["alpha"] if saved else given["alpha"]
        if alpha == "auto":
            alpha = choose_alpha(plain, k, rng, options, monitor)
            alpha = units.callers_ridge(alpha)
        result = fit_entries(
            entries,
            k,
            alpha=float(alpha),
            tol=tol,
            tol_obj=given["tol_obj"],
            init=given["init"],
            rng=rng,
            monitor=monitor,
            options=options,
            mark=mark,
            like=like,
        )
        monitor.finish(result.status, result.message)
    n_fitted = entries.n_entries
    if result.held_out_mask is not None:
        n_fitted -= int(np.count_nonzero(result.held_out_mask))
    masks = (among(m, counts) for m in (result.outlier_mask, result.held_out_mask))
    places = [
        None if mask is None else places_of_mask(given["X"], mask, every)
        for mask in masks
    ]
    result = replace(result, outlier_mask=places[0], held_out_mask=places[1])
    warn_of_gaps(result, n_fitted)
    hint = None
    if result.status is Status.MAX_ITER:
        hint = "increase max_iter, tol, or tol_obj for data with noise"
    monitor.warn_if_not_converged(result.status, result.residual, tol, hint)
    return result


def _rank(n_components: int | str, entries: Entries, rng: np.random.Generator) -> int:
    if n_components == "auto":
        return estimate_rank(entries, rng)
    k = int(n_components)
    if k > min(entries.shape):
        raise ValueError(
            "The 'n_components' parameter of sparseopt.completion.complete must be at "
            f"most min(m, n) = {min(entries.shape)} for X of shape {entries.shape}. "
            f"Got {k}."
        )
    return k


def check_bias_reg(owner: str, bias_reg: Any) -> None:
    """A pair of ridges, where it is one, holds two numbers that are not negative."""
    if not isinstance(bias_reg, (tuple, list)):
        return
    good = len(bias_reg) == 2 and all(
        isinstance(b, (int, float, np.number)) and 0 <= b < math.inf for b in bias_reg
    )
    if not good:
        raise ValueError(
            f"The 'bias_reg' parameter of sparseopt.completion.{owner} must be a float "
            f"in [0, inf) or a pair of them. Got {bias_reg!r}."
        )


# Options of which only those of one row may be asked for together.
_TOGETHER = (
    {"nonnegative=True", "validation_fraction"},
    {"loss='huber'", "alpha='auto'"},
    {"precision='mixed'", "alpha='auto'", "solver"},
    {"precision='mixed'", "validation_fraction", "solver"},
    {"biases", "reg='count'", "validation_fraction"},
)


def _check_together(given: dict[str, Any]) -> None:
    asked = {
        "nonnegative=True": given["nonnegative"],
        "loss='huber'": given["loss"] == "huber",
        "precision='mixed'": given["precision"] == "mixed",
        "alpha='auto'": given["alpha"] == "auto",
        "solver": given["solver"] != "auto",
        "biases": given["biases"] is not None,
        "reg='count'": given["reg"] != "frobenius",
        "validation_fraction": given["validation_fraction"] > 0,
    }
    names = [name for name, is_asked in asked.items() if is_asked]
    if not any(together.issuperset(names) for together in _TOGETHER):
        raise ValueError(
            f"sparseopt.completion.complete cannot combine {' and '.join(names)}: no "
            "method serves them together. Ask for one of them."
        )
