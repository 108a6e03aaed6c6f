"""Low-rank matrix completion by alternating minimisation."""

from sparseopt.completion._api import complete
from sparseopt.completion._estimators import MatrixFactorizer
from sparseopt.completion._estimators_cv import MatrixFactorizerCV
from sparseopt.completion._estimators_imputer import LowRankImputer
from sparseopt.completion._result import CompletionResult

__all__ = [
    "CompletionResult",
    "LowRankImputer",
    "MatrixFactorizer",
    "MatrixFactorizerCV",
    "complete",
]
