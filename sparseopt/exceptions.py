"""Exceptions and warnings that sparseopt raises on purpose.

Wrong input is a :class:`TypeError` or a :class:`ValueError`, as everywhere in Python.
The classes here are for problems that are well posed as input and still have no answer
of the accuracy that was asked for.
"""

from typing import Any

from sklearn.exceptions import ConvergenceWarning

__all__ = ["ConvergenceWarning", "InfeasibleError", "NotConvergedError"]


def __dir__() -> list[str]:
    return sorted(__all__)


class NotConvergedError(RuntimeError):
    """A solver stopped before it reached its tolerance.

    Functions return a result with a :class:`~sparseopt.Status` and warn; this error is
    raised only where the caller asked for an exception.

    Parameters
    ----------
    message : str
        What was reached, what was asked for and what to change.
    result : Result, optional
        The result at the point where the solver stopped.

    Examples
    --------
    >>> from sparseopt.exceptions import NotConvergedError
    >>> try:
    ...     raise NotConvergedError("residual 1e-3 after 10 iterations", result=None)
    ... except NotConvergedError as error:
    ...     print(error)
    residual 1e-3 after 10 iterations
    """

    def __init__(self, message: str, result: object = None) -> None:
        super().__init__(message)
        self.result: Any = result


class InfeasibleError(ValueError):
    """The constraints of a problem contradict one another.

    Parameters
    ----------
    message : str
        Which constraints, and by how much.
    certificate : object, optional
        Proof of infeasibility, such as a vector of multipliers.

    Examples
    --------
    >>> from sparseopt.exceptions import InfeasibleError
    >>> error = InfeasibleError("the marginals differ in mass by 0.5", certificate=0.5)
    >>> error.certificate
    0.5
    """

    def __init__(self, message: str, certificate: object = None) -> None:
        super().__init__(message)
        self.certificate: Any = certificate
