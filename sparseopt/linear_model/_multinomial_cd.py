"""Solver "multinomial_cd": block coordinate descent for several classes.

The rows of coefficients are the blocks, on a working set of features that grows until
none outside wants to leave zero.  Every few epochs the iterates are extrapolated, where
that lowers the objective.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sparseopt._core._status import Status
from sparseopt.linear_model._datafit import Datafit
from sparseopt.linear_model._datafits_more import Multinomial
from sparseopt.linear_model._multinomial import Model, dense_epoch, sparse_epoch
from sparseopt.linear_model._run import Run
from sparseopt.prox import (
    L1,
    ElasticNet,
    GroupLasso,
    NoPenalty,
    Ridge,
    SparseGroupLasso,
)

_DEPTH = 5  # of the extrapolation
_EPOCHS = 200  # between two looks at the whole problem
_IDLE = 10  # rounds in which the objective does not fall
_INNER = 0.03  # share of the violation that is left on a working set
_SMALLEST = 100  # features that are always worked on together
_FLAT = 1e-4  # least curvature of a sample
_CHUNK = 20_000_000  # operations of one call of the kernel, about


class Row(NamedTuple):
    """Penalty of a row: levels of its l1 norm, half its square, and its length."""

    l1: np.ndarray
    l2: np.ndarray
    group: np.ndarray
    positive: bool


def unfit(datafit: Datafit, penalty: Any) -> str | None:
    """Why the problem cannot be solved."""
    if type(datafit) is not Multinomial:
        return "it is for the multinomial loss"
    if datafit.design.kind == "operator":
        return "it needs the columns of X, not an operator"
    if row_penalty(penalty, datafit.design.p) is None:
        return "it needs an l1, elastic net, ridge or group penalty of rows"
    return None


def row_penalty(penalty: Any, p: int) -> Row | None:
    """The penalty as the kernel knows it; None if it does not."""
    zero = np.zeros(p)
    kind = type(penalty)
    if kind is NoPenalty:
        return Row(zero, zero, zero, False)
    if kind in (L1, ElasticNet, Ridge):
        weights = getattr(penalty, "weights", None)
        if weights is not None and weights.shape != (p,):
            return None
        form = penalty.coordinate(p)
        if form is None:
            return None
        share = 1.0 if form.kind == "l1" else form.params[0] if form.params else 0.0
        level = form.lam * (np.ones(p) if weights is None else weights)
        return Row(share * level, (1.0 - share) * level, zero, form.positive)
    if kind in (GroupLasso, SparseGroupLasso) and penalty.rows:
        parts = penalty.parts((p,))
        if parts.groups.size != 1:
            return None
        weights = np.ones(p) if parts.weights is None else parts.weights
        share = penalty.l1_ratio if kind is SparseGroupLasso else 0.0
        lam = float(penalty.lam)
        return Row(zero + share * lam, zero, (1.0 - share) * lam * weights, False)
    return None


def solve(run: Run) -> Status:
    """Descend on working sets until the certificate holds."""
    state = _State(run)
    size, best, idle = _SMALLEST, np.inf, 0
    while True:
        run.record()
        state.take()
        score = run.penalty.subdiff_distance(run.w, run.gradient())
        score = score.reshape(run.w.shape[0], -1).max(axis=1)
        used = np.any(run.w != 0, axis=1)
        size = max(size, 2 * int(np.count_nonzero(used)))
        cols = _working_set(score, used, size)
        state.descend(cols, _INNER * float(score.max()))
        run.set_point(state.w.copy(), intercept=state.b.copy())
        # values stop falling before slopes do
        now = run.objective()
        idle = 0 if now < best else idle + 1
        best = min(best, now)
        if idle > _IDLE:
            return Status.PRECISION


def _working_set(score: np.ndarray, used: np.ndarray, size: int) -> np.ndarray:
    """Features in use, and those that want to leave zero most."""
    if size >= len(score):
        return np.arange(len(score))
    order = np.where(used, np.inf, score)
    return np.sort(np.argpartition(-order, size)[:size]).astype(np.int64)


class _State:
    """Arrays of the kernel, and the way there and back."""

    def __init__(self, run: Run) -> None:
        self.run, self.design = run, run.design
        self.datafit: Any = run.datafit
        row = row_penalty(run.penalty, run.design.p)
        assert row is not None
        X = run.design.X
        self.sparse = run.design.kind == "sparse"
        self.X: Any = X if self.sparse else np.asfortranarray(X)
        self.w, self.b = run.w.copy(), np.array(run.intercept, dtype=np.float64)
        self.z = run.z.copy()
        arrays = {
            "z": self.z, "y": run.datafit.y, "s": run.datafit.s, "w": self.w,
            "b": self.b, "l1": row.l1, "l2": row.l2, "group": row.group,
            "curvature": np.zeros(len(self.w)), "curvature_b": np.zeros(1),
        }  # fmt: skip
        self.curvature, self.curvature_b = arrays["curvature"], arrays["curvature_b"]
        self.bound = 0.5 * run.design.square_norms(run.datafit.s)
        self.model = Model(arrays, row.positive, run.datafit.fit_intercept)
        nnz = X.nnz if self.sparse else X.size
        self.cost = 30.0 * self.w.shape[1] * nnz / self.design.p + 1.0

    def take(self) -> None:
        """Start from the point of the run."""
        self.w[:], self.b[:], self.z[:] = self.run.w, self.run.intercept, self.run.z
        self.model.refresh()
        self.safety = 1.0
        self.bend()

    def bend(self) -> None:
        """Curvatures of the blocks at the present point, times a safety factor.

        The matrix diag(p) - p p' of a sample is below twice its diagonal, and below one
        half.  It changes with the steps: where the objective rises, the factor does
        too, until the bound is that of all points.
        """
        p = self.datafit.probabilities(self.z)
        steep = self.safety * np.maximum(2.0 * (p * (1.0 - p)).max(axis=1), _FLAT)
        steep = self.run.datafit.s * np.minimum(steep, 0.5)
        np.minimum(self.design.square_norms(steep), self.bound, out=self.curvature)
        self.curvature_b[0] = steep.sum()

    def _epoch(self, cols: np.ndarray) -> float:
        """One step of each feature, in parts between which the keyboard counts."""
        worst, most = 0.0, max(1, int(_CHUNK / self.cost))
        for start in range(0, len(cols), most):
            part = cols[start : start + most]
            if self.sparse:
                X = self.X
                moved = sparse_epoch(self.model, X.data, X.indices, X.indptr, part)
            else:
                moved = dense_epoch(self.model, self.X, part)
            worst = max(worst, moved)
            if self.run.expired():
                break
        return worst

    def descend(self, cols: np.ndarray, bound: float) -> None:
        """Epochs on some features until the steps are short."""
        kept: list[np.ndarray] = [self._vector(cols)]
        value = self._objective()
        for _ in range(_EPOCHS):
            worst = self._epoch(cols)
            self.run.n_epochs += 1
            if worst <= bound or self.run.expired():
                return
            kept.append(self._vector(cols))
            if len(kept) > _DEPTH:
                new = self._objective()
                if new > value + 1e-14 * abs(value):
                    self._back(cols, kept[0])
                    self.safety *= 4.0
                else:
                    value = min(new, self._extrapolate(cols, kept, new))
                self.bend()
                kept = [self._vector(cols)]

    def _vector(self, cols: np.ndarray) -> np.ndarray:
        return np.append(self.w[cols].ravel(), self.b)

    def _objective(self) -> float:
        return self.run.datafit.value(self.z) + self.run.penalty.value(self.w)

    def _back(self, cols: np.ndarray, point: np.ndarray) -> None:
        """Return to a point of the working set."""
        K = self.w.shape[1]
        self.w[cols], self.b[:] = point[:-K].reshape(-1, K), point[-K:]
        self.z[:] = self.design.matvec(self.w) + self.b
        self.model.refresh()

    def _extrapolate(
        self, cols: np.ndarray, kept: list[np.ndarray], value: float
    ) -> float:
        """Take Anderson's combination of iterates if it lowers the objective.

        Returns the objective.
        """
        U = np.diff(np.array(kept), axis=0)
        gram = U @ U.T
        gram[np.diag_indices_from(gram)] += 1e-8 * np.trace(gram)
        try:
            c = np.linalg.solve(gram, np.ones(len(U)))
        except np.linalg.LinAlgError:
            return value
        total = c.sum()
        if not np.isfinite(total) or total == 0:
            return value
        self._back(cols, (c / total) @ np.array(kept[1:]))
        new = self._objective()
        if not new < value:
            self._back(cols, kept[-1])
            return value
        return new
