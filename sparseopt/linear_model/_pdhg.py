"""Solver "pdhg": primal-dual steps that need products with X and the maps only.

Reflected Halpern iterations of the primal-dual hybrid gradient with restarts; the ratio
of the step lengths follows the distances moved between restarts.  Losses whose proximal
operator is not known are taken by their gradient instead (Condat, Vu).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from sparseopt._core._status import Status
from sparseopt.linear_model._admm import terms_of
from sparseopt.linear_model._composed import Block
from sparseopt.linear_model._datafit import Datafit
from sparseopt.linear_model._keeper import Keeper
from sparseopt.linear_model._loss_prox import known, loss_prox
from sparseopt.linear_model._run import Run

# tau sigma |K|^2 is kept below the first; the estimate of |K| comes from below.
_SAFETY, _MARGIN = 0.99, 1.02
# Restart where the fixed-point residual has fallen to the first share, or to the
# second and rises, or after that share of all iterations.
_SUFFICIENT, _NECESSARY, _ARTIFICIAL = 0.2, 0.8, 0.36


def unfit(datafit: Datafit, penalty: Any) -> str | None:
    """Why the problem cannot be solved."""
    if not penalty.is_convex:
        return "it needs convex penalties"
    if not known(datafit) and datafit.fit_intercept:
        return "it needs the proximal operator of the loss where there is an intercept"
    return None


def solve(run: Run) -> Status:
    """Iterate until the certificate holds."""
    state = _Pdhg(run)
    keeper = Keeper(run, every=20)
    keeper.begin()
    while True:
        state.step()
        if keeper.due():
            state.leave_duals()
            keeper.record(state.last.w)
            if state.smooth:
                state.check_lipschitz()


class _Point(NamedTuple):
    """Coefficients, intercept, dual of the predictions, duals of the blocks."""

    w: np.ndarray
    b: Any
    theta: np.ndarray
    duals: tuple[np.ndarray, ...]


class _Pdhg:
    """Iterates and step lengths."""

    def __init__(self, run: Run) -> None:
        self.run, self.datafit, self.design = run, run.datafit, run.design
        self.terms = terms_of(run)
        self.plain: Block | None = self.terms.plain
        self.blocks = self.terms.blocks
        self.smooth = not known(run.datafit)
        # All maps are scaled to norm one, that of the predictions by weights of samples
        # too: `root`, `scales` are what they are multiplied by, and duals divided by.
        root = np.sqrt(run.datafit.s).reshape(-1, *[1] * (run.w.ndim - 1))
        self.root = np.ones_like(root) if self.smooth else root
        self.scales = [1.0] * len(self.blocks)
        size = self._norm(only=0)
        self.scales = [1.0 / self._norm(only=k + 1) for k in range(len(self.blocks))]
        self.root, self.scale = self.root / size, 1.0 / size
        theta = np.zeros_like(run.z)
        if not self.smooth:
            slopes = run.datafit.gradient(run.z)
            np.divide(slopes, self.root, out=theta, where=self.root > 0)
        duals = tuple(np.zeros_like(b.matvec(run.w)) for b in self.blocks)
        self.now = self.start = self.last = _Point(run.w, run.intercept, theta, duals)
        self.seen, self.sigma = self.now, 1.0
        self.norm = _MARGIN * self._norm()
        self.curvature = self._lipschitz() if self.smooth else 0.0
        # steps in proportion to the sizes of coefficients and of slopes
        self.ratio = float(run.options.get("ratio", self._first_ratio()))
        self.inner, self.total = 0, 0
        self.first = self.before = math.inf

    def _first_ratio(self) -> float:
        """Size of the duals over that of the coefficients, as far as can be told."""
        length = self.datafit.scale() / (self.run._top_slope() or 1.0)
        if self.smooth:
            found = self.curvature
        else:
            found = _size(self.now.theta) / length if length > 0 else 1.0
        return found if 1e-100 < found < 1e100 else 1.0

    def _lipschitz(self) -> float:
        weights = self.datafit.hessian(self.run.z)
        columns = [weights] if weights.ndim == 1 else list(weights.T)
        return _MARGIN * max(self.design.square_norm(column) for column in columns)

    def check_lipschitz(self) -> None:
        """Follow the curvature of the loss, which changes with the point."""
        found = self._lipschitz()
        if found > self.curvature:
            self.curvature = 1.5 * found
            self._restart(self.last)

    # ------------------------------------------------------------------- the operator

    def _forward(self, w: np.ndarray, b: Any) -> tuple[np.ndarray, list[np.ndarray]]:
        pairs = zip(self.blocks, self.scales, strict=True)
        images = [scale * block.matvec(w) for block, scale in pairs]
        if self.smooth:
            return np.zeros_like(self.run.z), images
        z = self.design.matvec(w)
        return self.root * (z + b if self.datafit.fit_intercept else z), images

    def _backward(self, theta: np.ndarray, duals: Any) -> tuple[np.ndarray, Any]:
        """Slopes of coefficients and intercept."""
        grad: Any = 0.0 if self.smooth else self.design.rmatvec(self.root * theta)
        for block, scale, y in zip(self.blocks, self.scales, duals, strict=True):
            grad = grad + block.rmatvec(scale * y)
        return grad, (self.root * theta).sum(axis=0)

    def _norm(self, only: int | None = None) -> float:
        """Norm of all maps together, or of one: 0 is that of the predictions."""
        rng = np.random.default_rng(0)
        w, b = rng.standard_normal(self.run.w.shape), 1.0 + 0.0 * self.run.intercept
        value = 1.0
        for _ in range(30):
            size = math.hypot(_size(w), _size(b) if self.datafit.fit_intercept else 0.0)
            if not size > 0:
                return 1.0
            theta, images = self._forward(w / size, b / size)
            if only is not None:
                theta = theta if only == 0 else 0.0 * theta
                images = [y * (k + 1 == only) for k, y in enumerate(images)]
            w, b = self._backward(theta, images)
            value = math.sqrt(_size(theta) ** 2 + sum(_size(y) ** 2 for y in images))
        return value or 1.0

    def _apply(self, at: _Point) -> _Point:
        """One primal-dual step."""
        eta = _SAFETY / self.norm
        self.seen, self.sigma = at, eta * self.ratio
        sigma = self.sigma
        tau = 1.0 / (self.ratio / eta + self.curvature)
        grad, slope = self._backward(at.theta, at.duals)
        if self.smooth:
            grad = grad + self.design.rmatvec(
                self.datafit.gradient(self.design.matvec(at.w))
            )
        w = at.w - tau * grad
        if self.plain is not None:
            w = self.plain.penalty.prox(w, tau)
        b = at.b - tau * slope if self.datafit.fit_intercept else at.b
        ahead, images = self._forward(2.0 * w - at.w, 2.0 * b - at.b)
        theta = at.theta
        if not self.smooth:
            theta = self._dual_of_loss(at.theta + sigma * ahead, sigma)
        duals = []
        for k, block in enumerate(self.blocks):
            q, scale = at.duals[k] + sigma * images[k], self.scales[k]
            point = block.penalty.prox(q / (sigma * scale), 1.0 / (sigma * scale**2))
            duals.append(q - sigma * scale * point)
        return _Point(w, b, theta, tuple(duals))

    def _dual_of_loss(self, q: np.ndarray, sigma: float) -> np.ndarray:
        """Proximal step of the conjugate of the weighted loss, by Moreau."""
        c = np.divide(q, sigma * self.root, out=np.zeros_like(q), where=self.root > 0)
        z = loss_prox(self.datafit, c, sigma * self.scale**2)
        return np.where(self.root > 0, q - sigma * self.root * z, 0.0)

    def leave_duals(self) -> None:
        """Tell the sum of penalties what certifies the point.

        The images to which the duals belong are those of their proximal steps.
        """
        point, last, sigma = self.last, self.seen, self.sigma
        left = []
        for k, block in enumerate(self.blocks):
            scale, y = self.scales[k], point.duals[k]
            image = block.matvec(2.0 * point.w - last.w)
            image = image + (last.duals[k] - y) / (sigma * scale)
            left.append((scale * y, image))
        self.terms.leave(left)

    # ------------------------------------------------------------------ the iteration

    def step(self) -> None:
        """One reflected Halpern iteration, and a restart where it is due."""
        at = self.now
        new = self.last = self._apply(at)
        residual = self._distance(new, at)
        self.inner += 1
        self.total += 1
        if self.inner == 1:
            self.first = residual
        falling = residual <= self.before
        due = self.inner > 1 and (
            residual <= _SUFFICIENT * self.first
            or (residual <= _NECESSARY * self.first and not falling)
            or self.inner >= _ARTIFICIAL * self.total + 20
        )
        self.before = residual
        if due:
            self._restart(new)
            return
        share = self.inner / (self.inner + 1.0)
        self.now = _combine(
            lambda x, t, x0: share * (2.0 * t - x) + (1.0 - share) * x0,
            at, new, self.start,
        )  # fmt: skip

    def _restart(self, point: _Point) -> None:
        moved = math.hypot(_size(point.w - self.start.w), _size(point.b - self.start.b))
        pairs = zip(point.duals, self.start.duals, strict=True)
        pushed = math.hypot(
            _size(point.theta - self.start.theta), *(_size(y - o) for y, o in pairs)
        )
        if moved > 1e-14 and pushed > 1e-14:
            change = math.log(pushed / moved) - math.log(self.ratio)
            self.ratio *= math.exp(0.5 * change)
        self.now = self.start = point
        self.inner, self.before = 0, math.inf

    def _distance(self, new: _Point, old: _Point) -> float:
        primal = _size(new.w - old.w) ** 2 + _size(new.b - old.b) ** 2
        dual = _size(new.theta - old.theta) ** 2
        dual += sum(
            _size(y - o) ** 2 for y, o in zip(new.duals, old.duals, strict=True)
        )
        return math.sqrt(self.ratio * primal + dual / self.ratio)


def _combine(function: Any, *points: _Point) -> _Point:
    duals = zip(*(point.duals for point in points), strict=True)
    return _Point(
        function(*(point.w for point in points)),
        function(*(point.b for point in points)),
        function(*(point.theta for point in points)),
        tuple(function(*parts) for parts in duals),
    )


def _size(x: Any) -> float:
    return float(np.linalg.norm(np.ravel(x)))
