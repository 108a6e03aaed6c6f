"""Declared constraints: what passes, what is refused, and in which words."""

import inspect
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseopt._core import _params
from sparseopt._core._params import (
    COMMON,
    Boolean,
    Callable_,
    FloatType,
    Interval,
    Options,
    Type,
    check_params,
    public_name,
    validate_params,
)


@validate_params(
    {
        **COMMON,
        "reg": [Interval(0, None, closed="neither")],
        "share": [Interval(0, 1, closed="left")],
        "method": [Options("sns", "auto", "ssns", "sinkhorn")],
        "level": [Options("low", "high"), None],
        "norm": [Callable_, Options("max", "median"), None],
        "axes": [tuple, list],
        "flag": [Boolean],
        "seed": ["random_state"],
        "table": [Type(np.ndarray)],
    }
)
def solve(
    C,
    reg=None,
    *,
    tol=None,
    max_iter=None,
    max_time=None,
    callback=None,
    verbose=0,
    n_threads=None,
    n_jobs=None,
    random_state=None,
    dtype=None,
    share=0.0,
    method="auto",
    level=None,
    norm=None,
    axes=(),
    flag=False,
    seed=None,
    table=None,
):
    """Say what it was called with."""
    return {name: value for name, value in locals().items() if value is not None}


# as if it was defined in a private module of a family
solve.__wrapped__.__module__ = "sparseopt.ot._api"
solve.__wrapped__.__qualname__ = "solve"

NUMPY_INTS = [np.int8(1), np.uint64(1), np.int64(1)]
GOOD = {
    "reg": [0.1, 1, np.float32(0.1), np.float64(2), *NUMPY_INTS, 1e308, 5e-324],
    "tol": [None, 1e-9, 1],
    "max_iter": [None, 1, 10**20, *NUMPY_INTS],
    "max_time": [None, 0.5, math.inf],
    "callback": [None, print, lambda state: True],
    "verbose": [0, 1, 3, 10, True, False, np.True_, np.int64(2)],
    "n_threads": [None, 1, -1, 64, np.int32(2)],
    "n_jobs": [None, 1, -1, -2],
    "random_state": [
        *(None, 0, 2**40, np.int64(3)),
        *(np.random.default_rng(0), np.random.RandomState(0)),
    ],
    "dtype": [
        *(None, "float32", "f8", float, np.float32, np.dtype("float64")),
        np.dtype(">f8").newbyteorder("="),
    ],
    "share": [0, 0.0, 0.999, np.float32(0.5)],
    "method": ["auto", "sns", np.str_("ssns")],
    "level": [None, "low"],
    "norm": [None, "max", np.linalg.norm],
    "axes": [(), [1]],
    "flag": [True, np.False_],
    "seed": [None, 1],
    "table": [np.zeros(3)],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in GOOD for value in GOOD[name]]
)
def test_allowed(name, value):
    if name == "reg":
        assert solve(0, value)["reg"] is value  # by position
    assert solve(0, **{name: value}).get(name) is value


def must_be(name, allowed, got):
    return f"The '{name}' parameter of sparseopt.ot.solve must be {allowed}. Got {got}."


POSITIVE = "a float in (0, inf)"
ONE_OF = "one of {'auto', 'sinkhorn', 'sns', 'ssns'}"
SEED = "an int in [0, inf), a RandomState or a Generator or None"
SCALAR = "pass a scalar, such as x.item()"
BAD = [
    ("tol", -1.0, ValueError, f"{POSITIVE} or None", "-1.0"),
    ("tol", 0, ValueError, f"{POSITIVE} or None", "0"),
    ("reg", 0.0, ValueError, POSITIVE, "0.0"),
    ("reg", math.nan, ValueError, POSITIVE, "nan"),
    ("reg", math.inf, ValueError, POSITIVE, "inf"),
    ("reg", np.float32(-1), ValueError, POSITIVE, repr(np.float32(-1))),
    ("reg", None, TypeError, POSITIVE, "None"),
    ("reg", True, TypeError, POSITIVE, "True"),
    ("reg", np.True_, TypeError, POSITIVE, repr(np.True_)),
    ("reg", "1", TypeError, POSITIVE, "'1'"),
    ("reg", 1j, TypeError, POSITIVE, "1j"),
    ("reg", [1.0], TypeError, POSITIVE, "[1.0]"),
    ("reg", np.array(1.0), TypeError, POSITIVE, f"a 0-d array; {SCALAR}"),
    ("reg", np.ones((2, 3)), TypeError, POSITIVE, "a ndarray of shape (2, 3)"),
    ("share", 1, ValueError, "a float in [0, 1)", "1"),
    ("share", -1e-300, ValueError, "a float in [0, 1)", "-1e-300"),
    ("max_iter", 0, ValueError, "an int in [1, inf) or None", "0"),
    ("max_iter", 1.0, TypeError, "an int in [1, inf) or None", "1.0"),
    ("max_iter", False, TypeError, "an int in [1, inf) or None", "False"),
    ("max_time", 0, ValueError, "a float in (0, inf] or None", "0"),
    ("max_time", math.nan, ValueError, "a float in (0, inf] or None", "nan"),
    ("callback", 3, TypeError, "a callable or None", "3"),
    ("verbose", -1, ValueError, "an int in [0, inf) or a bool", "-1"),
    ("verbose", "high", TypeError, "an int in [0, inf) or a bool", "'high'"),
    ("n_threads", 0, ValueError, "an int in [1, inf), -1 or None", "0"),
    ("n_threads", -2, ValueError, "an int in [1, inf), -1 or None", "-2"),
    ("n_threads", True, TypeError, "an int in [1, inf), -1 or None", "True"),
    ("n_threads", 2.0, TypeError, "an int in [1, inf), -1 or None", "2.0"),
    (
        *("n_jobs", 0, ValueError),
        *("an int in [1, inf), an int in (-inf, -1] or None", "0"),
    ),
    ("random_state", -1, ValueError, SEED, "-1"),
    ("random_state", "zero", TypeError, SEED, "'zero'"),
    ("seed", 0.5, TypeError, SEED, "0.5"),
    ("dtype", "float16", ValueError, "float32 or float64 or None", "'float16'"),
    ("dtype", "no type", ValueError, "float32 or float64 or None", "'no type'"),
    ("dtype", int, ValueError, "float32 or float64 or None", "<class 'int'>"),
    ("dtype", 64, TypeError, "float32 or float64 or None", "64"),
    ("method", "newton", ValueError, ONE_OF, "'newton'"),
    ("method", None, TypeError, ONE_OF, "None"),
    ("method", ["auto"], TypeError, ONE_OF, "['auto']"),
    ("level", "mid", ValueError, "one of {'high', 'low'} or None", "'mid'"),
    (
        *("norm", "mean", ValueError),
        *("a callable, one of {'max', 'median'} or None", "'mean'"),
    ),
    ("axes", 3, TypeError, "a tuple or a list", "3"),
    ("flag", 1, TypeError, "a bool", "1"),
    ("table", [1], TypeError, "a ndarray", "[1]"),
    ("table", "x" * 100, TypeError, "a ndarray", f"'{'x' * 76}..."),
]


@pytest.mark.parametrize(("name", "value", "error", "allowed", "got"), BAD)
def test_refused(name, value, error, allowed, got):
    with pytest.raises(error) as caught:
        solve(0, **{name: value})
    assert str(caught.value) == must_be(name, allowed, got)
    assert caught.type is error


def test_refused_by_position():
    with pytest.raises(ValueError) as caught:
        solve(0, -2)
    assert str(caught.value) == must_be("reg", POSITIVE, "-2")


def test_refused_before_the_call():
    calls = []

    @validate_params({"n": [Interval(1, None, integer=True)]})
    def record(n):
        calls.append(n)

    with pytest.raises(ValueError):
        record(0)
    record(1)
    assert calls == [1]


def test_defaults_are_trusted():
    assert "reg" not in solve(0)  # None is not allowed, but it is the default


def test_wrong_calls_are_reported_by_python():
    with pytest.raises(TypeError, match="unexpected keyword argument 'tolerance'"):
        solve(0, tolerance=1)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'C'"):
        solve()
    with pytest.raises(TypeError, match="positional argument"):
        solve(0, 1.0, 2)
    with pytest.raises(TypeError, match="multiple values for argument 'reg'"):
        solve(0, 1.0, reg=1.0)


def test_signature_and_docstring_are_kept():
    assert solve.__name__ == "solve"
    assert solve.__doc__ == "Say what it was called with."
    parameters = inspect.signature(solve).parameters
    assert list(parameters)[:3] == ["C", "reg", "tol"]
    assert parameters["method"].default == "auto"


def test_method():
    class Solver:
        @validate_params({"tol": COMMON["tol"]})
        def run(self, tol, *rest):
            return self, tol, rest

    solver = Solver()
    assert solver.run(1.0, -5.0) == (solver, 1.0, (-5.0,))
    with pytest.raises(ValueError, match=r"Solver.run must be a float in \(0, inf\)"):
        solver.run(-1.0)


def test_constraints_must_belong_to_the_signature():
    with pytest.raises(TypeError, match=r"has no parameters \['alpha'\]"):

        @validate_params({**COMMON, "alpha": [None]})
        def solve(tol=None):
            pass


def test_common_covers_the_solver_keywords():
    assert set(COMMON) == {
        *("tol", "max_iter", "max_time", "callback", "verbose"),
        *("random_state", "n_threads", "n_jobs", "dtype"),
    }


def test_check_params_of_an_estimator():
    class Estimator:
        pass

    Estimator.__module__ = "sparseopt.ot._estimators"
    Estimator.__qualname__ = "Estimator"
    constraints = {"tol": COMMON["tol"]}
    check_params(Estimator, constraints, {"tol": 1.0, "other": object()})
    with pytest.raises(ValueError) as caught:
        check_params(Estimator, constraints, {"tol": -1.0})
    assert str(caught.value) == (
        "The 'tol' parameter of sparseopt.ot.Estimator must be "
        "a float in (0, inf) or None. Got -1.0."
    )


def test_public_name_leaves_private_modules_out():
    assert public_name(solve.__wrapped__) == "sparseopt.ot.solve"
    assert public_name(_params.Interval) == "sparseopt.Interval"


@given(
    left=st.none() | st.floats(-5, 5),
    right=st.none() | st.floats(-5, 5),
    closed=st.sampled_from(["both", "left", "right", "neither"]),
    value=st.floats() | st.sampled_from([-5.0, 5.0, 0.0]) | st.integers(-9, 9),
    data=st.data(),
)
def test_interval_is_an_interval(left, right, closed, value, data):
    ends = [end for end in (left, right) if end is not None]
    value = data.draw(st.sampled_from([value, *ends]))
    inside = math.isfinite(value)
    if left is not None:
        inside &= value >= left if closed in ("both", "left") else value > left
    if right is not None:
        inside &= value <= right if closed in ("both", "right") else value < right
    interval = Interval(left, right, closed=closed)
    assert interval.accepts(value) is inside
    assert interval.accepts(np.float64(value)) is inside


def test_interval_with_closed_infinity():
    assert Interval(0, math.inf).accepts(math.inf)
    assert not Interval(0, math.inf, closed="left").accepts(math.inf)
    assert not Interval(None, 0).accepts(-math.inf)
    assert Interval(None, None).accepts(1e308)
    assert not Interval(None, None).accepts(math.nan)
    assert Interval(1, None, integer=True).accepts(10**400)


def test_float_type_by_name():
    assert str(FloatType) == "float32 or float64"
    assert not FloatType.accepts(None)


def test_a_call_costs_little(stopwatch):
    arguments = {
        "tol": 1e-3,
        "max_iter": 100,
        "callback": None,
        "verbose": 0,
        "n_threads": 2,
        "random_state": 0,
        "method": "sinkhorn",
    }
    bare, n = solve.__wrapped__, 1000
    checked = min(stopwatch(lambda: solve(0, 1.0, **arguments), number=n)) / n
    unchecked = min(stopwatch(lambda: bare(0, 1.0, **arguments), number=n)) / n
    assert checked - unchecked < 20e-6
