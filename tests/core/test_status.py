"""Status: names, numbers and advice."""

import copy
import pickle

import pytest

from sparseopt import Status

NAMES = [
    "CONVERGED",
    "MAX_ITER",
    "TIME_LIMIT",
    "STOPPED_BY_CALLBACK",
    "STALLED",
    "PRECISION",
    "INFEASIBLE",
    "NUMERICAL_FAILURE",
    "INTERRUPTED",
]


def test_members_and_numbers_are_fixed():
    assert [status.name for status in Status] == NAMES
    assert [int(status) for status in Status] == list(range(9))


@pytest.mark.parametrize("status", Status, ids=str)
def test_status(status):
    assert str(status) == f"{status}" == status.name.lower()
    assert f"{status:>20}" == status.name.lower().rjust(20)
    assert Status(int(status)) is status
    assert Status[status.name] is status
    assert pickle.loads(pickle.dumps(status)) is status
    assert copy.deepcopy(status) is status


@pytest.mark.parametrize("status", Status, ids=str)
def test_advice_is_a_sentence(status):
    assert status.advice[0].isupper()
    assert status.advice.endswith(".")
    assert len(status.advice.split()) >= 4


def test_advice_differs():
    assert len({status.advice for status in Status}) == len(Status)


def test_advice_names_the_parameter_to_change():
    assert "max_iter" in Status.MAX_ITER.advice
    assert "max_time" in Status.TIME_LIMIT.advice


def test_unknown_number():
    with pytest.raises(ValueError, match="9 is not a valid Status"):
        Status(9)
