"""Seeded generators and loaders of data that installed packages ship.

Nothing is ever downloaded: images come from the files inside scikit-image and
scikit-learn, everything else from a random generator.
"""

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

__all__ = [
    "OTBenchmarkProblem",
    "OTProblem",
    "make_assignment",
    "make_clouds",
    "make_digits_pair",
    "make_faces_pair",
    "make_grid_pair",
    "ot_benchmark_names",
    "ot_benchmark_set",
]
