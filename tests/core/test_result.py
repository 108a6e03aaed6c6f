"""Result: frozen, keyword-only, printed as a table, compared by identity."""

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields
from functools import cached_property

import numpy as np
import pytest
from scipy import sparse

from sparseopt import Status
from sparseopt._core._result import Result


@dataclass(frozen=True, kw_only=True)
class Plan(Result):
    potentials: tuple[np.ndarray, ...]
    plan: sparse.csr_array
    note: str = "none"
    hidden: np.ndarray | None = field(default=None, repr=False)

    @cached_property
    def mass(self):
        return self.plan.sum()


@pytest.fixture
def plan():
    return Plan(
        status=Status.MAX_ITER,
        n_iter=12,
        objective=1 / 3,
        residual=1.25e-7,
        history=np.zeros(5, dtype=[("n_iter", np.int64), ("time", np.float64)]),
        potentials=(np.zeros(3), np.ones(4, dtype=np.float32)),
        plan=sparse.csr_array(np.eye(3, 4)),
        hidden=np.zeros(2),
        elapsed=np.float64(0.5),
    )


def test_table(plan):
    assert repr(plan) == (
        "Plan\n"
        "  potentials: (array (3,) float64, array (4,) float32)\n"
        "        plan: csr_array (3, 4) float64, 3 stored\n"
        "        note: none\n"
        "      status: max_iter\n"
        "     message: The iteration limit was reached before the tolerance; increase "
        "max_iter,\n"
        "              loosen tol, or start from this result.\n"
        "      n_iter: 12\n"
        "   objective: 0.3333333\n"
        "    residual: 1.25e-07\n"
        "         gap: None\n"
        "     history: array (5,) n_iter, time\n"
        "     elapsed: 0.5"
    )
    assert str(plan) == repr(plan)


def test_table_stays_short():
    @dataclass(frozen=True, kw_only=True)
    class Wide(Result):
        blocks: tuple[np.ndarray, ...]
        label: dict[str, int]

    wide = Wide(
        status=Status.CONVERGED,
        blocks=(np.zeros(1000),) * 1000,
        label={f"key {i}": i for i in range(1000)},
        message="long " * 50,
    )
    assert max(map(len, repr(wide).splitlines())) <= 100
    assert len(repr(wide)) < 2000


def test_scalar_array_is_printed_as_a_number():
    result = Result(status=Status.CONVERGED, objective=np.array(0.25))
    assert "objective: 0.25\n" in repr(result)


def test_own_repr_is_kept():
    @dataclass(frozen=True, kw_only=True)
    class Terse(Result):
        def __repr__(self):
            return "terse"

    assert repr(Terse(status=Status.CONVERGED)) == "terse"


def test_converged_says_what_the_status_says():
    for status in Status:
        assert Result(status=status).converged is (status is Status.CONVERGED)


def test_message_is_never_empty():
    result = Result(status=Status.STALLED)
    assert result.message == Status.STALLED.advice
    assert Result(status=Status.STALLED, message="stuck").message == "stuck"


def test_status_may_be_a_number():
    assert Result(status=1).status is Status.MAX_ITER
    with pytest.raises(ValueError, match="not a valid Status"):
        Result(status=77)


def test_frozen(plan):
    with pytest.raises(FrozenInstanceError):
        plan.n_iter = 3
    with pytest.raises(FrozenInstanceError):
        del plan.n_iter
    with pytest.raises(FrozenInstanceError):
        plan.anything = 3


def test_keyword_only():
    with pytest.raises(TypeError):
        Result(Status.CONVERGED)
    with pytest.raises(TypeError, match="status"):
        Result()


def test_cached_property_works_on_frozen(plan):
    assert plan.mass == 3
    assert "mass" in vars(plan)


def test_compared_by_identity(plan):
    other = copy.copy(plan)
    assert plan == plan
    assert plan != other  # a dataclass of its own would find this ambiguous
    assert len({plan, other}) == 2


def test_pickle(plan):
    again = pickle.loads(pickle.dumps(plan))
    assert repr(again) == repr(plan)


def test_defaults():
    result = Result(status=Status.CONVERGED)
    assert {f.name: getattr(result, f.name) for f in fields(Result)} == {
        "status": Status.CONVERGED,
        "message": "The tolerance was reached.",
        "n_iter": 0,
        "objective": pytest.approx(np.nan, nan_ok=True),
        "residual": pytest.approx(np.nan, nan_ok=True),
        "gap": None,
        "history": None,
        "elapsed": 0.0,
    }
