"""New penalties from old ones, where the prox stays exact."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sparseopt._core._arrays import as_floats, check_finite
from sparseopt._core._params import Interval, Type, check_params, public_name
from sparseopt.prox._groups import Groups
from sparseopt.prox._inputs import own
from sparseopt.prox._penalties_sets import slack
from sparseopt.prox._penalty import Coordinate, Penalty, as_float64, float_type, rules

POSITIVE = [Interval(0, None, closed="neither")]
PENALTY = [Type(Penalty)]


def into(out: np.ndarray | None, result: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The result in the type of `like`, in `out` if that is given."""
    if out is None:
        return np.asarray(result, dtype=float_type(like))
    out[...] = result
    return out


class Wrapped(Penalty):
    """A penalty made from the one in `penalty`."""

    penalty: Penalty

    @property
    def is_convex(self) -> bool:  # type: ignore[override]
        """Whether P is convex."""
        return self.penalty.is_convex

    def with_lam(self, lam: float) -> Any:
        """The same construction on the inner penalty with another strength.

        Parameters
        ----------
        lam : float
            The strength, in the place of the parameter `lam`.

        Returns
        -------
        Penalty
            The new penalty.
        """
        other = copy.copy(self)
        other.penalty = self.penalty.with_lam(lam)
        return other


class Translated(Wrapped):
    """A penalty around another point than 0, ``w -> P(w - shift)``.

    Parameters
    ----------
    penalty : Penalty
        The penalty P.
    shift : array_like of the shape of the coefficients
        The new centre.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import L1, Translated
    >>> Translated(L1(1.0), [2.0, 2.0]).prox(np.array([5.0, 2.5]))
    array([4., 2.])
    """

    _rules = rules(penalty=PENALTY, shift=[Type(np.ndarray)])

    def __init__(self, penalty: Penalty, shift: Any) -> None:
        array = as_floats(shift, "shift", ndim=None)
        check_finite(np.atleast_1d(array), "shift")
        self.penalty = penalty
        self.shift = array.astype(np.float64)
        self._check()

    def _fit(self, w: np.ndarray) -> None:
        """The shift has to be one number, or one for each coefficient."""
        if self.shift.ndim and self.shift.shape != np.shape(w):
            raise ValueError(
                f"The 'shift' array of {public_name(type(self))} must have shape "
                f"{np.shape(w)}, that of the coefficients. Got {self.shift.shape}."
            )

    def _local(self, w: np.ndarray) -> np.ndarray:
        self._fit(w)
        return w - self.shift.astype(float_type(w), copy=False)

    def value(self, w: np.ndarray) -> float:
        return self.penalty.value(self._local(w))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        inner = self.penalty.prox(self._local(w), step)
        return into(out, inner + self.shift, w)

    def conjugate(self, v: np.ndarray) -> float:
        self._fit(v)
        shift = np.broadcast_to(self.shift, np.shape(v))
        return self.penalty.conjugate(v) + float(np.vdot(v, shift))

    def dual_scale(self, v: np.ndarray) -> float:
        return self.penalty.dual_scale(v)

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        return self.penalty.subdiff_distance(self._local(w), grad)

    def groups(self, n: int) -> Groups | None:
        return self.penalty.groups(n)


class Scaled(Wrapped):
    """A penalty with scaled value and argument, ``w -> factor * P(scale * w)``.

    Parameters
    ----------
    penalty : Penalty
        The penalty P.
    factor : float, default=1.0
        Factor of the value, positive.
    scale : float, default=1.0
        Factor of the coefficients, positive.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import L0Ball, MCP, Scaled
    >>> Scaled(MCP(1.0), scale=2.0).value(np.array([1.5]))
    1.5
    >>> 3.0 * MCP(1.0)
    Scaled(penalty=MCP(lam=1.0), factor=3.0)
    """

    _rules = rules(penalty=PENALTY, factor=POSITIVE, scale=POSITIVE)

    def __init__(
        self, penalty: Penalty, factor: float = 1.0, scale: float = 1.0
    ) -> None:
        self.penalty, self.factor, self.scale = penalty, factor, scale
        self._check()

    @property
    def is_indicator(self) -> bool:  # type: ignore[override]
        """Whether P is 0 on a set and infinite elsewhere."""
        return self.penalty.is_indicator

    @property
    def sign_invariant(self) -> bool:  # type: ignore[override]
        """Whether P depends on magnitudes only, and does not fall with them."""
        return self.penalty.sign_invariant

    def value(self, w: np.ndarray) -> float:
        return self.factor * self.penalty.value(self.scale * w)

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        step = step * self.factor * self.scale**2
        if self.scale == 1.0:
            return self.penalty.prox(w, step, out)
        return into(out, self.penalty.prox(self.scale * w, step) / self.scale, w)

    def conjugate(self, v: np.ndarray) -> float:
        return self.factor * self.penalty.conjugate(v / (self.factor * self.scale))

    def dual_scale(self, v: np.ndarray) -> float:
        return self.penalty.dual_scale(v / (self.factor * self.scale))

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        unit = self.factor * self.scale
        return unit * self.penalty.subdiff_distance(self.scale * w, grad / unit)

    def groups(self, n: int) -> Groups | None:
        return self.penalty.groups(n)

    def critical_lam(self, grad: np.ndarray) -> float:
        return self.penalty.critical_lam(grad / (self.factor * self.scale))

    def coordinate(self, n: int) -> Coordinate | None:
        form = self.penalty.coordinate(n)
        linear = form is not None and form.kind in ("l1", "l0", "none", "box")
        if not linear or self.scale != 1.0 or form is None:
            return None
        return form._replace(lam=form.lam * self.factor)


class MoreauConjugate(Penalty):
    """The convex conjugate ``P*`` of a convex penalty, by Moreau's identity.

    Parameters
    ----------
    penalty : Penalty
        The penalty P, convex.

    References
    ----------
    .. [1] N. Parikh, S. Boyd, "Proximal algorithms", Foundations and Trends in
       Optimization, 2014, Section 2.5.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import L1, MoreauConjugate
    >>> MoreauConjugate(L1(1.0)).prox(np.array([3.0, -0.5]))  # onto [-1, 1]
    array([ 1. , -0.5])
    """

    _rules = rules(penalty=PENALTY)

    def __init__(self, penalty: Penalty) -> None:
        self.penalty = penalty
        self._check()
        _require_convex(type(self), penalty)

    def value(self, w: np.ndarray) -> float:
        value = self.penalty.conjugate(w)
        if value < math.inf:
            return value
        # points on the border of the domain, as the prox has them, are inside
        return self.penalty.conjugate((1.0 - slack(w)) * w)

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        return into(out, w - step * self.penalty.prox(w / step, 1.0 / step), w)

    def conjugate(self, v: np.ndarray) -> float:
        return self.penalty.value(v)

    def dual_scale(self, v: np.ndarray) -> float:
        if math.isfinite(self.penalty.value(v)):
            return 1.0
        if self.penalty.value(np.zeros_like(v)) > 0.0:
            raise NotImplementedError("the domain of the penalty does not hold 0")
        low, high = 0.0, 1.0
        while high - low > 1e-15:
            middle = 0.5 * (low + high)
            if math.isfinite(self.penalty.value(middle * v)):
                low = middle
            else:
                high = middle
        return low


class MoreauEnvelope(Wrapped):
    """Smoothed penalty, ``w -> min_u P(u) + ||u - w||^2 / (2 mu)``.

    It is differentiable if P is convex, with a gradient of Lipschitz constant
    ``1 / mu``.

    Parameters
    ----------
    penalty : Penalty
        The penalty P.
    mu : float, default=1.0
        Smoothing, positive.

    References
    ----------
    .. [1] N. Parikh, S. Boyd, "Proximal algorithms", Foundations and Trends in
       Optimization, 2014, Section 3.1.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import L1, MoreauEnvelope
    >>> huber = MoreauEnvelope(L1(1.0), mu=1.0)
    >>> huber.value(np.array([0.5])), huber.value(np.array([3.0]))
    (0.125, 2.5)
    >>> huber.gradient(np.array([0.5, 3.0]))
    array([0.5, 1. ])
    """

    _rules = rules(penalty=PENALTY, mu=POSITIVE)

    def __init__(self, penalty: Penalty, mu: float = 1.0) -> None:
        self.penalty, self.mu = penalty, mu
        self._check()

    def value(self, w: np.ndarray) -> float:
        u = self.penalty.prox(w, self.mu)
        apart = as_float64(u) - as_float64(w)
        return self.penalty.value(u) + float(np.vdot(apart, apart)) / (2.0 * self.mu)

    def gradient(self, w: np.ndarray) -> np.ndarray:
        """Gradient of the envelope, ``(w - prox_{mu P}(w)) / mu``.

        Parameters
        ----------
        w : ndarray
            Coefficients.

        Returns
        -------
        ndarray
            The gradient, of the shape and type of w.
        """
        return (w - self.penalty.prox(w, self.mu)) / self.mu

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        inner = self.penalty.prox(w, step + self.mu)
        return into(out, w + step / (step + self.mu) * (inner - w), w)

    def conjugate(self, v: np.ndarray) -> float:
        v = as_float64(v)
        return self.penalty.conjugate(v) + 0.5 * self.mu * float(np.vdot(v, v))

    def dual_scale(self, v: np.ndarray) -> float:
        return self.penalty.dual_scale(v)

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        return np.abs(as_float64(grad) + self.gradient(as_float64(w)))

    def critical_lam(self, grad: np.ndarray) -> float:
        # of a nonzero gradient; the envelope has none at the minimum
        return math.inf if np.any(grad) else 0.0


class SeparableSum(Penalty):
    """Sum of penalties of separate blocks of coefficients.

    Parameters
    ----------
    penalties : sequence of Penalty
        A penalty for each block.
    blocks : sequence of int, or of slices or index arrays
        Sizes of consecutive blocks, or the entries of each block among those of a
        vector; each entry is in one block.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import L1, Ridge, SeparableSum
    >>> penalty = SeparableSum([L1(1.0), Ridge(1.0)], [2, 1])
    >>> penalty.prox(np.array([3.0, 0.5, 4.0]))
    array([2., 0., 2.])
    """

    _rules = rules(penalties=[Type(list, tuple)], blocks=[Type(list, tuple)])

    def __init__(self, penalties: Sequence[Penalty], blocks: Sequence[Any]) -> None:
        self.penalties, self.blocks = penalties, blocks
        self._check()
        for penalty in self.penalties:
            check_params(type(self), {"penalties": PENALTY}, {"penalties": penalty})
        if len(self.penalties) != len(self.blocks):
            raise ValueError(
                f"The 'blocks' parameter of {public_name(type(self))} must have one "
                f"entry for each of {len(self.penalties)} penalties. "
                f"Got {len(self.blocks)}."
            )
        # copies: what is tested must not be changed later
        self.penalties, self.blocks = list(penalties), [own(part) for part in blocks]
        self.is_convex = all(penalty.is_convex for penalty in self.penalties)
        self.is_indicator = all(penalty.is_indicator for penalty in self.penalties)
        self.sign_invariant = all(penalty.sign_invariant for penalty in self.penalties)
        self._cached: dict[int, list[Any]] = {}

    def _parts(self, n: int) -> list[Any]:
        """Index of each block, tested once to cover n entries once."""
        if n not in self._cached:
            self._cached = {n: _block_indices(type(self), self.blocks, n)}
        return self._cached[n]

    def _pairs(self, w: np.ndarray) -> list[tuple[Penalty, Any]]:
        flat = self._parts(w.size)
        return list(zip(self.penalties, flat, strict=True))

    def value(self, w: np.ndarray) -> float:
        w = np.reshape(w, -1)
        return float(sum(penalty.value(w[part]) for penalty, part in self._pairs(w)))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        flat = np.reshape(w, -1)
        result = np.empty(flat.shape, dtype=float_type(flat))
        for penalty, part in self._pairs(flat):
            result[part] = penalty.prox(flat[part], step)
        return into(out, result.reshape(w.shape), w)

    def conjugate(self, v: np.ndarray) -> float:
        v = np.reshape(v, -1)
        pairs = self._pairs(v)
        return float(sum(penalty.conjugate(v[part]) for penalty, part in pairs))

    def dual_scale(self, v: np.ndarray) -> float:
        v = np.reshape(v, -1)
        pairs = self._pairs(v)
        return min(
            (penalty.dual_scale(v[part]) for penalty, part in pairs), default=1.0
        )

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        w, grad = np.reshape(w, -1), np.reshape(grad, -1)
        distances = [
            penalty.subdiff_distance(w[part], grad[part])
            for penalty, part in self._pairs(w)
        ]
        return np.concatenate(distances)

    def with_lam(self, lam: float) -> SeparableSum:
        """The sum with the same strength for each block.

        Parameters
        ----------
        lam : float
            The strength, in the place of the parameter `lam` of each.

        Returns
        -------
        Penalty
            The new penalty.
        """
        return SeparableSum(
            [part.with_lam(lam) for part in self.penalties], self.blocks
        )

    def critical_lam(self, grad: np.ndarray) -> float:
        grad = np.reshape(grad, -1)
        return max(p.critical_lam(grad[part]) for p, part in self._pairs(grad))


def _block_indices(owner: type, blocks: Sequence[Any], n: int) -> list[Any]:
    sizes = all(isinstance(b, (int, np.integer)) for b in blocks)
    parts: list[Any]
    if sizes:
        ends = np.cumsum([0, *blocks])
        parts = [slice(int(a), int(b)) for a, b in itertools.pairwise(ends)]
    else:
        parts = [b if isinstance(b, slice) else np.asarray(b) for b in blocks]
    counts = np.zeros(n, dtype=np.int64)
    try:
        for part in parts:
            np.add.at(counts, part, 1)
    except IndexError as error:
        raise ValueError(
            f"The 'blocks' parameter of {public_name(owner)} must hold indices of {n} "
            f"coefficients. Got {error}."
        ) from error
    if np.any(counts != 1) or (sizes and int(sum(blocks)) != n):
        entry = int(np.argmax(counts != 1))
        raise ValueError(
            f"The 'blocks' parameter of {public_name(owner)} must hold each of {n} "
            f"coefficients once. Got entry {entry} {counts[entry]} times."
        )
    return parts


def _require_convex(owner: type, penalty: Penalty) -> None:
    if not penalty.is_convex:
        raise ValueError(
            f"The 'penalty' parameter of {public_name(owner)} must be convex. "
            f"Got {penalty!r}."
        )
