"""Low-rank matrices with missing entries, seeded."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from sparseopt._core._params import Interval, validate_params
from sparseopt._core._random import RandomState, as_generator

_COUNT = Interval(1, None, integer=True)
# Up to here places are drawn without replacement from all of them.
_ALL = 50_000_000


class CompletionProblem(NamedTuple):
    """Partly observed low-rank matrix with a known truth.

    Parameters
    ----------
    X : csr_array of shape (m, n)
        Observed entries, sorted by column in each row; zeros are stored too.
    U : ndarray of shape (m, k)
        Left singular vectors of the truth.
    s : ndarray of shape (k,)
        Singular values of the truth.
    V : ndarray of shape (n, k)
        Right singular vectors of the truth.
    name : str
        What the problem is, with its sizes.

    Examples
    --------
    >>> from sparseopt.datasets import make_low_rank
    >>> problem = make_low_rank(30, 20, 2, random_state=0)
    >>> problem.X.shape, problem.s.shape
    ((30, 20), (2,))
    """

    X: sparse.csr_array
    U: np.ndarray
    s: np.ndarray
    V: np.ndarray
    name: str

    def relative_error(self, left: np.ndarray, right: np.ndarray) -> float:
        """Distance of a product of factors from the truth.

        ``||left right' - M||_F / ||M||_F`` over all entries, without an (m, n) array
        and without cancellation.

        Parameters
        ----------
        left : ndarray of shape (m, r)
            Left factor.
        right : ndarray of shape (n, r)
            Right factor.

        Returns
        -------
        float
            The relative error.
        """
        a = np.linalg.qr(np.hstack([left, self.U * self.s])).R
        b = np.linalg.qr(np.hstack([right, -self.V])).R
        return float(np.linalg.norm(a @ b.T) / np.linalg.norm(self.s))


@validate_params(
    {
        "m": [_COUNT],
        "n": [_COUNT],
        "n_components": [_COUNT],
        "oversampling": [Interval(0, None, closed="neither")],
        "condition": [Interval(1, None)],
        "noise": [Interval(0, None)],
        "outliers": [Interval(0, 1, closed="left")],
        "min_degree": [Interval(0, None, integer=True), None],
        "random_state": ["random_state"],
    }
)
def make_low_rank(
    m: int,
    n: int,
    n_components: int,
    *,
    oversampling: float = 4.0,
    condition: float = 1.0,
    noise: float = 0.0,
    outliers: float = 0.0,
    min_degree: int | None = None,
    random_state: RandomState = None,
) -> CompletionProblem:
    """Random low-rank matrix observed at random places.

    Singular vectors are those of Gaussian matrices, singular values geometric; entries
    have a mean square of about one.  Places are drawn without replacement, then rows
    and columns with too few get more.

    Parameters
    ----------
    m, n : int
        Rows and columns.
    n_components : int
        Rank k.
    oversampling : float, default=4.0
        Entries divided by the degrees of freedom ``k (m + n - k)``.
    condition : float, default=1.0
        Largest singular value over the smallest.
    noise : float, default=0.0
        Standard deviation of Gaussian noise, relative to the root mean square.
    outliers : float, default=0.0
        Share of entries to which ten root mean squares are added or subtracted.
    min_degree : int, optional
        Entries that each row and column has at least; ``k + 1`` if not given, as fewer
        than k determine nothing.
    random_state : int, RandomState or Generator, optional
        Source of randomness.

    Returns
    -------
    CompletionProblem
        Entries and the truth.

    Raises
    ------
    ValueError
        If the rank is larger than a side, or more entries are asked for than exist.

    Examples
    --------
    >>> from sparseopt.datasets import make_low_rank
    >>> problem = make_low_rank(50, 40, 2, oversampling=3, random_state=0)
    >>> problem.X.nnz, problem.name
    (528, '50 x 40, rank 2, oversampling 3')
    """
    k = n_components
    if k > min(m, n):
        raise ValueError(
            "The 'n_components' parameter of sparseopt.datasets.make_low_rank must be "
            f"at most min(m, n) = {min(m, n)}. Got {k}."
        )
    n_entries = int(oversampling * k * (m + n - k))
    if n_entries > m * n:
        raise ValueError(
            "The 'oversampling' parameter of sparseopt.datasets.make_low_rank must be "
            f"at most {m * n / (k * (m + n - k)):.4g} here. Got {oversampling}."
        )
    rng = as_generator(random_state)
    U = np.linalg.qr(rng.standard_normal((m, k)))[0]
    V = np.linalg.qr(rng.standard_normal((n, k)))[0]
    s = np.geomspace(condition, 1.0, k)
    s *= np.sqrt(m * n / np.square(s).sum())
    least = k + 1 if min_degree is None else min_degree
    places = _with_degrees(rng, _draw(rng, m * n, n_entries), (m, n), least)
    rows, cols = np.divmod(places, n)
    values = np.einsum("el,el->e", (U * s)[rows], V[cols])
    values += noise * rng.standard_normal(len(values))
    hit = rng.random(len(values)) < outliers
    values[hit] += 10.0 * rng.choice([-1.0, 1.0], int(hit.sum()))
    ptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=m))])
    X = sparse.csr_array((values, cols.astype(np.int32), ptr), shape=(m, n))
    name = f"{m} x {n}, rank {k}, oversampling {oversampling:g}"
    for label, value, usual in (("condition", condition, 1.0), ("noise", noise, 0.0)):
        name += f", {label} {value:g}" if value != usual else ""
    return CompletionProblem(X, U, s, V, name)


def _draw(rng: np.random.Generator, total: int, n: int) -> np.ndarray:
    """Sorted distinct numbers below ``total``."""
    if total <= _ALL or 2 * n > total:
        return np.sort(rng.choice(total, n, replace=False))
    places = np.unique(rng.integers(0, total, n))
    while len(places) < n:
        more = rng.integers(0, total, n - len(places))
        places = np.unique(np.concatenate([places, more]))
    return places


def _with_degrees(
    rng: np.random.Generator, places: np.ndarray, shape: tuple[int, int], least: int
) -> np.ndarray:
    """Add places until every row and column has ``least`` of them, or all."""
    m, n = shape
    for axis, size, other in ((0, m, n), (1, n, m)):
        need = min(least, other)
        ids = places // n if axis == 0 else places % n
        counts = np.bincount(ids, minlength=size)
        more = []
        for i in np.flatnonzero(counts < need):
            have = places[ids == i]
            have = have % n if axis == 0 else have // n
            free = np.setdiff1d(np.arange(other), have, assume_unique=True)
            new = rng.choice(free, need - counts[i], replace=False)
            more.append(i * n + new if axis == 0 else new * n + i)
        if more:
            places = np.sort(np.concatenate([places, *more]))
    return places
