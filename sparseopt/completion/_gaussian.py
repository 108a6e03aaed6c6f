"""A Gaussian, fitted to rows with missing entries by EM.

The expected rows given what is observed have conditional means in place of what is
missing; their scatter, and the conditional covariances, give the next mean and
covariance.  The prior has the weight of ``alpha`` rows for each row: rows of
independent columns with the conditional variances of the columns.  It is the one that
maximises the posterior, and depends neither on scales nor on how strongly columns are
related.

With a rank the covariance is one of that rank plus a diagonal (factor analysis): the
likeliest for the scatter, by alternating between both parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from scipy.linalg import eigh, lapack

from sparseopt._core._status import Status
from sparseopt.completion._patterns import fill, own_precisions

# Variances that are added to those of each column, relative to them.  The last is what
# correlations of one leave the precision matrix; the first what columns that are nearly
# constant need.  A smaller one is tried where a column has a tenth of it left to vary.
FLOORS = (1e-2, 1e-4, 1e-6, 1e-9)
_NEAR = 0.1
# Part of a column's variance that factors cannot have; steps between both parts.
_LEAST, _ALTERNATE = 1e-9, 5
_CHUNKS = 16
_LOG_2PI = math.log(2 * math.pi)
# Weights of the prior that are tried, in units of half a row for each column.
_GRID = (8.0, 4.0, 2.0, 1.0)
# Columns for each row below which the least of them is as good as any.
_MANY_ROWS = 0.05
# Tolerance of a trial, relative to that of the fit.
_ROUGH = 2.0
# Squared error, relative to the least, that better densities may cost.
_ROOM = 1.01
# Rows by which models are judged.
_JUDGED = 512
# Largest ratio of successive steps that is believed.
_SLOWEST = 0.9


class Patterns:
    """Rows grouped by which entries they miss.

    Parameters
    ----------
    seen : ndarray of bool of shape (n, p)
    n_threads : int
    """

    def __init__(self, seen: np.ndarray, n_threads: int = 1) -> None:
        n, p = seen.shape
        packed = np.packbits(seen, axis=1)
        width = packed.shape[1]
        if width <= 8:  # a number sorts faster than bytes
            wide = np.zeros((n, 8), np.uint8)
            wide[:, :width] = packed
            keys = wide.view(np.uint64)[:, 0]
        else:
            keys = np.ascontiguousarray(packed).view(f"V{width}")[:, 0]
        _, first, group = np.unique(keys, return_index=True, return_inverse=True)
        self.group = group.ravel()
        self.rows = np.argsort(self.group, kind="stable")
        counts = np.bincount(self.group, minlength=len(first))
        self.starts = _pointers(counts)
        lacks = ~seen[first]
        m = lacks.sum(axis=1)
        self.places = _pointers(m)
        self.missing = np.nonzero(lacks)[1].astype(np.int64)
        self.n_missing = m[self.group]
        self.n_threads = n_threads
        # as many matrices of sums as the table has room for
        chunks = max(1, min(_CHUNKS, n // (2 * p)))
        work = np.cumsum(m.astype(np.float64) ** 3 + counts * (m**2 + 1.0))
        cuts = np.searchsorted(work, np.linspace(0, work[-1], chunks + 1)[1:-1])
        self.chunks = np.concatenate([[0], cuts, [len(first)]]).astype(np.int64)

    def expect(self, L: np.ndarray, Z: np.ndarray, w: np.ndarray) -> Expected:
        """Conditional means of centred rows into Z, where they miss entries."""
        G = Z @ L
        quad = np.einsum("ij,ij->i", G, Z)
        logdet, moved = np.zeros(len(Z)), np.zeros(len(Z))
        C = np.zeros((len(self.chunks) - 1, *L.shape))
        good = fill(
            L, G, self.starts, self.rows, self.places, self.missing, w, Z, C, quad,
            logdet, moved, self.chunks, self.n_threads,
        )  # fmt: skip
        if not good:
            raise np.linalg.LinAlgError("the precision matrix is not positive definite")
        return Expected(C.sum(axis=0), quad, logdet, moved)

    def own(self, L: np.ndarray) -> np.ndarray:
        """Inverse conditional variances of entries given the others of their rows."""
        out = np.empty((len(self.rows), len(L)))
        own_precisions(L, self.starts, self.rows, self.places, self.missing, out)
        return out

    def draw(self, L: np.ndarray, Z: np.ndarray, rng: np.random.Generator) -> None:
        """Add noise of the conditional covariances to the missing entries of Z."""
        for g in range(len(self.starts) - 1):
            at = self.missing[self.places[g] : self.places[g + 1]]
            rows = self.rows[self.starts[g] : self.starts[g + 1]]
            if len(at):
                root = np.linalg.cholesky(L[np.ix_(at, at)])
                noise = rng.standard_normal((len(at), len(rows)))
                Z[np.ix_(rows, at)] += np.linalg.solve(root.T, noise).T


@dataclass
class Expected:
    """What the expectation step finds.

    The weighted sum of conditional covariances, and of each row its squared distance,
    log|L_MM|, and squared steps in conditional variances.
    """

    cov: np.ndarray
    quad: np.ndarray
    logdet: np.ndarray
    moved: np.ndarray


def _pointers(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


@dataclass
class Gaussian:
    """Mean and covariance, the weight of the prior that shrinks it, and its rank."""

    mean: np.ndarray
    cov: np.ndarray
    alpha: float = 0.0
    floor: float = FLOORS[-1]
    rank: int | None = None
    precision: np.ndarray = field(init=False)
    logdet: float = field(init=False)

    def __post_init__(self) -> None:
        factor, info = lapack.dpotrf(self.cov, lower=1)
        if info:
            raise np.linalg.LinAlgError("the covariance is not positive definite")
        self.logdet = 2 * float(np.log(factor.diagonal()).sum())
        inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
        lower = np.tril(inverse)
        self.precision = np.ascontiguousarray(lower + np.tril(inverse, -1).T)


@dataclass
class Rows:
    """A table in work: Z is centred at ``mean``, with guesses where it is not seen."""

    Z: np.ndarray
    seen: np.ndarray
    w: np.ndarray
    mean: np.ndarray
    n_threads: int = 1
    patterns: Patterns = field(init=False)

    def __post_init__(self) -> None:
        self.find_patterns()

    def find_patterns(self) -> None:
        """Group rows anew, after a change of what counts as seen."""
        self.patterns = Patterns(self.seen, self.n_threads)
        self.total = float(self.w.sum())
        self.n_missing = float(self.w @ self.patterns.n_missing)

    def expect(self, model: Gaussian) -> Expected:
        """Conditional means of the model in place of what is missing."""
        self.recentre(model.mean)
        return self.patterns.expect(model.precision, self.Z, self.w)

    def recentre(self, mean: np.ndarray) -> None:
        shift = mean - self.mean
        if shift.any():
            self.Z -= shift
            self.mean = mean.copy()

    def left_out(
        self, model: Gaussian, at: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """What each observed entry differs from its prediction, and by how much it may.

        The prediction is by the others of its row, of a model fitted without the row
        (by the formulas for one observation less).  Needs the means of `expect`.

        Parameters
        ----------
        model : Gaussian
        at : ndarray of int of shape (m,)
            Which rows.

        Returns
        -------
        residuals : ndarray of shape (m, p)
            Zero where nothing is seen.
        precisions : ndarray of shape (m, p)
            Inverse conditional variances.
        """
        Z, w, seen = self.Z[at], self.w[at], self.seen[at]
        patterns = self.patterns if len(at) == len(self.Z) else Patterns(seen)
        own = patterns.own(model.precision)
        G = Z @ model.precision
        share = w / (self.total * (1 + model.alpha))
        leverage = share * np.einsum("ij,ij->i", G, Z) + w / self.total
        kept = 1 - np.minimum(leverage, 0.99)
        divisor = own * kept[:, None] + share[:, None] * G * G
        return np.divide(G, divisor, out=np.zeros_like(G), where=seen), own


@dataclass
class Fit:
    """What came of the iterations."""

    model: Gaussian
    status: Status
    n_iter: int
    objective: float
    residual: float


Watch = Callable[[int, float, float, Gaussian], Status | None]


def fit_gaussian(
    rows: Rows, alpha: float | str, *, tol: float, centre: bool, watch: Watch,
    rank: int | None = None, start: Gaussian | None = None,
) -> Fit:  # fmt: skip
    """Mean and covariance of greatest posterior density.

    Parameters
    ----------
    rows : Rows
        About standardised; their missing entries are filled.
    alpha : float or "auto"
        Weight of the prior relative to the rows; "auto" takes half a row for each
        column, or more where that predicts observed entries better.
    tol : float
        Bound on what missing entries have left to go, root mean square, in units of
        their conditional standard deviation, and on the change of the logarithms of
        conditional variances.
    centre : bool
        Whether the mean is fitted.
    rank : int or None
        Of the covariance beside its diagonal; None does not limit it.
    watch : callable
        Told the number of iterations, the objective, the residual and the model.
    start : Gaussian, optional
        Where to start.
    """
    p = rows.Z.shape[1]
    if start is None:
        start = Gaussian(rows.mean, np.eye(p))
    start = replace(start, rank=rank)
    em = partial(_em, rows, tol=tol, centre=centre, watch=watch)
    if alpha != "auto":
        return em(replace(start, alpha=float(alpha)))
    unit = 0.5 * p / max(float(np.count_nonzero(rows.w)), 1.0)
    start = replace(start, alpha=unit, floor=FLOORS[0])
    rough = partial(em, tol=_ROUGH * tol)
    fit = None
    if 2 * unit > _MANY_ROWS:
        alphas = [unit * g for g in _GRID]
        fit = _best(rows, rough, start, None, _squares, alpha=alphas)
        start = fit.model
    if fit is None or fit.status is Status.CONVERGED:
        fit = em(start, n_iter=fit.n_iter if fit else 0)
    if fit.status is Status.CONVERGED and _close(fit.model):
        fit = _best(rows, em, fit.model, fit, _scores, floor=FLOORS[1:])
        if fit.status is Status.CONVERGED:
            fit = em(fit.model, n_iter=fit.n_iter)
    return fit


def _close(model: Gaussian) -> bool:
    """Whether the floor may hold up the conditional variance of a column."""
    return bool(model.precision.diagonal().max() * model.floor > _NEAR)


def _best(
    rows: Rows, run: Any, model: Gaussian, best: Fit | None, score: Any, **grid: Any
) -> Fit:
    """The model of a descending grid that predicts observed entries best."""
    ((name, values),) = grid.items()
    n, least, squares = 0, math.inf, math.inf
    if best is not None:
        n, (least, squares) = best.n_iter, score(rows, model)
    for value in values:
        fit = run(replace(model, **{name: value}), n_iter=n)
        model, n = fit.model, fit.n_iter
        if fit.status is not Status.CONVERGED:
            return fit if best is None else replace(best, status=fit.status, n_iter=n)
        found = score(rows, model)
        if best is not None and (found[0] >= least or found[1] > _ROOM * squares):
            break
        best, (least, squares) = fit, found
    assert best is not None
    return replace(best, n_iter=n)


def _squares(rows: Rows, model: Gaussian) -> tuple[float, float]:
    """Squared errors of observed entries, each predicted by the others of its row."""
    squares = _scores(rows, model)[1]
    return squares, squares


def _scores(rows: Rows, model: Gaussian) -> tuple[float, float]:
    """Minus the logarithms of the densities of observed entries, and squared errors."""
    rows.expect(model)
    at = spread(np.flatnonzero(rows.w > 0), _JUDGED)
    residuals, own = rows.left_out(model, at)
    w, square = rows.w[at], np.square(residuals, out=residuals)
    terms = np.where(rows.seen[at], own * square - np.log(own), 0)
    return float(w @ terms.sum(axis=1)), float(w @ square.sum(axis=1))


def spread(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of them, evenly spread."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def _em(
    rows: Rows, model: Gaussian, *, tol: float, centre: bool, watch: Watch,
    n_iter: int = 0,
) -> Fit:  # fmt: skip
    first, last = n_iter, math.inf
    while True:
        expected = rows.expect(model)
        objective = _objective(rows, model, expected)
        steps = float(rows.w @ expected.moved)
        step = math.sqrt(steps / rows.n_missing) if rows.n_missing else 0.0
        # what is left to go where each step is that part of the one before; the first
        # is of the model that was before
        residual = step / (1 - min(step / last, _SLOWEST)) if last else step
        last = step if n_iter > first else math.inf
        before = model.precision.diagonal()
        model = _maximise(rows, model, expected.cov, centre)
        shrunk = np.log(model.precision.diagonal() / before)
        residual = max(residual, float(np.abs(shrunk).max()))
        n_iter += 1
        stop = watch(n_iter, objective, residual, model)
        if residual <= tol and n_iter > first + 1:
            stop = Status.CONVERGED if stop is None or stop == Status.MAX_ITER else stop
        if stop is not None:
            return Fit(model, stop, n_iter, objective, residual)


def _objective(rows: Rows, model: Gaussian, expected: Expected) -> float:
    """Minus the logarithm of the posterior density, for each row."""
    n_seen = model.precision.shape[0] - rows.patterns.n_missing
    fit = rows.w @ (expected.quad + expected.logdet + n_seen * _LOG_2PI)
    fit = float(fit) / rows.total + model.logdet
    prior = model.logdet + np.log(model.precision.diagonal()).sum()
    floor = model.floor * np.trace(model.precision)
    return 0.5 * float(fit + model.alpha * prior + floor)


def _maximise(rows: Rows, model: Gaussian, C: np.ndarray, centre: bool) -> Gaussian:
    mean = rows.mean
    if centre:
        mean = mean + rows.w @ rows.Z / rows.total
        rows.recentre(mean)
    Z, w = rows.Z, rows.w
    same = (w == w[0]).all()
    S = (Z.T @ Z) * w[0] if same else (Z * w[:, None]).T @ Z
    cov = (S + C) / rows.total
    cov[np.diag_indices(len(cov))] += (
        model.alpha / model.precision.diagonal() + model.floor
    )
    cov /= 1 + model.alpha
    if model.rank is not None and model.rank < len(cov):
        cov = _factored(cov, 1 / model.precision.diagonal(), model.rank)
    return replace(model, mean=mean, cov=cov)


def _factored(cov: np.ndarray, own: np.ndarray, rank: int) -> np.ndarray:
    """Covariance of low rank plus a diagonal that is likeliest for a scatter.

    ``own`` is where the diagonal starts: variances of columns given all others.
    """
    p = len(cov)
    least = _LEAST * cov.diagonal()
    own = np.maximum(own, least)
    for _ in range(_ALTERNATE):
        root = np.sqrt(own)
        values, vectors = eigh(
            cov / np.outer(root, root), subset_by_index=(p - rank, p - 1)
        )
        factors = root[:, None] * vectors * np.sqrt(np.maximum(values - 1, 0))
        common = factors @ factors.T
        own = np.maximum((cov - common).diagonal(), least)
    common[np.diag_indices(p)] += own
    return common
