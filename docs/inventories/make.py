"""Write the stored object inventories that links to other projects resolve from.

Sphinx reads an inventory as four header lines and a compressed list of objects. The
names here are the ones our pages mention; add a line and run this script.
"""

import zlib
from pathlib import Path

OBJECTS = {
    "python": {
        "py:class": {
            "bool": "library/functions.html#bool",
            "dict": "library/stdtypes.html#dict",
            "float": "library/functions.html#float",
            "int": "library/functions.html#int",
            "str": "library/stdtypes.html#str",
            "tuple": "library/stdtypes.html#tuple",
            "enum.IntEnum": "library/enum.html#enum.IntEnum",
        },
        "py:exception": {
            "KeyboardInterrupt": "library/exceptions.html#KeyboardInterrupt",
            "RuntimeError": "library/exceptions.html#RuntimeError",
            "TypeError": "library/exceptions.html#TypeError",
            "ValueError": "library/exceptions.html#ValueError",
        },
    },
    "numpy": {
        "py:class": {
            "numpy.ndarray": "reference/generated/numpy.ndarray.html#numpy.ndarray",
            "numpy.random.Generator": "reference/random/generator.html"
            "#numpy.random.Generator",
            "numpy.memmap": "reference/generated/numpy.memmap.html#numpy.memmap",
        },
    },
    "scipy": {
        "py:class": {
            "scipy.sparse.csr_array": "reference/generated/scipy.sparse.csr_array.html"
            "#scipy.sparse.csr_array",
        },
        "py:function": {
            "scipy.optimize.linear_sum_assignment": "reference/generated/"
            "scipy.optimize.linear_sum_assignment.html"
            "#scipy.optimize.linear_sum_assignment",
        },
    },
    "sklearn": {
        "py:exception": {
            "sklearn.exceptions.ConvergenceWarning": "modules/generated/"
            "sklearn.exceptions.ConvergenceWarning.html"
            "#sklearn.exceptions.ConvergenceWarning",
        },
        "py:class": {
            "sklearn.pipeline.Pipeline": "modules/generated/"
            "sklearn.pipeline.Pipeline.html#sklearn.pipeline.Pipeline",
        },
        "std:label": {  # of inherited docstrings
            "accuracy_score": "modules/model_evaluation.html#accuracy-score",
            "r2_score": "modules/model_evaluation.html#r2-score",
        },
    },
    "joblib": {
        "py:class": {
            "joblib.Parallel": "generated/joblib.Parallel.html#joblib.Parallel",
            "joblib.parallel_config": "generated/joblib.parallel_config.html"
            "#joblib.parallel_config",
        },
    },
}


def main():
    """Write one inventory a project beside this file."""
    for project, kinds in OBJECTS.items():
        head = f"# Sphinx inventory version 2\n# Project: {project}\n# Version: \n"
        head += "# The remainder of this file is compressed using zlib.\n"
        lines = (
            f"{name} {kind} 1 {address} -\n"
            for kind, names in kinds.items()
            for name, address in names.items()
        )
        body = zlib.compress("".join(lines).encode())
        path = Path(__file__).with_name(f"{project}.inv")
        path.write_bytes(head.encode() + body)


if __name__ == "__main__":
    main()
