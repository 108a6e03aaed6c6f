"""The design matrix: dense, sparse or an operator, behind three products."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

from sparseopt._core._arrays import as_floats, check_finite
from sparseopt.linear_model import _kernels
from sparseopt.linear_model._column_sizes import column_exponents

# Entries of X that are copied at once.
_BLOCK = 1 << 22
_ENTRIES_PER_THREAD = 100_000
# Largest magnitudes whose squares, summed, are normal numbers.
_RANGE = 1e-145, 1e145
# Largest magnitudes for which products of squares of coefficients are, too.
_USUAL = {np.dtype(np.float64): (1e-50, 1e50), np.dtype(np.float32): (1e-12, 1e12)}


def usual_range(dtype: np.dtype) -> tuple[float, float]:
    """Largest magnitudes of data that solvers take as they are."""
    return _USUAL[np.dtype(dtype)]


def check_structure(X: Any, name: str = "X") -> None:
    """Raise an error for a sparse matrix whose indices point outside of it.

    Compiled loops, ours and those of SciPy's conversions, trust them.
    """
    if not sparse.issparse(X) or X.format not in ("csc", "csr", "bsr", "coo"):
        return
    text = f"The {name!r} matrix must have indices within its shape {X.shape}"
    if X.format == "coo":
        parts = list(zip(X.coords, X.shape, strict=True))
        if any(len(index) != len(X.data) for index, _ in parts):
            raise ValueError(f"{text}, one for each entry. Got other numbers of them.")
    else:
        size, minor = X.shape if X.format != "csc" else X.shape[::-1]
        if X.format == "bsr":
            size, minor = size // X.blocksize[0], minor // X.blocksize[1]
        ptr = np.asarray(X.indptr)
        stored = min(len(X.indices), len(X.data))
        if (
            ptr.shape != (size + 1,)
            or ptr[0] != 0
            or ptr[-1] > stored
            or np.any(ptr[1:] < ptr[:-1])
        ):
            raise ValueError(
                f"The {name!r} matrix must have an indptr that rises from 0 to at most "
                f"the {stored} entries stored, of length {size + 1}. Got an array of "
                f"shape {ptr.shape} that does not."
            )
        parts = [(np.asarray(X.indices)[: ptr[-1]], minor)]
    for index, bound in parts:
        if len(index) and (int(index.min()) < 0 or int(index.max()) >= bound):
            raise ValueError(
                f"{text}. Got indices from {int(index.min())} to {int(index.max())}."
            )


class Design:
    """Matrix X of n samples and p features; never made dense and never modified.

    Attributes
    ----------
    X : ndarray, csc_array or LinearOperator
        Dense matrices keep their layout; sparse ones are CSC with sorted indices.
    n, p : int
        Its shape.
    dtype : dtype
        float32 or float64.
    kind : {"dense", "sparse", "operator"}
        Solvers that need columns refuse operators.
    extreme : float
        Largest magnitude if it is beyond `usual_range`, else 0.
    """

    def __init__(self, X: Any, name: str = "X") -> None:
        self.X: Any = None
        self.kind: Literal["dense", "sparse", "operator"] = "dense"
        self.dtype: np.dtype = np.dtype(np.float64)
        self.extreme = 0.0
        self._lengths: np.ndarray | None = None
        if isinstance(X, Design):
            self.X, self.kind, self.dtype = X.X, X.kind, X.dtype
            self.extreme, self._lengths = X.extreme, X._lengths
        elif sparse.issparse(X):
            self.X, self.extreme = _as_csc(X, name)
            self.kind = "sparse"
            self.dtype = self.X.dtype
        elif isinstance(X, LinearOperator):
            self.X, self.kind = X, "operator"
        else:
            self.X, self.extreme = _as_dense(X, name)
            self.dtype = self.X.dtype
        self.n, self.p = (int(size) for size in self.X.shape)

    @cached_property
    def exponents(self) -> np.ndarray | None:
        """Exponents of two of the columns' sizes, None where they are alike."""
        if self.kind == "operator" or self.p < 2:
            return None
        return column_exponents(self.X)

    def require_squares(self) -> None:
        """Raise an error if squared entries overflow or all vanish."""
        least, most = _RANGE
        if self.extreme and not least < self.extreme < most:
            raise ValueError(
                f"The 'X' array must have a largest magnitude in [{least}, {most}] for "
                f"this solver, or squares are lost. Got {self.extreme:.3g}; rescale it."
            )

    def matvec(self, w: np.ndarray) -> np.ndarray:
        """``X w``, float64, for w of shape (p,) or (p, k)."""
        # in the type of X, which would be copied otherwise
        z = np.asarray(self.X @ w.astype(self.dtype, copy=False))
        return z.astype(np.float64, copy=False)

    def rmatvec(self, r: np.ndarray) -> np.ndarray:
        """``X' r``, float64, for r of shape (n,) or (n, k)."""
        r = r.astype(self.dtype, copy=False)
        if self.kind == "operator":
            v = self.X.rmatvec(r) if r.ndim == 1 else self.X.rmatmat(r)
        else:
            v = self.X.T @ r
        return np.asarray(v).astype(np.float64, copy=False)

    def gradient(
        self, r: np.ndarray, cols: np.ndarray | None = None, n_threads: int = 1
    ) -> np.ndarray:
        """``X' r`` for a vector r, or its entries at some columns; sums are float64."""
        r = np.ascontiguousarray(r, dtype=np.float64)
        n_threads = self._worthwhile(n_threads, None if cols is None else cols.size)
        if self.kind == "operator":
            full = self.rmatvec(r)
            return full if cols is None else full[cols]
        if self.kind == "dense" and not self.X.flags.f_contiguous:
            out = np.empty(self.p)
            _kernels.row_dots(self.X, r, out, n_threads)
            return out if cols is None else out[cols]
        out = np.empty(self.p if cols is None else cols.size)
        index = np.empty(0, dtype=np.int64) if cols is None else cols
        args = (r, index, out, cols is None, n_threads)
        if self.kind == "sparse":
            X = self.X
            _kernels.csc_dots(X.data, X.indices, X.indptr, *args)
        else:
            _kernels.column_dots(self.X, *args)
        return out

    def columns(self, cols: np.ndarray) -> Any:
        """Some columns: a dense array, or a csc_array of a sparse design."""
        self._need_columns()
        return self.X[:, cols]

    def predict(self, w: np.ndarray) -> np.ndarray:
        """``X w``, float64; reads the columns of non-zero coefficients only."""
        rows = w if w.ndim == 1 else np.any(w, axis=1)
        support = np.flatnonzero(rows)
        if self.kind == "operator":
            return self.matvec(w)
        if 4 * support.size > self.p and self.dtype == np.float64:
            return self.matvec(w)
        z = np.zeros((self.n, *w.shape[1:]))
        step = max(1, _BLOCK // self.n)  # float32 columns are converted
        for start in range(0, support.size, step):
            some = support[start : start + step]
            z += self.columns(some).astype(np.float64) @ w[some]
        return z

    def moments(
        self, s: np.ndarray, n_threads: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """``sum_i s_i X_ij^2`` and ``sum_i s_i X_ij`` of all columns."""
        self._need_columns()
        if self.kind == "dense" and self.X.flags.f_contiguous:
            square, mean = np.empty(self.p), np.empty(self.p)
            threads = self._worthwhile(n_threads)
            _kernels.column_moments(self.X, s, square, mean, threads)
            return square, mean
        return self.square_norms(s), self.rmatvec(s)

    def _worthwhile(self, n_threads: int, n_columns: int | None = None) -> int:
        """Threads for a sweep of so many columns: each gets about 0.05 ms of work.

        Waking a thread costs less than that, but far more where it has to wait for a
        processor.  Columns are summed one by one: their number changes no result.
        """
        stored = self.X.nnz if self.kind == "sparse" else self.n * self.p
        share = 1.0 if n_columns is None else n_columns / self.p
        return max(1, min(n_threads, int(share * stored) // _ENTRIES_PER_THREAD))

    def _need_columns(self) -> None:
        if self.kind == "operator":
            raise TypeError(
                "The 'X' operator has no columns; use a first-order solver."
            )

    def square_norms(self, weights: np.ndarray | None = None) -> np.ndarray:
        """``sum_i weights_i X_ij^2`` for each column, float64."""
        self._need_columns()
        if self.kind == "sparse":
            data = self.X.data.astype(np.float64) ** 2
            if weights is not None:
                data *= weights[self.X.indices]
            return _column_sums(data, self.X.indptr)
        if weights is None:
            return np.einsum("ij,ij->j", self.X, self.X, dtype=np.float64)
        return np.einsum("i,ij,ij->j", weights, self.X, self.X, dtype=np.float64)

    def lengths(self) -> np.ndarray:
        """Euclidean norms of the columns, computed once; not of operators."""
        if self._lengths is None:
            square, _ = self.moments(np.ones(self.n))
            self._lengths = np.sqrt(square)
        return self._lengths

    def absolute(self, r: np.ndarray) -> np.ndarray:
        """``|X|' |r|``, by blocks of rows."""
        self._need_columns()
        r = np.abs(r)
        if self.kind == "sparse":
            return np.asarray(abs(self.X).T @ r)
        out, step = np.zeros((self.p, *r.shape[1:])), max(1, _BLOCK // self.p)
        for start in range(0, self.n, step):
            rows = slice(start, start + step)
            out += np.abs(self.X[rows]).T @ r[rows]
        return out

    def square_norm(
        self,
        weights: np.ndarray | None = None,
        *,
        centred: bool = False,
        n_iter: int = 20,
    ) -> float:
        """Estimate of the largest eigenvalue of ``X' diag(weights) X`` from below.

        `centred` takes ``X - 1 mean'``, the mean under `weights`. The start of the
        power iterations is fixed, so the estimate is the same in every run.
        """
        v = np.random.default_rng(0).standard_normal(self.p).astype(self.dtype)
        value = 0.0
        for _ in range(n_iter):
            norm = float(np.linalg.norm(v))
            if not norm > 0.0:
                return 0.0
            z = self.matvec(v / norm).astype(np.float64)
            if centred:
                z -= np.average(z, weights=weights)
            r = z if weights is None else z * weights
            v = self.rmatvec(r.astype(self.dtype))
            value = float(z @ r)
        return value


def _column_sums(data: np.ndarray, indptr: np.ndarray) -> np.ndarray:
    """Sums of columns of entries that are not negative."""
    total = np.append(0.0, np.cumsum(data))
    sums = np.diff(total[indptr])
    filled = np.diff(indptr) > 0
    if np.any(sums[filled] < 1e-6 * total[-1]):  # columns of far larger scale beside
        columns = np.repeat(np.arange(filled.size), np.diff(indptr))
        sums = np.bincount(columns, weights=data, minlength=filled.size)
    return sums


def _extreme_magnitude(array: np.ndarray, name: str) -> float:
    """Largest magnitude if it is beyond the usual range, else 0; checks NaN."""
    least, most = usual_range(array.dtype)
    if array.dtype == np.float64 and array.flags.forc:
        flat = array.reshape(-1, order="A")
        with np.errstate(over="ignore"):
            square = float(flat @ flat)
        if least**2 * flat.size < square < most**2:
            return 0.0
    top = max(float(array.max()), -float(array.min()))
    if not top < np.inf:  # NaN too
        check_finite(array, name)
    return 0.0 if least <= top <= most else top


def _as_dense(X: Any, name: str) -> tuple[np.ndarray, float]:
    array = as_floats(X, name, ndim=2)
    extreme = _extreme_magnitude(array, name)
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        array = np.asfortranarray(array)
    return array, extreme


def _as_csc(X: Any, name: str) -> tuple[Any, float]:
    check_structure(X, name)
    if X.format not in ("csc", "csr", "coo"):
        X = X.tocsc()
    data = as_floats(X.data, name, ndim=1) if X.nnz else np.zeros(0)
    if 0 in X.shape:
        raise ValueError(f"The {name!r} matrix must not be empty. Got shape {X.shape}.")
    extreme = _extreme_magnitude(data, name) if data.size else 0.0
    matrix = sparse.csc_array(X).astype(data.dtype, copy=False)
    if not matrix.has_sorted_indices or not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    return matrix, extreme
