"""The Gaussian model of LowRankImputer: exact data, likelihood, bias, gross errors."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

from sparseopt import Status
from sparseopt.completion import LowRankImputer, complete
from sparseopt.completion._gaussian import Gaussian, Patterns, Rows, fit_gaussian
from sparseopt.completion._neighbours import distances
from sparseopt.completion._patterns import neighbour_means


def holes(X, share, seed=0):
    hole = np.random.default_rng(seed).random(X.shape) < share
    return hole, np.where(hole, np.nan, X)


def rms(filled, X, hole):
    """Root mean square of errors, in standard deviations of the columns."""
    return np.sqrt(np.mean((((filled - X) / X.std(axis=0))[hole]) ** 2))


def low_rank(n, p, k, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, k)) @ rng.normal(size=(k, p))
    return X + noise * rng.normal(size=X.shape)


# ------------------------------------------------------------------------- exact data


@pytest.mark.parametrize(
    "options", [{}, {"n_components": 3}, {"n_components": 3, "loss": "huber"}]
)
def test_exact_data_of_rank_3(options):
    X = low_rank(200, 40, 3)
    hole, table = holes(X, 0.5)
    filled = LowRankImputer(alpha=0.0, random_state=0, **options).fit_transform(table)
    assert np.abs(filled - X)[hole].max() < 1e-6
    # by default it is chosen that the relations are exact
    options["n_components"] = options.get("n_components")
    filled = LowRankImputer(random_state=0, **options).fit_transform(table)
    assert rms(filled, X, hole) < 2e-3


@pytest.mark.parametrize("options", [{}, {"alpha": 0.0}, {"loss": "huber"}])
@pytest.mark.parametrize("n_components", [None, 1])
def test_a_line_in_six_rows(options, n_components):
    x = np.arange(1.0, 7.0)
    X = np.column_stack([x, 2 * x + 5])
    table = X.copy()
    table[1, 1] = table[4, 0] = np.nan
    imputer = LowRankImputer(n_components, random_state=0, **options)
    np.testing.assert_allclose(imputer.fit_transform(table), X, atol=2e-3)
    new = imputer.transform([[10.0, np.nan], [np.nan, 0.0]])
    np.testing.assert_allclose(new, [[10, 25], [-2.5, 0]], atol=6e-3)


# ------------------------------------------------------------- the model and its steps


def gaussian_problem(seed=0, n=60, p=4):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) + rng.normal(size=p)
    seen = rng.random(X.shape) > 0.3
    seen[0] = True
    return X, seen


def log_likelihood(X, seen, w, mean, cov):
    total = 0.0
    for x, o, weight in zip(X, seen, w, strict=True):
        S, r = cov[np.ix_(o, o)], (x - mean)[o]
        total += weight * (r @ np.linalg.solve(S, r) + np.linalg.slogdet(S)[1])
    return -0.5 * total


def fitted(X, seen, w, tol=1e-9):
    rows = Rows(np.where(seen, X, 0), seen, w, np.zeros(X.shape[1]))
    fit = fit_gaussian(rows, 0.0, tol=tol, centre=True, watch=lambda *_: None)
    assert fit.status is Status.CONVERGED
    return rows, fit.model


def test_maximum_of_the_likelihood():
    X, seen = gaussian_problem()
    w = np.random.default_rng(1).uniform(0.5, 2, len(X))
    model = fitted(X, seen, w)[1]
    p = X.shape[1]
    lower = np.tril_indices(p)

    def cost(theta):
        root = np.zeros((p, p))
        root[lower] = theta[p:]
        return -log_likelihood(X, seen, w, theta[:p], root @ root.T)

    start = np.concatenate([model.mean, np.linalg.cholesky(model.cov)[lower]])
    best = minimize(cost, start, method="BFGS").fun
    # a minimum: a general method finds nothing better, but for the floor of variances
    assert cost(start) - best < 1e-5 * abs(best)


def test_conditional_means_and_covariances_are_those_of_the_formula():
    X, seen = gaussian_problem(n=40)
    rng = np.random.default_rng(2)
    A = rng.normal(size=(4, 4))
    model = Gaussian(np.zeros(4), A @ A.T + np.eye(4))
    w = rng.uniform(0.5, 2, len(X))
    Z = np.where(seen, X, 0)
    patterns = Patterns(seen)
    expected = patterns.expect(model.precision, Z, w)
    own = patterns.own(model.precision)
    cov = np.zeros((4, 4))
    for i, o in enumerate(seen):
        m = ~o
        gain = model.cov[np.ix_(m, o)] @ np.linalg.inv(model.cov[np.ix_(o, o)])
        np.testing.assert_allclose(Z[i, m], gain @ X[i, o], atol=1e-10)
        left = model.cov[np.ix_(m, m)] - gain @ model.cov[np.ix_(o, m)]
        cov[np.ix_(m, m)] += w[i] * left
        np.testing.assert_allclose(own[i, m], 1 / left.diagonal())
        inverse = np.linalg.inv(model.cov[np.ix_(o, o)])
        np.testing.assert_allclose(own[i, o], inverse.diagonal())
        np.testing.assert_allclose(expected.quad[i], X[i, o] @ inverse @ X[i, o])
    np.testing.assert_allclose(expected.cov, cov, atol=1e-10)


def test_a_weight_of_two_is_a_row_that_is_there_twice():
    X, seen = gaussian_problem()
    table = np.where(seen, X, np.nan)
    w = np.random.default_rng(3).integers(0, 3, len(X))
    options = {"n_neighbors": 0, "alpha": 0.1, "tol": 1e-9}
    a = LowRankImputer(**options).fit(table, sample_weight=w)
    b = LowRankImputer(**options).fit(np.repeat(table, w, axis=0))
    np.testing.assert_allclose(a.transform(table), b.transform(table), rtol=1e-6)
    c = LowRankImputer(**options).fit(table, sample_weight=1e-9 * w)
    np.testing.assert_allclose(c.transform(table), a.transform(table), rtol=1e-9)
    for k in (2, None):
        weighted = LowRankImputer(k, alpha=0.5, random_state=0)
        weighted.fit(table, sample_weight=np.maximum(w, 0.5))
        assert np.isfinite(weighted.transform(table)).all()
    with pytest.raises(ValueError, match="zero"):
        LowRankImputer().fit(table, sample_weight=np.zeros(len(X)))
    with pytest.raises(ValueError, match="egative"):
        LowRankImputer().fit(table, sample_weight=-np.ones(len(X)))


def test_left_out_rows_are_predicted_as_without_them():
    X, _ = gaussian_problem(n=30)
    seen = np.ones(X.shape, bool)
    rows, model = fitted(X, seen, np.ones(30))
    rows.expect(model)
    residuals, _ = rows.left_out(model, np.arange(30))
    for i in (0, 7, 29):
        others = np.delete(X, i, axis=0)
        mean, S = others.mean(axis=0), np.cov(others.T, bias=True)
        L = np.linalg.inv(S)
        exact = L @ (X[i] - mean) / L.diagonal()
        np.testing.assert_allclose(residuals[i], exact, rtol=0.1, atol=0.02)


def test_neighbours_are_those_of_a_plain_search():
    rng = np.random.default_rng(4)
    Z, donors = rng.normal(size=(20, 3)), rng.normal(size=(3, 15))
    seen, has = rng.random(Z.shape) > 0.4, rng.random(donors.shape) > 0.3
    w, k = rng.uniform(0.5, 2, 15), 4
    D = distances(Z, donors)
    plain = ((Z[:, :, None] - donors[None]) ** 2).sum(axis=1)
    np.testing.assert_allclose(D, plain, atol=1e-12)
    D[:, 3] = plain[:, 3] = np.inf  # a pair that must not be
    means = np.empty_like(Z)
    neighbour_means(
        D, Z, seen.view(np.uint8), donors, has.view(np.uint8), w, k, 1e-9, means, 1
    )
    for i in range(20):
        near = np.argsort(plain[i])[:k]
        for j in range(3):
            at, value = near[has[j, near]], Z[i, j]
            if not seen[i, j] and len(at):
                value = np.average(donors[j, at], weights=w[at] / plain[i, at])
            assert means[i, j] == pytest.approx(value)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_threads_do_not_change_a_bit(n_threads):
    _, table = holes(low_rank(400, 8, 2, 0.5), 0.3)
    a = LowRankImputer(n_threads=2).fit_transform(table)
    b = LowRankImputer(n_threads=n_threads).fit_transform(table)
    np.testing.assert_array_equal(a, b)


# ------------------------------------------------------------------- what users expect


def test_missing_by_another_column_gives_no_bias():
    errors, biases = [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X = low_rank(500, 6, 2, 0.1, seed)
        hole = np.zeros(X.shape, bool)
        hole[:, 3:] = (rng.random((500, 3)) < 0.8) & (X[:, :1] > 0)
        table = np.where(hole, np.nan, X)
        truth = X.std(axis=0)
        imputer = LowRankImputer()
        error = (imputer.fit_transform(table) - X) / truth
        biases.append(np.abs(error.mean(axis=0)).max())
        # the best there is: conditional means by the true covariance
        rng = np.random.default_rng(seed)
        rng.normal(size=(500, 2))
        R = rng.normal(size=(2, 6))
        S = R.T @ R + 0.01 * np.eye(6)
        best = X.copy()
        for i in range(500):
            m = hole[i]
            if m.any():
                gain = S[np.ix_(m, ~m)] @ np.linalg.inv(S[np.ix_(~m, ~m)])
                best[i, m] = gain @ X[i, ~m]
        errors.append(rms(imputer.transform(table), X, hole) / rms(best, X, hole))
    assert max(errors) < 1.05 and max(biases) < 0.02


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize(
    "options", [{}, {"n_components": 2}, {"n_components": 2, "alpha": 0.0}]
)
def test_gross_errors_do_not_reach_what_is_imputed(noise, options):
    for seed in range(2):
        rng = np.random.default_rng(seed)
        X = low_rank(300, 20, 2, noise, seed)
        hole = rng.random(X.shape) < 0.2
        gross = ~hole & (rng.random(X.shape) < 0.05)
        table = np.where(hole, np.nan, X)
        wrong = table + 1000 * gross * rng.choice([-1, 1], X.shape)
        imputer = LowRankImputer(loss="huber", random_state=0, **options).fit(wrong)
        error = np.abs(imputer.transform(wrong) - X)[hole].max()
        clean = LowRankImputer(random_state=0, **options).fit_transform(table)
        # of the size that the same model has without them
        assert error < 1.5 * np.abs(clean - X)[hole].max() + 1e-6
        mask = imputer.result_.outlier_mask
        assert mask[gross].all() and mask[~gross & ~hole].mean() < 0.1
        # new rows, too
        new = imputer.transform(wrong[:40] + 0.0)
        np.testing.assert_allclose(new, imputer.transform(wrong)[:40], atol=1e-9)


def test_alpha_is_not_judged_by_gross_errors():
    rng = np.random.default_rng(0)
    X = low_rank(300, 20, 2, 0.1)
    hole, table = holes(X, 0.2)
    wrong = table + 1000 * (rng.random(X.shape) < 0.05)
    options = {"alpha": "auto", "random_state": 0}
    robust = complete(wrong, 2, loss="huber", **options).reconstruct()
    clean = complete(table, 2, **options).reconstruct()
    # the zero matrix has an error of one
    assert rms(robust, X, hole) < 1.1 * rms(clean, X, hole) < 0.5


def test_better_than_the_gaussian_where_there_are_clusters():
    X = load_iris().data
    ratios = []
    for seed in range(5):
        hole, table = holes(X, 0.2, seed)
        near, plain = (
            rms(LowRankImputer(n_neighbors=k).fit_transform(table), X, hole)
            for k in (10, 0)
        )
        ratios.append(near / plain)
    assert np.mean(ratios) < 0.98


def test_neighbours_do_no_harm_where_all_is_linear():
    for seed in range(3):
        X = low_rank(1000, 6, 2, 0.5, seed)
        hole, table = holes(X, 0.2, seed)
        near, plain = (LowRankImputer(n_neighbors=k).fit(table) for k in (10, 0))
        errors = [rms(fit.transform(table), X, hole) for fit in (near, plain)]
        assert errors[0] < 1.02 * errors[1]


def test_draws_have_the_spread_of_the_posterior():
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    X = np.column_stack([x, x + 0.5 * rng.normal(size=400)])
    hole = np.zeros(X.shape, bool)
    hole[::2, 1] = True
    table = np.where(hole, np.nan, X)
    draws = np.array(
        [
            LowRankImputer(sample_posterior=True, random_state=seed).fit_transform(
                table
            )[hole]
            for seed in range(60)
        ]
    )
    assert draws.std(axis=0).mean() == pytest.approx(0.5, rel=0.08)
    # 95 of 100 intervals hold what is missing
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    assert 0.88 < np.mean((low < X[hole]) & (X[hole] < high)) < 0.99
    one = LowRankImputer(sample_posterior=True, random_state=1).fit(table)
    np.testing.assert_array_equal(one.transform(table), one.transform(table))


def test_bounds_of_columns():
    hole, table = holes(low_rank(100, 3, 1), 0.3)
    low, high = np.array([-0.1, -np.inf, 0.0]), [0.2, 0.0, np.inf]
    filled = LowRankImputer(min_value=low, max_value=high).fit_transform(table)
    for j in range(3):
        values = filled[hole[:, j], j]
        assert values.min() >= low[j] and values.max() <= high[j]
    assert (filled[hole] == np.broadcast_to(low, filled.shape)[hole]).any()
    pair = LowRankImputer(clip_range=(None, 0)).fit_transform(table)[hole]
    assert pair.max() <= 0 and pair.min() < -0.2
    # observed values stay
    np.testing.assert_array_equal(filled[~hole], table[~hole])


def test_attributes_of_the_gaussian():
    X = low_rank(300, 5, 2, 0.3) * np.array([1, 10, 1e3, 1e-3, 1]) + 7
    _, table = holes(X, 0.1)
    imputer = LowRankImputer().fit(table)
    r = imputer.result_
    away = (imputer.mean_ - X.mean(axis=0)) / X.std(axis=0)
    np.testing.assert_allclose(away, 0, atol=0.05)
    np.testing.assert_allclose(imputer.scale_, X.std(axis=0), rtol=0.1)
    np.testing.assert_allclose(r.correlation, np.corrcoef(X.T), atol=0.1)
    s = np.linalg.svd((X - X.mean(axis=0)) / X.std(axis=0), compute_uv=False)
    np.testing.assert_allclose(imputer.singular_values_[:2], s[:2], rtol=0.05)
    np.testing.assert_allclose(
        imputer.components_ @ imputer.components_.T, np.eye(5), atol=1e-12
    )
    assert r.converged and r.n_iter == imputer.n_iter_ == len(r.history)
    X = low_rank(500, 12, 3, 0.5)
    assert LowRankImputer("auto").fit(X).components_.shape == (3, 12)


def test_limits_of_the_gaussian():
    _, table = holes(low_rank(100, 4, 2, 0.3), 0.3)
    seen = []

    def watch(state):
        seen.append(state.covariance.copy())
        return state.n_iter == 3

    imputer = LowRankImputer(callback=watch).fit(table)
    assert imputer.n_iter_ == len(seen) == 3
    assert imputer.result_.status == Status.STOPPED_BY_CALLBACK
    assert np.isfinite(imputer.transform(table)).all()
    for options in ({"max_iter": 2}, {"max_time": 1e-9}):
        with pytest.warns(ConvergenceWarning, match=next(iter(options))):
            imputer = LowRankImputer(**options).fit(table)
        assert np.isfinite(imputer.transform(table)).all()


def test_wide_tables_are_fitted_by_factors():
    X = low_rank(60, 320, 2, 0.1)
    hole, table = holes(X, 0.3)
    imputer = LowRankImputer(random_state=0).fit(table)
    assert imputer.components_.shape == (10, 320)
    assert rms(imputer.transform(table), X, hole) < 0.2


@pytest.mark.parametrize("loss", ["squared", "huber"])
@pytest.mark.parametrize("n_components", [None, 2, "auto"])
def test_odd_tables(loss, n_components):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 4))
    X[:, 1] = 5.0  # constant
    X[1:, 2] = np.nan  # one value
    X[rng.random(X.shape) < 0.2] = np.nan
    X[0, 2] = 3.0
    X[7] = np.nan
    imputer = LowRankImputer(n_components, loss=loss, random_state=0)
    filled = imputer.fit_transform(X)
    assert np.isfinite(filled).all()
    np.testing.assert_allclose(filled[:, 1], 5)
    np.testing.assert_allclose(filled[:, 2], 3)
    np.testing.assert_allclose(filled[7], imputer.mean_)
