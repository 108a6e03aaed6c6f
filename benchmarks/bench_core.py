"""History of what all families share: kernels beside NumPy, fixed costs of a call."""

import subprocess
import sys

import numpy as np
from scipy.special import logsumexp

from sparseopt._core import _monitor  # asv takes Monitor.time_left for a benchmark
from sparseopt._core._params import COMMON, validate_params
from sparseopt.datasets import make_assignment
from sparseopt.ot import _kernels

REG = 1 / 1200


class ExpPass:
    """One log-domain pass, bounded by its exponentials, beside NumPy and SciPy."""

    params = ((500, 1000, 2000), ("float32", "float64"))
    param_names = ("n", "dtype")

    def setup(self, n, dtype):
        problem = make_assignment(n, random_state=0)
        self.C, self.a = problem.C.astype(dtype), problem.a
        self.log_a = np.log(self.a)
        self.f = np.zeros(n)
        self.g, self.c = (np.zeros(_kernels.padded(n)) for _ in range(2))
        self.blocks = _kernels.row_blocks(n, n)
        self.scaled = self.C * np.dtype(dtype).type(-1 / REG)
        self.out = np.empty_like(self.C)

    def time_pass(self, n, dtype):
        _kernels.dense_pass(
            *(self.C, self.a, self.log_a, 1 / REG, self.f, self.g, self.c),
            *(self.blocks, False, 1),
        )

    def time_numpy_exp(self, n, dtype):
        np.exp(self.scaled, out=self.out)

    def time_scipy_logsumexp(self, n, dtype):
        logsumexp(self.scaled, axis=1)

    def track_pass_error(self, n, dtype):
        """Largest error of the row potentials, in units of the regularisation."""
        self.time_pass(n, dtype)
        exact = REG * (
            self.log_a - logsumexp(self.C.astype(float) * (-1 / REG), axis=1)
        )
        return float(abs(self.f - exact).max() / REG)


class FixedCost:
    """What a solver call costs before and beside its work."""

    def setup(self):
        self.monitor = _monitor.Monitor("benchmark", tol=1e-9, max_iter=10**9)
        self.monitor.start()
        self.checked = validate_params(COMMON)(_nothing)
        self.iteration = 0

    def time_monitor_update(self):
        self.iteration += 1
        self.monitor.update(self.iteration, objective=1.0, residual=1e-3)

    def time_validate(self):
        self.checked(tol=1e-3, max_iter=10, verbose=0, n_threads=1)


class Import:
    """A fresh interpreter that imports the package."""

    params = (("numpy, scipy", "sparseopt", "sparseopt.ot"),)
    param_names = ("module",)
    number, repeat, warmup_time = 1, 5, 0

    def time_import(self, module):
        subprocess.run([sys.executable, "-P", "-c", f"import {module}"], check=True)


def _nothing(tol=None, max_iter=None, verbose=0, n_threads=None):
    return tol, max_iter, verbose, n_threads
