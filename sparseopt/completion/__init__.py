"""Low-rank matrix completion by alternating minimisation."""

from sparseopt.completion._api import complete
from sparseopt.completion._api_published import alternating_minimization, soft_impute
from sparseopt.completion._checkpoint import Checkpoint, load_checkpoint
from sparseopt.completion._chunks import entries_from_chunks, open_entries
from sparseopt.completion._estimators import MatrixFactorizer
from sparseopt.completion._estimators_cv import MatrixFactorizerCV
from sparseopt.completion._estimators_imputer import LowRankImputer
from sparseopt.completion._result import CompletionResult
from sparseopt.completion._result_gaussian import GaussianResult

__all__ = [
    "Checkpoint",
    "CompletionResult",
    "GaussianResult",
    "LowRankImputer",
    "MatrixFactorizer",
    "MatrixFactorizerCV",
    "alternating_minimization",
    "complete",
    "entries_from_chunks",
    "load_checkpoint",
    "open_entries",
    "soft_impute",
]
