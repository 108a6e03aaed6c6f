"""What every penalty object offers to solvers."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np

from sparseopt._core._arrays import as_floats, plain_array
from sparseopt._core._params import Interval, check_params, describe, public_name
from sparseopt.prox._columns import Named
from sparseopt.prox._groups import Groups

P = TypeVar("P", bound="Penalty")

# Methods whose first argument is a point.
_OF_POINTS = frozenset(
    {"value", "prox", "conjugate", "dual_scale", "subdiff_distance"}
    | {"fixed_point_distance", "critical_lam", "norm", "dual_norm"}
)
LEVEL = [Interval(0, None)]
SHARE = [Interval(0, 1)]


def rules(**constraints: Iterable[Any]) -> Mapping[str, Iterable[Any]]:
    """Constraints on the parameters of a penalty."""
    return constraints


def _of_arrays(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method for points that are no arrays yet."""

    @wraps(method)
    def call(self: Any, *args: Any, **options: Any) -> Any:
        if args and not hasattr(args[0], "__dlpack__"):  # arrays of any library
            args = (as_floats(args[0], "w", ndim=None), *args[1:])
        return method(self, *args, **options)

    return call


class Coordinate(NamedTuple):
    """Form of a separable penalty, for coordinate descent in compiled loops.

    The penalty is ``sum_j weights_j lam h(|w_j|)`` with `h` told by `kind`.

    Parameters
    ----------
    kind : str
        One of "l1", "elastic_net", "mcp", "scad", "log_sum", "l_half",
        "l_two_thirds", "l0", "box" or "none".
    lam : float
        Strength.
    weights : ndarray or None
        Weight of each coordinate, float64; None is 1.
    params : tuple of float
        Further parameters of the penalty: (l1_ratio,), (gamma,), (eps,), or the two
        bounds of a box.
    positive : bool
        Whether coordinates must not be negative.

    Examples
    --------
    >>> from sparseopt.prox import MCP
    >>> MCP(0.5, gamma=3.0).coordinate(10)
    Coordinate(kind='mcp', lam=0.5, weights=None, params=(3.0,), positive=False)
    """

    kind: str
    lam: float
    weights: np.ndarray | None
    params: tuple[float, ...]
    positive: bool


class Penalty(Named):
    """A function P of the coefficients with a proximal operator.

    Coefficients are an array of shape (n,), or (n, n_outputs).  `prox` is exact: a
    penalty without an exact one does not exist as an object.  `get_params` and
    `set_params` are those of scikit-learn, so that a search over an estimator's
    ``penalty__lam`` works; nothing else changes a penalty once it is made.

    Attributes
    ----------
    is_convex : bool
        Whether P is convex.
    is_indicator : bool
        Whether P is 0 on a set and infinite elsewhere; then `prox` projects on the set.
    sign_invariant : bool
        Whether P depends on the magnitudes of the entries only, and never falls when
        one of them grows.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import L1, Penalty
    >>> penalty = L1(1.0)
    >>> isinstance(penalty, Penalty)
    True
    >>> penalty.prox(np.array([3.0, -0.5]), 2.0)
    array([1., 0.])
    """

    is_convex: bool = True
    is_indicator: bool = False
    sign_invariant: bool = False
    _rules: ClassVar[Mapping[str, Iterable[Any]]] = rules()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Methods without a docstring of their own are described by a base class.

        Those of points take lists and columns of data frames as well.
        """
        super().__init_subclass__(**kwargs)
        for name, method in list(vars(cls).items()):
            if inspect.isfunction(method) and method.__doc__ is None:
                above = (vars(base).get(name) for base in cls.__mro__[1:])
                docs = (getattr(parent, "__doc__", None) for parent in above)
                method.__doc__ = next(filter(None, docs), None)
            if inspect.isfunction(method) and name in _OF_POINTS:
                setattr(cls, name, _of_arrays(method))

    def value(self, w: np.ndarray) -> float:
        """P(w).

        Parameters
        ----------
        w : ndarray
            Coefficients.

        Returns
        -------
        float
            The value, infinity outside the domain.
        """
        raise NotImplementedError(f"{type(self).__name__} has no known value")

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        """The minimiser u of ``P(u) + ||u - w||^2 / (2 step)``.

        Parameters
        ----------
        w : ndarray
            Point; not tested for NaN, which gives NaN.
        step : float, default=1.0
            Step, positive.
        out : ndarray, optional
            Where the result goes; it may be `w` itself.

        Returns
        -------
        ndarray
            The minimiser, of the shape and type of `w`.
        """
        raise NotImplementedError

    def conjugate(self, v: np.ndarray) -> float:
        """Value of the convex conjugate ``P*(v) = sup_w <v, w> - P(w)``.

        Parameters
        ----------
        v : ndarray
            Dual point, of the shape of the coefficients.

        Returns
        -------
        float
            The value, infinity outside the domain.
        """
        raise NotImplementedError(f"{type(self).__name__} has no known conjugate")

    def dual_scale(self, v: np.ndarray) -> float:
        """Largest s in [0, 1] for which ``P*(s v)`` is finite.

        Parameters
        ----------
        v : ndarray
            Dual point, of the shape of the coefficients.

        Returns
        -------
        float
            The factor, rounded so that `conjugate` is finite at ``s * v``.
        """
        raise NotImplementedError(f"{type(self).__name__} has no known conjugate")

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        """Distance of ``-grad`` to the subdifferential of P at w, for each block.

        For penalties that are not convex it is the distance to the regular
        subdifferential.  Penalties for which neither has a formula answer
        `fixed_point_distance`, which for convex ones is never larger.

        Parameters
        ----------
        w : ndarray
            Coefficients.
        grad : ndarray
            Gradient of the smooth part at w, of the shape of w.

        Returns
        -------
        ndarray
            One number for each block, float64: for separable penalties of the shape of
            w; for group penalties first the groups, then the free coordinates; a single
            number where P does not separate.  Infinity outside the domain of P.
        """
        return self.fixed_point_distance(w, grad)

    def fixed_point_distance(
        self, w: np.ndarray, grad: np.ndarray, step: float = 1.0
    ) -> np.ndarray:
        """Length of a proximal gradient step over its step size.

        Unlike the distance to the subdifferential, it is small at 0 only if leaving 0
        does not pay, also for penalties with infinite slope there.

        Parameters
        ----------
        w : ndarray
            Coefficients.
        grad : ndarray
            Gradient of the smooth part at w.
        step : float, default=1.0
            Step, positive: one over the curvature of the smooth part, if known.

        Returns
        -------
        ndarray
            ``|w - prox(w - step grad, step)| / step``, of the shape of w, float64.
        """
        w = np.asarray(w, dtype=np.float64)
        moved = self.prox(w - step * np.asarray(grad, dtype=np.float64), step)
        return np.abs(w - moved) / step

    def groups(self, n: int) -> Groups | None:
        """Partition of the coordinates, or rows of them, into which P separates.

        Parameters
        ----------
        n : int
            Number of coordinates, or of rows.

        Returns
        -------
        Groups or None
            None if P does not separate.
        """
        return None

    def coordinate(self, n: int) -> Coordinate | None:
        """Form for coordinate descent, if P is of one of the known forms.

        Parameters
        ----------
        n : int
            Number of coordinates.

        Returns
        -------
        Coordinate or None
            The form; None if there is none.
        """
        return None

    def critical_lam(self, grad: np.ndarray) -> float:
        """Smallest strength for which ``w = 0`` is optimal.

        Parameters
        ----------
        grad : ndarray
            Gradient of the smooth part at 0.

        Returns
        -------
        float
            The strength; for penalties that are not convex that for which 0 is
            stationary.  Infinity if there is none, 0 if 0 always is stationary.
        """
        grad = np.asarray(grad)
        distance = self.subdiff_distance(np.zeros_like(grad), grad)
        return math.inf if np.any(distance) else 0.0

    def with_lam(self: P, lam: float) -> P:
        """The same penalty with another strength.

        Parameters
        ----------
        lam : float
            The strength, in the place of the parameter `lam`.

        Returns
        -------
        Penalty
            The new penalty.
        """
        if "lam" not in vars(self):
            raise NotImplementedError(f"{type(self).__name__} has no strength 'lam'")
        other = copy.copy(self)
        other.lam = lam  # type: ignore[attr-defined]
        other._check()
        return other

    def _check(self) -> None:
        """Check the parameters, which are stored under their names."""
        values = {name: self._parameter(name) for name in self._rules}
        check_params(type(self), self._rules, values)
        for name, value in values.items():
            # `groups` is the name of a method, too
            if isinstance(value, np.generic) and name in vars(self):
                setattr(self, name, value.item())

    def __add__(self, other: Any) -> Penalty:
        """Sum of two penalties, where that has an exact proximal operator."""
        from sparseopt.prox._calculus_sum import add

        return add(self, other) if isinstance(other, Penalty) else NotImplemented

    def __radd__(self, other: Any) -> Penalty:
        """What `sum` starts with."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __mul__(self, factor: Any) -> Penalty:
        """Positive multiple of the penalty."""
        from sparseopt.prox._calculus import Scaled

        number = isinstance(factor, (int, float, np.number))
        return Scaled(self, factor=factor) if number else NotImplemented

    __rmul__ = __mul__

    def __repr__(self) -> str:
        texts = []
        for name, parameter in inspect.signature(type(self)).parameters.items():
            value = self._parameter(name)
            if isinstance(value, np.ndarray):
                texts.append(f"{name}=<array of shape {value.shape}>")
            elif name == "lam" or value != parameter.default:
                texts.append(f"{name}={describe(value)}")
        return f"{type(self).__name__}({', '.join(texts)})"


class Norm(Penalty):
    """A penalty ``lam * Omega(w)`` where Omega is a norm, or nearly one.

    Omega is homogeneous: it may be zero or infinite on some directions.  Classes
    give `norm` and `dual_norm`; what depends on them is here.
    """

    lam: float
    _rules = rules(lam=LEVEL)

    def norm(self, w: np.ndarray) -> float:
        """Omega(w).

        Parameters
        ----------
        w : ndarray
            Coefficients.

        Returns
        -------
        float
            The norm, without the strength.
        """
        raise NotImplementedError

    def dual_norm(self, v: np.ndarray) -> float:
        """Largest ``<v, w>`` over ``Omega(w) <= 1``.

        Parameters
        ----------
        v : ndarray
            Dual point.

        Returns
        -------
        float
            The dual norm, infinity if there is no bound.
        """
        return dual_norm_by_prox(self, v)

    def value(self, w: np.ndarray) -> float:
        norm = self.norm(w)
        return self.lam * norm if math.isfinite(norm) else norm

    def conjugate(self, v: np.ndarray) -> float:
        norm = self.dual_norm(v)
        return math.nan if norm != norm else 0.0 if norm <= self.lam else math.inf

    def dual_scale(self, v: np.ndarray) -> float:
        if self.conjugate(v) == 0.0:
            return 1.0
        norm = self.dual_norm(v)
        return largest_scale(self, v, min(1.0, self.lam / norm) if norm > 0.0 else 1.0)

    def critical_lam(self, grad: np.ndarray) -> float:
        return self.dual_norm(-np.asarray(grad))


def largest_scale(penalty: Penalty, v: np.ndarray, scale: float) -> float:
    """`scale`, less so many roundings that the conjugate at ``scale * v`` is finite."""
    v, less = np.asarray(v, dtype=np.float64), 2.0**-53
    while scale > 0.0 and less < 1e-6:
        if math.isfinite(penalty.conjugate(scale * v)):
            return scale
        scale, less = scale * (1.0 - less), 2.0 * less
    return 0.0


def dual_norm_by_prox(penalty: Norm, v: np.ndarray, max_iter: int = 100) -> float:
    """Dual norm from norm and prox alone.

    The dual norm is the largest ``<v, w> / Omega(w)``.  Dinkelbach's iteration on that
    ratio, ``w = prox_{lam Omega}(v)``, ``lam = <v, w> / Omega(w)``, rises with
    superlinear speed, and for polyhedral norms ends.
    """
    v = np.asarray(v, dtype=np.float64)
    top = float(np.abs(v).max(initial=0.0))
    if not 0.0 < top < math.inf:
        return top
    v = v / top
    unit = penalty.with_lam(1.0)
    level, w = 0.0, v
    for _ in range(max_iter):
        size = unit.norm(w)
        rise = float(np.vdot(v, w))
        if not size > 4e-16 * rise:  # nothing left to bound it
            return math.inf if np.any(w) and rise > 1e-14 else level * top
        better = rise / size
        done = not better > level * (1.0 + 1e-13)
        level = max(level, better)
        if done:
            break
        w = unit.prox(v, level)
    return level * top


def as_float64(x: Any) -> np.ndarray:
    """The array in float64, in which values and distances are computed."""
    return np.asarray(x, dtype=np.float64)


def float_type(x: np.ndarray) -> np.dtype:
    """The type of results for x: its own if that is a float, else float64."""
    return x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)


def broadcast_rows(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Values of coordinates for an array of that shape; one for each row is enough."""
    if values.shape == shape:
        return values
    if len(shape) == 2 and values.shape == shape[:1]:
        return np.ascontiguousarray(np.broadcast_to(values[:, None], shape))
    raise ValueError(
        f"Coefficients must have the shape {values.shape} of the penalty's weights or "
        f"bounds, or rows of that number. Got {shape}."
    )


def nonnegative_array(
    owner: type, name: str, value: Any, *, positive: bool = False
) -> np.ndarray | None:
    """Float64 copy of an array of finite numbers that are not negative, or None."""
    if value is None:
        return None
    array = plain_array(value, name)
    if array.dtype.kind == "c":
        raise ValueError(
            f"The {name!r} array of {public_name(owner)} must be real. "
            f"Got dtype {array.dtype}."
        )
    if array.dtype.kind not in "fiu" or array.ndim not in (1, 2):
        raise TypeError(
            f"The {name!r} array of {public_name(owner)} must hold real numbers in one "
            f"or two dimensions. Got dtype {array.dtype}, shape {array.shape}."
        )
    array = np.array(array, dtype=np.float64, order="C")
    bad = ~((array > 0 if positive else array >= 0) & (array < np.inf))
    if bad.any():
        kind = "positive" if positive else "not negative"
        raise ValueError(
            f"The {name!r} array of {public_name(owner)} must be finite and {kind}. "
            f"Got {array.flat[int(bad.argmax())]} at index {bad.argmax()}."
        )
    array.flags.writeable = False
    return array
