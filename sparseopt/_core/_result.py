"""One result type and one status for every solver."""

from __future__ import annotations

import math
import os
import textwrap
from dataclasses import dataclass, fields
from reprlib import Repr
from typing import Any, Self

import numpy as np
from scipy import sparse

from sparseopt._core import _npz
from sparseopt._core._status import Status as Status

_LINE = 88
_SHORT = Repr()
_SHORT.maxother = _LINE


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Result:
    """What every solver returns, beside the fields of its family.

    Results cannot be changed. They print as an aligned table, compare by identity, and
    are stored without pickle by `save`.

    Parameters
    ----------
    status : Status
        Why the solver stopped.
    message : str, optional
        What happened, in words; the advice of the status if not given.
    n_iter : int, default=0
        Number of iterations of the outer loop.
    objective : float, default=nan
        Value of the objective at the solution.
    residual : float, default=nan
        The quantity that `tol` bounds.
    gap : float, optional
        Certified bound on the distance of the objective to the optimum.
    history : ndarray, optional
        Structured array with a row for each recorded iteration.
    elapsed : float, default=0.0
        Time in seconds.

    Examples
    --------
    >>> from sparseopt import Status
    >>> from sparseopt._core._result import Result
    >>> Result(status=Status.CONVERGED, n_iter=7, objective=0.25, residual=1e-10)
    Result
         status: converged
        message: The tolerance was reached.
         n_iter: 7
      objective: 0.25
       residual: 1e-10
            gap: None
        history: None
        elapsed: 0
    """

    status: Status
    message: str = ""
    n_iter: int = 0
    objective: float = math.nan
    residual: float = math.nan
    gap: float | None = None
    history: np.ndarray | None = None
    elapsed: float = 0.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Found in the class itself, these are kept by the dataclass decorator, whose
        # own repr prints whole arrays and whose own == is ambiguous for them.
        for name in ("__repr__", "__eq__", "__hash__"):
            setattr(cls, name, getattr(cls, name))

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", Status(self.status))
        if not self.message:
            object.__setattr__(self, "message", self.status.advice)

    @property
    def converged(self) -> bool:
        """Whether the tolerance was reached."""
        return self.status is Status.CONVERGED

    def __repr__(self) -> str:
        names = _ordered_names(type(self))
        indent = max(map(len, names)) + 2
        rows = [
            textwrap.fill(
                _describe(getattr(self, name)),
                width=max(_LINE, indent + 40),
                initial_indent=f"{name:>{indent}}: ",
                subsequent_indent=" " * (indent + 2),
            )
            for name in names
        ]
        return "\n".join([type(self).__name__, *rows])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the result to an npz file that holds no pickled objects.

        Parameters
        ----------
        path : str or path-like
            File to write; nothing is appended to the name.
        """
        _npz.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a result that `save` of the same class wrote.

        Parameters
        ----------
        path : str or path-like
            File to read.

        Returns
        -------
        Result
            Result of the class on which `load` was called.
        """
        return _npz.load(cls, path)


def _ordered_names(cls: type[Result]) -> list[str]:
    """Names to print: fields of the family first, then those that all share."""
    shown = [field.name for field in fields(cls) if field.repr]
    common = {field.name for field in fields(Result)}
    return sorted(shown, key=lambda name: name in common)


def _describe(value: Any) -> str:
    """Short text; arrays are told by their shape and type."""
    if isinstance(value, str):
        return value
    if isinstance(value, Status):
        return str(value)
    if isinstance(value, tuple) and value:
        shown = [
            *map(_describe, value[:3]),
            *([f"... {len(value)}"] * (len(value) > 3)),
        ]
        return f"({', '.join(shown)})"
    if sparse.issparse(value):
        kind = type(value).__name__
        return f"{kind} {value.shape} {value.dtype}, {value.nnz} stored"
    if getattr(value, "shape", ()):
        names = getattr(value.dtype, "names", None)
        return f"array {tuple(value.shape)} {', '.join(names or [str(value.dtype)])}"
    if getattr(value, "shape", None) == ():
        value = value.item()
    return f"{value:.7g}" if isinstance(value, float) else _SHORT.repr(value)
