"""What the envelope functions say to input that they cannot use."""

import numpy as np
import pytest

from sparseopt.prox import (
    project_capped_simplex,
    project_ksupport_ball,
    project_l1_ball,
    project_simplex,
    prox_box_norm,
    prox_ksupport,
    prox_wgsef,
    prox_wgsef_blocks,
    prox_wgsef_jvp,
    wgsef_conjugate,
    wgsef_subgradient,
    wgsef_value,
)

X = np.array([3.0, -1.0, 2.0, 0.5])
NAME = "sparseopt.prox.prox_wgsef"

BAD = {
    "k float": ({"k": 2.0}, TypeError, rf"'k' .* {NAME} must be an int .* Got 2.0"),
    "k bool": ({"k": True}, TypeError, "'k' .* must be an int"),
    "k 0": ({"k": 0}, ValueError, r"must be an int in \[1, 4\]. Got 0"),
    "k large": ({"k": 5}, ValueError, rf"'k' .* {NAME} .* \[1, 4\]. Got 5"),
    "k groups": ({"k": 3, "groups": 2}, ValueError, r"\[1, 2\]. Got 3"),
    "lam negative": ({"lam": -1.0}, ValueError, "'lam' .* Got -1.0"),
    "lam nan": ({"lam": np.nan}, ValueError, "'lam'"),
    "lam inf": ({"lam": np.inf}, ValueError, "'lam'"),
    "lam text": ({"lam": "1"}, TypeError, "'lam'"),
    "weights zero": ({"weights": [1, 0, 1, 1]}, ValueError, "Got 0.0 at index 1"),
    "weights length": ({"weights": [1.0, 2.0]}, ValueError, r"shape \(4,\)"),
    "weights word": ({"weights": "log"}, ValueError, "'sqrt', 'size'"),
    "costs negative": ({"costs": [1, 1, -1, 1]}, ValueError, "'costs' .* index 2"),
    "costs length": ({"costs": [1.0]}, ValueError, r"'costs' .* shape \(4,\)"),
    "overlap": ({"groups": [[0, 1], [1, 2]]}, ValueError, "index 1 2 times"),
    "empty group": (
        {"groups": [[0, 1], []]},
        ValueError,
        "empty group. Got one at position 1",
    ),
    "outside": ({"groups": [[0, 9]]}, ValueError, "Got 9"),
    "block size": ({"groups": 3}, ValueError, "divisor"),
    "debias": ({"debias": 1.5}, ValueError, "'debias'"),
    "debias strong": (
        {"debias": 0.5, "lam": 2.0},
        ValueError,
        "'debias' .* below .* = 0.5: it is too strong for the step. Got 0.5",
    ),
    "out shape": ({"out": np.empty(3)}, ValueError, "'out'"),
    "out type": ({"out": np.empty(4, np.float32)}, ValueError, "'out'"),
    "out list": ({"out": [0.0] * 4}, TypeError, "'out'"),
    "axis": ({"axis": 0.5}, TypeError, "'axis'"),
    "threads": ({"n_threads": 0}, ValueError, "'n_threads'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments(case):
    changes, error, message = BAD[case]
    arguments = {"k": 2, **changes}
    with pytest.raises(error, match=message):
        prox_wgsef(X, **arguments)


FUNCTIONS = {
    "prox_wgsef": lambda x, **options: prox_wgsef(x, 2, **options),
    "grouped": lambda x, **options: prox_wgsef(x, 1, groups=2, **options),
    "weighted": lambda x, **options: prox_wgsef(
        x, 2, weights=[1.0, 2.0, 1.0, 2.0], **options
    ),
    "copied": lambda x, **options: prox_wgsef(x, 2, 0.0, **options),
    "project_simplex": project_simplex,
    "weighted simplex": lambda x, **options: project_simplex(
        x, weights=[1.0, 2.0, 3.0, 4.0], **options
    ),
    "project_l1_ball": project_l1_ball,
    "weighted ball": lambda x, **options: project_l1_ball(
        x, weights=[1.0, 2.0, 3.0, 4.0], **options
    ),
    "empty ball": lambda x, **options: project_l1_ball(x, 0.0, **options),
    "project_capped_simplex": lambda x, **options: project_capped_simplex(
        x, 2.0, **options
    ),
    "full capped simplex": lambda x, **options: project_capped_simplex(
        x, 4.0, **options
    ),
    "prox_ksupport": lambda x, **options: prox_ksupport(x, 2, **options),
    "project_ksupport_ball": lambda x, **options: project_ksupport_ball(
        x, 2, **options
    ),
    "prox_box_norm": lambda x, **options: prox_box_norm(x, 0.1, 1.0, 2.0, **options),
}
VALUES = {
    "wgsef_value": wgsef_value,
    "wgsef_conjugate": wgsef_conjugate,
    "wgsef_subgradient": wgsef_subgradient,
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite(name, bad):
    x = X.copy()
    x[2] = bad
    with pytest.raises(ValueError, match=r"'x' array must be finite. .* index 2"):
        FUNCTIONS[name](x)
    assert np.isnan(FUNCTIONS[name](x, check_finite=False)).all()
    np.testing.assert_array_equal(x[[0, 1, 3]], X[[0, 1, 3]])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_long_not_finite(name):
    if "weight" in name or "capped" in name or "box" in name:
        pytest.skip("arguments are for four entries")
    x = np.tile(X, 2000)
    x[5000] = np.nan
    with pytest.raises(ValueError, match="index 5000"):
        FUNCTIONS[name](x)
    assert np.isnan(FUNCTIONS[name](x, check_finite=False)).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_complex_and_text(name):
    with pytest.raises(ValueError, match="Complex data not supported"):
        FUNCTIONS[name](X + 1j)
    with pytest.raises(TypeError, match="'x' array must hold real numbers"):
        FUNCTIONS[name](np.array(["a", "b", "c", "d"]))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_shared_behaviour(name, layout):
    function = FUNCTIONS[name]
    expected = function(X)
    np.testing.assert_array_equal(function(layout(X)), expected)
    into = X.copy()
    assert function(into, out=into) is into
    np.testing.assert_array_equal(into, expected)
    narrow = function(X.astype(np.float32))
    assert narrow.dtype == np.float32
    np.testing.assert_allclose(narrow, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["prox_wgsef", "project_simplex", "project_l1_ball"])
def test_empty(name):
    assert FUNCTIONS[name](np.empty(0)).shape == (0,)
    assert FUNCTIONS[name](np.empty((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    function = VALUES[name]
    with pytest.raises(ValueError, match=rf"sparseopt.prox.{name} .* Got 5"):
        function(X, 5)
    with pytest.raises(ValueError, match="must be finite"):
        function([1.0, np.nan], 1)
    assert np.isnan(function([1.0, np.nan], 1, check_finite=False)).all()
    assert np.size(function(np.empty(0), 1)) in (0, 1)
    assert not np.any(function(np.zeros(4), 2))


def test_other_parameters():
    with pytest.raises(ValueError, match="'total'"):
        project_simplex(X, -1.0)
    with pytest.raises(ValueError, match=r"'total' .* 4.0. Got 5.0"):
        project_capped_simplex(X, 5.0)
    with pytest.raises(ValueError, match="'upper'"):
        project_capped_simplex(X, 1.0, upper=-1.0)
    with pytest.raises(TypeError, match="'upper'"):
        project_capped_simplex(X, 1.0, upper="1")
    with pytest.raises(ValueError, match=r"'lower' .* below 'upper', 1.0. Got 2.0"):
        prox_box_norm(X, 2.0, 1.0, 9.0)
    with pytest.raises(ValueError, match=r"'total' .* at least n \* lower, 2.0"):
        prox_box_norm(X, 0.5, 1.0, 1.0)
    with pytest.raises(ValueError, match="'v' array must have the shape"):
        prox_wgsef_jvp(X, X[:2], 2)
    with pytest.raises(ValueError, match="'debias'"):
        prox_wgsef_blocks([X], 2, 2.0, debias=0.9)
    with pytest.raises(TypeError, match="started again"):
        prox_wgsef_blocks(iter([X]), 2)
    with pytest.raises(ValueError, match=r"'group_size' .* Got 3 for one of 4"):
        prox_wgsef_blocks([X], 1, group_size=3)
    with pytest.raises(ValueError, match=r"\[1, 4\]. Got 7"):
        prox_wgsef_blocks([X], 7)
