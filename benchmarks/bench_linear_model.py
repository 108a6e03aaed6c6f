"""History of `sparseopt.linear_model`: time, memory, and the work and accuracy behind.

Counts do not depend on the machine: a gain of time bought by more of them, or by a
worse answer, shows.
"""

import warnings

import numpy as np
from scipy import sparse

from sparseopt import linear_model as lm
from sparseopt import prox
from sparseopt.datasets import make_sparse_regression

warnings.simplefilter("ignore")

# The duality gap, relative to the objective at zero, at which peers are compared.
TOL = 1e-10


def regression(p=10_000, n_nonzero=50, **options):
    """500 samples of correlated features."""
    options = {"rho": 0.5, "snr": 10.0, "random_state": 0} | options
    return make_sparse_regression(500, p, n_nonzero, **options)


class _Single:  # asv leaves out names that start so
    """What is measured of a single problem; subclasses make it."""

    timeout = 120
    solver, tol = "auto", TOL

    def run(self):
        options = {"solver": self.solver, "tol": self.tol, "n_threads": 1}
        return lm.minimize_composite(self.datafit, self.penalty, **options)

    def time_solve(self, *_):
        self.run()

    def peakmem_solve(self, *_):
        self.run()

    def track_residual(self, *_):
        """Certified duality gap, relative to the objective at zero."""
        return float(self.run().residual)

    def track_iterations(self, *_):
        return self.run().n_iter

    def track_epochs(self, *_):
        return self.run().n_epochs


class Lasso(_Single):
    """From few features to a model that nearly interpolates."""

    params = ((5, 20, 100), ("float32", "float64"))
    param_names = ("part", "dtype")

    def setup(self, part, dtype):
        data = regression()
        X, y = data.X.astype(dtype), data.y.astype(dtype)
        self.datafit = lm.LeastSquares(X, y)
        self.penalty = prox.L1(float(np.abs(X.T @ y).max()) / len(y) / part)
        self.tol = TOL if dtype == "float64" else None


class GroupLasso(_Single):
    """Groups of five features, at two strengths."""

    params = ((5, 20),)
    param_names = ("part",)

    def setup(self, part):
        data = regression(n_nonzero=10, group_size=5)
        slopes = (data.X.T @ data.y).reshape(-1, 5) / len(data.y)
        top = np.linalg.norm(slopes, axis=1).max() / np.sqrt(5)
        self.datafit = lm.LeastSquares(data.X, data.y)
        self.penalty = prox.GroupLasso(top / part, groups=5)


class Logistic(_Single):
    """Sparse classification with an intercept."""

    params = ((5, 20),)
    param_names = ("part",)

    def setup(self, part):
        data = regression(kind="classification")
        self.datafit = lm.Logistic(data.X, data.y, fit_intercept=True)
        centered = data.y - data.y.mean()
        top = np.abs(data.X.T @ centered).max() / 2 / len(data.y)
        self.penalty = prox.L1(top / part)


class Envelope(_Single):
    """Least squares with the envelope of few features, and of few groups."""

    params = ((1, 5),)
    param_names = ("size",)

    def setup(self, size):
        data = regression(p=2000, n_nonzero=10, group_size=size)
        self.datafit = lm.LeastSquares(data.X, data.y)
        self.penalty = prox.WGSEF(10, 0.5, groups=None if size == 1 else size)


class Saga(_Single):
    """Sparse rows, many more than features."""

    params = (("logistic", "squares"),)
    param_names = ("loss",)
    solver, tol = "saga", 1e-6

    def setup(self, loss):
        rng = np.random.default_rng(0)
        X = sparse.random_array(
            (20_000, 500), density=0.02, format="csr", rng=rng, dtype=float
        )
        truth = np.where(np.arange(500) < 20, 5.0, 0.0)
        y = X @ truth + rng.standard_normal(X.shape[0]) - 1
        kind = lm.Logistic if loss == "logistic" else lm.LeastSquares
        y = np.sign(y) if loss == "logistic" else y
        self.datafit = kind(X, y, fit_intercept=True)
        self.penalty = prox.L1(1e-3)


class Path:
    """Thirty strengths down to a hundredth of the critical one."""

    params = (("lasso", "logistic"),)
    param_names = ("loss",)
    timeout = 120

    def setup(self, loss):
        kind = "classification" if loss == "logistic" else "regression"
        data = regression(p=5000, kind=kind)
        make = lm.Logistic if loss == "logistic" else lm.LeastSquares
        self.datafit = make(data.X, data.y, fit_intercept=True)

    def run(self):
        options = {"n_lams": 30, "eps": 0.01, "tol": 1e-8, "n_threads": 1}
        return lm.path(self.datafit, prox.L1(), **options)

    def time_path(self, loss):
        self.run()

    def peakmem_path(self, loss):
        self.run()

    def track_worst_residual(self, loss):
        return float(self.run().residuals.max())

    def track_iterations(self, loss):
        return int(self.run().n_iters.sum())


class EnvelopeRegressor:
    """The estimator: the convex problem, a refit by exchanges, bounds."""

    def setup(self):
        data = regression(p=2000, n_nonzero=10, snr=5.0)
        self.X, self.y = data.X, data.y

    def run(self):
        return lm.SparseEnvelopeRegressor(k=10, lam=0.1).fit(self.X, self.y)

    def time_fit(self):
        self.run()

    def peakmem_fit(self):
        self.run()

    def track_error(self):
        """Mean square on the samples relative to that of the mean."""
        return 1.0 - float(self.run().score(self.X, self.y))


class BestSubset:
    """Exchanges; harder where features are correlated."""

    params = ((0.2, 0.8),)
    param_names = ("rho",)
    timeout = 120

    def setup(self, rho):
        data = regression(p=2000, n_nonzero=10, rho=rho, snr=3.0)
        self.datafit = lm.LeastSquares(data.X, data.y, fit_intercept=True)
        self.zero = float(np.var(data.y)) / 2

    def run(self):
        return lm.best_subset(self.datafit, 10)

    def time_search(self, rho):
        self.run()

    def peakmem_search(self, rho):
        self.run()

    def track_objective(self, rho):
        """Relative to the objective at zero: a better subset is lower."""
        return float(self.run().objective) / self.zero

    def track_passes(self, rho):
        return self.run().n_iter

    def track_exchanges(self, rho):
        return self.run().n_steps

    def track_is_local(self, rho):
        return int(self.run().is_local)
