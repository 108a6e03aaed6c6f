"""Solvers "saga" and "prox_svrg": stochastic proximal gradient, variance reduced.

For many more samples than features.  Both make steps on one sample at a time in
compiled loops where the penalty is separable; "prox_svrg" takes batches and the
proximal operator of the penalty object where it is not.  Once the support is nearly
found, Newton steps on it finish where they are cheaper than further passes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

from sparseopt._core._random import as_generator
from sparseopt._core._status import Status
from sparseopt.linear_model._composed import Terms
from sparseopt.linear_model._datafit import Datafit, LeastSquares, Logistic
from sparseopt.linear_model._datafit_huber import Huber
from sparseopt.linear_model._datafits_more import Multinomial
from sparseopt.linear_model._keeper import Keeper
from sparseopt.linear_model._prox_newton import solve_newton, unfit_newton
from sparseopt.linear_model._run import Run
from sparseopt.linear_model._stochastic import Work, dense_steps, sparse_steps

# Multiplications between two looks at the keyboard.
_CHUNK = 20_000_000
_SEED = 0
# Residual from which on Newton steps finish, on so many coefficients at most: the Gram
# matrix of m columns costs as much as some passes where m^2 is a multiple of p.
_NEAR, _MOST, _MULTIPLE = 1e-2, 1000, 100
_LOSSES = {
    LeastSquares: "squares",
    Logistic: "logistic",
    Huber: "huber",
    Multinomial: "multinomial",
}


class Form(NamedTuple):
    """A separable penalty as the kernels know it."""

    kind: str
    numbers: tuple[float, float, float, float]
    weights: np.ndarray
    positive: bool


def unfit_saga(datafit: Datafit, penalty: Any) -> str | None:
    """Why "saga" cannot solve a problem."""
    reason = _unfit_loss(datafit)
    if reason is None and _form(penalty, datafit) is None:
        return (
            "it needs a separable penalty of l1, elastic net, ridge, box, MCP or SCAD"
        )
    return reason


def unfit_svrg(datafit: Datafit, penalty: Any) -> str | None:
    """Why "prox_svrg" cannot solve a problem."""
    if isinstance(penalty, Terms):
        return "it needs the proximal operator of the whole penalty"
    if not penalty.is_convex and _form(penalty, datafit) is None:
        return "of the penalties that are not convex it knows MCP and SCAD only"
    return _unfit_loss(datafit)


def _unfit_loss(datafit: Datafit) -> str | None:
    if type(datafit) not in _LOSSES:
        names = ", ".join(kind.__name__ for kind in _LOSSES)
        return f"it knows the slopes of single samples for {names} only"
    if datafit.design.kind == "operator":
        return "it needs the rows of X"
    return None


def _form(penalty: Any, datafit: Datafit) -> Form | None:
    """Separable form of a penalty; None if the kernels do not know it."""
    p, k = datafit.design.p, max(datafit.n_outputs, 1)
    found = penalty.coordinate(p * k)
    if found is None:
        return None
    kind, lam, weights, params, positive = found
    weights = np.zeros(0) if weights is None else np.asarray(weights, dtype=np.float64)
    if kind == "none" or (lam == 0.0 and kind != "box"):
        kind, numbers = "elastic_net", (0.0, 0.0, 0.0, 0.0)
    elif kind == "l1":
        kind, numbers = "elastic_net", (lam, 0.0, 0.0, 0.0)
    elif kind == "elastic_net":
        numbers = (lam * params[0], lam * (1.0 - params[0]), 0.0, 0.0)
    elif kind in ("mcp", "scad"):
        numbers = (lam, 0.0, params[0], 0.0)
    elif kind == "box" and np.ndim(params[0]) == np.ndim(params[1]) == 0:
        numbers = (0.0, 0.0, params[0], params[1])
    else:
        return None
    a, b, c, d = map(float, numbers)
    return Form(kind, (a, b, c, d), weights.ravel(), bool(positive))


class _Samples:
    """Rows of X, their weights, and how often each is drawn.

    Samples whose loss is steeper, of larger norm or weight, are drawn more often: that
    many times they are in the list to draw from, which has at most twice as many
    entries as there are samples.
    """

    def __init__(self, run: Run) -> None:
        datafit = run.datafit
        X = datafit.design.X
        self.sparse = datafit.design.kind == "sparse"
        self.X: Any = X.tocsr() if self.sparse else np.ascontiguousarray(X)
        self.s, self.n = datafit.s, datafit.design.n
        self.y = np.ascontiguousarray(datafit.y.reshape(self.n, -1))
        if self.sparse:
            square = X.multiply(X).sum(axis=1)
        else:
            square = np.einsum("ij,ij->i", X, X, dtype=np.float64)
        square = np.asarray(square, dtype=np.float64).ravel()
        # the intercept is a feature of the samples' own scale
        self.scale_b = max(float(datafit.s @ square), 1e-300) / datafit.design.p
        self.scale_b *= datafit.fit_intercept
        steep = datafit.curvature * datafit.s * (square + self.scale_b)
        mean = max(float(steep.mean()), 1e-300)
        copies = np.maximum(np.ceil(steep / mean), datafit.s > 0).astype(np.int64)
        self.pick = np.repeat(np.arange(self.n), copies)
        self.boost = np.zeros(self.n)
        used = copies > 0
        self.boost[used] = datafit.s[used] * self.pick.size / copies[used]
        # Lipschitz constant of the steepest loss, as it is drawn
        self.L = max(float(np.max(steep[used] * self.pick.size / copies[used])), 1e-300)
        width = X.nnz / self.n if self.sparse else datafit.design.p
        self.cost = (2.0 * width + 1.0) * self.y.shape[1]

    def advance(self, run: Run, work: Work, n_steps: int) -> None:
        """Make steps, in parts between which the keyboard and the clock count."""
        most = max(1, int(_CHUNK / self.cost))
        while n_steps > 0 and not run.expired():
            part = min(n_steps, most)
            if self.sparse:
                X = self.X
                sparse_steps(work, X.data, X.indices, X.indptr, self.s, part)
            else:
                dense_steps(work, self.X, self.s, part)
            n_steps -= part


class _State:
    """Arrays that kernels work on, and the way back to the run."""

    def __init__(self, run: Run, samples: _Samples, step: float, saga: bool) -> None:
        self.run, self.samples = run, samples
        form = _form(run.penalty, run.datafit)
        assert form is not None
        K = samples.y.shape[1]
        self.arrays = {
            "w": run.w.reshape(-1, K).copy(),
            "b": np.atleast_1d(np.array(run.intercept, dtype=np.float64)),
            "table": np.empty((samples.n, K)),
            "mean": np.empty((run.design.p, K)),
            "mean_b": np.empty(K),
            "y": samples.y,
            "boost": samples.boost,
            "pick": samples.pick,
            "weights": form.weights,
        }
        seed = int(
            as_generator(_SEED if run.rng is None else run.rng).integers(1, 2**63)
        )
        self.work = Work(
            self.arrays, _LOSSES[type(run.datafit)], getattr(run.datafit, "delta", 1.0),
            form.kind, form.numbers, form.positive, step, step * samples.scale_b, saga,
            seed,
        )  # fmt: skip
        self.anchor()

    def anchor(self) -> np.ndarray:
        """Fill the table at the run's point; returns the gradient there."""
        run, arrays = self.run, self.arrays
        slopes = run.datafit.gradient(run.z)
        grad = run.design.rmatvec(slopes)
        s = self.samples.s.reshape(-1, *[1] * (slopes.ndim - 1))
        table = np.divide(slopes, s, out=np.zeros_like(slopes), where=s > 0)
        arrays["table"][:] = table.reshape(arrays["table"].shape)
        arrays["mean"][:] = grad.reshape(arrays["mean"].shape)
        arrays["mean_b"][:] = slopes.sum(axis=0)
        return grad

    def record(self, keeper: Keeper) -> None:
        """Certify the present coefficients; go on from their best intercept."""
        self.work.finish()
        keeper.record(
            self.arrays["w"].reshape(self.run.shape).copy(),
            intercept=self._intercept(),
        )
        self.arrays["b"][:] = self.run.intercept

    def near(self) -> bool:
        """Whether Newton steps from the run's point are cheaper than further passes."""
        run, proof = self.run, self.run.certificate
        if proof is None or not run.tol < proof.residual <= _NEAR:
            return False
        if "step" in run.options or not (run.has_gap and run.penalty.is_convex):
            return False
        m = int(np.count_nonzero(run.w))
        if m > _MOST or m * m > _MULTIPLE * run.design.p:
            return False
        return unfit_newton(run.datafit, run.penalty) is None

    def _intercept(self) -> Any:
        return (
            self.arrays["b"].copy()
            if self.run.datafit.n_outputs
            else float(self.arrays["b"][0])
        )


def solve_saga(run: Run) -> Status:
    """SAGA with steps 1 / (3 L); an iteration is a pass over the samples.

    With a step of its own it goes on to the end, else Newton steps may finish.
    """
    samples = _Samples(run)
    step = float(run.options.get("step", 1.0 / (3.0 * samples.L)))
    keeper = Keeper(run, every=3)
    keeper.begin()
    state = _State(run, samples, step, saga=True)
    while True:
        samples.advance(run, state.work, samples.n)
        if keeper.due():
            state.record(keeper)
            if state.near():
                return solve_newton(run)


def solve_svrg(run: Run) -> Status:
    """Proximal SVRG; an iteration is a full gradient and two passes of steps."""
    if _form(run.penalty, run.datafit) is None:
        return _solve_batches(run)
    samples = _Samples(run)
    step = float(run.options.get("step", 1.0 / (4.0 * samples.L)))
    keeper = Keeper(run)
    keeper.begin()
    state = _State(run, samples, step, saga=False)
    while True:
        samples.advance(run, state.work, 2 * samples.n)
        keeper.steps += 1
        state.record(keeper)
        if state.near():
            return solve_newton(run)
        state.anchor()


def _solve_batches(run: Run) -> Status:
    """SVRG with batches, for penalties that are known by their proximal operator."""
    samples, datafit = _Samples(run), run.datafit
    rng = as_generator(_SEED if run.rng is None else run.rng)
    size = int(run.options.get("batch", max(1, min(samples.n, 4 + samples.n // 50))))
    n_steps = max(1, 2 * samples.n // size)
    # the variance of batches: between one sample's constant and that of the mean
    L = datafit.lipschitz() + samples.L / size
    step = float(
        run.options.get("step", 1.0 / (4.0 * L) if size < samples.n else 1 / L)
    )
    keeper = Keeper(run)
    keeper.begin()
    while True:
        w, b = run.w.copy(), run.intercept
        table = datafit.gradient(run.z)
        mean, mean_b = run.design.rmatvec(table), table.sum(axis=0)
        for _ in range(n_steps):
            rows = samples.pick[rng.integers(0, samples.pick.size, size)]
            Xi = samples.X[rows]
            change = _slopes(datafit, rows, np.asarray(Xi @ w) + b)
            change *= samples.boost[rows].reshape(-1, *[1] * (change.ndim - 1))
            old = table[rows].T * _inverse(samples, rows)
            change = (change - old.T) / size
            w = run.penalty.prox(w - step * (np.asarray(Xi.T @ change) + mean), step)
            if datafit.fit_intercept:
                b = b - step * samples.scale_b * (change.sum(axis=0) + mean_b)
            if run.expired():
                break
        keeper.steps += 1
        keeper.record(w, intercept=b)


def _inverse(samples: _Samples, rows: np.ndarray) -> np.ndarray:
    """One over the probabilities with which samples are drawn."""
    s = samples.s[rows]
    return np.divide(samples.boost[rows], s, out=np.zeros_like(s), where=s > 0)


def _slopes(datafit: Datafit, rows: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Derivatives of the losses of some samples, without their weights."""
    y = datafit.y[rows]
    if isinstance(datafit, Logistic):
        return -y * expit(-y * z)
    if isinstance(datafit, Multinomial):
        return datafit.probabilities(z) - y
    r = z - y
    return (
        np.clip(r, -datafit.delta, datafit.delta) if isinstance(datafit, Huber) else r
    )


__all__ = ["solve_saga", "solve_svrg", "unfit_saga", "unfit_svrg"]
