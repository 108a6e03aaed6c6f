"""The envelope problem on some groups: accelerated gradients, Newton on the face.

Where it is known which groups have a share of 1, which a share below and which are
zero, the envelope is smooth in the groups that are left: half a ridge on the whole
ones, half the square of a sum of norms on the others.  Proximal gradient steps find
that face, and Newton's method solves on it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from scipy import linalg

from sparseopt.linear_model._datafit import Datafit
from sparseopt.prox import Groups, prox_wgsef, wgsef_conjugate, wgsef_value

_POWER = 30  # power iterations for the step
_TRY_NEWTON = 10  # gradient steps between attempts on the face
_NEWTON = 25  # Newton steps in a row
_CHECK = 80  # gradient steps between gaps and attempts, at most
_HALVINGS = 8  # of a Newton step
_DAMPED = 2  # shortened Newton steps after which gradients are better
_FLAT = 1e-13  # ridge on the Newton matrix, relative to its trace


class Envelope(NamedTuple):
    """``lam S_k`` with groups and weights, on a vector.

    `d` holds the weight of each group, and `weights` is None where they are all one.
    """

    k: int
    lam: float
    groups: Groups
    d: np.ndarray
    weights: np.ndarray | None

    @classmethod
    def of(cls, k: int, lam: float, groups: Groups, d: np.ndarray) -> Envelope:
        """Equal weights become part of lam: the proximal operator is faster then."""
        if np.all(d == d[0]):
            return cls(k, lam * float(d[0]), groups, np.ones(groups.m), None)
        return cls(k, lam, groups, d, d)

    def value(self, w: np.ndarray) -> float:
        """``lam S_k(w)``."""
        value = wgsef_value(w, self.k, groups=self.groups, weights=self.weights)
        return self.lam * value

    def conjugate(self, v: np.ndarray) -> float:
        """Its conjugate at v."""
        value = wgsef_conjugate(v, self.k, groups=self.groups, weights=self.weights)
        return value / self.lam

    def scores(self, grad: np.ndarray) -> np.ndarray:
        """``||grad_j|| / sqrt(d_j)``: groups of the optimum are among the largest."""
        return self.groups.norms(grad) / np.sqrt(self.d)

    def restrict(self, chosen: np.ndarray) -> tuple[Envelope, np.ndarray]:
        """The envelope of some groups, and their coordinates in order."""
        groups = self.groups
        k = min(self.k, chosen.size)
        if groups.size is not None:
            at = (chosen[:, None] * groups.size + np.arange(groups.size)).ravel()
            part = Groups(at.size, chosen.size, size=groups.size)
        else:
            lists = groups.lists()
            at = np.concatenate([lists[j] for j in chosen])
            sizes = groups.sizes[chosen]
            ptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
            part = Groups(at.size, chosen.size, indices=np.arange(at.size), indptr=ptr)
        return Envelope.of(k, self.lam, part, self.d[chosen]), at


class Part:
    """``min F(A w + B v) + lam S_k(w)`` for a dense A; free coefficients v.

    Coefficients are one vector x = (w, v).  The loss of `datafit` is used, not its
    design.  With `offset`, predictions start from it.

    Attributes
    ----------
    x, z : ndarray
        The point and its predictions.
    value : float
        Objective at the point.
    dual : float
        Largest dual value met, -infinity at the start.
    n_steps : int
        Proximal gradient and Newton steps.
    """

    def __init__(
        self,
        datafit: Datafit,
        envelope: Envelope,
        A: np.ndarray,
        n_free: int,
        x: np.ndarray,
        offset: np.ndarray | float = 0.0,
    ) -> None:
        self.datafit, self.envelope, self.A = datafit, envelope, A
        self.q = A.shape[1] - n_free
        self.offset = offset
        self.gram: np.ndarray | None = None
        if datafit.is_quadratic and A.shape[1] <= A.shape[0]:
            self.gram = A.T @ (datafit.s[:, None] * A)
            self.const = A.T @ datafit.gradient(np.zeros(A.shape[0]) + offset)
        self.u = np.zeros(envelope.groups.m)
        self.n_steps = 0
        self.damping = 1.0
        self.dual = -math.inf
        self.L = self._curvature()
        self.move(x)

    def _curvature(self) -> float:
        """Largest curvature of F, a little more than estimated."""
        v: Any
        v = np.random.default_rng(0).standard_normal(self.A.shape[1])
        value = 0.0
        for _ in range(_POWER):
            norm = math.sqrt(v @ v)
            if not norm > 0.0:
                return 1.0
            v /= norm
            if self.gram is not None:
                out = self.gram @ v
            else:
                out = self.A.T @ (self.datafit.s * (self.A @ v))
            value, v = float(v @ out), out
        return 1.02 * value * self.datafit.curvature or 1.0

    def move(self, x: np.ndarray) -> None:
        """Take x for the point."""
        self.x, self.z, self.value = self.evaluate(x)

    def evaluate(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """The point x, its predictions and its objective."""
        z = self.A @ x + self.offset
        return x, z, self.datafit.value(z) + self.envelope.value(x[: self.q])

    def gradient(self, x: np.ndarray, z: np.ndarray | None = None) -> np.ndarray:
        """Gradient of F with respect to x."""
        if self.gram is not None:
            return self.gram @ x + self.const
        z = self.A @ x + self.offset if z is None else z
        return self.A.T @ self.datafit.gradient(z)

    def gap(self) -> float:
        """Duality gap of this part at the point."""
        theta = self.datafit.gradient(self.z)
        grad = self.A.T @ theta
        self.dual = max(self.dual, self._dual_value(theta, grad))
        return self.value - self.dual

    def _dual_value(self, theta: np.ndarray, grad: np.ndarray) -> float:
        scale, conjugate = 1.0, self.envelope.conjugate(grad[: self.q])
        free = grad[self.q :]
        if np.any(np.abs(free) > 1e-9 * np.abs(theta).sum() * self._top()):
            return -math.inf
        if self.datafit.is_quadratic:
            s = self.datafit.s
            inside = s > 0
            square = float(theta[inside] @ (theta[inside] / s[inside]))
            square += 2.0 * conjugate
            if square > 0.0:
                scale = max(0.0, -float(theta @ self.datafit.y) / square)
        return -self.datafit.conjugate(scale * theta) - scale**2 * conjugate

    def _top(self) -> float:
        return float(np.abs(self.A[:, self.q :]).max(initial=0.0))

    def prox(self, v: np.ndarray, info: bool = False) -> np.ndarray:
        """Proximal point of v with the step 1 / L; keeps the shares if `info`."""
        e = self.envelope
        out = v.copy()
        found = prox_wgsef(
            v[: self.q],
            e.k,
            e.lam / self.L,
            groups=e.groups,
            weights=e.weights,
            out=out[: self.q],
            return_info=info,
        )
        if info:
            self.u = found[1].u
        return out

    def solve(self, tol: float, max_steps: int, expired=lambda: False) -> bool:
        """Iterate until the gap is below tol; whether it is."""
        if self._newton(tol, expired):
            return True
        x, y, t = self.x, self.x, 1.0
        gx = gy = self.gradient(x, self.z)
        wait = due = _TRY_NEWTON
        for step in range(1, max_steps + 1):
            new = self.prox(y - gy / self.L)
            g = self.gradient(new)
            d = new - y
            bend = float(d @ (g - gy))
            if bend > self.L * float(d @ d) * (1.0 + 1e-10) and math.isfinite(bend):
                self.L *= 2.0
                y, gy, t = x, gx, 1.0
                continue
            self.n_steps += 1
            if float((y - new) @ (new - x)) > 0.0:
                t = 1.0
            after = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * t * t))
            beta = (t - 1.0) / after
            y, gy, t = new + beta * (new - x), g + beta * (g - gx), after
            if self.gram is None and not self.datafit.is_quadratic:
                gy = self.gradient(y)
            x, gx = new, g
            if step >= due:
                self.move(x)
                if self._newton(tol, expired) or self.gap() <= tol:
                    return True
                wait = min(2 * wait, _CHECK)
                due = step + wait
                if expired():
                    break
                if self.x is not x:
                    x = y = self.x
                    gx = gy = self.gradient(x, self.z)
                    t = 1.0
        return self.gap() <= tol

    def _newton(self, tol: float, expired) -> bool:
        """Steps on the face of the point while they help; whether the gap is small."""
        damped = 0
        for _ in range(_NEWTON):
            if expired():
                return False
            grad = self.gradient(self.x, self.z)
            start = self.prox(self.x - grad / self.L, info=True)
            found = self._face_step(start)
            if found is None:
                return False
            self.n_steps += 1
            damped += self.damping < 1.0
            fall = self.value - found[2]
            if fall >= -1e-15 * abs(self.value):
                self.x, self.z, self.value = found
            if not fall > 0.0:
                return self.gap() <= tol
            if self.gap() <= tol:
                return True
            if damped > _DAMPED:
                return False
        return False

    def _face_step(self, x: np.ndarray) -> tuple | None:
        """Newton's step from x on the face of its shares, none where it has no face."""
        e = self.envelope
        whole, shared = self.u >= 1.0, (self.u > 0.0) & (self.u < 1.0)
        kappa = e.k - int(np.count_nonzero(whole))
        if shared.any() and kappa <= 0:
            return None
        support = np.flatnonzero(
            np.append(e.groups.spread(whole | shared), np.ones(x.size - self.q)) > 0
        )
        n, size = self.A.shape[0], support.size
        if size > max(1000, 4 * n) or not size:
            return None
        grad, H = self._face_model(x, support, whole, shared, kappa)
        trace = float(np.trace(H))
        H.flat[:: size + 1] += _FLAT * trace / size
        try:
            factor = linalg.cho_factor(H, lower=True, check_finite=False)
        except linalg.LinAlgError:
            return None
        step = -linalg.cho_solve(factor, grad, check_finite=False)
        return self._safe_step(x, support, step, shared)

    def _face_model(self, x, support, whole, shared, kappa):
        """Gradient and Hessian of the objective on the face, at x."""
        e, A = self.envelope, self.A[:, support]
        z = self.A @ x + self.offset
        grad = A.T @ self.datafit.gradient(z)
        if self.gram is not None:
            H = self.gram[np.ix_(support, support)]
        else:
            H = A.T @ (self.datafit.hessian(z)[:, None] * A)
        inside = support[support < self.q]
        count, w = inside.size, x[inside]
        d = e.groups.spread(e.d)[inside]
        part = e.groups.spread(shared)[inside].astype(bool)
        ridge = np.where(part, 0.0, e.lam * d)
        grad[:count] += ridge * w
        if part.any():
            norms = e.groups.norms(x[: self.q])
            total = float((np.sqrt(e.d) * norms)[shared].sum())
            length = e.groups.spread(norms)[inside]
            slope = np.where(part, np.sqrt(d) * w / length, 0.0)
            factor = e.lam / kappa
            grad[:count] += factor * total * slope
            H[:count, :count] += factor * np.outer(slope, slope)
            if e.groups.size != 1:
                bend = np.where(part, factor * total * np.sqrt(d) / length, 0.0)
                H[:count, :count] += _bends(e.groups, inside, w / length, bend)
        H[np.arange(count), np.arange(count)] += ridge
        return grad, H

    def _safe_step(self, x, support, step, shared):
        """A step that lowers the objective; shared coordinates stop where they cross 0.

        x itself if there is none.
        """
        inside = np.flatnonzero(shared) if self.envelope.groups.size == 1 else None
        self.damping = 1.0
        for _ in range(_HALVINGS):
            new = x.copy()
            new[support] += self.damping * step
            if inside is not None:
                new[inside[new[inside] * x[inside] < 0.0]] = 0.0
            found = self.evaluate(new)
            if found[2] < self.value:
                return found
            self.damping *= 0.5
        return self.evaluate(x)


def _bends(groups: Groups, inside: np.ndarray, unit: np.ndarray, bend: np.ndarray):
    """Curvature of the norms: ``bend_j (I - v v')`` in each block, v its direction."""
    owner = np.zeros(groups.n, dtype=np.int64)
    for j, part in enumerate(groups.lists()):
        owner[part] = j
    owner = owner[inside]
    same = owner[:, None] == owner
    return np.diag(bend) - same * np.outer(bend * unit, unit)
