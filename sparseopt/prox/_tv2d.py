"""Total variation of images, by rows and columns in turn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sparseopt._core._params import COMMON, Boolean, validate_params
from sparseopt.prox import _sequences
from sparseopt.prox._apply import LEVEL
from sparseopt.prox._inputs import as_output, as_point


@validate_params(
    {
        "lam": LEVEL,
        "tol": LEVEL,
        "max_iter": COMMON["max_iter"],
        "check_finite": [Boolean],
    }
)
def prox_tv2d(
    x: Any,
    lam: float = 1.0,
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    out: Any = None,
    check_finite: bool = True,
) -> np.ndarray:
    """Proximal operator of the anisotropic total variation of an image.

    The penalty is `lam` times the sum of the magnitudes of all differences between
    neighbours in rows and in columns. Its dual splits into rows and columns; minimised
    over one in turn, which is exact, it is smooth in the other, so that an accelerated
    gradient method with step 1 applies.

    Parameters
    ----------
    x : array of shape (n_rows, n_columns)
        The image.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    tol : float, default=1e-6
        Stops when the duality gap is at most `tol` times the objective of the constant
        image.
    max_iter : int, default=1000
        Most passes over rows and columns.
    out : array, optional
        Where the result goes; it may be `x` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `x` are errors; if not, they give NaN.

    Returns
    -------
    array of the shape and type of x
        The minimiser, to the tolerance.

    Warns
    -----
    ConvergenceWarning
        If the gap is above the tolerance after `max_iter` passes.

    References
    ----------
    Chambolle, Tan, Vaiter, "Accelerated alternating descent methods for Dykstra-like
    problems", Journal of Mathematical Imaging and Vision 59, 2017, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import prox_tv2d
    >>> prox_tv2d(np.diag([4.0, 0.0]), 1.0).round(3)
    array([[2.   , 0.667],
           [0.667, 0.667]])
    """
    array = as_point(x, finite=check_finite)
    if array.ndim != 2:
        raise ValueError(
            f"The 'x' array must have 2 dimensions. Got {array.ndim}, "
            f"shape {array.shape}."
        )
    result = as_output(out, array)
    if not array.size:
        return result
    if not check_finite and not np.isfinite(array).all():
        result[...] = np.nan
        return result
    scale = float(np.abs(array).max()) or 1.0
    unit = np.array(array / scale, dtype=np.float64)
    # beyond this the result is the mean; a quotient by a subnormal may be infinite
    most = 4.0 * array.size
    level = lam / scale if lam < most * scale else most
    solution, gap = _solve(unit, level, tol, max_iter)
    if gap > tol:
        warnings.warn(
            f"prox_tv2d: relative gap {gap:.2g} after {max_iter} passes is above "
            f"tol={tol:.2g}. Increase max_iter, or tol.",
            ConvergenceWarning,
            stacklevel=3,
        )
    np.multiply(solution, scale, out=result, casting="same_kind")
    return result


def _solve(
    x: np.ndarray, lam: float, tol: float, max_iter: int
) -> tuple[np.ndarray, float]:
    """Image and relative duality gap.

    The dual variables of rows and columns enter through the sums a and b of what they
    take away from the image: u = x - a - b.
    """
    mean = x.mean()
    scale = 0.5 * float(((x - mean) ** 2).sum()) or 1.0
    b = np.zeros_like(x)
    extrapolated, momentum, gap = b, 1.0, np.inf
    best, best_gap = x, np.inf
    for _ in range(max_iter):
        rest = x - extrapolated
        rows = _prox_rows(rest, lam)
        a = rest - rows
        rest = x - a
        columns = _prox_rows(rest.T, lam).T
        previous, b = b, rest - columns
        # what follows the second pass is the primal point; its dual part is exact
        gap = (
            lam * _variation(columns) - float((columns * (x - columns)).sum())
        ) / scale
        if gap < best_gap:
            best, best_gap = columns, gap
        if gap <= tol:
            break
        step = b - previous
        if float(((extrapolated - b) * step).sum()) > 0:
            momentum = 1.0  # it leads away: start the acceleration again
        following = 0.5 * (1 + np.sqrt(1 + 4 * momentum**2))
        extrapolated = b + ((momentum - 1) / following) * step
        momentum = following
    return best, max(best_gap, 0.0)


def _prox_rows(x: np.ndarray, lam: float) -> np.ndarray:
    rows = np.ascontiguousarray(x)
    result = np.empty_like(rows)
    _sequences.total_variation(rows, None, lam, 0.0, result)
    return result


def _variation(u: np.ndarray) -> float:
    return float(np.abs(np.diff(u, axis=0)).sum() + np.abs(np.diff(u, axis=1)).sum())
