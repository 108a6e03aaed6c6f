"""Public functions of optimal transport."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from sparseopt._core._arrays import (
    as_distribution,
    as_floats,
    as_vector,
    check_finite,
)
from sparseopt._core._fingerprint import fingerprint
from sparseopt._core._monitor import Monitor
from sparseopt._core._params import (
    COMMON,
    Boolean,
    Interval,
    Options,
    describe,
    validate_params,
)
from sparseopt._core._status import Status
from sparseopt.ot._anneal import solve_auto
from sparseopt.ot._certificate import certify
from sparseopt.ot._problem import Duals, Problem, make_problem
from sparseopt.ot._result import OTResult
from sparseopt.ot._run import Run, Stop
from sparseopt.ot._sinkhorn import solve_sinkhorn
from sparseopt.ot._sns import solve_sns
from sparseopt.ot._ssns import solve_ssns

_METHODS = {
    "auto": solve_auto,
    "sinkhorn": solve_sinkhorn,
    "sns": solve_sns,
    "ssns": solve_ssns,
}
# Share of the total below which a mass counts as none: plan entries could underflow.
_NO_MASS = 1e-290
# Totals beyond have lost digits, or lose values to overflow.
_LEAST_MASS = 1e-305
_MAX_ITER = {"auto": 2000, "sinkhorn": 100_000, "sns": 1000, "ssns": 1000}


@validate_params(
    {
        **COMMON,
        "reg": [Interval(0, None, closed="neither")],
        "method": [Options(*_METHODS)],
        "reg_relative": [Boolean],
        "copy": [Boolean],
        "n_sinkhorn": [Interval(0, None, integer=True), None],
        "density": [Interval(0, 1, closed="right"), None],
    }
)
def solve(
    C: Any,
    a: Any = None,
    b: Any = None,
    reg: float | None = None,
    *,
    method: str = "auto",
    reg_relative: bool = False,
    tol: float | None = None,
    max_iter: int | None = None,
    max_time: float | None = None,
    init: Any = None,
    callback: Any = None,
    verbose: int = 0,
    n_threads: int | None = None,
    dtype: Any = None,
    n_sinkhorn: int | None = None,
    density: float | None = None,
    copy: bool = False,
) -> OTResult:
    """Entropic optimal transport between two discrete distributions.

    Minimises ``<C, P> + reg sum P (log P - 1)`` over plans P >= 0 with row sums `a` and
    column sums `b`, to machine precision if asked, and certifies the answer.

    Parameters
    ----------
    C : array-like of shape (n, m)
        Cost of moving a unit of mass, finite, of any sign; float32 and float64 are
        kept, integers become float64.  C and Fortran order are used without a copy
        unless some masses are zero, one side is 16 times longer, or a constant is more
        than four times the range, which is subtracted; never modified.
    a : array-like of shape (n,), optional
        Source masses, non-negative; uniform with sum 1 if not given.
    b : array-like of shape (m,), optional
        Target masses.  Its sum may differ from that of `a` by 1e-8 relative (1e-5 if
        either is float32), and is rescaled.
    reg : float
        Regularisation in units of C: the literature's epsilon, 1/eta of the SNS paper.
        Required: there is no sensible default.  At least 1e-14 of the largest ``|C|``
        that every plan uses.
    method : {"auto", "sns", "ssns", "sinkhorn"}, default="auto"
        "auto": annealed truncated Newton on the semi-dual with a certified sparse
        support, the fastest and the one that copes with tiny `reg`.  "sns":
        Sinkhorn-Newton-Sparse as published [1]_.  "ssns": safe and sparse Newton [2]_.
        "sinkhorn": Sinkhorn on a stored plan, or in
        the log domain where that does not fit; it never overflows.
    reg_relative : bool, default=False
        Whether `reg` is relative to ``max(C) - min(C)``; without effect on a constant
        cost.
    tol : float, optional
        Bound on the marginal error ``||P 1 - a||_1 + ||P' 1 - b||_1`` relative to the
        mass; 1e-9, or 1e-5 for a float32 cost.
    max_iter : int, optional
        Limit on iterations (passes and Newton steps together): 2000 for "auto", 100 000
        for "sinkhorn", 1000 for the others.
    max_time : float, optional
        Limit in seconds.
    init : OTResult or tuple of (f, g), optional
        Potentials to start from, for instance of a neighbouring problem.
    callback : callable, optional
        Called after each iteration with a read-only state: ``n_iter``, ``elapsed``,
        ``objective``, ``residual``, ``reg``, ``nnz``, ``step``, ``potentials``.  A true
        return value stops the solver.
    verbose : int, default=0
        0 silent, 1 progress bar and summary, 2 a line each half second, 3 every line.
    n_threads : int, optional
        OpenMP threads; all that the process may use if not given, -1 for all
        processors.  The result does not
        depend on it.
    dtype : {"float32", "float64"}, optional
        Type to convert the cost to.  Sums are float64 in any case.
    n_sinkhorn : int, optional
        Method "sns" only: Sinkhorn iterations before the Newton stage, 20 if not given.
    density : float, optional
        Method "sns" only: share of the (n + m)^2 entries of the Hessian that its two
        blocks of plan entries may fill, the paper's lambda; ``4 / (n + m)`` if not
        given.
    copy : bool, default=False
        Whether the result keeps a copy of `C`.  Without one the plan is computed from
        `C` itself when it is asked for, and is an error if `C` was changed by then.

    Returns
    -------
    OTResult
        Potentials, values, bounds, status; the plan is made when it is asked for.

    Raises
    ------
    ValueError
        For a value that is not allowed: the message names parameter and value.
    TypeError
        For an argument of the wrong type.

    Warns
    -----
    ConvergenceWarning
        If `tol` was not reached and no callback asked to stop; the last iterate is
        returned, with its status.

    See Also
    --------
    sparseopt.ot.SinkhornTransport : Estimator for domain adaptation.

    Notes
    -----
    Memory of "auto": the cost, and at most a third of it plus 45 MB for the support.
    "sinkhorn" stores a second matrix of up to 1 GB, "sns" and "ssns" several.  Not for
    costs that do not fit in memory, unbalanced problems, or exact transport (reg = 0).

    References
    ----------
    .. [1] X. Tang, M. Shavlovsky, H. Rahmanian, E. Tardini, K. Thekumparampil, T. Xiao,
       L. Ying, "Accelerating Sinkhorn Algorithm with Sparse Newton Iterations", ICLR
       2024, arXiv:2401.12253, Algorithm 1.
    .. [2] Z. Tang, Y. Qiu, "Safe and Sparse Newton Method for Entropic-Regularized
       Optimal Transport", NeurIPS 2024, Section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt import ot
    >>> x = np.linspace(0, 1, 50)
    >>> C = (x[:, None] - x) ** 2
    >>> result = ot.solve(C, reg=1e-3, tol=1e-12)
    >>> result.status.name, result.marginal_error < 1e-12
    ('CONVERGED', True)
    >>> f, g = result.potentials
    >>> bool(np.allclose(result.plan, np.exp((f[:, None] + g - C) / 1e-3)))
    True
    """
    C = _cost(C, dtype, reg)
    C, mark = (C.copy(order="K"), None) if copy else (C, fingerprint(C))
    a, b = _marginals(C, a, b)
    reg = _regularisation(C, reg, reg_relative)
    single = C.dtype == np.float32
    tol = max(tol or (1e-5 if single else 1e-9), sys.float_info.min)
    problem = make_problem(C, a, b, reg, n_threads)
    run = _start(problem, (C, a, b), init, tol)
    run.options = _method_options(method, n_sinkhorn=n_sinkhorn, density=density)
    run.monitor = Monitor(
        "ot.solve",
        tol=tol,
        max_iter=max_iter or _MAX_ITER[method],
        max_time=max_time,
        verbose=verbose,
        callback=callback,
        fields=("reg", "nnz", "step"),
        state={"potentials": lambda: expand(run.problem, run.duals, C, a, b)[:2]},
    )
    with run.monitor:
        status = _solve(run, _METHODS[method])
        result = _result(run, status, (C, a, b), reg, mark)
        run.monitor.finish(
            result.status,
            result.message,
            objective=result.objective,
            residual=result.residual,
        )
    run.monitor.warn_if_not_converged(result.status, result.residual, tol)
    return result


def _cost(C: Any, dtype: Any, reg: float | None) -> np.ndarray:
    C = as_floats(C, "C", ndim=2, dtype=dtype)
    try:
        check_finite(C, "C")
    except ValueError as error:
        finite = np.isfinite(C)
        if not finite.any() or not (C[~finite] == np.inf).all():
            raise
        low, high = float(C[finite].min()), float(C[finite].max())
        # an exchange of mass along a cycle has at most min(n, m) entries of each sign
        enough = high + min(C.shape) * (high - low) + 50 * (reg or 0.0)
        raise ValueError(
            f"{error} For a forbidden pair use a finite cost: from {enough:.2e} on it "
            "gets no mass wherever the other pairs suffice, and larger ones cost no "
            "accuracy."
        ) from None
    return C


def _marginals(C: np.ndarray, a: Any, b: Any) -> tuple[np.ndarray, np.ndarray]:
    n, m = C.shape
    a = as_distribution(a, n, "a")
    b = as_distribution(b, m, "b")
    loose = np.float32 in (a.dtype, b.dtype)
    a, b = a.astype(np.float64, copy=False), b.astype(np.float64, copy=False)
    mass_a, mass_b = math.fsum(a), math.fsum(b)
    for name, mass in (("a", mass_a), ("b", mass_b)):
        if not _LEAST_MASS < mass < 1 / _LEAST_MASS:
            raise ValueError(
                f"The {name!r} array must have a sum between {_LEAST_MASS:g} and "
                f"{1 / _LEAST_MASS:g}. Got {mass:.3g}; normalise both arrays."
            )
    if abs(mass_a - mass_b) > (1e-5 if loose else 1e-8) * mass_a:
        raise ValueError(
            "The 'a' and 'b' arrays must have the same sum. Got "
            f"{mass_a:.10g} and {mass_b:.10g}; normalise them, since unbalanced "
            "transport is not supported."
        )
    a, b = (np.where(w < _NO_MASS * mass_a, 0.0, w) for w in (a, b * (mass_a / mass_b)))
    return a, b


def _regularisation(C: np.ndarray, reg: float | None, relative: bool) -> float:
    if reg is None:
        raise TypeError(
            "The 'reg' parameter of sparseopt.ot.solve is required: a positive float "
            "in units of the cost, or a share of its range with reg_relative=True."
        )
    if not relative:
        return float(reg)
    span = min(float(C.max()) - float(C.min()), sys.float_info.max)
    if span > 0 and not 0 < float(reg) * span < math.inf:
        raise ValueError(
            "The 'reg' parameter of sparseopt.ot.solve times the range of the cost, "
            f"{span:.3g}, must be a positive float. Got {reg!r}; rescale the cost."
        )
    return float(reg) * span if span > 0 else float(reg)


def _method_options(method: str, **options: Any) -> dict[str, Any]:
    """Options of method "sns"; an error where another method would ignore them."""
    given = [name for name, value in options.items() if value is not None]
    if given and method != "sns":
        raise ValueError(
            f"The {given[0]!r} parameter of sparseopt.ot.solve is for method='sns' "
            f"only. Got method={method!r}."
        )
    return options


def _start(problem: Problem, data: tuple, init: Any, tol: float) -> Run:
    C, _, _ = data
    duals = Duals.start(problem, _initial(problem, C, init))
    return Run(
        problem,
        duals,
        tol,
        memory=0.35 * C.nbytes + 45e6,
        warm_started=init is not None,
    )


def _initial(problem: Problem, C: np.ndarray, init: Any) -> tuple | None:
    """Potentials of the problem's own rows and columns from the caller's."""
    if init is None:
        return None
    pair = init.potentials if isinstance(init, OTResult) else init
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(
            "The 'init' parameter of sparseopt.ot.solve must be an OTResult, a pair of "
            f"potentials or None. Got {describe(init)}."
        )
    f = as_vector(pair[0], "init[0]", C.shape[0]) - problem.offset
    g = as_vector(pair[1], "init[1]", C.shape[1])
    sides = (g, f) if problem.transposed else (f, g)
    f, g = (
        (v if i is None else v[i]) / problem.unit
        for v, i in zip(sides, problem.keep, strict=True)
    )
    return f - problem.reg * math.log(problem.mass), g


def _solve(run: Run, method: Any) -> Status:
    """Run a method; whatever ends it, the potentials of `run` are its answer."""
    try:
        return method(run)
    except Stop as stop:
        return stop.status
    except KeyboardInterrupt:
        return Status.INTERRUPTED


def _result(
    run: Run, status: Status, data: tuple, reg: float, mark: int | None
) -> OTResult:
    p, (C, a, b) = run.problem, data
    current = run.dense.at is run.duals and run.duals.reg == p.reg
    # an interrupt may have come within an update
    if not (current and run.duals.measured) or status is Status.INTERRUPTED:
        run.dense.evaluate(run.duals, p.reg)
    proof = certify(run)
    error = run.duals.err + proof.row_error
    if not math.isfinite(error):
        status = Status.NUMERICAL_FAILURE
    elif error <= run.tol and status in _REACHED:
        status = Status.CONVERGED
    elif error > run.tol and status is Status.CONVERGED:
        status = Status.PRECISION  # rows are exact only up to the rounding of f
    f, g, inner = expand(p, run.duals, C, a, b)
    return OTResult(
        potentials=(f, g),
        value=proof.value,
        value_linear=proof.value_linear,
        value_entropic=proof.value_entropic,
        lower_bound=proof.lower_bound,
        marginal_error=error,
        reg=reg,
        n_newton=run.n_newton,
        n_cg=run.n_cg,
        n_dense_passes=run.dense.n_passes + 1,
        status=status,
        n_iter=run.n_iter,
        objective=proof.value_entropic,
        residual=error,
        gap=proof.gap,
        history=run.monitor.history(),
        elapsed=run.monitor.elapsed,
        _cost=C,
        _masses=(a, b),
        _mark=mark,
        _inner=(inner, p.offset) if p.offset else None,
    )


# Ends that a tolerance reached at the last moment turns into success.
_REACHED = (Status.MAX_ITER, Status.STALLED, Status.PRECISION, Status.TIME_LIMIT)


def expand(
    p: Problem, d: Duals, C: np.ndarray, a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Potentials f, g of all the caller's rows and columns, with mean(g) = 0.

    Third, `f` for the cost less its offset, which `f` itself rounds to its digits.
    """
    m = p.shape[1]
    # before the first pass no reg belongs to the potentials
    reg = d.reg if math.isfinite(d.reg) else p.reg
    pair = [d.f + reg * math.log(p.mass), d.g[:m]]
    if p.transposed:
        pair = pair[::-1]
    keep = p.keep[::-1] if p.transposed else p.keep
    shift = pair[1].mean()
    with np.errstate(over="ignore"):
        f, g = p.unit * (pair[0] + shift), p.unit * (pair[1] - shift)
    if p.unit > 1 and (np.isinf(f).any() or np.isinf(g).any()):
        raise ValueError(
            "The range of the 'C' array is too large for potentials in float64. Got "
            f"entries up to {p.size * p.unit:.3g}; divide 'C' and 'reg' by a constant."
        )
    if keep[0] is None and keep[1] is None:
        return f + p.offset, g, f
    full_f, full_g = np.empty(C.shape[0]), np.empty(C.shape[1])
    rows = slice(None) if keep[0] is None else keep[0]
    columns = slice(None) if keep[1] is None else keep[1]
    full_f[rows], full_g[columns] = f, g
    if keep[1] is not None:
        out = b == 0
        full_g[out] = ((C[rows][:, out] - p.offset) - f[:, None]).min(axis=0)
    if keep[0] is not None:
        out = a == 0
        full_f[out] = ((C[out][:, columns] - p.offset) - g).min(axis=1)
    return full_f + p.offset, full_g, full_f
