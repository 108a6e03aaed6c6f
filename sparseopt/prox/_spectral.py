"""Operators of the singular values of a matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import linalg

from sparseopt._core._params import Boolean, Interval, validate_params
from sparseopt.prox._apply import LEVEL
from sparseopt.prox._elementwise import prox_l1
from sparseopt.prox._inputs import as_output, as_point
from sparseopt.prox._ksupport import prox_ksupport
from sparseopt.prox._nonconvex import prox_l0, prox_lq


@validate_params({"lam": LEVEL, "check_finite": [Boolean]})
def prox_nuclear(
    X: Any, lam: float = 1.0, *, out: Any = None, check_finite: bool = True
) -> np.ndarray:
    """Proximal operator of the nuclear norm: soft threshold of the singular values.

    Parameters
    ----------
    X : array of shape (n, m)
        The point.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    out : array, optional
        Where the result goes; it may be `X` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `X` are errors; if not, they give NaN.

    Returns
    -------
    array of the shape and type of X
        The minimiser.

    References
    ----------
    Cai, Candès, Shen, "A singular value thresholding algorithm for matrix completion",
    SIAM J. Optim. 20, 2010, theorem 2.1.

    Examples
    --------
    >>> from sparseopt.prox import prox_nuclear
    >>> prox_nuclear([[3.0, 0.0], [0.0, 1.0]], 1.0)
    array([[2., 0.],
           [0., 0.]])
    """
    return spectral(lambda s: prox_l1(s, lam), X, out, check_finite)


@validate_params({"lam": LEVEL, "check_finite": [Boolean]})
def prox_rank(
    X: Any, lam: float = 1.0, *, out: Any = None, check_finite: bool = True
) -> np.ndarray:
    """Proximal operator of the rank: singular values up to ``sqrt(2 lam)`` go to 0.

    Parameters
    ----------
    X : array of shape (n, m)
        The point.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    out : array, optional
        Where the result goes; it may be `X` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `X` are errors; if not, they give NaN.

    Returns
    -------
    array of the shape and type of X
        The minimiser.

    Examples
    --------
    >>> from sparseopt.prox import prox_rank
    >>> prox_rank([[3.0, 0.0], [0.0, 1.0]], 1.0)
    array([[3., 0.],
           [0., 0.]])
    """
    return spectral(lambda s: prox_l0(s, lam), X, out, check_finite)


@validate_params(
    {"lam": LEVEL, "q": [Interval(0, 2, closed="right")], "check_finite": [Boolean]}
)
def prox_schatten(
    X: Any,
    lam: float = 1.0,
    q: float = 0.5,
    *,
    out: Any = None,
    check_finite: bool = True,
) -> np.ndarray:
    """Proximal operator of the sum of the singular values' powers, ``lam sum_i s_i^q``.

    Parameters
    ----------
    X : array of shape (n, m)
        The point.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    q : float, default=0.5
        Power, in (0, 2]; 1 is the nuclear norm.
    out : array, optional
        Where the result goes; it may be `X` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `X` are errors; if not, they give NaN.

    Returns
    -------
    array of the shape and type of X
        The minimiser.

    Examples
    --------
    >>> from sparseopt.prox import prox_schatten
    >>> prox_schatten([[3.0, 0.0], [0.0, 1.0]], 1.0, q=0.5)
    array([[2.69545315, 0.        ],
           [0.        , 0.        ]])
    """
    return spectral(lambda s: prox_lq(s, lam, q), X, out, check_finite)


@validate_params({"rank": [Interval(0, None, integer=True)], "check_finite": [Boolean]})
def project_rank(
    X: Any, rank: int, *, out: Any = None, check_finite: bool = True
) -> np.ndarray:
    """Nearest matrix of at most some rank.

    Parameters
    ----------
    X : array of shape (n, m)
        The point.
    rank : int
        Largest rank allowed, not negative.
    out : array, optional
        Where the result goes; it may be `X` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `X` are errors; if not, they give NaN.

    Returns
    -------
    array of the shape and type of X
        The minimiser.

    References
    ----------
    Eckart, Young, "The approximation of one matrix by another of lower rank",
    Psychometrika 1, 1936.

    Examples
    --------
    >>> from sparseopt.prox import project_rank
    >>> project_rank([[3.0, 0.0], [0.0, 1.0]], 1)
    array([[3., 0.],
           [0., 0.]])
    """
    return spectral(lambda s: s * (np.arange(s.size) < rank), X, out, check_finite)


@validate_params({"lam": LEVEL, "check_finite": [Boolean]})
def prox_spectral_ksupport(
    X: Any, k: int, lam: float = 1.0, *, out: Any = None, check_finite: bool = True
) -> np.ndarray:
    """Proximal operator of the k-support norm of the singular values.

    Parameters
    ----------
    X : array of shape (n, m)
        The point.
    k : int
        Rank to aim at, in [1, min(n, m)]; 1 is the nuclear norm.
    lam : float, default=1.0
        Step times the weight of the norm, not negative.
    out : array, optional
        Where the result goes; it may be `X` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `X` are errors; if not, they give NaN.

    Returns
    -------
    array of the shape and type of X
        The minimiser.

    References
    ----------
    McDonald, Pontil, Stamos, "Spectral k-support norm regularization", NIPS 2014,
    section 4.

    Examples
    --------
    >>> from sparseopt.prox import prox_spectral_ksupport
    >>> prox_spectral_ksupport([[3.0, 0.0], [0.0, 1.0]], 1, 1.0)
    array([[2., 0.],
           [0., 0.]])
    """
    return spectral(lambda s: prox_ksupport(s, k, lam), X, out, check_finite)


def spectral(
    operator: Callable[[np.ndarray], np.ndarray], X: Any, out: Any, finite: bool
) -> np.ndarray:
    """Matrix with the same singular vectors and the operator's values.

    The operator keeps the order of the singular values, largest first.
    """
    array = as_point(X, finite=finite, name="X")
    if array.ndim != 2:
        raise ValueError(
            f"The 'X' array must have 2 dimensions. Got {array.ndim}, "
            f"shape {array.shape}."
        )
    result = as_output(out, array)
    if not array.size:
        return result
    if not finite and not np.isfinite(array).all():
        result[...] = np.nan
        return result
    left, values, right = _svd(array)
    values = operator(values)
    rank = int(np.count_nonzero(values))
    result[...] = (left[:, :rank] * values[:rank]) @ right[:rank]
    return result


def _svd(array: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    options = {"full_matrices": False, "check_finite": False}
    try:
        return linalg.svd(array, **options)
    except linalg.LinAlgError:  # divide and conquer fails on rare matrices
        return linalg.svd(array, lapack_driver="gesvd", **options)
