"""History of `sparseopt.ot`: time, memory, and the work and accuracy behind them."""

import warnings

from sparseopt import ot
from sparseopt.datasets import ot_benchmark_set

warnings.simplefilter("ignore")

SMALL = (
    "assignment-1000",
    "grid-l2-784",
    "grid-l1-784",
    "digits-l1",
    "clouds-1000",
    "unseen-crop-l1-289-0",
    "unseen-clouds-3000x50",
    "unseen-heavy-tailed",
)
LARGE = ("assignment-2000", "grid-l2-2025", "grid-l1-2025", "clouds-2000")


def load(name):
    """One problem of the benchmark set."""
    return next(iter(ot_benchmark_set(names=[name])))


def solve(problem, **options):
    """Solve to the tolerance at which peers are compared."""
    options = {"tol": 1e-10, "n_threads": 1, **options}
    return ot.solve(problem.C, problem.a, problem.b, problem.reg, **options)


class Solve:
    """Default method over the benchmark set.

    Counts do not depend on the machine: a gain of time bought by more of them, or by a
    worse answer, shows.
    """

    params = (SMALL + LARGE,)
    param_names = ("problem",)
    timeout = 120

    def setup(self, name):
        self.problem = load(name)

    def time_solve(self, name):
        solve(self.problem)

    def peakmem_solve(self, name):
        solve(self.problem)

    def track_newton_steps(self, name):
        return solve(self.problem).n_newton

    def track_cg_iterations(self, name):
        return solve(self.problem).n_cg

    def track_dense_passes(self, name):
        return solve(self.problem).n_dense_passes

    def track_marginal_error(self, name):
        return float(solve(self.problem).marginal_error)

    def track_gap(self, name):
        return float(solve(self.problem).gap)


class Regularisation:
    """One problem over four decades of regularisation."""

    params = (("grid-l2-784", "assignment-1000"), (1e-1, 1e-2, 1e-3, 1e-4))
    param_names = ("problem", "reg")

    def setup(self, name, reg):
        self.problem = load(name)._replace(reg=reg)

    def time_solve(self, name, reg):
        solve(self.problem)

    def track_cg_iterations(self, name, reg):
        return solve(self.problem).n_cg


class Precision:
    """Single precision beside double, each to its default tolerance."""

    params = (("float32", "float64"),)
    param_names = ("dtype",)

    def setup(self, dtype):
        problem = load("clouds-1000")
        self.problem = problem._replace(C=problem.C.astype(dtype))

    def time_solve(self, dtype):
        solve(self.problem, tol=None)

    def track_marginal_error(self, dtype):
        return float(solve(self.problem, tol=None).marginal_error)


class Threads:
    """The one class that uses more than one thread."""

    params = (LARGE, (1, 2))
    param_names = ("problem", "n_threads")
    timeout = 120

    def setup(self, name, n_threads):
        self.problem = load(name)

    def time_solve(self, name, n_threads):
        solve(self.problem, n_threads=n_threads)


class Results:
    """What is made of a solution afterwards; plans are kept, so each is timed once."""

    number, warmup_time = 1, 0

    def setup(self):
        problem = load("clouds-1000")
        self.result = solve(problem)
        self.points = problem.C[:, :2].copy()

    def time_plan(self):
        return self.result.plan

    def time_sparse_plan(self):
        return self.result.sparse_plan

    def time_a_to_b(self):
        return self.result.a_to_b(self.points)
