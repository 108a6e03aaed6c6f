"""The convex problem: least squares with a penalty on the nuclear norm."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy import sparse

from sparseopt._core._status import Status
from sparseopt.completion._frames import orthonormalise, rotate
from sparseopt.completion._half_step import HalfSteps, scaled
from sparseopt.completion._kernels import aligned, product_rows
from sparseopt.completion._problem import Entries, Side, padded
from sparseopt.completion._run import Factors, Run
from sparseopt.completion._spectrum import leading, norm, norm_bound

_SWEEPS, _SLOW = 4, 1e-2  # sweeps at least, and the relative decrease that ends them
_INNER = 200  # CG steps of a Newton step
_DEAD = 1e-3  # a direction this weak that wants to shrink is dropped
_NEW = 8  # directions added at once
# A step is cut by _SHRINK until the objective falls by _FALL of its slope; where it
# falls by _GOOD of what the edge of the region promised, the region grows.
_FALL, _GOOD, _SHRINK = 1e-4, 0.75, 0.25
_TRIES = 20  # cuts of a step
# Newton steps may end by rounding, when the objective falls no more than by _LEVEL,
# where the gradient is within _NEAR of its bound.
_LEVEL, _NEAR = 1e-13, 1e3
_ROUNDS = 3  # of new directions that leave the objective level
_WEAK = 1e-7  # floor of s in the ridge


def solve_soft_impute(run: Run) -> Status:
    """Minimise ``1/2 sum_e w_e (x_e - Z_e)^2 + alpha ||Z||_*`` over all matrices.

    In balanced factors of enough columns the nuclear norm is a ridge. Sweeps of
    alternating least squares come near, truncated Newton steps on both factors at once
    finish, and the optimality conditions decide about the rank:

        E V = alpha U,  E' U = alpha V,  ||E||_2 <= alpha (1 + tol)

    with E the sparse matrix of weighted residuals. A singular value of E above alpha is
    a direction of descent and is added; one that has lost its support is dropped.

    Parameters
    ----------
    run : Run
        ``run.k`` is the largest rank allowed, ``run.alpha`` is positive. Starts at
        ``run.factors``.

    Returns
    -------
    Status
        CONVERGED with ``run.gap``, the duality gap, or STALLED when the rank allowed is
        too small for the solution; ``run.factors`` is then the best of that rank found.
    """
    run.solver = "soft_impute"
    given = run.entries
    if given.dtype != np.float64:  # the conditions need more digits than float32 has
        run.entries = replace(
            given, rows=_double(given.rows), cols=_double(given.cols), _chunks={}
        )
    state = _State(run)
    try:
        return state.solve()
    finally:
        f, run.entries = run.factors, given
        run.factors = Factors(
            _recast(f.U, f.k, given.dtype), f.s, _recast(f.V, f.k, given.dtype)
        )


def _double(side: Side) -> Side:
    w = None if side.weight is None else side.weight.astype(np.float64)
    return replace(side, val=side.val.astype(np.float64), weight=w)


def _recast(F: np.ndarray, k: int, dtype: np.dtype) -> np.ndarray:
    if F.dtype == dtype:
        return F
    out = aligned((len(F), padded(k, dtype)), dtype)
    out[:, :k] = F[:, :k]
    return out


class _State:
    """Factors, residuals and certificate of the current iterate."""

    def __init__(self, run: Run) -> None:
        self.run, self.alpha = run, run.alpha
        self.radius = 1.0  # of what steps are trusted, in lengths of the iterate
        self.entries: Entries = run.entries
        self.density = max(self.entries.n_entries, 1) / math.prod(self.entries.shape)
        f = run.factors
        self.resumed = run.saved.pop("soft_impute", None) is not None
        run.keeps["soft_impute"] = dict
        if self.resumed:  # an iterate of this problem, nothing to shrink
            r = f.k
            self.U, self.s, self.V = _first(f.U, r), f.s, _first(f.V, r)
            self.measure()
            return
        s = np.maximum(f.s - self.alpha / self.density, 0.0)
        r = max(1, int(np.count_nonzero(s > _DEAD * max(s[0], 1e-300))))
        s = s[:r] if s[0] > 0 else f.s[:1] * 1e-3
        self.U, self.s, self.V = _first(f.U, r), s, _first(f.V, r)
        self.measure()

    def solve(self) -> Status:
        if self.is_zero():
            return Status.CONVERGED
        self.sweeps(1 if self.resumed else _SWEEPS)
        rounds, before = 0, math.inf
        while True:
            self.newton()
            status = self.certify()
            if status is not None:
                return status
            # directions that come and go by rounding
            level = before - self.objective <= _LEVEL * self.objective
            rounds, before = rounds + 1 if level else 0, self.objective
            if rounds == _ROUNDS:
                return Status.PRECISION
            self.sweeps(1)

    def is_zero(self) -> bool:
        """Whether the penalty is so large that nothing is left; then that is shown."""
        kept, self.s = self.s, np.zeros(1)
        U, V = self.U, self.V
        self.U, self.V = _first(U, 1), _first(V, 1)
        self.measure()
        size = norm(_residual_matrix(self), self.run.rng)
        if size <= self.alpha:
            self.run.gap = self.gap(size)
            self.show()
            return True
        self.U, self.s, self.V = U, kept, V
        self.measure()
        return False

    @property
    def r(self) -> int:
        return len(self.s)

    def count(self, products: float) -> None:
        """Note products with all entries, of the rank that the iterate has now."""
        self.run.work += products * self.r / self.run.k

    def measure(self) -> None:
        """Residuals of the iterate in both orders, and its objective."""
        self.count(1)
        E, self.rss = self.entries.residual(scaled(self.U, self.s), self.V)
        w = self.entries.rows.weight
        self.E = E if w is None else w * E
        self.objective = 0.5 * self.rss + self.alpha * float(self.s.sum())

    def show(self) -> None:
        # a caller sees the iterate only when it is whole
        self.run.update(
            Factors(self.U, self.s, self.V), self.rss, self.objective, ridge=self.alpha
        )

    def sweeps(self, least: int = _SWEEPS) -> None:
        """Alternating sweeps while they are fast."""
        half, n = HalfSteps(self.entries, self.r), 0
        while True:
            before = self.objective
            for transposed in (False, True):
                fixed, moved = (self.U, self.V) if transposed else (self.V, self.U)
                unknown = scaled(moved, self.s)
                d = self.alpha / np.maximum(self.s, _WEAK * max(self.s[0], 1e-300))
                half.cg(transposed, fixed, unknown, d, steps=2)
                moved, self.s, W = orthonormalise(unknown, self.r)
                fixed = rotate(fixed, W)
                self.U, self.V = (fixed, moved) if transposed else (moved, fixed)
            self.count(half.work)
            half.work = 0.0
            self.measure()
            self.show()
            n += 1
            if n >= least and before - self.objective <= _SLOW * self.objective:
                return

    def gradient(self) -> tuple[np.ndarray, np.ndarray]:
        """Of both factors, each column divided by the root of its singular value."""
        self.count(2)
        e = self.entries
        gU = self.alpha * self.U - e.multiply(self.E, self.V, False)
        gV = self.alpha * self.V - e.multiply(self.E, self.U, True)
        return gU, gV

    def newton(self) -> None:
        """Newton steps until the first two conditions hold."""
        # the norm of the residuals is at alpha (1 + tol): half of that is its share
        goal = 0.5 * self.run.tol * self.alpha
        last, before = math.inf, math.inf
        while True:
            gU, gV = self.gradient()
            if self.prune(gU, gV):
                gU, gV = self.gradient()
            size = math.hypot(float(np.linalg.norm(gU)), float(np.linalg.norm(gV)))
            # a gradient may grow where the objective still falls; not so by rounding
            level = before - self.objective <= _LEVEL * self.objective
            if size <= goal or (level and last <= _NEAR * goal and size >= 0.5 * last):
                return
            last, before = size, self.objective
            eta = min(0.1, math.sqrt(size / (self.alpha * math.sqrt(self.r))))
            if not self.step(gU, gV, max(eta, 1e-4)):
                return
            self.show()

    def prune(self, gU: np.ndarray, gV: np.ndarray) -> bool:
        """Drop weak directions that the gradient shrinks, if that lowers the objective.

        It need not: the minimum may be at a part of a weak direction.
        """
        slope = np.einsum("ij,ij->j", self.U, gU)[: self.r]
        slope += np.einsum("ij,ij->j", self.V, gV)[: self.r]
        dying = (self.s <= _DEAD * self.s[0]) & (slope > 1e-3 * self.alpha)
        dying[0] = False
        if not dying.any():
            return False
        kept = self.U, self.s, self.V, self.E, self.rss, self.objective
        keep = np.flatnonzero(~dying)
        self.U, self.V = _take(self.U, keep), _take(self.V, keep)
        self.s = self.s[keep]
        self.measure()
        if self.objective <= kept[5]:
            return True
        self.U, self.s, self.V, self.E, self.rss, self.objective = kept
        return False

    def step(self, gU: np.ndarray, gV: np.ndarray, eta: float) -> bool:
        """A Newton step within a region that is trusted, cut until the objective falls.

        The region is a ball around the iterate, as large as that at first: where there
        is almost no curvature, or a negative one, the model has no minimum of its own.
        A step that is too long is cut, which costs a look at the entries, and the next
        region is as large as what was left: another region for the same step would
        cost as many products as the step did.
        """
        kept = self.U, self.s, self.V, self.E, self.rss, self.objective
        model = _Model(self, gU, gV)
        radius, t = self.radius * model.size, 1.0
        step = model.minimise(eta, radius)
        for _ in range(_TRIES):
            self.move(step.A, step.B, t)
            fall = kept[5] - self.objective
            level = step.promise <= _LEVEL * kept[5] and fall >= -1e-14 * kept[5]
            if fall >= _FALL * t * step.slope or level:
                if t < 1.0:
                    radius = t * step.length
                elif fall > _GOOD * step.promise and step.length > 0.9 * radius:
                    radius /= _SHRINK
                self.radius = radius / model.size
                return True
            self.U, self.s, self.V, self.E, self.rss, self.objective = kept
            t *= _SHRINK
        return False

    def move(self, A: np.ndarray, B: np.ndarray, t: float) -> None:
        """Step along increments of the factors."""
        root = np.sqrt(np.maximum(self.s, 1e-300))
        L = scaled(self.U, root) + t * scaled(A, 1 / root)
        R = scaled(self.V, root) + t * scaled(B, 1 / root)
        self.U, self.s, self.V = _frames(L, R, self.r)
        self.measure()

    def certify(self) -> Status | None:
        """Decide by the norm of the residuals; add directions if it is too large."""
        alpha, run, E = self.alpha, self.run, _residual_matrix(self)
        U, V = self.U[:, : self.r], self.V[:, : self.r]
        (u, sigma, vt), accuracy = leading(E, U, V, _NEW, run.rng)
        over = sigma > alpha * (1 + run.tol)
        size = norm_bound(E, U, V, float(sigma[0]) * (1 + accuracy))
        run.gap = self.gap(size)
        if not over.any() and size <= alpha * (1 + run.tol):
            slope = math.hypot(*(float(np.linalg.norm(g)) for g in self.gradient()))
            if slope <= _NEAR * run.tol * alpha * math.sqrt(self.r):
                return Status.CONVERGED
            return Status.PRECISION
        if not over.any():
            return Status.PRECISION
        room = min(run.k, min(self.entries.shape)) - self.r
        take = np.flatnonzero(over)[: min(room, _NEW)]
        if not take.size:
            return Status.STALLED
        return (
            None if self.extend(u[:, take], sigma[take], vt[take]) else Status.STALLED
        )

    def extend(self, u: np.ndarray, sigma: np.ndarray, vt: np.ndarray) -> bool:
        """Add directions with the weights of the best common step."""
        q, r = len(sigma), self.r
        gain = sigma - self.alpha
        left, right = (
            aligned((len(F), padded(q, np.float64)), np.float64) for F in (u, vt.T)
        )
        left[:, :q], right[:, :q] = u * gain, vt.T
        side = self.entries.rows
        moved = self.entries.with_values(np.zeros_like(side.val), side.weight)
        curvature = moved.residual(left, right)[1]
        # at the minimum of 1/2 t^2 |P(D)|^2 - t <gain, gain>
        t = float(gain @ gain) / max(curvature, 1e-300)
        before = self.objective
        U, V = _wide(self.U, r, u), _wide(self.V, r, vt.T)
        kept = self.U, self.s, self.V, self.E, self.rss, self.objective
        s = np.concatenate([self.s, t * gain])
        self.U, self.s, self.V = _frames(scaled(U, s), V, r + q)
        self.measure()
        if self.objective < before:
            return True
        self.U, self.s, self.V, self.E, self.rss, self.objective = kept
        return False

    def gap(self, norm: float) -> float:
        """Primal less dual value, at the residuals scaled into the dual ball."""
        side = self.entries.rows
        y = self.E * min(1.0, self.alpha / norm) if norm > 0 else self.E
        if side.weight is None:
            half = 0.5 * float(y @ y)
        else:
            good = side.weight > 0
            half = 0.5 * float(np.sum(y[good] ** 2 / side.weight[good]))
        # not negative but for rounding
        return max(0.0, self.objective - (float(y @ side.val) - half))


class _Step(NamedTuple):
    """Increments of both factors, the fall of the model and of its linear part."""

    A: np.ndarray
    B: np.ndarray
    promise: float
    slope: float
    length: float


class _Model:
    """The objective near the iterate to second order, for increments of both factors.

    These are ``A / sqrt(s)`` and ``B / sqrt(s)``: in A and B the fit has the curvature
    of a sampled projection, about the density of the entries. Lengths are those of the
    norm in which that is exact; ``size`` is that of the iterate.
    """

    def __init__(self, state: _State, gU: np.ndarray, gV: np.ndarray) -> None:
        self.hessian = _Hessian(state)
        self.scale = np.ones(state.U.shape[1])
        inverse = np.maximum(state.s, _WEAK * state.s[0])
        curvature = state.density + state.alpha / inverse
        self.scale[: state.r] = 1 / curvature
        self.m, self.gradient = len(gU), np.concatenate([gU, gV])
        self.size = math.sqrt(2 * float(state.s**2 @ curvature))

    def minimise(self, eta: float, radius: float) -> _Step:
        """Truncated conjugate gradients, to the edge of the ball at most (Steihaug)."""
        x, res = np.zeros_like(self.gradient), -self.gradient
        z = res * self.scale
        p, rz = z.copy(), float(np.vdot(res, z))
        # squares of the lengths of x and p, and their product
        xx, xp, pp = 0.0, 0.0, rz
        stop, promise, edge = eta**2 * rz, 0.0, radius**2
        for _ in range(_INNER):
            q = self.hessian(p)
            pq = float(np.vdot(p, q))
            a = rz / pq if pq > 0 else math.inf
            if not xx + a * (2 * xp + a * pp) < edge:
                # the root without cancellation
                b = edge - xx
                a = b / (xp + math.sqrt(xp * xp + pp * b))
                x += a * p
                promise += a * (rz - 0.5 * a * pq)
                xx = edge
                break
            x += a * p
            promise += 0.5 * a * rz
            xx += a * (2 * xp + a * pp)
            res -= a * q
            z = res * self.scale
            rz, old = float(np.vdot(res, z)), rz
            if rz <= stop:
                break
            beta = rz / old
            xp, pp = beta * (xp + a * pp), rz + beta**2 * pp
            p *= beta
            p += z
        slope = -float(np.vdot(self.gradient, x))
        return _Step(
            _own(x[: self.m]), _own(x[self.m :]), promise, slope, math.sqrt(xx)
        )


class _Hessian:
    """Products with the second derivative: two passes over the entries each way."""

    def __init__(self, state: _State) -> None:
        self.state, self.m = state, len(state.U)
        self.E_cols = state.E[state.entries.perm]
        self.inverse = np.zeros(state.U.shape[1])
        floor = _WEAK * state.s[0]
        self.inverse[: state.r] = 1 / np.maximum(state.s, floor)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        st = self.state
        A, B = _own(x[: self.m]), _own(x[self.m :])
        out = np.empty_like(x)
        e, alpha = st.entries, st.alpha
        EB = e.multiply(st.E, B, False)
        EA = _spmm(e, self.E_cols, A)
        out[: self.m] = self._fit(False, A, B) + (alpha * A - EB) * self.inverse
        out[self.m :] = self._fit(True, A, B) + (alpha * B - EA) * self.inverse
        st.count(8)
        return out

    def _fit(self, transposed: bool, A: np.ndarray, B: np.ndarray) -> np.ndarray:
        """P(A V' + U B') V, or its transpose times U."""
        st, width = self.state, A.shape[1]
        fixed, own, U = (st.U, A, st.V) if transposed else (st.V, B, st.U)
        moved = B if transposed else A
        side = st.entries.side(transposed)
        Y = aligned((side.n_rows, width), A.dtype, np.empty)
        product_rows(
            side.ptr, side.idx, side.val[:0], side.weight, _pair(fixed, own),
            _pair(moved, U), None, Y, None, st.entries.chunks(transposed, 2 * width),
            st.entries.n_threads,
        )  # fmt: skip
        return Y


def _spmm(e: Entries, values_by_column: np.ndarray, A: np.ndarray) -> np.ndarray:
    """E' A for values that are in column order already."""
    flipped = replace(e, cols=replace(e.cols, val=values_by_column))
    out: np.ndarray = flipped.multiply(None, A, True)
    return out


def _pair(F: np.ndarray, G: np.ndarray) -> np.ndarray:
    out = aligned((len(F), F.shape[1] + G.shape[1]), F.dtype, np.empty)
    out[:, : F.shape[1]], out[:, F.shape[1] :] = F, G
    return out


def _own(x: np.ndarray) -> np.ndarray:
    out = aligned(x.shape, x.dtype, np.empty)
    out[:] = x
    return out


def _first(F: np.ndarray, r: int) -> np.ndarray:
    return _take(F, np.arange(r))


def _take(F: np.ndarray, keep: np.ndarray) -> np.ndarray:
    out = aligned((len(F), padded(len(keep), np.float64)), np.float64)
    out[:, : len(keep)] = F[:, keep]
    return out


def _wide(F: np.ndarray, r: int, more: np.ndarray) -> np.ndarray:
    out = aligned((len(F), padded(r + more.shape[1], np.float64)), np.float64)
    out[:, :r], out[:, r : r + more.shape[1]] = F[:, :r], more
    return out


def _frames(
    L: np.ndarray, R: np.ndarray, r: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """L R' as U diag(s) V'."""
    U, s, W = orthonormalise(L, r)
    V, s, W = orthonormalise(scaled(rotate(R, W), s), r)
    return rotate(U, W), s, V


def _residual_matrix(state: _State) -> sparse.csr_array:
    side = state.entries.rows
    return sparse.csr_array((state.E, side.idx, side.ptr), state.entries.shape)
