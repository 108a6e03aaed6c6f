"""`complete` from outside: what it promises about answers, limits and reports."""

import signal
import warnings
from functools import partial

import numpy as np
import pytest
from scipy import sparse

from sparseopt import Status
from sparseopt.completion import (
    CompletionResult,
    _alpha,
    alternating_minimization,
    complete,
    soft_impute,
)
from sparseopt.datasets import make_low_rank
from sparseopt.exceptions import ConvergenceWarning

EXACT = {"tol": 1e-11, "tol_obj": 0.0, "random_state": 0}


@pytest.fixture(scope="module")
def problem():
    return make_low_rank(90, 70, 3, oversampling=4, random_state=0)


def product(result):
    return (result.U * result.s) @ result.V.T


def truth(problem):
    return (problem.U * problem.s) @ problem.V.T


# ------------------------------------------------------------------------- answers


@pytest.mark.parametrize("solver", ["auto", "als", "als-exact"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_recovers_all_entries(problem, solver, dtype):
    X = problem.X.astype(dtype)
    single = dtype == np.float32
    options = {"random_state": 0} if single else EXACT
    result = complete(X, 3, solver=solver, **options)
    assert result.converged and result.U.dtype == result.V.dtype == dtype
    assert result.solver == solver
    error = problem.relative_error(result.U * result.s, result.V)
    assert error < (1e-4 if single else 1e-10)
    np.testing.assert_allclose(result.U.T @ result.U, np.eye(3), atol=1e-5)
    assert np.all(np.diff(result.s) <= 0)


def test_residual_is_what_it_says(problem):
    result = complete(problem.X, 2, random_state=0)  # too small a rank: not zero
    rows, cols = problem.X.tocoo().coords
    left = problem.X.data - result.predict(rows, cols)
    expected = np.linalg.norm(left) / np.linalg.norm(problem.X.data)
    assert result.residual == pytest.approx(expected, rel=1e-10)
    assert result.objective == pytest.approx(0.5 * left @ left, rel=1e-8)
    np.testing.assert_allclose(result.reconstruct(), product(result), atol=1e-13)
    np.testing.assert_allclose(result.reconstruct([4, 2]), product(result)[[4, 2]])


def test_full_observation_is_the_truncated_svd():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 20))
    result = complete(X, 4, tol_obj=1e-15, max_iter=3000, random_state=0)
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    best = (U[:, :4] * s[:4]) @ Vt[:4]
    np.testing.assert_allclose(result.s, s[:4], rtol=1e-7)
    np.testing.assert_allclose(product(result), best, atol=1e-5)


@pytest.mark.parametrize("init", ["spectral", "random"])
@pytest.mark.parametrize("solver", ["auto", "als", "als-exact"])
def test_rows_without_entries_are_zero(problem, solver, init):
    """From a random start too: nothing but the ridge has a say in them."""
    X = np.full((90, 70), np.nan)
    X[problem.X.tocoo().coords] = problem.X.data
    X[4], X[:, 7] = np.nan, np.nan
    with pytest.warns(UserWarning, match=r"1 rows \(4\) .* 1 columns \(7\)"):
        result = complete(X, 3, solver=solver, init=init, random_state=0)
    assert result.converged
    Z = product(result)
    np.testing.assert_allclose(Z[4], 0, atol=1e-6)
    np.testing.assert_allclose(Z[:, 7], 0, atol=1e-6)


def test_transposition_permutation_and_scale(problem):
    M = truth(problem)
    rng = np.random.default_rng(1)
    p, q = rng.permutation(90), rng.permutation(70)
    for X, expected in (
        (problem.X.T.tocsr(), M.T),
        (problem.X[p][:, q], M[p][:, q]),
        (problem.X * 1e150, M * 1e150),
        (problem.X * 1e-150, M * 1e-150),
    ):
        result = complete(X, 3, **EXACT)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(product(result) / scale, expected / scale, atol=1e-9)


def test_power_of_two_scale_changes_nothing_else(problem):
    a = complete(problem.X, 3, **EXACT)
    b = complete(problem.X * 2.0**60, 3, **EXACT)
    np.testing.assert_allclose(b.s, a.s * 2.0**60, rtol=1e-12)
    np.testing.assert_allclose(b.objective, a.objective * 2.0**120, rtol=1e-6)


def test_every_form_gives_the_same_bits(problem):
    rows, cols = problem.X.tocoo().coords
    X = np.full((90, 70), np.nan)
    X[rows, cols] = problem.X.data
    results = [
        complete(form, 3, **EXACT)
        for form in (problem.X, problem.X.tocsc(), problem.X.tocoo(), X)
    ]
    results.append(complete((rows, cols, problem.X.data), 3, shape=(90, 70), **EXACT))
    for other in results[1:]:
        np.testing.assert_array_equal(other.U, results[0].U)
        np.testing.assert_array_equal(other.s, results[0].s)


def test_threads_do_not_change_the_answer(problem):
    one, two = (complete(problem.X, 3, n_threads=n, **EXACT) for n in (1, 2))
    np.testing.assert_array_equal(one.V, two.V)


def test_weights_of_zero_are_missing_entries(problem):
    rng = np.random.default_rng(2)
    keep = rng.random(problem.X.nnz) < 0.8
    X = problem.X.copy()
    X.data = np.where(keep, X.data, 1e3)  # wrong, and without weight
    result = complete(X, 3, weights=keep.astype(float), **EXACT)
    assert problem.relative_error(result.U * result.s, result.V) < 1e-9


def test_alpha_is_the_nuclear_norm_penalty():
    p = make_low_rank(40, 30, 3, oversampling=3, noise=0.2, random_state=3)
    b = soft_impute(p.X, 3.0, tol=1e-8)
    k = len(b.s)  # with more, what should vanish does so slowly
    a = complete(p.X, k, alpha=3.0, tol_obj=1e-13, max_iter=5000, random_state=0)
    assert a.objective == pytest.approx(b.objective, rel=1e-7)
    np.testing.assert_allclose(product(a), product(b), atol=1e-3)


def test_start_from_a_result_needs_few_iterations(problem):
    first = complete(problem.X, 3, **EXACT)
    again = complete(problem.X, 3, init=first, **EXACT)
    assert again.n_iter <= 2
    pair = complete(problem.X, 3, init=(first.U * first.s, first.V), **EXACT)
    assert pair.n_iter <= 2 and pair.converged
    cold = complete(problem.X, 3, init="random", **EXACT)
    assert problem.relative_error(cold.U * cold.s, cold.V) < 1e-9


@pytest.mark.parametrize("biases", ["row", "col", "both"])
def test_biases_are_found(problem, biases):
    rng = np.random.default_rng(4)
    b = rng.normal(size=90) * (biases in ("row", "both"))
    c = rng.normal(size=70) * (biases in ("col", "both"))
    rows, cols = problem.X.tocoo().coords
    values = problem.X.data + 5.0 + b[rows] + c[cols]
    result = complete(
        (rows, cols, values), 3, biases=biases, bias_reg=0.01, alpha=0.01,
        tol_obj=1e-7, max_iter=5000, shape=(90, 70), random_state=0,
    )  # fmt: skip
    M = truth(problem) + 5.0 + b[:, None] + c
    # the ridges leave this much
    assert np.sqrt(np.mean(np.square(result.reconstruct() - M))) < 0.005
    assert (result.row_bias is None) == (biases == "col")
    assert (result.col_bias is None) == (biases == "row")


# -------------------------------------------------------------- limits and reports


def test_limits_callback_and_history(problem):
    seen = []

    def watch(state):
        U, s, V = state.factors
        seen.append((state.n_iter, state.residual, U.shape, s.shape, V.shape))
        return state.n_iter == 3

    result = complete(problem.X, 3, callback=watch, **EXACT)
    assert result.status is Status.STOPPED_BY_CALLBACK and result.n_iter == 3
    assert [row[0] for row in seen] == [1, 2, 3]
    assert seen[0][2:] == ((90, 3), (3,), (70, 3))
    np.testing.assert_allclose([row[1] for row in seen], result.history["residual"])
    with pytest.warns(ConvergenceWarning, match="tol_obj"):
        result = complete(problem.X, 3, max_iter=2, **EXACT)
    assert result.status is Status.MAX_ITER and result.n_iter == 2
    with pytest.warns(ConvergenceWarning, match="max_time"):
        result = complete(problem.X, 3, max_time=1e-9, **EXACT)
    assert result.status is Status.TIME_LIMIT


def test_a_callback_that_raises_is_not_hidden(problem):
    def fail(state):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        complete(problem.X, 3, callback=fail)


def test_an_interrupt_leaves_the_last_iterate(problem):
    def interrupt(state):
        if state.n_iter == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.warns(ConvergenceWarning, match="interrupted"):
        result = complete(problem.X, 3, callback=interrupt, **EXACT)
    assert result.status is Status.INTERRUPTED and result.n_iter == 3
    rows, cols = problem.X.tocoo().coords
    left = problem.X.data - result.predict(rows, cols)
    expected = np.linalg.norm(left) / np.linalg.norm(problem.X.data)
    assert result.residual == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_alpha_is_chosen_in_the_unit_of_the_weights(scale):
    # weights that sum to one are common: the grid began far above all that fits
    p = make_low_rank(200, 150, 3, oversampling=6, noise=0.3, random_state=0)
    w = np.random.default_rng(0).random(p.X.nnz) + 0.5
    plain = complete(p.X, 6, alpha="auto", weights=w, random_state=0)
    result = complete(p.X, 6, alpha="auto", weights=w * scale, random_state=0)
    assert result.alpha == pytest.approx(plain.alpha * scale, rel=1e-6)
    # not the same iterates, as the start of the homotopy has another unit: minima on a
    # plateau are within a hundredth
    assert result.objective / scale == pytest.approx(plain.objective, rel=1e-2)
    assert p.relative_error(result.U * result.s, result.V) < 0.25


def test_an_interrupt_ends_the_choice_of_alpha(problem, monkeypatch):
    # fits on the way to alpha took it for their own end, and the next one went on
    def interrupt(state):
        signal.raise_signal(signal.SIGINT)

    limited = partial(_alpha.Monitor, callback=interrupt)
    monkeypatch.setattr(_alpha, "Monitor", limited)
    with pytest.raises(KeyboardInterrupt):
        complete(problem.X, 3, alpha="auto", **EXACT)


def test_the_choice_of_alpha_is_within_the_time(problem):
    with pytest.warns(ConvergenceWarning) as caught:
        result = complete(problem.X, 3, alpha="auto", max_time=1e-9, **EXACT)
    assert "alpha='auto'" in str(caught[0].message) and result.n_iter == 1
    assert result.alpha > 0 and result.status is Status.TIME_LIMIT


def test_verbose_prints_a_summary(problem, capsys):
    complete(problem.X, 3, verbose=1, **EXACT)
    assert "completion.complete: converged" in capsys.readouterr().err


def test_message_says_which_tolerance_it_was(problem):
    assert complete(problem.X, 3, **EXACT).message == Status.CONVERGED.advice
    few = complete(problem.X, 1, random_state=0)  # a rank that is too small
    assert few.converged and few.residual > 0.1
    assert "tol_obj" in few.message and f"{few.residual:.3g}" in few.message
    assert "tol_obj" not in soft_impute(problem.X, 3.0).message


def test_results_are_saved_and_loaded(problem, tmp_path):
    result = complete(problem.X, 3, **EXACT)
    result.save(tmp_path / "r.npz")
    again = CompletionResult.load(tmp_path / "r.npz")
    np.testing.assert_array_equal(again.U, result.U)
    assert again.status is result.status and again.predict([1], [2]).shape == (1,)


def test_what_the_data_do_not_determine_is_named():
    X = np.full((6, 5), np.nan)
    X[:5, :4] = np.outer(np.arange(1.0, 6), np.arange(1.0, 5))
    X[5, 0] = 7.0
    with pytest.warns(UserWarning, match=r"1 rows \(5\).*1 columns \(4\)"):
        result = complete(X, 2, random_state=0)
    assert result.underdetermined_rows.tolist() == [5]
    assert result.underdetermined_cols.tolist() == [4]
    assert np.isfinite(result.reconstruct()).all()
    np.testing.assert_allclose(result.reconstruct()[:, 4], 0, atol=1e-12)
    with pytest.warns(UserWarning, match="degrees of freedom"):
        complete(sparse.csr_array(np.eye(5)), 2, random_state=0)


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((4, 3)),
        np.ones((4, 3)),
        np.array([[2.0]]),
        np.array([[1.0, np.nan, 3.0]]),
        np.array([[1.0], [2.0]]),
        np.full((3, 3), 1e-300),
        np.full((3, 3), 1e300),
    ],
    ids=["zeros", "ones", "one", "row", "column", "tiny", "huge"],
)
def test_small_and_degenerate(X):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        result = complete(X, 1, random_state=0)
    seen = ~np.isnan(X)
    assert result.converged
    np.testing.assert_allclose(result.reconstruct()[seen], X[seen], rtol=1e-7)


@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_outliers_are_marked_where_the_caller_has_them(loss):
    p = make_low_rank(200, 150, 3, oversampling=6, outliers=0.05, random_state=0)
    if loss == "squared":
        assert complete(p.X, 3, tol_obj=1e-3, random_state=0).outlier_mask is None
        return
    rng = np.random.default_rng(0)
    order = rng.permutation(p.X.nnz)
    rows, cols = (ids[order] for ids in p.X.tocoo().coords)
    values = p.X.data[order]
    gross = np.abs(values - np.einsum("el,el->e", (p.U * p.s)[rows], p.V[cols])) > 5
    result = complete((rows, cols, values), 3, loss="huber", shape=(200, 150))
    np.testing.assert_array_equal(result.outlier_mask, gross)
    assert p.relative_error(result.U * result.s, result.V) < 1e-8
    X = np.full((200, 150), np.nan)
    X[rows, cols] = values
    mask = complete(X, 3, loss="huber").outlier_mask
    assert mask.shape == X.shape
    np.testing.assert_array_equal(mask[rows, cols], gross)


def test_alpha_and_rank_are_chosen():
    p = make_low_rank(300, 200, 4, oversampling=6, noise=0.3, random_state=1)
    with warnings.catch_warnings():  # it creeps, as it fits the noise
        warnings.simplefilter("ignore", ConvergenceWarning)
        plain = complete(p.X, 12, max_iter=100, random_state=0)
    chosen = complete(p.X, 12, alpha="auto", random_state=0)
    errors = [p.relative_error(r.U * r.s, r.V) for r in (plain, chosen)]
    assert chosen.alpha > 0 and errors[1] < 0.8 * errors[0]
    exact = make_low_rank(300, 200, 4, oversampling=4, random_state=1)
    result = complete(exact.X, "auto", **EXACT)
    assert exact.relative_error(result.U * result.s, result.V) < 1e-9


@pytest.mark.parametrize("row_solver", ["cg", "sketch", "cholesky"])
def test_published_algorithm(row_solver):
    p = make_low_rank(150, 120, 2, oversampling=8, random_state=0)
    result = alternating_minimization(
        p.X, 2, n_outer=30, row_solver=row_solver, random_state=0
    )
    assert result.converged
    assert p.relative_error(result.U * result.s, result.V) < 1e-7


def test_published_algorithm_on_fresh_samples():
    p = make_low_rank(400, 300, 2, oversampling=60, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        result = alternating_minimization(
            p.X, 2, n_outer=5, sample_splitting=True, clip=2.0, random_state=0
        )
    assert p.relative_error(result.U * result.s, result.V) < 1e-2


@pytest.mark.parametrize(
    ("function", "args", "options", "text"),
    [
        (soft_impute, (0.0,), {}, "alpha"),
        (soft_impute, (1.0, 80), {}, "max_rank.*70"),
        (alternating_minimization, (80,), {}, "n_components.*70"),
        (alternating_minimization, (2,), {"n_outer": 0}, "n_outer"),
        (alternating_minimization, (2,), {"row_solver": "qr"}, "row_solver"),
    ],
)
def test_bad_arguments_of_published(problem, function, args, options, text):
    with pytest.raises(ValueError, match=text):
        function(problem.X, *args, **options)
