"""LowRankImputer: values, shapes, names and errors of scikit-learn's imputers."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from sparseopt.completion import LowRankImputer


def table(m=120, n=9, k=2, missing=0.2, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    full = (rng.normal(size=(m, k)) @ rng.normal(size=(k, n))).astype(dtype)
    return np.where(rng.random((m, n)) < missing, np.nan, full).astype(dtype), full


@pytest.mark.parametrize(("dtype", "atol"), [(np.float64, 1e-6), (np.float32, 1e-2)])
def test_exact_tables_are_recovered(dtype, atol):
    X, full = table(dtype=dtype)
    imputer = LowRankImputer(2, alpha=0.0, standardize=False, tol=1e-9)
    if dtype == np.float32:
        imputer.set_params(tol=None)
    filled = imputer.fit_transform(X)
    assert filled.dtype == dtype
    seen = ~np.isnan(X)
    np.testing.assert_array_equal(filled[seen], X[seen])
    np.testing.assert_allclose(filled, full, atol=atol)


def test_new_rows_use_the_fitted_columns():
    X, full = table(m=200)
    imputer = LowRankImputer(2, alpha=0.0, standardize=False, tol=1e-10).fit(X[:150])
    filled = imputer.transform(X[150:])
    enough = (~np.isnan(X[150:])).sum(axis=1) >= 2
    np.testing.assert_allclose(filled[enough], full[150:][enough], atol=1e-5)


def test_rows_of_the_fit_and_new_ones_agree():
    X, _ = table(missing=0.3)
    imputer = LowRankImputer(3, alpha=0.5, random_state=0)
    filled = imputer.fit_transform(X)
    r = imputer.result_
    model = r.reconstruct() * imputer.scale_ + imputer.mean_
    hole = np.isnan(X)
    # rows of the fit are those of its last iteration
    np.testing.assert_allclose(filled[hole], model[hole], atol=1e-3)


def test_better_than_means_on_real_data():
    full = load_breast_cancer().data
    rng = np.random.default_rng(0)
    hole = rng.random(full.shape) < 0.2
    X = np.where(hole, np.nan, full)
    scale = full.std(axis=0)

    def error(imputer):
        return np.sqrt(
            np.mean((((imputer.fit_transform(X) - full) / scale)[hole]) ** 2)
        )

    assert error(LowRankImputer(random_state=0)) < 0.55 * error(SimpleImputer())


def test_names_indicator_and_empty_columns():
    X, _ = table(n=4)
    X[:, 2] = np.nan
    frame = pd.DataFrame(X, columns=list("abcd"))
    imputer = LowRankImputer(2, add_indicator=True, random_state=0)
    imputer.set_output(transform="pandas")
    out = imputer.fit_transform(frame)
    names = ["a", "b", "d", *(f"missingindicator_{c}" for c in "abcd")]
    assert list(out.columns) == names
    np.testing.assert_array_equal(out.iloc[:, 3:].to_numpy(dtype=bool), np.isnan(X))
    assert imputer.components_.shape == (2, 4) and not imputer.components_[:, 2].any()
    kept = LowRankImputer(2, keep_empty_features=True, random_state=0)
    out = kept.fit_transform(frame)
    assert out.shape == X.shape and not out[:, 2].any()


def test_rows_without_any_value_get_the_means():
    X, _ = table()
    X[7] = np.nan
    imputer = LowRankImputer(2, random_state=0)
    filled = imputer.fit_transform(X)
    np.testing.assert_allclose(filled[7], imputer.mean_)


def test_other_marks_of_missing_values():
    X, _ = table()
    a = LowRankImputer(2, random_state=0).fit_transform(X)
    marked = np.where(np.isnan(X), -999.0, X)
    b = LowRankImputer(2, missing_values=-999.0, random_state=0).fit_transform(marked)
    np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="NaN"):
        LowRankImputer(2, missing_values=-999.0).fit(X)


def test_clip_range_and_constant_columns():
    X, _ = table()
    X[:, 0] = np.where(np.isnan(X[:, 0]), np.nan, 3.0)
    imputer = LowRankImputer(2, clip_range=(-0.5, 3.0), random_state=0)
    filled = imputer.fit_transform(X)
    hole = np.isnan(X)
    assert filled[hole].min() >= -0.5 and filled[hole].max() <= 3.0
    np.testing.assert_allclose(filled[:, 0], 3.0)


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_scales_of_columns_do_not_matter(scale):
    X, _ = table()
    sizes = np.array([scale, *[1.0] * 8])
    a = LowRankImputer(2, random_state=0).fit_transform(X)
    b = LowRankImputer(2, random_state=0).fit_transform(X * sizes)
    np.testing.assert_allclose(b / sizes, a, rtol=1e-6, atol=1e-9)


def test_gross_errors():
    X, full = table(m=300, n=20, missing=0.1)
    rng = np.random.default_rng(1)
    X[rng.random(X.shape) < 0.03] += 30.0
    hole = np.isnan(X)
    errors = [
        np.abs(
            LowRankImputer(2, alpha=0.0, standardize=False, loss=loss, random_state=0)
            .fit(X)
            .result_.reconstruct()[hole]
            - full[hole]
        ).max()
        for loss in ("huber", "squared")
    ]
    assert errors[0] < 1e-6 < 0.1 < errors[1]


def test_in_a_pipeline():
    X, full = table(m=150)
    y = full @ np.arange(9.0)
    model = make_pipeline(LowRankImputer(2, random_state=0), Ridge(1e-3)).fit(X, y)
    assert model.score(X, y) > 0.9


@pytest.mark.parametrize(
    ("options", "X", "text"),
    [
        ({"n_components": 10}, None, "n_components"),
        ({"n_components": 0}, None, "n_components"),
        ({"alpha": -1}, None, "alpha"),
        ({"clip_range": (1, 0)}, None, "clip_range"),
        ({"clip_range": (1,)}, None, "clip_range"),
        ({"clip_range": ("a", "b")}, None, "clip_range"),
        ({"min_value": [1.0, 2.0]}, None, "min_value.*9 features"),
        ({"max_value": "x"}, None, "max_value"),
        ({"min_value": 1, "max_value": 0}, None, "above 'max_value'"),
        ({"n_neighbors": -1}, None, "n_neighbors"),
        ({"sample_posterior": True, "n_components": 2, "alpha": 1}, None, "Gaussian"),
        ({"loss": "l1"}, None, "loss"),
        ({}, np.full((3, 3), np.nan), "at least one observed"),
        ({}, np.array([[1.0, np.inf], [1.0, 2.0]]), "infinity"),
    ],
)
def test_bad_arguments(options, X, text):
    X = table()[0] if X is None else X
    with pytest.raises(ValueError, match=text):
        LowRankImputer(**options).fit(X)


def test_before_fit_and_wrong_width():
    with pytest.raises(NotFittedError):
        LowRankImputer().transform(np.ones((2, 2)))
    imputer = LowRankImputer(2).fit(table()[0])
    with pytest.raises(ValueError, match="9 features"):
        imputer.transform(np.ones((2, 3)))
