"""Transport as a scikit-learn transformer."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from sparseopt._core._arrays import as_distribution
from sparseopt._core._monitor import caller_level
from sparseopt._core._params import Boolean, Interval, Options, check_params
from sparseopt.ot._api import solve
from sparseopt.ot._labels import encoded, groups

_METRICS = ("sqeuclidean", "euclidean", "cityblock")
_CHUNK = 4_000_000


class SinkhornTransport(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Move samples onto a target distribution by entropic optimal transport.

    Fits a transport plan between source and target samples and maps points by
    barycentres: training points by their row of the plan, new points by the same
    formula with weights from the target's potentials.  For domain adaptation: train a
    classifier on the transported source, use it on the target.

    Parameters
    ----------
    reg : float, default=1e-2
        Entropic regularisation, in units of the cost after `norm`.
    metric : {"sqeuclidean", "euclidean", "cityblock"}, default="sqeuclidean"
        Cost between a source and a target sample.
    method : {"auto", "sns", "ssns", "sinkhorn"}, default="auto"
        Solver, as in `sparseopt.ot.solve`.
    norm : {"max", "median"} or None, default="max"
        Statistic of the cost that it is divided by.
    out_of_sample : {"softmin", "nearest", "identity"}, default="softmin"
        Map of points that were not fitted: weights ``exp((g_j - c(x, y_j)) / reg)``,
        the displacement of the nearest fitted point, or none.  "identity" is for a
        pipeline that is fitted on the source and then predicts for the target, whose
        points must not be moved.
    limit_max : float or None, default=10.0
        Cost, in multiples of the largest, between samples whose labels both are known
        and differ; None ignores labels.  Only used when `fit` gets `yt`.
    tol : float, optional
        Marginal error; 1e-9, or 1e-5 for float32 samples.
    max_iter : int, optional
        Iteration limit.
    max_time : float, optional
        Time limit in seconds.
    verbose : int, default=0
        As in `sparseopt.ot.solve`.
    callback : callable, optional
        As in `sparseopt.ot.solve`.
    n_threads : int, optional
        OpenMP threads.

    Attributes
    ----------
    coupling_ : ndarray of shape (n_source, n_target)
        Transport plan.
    potentials_ : tuple of ndarray
        Dual potentials (f, g) in units of `cost_`.
    cost_ : ndarray of shape (n_source, n_target)
        Cost that was solved, after `norm`.
    mu_s_, mu_t_ : ndarray
        Masses of the samples.
    Xs_, Xt_ : ndarray
        Copies of the samples.
    scale_ : float
        What the cost was divided by.
    n_iter_ : int
        Iterations of the solver.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if the source had some.
    result_ : OTResult
        Result of the solver with its certificate.

    See Also
    --------
    sparseopt.ot.solve : The solver, for any cost and masses.

    Notes
    -----
    The cost is dense, n_source * n_target numbers.  Without a target `fit` warns and
    transports the source to itself.  Not for samples on very different scales by
    feature: scale them first.

    Fitted points are recognised one by one, and equal ones have one image, so that the
    image of a point does not depend on what else is transformed.

    With metadata routing `Xt`, `yt`, `mu_s` and `mu_t` are requested by
    `set_fit_request`; ``Pipeline(..., transform_input=["Xt"])`` has the steps before
    this one transform the target too.

    References
    ----------
    .. [1] N. Courty, R. Flamary, D. Tuia, A. Rakotomamonjy, "Optimal Transport for
       Domain Adaptation", IEEE TPAMI 2017, Sections 4 and 5.
    .. [2] A.-A. Pooladian, J. Niles-Weed, "Entropic estimation of optimal transport
       maps", arXiv:2109.12004, Section 3: the map of new points.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.ot import SinkhornTransport
    >>> rng = np.random.default_rng(0)
    >>> Xs = rng.normal(size=(40, 2))
    >>> Xt = Xs + [3.0, 0.0]
    >>> moved = SinkhornTransport(reg=1e-3).fit(Xs, Xt=Xt).transform(Xs)
    >>> bool(np.abs(moved - Xt).max() < 0.5)
    True
    """

    def __init__(
        self,
        reg: float = 1e-2,
        *,
        metric: str = "sqeuclidean",
        method: str = "auto",
        norm: str | None = "max",
        out_of_sample: str = "softmin",
        limit_max: float | None = 10.0,
        tol: float | None = None,
        max_iter: int | None = None,
        max_time: float | None = None,
        verbose: int = 0,
        callback: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self.reg = reg
        self.metric = metric
        self.method = method
        self.norm = norm
        self.out_of_sample = out_of_sample
        self.limit_max = limit_max
        self.tol = tol
        self.max_iter = max_iter
        self.max_time = max_time
        self.verbose = verbose
        self.callback = callback
        self.n_threads = n_threads

    # by their names scikit-learn would take them for data that is never routed
    __metadata_request__fit = {"Xt": None, "yt": None}  # noqa: RUF012

    def fit(
        self, X: Any, y: Any = None, Xt: Any = None, yt: Any = None,
        *, mu_s: Any = None, mu_t: Any = None,
    ) -> SinkhornTransport:  # fmt: skip
        """Fit the plan from source to target.

        Parameters
        ----------
        X : array-like of shape (n_source, n_features)
            Source samples.
        y : array-like of shape (n_source,), optional
            Labels of the source; used only with `yt`.  Two-dimensional and without `Xt`
            it is taken for the target samples: ``fit(X, Xt)``.
        Xt : array-like of shape (n_target, n_features), optional
            Target samples; the source if not given, with a warning.
        yt : array-like of shape (n_target,), optional
            Labels of the target: transport between different known labels is made
            expensive.  None and NaN are unknown labels, in `y` too, and so is -1 unless
            it is a label in `y`.
        mu_s, mu_t : array-like, optional
            Masses of the samples, uniform if not given.

        Returns
        -------
        SinkhornTransport
            The fitted estimator.

        Raises
        ------
        ValueError
            For bad samples, masses or labels, continuous ones among them; for a median
            of zero with ``norm="median"``.

        Warns
        -----
        UserWarning
            If there is no target.
        """
        check_params(type(self), _CONSTRAINTS, self.get_params(deep=False))
        kinds = [np.float64, np.float32]
        Xs = validate_data(self, X, dtype=kinds)
        if Xt is None and np.asarray(y).ndim == 2:
            Xt, y = y, None
        if Xt is None:
            warnings.warn(
                "SinkhornTransport.fit got no target 'Xt' and transports the source to "
                "itself. In a pipeline the target is passed as STEP__Xt=Xt, or routed "
                "after set_fit_request(Xt=True).",
                UserWarning,
                stacklevel=caller_level(),
            )
        Xt = Xs if Xt is None else self._check(Xt, "Xt", Xs.dtype)
        mu_s = as_distribution(mu_s, Xs.shape[0], "mu_s")
        mu_t = as_distribution(mu_t, Xt.shape[0], "mu_t")
        cost = self._distances(Xs, Xt)
        # a scale of zero: all points coincide and any plan is optimal
        self.scale_ = self._scale(cost) or 1.0
        cost /= self.scale_
        self._limited = self._penalise(cost, y, yt)
        result = solve(
            cost, mu_s, mu_t, self.reg, method=self.method, tol=self.tol,
            max_iter=self.max_iter, max_time=self.max_time, verbose=self.verbose,
            callback=self.callback, n_threads=self.n_threads,
        )  # fmt: skip
        self.result_, self.cost_ = result, cost
        self.coupling_, self.potentials_ = result.plan, result.potentials
        self.mu_s_, self.mu_t_ = self.coupling_.sum(axis=1), self.coupling_.sum(axis=0)
        self.n_iter_ = result.n_iter
        self.Xs_, self.Xt_ = Xs.copy(), Xt.copy()
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Map source points into the target.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Points of the source domain, fitted or new.

        Returns
        -------
        ndarray of shape (n, n_features)
            Barycentric images.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        images = partial(self.result_.a_to_b, self.Xt_)
        source, target = (self.Xs_, self.mu_s_), (self.Xt_, self.mu_t_)
        return self._map(X, source, target, self.potentials_[1], images)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Map target points into the source.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Points of the target domain, fitted or new.

        Returns
        -------
        ndarray of shape (n, n_features)
            Barycentric images.
        """
        check_is_fitted(self)
        X = self._check(X, "X", self.Xt_.dtype)
        images = partial(self.result_.b_to_a, self.Xs_)
        source, target = (self.Xs_, self.mu_s_), (self.Xt_, self.mu_t_)
        return self._map(X, target, source, self.potentials_[0], images)

    def transform_labels(self, ys: Any) -> np.ndarray:
        """Give target points the label that sends them most mass.

        Parameters
        ----------
        ys : array-like of shape (n_source,)
            Labels of the fitted source.

        Returns
        -------
        ndarray of shape (n_target,)
            For each target point the label that sends it most mass, or would send it
            most if the point had some.
        """
        check_is_fitted(self)
        ys = check_array(ys, ensure_2d=False, dtype=None)
        if ys.shape != (self.Xs_.shape[0],):
            raise ValueError(
                f"The 'ys' array must have length {self.Xs_.shape[0]}, one label for "
                f"each source sample. Got shape {ys.shape}."
            )
        classes, index = np.unique(ys, return_inverse=True)
        plan, empty = self.coupling_, self.mu_t_ == 0
        if empty.any():
            keep = self.mu_s_ > 0
            logits = self.potentials_[0][keep, None] - self.cost_[np.ix_(keep, empty)]
            logits -= logits.max(axis=0)
            plan = plan.copy()
            plan[np.ix_(keep, empty)] = np.exp(logits / self.result_.reg)
        votes = np.zeros((len(classes), self.Xt_.shape[0]))
        np.add.at(votes, index, plan)
        return classes[votes.argmax(axis=0)]

    def _scale(self, cost: np.ndarray) -> float:
        if self.norm is None:
            return 1.0
        scale = float(np.max(cost) if self.norm == "max" else np.median(cost))
        if scale == 0 and cost.any():
            raise ValueError(
                "With norm='median' the median distance must be positive. Got 0, since "
                "most samples of source and target coincide; use norm='max'."
            )
        return scale

    def _check(self, X: Any, name: str, dtype: Any) -> np.ndarray:
        array = check_array(X, dtype=dtype, input_name=name)
        if array.shape[1] != self.n_features_in_:
            raise ValueError(
                f"The {name!r} array must have {self.n_features_in_} features, as the "
                f"source has. Got {array.shape[1]}."
            )
        validate_data(self, X, skip_check_array=True, reset=False)  # names of columns
        return array

    def _distances(self, X: np.ndarray, Y: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            cost = cdist(X, Y, self.metric).astype(X.dtype, copy=False)
        if not np.isfinite(cost.sum()) and not np.isfinite(cost).all():
            raise ValueError(
                f"The {self.metric!r} distances between the samples overflow; "
                "scale the features."
            )
        return cost

    def _penalise(self, cost: np.ndarray, y: Any, yt: Any) -> bool:
        if y is None and yt is not None:
            raise ValueError("Labels 'yt' of the target need labels 'y' of the source.")
        if yt is None or self.limit_max is None:
            return False
        y, yt = encoded(y, yt, cost.shape)
        differ = (y[:, None] != yt) & (y[:, None] >= 0) & (yt >= 0)
        cost[differ] = self.limit_max * cost.max()
        return True

    def _map(
        self,
        X: np.ndarray,
        fitted: tuple[np.ndarray, np.ndarray],
        other: tuple[np.ndarray, np.ndarray],
        potential: np.ndarray,
        images: Callable[[], np.ndarray],
    ) -> np.ndarray:
        """Images of points of the side of `fitted` in the other one."""
        (points, mass), (others, other_mass) = fitted, other
        if self.out_of_sample == "nearest":
            return self._nearest(X, points, images())
        if self.out_of_sample == "identity":
            return self._mapped(X.copy(), X, points, mass, images())
        out = self._softmin(X, others, potential, other_mass, others)
        # the plan knows the labels, of which the map knows nothing
        return self._mapped(out, X, points, mass, images()) if self._limited else out

    @staticmethod
    def _mapped(
        out: np.ndarray,
        X: np.ndarray,
        fitted: np.ndarray,
        mass: np.ndarray,
        images: np.ndarray,
    ) -> np.ndarray:
        """`out`, but images by the plan for points that are fitted and have mass."""
        group, index = groups(fitted, X)
        keep = mass > 0
        total = np.bincount(group, weights=mass)
        sums = np.zeros((len(total), images.shape[1]))
        np.add.at(sums, group[keep], mass[keep, None] * images[keep])
        known = (index >= 0) & (total[index] > 0)
        out[known] = sums[index[known]] / total[index[known], None]
        return out

    def _softmin(
        self,
        X: np.ndarray,
        points: np.ndarray,
        potential: np.ndarray,
        mass: np.ndarray,
        images: np.ndarray,
    ) -> np.ndarray:
        """Weights ``softmax_j((g_j - c(x, y_j)) / reg)`` over points with mass."""
        out = np.empty((X.shape[0], images.shape[1]), dtype=X.dtype)
        keep = mass > 0
        points, images, potential = points[keep], images[keep], potential[keep]
        step = max(1, _CHUNK // len(points))
        for start in range(0, X.shape[0], step):
            part = slice(start, start + step)
            logits = potential - self._distances(X[part], points) / self.scale_
            logits -= logits.max(axis=1, keepdims=True)
            weights = np.exp(logits / self.result_.reg)
            weights /= weights.sum(axis=1, keepdims=True)
            out[part] = weights @ images
        return out

    def _nearest(
        self, X: np.ndarray, fitted: np.ndarray, images: np.ndarray
    ) -> np.ndarray:
        known = np.isfinite(images).all(axis=1)
        fitted, images = fitted[known], images[known]
        nearest = self._distances(X, fitted).argmin(axis=1)
        return (X + images[nearest] - fitted[nearest]).astype(X.dtype, copy=False)


_CONSTRAINTS: dict[str, list[Any]] = {
    "reg": [Interval(0, None, closed="neither")],
    "metric": [Options(*_METRICS)],
    "norm": [Options("max", "median"), None],
    "out_of_sample": [Options("softmin", "nearest", "identity")],
    "limit_max": [Interval(0, None, closed="neither"), None],
    "verbose": [Interval(0, None, integer=True), Boolean],
}
