"""Sparse models select the features that they keep."""

from __future__ import annotations

import numpy as np
from sklearn.feature_selection import SelectorMixin
from sklearn.utils.validation import check_is_fitted


class SupportSelector(SelectorMixin):
    """`get_support`, `transform` and the like of scikit-learn's selectors.

    No threshold is needed, unlike in its `SelectFromModel`, whose default is the mean
    magnitude of the coefficients: what a sparse model drops is exactly zero.
    """

    n_features_in_: int
    support_: np.ndarray

    def _get_support_mask(self) -> np.ndarray:
        check_is_fitted(self)
        mask = np.zeros(self.n_features_in_, dtype=bool)
        mask[self.support_] = True
        return mask
