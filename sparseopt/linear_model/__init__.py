"""Sparse linear models with certificates."""

from sparseopt.linear_model._api import minimize_composite
from sparseopt.linear_model._datafit import Datafit, LeastSquares, Logistic
from sparseopt.linear_model._result import CompositeResult

__all__ = [
    "CompositeResult",
    "Datafit",
    "LeastSquares",
    "Logistic",
    "minimize_composite",
]
