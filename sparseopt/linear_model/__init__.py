"""Sparse linear models with certificates."""

from sparseopt.linear_model._datafit import LeastSquares

__all__ = ["LeastSquares"]
