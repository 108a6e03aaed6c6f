"""Smooth data-fitting terms: what solvers ask of them."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
from scipy.special import expit, xlogy

from sparseopt._core._arrays import as_vector
from sparseopt._core._params import Boolean, check_params
from sparseopt.linear_model._design import Design

# Squares of targets beyond are lost to overflow or underflow.
_LEAST, MOST = 1e-145, 1e145
# Share of the secant that Newton steps take for a second derivative of zero.
_FLAT = 0.03
# Rounding of F, relative to the squares it is made of.
_ROUNDING = 1e-30


class Datafit:
    """Mean loss ``F(z) = sum_i s_i l(y_i, z_i)`` of predictions z.

    Predictions are ``z = X w + intercept``; the sample weights s are normalised to sum
    1.  A datafit holds data only: what an iteration changes is the solver's.

    Parameters
    ----------
    X : array-like, sparse matrix or LinearOperator of shape (n, p)
        Samples; never modified, sparse ones never made dense.  A dense array is not
        copied: later solves read what it holds then.
    y : array-like of shape (n,)
        Targets.
    sample_weight : array-like of shape (n,), optional
        Weights of the samples, not negative; they are divided by their sum.
    fit_intercept : bool, default=False
        Whether an unpenalised intercept is added.

    Attributes
    ----------
    design : Design
        The samples.
    y : ndarray
        Targets, float64; shape (n,), or (n, n_outputs).
    s : ndarray of shape (n,)
        Sample weights of sum 1, float64.
    fit_intercept : bool
        Whether an unpenalised intercept is added.
    n_outputs : int
        Columns of the coefficients; 0 where they are a vector.
    curvature : float
        Largest second derivative of l, infinity if there is none.
    is_quadratic : bool
        Whether l is quadratic in z.
    has_hessian : bool
        Whether `hessian` is the second derivative, and not a bound of it.
    is_coupled : bool
        Whether samples share terms of the loss: its second derivative is then no
        diagonal, and `curvature_matrix` has it.
    width : float
        Size of the residuals up to which l is not linear, for losses that `widened`
        makes smoother; 0 for the others.

    Examples
    --------
    >>> from sparseopt.linear_model import Datafit, Huber, LeastSquares
    >>> issubclass(LeastSquares, Datafit), LeastSquares.is_quadratic
    (True, True)
    """

    n_outputs: int = 0
    curvature: float = math.inf
    is_quadratic: bool = False
    has_hessian: bool = True
    is_coupled: bool = False
    width: float = 0.0

    def __init__(
        self, X: Any, y: Any, *, sample_weight: Any = None, fit_intercept: bool = False
    ) -> None:
        check_params(
            type(self), {"fit_intercept": [Boolean]}, {"fit_intercept": fit_intercept}
        )
        self.design = Design(X)
        self.s = _sample_weights(sample_weight, self.design.n)
        self.y = self._targets(y)
        self.fit_intercept = bool(fit_intercept)

    def __repr__(self) -> str:
        design = self.design
        kind = "" if design.kind == "dense" else f"{design.kind} "
        with_intercept = ", fit_intercept=True" if self.fit_intercept else ""
        return (
            f"{type(self).__name__}(<{kind}X of shape ({design.n}, {design.p}), "
            f"{design.dtype}>{with_intercept})"
        )

    def _targets(self, y: Any) -> np.ndarray:
        return as_vector(y, "y", self.design.n).astype(np.float64)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Methods without a docstring of their own are described by the base class."""
        super().__init_subclass__(**kwargs)
        for name, method in vars(cls).items():
            if inspect.isfunction(method) and method.__doc__ is None:
                method.__doc__ = getattr(getattr(Datafit, name, None), "__doc__", None)

    def value(self, z: np.ndarray) -> float:
        """F(z).

        Parameters
        ----------
        z : ndarray
            Predictions, with the intercept.

        Returns
        -------
        float
            The mean loss.
        """
        raise NotImplementedError

    def gradient(self, z: np.ndarray) -> np.ndarray:
        """The derivative of F with respect to z.

        Parameters
        ----------
        z : ndarray
            Predictions.

        Returns
        -------
        ndarray
            The derivatives, float64, of the shape of z.
        """
        raise NotImplementedError

    def hessian(self, z: np.ndarray) -> np.ndarray:
        """Diagonal of the second derivative of F, or an upper bound of it.

        Parameters
        ----------
        z : ndarray
            Predictions.

        Returns
        -------
        ndarray
            The diagonal, float64, of the shape of z.
        """
        raise NotImplementedError

    def curvature_matrix(self, z: np.ndarray, A: Any) -> np.ndarray:
        """Second derivative of F along columns, of losses that are coupled.

        Parameters
        ----------
        z : ndarray of shape (n,)
            Predictions.
        A : ndarray or sparse matrix of shape (n, m)
            Columns.

        Returns
        -------
        ndarray of shape (m, m)
            ``A' F''(z) A``.
        """
        raise NotImplementedError

    def invariants(self) -> Any:
        """Find directions of z along which F is constant, at its best intercept.

        Returns
        -------
        ndarray or sparse matrix of shape (n, k)
            The directions, to which all dual points are orthogonal.
        """
        return np.ones((self.design.n, int(self.fit_intercept)))

    def secant(self, z: np.ndarray) -> np.ndarray | None:
        """Bend a quadratic that touches F at z and is nowhere below it.

        Only of losses whose second derivative vanishes in places, where Newton steps
        have no length.

        Parameters
        ----------
        z : ndarray of shape (n,)
            Predictions.

        Returns
        -------
        ndarray of shape (n,), or None
            Its second derivatives; None for losses whose `hessian` does.
        """
        return None

    def widened(self, width: float) -> Datafit:
        """Replace the loss by a smoother one of the same largest slope.

        Parameters
        ----------
        width : float
            Its `width`, not less than that of this loss.

        Returns
        -------
        Datafit
            The smoother loss of the same samples, nowhere above this one.
        """
        raise NotImplementedError

    def conjugate(self, theta: np.ndarray) -> float:
        """Convex conjugate ``sup_z <theta, z> - F(z)``.

        Parameters
        ----------
        theta : ndarray
            Dual point, of the shape of z.

        Returns
        -------
        float
            The value, infinity outside the domain.
        """
        raise NotImplementedError

    def inside(self, theta: np.ndarray) -> np.ndarray:
        """Move a dual point by what takes each sample into the domain of the conjugate.

        Parameters
        ----------
        theta : ndarray
            Dual point near the domain.

        Returns
        -------
        ndarray
            The point; itself for losses of which this is not known.
        """
        return theta

    def lipschitz(self) -> float:
        """Estimate, from below, of the Lipschitz constant of the gradient in w.

        Returns
        -------
        float
            The estimate, infinity for losses of unbounded curvature.
        """
        return self.curvature * self.design.square_norm(
            self.s, centred=self.fit_intercept
        )

    def shift(self, z: np.ndarray) -> Any:
        """Constant b, one for each output, that minimises ``F(z + b)``.

        Parameters
        ----------
        z : ndarray
            Predictions.

        Returns
        -------
        float or ndarray
            The constants.
        """
        return _newton_shift(self, z)

    def zero(self) -> np.ndarray:
        """The predictions of ``w = 0`` without intercept.

        Returns
        -------
        ndarray
            Zeros, one for each sample and output.
        """
        shape = (self.design.n, self.n_outputs) if self.n_outputs else self.design.n
        return np.zeros(shape)

    def scale(self) -> float:
        """F at ``w = 0`` and the best intercept: the unit of the duality gap.

        Returns
        -------
        float
            The unit.
        """
        z = self.zero()
        return self.value(z + self.shift(z)) if self.fit_intercept else self.value(z)


class LeastSquares(Datafit):
    """Squared error ``l(y, z) = (y - z)^2 / 2``.

    Parameters
    ----------
    X : array-like, sparse matrix or LinearOperator of shape (n, p)
        Samples; never modified, sparse ones never made dense.
    y : array-like of shape (n,)
        Targets.
    sample_weight : array-like of shape (n,), optional
        Weights of the samples, not negative; they are divided by their sum.
    fit_intercept : bool, default=False
        Whether an unpenalised intercept is added.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import LeastSquares
    >>> datafit = LeastSquares([[1.0], [2.0]], [1.0, 3.0])
    >>> datafit.value(np.zeros(2))
    2.5
    """

    curvature = 1.0
    is_quadratic = True

    def _targets(self, y: Any) -> np.ndarray:
        return with_squares(super()._targets(y))

    def value(self, z: np.ndarray) -> float:
        r = z - self.y
        return 0.5 * float(r @ (self.s * r))

    def gradient(self, z: np.ndarray) -> np.ndarray:
        return self.s * (z - self.y)

    def hessian(self, z: np.ndarray) -> np.ndarray:
        return self.s

    def conjugate(self, theta: np.ndarray) -> float:
        inside = self.s > 0
        if np.any(theta[~inside]):
            return math.inf
        theta, s = theta[inside], self.s[inside]
        return float(theta @ self.y[inside]) + 0.5 * float(theta @ (theta / s))

    def shift(self, z: np.ndarray) -> float:
        return float(self.s @ (self.y - z))

    def scale(self) -> float:
        return max(super().scale(), _ROUNDING * float(self.y @ (self.s * self.y)))


class Logistic(Datafit):
    """Logistic loss ``l(y, z) = log(1 + exp(-y z))`` of two classes.

    Parameters
    ----------
    X : array-like, sparse matrix or LinearOperator of shape (n, p)
        Samples; never modified, sparse ones never made dense.
    y : array-like of shape (n,)
        Labels of two classes; the class that sorts last is the positive one.
    sample_weight : array-like of shape (n,), optional
        Weights of the samples, not negative; they are divided by their sum.
    fit_intercept : bool, default=False
        Whether an unpenalised intercept is added.

    Attributes
    ----------
    classes : ndarray of shape (2,)
        The labels; `y` holds -1 and 1 in their place.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import Logistic
    >>> datafit = Logistic([[1.0], [2.0]], ["no", "yes"])
    >>> datafit.classes
    array(['no', 'yes'], dtype='<U3')
    >>> round(datafit.value(np.zeros(2)), 4)
    0.6931
    """

    curvature = 0.25

    def _targets(self, y: Any) -> np.ndarray:
        labels = np.asarray(y)
        if labels.shape != (self.design.n,):
            raise ValueError(
                f"The 'y' array must have shape ({self.design.n},). Got {labels.shape}."
            )
        if labels.dtype.kind in "fc":
            as_vector(labels, "y")
        classes = np.unique(labels)
        if classes.size == 1 and classes.dtype.kind in "fiu" and abs(classes[0]) == 1:
            classes = np.array([-1, 1], dtype=np.int64)
        if classes.size != 2:
            raise ValueError(
                f"The 'y' array must hold labels of two classes. Got {classes.size}."
            )
        self.classes = classes
        return np.where(labels == classes[1], 1.0, -1.0)

    def value(self, z: np.ndarray) -> float:
        return float(self.s @ np.logaddexp(0.0, -self.y * z))

    def gradient(self, z: np.ndarray) -> np.ndarray:
        return -self.s * self.y * expit(-self.y * z)

    def hessian(self, z: np.ndarray) -> np.ndarray:
        return self.s * expit(z) * expit(-z)

    def conjugate(self, theta: np.ndarray) -> float:
        inside = self.s > 0
        if np.any(theta[~inside]):
            return math.inf
        s = self.s[inside]
        p = -self.y[inside] * theta[inside] / s
        if p.min() < 0.0 or p.max() > 1.0:
            return math.inf
        return float(s @ (xlogy(p, p) + xlogy(1.0 - p, 1.0 - p)))

    def shift(self, z: np.ndarray) -> float:
        signs = self.y[self.s > 0]
        if signs.min() == signs.max():
            raise ValueError(
                "The 'y' array must hold both classes, with positive sample weights, "
                "where an intercept is fitted. Got one."
            )
        return _newton_shift(self, z)


def with_squares(y: np.ndarray) -> np.ndarray:
    """The targets; an error if their squares overflow or all vanish."""
    top = float(np.abs(y).max())
    if top and not _LEAST < top < MOST:
        raise ValueError(
            f"The 'y' array must have a largest magnitude in [{_LEAST}, {MOST}], "
            f"or its squares are lost. Got {top:.3g}; rescale it."
        )
    return y


def curvatures(datafit: Datafit, z: np.ndarray) -> np.ndarray:
    """Second derivatives for Newton steps; in flat places a share of the secant."""
    hessian, secant = datafit.hessian(z), datafit.secant(z)
    if secant is None:
        return hessian
    return np.maximum(hessian, _FLAT * secant) if hessian.any() else secant


def _newton_shift(datafit: Datafit, z: np.ndarray) -> float:
    """Newton's method for one constant, kept inside a bracket."""
    shift, low, high = 0.0, -math.inf, math.inf
    unit = 1e-16 * float(np.abs(z).max(initial=0.0))  # less is lost in z + shift
    for _ in range(100):
        theta = datafit.gradient(z + shift)
        slope = float(theta.sum())
        if abs(slope) <= 4e-16 * float(np.abs(theta).sum()):
            break
        if slope > 0:
            high = shift
        else:
            low = shift
        bend = float(datafit.hessian(z + shift).sum())
        step = -slope / bend if bend > 0 else -math.copysign(math.inf, slope)
        # flat tails give steps that are far too long
        step = math.copysign(min(abs(step), 2.0 + abs(shift)), step)
        new = shift + step
        if abs(step) <= 1e-16 * abs(shift) + unit:
            break
        if not low < new < high:
            new = 0.5 * (low + high)
        if new == shift:
            break
        shift = new
    return shift


def _sample_weights(weights: Any, n: int) -> np.ndarray:
    if weights is None:
        return np.full(n, 1.0 / n)
    array = as_vector(weights, "sample_weight", n).astype(np.float64)
    least, most = float(array.min()), float(array.max())
    if least < 0 or not most > 0:
        raise ValueError(
            "The 'sample_weight' array must not be negative, with a positive sum. "
            f"Got a minimum of {least} and a maximum of {most}."
        )
    array = array / most  # the sum itself may overflow
    return array / array.sum()
