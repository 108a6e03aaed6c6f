"""The transport problem as the solvers see it, and the working state they share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sparseopt._core._threads import Pace, effective_n_threads
from sparseopt.ot import _kernels

# Costs outside these bounds are divided by their range, so that neither 1/reg nor a
# difference of costs leaves the range of float64.
_SMALL, _LARGE = 1e-250, 1e250
# A cost whose largest entry is so many ranges large is solved less its minimum, which
# is exact: nothing but the range is left of what potentials round against.
_OFFSET = 4.0
_CHUNK = 1_000_000  # entries of temporary arrays
# Smallest reg, relative to the costs that every plan uses: 45 units of their rounding.
_RESOLVED = 1e-14


@dataclass(frozen=True)
class Problem:
    """Entropic transport with positive marginals, stored so that kernels can use it.

    Rows are the contiguous direction of the caller's matrix (``transposed`` says that
    this is its columns), rows and columns without mass are left out, masses sum to one.
    """

    C: np.ndarray  # (n, m), C-contiguous, float32 or float64
    a: np.ndarray  # (n,) float64
    b: np.ndarray  # (mp,) float64, padded with zeros to whole blocks
    reg: float
    mass: float  # of the caller's marginals; 1 here
    span: float  # max C - min C
    size: float  # max |C|: what potentials round against
    unit: float  # C here is the caller's cost less the offset, divided by this
    offset: float
    transposed: bool
    keep: tuple[np.ndarray | None, np.ndarray | None]
    whole: int  # rows and columns of the caller's matrix, those without mass included
    loga: np.ndarray
    logb: np.ndarray  # (m,)
    rows: np.ndarray  # boundaries of row blocks
    n_threads: int
    pace: Pace  # of the kernels that iterate

    @property
    def shape(self) -> tuple[int, int]:
        return self.C.shape

    @property
    def padded(self) -> int:
        return self.b.shape[0]


def make_problem(
    C: np.ndarray, a: np.ndarray, b: np.ndarray, reg: float, n_threads: int | None
) -> Problem:
    """Problem for validated arrays; copies `C` only where its layout asks for it."""
    whole = sum(C.shape)
    keep = _with_mass(a), _with_mass(b)
    for axis, index in enumerate(keep):
        if index is not None:
            C = C.take(index, axis=axis)
    a, b = (w if i is None else w[i] for w, i in zip((a, b), keep, strict=True))
    # C order as it is, Fortran order through its transpose; a matrix with few long
    # rows is copied, since work is divided by rows.
    n, m = C.shape
    transposed = not C.flags.c_contiguous and C.flags.f_contiguous
    if 16 * (m if transposed else n) < (n if transposed else m):
        transposed = not transposed
    if transposed:
        C, a, b, keep = C.T, b, a, (keep[1], keep[0])
    C = np.ascontiguousarray(C)
    low, high = float(C.min()), float(C.max())
    span, unit, offset = high - low, 1.0, 0.0
    if max(-low, high) > _OFFSET * span:
        C, offset, low, high = C - C.dtype.type(low), low, 0.0, span
    if not (span == 0 or _SMALL < span) or not max(-low, high) < _LARGE:
        unit = max(-low, high) if not math.isfinite(span) else max(span, -low, high)
        unit = max(unit, reg / _LARGE)  # beyond that the cost does not count
        C = (C / unit).astype(np.float64)
        low, high = float(C.min()), float(C.max())
        span = high - low
    size, reg = max(-low, high), reg / unit
    _check_resolved(C, reg, size, unit)
    n, m = C.shape
    threads = effective_n_threads(n_threads, n * m * 0.1e-9)
    mass = math.fsum(a)
    a = np.asarray(a, dtype=np.float64) / mass
    b_padded = np.zeros(_kernels.padded(m))
    b_padded[:m] = np.asarray(b, dtype=np.float64) / math.fsum(b)
    return Problem(
        C=C,
        a=a,
        b=b_padded,
        reg=reg,
        mass=mass,
        span=span,
        size=size,
        unit=unit,
        offset=offset,
        transposed=transposed,
        keep=keep,
        whole=whole,
        loga=np.log(a),
        logb=np.log(b_padded[:m]),
        rows=_kernels.row_blocks(n, m),
        n_threads=threads,
        pace=Pace(threads),
    )


def _check_resolved(C: np.ndarray, reg: float, size: float, unit: float) -> None:
    """Refuse a `reg` below the rounding of costs that every plan has to use."""
    if reg >= _RESOLVED * size:
        return
    used = max(float(np.abs(C).min(axis=k).max()) for k in (0, 1))
    if reg < _RESOLVED * used:
        raise ValueError(
            "The 'reg' parameter of sparseopt.ot.solve must be at least "
            f"{_RESOLVED * used * unit!r}, {_RESOLVED:g} of the largest cost that "
            "every plan uses: below that float64 cannot hold the potentials. Got "
            f"{reg * unit!r}; subtract the minimum from a cost with a large offset, "
            "or regularise more."
        )


def _with_mass(w: np.ndarray) -> np.ndarray | None:
    """Indices with mass; None for all."""
    return None if (w > 0).all() else np.flatnonzero(w)


class Duals:
    """Potentials under iteration: `f` is the exact row update of `g` at the last `reg`.

    Attributes
    ----------
    f, g, c : ndarray
        Row potentials, padded column potentials, padded column sums of the plan.
    err : float
        ``||c - b||_1``; the rows are exact.
    value : float
        Dual objective ``<a, f> + <b, g>``.
    reg : float
        Regularisation for which `f` is exact.
    measured : bool
        Whether all of this belongs together: columns can be ahead by an update.
    """

    __slots__ = ("c", "err", "f", "g", "measured", "reg", "value")

    def __init__(self, f: np.ndarray, g: np.ndarray) -> None:
        self.f, self.g, self.c = f, g, np.zeros_like(g)
        self.err, self.value, self.reg = math.inf, -math.inf, math.nan
        self.measured = False

    @classmethod
    def start(cls, problem: Problem, init: tuple | None) -> Duals:
        n, m = problem.shape
        duals = cls(np.zeros(n), np.zeros(problem.padded))
        if init is not None:
            duals.f[:], duals.g[:m] = init
            if float(np.ptp(duals.g[:m])) > 2 * _reach(problem):
                duals.g[:m] = _c_concave(problem.C, duals.g[:m])
            duals.recentre(m)
        return duals

    def copy(self) -> Duals:
        twin = Duals(self.f.copy(), self.g.copy())
        twin.c, twin.err = self.c.copy(), self.err
        twin.value, twin.reg, twin.measured = self.value, self.reg, self.measured
        return twin

    def moved(self, step: np.ndarray) -> Duals:
        """Trial point with other column potentials; its `f` is still to be updated."""
        return Duals(self.f.copy(), self.g + step)

    def measure(self, problem: Problem, reg: float) -> None:
        """Error and dual objective from the current `f`, `g` and `c`."""
        m = problem.shape[1]
        self.reg, self.measured = reg, True
        self.err = float(np.abs(self.c[:m] - problem.b[:m]).sum())
        self.value = float(problem.a @ self.f + problem.b @ self.g)

    def rounding(self, problem: Problem, reg: float) -> float:
        """Marginal error that rounding of ``(f + g - C) / reg`` alone can cause.

        Where there is mass the cost is ``f + g`` to within some `reg`, so the size of
        the potentials counts, not that of costs that the plan avoids.
        """
        size = max(float(np.abs(self.f).max()), float(np.abs(self.g).max()))
        eps = np.finfo(np.float64).eps
        return eps * (5 * size / reg + math.sqrt(problem.shape[1]) + 10)

    def recentre(self, m: int) -> None:
        """Move a constant, which would cost digits, from `g` to `f`."""
        shift = np.median(self.g[:m])
        self.g[:m] -= shift
        self.f += shift

    def scale_columns(self, problem: Problem, reg: float, floor: float) -> None:
        """Update columns, ``g += reg log(b / c)``; `c` is known down to `floor`."""
        m = problem.shape[1]
        c, b = self.c[:m], problem.b[:m]
        step = problem.logb - np.log(np.maximum(c, floor))
        self.measured = False
        self.g[:m] += reg * np.where((c < floor) & (b < floor), 0.0, step)


def _reach(problem: Problem) -> float:
    """Bound on the range of optimal column potentials."""
    return problem.span + problem.reg * float(np.ptp(problem.logb))


def _c_concave(C: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Twice the c-transform: potentials as good at reg = 0, of no larger range than C.

    A start that is further off has columns whose mass underflows, from where no step of
    any method leads back.
    """
    out = np.full(len(g), np.inf)
    step = max(1, _CHUNK // len(g))
    for start in range(0, len(C), step):
        part = C[start : start + step]
        f = (part - g).min(axis=1, keepdims=True)
        out = np.minimum(out, (part - f).min(axis=0))
    return out
