"""Dual points of penalties that leave coefficients free.

The conjugate of such a penalty is infinite unless the slopes of the free coefficients
are zero: a dual point has to be orthogonal to their columns, which no residual is
before the end.  A Newton step of the free coefficients alone, taken to first order,
makes it so; its metric, the second derivative of the loss, keeps the point within the
domain of the conjugate of the loss where that is bounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import qr, solve_triangular

from sparseopt.linear_model._datafit import Datafit
from sparseopt.linear_model._datafits_more import Multinomial
from sparseopt.linear_model._gap import has_conjugate
from sparseopt.prox import Penalty

# Largest matrix of free columns, and most multiplications of its factorisation, which
# for quadratic losses is made once.
_LARGEST, _WORK, _WORK_ONCE = 2e7, 5e8, 1e10
# Slopes of free coefficients that are rounding, relative to columns and dual point.
_ROUNDING = 1e-13
_NOTHING = 1e-12  # share of a dual point that is rounding
_RANK = 1e-12
# Sizes at which a penalty is asked whether it moves coefficients.
_SIZES, _STEP = (1e-3, 1.0, 1e6), 1e3


def free_entries(penalty: Penalty, shape: tuple[int, ...]) -> np.ndarray:
    """Mask of the coefficients that a convex penalty does not see."""
    size = int(np.prod(shape))
    form = penalty.coordinate(size)
    if form is not None and form.kind in ("l1", "elastic_net", "none"):
        if form.kind == "none" or form.lam == 0.0:
            return np.full(shape, not form.positive)
        if form.weights is None or form.positive:
            return np.zeros(shape, dtype=bool)
        return (form.weights == 0).reshape(shape)
    # the proximal operator leaves them where they are
    irregular = np.random.default_rng(0).uniform(1.0, 2.0, shape)
    irregular *= np.where(np.arange(size).reshape(shape) % 2, -1.0, 1.0)
    free = np.ones(shape, dtype=bool)
    for factor in (*_SIZES, *(-x for x in _SIZES)):
        w = factor * irregular
        free &= penalty.prox(w, _STEP) == w
        if not free.any():
            break
    return free


class FreeColumns:
    """Columns of free coefficients, one block for each output.

    Attributes
    ----------
    mask : ndarray of bool
        The free coefficients, of the shape of the coefficients.
    """

    def __init__(self, datafit: Datafit, mask: np.ndarray) -> None:
        self.datafit, self.mask = datafit, mask
        constant = datafit.invariants()
        constant = constant.toarray() if sparse.issparse(constant) else constant
        outputs = mask.reshape(len(mask), -1).T
        rows = np.any(outputs, axis=0)
        X = datafit.design.columns(np.flatnonzero(rows))
        X = np.asarray(X.toarray() if sparse.issparse(X) else X, dtype=np.float64)
        self.X = X = np.column_stack([X, constant])
        # columns of X for each output
        also = [True] * constant.shape[1]
        self.columns = [np.flatnonzero(np.append(c[rows], also)) for c in outputs]
        self._lengths = np.sqrt(np.einsum("ij,ij->j", X, X))
        self._kept: Any = None

    @classmethod
    def of(
        cls, datafit: Datafit, penalty: Penalty, last: FreeColumns | None = None
    ) -> FreeColumns | None:
        """Those of a problem; None if there are none, too many, or no gap anyway.

        `last` are those of another penalty, to be used again if they are the same.
        """
        p, k = datafit.design.p, datafit.n_outputs
        shape = (p, k) if k else (p,)
        if not penalty.is_convex or datafit.design.kind == "operator":
            return None
        try:
            mask = free_entries(penalty, shape)
        except NotImplementedError:
            return None
        if not mask.any() or not has_conjugate(penalty, shape, ~mask):
            return None
        if last is not None and np.array_equal(last.mask, mask):
            return last
        rows = datafit.design.n * max(k, 1)
        columns = int(np.count_nonzero(mask))
        columns += max(k, 1) * datafit.invariants().shape[1]
        work = 1.0 * rows * columns * min(rows, columns)
        limit = _WORK_ONCE if datafit.is_quadratic else _WORK
        if rows * columns > _LARGEST or work > limit:
            return None
        return cls(datafit, mask)

    def project(self, z: np.ndarray, theta: np.ndarray) -> np.ndarray | None:
        """The dual point near theta that is orthogonal to the columns.

        None if rounding does not let it be: columns are too close to dependent.
        """
        tried = [self._metric(z)]
        if not self.datafit.is_quadratic and not self.datafit.n_outputs:
            tried.append(np.sqrt(self.datafit.s))
        for metric in tried:
            point = self._orthogonal(metric, theta)
            if point is not None:
                return point
        return None

    def _metric(self, z: np.ndarray) -> np.ndarray:
        """Root of the second derivative; of several outputs the probabilities."""
        datafit = self.datafit
        if isinstance(datafit, Multinomial):
            return datafit.probabilities(z)
        d = datafit.hessian(z)
        return np.sqrt(np.where(np.isfinite(d), d, 0.0))

    def _orthogonal(self, metric: np.ndarray, theta: np.ndarray) -> np.ndarray | None:
        Q, R, pivots, unit = self._factor(metric)
        size = float(np.linalg.norm(theta))
        if R.size:
            for _ in range(3):  # the second takes off what rounding left of the first
                slopes = (self._slopes(theta) / unit)[pivots]
                step = Q @ solve_triangular(R, slopes[: len(R)], trans="T")
                theta = theta - self._back(metric, step)
        if not np.linalg.norm(theta) > _NOTHING * size:
            return np.zeros_like(theta)  # the columns span all of the samples
        fits = np.abs(self._slopes(theta)) <= _ROUNDING * self._bound(theta)
        return theta if np.all(fits) else None

    def _slopes(self, theta: np.ndarray) -> np.ndarray:
        """Products of the columns with a dual point, output by output."""
        products = self.X.T @ theta.reshape(len(self.X), -1)
        pairs = zip(self.columns, products.T, strict=True)
        return np.concatenate([column[at] for at, column in pairs])

    def _bound(self, theta: np.ndarray) -> np.ndarray:
        lengths = np.linalg.norm(theta.reshape(len(self.X), -1), axis=0)
        pairs = zip(self.columns, lengths, strict=True)
        return np.concatenate([self._lengths[at] * length for at, length in pairs])

    def _factor(self, metric: np.ndarray) -> tuple[Any, ...]:
        """Factors of the columns in the metric, their order and their lengths."""
        if self._kept is not None:
            return self._kept
        if self.datafit.n_outputs:
            A = self._joint(metric)
        else:
            A = metric[:, None] * self.X[:, self.columns[0]]
        unit = np.sqrt(np.einsum("ij,ij->j", A, A))
        unit = np.where(unit > 0.0, unit, 1.0)
        Q, R, pivots = qr(A / unit, mode="economic", pivoting=True, check_finite=False)
        diagonal = np.abs(R.diagonal())
        rank = int(np.count_nonzero(diagonal > _RANK * diagonal.max(initial=0.0)))
        found = Q[:, :rank], R[:rank, :rank], pivots, unit
        if self.datafit.is_quadratic:
            self._kept = found
        return found

    def _joint(self, p: np.ndarray) -> np.ndarray:
        """Columns of all outputs under the root of ``s (diag(p) - p p')``."""
        n, k = p.shape
        root = np.sqrt(self.datafit.s[:, None] * p)
        blocks = []
        for c, at in enumerate(self.columns):
            share = root * ((np.arange(k) == c) - p[:, [c]])
            blocks.append(share[:, :, None] * self.X[:, None, at])
        return np.concatenate(blocks, axis=2).reshape(n * k, -1)

    def _back(self, metric: np.ndarray, step: np.ndarray) -> np.ndarray:
        """The transposed root of the second derivative times a step."""
        if not self.datafit.n_outputs:
            return metric * step
        root = np.sqrt(self.datafit.s[:, None] * metric)
        pushed = root * step.reshape(metric.shape)
        return pushed - metric * pushed.sum(axis=1, keepdims=True)
