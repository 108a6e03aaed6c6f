"""Buffers that are filled again after a call: nothing that was returned may change.

Whatever can be reached from a result, a fitted estimator or a penalty is compared with
the arrays that were passed: none may share their memory. Kept by reference is what is
large: the samples of a datafit, tested here by what is computed from them later, and
the cost of a transport problem, tested in its family.
"""

import inspect
import warnings

import numpy as np
import pytest
from scipy import sparse

from sparseopt import completion, datasets, linear_model, prox
from sparseopt.linear_model import LeastSquares, minimize_composite

RNG = np.random.default_rng(0)


def parts(value):
    """What an object holds: items, attributes, cells of closures, owners of methods."""
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, (list, tuple, set)):
        return list(value)
    found = list(getattr(value, "__dict__", {}).values())
    for name in getattr(type(value), "__slots__", ()):
        found.append(getattr(value, name, None))
    if inspect.isfunction(value):
        found += [cell.cell_contents for cell in value.__closure__ or ()]
    if inspect.ismethod(value):
        found.append(value.__self__)
    return found


def arrays(value, seen=None):
    seen = {} if seen is None else seen
    if id(value) in seen or inspect.isclass(value) or inspect.ismodule(value):
        return
    seen[id(value)] = value
    if isinstance(value, np.ndarray):
        yield value
    else:
        for part in parts(value):
            yield from arrays(part, seen)


def owns_its_memory(made, *given):
    theirs = [array for value in given for array in arrays(value)]
    assert theirs
    for array in arrays(made):
        assert not any(np.may_share_memory(array, other) for other in theirs)


def attributes(estimator):
    """What fit sets; parameters are the caller's."""
    return {k: v for k, v in vars(estimator).items() if k not in estimator.get_params()}


def samples(order):
    X = np.asarray(RNG.normal(size=(60, 8)), order=order)
    return X, X[:, 0] + 0.1 * RNG.normal(size=60), np.ones(60)


@pytest.mark.parametrize("order", ["C", "F"])
def test_linear_models(order):
    X, y, sample_weight = given = samples(order)
    lams, weights, start = np.array([0.5, 0.1]), np.ones(8), np.zeros(8)
    datafit = LeastSquares(X, y, sample_weight=sample_weight, fit_intercept=True)
    owns_its_memory([datafit.y, datafit.s], *given)
    for lam in (0.1, 1e6):  # the start itself is the answer
        penalty = prox.L1(lam, weights=weights)
        result = minimize_composite(datafit, penalty, start)
        owns_its_memory([penalty, result], *given, weights, start)
    path = linear_model.path(datafit, prox.L1(weights=weights), lams)
    owns_its_memory(path, *given, lams, weights)
    init = np.array([1, 2])
    owns_its_memory(linear_model.best_subset(datafit, 2, init=init), *given, init)
    models = [
        linear_model.ProximalRegressor(),
        linear_model.ProximalRegressorCV(lams=lams, cv=2),
        linear_model.SparseEnvelopeRegressor(2),
        linear_model.SparseEnvelopeRegressorCV([2, 3], lam=lams, cv=2),
    ]
    for model in models:
        model.fit(X, y, sample_weight=sample_weight)
        owns_its_memory(attributes(model), *given, lams)
    for model in (
        linear_model.ProximalClassifier(),
        linear_model.SparseEnvelopeClassifier(2),
    ):
        labels = (y > 0).astype(float)
        owns_its_memory(attributes(model.fit(X, labels)), X, labels)


def test_a_datafit_reads_the_samples_that_are_there():
    """It wraps them; nothing that was computed from earlier ones is kept."""
    X, y, _ = samples("F")
    datafit = LeastSquares(X, y, fit_intercept=True)
    minimize_composite(datafit, prox.L1(0.1))
    X *= RNG.uniform(0.5, 2.0, X.shape)
    y = y.copy()
    found = minimize_composite(datafit, prox.L1(0.1), tol=1e-12)
    fresh = LeastSquares(X, y, fit_intercept=True)
    wanted = minimize_composite(fresh, prox.L1(0.1), tol=1e-12)
    np.testing.assert_array_equal(found.coef, wanted.coef)


RATINGS = datasets.make_low_rank(40, 30, 2, oversampling=5, random_state=0).X
FORMS = {
    "csr": lambda X: X.tocsr(),
    "csc": lambda X: X.tocsc(),
    "coo": lambda X: X.tocoo(),
    "dense": lambda X: np.where(X.toarray() == 0, np.nan, X.toarray()),
}


@pytest.mark.parametrize("form", FORMS)
def test_completion(form):
    X = FORMS[form](RATINGS).copy()
    init = RNG.normal(size=(40, 2)), RNG.normal(size=(30, 2))
    for options in ({}, {"init": init}, {"init": init, "max_time": 1e-9}):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # out of time
            owns_its_memory(completion.complete(X, 2, **options), X, init)
    for model in (
        completion.MatrixFactorizer(2, random_state=0),
        completion.MatrixFactorizerCV([2], cv=2, alpha=[0.1], random_state=0),
    ):
        owns_its_memory(attributes(model.fit(X)), X)
        owns_its_memory(attributes(model.partial_fit(X)), X)


@pytest.mark.parametrize("sorted_rows", [True, False])
def test_ratings(sorted_rows):
    X = RATINGS.tocoo()
    order = np.arange(X.nnz) if sorted_rows else RNG.permutation(X.nnz)
    rows, cols = (ids[order].astype(np.int32) for ids in X.coords)
    values, weights = X.data[order], np.ones(X.nnz)
    model = completion.MatrixFactorizer(2, random_state=0)
    model.fit_ratings(rows, cols, values, weights=weights)
    owns_its_memory(attributes(model), rows, cols, values, weights)


def test_a_refilled_matrix_does_not_reach_later_updates():
    X = RATINGS.tocsr().copy()
    new = sparse.csr_array(([1.0], [3], np.r_[np.zeros(8), np.ones(33)]), X.shape)
    found = []
    for refill in (False, True):
        model = completion.MatrixFactorizer(2, alpha=0.1, random_state=0).fit(X)
        if refill:
            X.data[:] = 1e6
        found.append(model.partial_fit(new).row_factors_)
    np.testing.assert_array_equal(*found)


def test_penalties():
    weights, lower, upper = np.ones(8), -np.ones(8), np.ones(8)
    labels, index = np.repeat([0, 1], 4), np.arange(8)
    A, b = RNG.normal(size=(2, 8)), np.zeros(2)
    Q = np.linalg.qr(RNG.normal(size=(8, 8)))[0]
    given = weights, lower, upper, labels, index, A, b, Q
    halves = [index[:4], index[4:]]
    penalties = [
        prox.L1(1.0, weights=weights),
        prox.ElasticNet(1.0, weights=weights),
        prox.SLOPE(1.0, weights=weights),
        prox.TV1D(1.0, weights=weights[:7]),
        prox.GroupLasso(1.0, groups=labels, weights=weights[:2]),
        prox.GroupLasso(1.0, groups=halves),
        prox.SparseGroupLasso(1.0, groups=halves),
        prox.GroupLinf(1.0, groups=labels),
        prox.WGSEF(2, 1.0, groups=labels),
        prox.TreeGroupLasso(1.0, groups=[index, index[:4]]),
        prox.Box(lower, upper),
        prox.Translated(prox.L1(1.0), weights),
        prox.Orthonormal(prox.L1(1.0), Q),
        prox.SeparableSum([prox.L1(1.0), prox.Ridge(1.0)], halves),
        prox.ProximalAverage([prox.L1(1.0), prox.Ridge(1.0)], weights[:2]),
    ]
    for penalty in penalties:
        penalty.prox(weights)
        owns_its_memory(penalty, *given)
    owns_its_memory(prox.AffineSet(A, b), *given)


def test_lists_of_penalties_are_not_the_callers():
    both = [prox.L1(1.0), prox.Ridge(1.0)]
    groups = [[0, 1], [2, 3]]
    made = [
        prox.SeparableSum(both, [2, 2]),
        prox.ProximalAverage(both),
        prox.GroupLasso(1.0, groups=groups),
        prox.Intersection([prox.Box(0.0, 1.0)]),
    ]
    x = np.array([3.0, -2.0, 1.0, 4.0])
    before = [penalty.prox(x) for penalty in made]
    both[0] = prox.L1(100.0)
    groups[0].append(2)
    for penalty, wanted in zip(made, before, strict=True):
        np.testing.assert_array_equal(penalty.prox(x), wanted)
