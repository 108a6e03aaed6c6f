"""History of `sparseopt.completion`: time, memory, iterations and the error reached.

Errors are over all entries of the truth, observed or not, computed from the factors.
"""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sparseopt.completion import (
    LowRankImputer,
    MatrixFactorizer,
    alternating_minimization,
    complete,
    soft_impute,
)
from sparseopt.datasets import make_low_rank

TYPES = ("float32", "float64")
PROBLEMS = {
    "easy": {"m": 2000, "n": 1500, "n_components": 10, "oversampling": 5},
    "rank 50": {"m": 1500, "n": 1500, "n_components": 50, "oversampling": 4},
    "few entries": {"m": 1000, "n": 1000, "n_components": 5, "oversampling": 1.6},
    "condition 100": {
        **{"m": 1000, "n": 1000, "n_components": 5, "oversampling": 3},
        "condition": 100.0,
    },
}


def make(name, dtype="float64", **options):
    """One of the problems, the same in each run."""
    problem = make_low_rank(**PROBLEMS[name], random_state=0, **options)
    return problem._replace(X=problem.X.astype(dtype))


def noise(n_entries, n_rows, dtype="float64"):
    """Places drawn at random, with noise for values: for times of single steps."""
    rng = np.random.default_rng(0)
    places = np.sort(rng.choice(n_rows * n_rows, n_entries, replace=False))
    values = rng.standard_normal(n_entries).astype(dtype)
    return (*np.divmod(places, n_rows), values)


class Recovery:
    """The default solver to its tolerance."""

    params = (tuple(PROBLEMS), TYPES)
    param_names = ("problem", "dtype")

    def setup(self, name, dtype):
        self.problem = make(name, dtype)
        self.k = PROBLEMS[name]["n_components"]

    def solve(self):
        return complete(self.problem.X, self.k, n_threads=1, random_state=0)

    def time_complete(self, name, dtype):
        self.solve()

    def peakmem_complete(self, name, dtype):
        self.solve()

    def track_iterations(self, name, dtype):
        return self.solve().n_iter

    def track_error(self, name, dtype):
        fit = self.solve()
        return self.problem.relative_error(fit.U * fit.s, fit.V)


def sweeps(data, solver, k, n_threads=1):
    """Five iterations without homotopy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is cut short
        return complete(
            data,
            k,
            solver=solver,
            shape=(1000, 1000),
            init="random",
            homotopy=False,
            tol_obj=0.0,
            max_iter=5,
            n_threads=n_threads,
            random_state=0,
        )


class Sweeps:
    """Rough rows beside exact ones."""

    params = (("als", "als-exact"), (20, 100), TYPES)
    param_names = ("solver", "k", "dtype")

    def setup(self, solver, k, dtype):
        self.data = noise(200_000, 1000, dtype)

    def time_sweeps(self, solver, k, dtype):
        sweeps(self.data, solver, k)

    def track_work(self, solver, k, dtype):
        return sweeps(self.data, solver, k).work


class SweepThreads:
    """The one class that uses more than one thread."""

    params = ((1, 2),)
    param_names = ("n_threads",)

    def setup(self, n_threads):
        self.data = noise(800_000, 1000)

    def time_sweeps(self, n_threads):
        sweeps(self.data, "als", 40, n_threads)


class Outliers:
    """Gross errors in five of a hundred entries."""

    def setup(self):
        self.problem = make("easy", outliers=0.05)

    def solve(self):
        return complete(self.problem.X, 10, loss="huber", n_threads=1, random_state=0)

    def time_huber(self):
        self.solve()

    def track_error(self):
        fit = self.solve()
        return self.problem.relative_error(fit.U * fit.s, fit.V)


class Published:
    """The algorithm as published, and the convex problem."""

    def setup(self):
        self.problem = make_low_rank(
            *(300, 250, 3), oversampling=15, noise=0.01, random_state=0
        )

    def published(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # noise
            return alternating_minimization(
                *(self.problem.X, 3), n_outer=15, n_threads=1, random_state=0
            )

    def time_alternating_minimization(self):
        self.published()

    def track_error(self):
        fit = self.published()
        return self.problem.relative_error(fit.U * fit.s, fit.V)

    def time_soft_impute(self):
        soft_impute(self.problem.X, 5.0, n_threads=1, random_state=0)

    def track_soft_impute_gap(self):
        fit = soft_impute(self.problem.X, 5.0, n_threads=1, random_state=0)
        return fit.gap / fit.objective


class Estimators:
    """A table with missing values, and ratings with noise."""

    def setup(self):
        rng = np.random.default_rng(0)
        self.table = rng.normal(size=(2000, 5)) @ rng.normal(size=(5, 40))
        hole = rng.random(self.table.shape) < 0.2
        self.X = np.where(hole, np.nan, self.table)
        ratings = make_low_rank(
            *(1500, 1000, 5), oversampling=8, noise=0.5, random_state=0
        )
        self.ratings = ratings.X
        self.rows, self.cols = (
            rng.integers(0, 1500, 10_000),
            rng.integers(0, 1000, 10_000),
        )
        left = ratings.U[self.rows] * ratings.s
        self.truth = np.einsum("el,el->e", left, ratings.V[self.cols])

    def impute(self):
        return LowRankImputer(5, n_threads=1, random_state=0).fit_transform(self.X)

    def factorize(self):
        model = MatrixFactorizer(5, alpha=0.02, n_threads=1, random_state=0)
        return model.fit(self.ratings)

    def time_impute(self):
        self.impute()

    def time_factorize(self):
        self.factorize()

    def peakmem_factorize(self):
        self.factorize()

    def track_impute_error(self):
        gap = np.linalg.norm(self.impute() - self.table)
        return gap / np.linalg.norm(self.table)

    def track_factorize_rmse(self):
        """Against the truth without its noise, at random places."""
        predicted = self.factorize().predict(self.rows, self.cols)
        return float(np.sqrt(np.mean((predicted - self.truth) ** 2)))
