"""Sparse regression problems and signals, seeded."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from sparseopt._core._params import Interval, Options, validate_params
from sparseopt._core._random import RandomState, as_generator

_COUNT = Interval(1, None, integer=True)


class RegressionProblem(NamedTuple):
    """Linear regression problem with a known sparse truth.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Samples, float64, Fortran order.
    y : ndarray of shape (n,)
        Targets; labels -1 and 1 in classification problems.
    coef : ndarray of shape (p,)
        True coefficients.
    groups : ndarray of int of shape (p,)
        Label of each coefficient's group.
    name : str
        What the problem is, with its sizes.

    Examples
    --------
    >>> from sparseopt.datasets import make_sparse_regression
    >>> problem = make_sparse_regression(20, 50, 3, random_state=0)
    >>> int((problem.coef != 0).sum())
    3
    """

    X: np.ndarray
    y: np.ndarray
    coef: np.ndarray
    groups: np.ndarray
    name: str


@validate_params(
    {
        "n": [_COUNT],
        "p": [_COUNT],
        "n_nonzero": [Interval(0, None, integer=True)],
        "rho": [Interval(0, 1, closed="left")],
        "snr": [Interval(0, np.inf, closed="right")],
        "coef": [Options("sign", "normal", "one")],
        "group_size": [_COUNT],
        "kind": [Options("regression", "classification")],
        "random_state": ["random_state"],
    }
)
def make_sparse_regression(
    n: int,
    p: int,
    n_nonzero: int,
    *,
    rho: float = 0.0,
    snr: float = 2.0,
    coef: Literal["sign", "normal", "one"] = "sign",
    group_size: int = 1,
    kind: Literal["regression", "classification"] = "regression",
    random_state: RandomState = None,
) -> RegressionProblem:
    """Gaussian design with correlation ``rho^|i - j|`` and a sparse truth.

    The design of most papers on sparse regression: standard normal columns that follow
    an autoregression of order 1, coefficients at random places.

    Parameters
    ----------
    n, p : int
        Numbers of samples and features.
    n_nonzero : int
        Non-zero coefficients; with `group_size` g, non-zero groups of g.
    rho : float, default=0.0
        Correlation of neighbouring columns, in [0, 1).
    snr : float, default=2.0
        Variance of the noise-free targets over that of the noise; infinity is no noise.
    coef : {"sign", "normal", "one"}, default="sign"
        Non-zero coefficients: random signs, standard normal, or all one.
    group_size : int, default=1
        Columns are in consecutive groups of this size, a divisor of `p`.
    kind : {"regression", "classification"}, default="regression"
        Targets with noise, or their signs.
    random_state : int, RandomState or Generator, optional
        Source of randomness.

    Returns
    -------
    RegressionProblem
        Samples, targets and the truth.

    Raises
    ------
    ValueError
        If the groups do not divide `p`, or fewer than `n_nonzero` of them exist.

    Examples
    --------
    >>> from sparseopt.datasets import make_sparse_regression
    >>> X, y, coef, groups, name = make_sparse_regression(
    ...     30, 40, 2, rho=0.5, group_size=4, random_state=0
    ... )
    >>> X.shape, int((coef != 0).sum()), name
    ((30, 40), 8, 'AR(1) 30 x 40, 2 of 10 groups, rho 0.5, SNR 2')
    """
    if p % group_size:
        raise ValueError(
            "The 'group_size' parameter of sparseopt.datasets.make_sparse_regression "
            f"must be a divisor of p = {p}. Got {group_size}."
        )
    m = p // group_size
    if n_nonzero > m:
        raise ValueError(
            "The 'n_nonzero' parameter of sparseopt.datasets.make_sparse_regression "
            f"must be at most {m}, the number of groups. Got {n_nonzero}."
        )
    rng = as_generator(random_state)
    X = _ar1(rng, n, p, rho)
    active = rng.choice(m, n_nonzero, replace=False)
    draws = rng.standard_normal((n_nonzero, group_size))
    values = {"sign": np.sign(draws), "normal": draws, "one": np.ones_like(draws)}
    blocks = np.zeros((m, group_size))
    blocks[active] = values[coef]
    w = blocks.ravel()
    signal = X @ w
    noise = float(np.sqrt(np.var(signal) / snr))
    y = signal + noise * rng.standard_normal(n)
    if kind == "classification":
        y = np.where(y >= 0, 1.0, -1.0)
    what = f"{n_nonzero} of {m} groups" if group_size > 1 else f"{n_nonzero} non-zero"
    name = f"AR(1) {n} x {p}, {what}, rho {rho:g}, SNR {snr:g}"
    groups = np.repeat(np.arange(m), group_size)
    return RegressionProblem(X, y, w, groups, name)


def _ar1(rng: np.random.Generator, n: int, p: int, rho: float) -> np.ndarray:
    X = np.asfortranarray(rng.standard_normal((p, n)).T)
    scale = float(np.sqrt(1.0 - rho**2))
    for j in range(1, p if rho else 1):
        X[:, j] = rho * X[:, j - 1] + scale * X[:, j]
    return X


@validate_params(
    {
        "n": [_COUNT],
        "n_pieces": [_COUNT],
        "noise": [Interval(0, None)],
        "random_state": ["random_state"],
    }
)
def make_piecewise_constant(
    n: int,
    n_pieces: int = 8,
    *,
    noise: float = 0.3,
    random_state: RandomState = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Signal that is constant on a few pieces, with Gaussian noise.

    Parameters
    ----------
    n : int
        Length.
    n_pieces : int, default=8
        Number of pieces; levels are standard normal, places uniform.
    noise : float, default=0.3
        Standard deviation of the noise.
    random_state : int, RandomState or Generator, optional
        Source of randomness.

    Returns
    -------
    noisy, signal : ndarray of shape (n,)
        The signal with noise and without.

    Raises
    ------
    ValueError
        If there are more pieces than points.

    Examples
    --------
    >>> from sparseopt.datasets import make_piecewise_constant
    >>> noisy, signal = make_piecewise_constant(100, 4, random_state=0)
    >>> int((signal[1:] != signal[:-1]).sum())
    3
    """
    if n_pieces > n:
        raise ValueError(
            "The 'n_pieces' parameter of sparseopt.datasets.make_piecewise_constant "
            f"must be at most n = {n}. Got {n_pieces}."
        )
    rng = as_generator(random_state)
    jumps = np.sort(rng.choice(n - 1, n_pieces - 1, replace=False)) + 1
    lengths = np.diff([0, *jumps, n])
    signal = np.repeat(rng.standard_normal(n_pieces), lengths)
    return signal + noise * rng.standard_normal(n), signal
