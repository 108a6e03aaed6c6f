"""Proportional hazards: the partial likelihood of survival times."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import xlogy

from sparseopt._core._arrays import as_floats, as_vector, check_finite
from sparseopt._core._params import Options, check_params
from sparseopt.linear_model import _cox
from sparseopt.linear_model._datafit import Datafit

# Rounding of sums of targets, relative: what a constraint may be violated by.
_SLACK = 1e-13


class Cox(Datafit):
    """Negative log partial likelihood of survival times.

    ``F(z) = sum_i s_i d_i [log(sum_j s_j exp(z_j)) - z_i - log(s_i)]``, the inner sum
    over all j of the same stratum still at risk at the time of event i, ``t_j >= t_i``.
    With equal weights that is the partial likelihood divided by the number of samples.
    That is Breslow's form, in which all who die at one time are at risk at each of
    their deaths; in Efron's they leave one by one, in unknown order: in the l-th of m
    terms they count as ``1 - (l - 1) / m``.

    Parameters
    ----------
    X : array-like, sparse matrix or LinearOperator of shape (n, p)
        Samples; never modified, sparse ones never made dense as a whole.
    y : array-like of shape (n, 2), or structured array of shape (n,)
        Time, not negative, and whether it is that of an event (1) or of the end of
        observation (0).  A structured array has one boolean field and one of times, in
        any order.
    sample_weight : array-like of shape (n,), optional
        Weights of the samples, not negative; they are divided by their sum.
    fit_intercept : bool, default=False
        Must be False: the likelihood does not depend on an intercept.
    ties : {"breslow", "efron"}, default="breslow"
        Form of the likelihood where events have the same time.  With weights, terms of
        Efron's form have the mean weight of those who die, as in R's survival.
    strata : array-like of shape (n,), optional
        Labels of strata, each of which has a baseline hazard of its own: only samples
        of one stratum are compared.

    Attributes
    ----------
    time : ndarray of shape (n,)
        Times.
    event : ndarray of bool of shape (n,)
        Whether they are those of events.
    strata : ndarray of int64 of shape (n,)
        Positions of the samples' strata in `strata_labels`.
    strata_labels : ndarray
        The strata, sorted; one without a name where none are given.
    event_times, event_strata : ndarray of shape (n_times,)
        Distinct times of events in each stratum, and the stratum's position.

    Notes
    -----
    All methods cost O(n) after one sort.  `hessian` is the diagonal without the
    negative rank-one terms, an upper bound of the second derivative, which
    `curvature_matrix` has.  The conjugate is closed for Breslow's form: with
    ``mu = theta + s d``, and over the distinct event times k the sums
    ``d_k`` of weights of events, ``M_k`` of mu from time k to the next,
    ``r_k = sum_{i <= k} (d_i - M_i)`` and ``m_k = r_k + M_k``, it is
    ``sum mu log(mu / s) + sum_k (r_k log r_k - m_k log m_k) + sum s d log s``,
    finite where all mu and r are not negative, mu is 0 before the first event, and the
    last r is 0.  For Efron's the share of those who die at an event time is the root of
    one monotone equation each; strata add up.

    References
    ----------
    .. [1] D. R. Cox, "Regression Models and Life-Tables", JRSS B 34, 1972, Section 5.
    .. [2] N. Breslow, "Covariance Analysis of Censored Survival Data", Biometrics 30,
       1974, Section 3.
    .. [3] B. Efron, "The Efficiency of Cox's Likelihood Function for Censored Data",
       Journal of the American Statistical Association 72, 1977, Section 6.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import Cox
    >>> datafit = Cox([[1.0], [2.0]], [[3.0, 1], [5.0, 0]])
    >>> bool(np.isclose(datafit.value(np.zeros(2)), np.log(2) / 2))
    True
    """

    has_hessian = False
    is_coupled = True

    def __init__(
        self,
        X: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        fit_intercept: bool = False,
        ties: str = "breslow",
        strata: Any = None,
    ) -> None:
        if fit_intercept:
            raise ValueError(
                "The 'fit_intercept' parameter of sparseopt.linear_model.Cox must be "
                "False: the partial likelihood does not depend on an intercept. "
                "Got True."
            )
        check_params(
            type(self), {"ties": [Options("breslow", "efron")]}, {"ties": ties}
        )
        self.ties, self._given_strata = ties, strata
        super().__init__(X, y, sample_weight=sample_weight)

    def _targets(self, y: Any) -> np.ndarray:
        n = self.design.n
        self.time, self.event = _survival(y, n)
        self.strata_labels, self.strata = _strata(self._given_strata, n)
        del self._given_strata
        happened = self.event & (self.s > 0)
        if not happened.any():
            raise ValueError(
                "The 'y' array must hold an event with a positive weight for Cox. "
                "Got none."
            )
        # by stratum and time; everyone from start[k] on is at risk at the k-th event
        self._order = order = np.lexsort((self.time, self.strata))
        self._stratum = stratum = self.strata[order]
        self._dead = happened[order].astype(np.uint8)
        new = np.r_[True, (np.diff(self.time[order]) != 0) | (np.diff(stratum) != 0)]
        group = np.cumsum(new) - 1  # samples of one time
        deaths = np.bincount(group, self._dead)
        kept = deaths > 0
        self._start = np.flatnonzero(new)[kept]
        self.event_times = self.time[order][self._start]
        self.event_strata = stratum[self._start]
        self._first = np.r_[True, np.diff(stratum[self._start]) != 0].astype(np.uint8)
        passed = (np.cumsum(kept) - 1)[group]
        known = passed >= 0
        known[known] = stratum[self._start][passed[known]] == stratum[known]
        self._last = np.where(known, passed, -1)
        weights = (self.s * happened)[order]
        total = np.bincount(group, weights)[kept]
        efron = self.ties == "efron"
        self._steps = (
            deaths[kept].astype(np.int64) if efron else np.ones(total.size, int)
        )
        self._weight = total / self._steps
        self._base = float(xlogy(weights, weights).sum())
        return np.stack([self.time, self.event.astype(np.float64)], axis=1)

    def _terms(self, z: np.ndarray) -> np.ndarray:
        """Logarithm of ``s exp(z)`` in the order of the samples."""
        with np.errstate(divide="ignore"):
            return np.log(self.s[self._order]) + z[self._order]

    def _risks(self, terms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logarithms of the risk sums, and the shares of the dead in them."""
        logs, share = np.empty(self._start.size), np.empty(self._start.size)
        _cox.risk_sums(terms, self._stratum, self._dead, self._start, logs, share)
        return logs, share

    def value(self, z: np.ndarray) -> float:
        total = _cox.log_value(*self._risks(self._terms(z)), self._weight, self._steps)
        return total - float((self.s * self.event) @ z) - self._base

    def log_hazards(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute logarithms of the cumulative baseline hazards at event times.

        Parameters
        ----------
        z : ndarray of shape (n,)
            Predictions.

        Returns
        -------
        hazards : ndarray of shape (n_times,)
            Those of samples that survive it, by stratum and time.
        of_dead : ndarray of shape (n_times,)
            Those that count for samples that die then.
        """
        return self._log_hazards(self._terms(z))

    def _log_hazards(self, terms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        hazard, of_dead = np.empty(self._start.size), np.empty(self._start.size)
        some = (self._weight, self._steps, self._first, hazard, of_dead)
        _cox.cumulative(*self._risks(terms), *some)
        return hazard, of_dead

    def _hazards(self, terms: np.ndarray) -> np.ndarray:
        """``s exp(z)`` times the hazard until each time, sorted as the samples are."""
        hazard, of_dead = self._log_hazards(terms)
        # nothing has happened before the first event, at the place of the last
        known = np.append(hazard, -math.inf)[self._last]
        return np.exp(terms + np.where(self._dead, of_dead[self._last], known))

    def hessian(self, z: np.ndarray) -> np.ndarray:
        out = np.empty_like(z)
        out[self._order] = self._hazards(self._terms(z))
        return out

    def gradient(self, z: np.ndarray) -> np.ndarray:
        return self.hessian(z) - self.s * self.event

    def curvature_matrix(self, z: np.ndarray, A: Any) -> np.ndarray:
        rows = A[self._order]
        rows = rows.toarray() if sparse.issparse(rows) else rows
        rows = np.array(rows, dtype=np.float64, order="C")
        terms = self._terms(z)
        hazard = self._hazards(terms)
        # constants of a stratum have no curvature, and would cost digits
        starts = np.flatnonzero(np.r_[True, np.diff(self._stratum) != 0])
        sizes = np.diff(np.r_[starts, len(rows)])
        total = np.add.reduceat(hazard, starts)
        total[total == 0.0] = 1.0
        mean = np.add.reduceat(hazard[:, None] * rows, starts) / total[:, None]
        rows -= np.repeat(mean, sizes, axis=0)
        M = np.empty((int(self._steps.sum()), rows.shape[1]))
        _cox.risk_means(
            terms,
            self._stratum,
            self._dead,
            self._start,
            self._weight,
            self._steps,
            rows,
            np.empty((2, rows.shape[1])),
            M,
        )
        rows *= np.sqrt(hazard)[:, None]
        return rows.T @ rows - M.T @ M

    def invariants(self) -> Any:
        n = self.design.n
        triple = np.ones(n), self.strata, np.arange(n + 1)
        return sparse.csr_array(triple, shape=(n, len(self.strata_labels)))

    def conjugate(self, theta: np.ndarray) -> float:
        mu = theta + self.s * self.event
        slack = _SLACK * float(self._weight @ self._steps)
        if np.any(theta[self.s == 0]) or mu.min() < -slack:
            return math.inf
        mu = np.maximum(mu, 0.0)[self._order]
        known, dead = self._last >= 0, self._dead.astype(bool)
        if np.any(mu[~known]):
            return math.inf
        s = self.s[self._order]
        # the place behind the last is that of those who left before any event
        n_times = self._start.size
        left = np.bincount(self._last % (n_times + 1), mu * ~dead, n_times + 1)[:-1]
        died = np.bincount(self._last % (n_times + 1), mu * dead, n_times + 1)[:-1]
        rest = _cox.conjugate_terms(
            left, died, self._weight, self._steps, self._first, slack
        )
        return float(xlogy(mu, mu).sum() - xlogy(mu, s).sum()) + rest + self._base

    def lipschitz(self) -> float:
        return self.design.square_norm(self.hessian(np.zeros(self.design.n)))


def _strata(labels: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Distinct labels of strata, and the positions of the samples' labels in them."""
    if labels is None:
        return np.zeros(1, dtype=np.int64), np.zeros(n, dtype=np.int64)
    array = np.asarray(labels)
    if array.shape != (n,):
        raise ValueError(
            f"The 'strata' array must have shape ({n},). Got {array.shape}."
        )
    if array.dtype.kind == "f":
        check_finite(array, "strata")
    known, places = np.unique(array, return_inverse=True)
    return known, places.astype(np.int64)


def _survival(y: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Times and events of a survival target."""
    time, event = _columns(y, n)
    if time.min() < 0:
        row = int(time.argmin())
        raise ValueError(
            "The 'y' array must hold times that are not negative. "
            f"Got {time[row]:.6g} in row {row}."
        )
    return time, event


def _columns(y: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The two columns of a survival target."""
    array = np.asarray(y)
    if array.dtype.names is not None:
        names = array.dtype.names
        flags = [name for name in names if array.dtype[name].kind == "b"]
        if len(names) != 2 or len(flags) != 1 or array.shape != (n,):
            raise ValueError(
                f"The structured 'y' array must have shape ({n},), a boolean field and "
                f"one of times. Got shape {array.shape} and {array.dtype}."
            )
        (other,) = (name for name in names if name != flags[0])
        return as_vector(array[other], "y", n).astype(np.float64), array[flags[0]]
    array = as_floats(y, "y", ndim=2).astype(np.float64)
    check_finite(array, "y")
    if array.shape != (n, 2):
        raise ValueError(
            f"The 'y' array must have shape ({n}, 2), times and 0 or 1 for events. "
            f"Got shape {array.shape}."
        )
    neither = (array[:, 1] != 0) & (array[:, 1] != 1)
    if neither.any():
        row = int(neither.argmax())
        raise ValueError(
            "The 'y' array must hold times and 0 or 1 for events, in this order. "
            f"Got the event {array[row, 1]} in row {row}."
        )
    return np.array(array[:, 0]), array[:, 1] == 1
