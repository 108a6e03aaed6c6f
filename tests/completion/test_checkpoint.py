"""Fits that go on from a file as if they had not stopped."""

import json
import warnings

import numpy as np
import pytest
from scipy import sparse

from sparseopt import Status
from sparseopt.completion import (
    Checkpoint,
    MatrixFactorizer,
    alternating_minimization,
    complete,
    load_checkpoint,
    soft_impute,
)
from sparseopt.datasets import make_low_rank


def easy(real=np.float64, noise=0.0):
    return make_low_rank(
        60, 50, 3, oversampling=3, noise=noise, random_state=0
    ).X.astype(real)


def hard():
    """A restart with additional directions, and Gauss-Newton steps."""
    return make_low_rank(40, 40, 4, oversampling=1.1, random_state=1).X


def structured():
    """All starts, and sweeps from the best of them."""
    X = make_low_rank(60, 50, 3, oversampling=4, random_state=0).X
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal(60), rng.standard_normal(50)
    rows, cols = X.tocoo().coords
    X.data += 0.02 * np.abs(X.data).mean() * u[rows] * v[cols]
    return X


def gross():
    return make_low_rank(80, 70, 3, oversampling=6, outliers=0.05, random_state=0).X


def weighted():
    X = easy(noise=0.1)
    return X, np.random.default_rng(0).uniform(0.5, 2, X.nnz)


CASES = {
    "auto": (easy, {}),
    "float32": (lambda: easy(np.float32), {}),
    "hard": (hard, {"max_iter": 600}),
    "structured": (structured, {}),
    "noise": (lambda: easy(noise=0.3), {}),
    "mixed": (easy, {"precision": "mixed"}),
    "als": (easy, {"solver": "als"}),
    "exact": (easy, {"solver": "als-exact"}),
    "alpha": (lambda: easy(noise=0.3), {"alpha": "auto"}),
    "rank": (easy, {"n_components": "auto"}),
    "homotopy": (easy, {"homotopy": 0.7}),
    "pair": (easy, {"init": (np.eye(60, 3) + 0.1, np.eye(50, 3) + 0.1)}),
    "huber": (gross, {"loss": "huber"}),
    "huber plain": (gross, {"loss": "huber", "debias": False, "delta": 0.5}),
    "nonnegative": (easy, {"nonnegative": True, "max_iter": 40}),
    "biases": (
        lambda: easy(noise=0.3),
        {"biases": "both", "reg": "count", "alpha": 0.05, "bias_reg": (2, 3.0)},
    ),
    "row biases": (lambda: easy(noise=0.3), {"biases": "row", "alpha": 0.5}),
    "held out": (
        lambda: easy(np.float32, noise=0.3),
        {"validation_fraction": 0.2, "alpha": 0.1, "tol_obj": 0.0, "max_iter": 30},
    ),
    "held out of low-rank data": (easy, {"validation_fraction": 0.1}),
    "held out of ratings": (
        lambda: easy(noise=0.3),
        {"validation_fraction": 0.2, "alpha": 0.1, "biases": "both", "reg": "count"},
    ),
    "held out, nonnegative": (
        easy,
        {"validation_fraction": 0.2, "nonnegative": True, "max_iter": 40},
    ),
    "small unit": (lambda: easy() * 2.0**-100, {"biases": "both", "alpha": 2.0**-95}),
    "weights": (weighted, {}),
    "old generator": (easy, {"random_state": np.random.RandomState(3)}),
}


def call(make, options, **more):
    given = make()
    X, weights = given if isinstance(given, tuple) else (given, None)
    k = {"n_components": 4 if make is hard else 3, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return complete(X, weights=weights, **{**k, **options, **more})


@pytest.mark.parametrize("name", CASES)
def test_the_same_iterates_to_the_last_bit(name, tmp_path):
    make, options = CASES[name]
    if name == "old generator":
        options = {"random_state": np.random.RandomState(3)}
    paths = []

    def write(state):
        path = tmp_path / f"{state.n_iter}.npz"
        Checkpoint(path, every=1)(state)
        paths.append(path)

    whole = call(make, options, callback=write)
    assert len(paths) == whole.n_iter
    again = {n: p for n, p in options.items() if n not in ("init", "random_state")}
    # at all stages; the other random_state must not matter
    for path in paths[:: max(1, len(paths) // 8)] + paths[-1:]:
        init = load_checkpoint(path)
        result = call(make, again, init=init, random_state=99)
        assert result.status == whole.status, path
        assert result.n_iter == whole.n_iter, path
        assert result.n_restarts == whole.n_restarts
        assert result.solver == whole.solver
        assert result.work == pytest.approx(whole.work, rel=1e-9)
        for field in ("U", "s", "V", "row_bias", "col_bias", "outlier_mask"):
            np.testing.assert_array_equal(
                getattr(result, field), getattr(whole, field), err_msg=str(path)
            )
        assert result.intercept == whole.intercept
        assert result.alpha == whole.alpha


def test_cases_have_all_stages():
    # what the test above relies on
    stages = {"hard": set(), "structured": set()}
    for name, found in stages.items():

        def note(state, found=found):
            saved = state.checkpoint["methods"]["auto"]
            found.add((saved["rung"], saved["phase"]))

        call(*CASES[name], callback=note)
    both = {(0, "homotopy"), (1, "homotopy"), (1, "end")}
    assert stages["hard"] >= {*both, (1, "newton")}
    assert stages["structured"] >= {*both, (2, "homotopy"), (3, "settle")}


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("alpha", [1.0, 10.0])
def test_soft_impute_has_the_same_answer(real, alpha, tmp_path):
    X = easy(real, noise=0.3)
    paths = []

    def write(state):
        paths.append(tmp_path / f"{state.n_iter}.npz")
        Checkpoint(paths[-1], every=1)(state)

    whole = soft_impute(X, alpha, callback=write, random_state=0)
    expected = whole.reconstruct()
    for path in (paths[0], paths[len(paths) // 2], paths[-1]):
        result = soft_impute(X, alpha, init=load_checkpoint(path))
        assert result.converged
        assert result.n_iter >= int(path.stem)
        error = np.abs(result.reconstruct() - expected).max()
        # tol bounds the violation of the conditions; the gap bounds the objective
        assert error < 1e-3 * np.abs(expected).max()
        assert result.objective == pytest.approx(whole.objective, rel=1e-5)


def test_limits_count_from_the_first_start(tmp_path):
    path = tmp_path / "a.npz"
    options = {"alpha": 0.1, "reg": "count", "tol_obj": 0.0}

    def fit(n, **more):
        return call(easy, options, max_iter=n, **more)

    part = fit(6, callback=Checkpoint(path, every=3))
    assert part.status == Status.MAX_ITER
    init = load_checkpoint(path)
    assert fit(6, init=init).n_iter == 6
    assert fit(3, init=init).status == Status.MAX_ITER
    a, b = fit(9), fit(9, init=init)
    assert a.n_iter == b.n_iter == 9
    assert len(b.history) == 3
    np.testing.assert_array_equal(a.U, b.U)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "fit.npz"
    call(easy, {"bias_reg": 2.0}, callback=Checkpoint(path, every=1))
    return load_checkpoint(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alpha", 0.1), ("alpha", "auto"), ("n_components", 4),
        ("n_components", "auto"),
        ("reg", "count"), ("solver", "als"), ("loss", "huber"), ("biases", "row"),
        ("nonnegative", True), ("bias_reg", None), ("cg_steps", 5), ("homotopy", 0.5),
        ("precision", "mixed"), ("validation_fraction", 0.1),
    ],
)  # fmt: skip
def test_other_options_are_refused(saved, name, value):
    options = {"bias_reg": 2.0, name: value}
    with pytest.raises(ValueError, match=rf"'init' checkpoint .* had {name}=.* Got"):
        call(easy, options, init=saved)


def test_other_entries_are_refused(saved):
    X = easy()

    def refused(match, X, **more):
        with pytest.raises(ValueError, match=match):
            complete(X, 3, bias_reg=2.0, init=saved, **more)

    refused("X=checksum", 2 * X)
    refused("X=shape", X[:50])
    refused("X=n_entries", sparse.csr_array(np.where(X.toarray() > 0, X.toarray(), 0)))
    refused("X=dtype float64", X.astype(np.float32))
    refused("X=checksum", X, weights=np.full(X.nnz, 2.0))
    with pytest.raises(ValueError, match="function='complete'"):
        soft_impute(X, 1.0, init=saved)
    # its factors are a start for all of them
    U, V = saved
    assert complete(2 * X, 3, init=(U, V)).converged
    assert complete(X, 3, init=list(saved)).converged


def test_factors_of_the_other_functions(tmp_path):
    path, X = tmp_path / "a.npz", easy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alternating_minimization(
            X, 3, n_outer=4, random_state=0, callback=Checkpoint(path, every=2)
        )
    with pytest.raises(ValueError, match="function='alternating_minimization'"):
        complete(X, 3, init=load_checkpoint(path))
    U, V = load_checkpoint(path)
    assert complete(X, 3, init=(U, V)).converged


def test_a_fit_of_the_estimator_goes_on_by_the_function(tmp_path):
    path, X = tmp_path / "a.npz", easy(noise=0.3)
    model = MatrixFactorizer(
        3, alpha=0.5, random_state=0, callback=Checkpoint(path, every=4)
    ).fit(X)
    result = complete(
        X, 3, alpha=0.5, reg=0.5, biases="both", init=load_checkpoint(path)
    )
    np.testing.assert_array_equal(result.U, model.result_.U)
    np.testing.assert_array_equal(result.row_bias, model.row_bias_)


def test_a_pair_is_pickled_with_all_that_it_holds(saved):
    import pickle

    again = pickle.loads(pickle.dumps(saved))
    a, b = (call(easy, {"bias_reg": 2.0}, init=init) for init in (saved, again))
    np.testing.assert_array_equal(a.U, b.U)


def parts(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def test_versions(tmp_path, saved):
    found = parts(tmp_path / "fit.npz")
    old = tmp_path / "old.npz"
    np.savez(old, **{name: found[name] for name in ("U", "s", "V", "n_iter")})
    pair = load_checkpoint(old)
    assert type(pair) is tuple
    np.testing.assert_array_equal(pair[0], saved[0])
    assert complete(easy(), 3, init=pair).converged
    state = json.loads(str(found["state"]))
    for version in (3, "x", None):
        state["version"] = version
        np.savez(old, **{**found, "state": np.array(json.dumps(state))})
        with pytest.raises(ValueError, match=r"version 1 or 2\. Got version"):
            load_checkpoint(old)


def test_state_that_is_damaged(tmp_path, saved):
    found, bad = parts(tmp_path / "fit.npz"), tmp_path / "bad.npz"
    state = json.loads(str(found["state"]))

    def refused(**changed):
        np.savez(bad, **{**found, **changed})
        with pytest.raises(ValueError, match="was not written by a Checkpoint"):
            load_checkpoint(bad)

    for text in ("", "{", "[]", "5", "{}", '{"version": 2}', '{"version": 2, "a": 1}'):
        refused(state=np.array(text))
    for name in state["dict"]:
        less = {n: v for n, v in state["dict"].items() if n != name}
        refused(state=np.array(json.dumps({**state, "dict": less})))
    refused(state=np.array([{}], dtype=object))
    for name in found:
        if name.startswith("array") and found[name].ndim == 2:
            refused(**{name: found[name][:, 1:]})
            refused(**{name: found[name] * np.nan})
    other = state["dict"]["random"]["dict"] | {"bit_generator": "rand"}
    forged = {**state["dict"], "random": {"dict": other}}
    refused(state=np.array(json.dumps({**state, "dict": forged})))
    # factors of other sizes do not reach kernels
    cut = {}
    for name, array in found.items():
        cut[name] = array[:-1] if array.ndim == 2 else array
    np.savez(bad, **cut)
    with pytest.raises(ValueError, match=r"factors of shape \(60, 50\)"):
        call(easy, {"bias_reg": 2.0}, init=load_checkpoint(bad))


def test_a_write_that_fails_leaves_the_last_file(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    call(easy, {}, callback=Checkpoint(path, every=1))
    content = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space"):
        call(easy, {}, callback=Checkpoint(path, every=1))
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]
