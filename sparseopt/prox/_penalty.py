"""What every penalty object offers to solvers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sparseopt.prox._groups import Groups


class Coordinate(NamedTuple):
    """Form of a separable penalty, for coordinate descent in compiled loops.

    ``sum_j weights_j lam h(|w_j|)`` with `h` told by `kind`, one of "l1",
    "elastic_net", "mcp", "scad", "log_sum", "l_half", "l_two_thirds", "l0", "box"
    or "none"; the meaning of `params` is that of the penalty's own parameters.
    """

    kind: str
    lam: float
    weights: np.ndarray | None
    params: tuple[float, ...]
    positive: bool


class Penalty:
    """A function P of the coefficients with a proximal operator.

    Coefficients are a vector of shape (n,), or (n, n_outputs) where the penalty says
    so.  `prox` is exact; a penalty without an exact one does not exist as an object.

    Attributes
    ----------
    is_convex : bool
        Whether P is convex.
    """

    is_convex: bool = True

    def value(self, w: np.ndarray) -> float:
        """P(w)."""
        raise NotImplementedError

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        """The minimiser of ``P(u) + |u - w|^2 / (2 step)``."""
        raise NotImplementedError

    def conjugate(self, v: np.ndarray) -> float:
        """Value of the convex conjugate P*(v), infinity outside its domain."""
        raise NotImplementedError(f"{type(self).__name__} has no known conjugate")

    def dual_scale(self, v: np.ndarray) -> float:
        """Largest s in [0, 1] for which ``P*(s v)`` is finite."""
        raise NotImplementedError(f"{type(self).__name__} has no known conjugate")

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        """Distance of ``-grad`` to the subdifferential of P at w, for each block.

        For penalties that are not convex the distance to the regular subdifferential,
        or where that is empty the length of a proximal step.
        """
        raise NotImplementedError

    def groups(self, n: int) -> Groups | None:
        """Blocks into which P separates; None if it does not."""
        return None

    def coordinate(self, n: int) -> Coordinate | None:
        """Form for coordinate descent, if P is of one of the known forms."""
        return None

    def __add__(self, other: Any) -> Penalty:
        """Sum of two penalties, where that has an exact proximal operator."""
        from sparseopt.prox._calculus import add

        return add(self, other)
