"""The dual in both potentials, as the published SNS and SSNS use it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse

from sparseopt.ot._problem import Problem
from sparseopt.ot._run import Run


class FullDual:
    """Plan, value and gradient at potentials z = (f, g) of a problem.

    The objective is ``D(z) = <a, f> + <b, g> - reg sum P`` (to be maximised), its
    Hessian ``-[[diag(P 1), P], [P', diag(P' 1)]] / reg``.
    """

    def __init__(self, problem: Problem, z: np.ndarray) -> None:
        p = problem
        n, m = p.shape
        self.problem, self.z = p, z
        with np.errstate(over="ignore"):  # a trial step too long has the value -inf
            self.plan = np.exp((z[:n, None] + (z[n:] - p.C)) / p.reg)
            self.rows, self.columns = self.plan.sum(axis=1), self.plan.sum(axis=0)
            self.gradient = np.concatenate([p.a - self.rows, p.b[:m] - self.columns])
            self.err = float(np.abs(self.gradient).sum())
            mass = p.reg * self.rows.sum()
        self.value = float(p.a @ z[:n] + p.b[:m] @ z[n:] - mass)

    def hessian(self, kept: sparse.sparray) -> sparse.csr_array:
        """``-reg`` times the Hessian with the plan's block thinned to `kept`."""
        diagonal = sparse.diags_array(np.concatenate([self.rows, self.columns]))
        block = sparse.block_array([[None, kept], [kept.T, None]])
        return sparse.csr_array(diagonal + block)

    def line(
        self, direction: np.ndarray, slope: float, lengths, watch: Callable[[], None]
    ) -> tuple:
        """First step length with sufficient increase; (None, 0) if none has."""
        for alpha in lengths:
            watch()
            trial = FullDual(self.problem, self.z + alpha * direction)
            # near the optimum differences of the value drown in rounding
            if trial.value >= self.value + 1e-4 * alpha * slope or (
                trial.err < 0.5 * self.err
            ):
                return trial, alpha
        return None, 0.0

    def share(self, run: Run, nnz: int, step: float) -> None:
        """Make this the run's potentials and record the iteration."""
        n, m = self.problem.shape
        d, reg = run.duals.copy(), self.problem.reg
        d.f, d.g[:m], d.c[:m] = self.z[:n].copy(), self.z[n:], self.columns
        # the monitor shows <a, f> + <b, g>, less reg for a plan of mass one
        d.err, d.value, d.reg = self.err, self.value + reg * self.rows.sum(), reg
        run.duals = d
        run.record(reg, nnz, step)
