"""Calls that fail leave an estimator as it was; warm starts start at the model."""

import copy
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sparseopt import Status
from sparseopt.completion import (
    Checkpoint,
    LowRankImputer,
    MatrixFactorizer,
    load_checkpoint,
)
from sparseopt.completion import _estimators as module
from sparseopt.completion._half_step import HalfSteps
from sparseopt.datasets import make_low_rank
from sparseopt.exceptions import ConvergenceWarning


@pytest.fixture
def X():
    return make_low_rank(40, 30, 2, oversampling=5, noise=0.3, random_state=0).X


NEW = ([40, 40, 41, 5], [3, 4, 30, 30], [5.0, 4.0, 2.0, 3.0])


def fitted(X, **options):
    return MatrixFactorizer(2, alpha=0.5, **{"random_state": 0, **options}).fit(X)


def arrays(value, found):
    """All arrays of a tree of attributes, with their contents."""
    if isinstance(value, np.ndarray):
        found.append(value)
    elif isinstance(value, dict):
        for v in value.values():
            arrays(v, found)
    elif hasattr(value, "__dict__"):
        arrays(vars(value), found)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            arrays(getattr(value, name), found)
    return found


def assert_untouched(model, call, error, match=None):
    before, held = dict(vars(model)), arrays(vars(model), [])
    kept = copy.deepcopy(held)
    with pytest.raises(error, match=match):
        call()
    after = vars(model)
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)
    for a, b in zip(held, kept, strict=True):
        assert a.tobytes() == b.tobytes()  # there are NaN in histories


@pytest.mark.parametrize(
    ("new", "error", "match"),
    [
        (([-1], [0], [1.0]), ValueError, "'rows' array must not be negative"),
        (([0], [-1], [1.0]), ValueError, "'cols' array must not be negative"),
        (([0.5], [0], [1.0]), TypeError, "'rows' array must hold integers"),
        ((["a"], [0], [1.0]), TypeError, "'rows' array must hold integers"),
        (([0], [pd.NA], [1.0]), ValueError, "'cols' array must not hold missing"),
        (([0, 1], [0], [1.0]), ValueError, "'rows' array must have the length"),
        (([0], [0], [np.nan]), ValueError, "'values' array must be finite"),
        (([0], [0], ["a"]), TypeError, "'values' array must hold real numbers"),
        (([0, 0], [0, 0], [1.0, 2.0]), ValueError, "different places"),
        (([0], [0]), ValueError, "three arrays"),
        (([], [], []), ValueError, "at least one observed entry"),
        (([2**31], [0], [1.0]), ValueError, r"fewer than 2\*\*31"),
        (np.full((3, 30), np.nan), ValueError, "at least one observed entry"),
        (np.ones(5), ValueError, "2 dimensions"),
        (np.ones((2, 2, 2)), ValueError, "2 dimensions"),
        (np.full((3, 30), np.inf), ValueError, "finite"),
        (sparse.csr_array((3, 30)), ValueError, "at least one observed entry"),
        (None, TypeError, "'X' array must hold real numbers"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_bad_ratings(X, new, error, match, first):
    model = MatrixFactorizer(2, random_state=0) if first else fitted(X)
    assert_untouched(model, lambda: model.partial_fit(new), error, match)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("reg", "l1", ValueError), ("reg", 2.0, ValueError),
        ("biases", "x", ValueError), ("bias_reg", (1,), ValueError),
        ("loss", "huber", ValueError), ("nonnegative", True, ValueError),
    ],
)  # fmt: skip
def test_bad_parameters(X, name, value, error):
    model = fitted(X).set_params(**{name: value})
    assert_untouched(model, lambda: model.partial_fit(NEW), error, name)


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_an_interrupt_in_the_middle(X, monkeypatch, error, at, make):
    model = fitted(X, random_state=make(0))
    kept = copy.deepcopy(model)
    plain, calls = HalfSteps.cg, []

    def cg(*args, **kwargs):
        calls.append(1)
        if len(calls) == at:
            raise error
        return plain(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(HalfSteps, "cg", cg)
        assert_untouched(model, lambda: model.partial_fit(NEW), error)
    # and the next call does what it would have done
    a, b = model.partial_fit(NEW), kept.partial_fit(NEW)
    np.testing.assert_array_equal(a.row_factors_, b.row_factors_)
    np.testing.assert_array_equal(a.predict([0], [1]), b.predict([0], [1]))


def test_an_interrupt_at_the_end(X, monkeypatch):
    model = fitted(X)

    def broken(self, *args):
        self.row_factors_ = None
        raise KeyboardInterrupt

    monkeypatch.setattr(MatrixFactorizer, "_set", broken)
    assert_untouched(model, lambda: model.partial_fit(NEW), KeyboardInterrupt)
    assert_untouched(model, lambda: model.fit(X[:9, :8]), KeyboardInterrupt)


def test_fits_that_fail(X):
    model = fitted(X)
    frame = pd.DataFrame(np.full((4, 3), np.inf), columns=list("abc"))
    assert_untouched(model, lambda: model.fit(frame), ValueError)
    assert_untouched(
        model, lambda: model.fit_ratings([0], [0, 1], [1.0]), ValueError, "length"
    )

    def stop(state):
        raise RuntimeError("of the callback")

    model.set_params(callback=stop)
    assert_untouched(model, lambda: model.fit(X[:20]), RuntimeError)
    table = np.random.default_rng(0).normal(size=(20, 4))
    imputer = LowRankImputer(2, random_state=0).fit(table)
    imputer.set_params(n_components=5)
    # after means and scales of the new table are known
    assert_untouched(imputer, lambda: imputer.fit(2 + table[:9]), ValueError, "n_comp")


def test_a_warm_start_is_at_the_current_model(X, monkeypatch):
    model = fitted(X, warm_start=True)
    starts, plain = [], module.complete

    def complete(*args, init, **kwargs):
        starts.append(init)
        return plain(*args, init=init, **kwargs)

    monkeypatch.setattr(module, "complete", complete)
    model.fit(X)
    assert starts[-1].n_iter > 0  # that of the first fit
    model.partial_fit(NEW, n_sweeps=3)
    everything = sparse.lil_array((42, 31))
    everything[X.tocoo().coords] = X.data
    everything[NEW[:2]] = NEW[2]
    rows, cols = np.divmod(np.arange(42 * 31), 31)
    expected = model.predict(rows, cols)
    model.fit(everything.tocsr())
    np.testing.assert_allclose(
        starts[-1].predict(rows, cols), expected, rtol=1e-12, atol=1e-12
    )
    # once more it is that of the fit
    last = model.result_
    model.fit(everything.tocsr())
    assert starts[-1].U is not last.U
    np.testing.assert_array_equal(
        starts[-1].predict(rows, cols), last.predict(rows, cols)
    )
    model.fit(X)  # of another shape
    assert starts[-1] == "spectral"


def test_a_warm_fit_after_sweeps_starts_low(X):
    options = {"warm_start": True, "tol_obj": 1e-7}
    cold = fitted(X, **options)
    n_iter = cold.n_iter_
    other = X.copy()
    other.data = other.data[::-1].copy()  # other ratings of the same pairs
    coo = other.tocoo()
    moved = fitted(X, **options).partial_fit((*coo.coords, coo.data), n_sweeps=300)
    assert moved.n_iter_ == n_iter  # of the fit
    first, second = (m.fit(other).result_.history["objective"] for m in (moved, cold))
    assert moved.result_.converged and cold.result_.converged
    # at the answer but for the balance of the factors; the older result is far off
    assert first[0] < 1.001 * first[-1]
    assert second[0] > 1.1 * second[-1]
    assert len(first) < len(second)


def test_sweeps_are_shown_and_ended(X, tmp_path):
    seen = []

    def watch(state):
        U, s, V = state.factors
        seen.append((state.n_iter, state.objective, state.residual))
        assert (len(U), len(s), len(V)) == (42, 2, 31)
        return state.n_iter == 3

    model = fitted(X, tol_obj=1e-3)
    three = copy.deepcopy(model).partial_fit(NEW, n_sweeps=3)
    model.set_params(callback=watch).partial_fit(NEW, n_sweeps=50)
    assert [n for n, *_ in seen] == [1, 2, 3]
    assert all(b[1] <= a[1] for a, b in pairwise(seen))  # the objective
    np.testing.assert_array_equal(model.row_factors_, three.row_factors_)
    # the residual is that of the ratings
    everything = sparse.lil_array((42, 31))
    everything[X.tocoo().coords] = X.data
    everything[NEW[:2]] = NEW[2]
    coo = everything.tocoo()
    error = coo.data - model.predict(*coo.coords)
    expected = np.linalg.norm(error) / np.linalg.norm(coo.data)
    assert seen[-1][2] == pytest.approx(expected, rel=1e-10)


def test_time_limit_of_sweeps(X):
    one = fitted(X).partial_fit(NEW, n_sweeps=1)
    # over after the first sweep already
    model = fitted(X).set_params(max_time=1e-9).partial_fit(NEW, n_sweeps=10**9)
    np.testing.assert_array_equal(model.row_factors_, one.row_factors_)


@pytest.mark.parametrize(("name", "value"), [("max_time", -1), ("callback", 5)])
def test_bad_limits(X, name, value):
    model = fitted(X).set_params(**{name: value})
    error = (ValueError, TypeError)
    assert_untouched(model, lambda: model.partial_fit(NEW), error, f"{name!r} param")
    for made in (MatrixFactorizer(2), LowRankImputer(2)):
        with pytest.raises(error, match=f"{name!r} parameter"):
            made.set_params(**{name: value}).fit(np.eye(5))


def test_a_callback_that_fails(X):
    def fail(state):
        raise RuntimeError("of the callback")

    model = fitted(X).set_params(callback=fail)
    assert_untouched(model, lambda: model.partial_fit(NEW), RuntimeError)


def test_checkpoints_of_sweeps_are_none(X, tmp_path):
    path = tmp_path / "a.npz"
    model = fitted(X, callback=Checkpoint(path, every=1))
    content = path.read_bytes()
    model.partial_fit(NEW, n_sweeps=3)
    assert path.read_bytes() == content


def test_imputer_is_watched_and_ended(tmp_path):
    rng = np.random.default_rng(0)
    table = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 8))
    table[rng.random(table.shape) < 0.3] = np.nan
    seen = []

    def watch(state):
        seen.append(state.n_iter)
        return state.n_iter == 2

    imputer = LowRankImputer(3, alpha=0.1, random_state=0, callback=watch).fit(table)
    assert seen == [1, 2]
    assert imputer.n_iter_ == 2
    assert imputer.result_.status == Status.STOPPED_BY_CALLBACK
    assert np.isfinite(imputer.transform(table)).all()
    path = tmp_path / "a.npz"
    LowRankImputer(3, alpha=0.1, callback=Checkpoint(path, every=1)).fit(table)
    assert load_checkpoint(path)[0].shape == (60, 3)
    limited = LowRankImputer(3, alpha=0.1, max_time=1e-9)
    with pytest.warns(ConvergenceWarning, match="max_time"):
        limited.fit(table)
    assert limited.n_iter_ == 1


@pytest.mark.parametrize("options", [{}, {"loss": "huber"}, {"nonnegative": True}])
def test_factorizer_is_watched_and_ended(X, options):
    if options:
        options = {**options, "biases": None, "reg": "frobenius"}
    seen = []
    model = fitted(X, callback=lambda state: seen.append(state.n_iter), **options)
    assert seen == list(range(1, model.n_iter_ + 1))
    with pytest.warns(ConvergenceWarning, match="max_time"):
        model = fitted(X, max_time=1e-9, **options)
    assert model.n_iter_ == 1


def test_names_of_columns_that_are_added(X):
    frame = pd.DataFrame(X.toarray(), columns=[f"c{i}" for i in range(30)])
    frame = frame.where(frame != 0)
    model = fitted(frame)
    model.partial_fit(([0], [1], [2.0]))
    assert list(model.feature_names_in_) == list(frame.columns)
    model.transform(frame[:2])
    model.partial_fit(NEW)
    assert model.n_features_in_ == 31
    assert not hasattr(model, "feature_names_in_")
    again = fitted(frame).fit_ratings(*NEW)
    assert not hasattr(again, "feature_names_in_")
    first = MatrixFactorizer(1, random_state=0).partial_fit(X)
    assert first.n_features_in_ == 30
