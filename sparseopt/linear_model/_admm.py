"""Solver "admm": alternating directions, for sums of penalties and linear maps.

Every penalty gets a copy of its argument, and so do the predictions unless the loss is
quadratic; what is left to solve for the coefficients is a linear system, factorised
once for each value of the step parameters, by way of the samples where they are few, or
solved by conjugate gradients where it is large.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.sparse.linalg import splu

from sparseopt._core._status import Status
from sparseopt.linear_model._composed import Block, Terms
from sparseopt.linear_model._datafit import Datafit
from sparseopt.linear_model._keeper import Keeper
from sparseopt.linear_model._loss_prox import known, loss_prox
from sparseopt.linear_model._run import Run

_RELAX = 1.6
_RATIO, _FACTOR = 10.0, 2.0
# Coefficients up to which the matrix of the linear system is formed and factorised.
_DENSE = 2500
# Samples and entries of X up to which it is factorised by way of the samples, and
# entries of a row of the maps' part up to which that is sparse.
_SHORT, _ENTRIES, _FILL = 2000, 20_000_000, 100
# Changes of the step parameters come at ever longer intervals, so that they end.
_FIRST_CHANGE, _LONGER = 10, 1.3


def unfit(datafit: Datafit, penalty: Any) -> str | None:
    """Why the problem cannot be solved."""
    if not penalty.is_convex:
        return "it needs convex penalties"
    if not known(datafit):
        return "it needs the proximal operator of the loss"
    return None


def is_slow(datafit: Datafit, penalty: Any) -> bool:
    """Whether primal-dual steps are faster: measured, on fused lassos and trends.

    Where coefficients are many, a system with maps that couple them is slow to solve;
    maps that only select coefficients add a diagonal to it, and are not.
    """
    if datafit.design.p <= _DENSE or not isinstance(penalty, Terms):
        return False
    maps = [block.map for block in penalty.blocks if block.map is not None]
    return not all(_selects(item) for item in maps)


def _selects(composed: Any) -> bool:
    if composed._map.kind != "sparse":
        return False
    A = sparse.csr_array(composed._map.X)
    return bool(np.diff(A.indptr).max(initial=0) <= 1)


def solve(run: Run) -> Status:
    """Iterate until the certificate holds."""
    state = _Admm(run)
    keeper = Keeper(run)
    keeper.begin()
    while True:
        state.step()
        if keeper.due():
            state.leave_duals()
            keeper.record(state.point())


def terms_of(run: Run) -> Terms:
    """The penalty of a run as a sum, if only of one."""
    if isinstance(run.penalty, Terms):
        slope = run._top_slope()
        run.penalty.slope = slope
        run.penalty.length = run.datafit.scale() / slope if slope > 0 else 1.0
        return run.penalty
    return Terms([run.penalty], run.shape)


class _Copy:
    """The copy v of ``A w`` that one penalty acts on, with its scaled dual u."""

    def __init__(self, block: Block, w: np.ndarray) -> None:
        self.block = block
        self.v = np.array(block.matvec(w))
        self.u = np.zeros_like(self.v)
        self.old = self.v

    def update(self, image: np.ndarray, rho: float) -> None:
        point = _RELAX * image + (1.0 - _RELAX) * self.v + self.u
        self.old, self.v = self.v, self.block.penalty.prox(point, 1.0 / rho)
        self.u = point - self.v


class _Admm:
    """Copies, step parameters and the linear system between them."""

    def __init__(self, run: Run) -> None:
        self.run, self.datafit, self.design = run, run.datafit, run.design
        self.terms = terms_of(run)
        plain = [] if self.terms.plain is None else [self.terms.plain]
        self.copies = [_Copy(b, run.w) for b in [*plain, *self.terms.blocks]]
        self.w = run.w
        self.s = run.datafit.s.reshape(-1, *[1] * (run.w.ndim - 1))
        self.quadratic = run.datafit.is_quadratic
        curvature = float(run.datafit.hessian(run.z).sum()) / run.w[:1].size
        self.rho_z = 1.0 if self.quadratic else max(curvature, 1e-6)
        self.z, self.u_z = run.z, np.zeros_like(run.z)
        self.mean = self.design.rmatvec(run.datafit.s)  # of the features
        trace = float(self.design.square_norm(run.datafit.s)) or 1.0
        self.rho = math.sqrt(trace) * self.rho_z * 0.1
        self.rho = float(run.options.get("rho", self.rho))
        self.steps, self.next_change = 0, _FIRST_CHANGE
        self.residual = 1.0
        large = self.design.p > _DENSE
        self.lemma = _Lemma.of(self) if large else None
        self.system = _System(self)

    def step(self) -> None:
        right = self.design.rmatvec(self.s * self._centred(self._goal()))
        right *= self.rho_z
        for copy in self.copies:
            right = right + self.rho * copy.block.rmatvec(copy.v - copy.u)
        self.w = self.system.solve(right, self.w)
        images = [copy.block.matvec(self.w) for copy in self.copies]
        for copy, image in zip(self.copies, images, strict=True):
            copy.update(image, self.rho)
        ratios = [self._ratio(images)]
        if not self.quadratic:
            ratios.append(self._update_predictions())
        self.steps += 1
        self._balance(ratios)

    def _goal(self) -> np.ndarray:
        """What predictions are drawn to."""
        return self.datafit.y if self.quadratic else self.z - self.u_z

    def _centred(self, z: np.ndarray) -> np.ndarray:
        return z - self.datafit.s @ z if self.datafit.fit_intercept else z

    def _update_predictions(self) -> tuple[float, float]:
        xw = self.design.matvec(self.w)
        if self.datafit.fit_intercept:
            xw = xw + self.datafit.s @ (self._goal() - xw)
        point = _RELAX * xw + (1.0 - _RELAX) * self.z + self.u_z
        old, self.z = self.z, loss_prox(self.datafit, point, self.rho_z)
        self.u_z = point - self.z
        root = np.sqrt(self.s)
        primal = _norm(root * (xw - self.z))
        dual = _norm(self.design.rmatvec(self.s * (self.z - old)))
        size = max(_norm(root * xw), _norm(root * self.z))
        push = _norm(self.design.rmatvec(self.s * self.u_z))
        return _share(primal, size), _share(dual, push)

    def _ratio(self, images: list[np.ndarray]) -> tuple[float, float]:
        """Relative primal and dual residuals of the penalties' copies."""
        pairs = list(zip(self.copies, images, strict=True))
        primal = math.hypot(*(_norm(image - c.v) for c, image in pairs))
        size = max(
            math.hypot(*map(_norm, images)), math.hypot(*(_norm(c.v) for c, _ in pairs))
        )
        dual = _norm(sum(c.block.rmatvec(c.v - c.old) for c, _ in pairs))
        push = _norm(sum(c.block.rmatvec(c.u) for c, _ in pairs))
        return _share(primal, size), _share(dual, push)

    def _balance(self, ratios: list[tuple[float, float]]) -> None:
        """Change the step parameters where residuals differ too much."""
        self.residual = max(map(max, ratios))
        if self.steps < self.next_change:
            return
        self.next_change = math.ceil(self.steps * _LONGER) + 1
        factors = [_factor(primal, dual) for primal, dual in ratios]
        if factors[0] != 1.0:
            self.rho *= factors[0]
            for copy in self.copies:
                copy.u = copy.u / factors[0]
        if factors[-1] != 1.0 and not self.quadratic:
            self.rho_z *= factors[-1]
            self.u_z = self.u_z / factors[-1]
        if any(factor != 1.0 for factor in factors):
            self.system = _System(self)

    def point(self) -> np.ndarray:
        """Coefficients to return: the copy with exact zeros, if there is one."""
        return self.copies[0].v if self.copies[0].block.map is None else self.w

    def leave_duals(self) -> None:
        """Tell the sum of penalties what certifies the point."""
        copies = self.copies[self.terms.plain is not None :]
        self.terms.leave([(self.rho * copy.u, copy.v) for copy in copies])


class _System:
    """``rho_z X' S X + rho sum A' A``, centred where there is an intercept."""

    def __init__(self, state: _Admm) -> None:
        self.state = state
        self.factor: Any = None
        p = state.design.p
        if state.lemma is not None:
            self.factor = state.lemma.factor(state.rho / state.rho_z)
        elif p <= _DENSE and state.design.kind != "operator":
            matrix = self._matrix()
            # singular where features repeat and no penalty sees them
            for shift in (0.0, 1e-12, 1e-9):
                try:
                    ridge = shift * float(np.trace(matrix)) / p
                    self.factor = cho_factor(matrix + ridge * np.eye(p))
                    break
                except LinAlgError:
                    continue

    def _matrix(self) -> np.ndarray:
        state = self.state
        s = state.datafit.s
        X = state.design.X
        if state.design.kind == "sparse":
            gram = (X.T @ X.multiply(s[:, None]).tocsr()).toarray().astype(np.float64)
        else:
            X = np.asarray(X, dtype=np.float64) * np.sqrt(s)[:, None]
            gram = X.T @ X
        if state.datafit.fit_intercept:
            gram -= np.outer(state.mean, state.mean)
        matrix = state.rho_z * gram
        for copy in state.copies:
            if copy.block.map is None:
                matrix[np.diag_indices_from(matrix)] += state.rho
            else:
                matrix += state.rho * _gram(copy.block.map)
        return matrix

    def product(self, w: np.ndarray) -> np.ndarray:
        state = self.state
        z = state._centred(state.design.matvec(w))
        out = state.rho_z * state.design.rmatvec(state.s * z)
        for copy in state.copies:
            out = out + state.rho * copy.block.rmatvec(copy.block.matvec(w))
        return out

    def solve(self, right: np.ndarray, start: np.ndarray) -> np.ndarray:
        state = self.state
        if state.lemma is not None:
            ratio = state.rho / state.rho_z
            return state.lemma.solve(right, self.factor, ratio) / state.rho_z
        if self.factor is not None:
            return cho_solve(self.factor, right)
        tol = max(1e-14, min(1e-4, 0.01 * state.residual))
        return conjugate_gradients(self.product, right, start, tol)


class _Lemma:
    """Solutions of ``(B' B + r M) x = b`` where B, of the samples, has few rows.

    ``M = sum A' A`` is sparse and factorised once; for each r the matrix inversion
    lemma needs the factor of a matrix of the size of the samples only.
    """

    def __init__(self, lu: Any, B: np.ndarray) -> None:
        self.lu, self.B = lu, B
        self.T = lu.solve(np.ascontiguousarray(B.T))
        self.W = B @ self.T

    @classmethod
    def of(cls, state: _Admm) -> _Lemma | None:
        """None where X is sparse or samples are many, or M is singular or dense."""
        design, n, p = state.design, state.design.n, state.design.p
        few = n <= _SHORT and 2 * n <= p and n * p <= _ENTRIES
        maps = [copy.block.map for copy in state.copies]
        kinds = [m._map.kind for m in maps if m is not None]
        # products with a sparse X are as fast as those with the factor
        if not few or design.kind != "dense" or "operator" in kinds:
            return None
        M = sparse.csc_array((p, p))
        for item in maps:
            A = sparse.eye_array(p) if item is None else sparse.csc_array(item._map.X)
            M = sparse.csc_array(M + (A.T @ A).astype(np.float64))
            if M.nnz > _FILL * p:
                return None
        try:
            lu = splu(M, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
        except RuntimeError:  # exactly singular
            return None
        pivots = np.abs(lu.U.diagonal())
        # beyond that the lemma would lose half of the digits
        if pivots.min() < 1e-8 * pivots.max() or lu.L.nnz > _FILL * p:
            return None
        B = np.asarray(design.X).astype(np.float64)
        if state.datafit.fit_intercept:
            B -= state.mean
        B *= np.sqrt(state.datafit.s)[:, None]
        return cls(lu, B)

    def factor(self, ratio: float) -> Any:
        """What `solve` needs for this ratio."""
        return cho_factor(np.eye(self.W.shape[0]) + self.W / ratio)

    def solve(self, right: np.ndarray, factor: Any, ratio: float) -> np.ndarray:
        x = self.lu.solve(right) / ratio
        return x - self.T @ cho_solve(factor, self.B @ x) / ratio


def conjugate_gradients(
    product: Callable[[np.ndarray], np.ndarray],
    right: np.ndarray,
    x: np.ndarray,
    tol: float,
    max_iter: int = 200,
) -> np.ndarray:
    """Solution of a symmetric system, for all columns at once."""
    r = right - product(x)
    p, square = r, float(np.vdot(r, r))
    bound = (tol * _norm(right)) ** 2
    for _ in range(max_iter):
        if not square > bound:
            break
        image = product(p)
        alpha = square / float(np.vdot(p, image))
        x = x + alpha * p
        r = r - alpha * image
        old, square = square, float(np.vdot(r, r))
        p = r + (square / old) * p
    return x


def _gram(composed: Any) -> np.ndarray:
    A = composed._map.X
    if composed._map.kind == "operator":
        eye = np.eye(composed.shape[1])
        return composed.rmatvec(composed.matvec(eye))
    gram = A.T @ A
    dense = gram.toarray() if composed._map.kind == "sparse" else gram
    return np.asarray(dense, dtype=np.float64)


def _norm(x: Any) -> float:
    return float(np.linalg.norm(np.ravel(x)))


def _share(value: float, unit: float) -> float:
    return value / unit if unit > 0.0 else float(value > 0.0)


def _factor(primal: float, dual: float) -> float:
    if primal > _RATIO * dual:
        return _FACTOR
    return 1.0 / _FACTOR if dual > _RATIO * primal else 1.0
