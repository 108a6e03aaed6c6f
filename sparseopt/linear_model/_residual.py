"""Coordinate descent that keeps the residual, where a Gram matrix is too large."""

from __future__ import annotations

import numpy as np

from sparseopt.linear_model import _kernels
from sparseopt.linear_model._forms import Coordinates
from sparseopt.linear_model._run import Run

_DEPTH = 5  # sweeps that are combined
_ROUNDS = 2000
# What centring leaves of constant columns, relative, squared: of entries that were
# subtracted, and of squares.
_CONSTANT, _CONSTANT_SQUARE = 1e-28, 1e-15


class ResidualDescent:
    """Descent on ``||e||^2 / 2 + P(w)`` with ``e = A w - b`` for columns A of a run.

    ``A = diag(sqrt(s)) (X - 1 mean')``; sparse columns are not centred but treated as
    if they were.

    Attributes
    ----------
    w : ndarray
        Coefficients of the columns.
    """

    def __init__(self, run: Run, part: Coordinates, cols: np.ndarray) -> None:
        datafit, design = run.datafit, run.design
        self.part, self.w = part, run.w[cols].copy()
        root = np.sqrt(datafit.s)
        self.e = root * (run.z - datafit.y)
        self.offset, self.mean = np.zeros(1), np.zeros(cols.size)
        self.sparse = design.kind == "sparse"
        if self.sparse:
            A = design.columns(cols).astype(np.float64)
            A.data *= root[A.indices]
            if datafit.fit_intercept:
                self.mean = np.asarray(A.T @ root)
            raw = np.asarray(A.multiply(A).sum(axis=0)).ravel()
            self.square = raw - self.mean**2
        else:
            A = np.array(design.columns(cols), dtype=np.float64, order="F")
            mean = datafit.s @ A
            if datafit.fit_intercept:
                A -= mean
            A *= root[:, None]
            self.square = np.einsum("ij,ij->j", A, A)
            raw = self.square + datafit.fit_intercept * mean**2
        # that is rounding and no direction: they stay where they are
        least = _CONSTANT_SQUARE if self.sparse else _CONSTANT
        self.square[self.square <= least * raw] = 0.0
        self.A = A

    def sweep(self, n_epochs: int) -> None:
        """Cyclic descent, in place."""
        part = self.part
        if self.sparse:
            head = (self.A.data, self.A.indices, self.A.indptr, self.e, self.offset)
            _kernels.cd_csc(
                *head,
                self.mean,
                self.w,
                self.square,
                part.weights,
                *part.arguments,
                n_epochs,
                0.0,
            )
        else:
            arguments = (part.weights, *part.arguments, n_epochs, 0.0)
            _kernels.cd_dense(self.A, self.e, self.w, self.square, *arguments)

    def gradient(self) -> np.ndarray:
        """``A' e``."""
        if self.sparse:
            return np.asarray(self.A.T @ self.e) - self.offset[0] * self.mean
        return self.A.T @ self.e

    def objective(self) -> float:
        """Half the squared residual plus the penalty."""
        square = float(self.e @ self.e) - float(self.offset[0]) ** 2
        return 0.5 * square + self.part.value(self.w)

    def distance(self) -> float:
        """Largest violation."""
        distance = self.part.distance(self.w, self.gradient(), self.square)
        return float(distance.max(initial=0.0))

    def extrapolate(self, points: np.ndarray) -> None:
        """Anderson's combination of the last points, kept if the objective falls."""
        steps = np.diff(points, axis=0)
        gram = steps @ steps.T
        trace = float(np.trace(gram))
        if not trace > 0.0:
            return
        gram[np.diag_indices_from(gram)] += 1e-12 * trace
        weights = np.linalg.solve(gram, np.ones(len(gram)))
        total = float(weights.sum())
        if not np.isfinite(total) or total == 0.0:
            return
        new = (weights / total) @ points[1:]
        if self.part.positive:
            new = np.maximum(new, 0.0)
        if self.part.kind == "box":
            new = self.part.clip(new, new)
        saved = self.w, self.e, self.offset, self.objective()
        step = new - self.w
        self.w, self.e = new, self.e + np.asarray(self.A @ step)
        self.offset = self.offset + self.mean @ step
        if not self.objective() < saved[3]:
            self.w, self.e, self.offset = saved[:3]


def minimise_columns(
    run: Run, part: Coordinates, cols: np.ndarray, tol: float
) -> tuple[np.ndarray, float]:
    """Coefficients with violations up to `tol`, and the largest that is left."""
    state = ResidualDescent(run, part, cols)
    worst = np.inf
    points = [state.w.copy()]
    for _ in range(_ROUNDS):
        state.sweep(1)
        run.n_epochs += 1
        points.append(state.w.copy())
        if len(points) <= _DEPTH:
            continue
        state.extrapolate(np.array(points))
        points = [state.w.copy()]
        worst = state.distance()
        if worst <= tol or run.expired() or not np.isfinite(worst):
            break
    return state.w, worst
