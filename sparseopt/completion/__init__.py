"""Low-rank matrix completion by alternating minimisation."""

from sparseopt.completion._api import complete
from sparseopt.completion._api_published import alternating_minimization, soft_impute
from sparseopt.completion._estimators import MatrixFactorizer
from sparseopt.completion._estimators_imputer import LowRankImputer
from sparseopt.completion._result import CompletionResult

__all__ = [
    "CompletionResult",
    "LowRankImputer",
    "MatrixFactorizer",
    "alternating_minimization",
    "complete",
    "soft_impute",
]
