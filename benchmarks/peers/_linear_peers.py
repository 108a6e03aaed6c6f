"""Solvers of other packages for the lasso and the group lasso, and gaps from outside.

Every call returns coefficients, or rows of them for a path; no intercept is fitted.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from _harness import Candidate, Variant

from sparseopt.datasets import make_sparse_regression


class Problem(NamedTuple):
    """A penalised least squares problem; groups are blocks of `size`."""

    name: str
    X: np.ndarray
    y: np.ndarray
    lams: tuple
    size: int = 1


def make_lasso(parts, n=500, p=10_000, seed=0):
    """AR(1) design of the specification at shares of the critical strength."""
    data = make_sparse_regression(n, p, 50, rho=0.5, snr=10.0, random_state=seed)
    top = np.abs(data.X.T @ data.y).max() / n
    return {
        f"lasso-{part}": Problem(f"lasso-{part}", data.X, data.y, (top / part,))
        for part in parts
    }


def make_group(n=500, p=10_000, size=5, part=5, seed=0):
    """The same with groups of coefficients."""
    data = make_sparse_regression(
        n, p, 10, rho=0.5, snr=10.0, group_size=size, random_state=seed
    )
    norms = np.linalg.norm((data.X.T @ data.y / n).reshape(-1, size), axis=1)
    top = norms.max() / np.sqrt(size)
    return Problem(f"group-{part}", data.X, data.y, (top / part,), size)


def gap(problem, lam, w):
    """Duality gap relative to F(0), with the best multiple of the residual."""
    X, y, size = problem.X, problem.y, problem.size
    n, weight = len(y), np.sqrt(size)
    r = (y - X @ w) / n
    norms = np.linalg.norm((X.T @ r).reshape(-1, size), axis=1)
    penalty = weight * np.linalg.norm(w.reshape(-1, size), axis=1).sum()
    primal = 0.5 * n * (r @ r) + lam * penalty
    scale = min(1.0, lam * weight / norms.max())
    best = min(max((r @ y) / (n * (r @ r)), -scale), scale)
    dual = best * (r @ y) - 0.5 * n * best**2 * (r @ r)
    return (primal - dual) / (0.5 * (y @ y) / n)


def error(problem, answer):
    """Largest gap over the strengths of a problem."""
    rows = np.atleast_2d(answer)
    return max(gap(problem, lam, w) for lam, w in zip(problem.lams, rows, strict=True))


def _ours(problem, tol, max_iter):
    from sparseopt.linear_model import LeastSquares, minimize_composite, path
    from sparseopt.prox import L1, GroupLasso

    X, y, size = problem.X, problem.y, problem.size

    def penalty(lam):
        return L1(lam) if size == 1 else GroupLasso(lam, groups=size)

    def call():
        datafit = LeastSquares(X, y)
        if len(problem.lams) == 1:
            item = penalty(problem.lams[0])
            return minimize_composite(datafit, item, tol=tol, n_threads=1).coef
        return path(datafit, penalty(1.0), problem.lams, tol=tol, n_threads=1).coef

    return call


def ours():
    """This library in its default configuration."""
    return Candidate("sparseopt", "sparseopt", [Variant("default", _ours)])


def _celer(problem, tol, max_iter, *, factor=1.0):
    import celer
    from celer.homotopy import celer_path

    X, y, size = problem.X, problem.y, problem.size
    common = {"fit_intercept": False, "tol": factor * tol, "max_iter": 1000}
    if len(problem.lams) > 1:
        alphas = np.array(problem.lams)
        return lambda: (
            celer_path(X, y, "lasso", alphas=alphas, tol=factor * tol, max_iter=1000)[
                1
            ].T
        )
    lam = problem.lams[0]
    if size == 1:
        return lambda: celer.Lasso(lam, **common).fit(X, y).coef_
    model = partial(celer.GroupLasso, size, np.sqrt(size) * lam, **common)
    return lambda: model().fit(X, y).coef_


def celer(factors=(1.0, 0.1), **fields):
    """Celer, whose tolerance is relative to ``||y||^2 / n``."""
    variants = [
        Variant(f"tol x {factor:g}", partial(_celer, factor=factor), **fields)
        for factor in factors
    ]
    return Candidate("celer", "celer", variants)


def _skglm(problem, tol, max_iter, *, factor):
    import skglm

    X, y, size = problem.X, problem.y, problem.size
    lams, tol = problem.lams, factor * tol
    if len(lams) > 1:

        def call():
            model = skglm.Lasso(lams[0], fit_intercept=False, tol=tol, warm_start=True)
            rows = []
            for lam in lams:
                model.alpha = lam
                rows.append(model.fit(X, y).coef_.copy())
            return np.array(rows)

        return call
    if size == 1:
        return lambda: (
            skglm.Lasso(lams[0], fit_intercept=False, tol=tol).fit(X, y).coef_
        )
    weights = np.full(X.shape[1] // size, np.sqrt(size))
    model = partial(
        skglm.GroupLasso, size, lams[0], weights, fit_intercept=False, tol=tol
    )
    return lambda: model().fit(X, y).coef_


def skglm(factors=(1e5, 1e4, 1e3, 100.0, 10.0)):
    """Skglm, whose tolerance is on the violation of optimality."""
    variants = [
        Variant(f"tol x {factor:g}", partial(_skglm, factor=factor), can_fork=False)
        for factor in factors
    ]
    return Candidate("skglm", "skglm", variants)


def _adelie(problem, tol, max_iter, *, factor):
    import adelie

    X, y, size = problem.X, problem.y, problem.size
    loss = adelie.glm.gaussian(y=y)
    groups = np.arange(0, X.shape[1], size)

    def call():
        state = adelie.grpnet(
            X=X,
            glm=loss,
            groups=groups,
            lmda_path=list(problem.lams),
            intercept=False,
            early_exit=False,
            tol=factor * tol,
            progress_bar=False,
            n_threads=1,
        )
        return state.betas.toarray()

    return call


def adelie(factors=(1.0, 1e-3, 1e-6)):
    """Adelie, whose tolerance is on the change of the objective in a sweep."""
    variants = [
        Variant(f"tol x {factor:g}", partial(_adelie, factor=factor))
        for factor in factors
    ]
    return Candidate("adelie", "adelie", variants)


def _sklearn(problem, tol, max_iter):
    from sklearn.linear_model import Lasso

    X, y = problem.X, problem.y
    model = partial(Lasso, fit_intercept=False, tol=tol, max_iter=100_000)
    return lambda: np.array([model(lam).fit(X, y).coef_ for lam in problem.lams])


def sklearn():
    """Scikit-learn's coordinate descent."""
    return Candidate("scikit-learn", "scikit-learn", [Variant("default", _sklearn)])
