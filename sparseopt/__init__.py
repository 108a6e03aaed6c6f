"""Sparse and structured optimization: one result type, a certificate with every answer.

Each family is a package of its own, loaded when it is first used:

==========================  ============================================================
``sparseopt.completion``    low-rank matrices from some of their entries
``sparseopt.ot``            entropic optimal transport by sparse Newton methods
``sparseopt.prox``          proximal operators, projections and penalties
``sparseopt.linear_model``  sparse linear models with duality gaps and bounds
``sparseopt.torch``         training with structured sparsity; needs PyTorch
``sparseopt.datasets``      seeded problem generators and loaders; nothing is downloaded
``sparseopt.testing``       assertions on arrays and certificates, for tests of your own
==========================  ============================================================
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    from sparseopt._version import version as __version__
except ModuleNotFoundError as error:
    if error.name != "sparseopt._version":
        raise
    raise ImportError(
        "The source folder of sparseopt was imported in place of the installed "
        "package. Run from another folder, use `python -P`, or install in place with "
        "`pip install --no-build-isolation -e .`."
    ) from None

# Each compiled module reads it when it is loaded; here an unknown word is an error.
_SIMD_LEVELS = ("baseline", "v3", "v4")
if os.environ.get("SPARSEOPT_SIMD") not in (None, "", *_SIMD_LEVELS):
    raise ImportError(
        f"The environment variable SPARSEOPT_SIMD must be one of {_SIMD_LEVELS}, or "
        f"not set. Got {os.environ['SPARSEOPT_SIMD']!r}."
    )

if TYPE_CHECKING:
    from sparseopt import (
        completion,
        datasets,
        exceptions,
        linear_model,
        ot,
        prox,
        testing,
    )
    from sparseopt._core._result import Status
    from sparseopt._show_versions import show_versions

__all__ = [
    "Status",
    "__version__",
    "completion",
    "datasets",
    "exceptions",
    "linear_model",
    "ot",
    "prox",
    "show_versions",
    "testing",
]

# Names that are not packages or modules of this folder, and where they live.
_LAZY_NAMES = {
    "Status": "sparseopt._core._result",
    "show_versions": "sparseopt._show_versions",
}


# Packages for which an extra has to be installed: importing everything in `__all__`
# must not need them.
_EXTRAS = ("torch",)


def __getattr__(name: str) -> Any:
    if name in _LAZY_NAMES:
        return getattr(import_module(_LAZY_NAMES[name]), name)
    if name in __all__ or name in _EXTRAS:
        return import_module(f"sparseopt.{name}")
    raise AttributeError(f"module 'sparseopt' has no attribute {name!r}")


def __dir__() -> list[str]:
    # what the package offers, without its own imports
    special = {name for name in globals() if name.startswith("__")}
    return sorted(special | set(__all__) | set(_EXTRAS))
