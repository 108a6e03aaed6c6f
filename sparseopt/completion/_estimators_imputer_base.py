"""What `LowRankImputer` does with its table: standardise, fit a model, fill rows."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from sparseopt._core._monitor import Monitor
from sparseopt._core._random import as_generator
from sparseopt._core._threads import blas_limit, effective_n_threads
from sparseopt.completion._api import complete
from sparseopt.completion._result import CompletionResult
from sparseopt.completion._result_gaussian import GaussianResult
from sparseopt.completion._table_factors import FactorTable, fit_factors
from sparseopt.completion._table_gaussian import GaussianTable, fit_table
from sparseopt.completion._table_scales import standards

_RANK = 10
# Columns up to which a Gaussian has its full covariance matrix: any number of them, or
# so many for each row.
_COLUMNS, _SHARE = 300, 0.25
# Of what missing entries have left to go, where the prior is chosen, and where it is
# given.
_TOL = {"auto": 0.1, "given": 1e-4}
# Of an iteration, for each entry and column.
_SECONDS = 5e-10

own = np.ascontiguousarray


class TableModel(TransformerMixin, BaseEstimator):
    """Fits and fills; parameters are those of `LowRankImputer`."""

    _full: np.ndarray
    _table: GaussianTable | FactorTable
    _seed: int | None
    result_: GaussianResult | CompletionResult

    def _is_gaussian(self, shape: tuple[int, int]) -> bool:
        k = self.n_components
        if k not in (None, "auto") and k > min(shape):
            raise ValueError(
                "The 'n_components' parameter of sparseopt.completion.LowRankImputer "
                f"must be at most {min(shape)} for X of shape {shape}. "
                f"Got {k}."
            )
        few = shape[1] <= max(_COLUMNS, _SHARE * shape[0])
        if few and (k is None or self.alpha == "auto"):
            return True
        if self.sample_posterior:
            raise ValueError(
                "The 'sample_posterior' parameter of "
                "sparseopt.completion.LowRankImputer needs the Gaussian model: "
                "alpha='auto' or n_components=None, and at most 300 columns or four "
                f"rows for each. Got alpha={self.alpha!r}, n_components={k!r} and X "
                f"of shape {shape}."
            )
        return False

    def _standardise(self, X: np.ndarray, seen: np.ndarray, w: np.ndarray) -> None:
        """Location and scale that the model starts from."""
        n = X.shape[1]
        self._centre, self._unit = np.zeros(n), np.ones(n)
        constant = np.zeros(n, dtype=bool)
        if self.standardize:
            self._centre, self._unit, constant = standards(
                X, seen, w, self.loss == "huber"
            )
        # columns that vary; one at least
        self._live = self._full & ~constant
        if not self._live.any():
            self._live = self._full
        self.mean_ = self._centre.astype(X.dtype)
        self.scale_ = self._unit.astype(X.dtype)

    def _standard(self, X: np.ndarray, seen: np.ndarray, dtype: Any) -> np.ndarray:
        """Standardised columns of the model, zero where nothing is seen."""
        live = self._live
        Z = np.where(seen[:, live], X[:, live], 0).astype(dtype, order="C", copy=False)
        Z -= self._centre[live].astype(dtype)
        Z /= self._unit[live].astype(dtype)
        Z[~seen[:, live]] = 0
        return Z

    def _fit_gaussian(self, X: np.ndarray, seen: np.ndarray, w: np.ndarray) -> None:
        live = self._live
        Z, seen = self._standard(X, seen, np.float64), own(seen[:, live])
        n, p = Z.shape
        unit = 1.0
        if not self.standardize:  # relative to one scale for all of them
            unit = math.sqrt(
                float(w @ np.square(Z).sum(axis=1)) / float(w @ seen.sum(1))
            )
            unit = unit or 1.0
            Z /= unit
        tol = self.tol or _TOL["auto" if self.alpha == "auto" else "given"]
        rng = as_generator(self.random_state) if self.sample_posterior else None
        threads = effective_n_threads(self.n_threads, _SECONDS * n * p * p)
        monitor = Monitor(
            "completion.LowRankImputer",
            tol=tol,
            max_iter=self.max_iter,
            max_time=self.max_time,
            verbose=self.verbose,
            callback=self.callback,
            fields=("ridge",),
        )
        with monitor, blas_limit(1):
            fitted = fit_table(
                Z, seen, w, alpha=self.alpha, tol=tol,
                rank=self.n_components, centre=self.standardize,
                robust=self.loss == "huber", n_neighbors=self.n_neighbors, rng=rng,
                monitor=monitor, n_threads=threads,
            )  # fmt: skip
            monitor.finish(fitted.fit.status)
        if rng is not None:
            self._seed = int(rng.integers(2**62))
        self._table = fitted
        self._model_unit = unit
        self._tell_gaussian(fitted, monitor, float(np.count_nonzero(w)))

    def _tell_gaussian(self, fitted: Any, monitor: Monitor, n: float) -> None:
        live, unit = self._live, self._model_unit
        model, fit = fitted.model, fitted.fit
        spread = np.sqrt(model.cov.diagonal())
        self.mean_[live] += self._unit[live] * unit * model.mean
        self.scale_[live] = self._unit[live] * unit * spread
        correlation = model.cov / np.outer(spread, spread)
        values, vectors = np.linalg.eigh(correlation)
        k = len(values) if model.rank is None else min(model.rank, len(values))
        self.components_ = np.zeros((k, len(live)), self.mean_.dtype)
        self.components_[:, live] = vectors.T[::-1][:k]
        self.singular_values_ = np.sqrt(n * np.maximum(values[::-1][:k], 0))
        share = fitted.neighbours.share if fitted.neighbours else np.zeros(len(values))
        mask = None
        if fitted.believed is not None:
            mask = fitted.seen & ~fitted.believed
        self.result_ = GaussianResult(
            mean=self.mean_[live].copy(),
            scale=self.scale_[live].copy(),
            correlation=correlation,
            columns=np.flatnonzero(live),
            alpha=model.alpha,
            neighbor_share=share,
            outlier_mask=mask,
            status=fit.status,
            n_iter=fit.n_iter,
            objective=fit.objective,
            residual=fit.residual,
            history=monitor.history(),
            elapsed=monitor.elapsed,
        )
        self.alpha_, self.n_iter_ = model.alpha, fit.n_iter
        self.residual_ = fit.residual
        monitor.warn_if_not_converged(fit.status, fit.residual)

    def _fit_factors(
        self, X: np.ndarray, seen: np.ndarray, w: np.ndarray | None
    ) -> None:
        self._live = self._full
        Z, seen = self._standard(X, seen, X.dtype), seen[:, self._full]
        if w is not None:
            Z, seen, w = Z[w > 0], seen[w > 0], w[w > 0]
        solve = partial(
            complete,
            loss=self.loss,
            tol=self.tol,
            max_iter=self.max_iter,
            max_time=self.max_time,
            n_threads=self.n_threads,
            random_state=self.random_state,
            callback=self.callback,
            verbose=self.verbose,
        )
        rank = self.n_components
        if rank is None:
            rank = min(_RANK, *Z.shape)
        self._table = fit_factors(
            Z, seen, w, rank, solve, self.alpha,
            centre=self.standardize, robust=self.loss == "huber",
        )  # fmt: skip
        self._model_unit = 1.0
        r = self.result_ = self._table.result
        self.components_ = np.zeros((len(r.s), X.shape[1]), X.dtype)
        self.components_[:, self._full] = r.V[: int(self._full.sum())].T
        self.singular_values_ = r.s
        self.mean_[self._full] += self._unit[self._full] * self._table.mean
        self.alpha_, self.n_iter_, self.residual_ = r.alpha, r.n_iter, r.residual

    def _filled(
        self, X: np.ndarray, seen: np.ndarray, rng: np.random.Generator | None
    ) -> np.ndarray:
        """Rows with values of the model in place of what they miss."""
        live, unit = self._live, self._model_unit
        gaussian = isinstance(self.result_, GaussianResult)
        Z = self._standard(X, seen, np.float64 if gaussian else X.dtype)
        Z = self._table.fill(Z / unit, own(seen[:, live]), rng)
        out = np.where(self._full, np.nan_to_num(self.mean_), 0)
        out = np.repeat(out[None].astype(X.dtype), len(X), axis=0)
        out[:, live] = Z * (unit * self._unit[live]) + self._centre[live]
        np.clip(out, *self._bounds, out=out, where=self._full)
        return out
