"""Sparse linear models with certificates."""

from sparseopt.linear_model._api import minimize_composite
from sparseopt.linear_model._composed import Composed, overlapping_group_lasso
from sparseopt.linear_model._datafit import Datafit, LeastSquares, Logistic
from sparseopt.linear_model._datafit_cox import Cox
from sparseopt.linear_model._datafit_huber import Huber
from sparseopt.linear_model._datafit_rates import Gamma, Poisson, Tweedie
from sparseopt.linear_model._datafits_more import Multinomial
from sparseopt.linear_model._envelope_cv import (
    SparseEnvelopeClassifierCV,
    SparseEnvelopeRegressorCV,
)
from sparseopt.linear_model._envelope_estimators import (
    SparseEnvelopeClassifier,
    SparseEnvelopeRegressor,
)
from sparseopt.linear_model._estimators import ProximalClassifier, ProximalRegressor
from sparseopt.linear_model._estimators_cox import ProximalCox
from sparseopt.linear_model._estimators_cox_cv import ProximalCoxCV
from sparseopt.linear_model._estimators_cv import (
    ProximalClassifierCV,
    ProximalRegressorCV,
)
from sparseopt.linear_model._path import PathResult, path
from sparseopt.linear_model._plot import plot_path
from sparseopt.linear_model._result import CompositeResult
from sparseopt.linear_model._subset_api import SubsetResult, best_subset

__all__ = [
    "Composed",
    "CompositeResult",
    "Cox",
    "Datafit",
    "Gamma",
    "Huber",
    "LeastSquares",
    "Logistic",
    "Multinomial",
    "PathResult",
    "Poisson",
    "ProximalClassifier",
    "ProximalClassifierCV",
    "ProximalCox",
    "ProximalCoxCV",
    "ProximalRegressor",
    "ProximalRegressorCV",
    "SparseEnvelopeClassifier",
    "SparseEnvelopeClassifierCV",
    "SparseEnvelopeRegressor",
    "SparseEnvelopeRegressorCV",
    "SubsetResult",
    "Tweedie",
    "best_subset",
    "minimize_composite",
    "overlapping_group_lasso",
    "path",
    "plot_path",
]
