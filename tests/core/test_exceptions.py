"""Exceptions: what they are caught as, and that nothing of them is lost."""

import pickle

import pytest
import sklearn.exceptions

from sparseopt import exceptions
from sparseopt.exceptions import InfeasibleError, NotConvergedError


def test_public_names():
    assert exceptions.__all__ == [
        *("ConvergenceWarning", "InfeasibleError", "NotConvergedError")
    ]
    assert exceptions.ConvergenceWarning is sklearn.exceptions.ConvergenceWarning


@pytest.mark.parametrize(
    ("cls", "base", "attribute"),
    [
        (NotConvergedError, RuntimeError, "result"),
        (InfeasibleError, ValueError, "certificate"),
    ],
)
def test_error(cls, base, attribute):
    error = cls("too bad", {"gap": 3})
    assert isinstance(error, base)
    for version in (error, pickle.loads(pickle.dumps(error))):
        assert str(version) == "too bad"
        assert getattr(version, attribute) == {"gap": 3}
    assert getattr(cls("too bad"), attribute) is None
    assert getattr(cls("too bad", **{attribute: 1}), attribute) == 1
