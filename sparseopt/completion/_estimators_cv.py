"""Matrix factorisation that chooses its rank and ridge itself."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from sparseopt._core._monitor import caller_level
from sparseopt._core._params import COMMON, Boolean, Interval, Options, check_params
from sparseopt._core._progress import write_line
from sparseopt._core._random import as_generator
from sparseopt._core._status import Status
from sparseopt._core._threads import blas_limit, effective_n_threads
from sparseopt.completion._cv import CVScores, Grid, default_alphas
from sparseopt.completion._estimators import MatrixFactorizer
from sparseopt.completion._input import own_entries
from sparseopt.completion._problem import Entries
from sparseopt.completion._scaling import Units, in_units, weighty
from sparseopt.completion._search import Search
from sparseopt.exceptions import ConvergenceWarning

_RANKS, _SMALLER = (5, 20, 40), (1, 2, 3)
_CONSTRAINTS: dict[str, Any] = {
    **COMMON,
    "n_alphas": [Interval(1, None, integer=True)],
    "n_refinements": [Interval(0, None, integer=True)],
    "biases": [Options("row", "col", "both"), None],
    "cv": [Interval(2, None, integer=True)],
    "one_standard_error": [Boolean],
    "cold_start": [Options("bias", "raise")],
}


class MatrixFactorizerCV(MatrixFactorizer):
    """Matrix factorisation with rank and ridge by cross-validation over the entries.

    All combinations are fitted to all but one of ``cv`` random parts of the ratings and
    judged by the error at that part; the best is fitted to all of them.

    Parameters
    ----------
    n_components : sequence of int, optional
        Ranks; if not given, 5, 20 and 40, or what the matrix allows, and 1, 2 and 3
        where the least of these predicts best.
    alpha : sequence of float, optional
        Ridges of the factors; if not given, `n_alphas` parts, from 0.8 to 0.25, of the
        smallest that leaves biases alone, for each of `reg`, and smaller ones while the
        smallest predicts best.
    n_alphas : int, default=8
        Number of ridges where `alpha` is not given.
    n_refinements : int, default=2
        How many times two more ridges are tried around the best, each time half as far
        from it on a log scale.  None where `alpha` is given or with
        `one_standard_error`.
    biases : {"row", "col", "both"} or None, default="both"
        As in `MatrixFactorizer`.
    reg : sequence of {"count", "frobenius"} or float, default=(0.25, 0.5)
        Powers of the number of entries that multiply the ridge.
    bias_reg : sequence of float or of pairs, default=(5.0,)
        Ridges of the biases; a pair is one for rows and one for columns.
    cv : int, default=5
        Number of parts.
    one_standard_error : bool, default=False
        Whether to take the smallest rank and then the largest ridge whose error is
        within a standard error of the lowest.
    cold_start : {"bias", "raise"}, default="bias"
        As in `MatrixFactorizer`.
    tol_obj : float, default=1e-5
        Relative decrease of the objective that ends the last fit.
    max_iter : int, default=500
        Iteration limit of the last fit.
    max_time : float, optional
        Time limit in seconds of search and last fit together, a quarter of it for the
        latter; points that were not reached have NaN for a score.
    dtype : {"float32", "float64"}, optional
        Type to convert ratings to.
    n_threads : int, optional
        OpenMP threads.
    n_jobs : int, optional
        Parts at the same time, through joblib; does not change the result.
    random_state : int, Generator, RandomState or None
        Of the parts and of starts.
    verbose : int, default=0
        1 or more: a line for each grid that was searched, and for the last fit as in
        `sparseopt.completion.complete`.

    Attributes
    ----------
    best_params_ : dict
        The chosen "n_components", "alpha", "reg" and "bias_reg".
    best_score_ : float
        Minus their root mean squared error at entries held out.
    cv_results_ : dict
        "params", and arrays "mean_test_score", "std_test_score" and
        "rank_test_score" of their length.
    row_factors_, col_factors_, row_bias_, col_bias_, intercept_, result_
        As in `MatrixFactorizer`.

    See Also
    --------
    sparseopt.completion.MatrixFactorizer : With given rank and ridge.

    Examples
    --------
    >>> from sparseopt.completion import MatrixFactorizerCV
    >>> from sparseopt.datasets import make_low_rank
    >>> X, *_ = make_low_rank(100, 80, 2, oversampling=8, noise=0.5, random_state=0)
    >>> model = MatrixFactorizerCV((1, 2), cv=2, n_alphas=3, random_state=0).fit(X)
    >>> model.best_params_["n_components"]
    2
    """

    loss, nonnegative = "squared", False  # what the search is for
    best_params_: dict[str, Any]
    # sequences, where the estimator without search has one of them
    alpha: Any
    reg: Any
    bias_reg: Any
    n_components: Any

    def __init__(
        self,
        n_components: Any = None,
        *,
        alpha: Any = None,
        n_alphas: int = 8,
        n_refinements: int = 2,
        biases: str | None = "both",
        reg: Any = (0.25, 0.5),
        bias_reg: Any = (5.0,),
        cv: int = 5,
        one_standard_error: bool = False,
        cold_start: str = "bias",
        tol_obj: float = 1e-5,
        max_iter: int = 500,
        max_time: float | None = None,
        dtype: Any = None,
        n_threads: int | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.alpha = alpha
        self.n_alphas = n_alphas
        self.n_refinements = n_refinements
        self.biases = biases
        self.reg = reg
        self.bias_reg = bias_reg
        self.cv = cv
        self.one_standard_error = one_standard_error
        self.cold_start = cold_start
        self.tol_obj = tol_obj
        self.max_iter = max_iter
        self.max_time = max_time
        self.dtype = dtype
        self.n_threads = n_threads
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def _fit(self, X: Any, shape: Any, weights: Any, duplicates: str) -> Self:
        check_params(type(self), _CONSTRAINTS, self.get_params(deep=False))
        entries = own_entries(
            X,
            weights=weights,
            dtype=self.dtype,
            shape=shape,
            duplicates=duplicates,
            n_threads=effective_n_threads(self.n_threads),
        )
        if self.cv > entries.n_entries:
            raise ValueError(
                "The 'cv' parameter of sparseopt.completion.MatrixFactorizerCV must be "
                f"at most the number of ratings, {entries.n_entries}. Got {self.cv}."
            )
        self._entries = entries
        seed = int(as_generator(self.random_state).integers(2**32))
        plain, units = in_units(weighty(entries)[0])
        unit = units.value
        search = Search(
            plain,
            self.cv,
            {"biases": self.biases, "units": units},
            seed,
            self.n_jobs,
            self.one_standard_error,
            math.inf if self.max_time is None else self.max_time,
            (lambda scores: self._show(scores, unit)) if self.verbose else None,
        )
        with blas_limit(1):
            search.run(
                self._grids(plain, units),
                open_ended=self.alpha is None,
                n_refinements=self.n_refinements,
                smaller=self._smaller(plain),
            )
        self._report(search, unit)
        best = MatrixFactorizer(
            biases=self.biases,
            tol_obj=self.tol_obj,
            max_iter=self.max_iter,
            max_time=None if self.max_time is None else max(search.left, 1e-9),
            n_threads=self.n_threads,
            random_state=seed,
            verbose=self.verbose,
            **self.best_params_,
        )
        result = best._fit(entries, None, None, "raise").result_
        if result.status is Status.INTERRUPTED:  # as within the search
            raise KeyboardInterrupt
        self.result_ = result
        self._unpack(self.result_)
        return self

    def _smaller(self, entries: Entries) -> tuple[int, ...]:
        """Ranks below those of the grids, where the caller gave none."""
        if self.n_components is not None:
            return ()
        least = min(_RANKS[0], *entries.shape)
        return tuple(k for k in _SMALLER if k < least)

    def _grids(self, entries: Entries, units: Units) -> list[Grid]:
        """A grid for each kind of ridge: their strengths do not compare."""
        least = min(entries.shape)
        ranks = tuple(sorted({min(k, least) for k in _RANKS}))
        if self.n_components is not None:
            ranks = _axis(self.n_components, "n_components", "ints", _is_int)
        regs = _axis(self.reg, "reg", "'count', 'frobenius' or floats", _is_power)
        if min(ranks) < 1 or max(ranks) > least:
            raise ValueError(
                "The 'n_components' parameter of MatrixFactorizerCV must hold ints in "
                f"[1, {least}] for X of shape {entries.shape}. "
                f"Got {self.n_components!r}."
            )
        biases = _axis(self.bias_reg, "bias_reg", "floats or pairs of them", _is_ridge)
        grids = []
        for reg in regs:
            options = {
                "reg": reg, "biases": self.biases, "bias_reg": biases[0],
                "units": units,
            }  # fmt: skip
            alphas = self.alpha
            if alphas is None:
                alphas = default_alphas(entries, options, self.n_alphas)
            else:
                alphas = _axis(alphas, "alpha", "floats in [0, inf)", _is_float)
            grids.append(Grid((reg,), biases, ranks, tuple(float(a) for a in alphas)))
        return grids

    def _report(self, search: Search, unit: float) -> None:
        searches, best = search.found, search.best
        scored = best.best_index is not None
        if not scored and self.max_time is None:
            raise ValueError("No point of the grid has a finite held-out error.")
        if self.max_time is not None and not search.complete:
            chosen = "the best of those scored" if scored else "the first one"
            warnings.warn(
                f"The search of {type(self).__name__} reached max_time="
                f"{self.max_time:g} before every point was scored; {chosen} is fitted. "
                "To change that, increase max_time or search fewer points.",
                ConvergenceWarning,
                stacklevel=caller_level(),
            )
        self.best_params_ = best.best if scored else best.grid.point((0, 0, 0, 0))
        self.best_score_ = -best.error * unit if scored else math.nan
        rmse = np.concatenate([s.mean.ravel() for s in searches]) * unit
        parts = np.concatenate([s.rmse.reshape(-1, self.cv) for s in searches])
        self.cv_results_ = {
            "params": [p for s in searches for p in s.grid.points()],
            "mean_test_score": -rmse,
            "std_test_score": parts.std(axis=1) * unit,
            "rank_test_score": rmse.argsort(kind="stable").argsort(kind="stable") + 1,
        }

    def _show(self, scores: CVScores, unit: float) -> None:
        best = "time is over"
        if scores.best_index is not None:
            point = ", ".join(
                f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
                for name, value in scores.best.items()
            )
            best = f"RMSE {scores.error * unit:.6g} at {point}"
        n_points = math.prod(scores.grid.shape)
        write_line(f"{type(self).__name__}: best of {n_points} points: {best}")

    def _ridge_options(self) -> dict[str, Any]:
        names = ("reg", "bias_reg")
        return {"biases": self.biases, **{n: self.best_params_[n] for n in names}}


def _axis(values: Any, name: str, allowed: str, good: Callable[[Any], bool]) -> tuple:
    """The caller's values of one parameter of the grid; one of them is a grid too."""
    axis = (values,) if isinstance(values, str) or np.ndim(values) == 0 else values
    axis = tuple(axis)
    if not axis or not all(good(value) for value in axis):
        raise ValueError(
            f"The {name!r} parameter of sparseopt.completion.MatrixFactorizerCV must "
            f"hold {allowed}, at least one. Got {values!r}."
        )
    return axis


def _is_int(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _is_float(value: Any) -> bool:
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return number and 0 <= value < math.inf


def _is_power(value: Any) -> bool:
    return value in ("count", "frobenius") or (_is_float(value) and value <= 1)


def _is_ridge(value: Any) -> bool:
    pair = value if isinstance(value, (tuple, list)) and len(value) == 2 else (value,)
    return all(map(_is_float, pair))
