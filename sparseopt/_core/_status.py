"""Why a solver stopped, with advice; one enumeration for all solvers."""

from __future__ import annotations

from enum import IntEnum
from inspect import Parameter, Signature
from typing import Self


class Status(IntEnum):
    """Why a solver stopped.

    Only ``CONVERGED`` says that the tolerance was reached. The attribute ``advice`` is
    a sentence on what the status means and what to try; ``str(status)`` is the name in
    lower case.

    Parameters
    ----------
    value : int
        Number of the status.

    Examples
    --------
    >>> from sparseopt import Status
    >>> str(Status.MAX_ITER)
    'max_iter'
    >>> Status.CONVERGED.advice
    'The tolerance was reached.'
    """

    advice: str
    # the one of enumerations is that of their functional form, no use here
    __signature__ = Signature([Parameter("value", Parameter.POSITIONAL_OR_KEYWORD)])

    CONVERGED = 0, "The tolerance was reached."
    MAX_ITER = (
        1,
        "The iteration limit was reached before the tolerance; increase max_iter, "
        "loosen tol, or start from this result.",
    )
    TIME_LIMIT = (
        2,
        "The time limit was reached before the tolerance; increase max_time, loosen "
        "tol, or start from this result.",
    )
    STOPPED_BY_CALLBACK = (
        3,
        "The callback asked to stop; this is the iterate it saw.",
    )
    STALLED = (
        4,
        "Progress stopped above the tolerance although rounding does not explain it; "
        "try another method, a better starting point, or rescale the problem.",
    )
    PRECISION = (
        5,
        "The residual is as small as the floating-point type allows; use float64, "
        "loosen tol, or regularise more.",
    )
    INFEASIBLE = (
        6,
        "The constraints contradict one another, so no solution exists; check the "
        "input data.",
    )
    NUMERICAL_FAILURE = (
        7,
        "A value that is not finite appeared; "
        "rescale the problem, regularise more, or use float64.",
    )
    INTERRUPTED = (
        8,
        "The run was interrupted from the keyboard; this is the last iterate.",
    )

    def __new__(cls, value: int, advice: str = "") -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.advice = advice
        return member

    def __str__(self) -> str:
        return self.name.lower()

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)
