"""Result of a transport problem."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from sparseopt._core._arrays import as_matrix, as_vector
from sparseopt._core._fingerprint import check_unchanged, fingerprint
from sparseopt._core._result import Result
from sparseopt.ot._certificate import entropic_gap

# Entries of the plan that are held at once when it is made in pieces.
_CHUNK = 4_000_000
_HUGE = 1e290
# Entries below this share of their row are left out of `sparse_plan`.
_NEGLIGIBLE = 1e-17


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class OTResult(Result):
    """Solution of an entropic transport problem with its certificate.

    Returned by `sparseopt.ot.solve`. Besides the attributes below it has those of every
    result: ``status``, ``converged``, ``message``, ``n_iter``, ``objective`` (equal to
    ``value_entropic``), ``residual`` (equal to ``marginal_error``), ``gap``,
    ``history`` and ``elapsed``.

    Parameters
    ----------
    potentials : tuple of ndarray
        Dual potentials (f, g) in units of the cost, float64, of shapes (n,) and (m,);
        the plan is ``exp((f_i + g_j - C_ij) / reg)`` on rows and columns with mass.  A
        point without mass has the c-transform of the other side.  ``g`` has mean zero
        over the columns with mass.
    value : float
        ``<C, P> + reg KL(P | a b' / mass)``, the convention of POT for mass one.
    value_linear : float
        ``<C, P>``.
    value_entropic : float
        ``<C, P> + reg sum P (log P - 1)``.
    lower_bound : float
        Lower bound on the cost of every plan with these marginals (reg = 0), from the
        c-transform of ``g``.
    gap : float
        Gap of the unregularised problem: cost of the plan rounded to exact marginals,
        less `lower_bound`.  It bounds how far the rounded plan is from an optimal
        unregularised plan, and tends to zero only with ``reg``.
    marginal_error : float
        ``||P 1 - a||_1 + ||P' 1 - b||_1`` over all entries, relative to the mass.
    reg : float
        Regularisation, in units of the cost.
    n_newton, n_cg, n_dense_passes : int
        Newton steps, conjugate-gradient iterations, reads of the whole cost or of a
        stored plan ("sns" and "ssns": their Sinkhorn passes only).
    history : ndarray
        Structured array with a row for each iteration: ``n_iter``, ``time`` (s),
        ``objective`` (entropic dual at the level's reg), ``residual``, ``reg``,
        ``nnz`` (entries of the plan looked at) and ``step`` (step length).

    Notes
    -----
    Plan, marginals, maps and products are computed from the caller's cost when they are
    asked for.  If it was changed since, that is an error, unless `solve` was told
    ``copy=True``.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt import ot
    >>> C = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> result = ot.solve(C, reg=0.1)
    >>> result.plan.round(4)
    array([[0.5, 0. ],
           [0. , 0.5]])
    >>> result.converged
    True
    """

    potentials: tuple[np.ndarray, np.ndarray]
    value: float
    value_linear: float
    value_entropic: float
    lower_bound: float
    marginal_error: float
    reg: float
    n_newton: int = 0
    n_cg: int = 0
    n_dense_passes: int = 0
    # of a cost with a large offset: f without it, and the offset
    _inner: tuple[np.ndarray, float] | None = field(default=None, repr=False)
    _masses: tuple[np.ndarray, np.ndarray] | None = field(default=None, repr=False)
    _cost: np.ndarray | None = field(default=None, repr=False, metadata={"save": False})
    # of the cost, where it is the caller's; None for a copy
    _mark: int | None = field(default=None, repr=False, metadata={"save": False})

    @classmethod
    def load(cls, path: str | os.PathLike[str], C: ArrayLike | None = None) -> Self:
        """Read a result that `save` wrote.

        Parameters
        ----------
        path : str or path-like
            File to read.
        C : array-like of shape (n, m), optional
            The cost, which files do not hold: with it the result has its plan again.
            A cost of another problem is an error.

        Returns
        -------
        OTResult
            The result; without `C` it has potentials and values only.
        """
        result = super().load(path)
        return result if C is None else result._with_cost(C)

    def _with_cost(self, C: ArrayLike) -> Self:
        C = as_matrix(C, "C")
        shape = tuple(len(v) for v in self.potentials)
        if self._masses is None or C.shape != shape:
            raise ValueError(
                f"The 'C' array must have the shape {shape} of the loaded result. "
                f"Got {C.shape}."
            )
        result = replace(self, _cost=C, _mark=fingerprint(C))
        a, b = self._masses
        with np.errstate(over="ignore"):
            rows, columns = result.marginals
        error = (np.abs(rows - a).sum() + np.abs(columns - b).sum()) / a.sum()
        size = max(float(np.abs(v).max()) for v in self.potentials)
        rounding = np.finfo(C.dtype).eps * (20 * size / self.reg + sum(shape))
        if not error <= 1.01 * self.marginal_error + rounding:
            raise ValueError(
                "The 'C' array is not the cost of the loaded result: the plan would "
                f"have a marginal error of {error:.3g}, and had one of "
                f"{self.marginal_error:.3g}."
            )
        return result

    def _data(
        self, wanted: str = "the plan"
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if self._cost is None or self._masses is None:
            raise ValueError(
                f"A loaded result does not have {wanted}: files do not hold the cost. "
                "Give it to load, as in OTResult.load(path, C=C)."
            )
        if self._mark is not None:
            check_unchanged(self._mark, self._cost, name="C", wanted=wanted)
        return (self._cost, *self._masses)

    def _log_rows(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Logarithms of the plan, by blocks of rows, -inf where there is no mass.

        Whoever asks for them has looked at `_data`, which checks the cost.
        """
        assert self._cost is not None
        assert self._masses is not None
        C, (a, b) = self._cost, self._masses
        f, g = self.potentials
        f, offset = self._inner or (f, 0.0)
        f = np.where(a > 0, f, -np.inf)
        g = np.where(b > 0, g, -np.inf)
        reg, unit = self.reg, 1.0
        if reg > _HUGE:  # differences of costs could overflow
            f, g, reg, unit = f / reg, g / reg, 1.0, reg
        step = max(1, _CHUNK // C.shape[1])
        for start in range(0, C.shape[0], step):
            part = slice(start, start + step)
            # the order that loses least: potentials and cost cancel first
            cost = C[part] - C.dtype.type(offset) if offset else C[part]
            yield part, (f[part, None] + (g - cost / unit)) / reg

    @cached_property
    def plan(self) -> np.ndarray:
        """Transport plan of shape (n, m), of the cost's type; made when asked for."""
        C, _, _ = self._data()
        plan = np.empty(C.shape, dtype=C.dtype)
        for part, log_plan in self._log_rows():
            plan[part] = np.exp(log_plan, out=log_plan)
        return plan

    @cached_property
    def sparse_plan(self) -> sparse.csr_array:
        """Transport plan without its negligible entries, as a CSR array.

        An entry below 1e-17 of its row is left out and the row is scaled to its mass,
        so that the plan differs from the dense one by less than rounding where rows
        are exact, and by the marginal error where the solver made the columns exact.
        """
        C, a, _ = self._data()
        blocks = []
        for part, log_plan in self._log_rows():
            mass = a[part, None]
            # relative to the largest entry: rows of tiny mass can be off by far
            top = np.where(mass > 0, log_plan.max(axis=1, keepdims=True), 0.0)
            block = np.exp(log_plan - top, out=log_plan)
            block[block < _NEGLIGIBLE * block.sum(axis=1, keepdims=True)] = 0.0
            total = block.sum(axis=1, keepdims=True)
            block *= np.divide(mass, total, out=np.zeros_like(total), where=total > 0)
            blocks.append(sparse.csr_array(block.astype(C.dtype, copy=False)))
        return sparse.csr_array(sparse.vstack(blocks, format="csr"))

    @property
    def potential_a(self) -> np.ndarray:
        """Potential of the rows, ``potentials[0]``: POT's name."""
        return self.potentials[0]

    @property
    def potential_b(self) -> np.ndarray:
        """Potential of the columns, ``potentials[1]``: POT's name."""
        return self.potentials[1]

    @property
    def marginal_a(self) -> np.ndarray:
        """Row sums of the plan, ``marginals[0]``: POT's name."""
        return self.marginals[0]

    @property
    def marginal_b(self) -> np.ndarray:
        """Column sums of the plan, ``marginals[1]``: POT's name."""
        return self.marginals[1]

    @cached_property
    def marginals(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and column sums of the plan."""
        C, _, _ = self._data("its marginals")
        rows, columns = np.empty(C.shape[0]), np.zeros(C.shape[1])
        for part, log_plan in self._log_rows():
            block = np.exp(log_plan, out=log_plan)
            rows[part] = block.sum(axis=1)
            columns += block.sum(axis=0)
        return rows, columns

    @cached_property
    def dual_gap(self) -> float:
        """Duality gap of the entropic problem at the rounded plan.

        Made when asked for: three passes with NumPy, slower than the solve itself.
        """
        _, a, b = self._data("its dual gap")
        return entropic_gap(self.reg, self._log_rows, a, b)

    def apply(self, v: ArrayLike) -> np.ndarray:
        """Product of the plan with a vector or matrix, without the plan in memory.

        Parameters
        ----------
        v : array-like of shape (m,) or (m, k)
            What to multiply with.

        Returns
        -------
        ndarray of shape (n,) or (n, k)
            ``P @ v``.

        See Also
        --------
        a_to_b : The same, divided by the mass of each row.

        Examples
        --------
        >>> import numpy as np
        >>> from sparseopt import ot
        >>> result = ot.solve(np.array([[0.0, 1.0], [1.0, 0.0]]), reg=0.1)
        >>> result.apply([1.0, 2.0]).round(4)
        array([0.5, 1. ])
        """
        C, _, _ = self._data("a product with the plan")
        v = self._operand(v, "v", C.shape[1])
        out = np.empty((C.shape[0], *v.shape[1:]), dtype=np.result_type(C, v))
        for part, log_plan in self._log_rows():
            out[part] = np.exp(log_plan, out=log_plan) @ v
        return out

    def apply_transpose(self, u: ArrayLike) -> np.ndarray:
        """Product of the transposed plan with a vector or matrix.

        Parameters
        ----------
        u : array-like of shape (n,) or (n, k)
            What to multiply with.

        Returns
        -------
        ndarray of shape (m,) or (m, k)
            ``P.T @ u``.
        """
        C, _, _ = self._data("a product with the plan")
        u = self._operand(u, "u", C.shape[0])
        out = np.zeros((C.shape[1], *u.shape[1:]))
        for part, log_plan in self._log_rows():
            out += np.exp(log_plan, out=log_plan).T @ u[part]
        return out.astype(np.result_type(C, u), copy=False)

    @staticmethod
    def _operand(array: ArrayLike, name: str, n: int) -> np.ndarray:
        array = np.asarray(array)
        if array.ndim not in (1, 2):
            raise ValueError(
                f"The {name!r} array must have one or two dimensions. Got {array.ndim}."
            )
        if array.ndim == 1:
            return as_vector(array, name, n)
        return OTResult._points(array, name, n)

    def a_to_b(self, Y: Any) -> np.ndarray:
        """Barycentric map of the source points.

        Parameters
        ----------
        Y : array-like of shape (m, d)
            Target points.

        Returns
        -------
        ndarray of shape (n, d)
            Mean of the points to which each source point's mass goes; NaN for points
            without mass.
        """
        C, a, _ = self._data("the barycentric map")
        Y = self._points(Y, "Y", C.shape[1])
        out = np.empty((C.shape[0], Y.shape[1]), dtype=np.result_type(C, Y))
        for part, log_plan in self._log_rows():
            block = np.exp(log_plan, out=log_plan)
            mass = np.where(a[part, None] > 0, block.sum(axis=1, keepdims=True), np.nan)
            out[part] = block @ Y / mass
        return out

    def b_to_a(self, X: Any) -> np.ndarray:
        """Barycentric map of the target points.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Source points.

        Returns
        -------
        ndarray of shape (m, d)
            Mean of the points from which each target point's mass comes; NaN for points
            without mass.
        """
        C, _, b = self._data("the barycentric map")
        X = self._points(X, "X", C.shape[0])
        total, mass = np.zeros((C.shape[1], X.shape[1])), np.zeros((C.shape[1], 1))
        for part, log_plan in self._log_rows():
            block = np.exp(log_plan, out=log_plan)
            total += block.T @ X[part]
            mass += block.sum(axis=0)[:, None]
        out = total / np.where(b[:, None] > 0, mass, np.nan)
        return out.astype(np.result_type(C, X), copy=False)

    @staticmethod
    def _points(points: Any, name: str, n: int) -> np.ndarray:
        points = as_matrix(points, name)
        if points.shape[0] != n:
            raise ValueError(
                f"The {name!r} array must have {n} rows, one for each point. "
                f"Got shape {points.shape}."
            )
        return points

    def plot(self, kind: str = "plan", ax: Any = None) -> Any:
        """Draw the plan or the convergence with matplotlib.

        Parameters
        ----------
        kind : {"plan", "convergence"}, default="plan"
            Entries of the plan as an image in logarithmic colours, or the marginal
            error and the regularisation over time.
        ax : matplotlib axes, optional
            Where to draw; a new figure if not given.

        Returns
        -------
        matplotlib axes
            What was drawn on.
        """
        from sparseopt.ot._plot import plot_convergence, plot_plan

        if kind not in ("plan", "convergence"):
            raise ValueError(
                f"The 'kind' parameter must be 'plan' or 'convergence'. Got {kind!r}."
            )
        return (plot_plan if kind == "plan" else plot_convergence)(self, ax)
