"""The rules of CONTRIBUTING.md about imports and sizes, checked on the source text.

A rule is a function from the root of a source tree to the list of its breaches. Each is
applied to this repository, where it must find nothing, and to small trees with a
planted breach, where it must find it.
"""

import ast
import re
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Which families a family may import, through their public names.
MAY_IMPORT = {
    "linear_model": {"prox"},
    "ldp": {"prox"},
    "completion": {"prox"},
    "bilevel": {"prox"},
    "pruning": {"prox", "lowrank", "sparse"},
    "torch": {"prox", "pruning", "lowrank", "sparse"},
}
SHARED = {"_core", "exceptions"}
THIRD_PARTY = {"numpy", "scipy", "sklearn", "joblib", "threadpoolctl"}
# The one place that may import a package that is neither in the list nor optional.
EXTRA_IMPORTS = {
    "_core/_array_api.py": {"array_api_compat"},
    "torch": {"torch"},
}
PEERS = {"ot", "POT", "cvxpy", "asv"}
# Order within a family; every other module is an algorithm.
LAYERS = {"_kernels": 0, "_problem": 1, "_api": 3, "_estimators": 4}
ALGORITHM = 2

MAX_LINES = {".py": 500, ".pyx": 400, ".pxd": 400, ".c": 500, ".h": 500}
MAX_FUNCTION = 60
GENERATED = {"_build", "_generated", "backreferences", "gallery", "generated", ".asv"}
CODE = ("sparseopt", "tests", "benchmarks", "docs", "examples")
TEXT = {*MAX_LINES, ".pyi", ".md", ".rst", ".toml", ".build", ".json", ".cff", ".txt"}


class Import(NamedTuple):
    """One imported module, as seen from ``path`` (relative to the package)."""

    path: Path
    line: int
    module: str
    cimport: bool = False

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: imports {self.module}"


# ---------------------------------------------------------------- reading the sources


def _absolute(root: Path, path: Path, level: int, module: str) -> str:
    """Resolve a relative import in ``path``, a file below ``root``."""
    if level == 0:
        return module
    package = ("sparseopt", *path.parent.parts)
    base = package[: len(package) - level + 1]
    return ".".join((*base, module) if module else base)


def _is_module(root: Path, dotted: str) -> bool:
    base = root.joinpath(*dotted.split("."))
    return base.is_dir() or any(
        base.with_suffix(suffix).exists() for suffix in (".py", ".pyx", ".pxd")
    )


def _targets(root: Path, module: str, names: list[str]) -> Iterator[str]:
    """``from module import names``: submodules by their own path, else the module."""
    for name in names:
        dotted = f"{module}.{name}"
        own = dotted.startswith("sparseopt") and _is_module(root, dotted)
        yield dotted if own else module


def _type_checking_nodes(tree: ast.Module) -> set[ast.AST]:
    """Nodes under ``if TYPE_CHECKING``: they cost nothing when the program runs."""
    return {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for child in ast.walk(statement)
    }


def _python_imports(root: Path, path: Path) -> Iterator[Import]:
    tree = ast.parse((root / "sparseopt" / path).read_text())
    free = _type_checking_nodes(tree)
    for node in ast.walk(tree):
        if node in free:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(root, path, node.level, node.module or "")
            for module in _targets(root, base, [alias.name for alias in node.names]):
                yield Import(path, node.lineno, module)


_CYTHON_FROM = re.compile(r"\s*from\s+(\.*)([\w.]*)\s+(c?import)\s+\(?([^#]*)")
_CYTHON_IMPORT = re.compile(r"\s*(c?import)\s+([\w., ]+)")
_C_INCLUDE = re.compile(r'\s*(?:#\s*include|cdef extern from|include)\s+"([^"]+)"')


def _cython_imports(root: Path, path: Path) -> Iterator[Import]:
    lines = (root / "sparseopt" / path).read_text().splitlines()
    for number, line in enumerate(lines, start=1):
        if match := _CYTHON_FROM.match(line):
            dots, module, verb, names = match.groups()
            base = _absolute(root, path, len(dots), module)
            names = [name.split()[0] for name in names.split(",") if name.strip(" ()")]
            for target in _targets(root, base, names or ["*"]):
                yield Import(path, number, target, verb == "cimport")
        elif match := _CYTHON_IMPORT.match(line):
            verb, modules = match.groups()
            for module in modules.split(","):
                yield Import(path, number, module.split()[0], verb == "cimport")


def _c_includes(root: Path, path: Path) -> Iterator[Import]:
    """``#include "x"`` and ``cdef extern from "x"`` as imports of ``sparseopt.x``."""
    package = root / "sparseopt"
    lines = (package / path).read_text().splitlines()
    for number, line in enumerate(lines, start=1):
        if (match := _C_INCLUDE.match(line)) and "." in match[1]:
            file = ((package / path).parent / match[1]).resolve()
            if file.is_relative_to(package):
                module = ".".join(file.relative_to(root).with_suffix("").parts)
                yield Import(path, number, module, cimport=True)


def _imports(root: Path) -> Iterator[Import]:
    for file in sorted((root / "sparseopt").rglob("*")):
        path = file.relative_to(root / "sparseopt")
        if file.suffix == ".py":
            yield from _python_imports(root, path)
        if file.suffix in {".pyx", ".pxd"}:
            yield from _cython_imports(root, path)
        if file.suffix in {".pyx", ".pxd", ".c", ".h"}:
            yield from _c_includes(root, path)


def _own_imports(root: Path) -> Iterator[tuple[Import, str, list[str]]]:
    """Imports of sparseopt itself, with the importing package and the target's path."""
    for item in _imports(root):
        parts = item.module.split(".")
        if parts[0] == "sparseopt" and len(item.path.parts) > 1:
            yield item, item.path.parts[0], parts[1:]


def _files(root: Path, suffixes: set[str]) -> Iterator[Path]:
    for folder in CODE:
        for file in sorted((root / folder).rglob("*")):
            parts = file.relative_to(root).parts
            if file.suffix in suffixes and not GENERATED & set(parts):
                yield file


# ------------------------------------------------------------------------- the rules


def core_is_at_the_bottom(root: Path) -> list[str]:
    return [
        str(item)
        for item, package, target in _own_imports(root)
        if package == "_core" and (not target or target[0] not in SHARED)
    ]


def families_use_only_listed_families(root: Path) -> list[str]:
    return [
        str(item)
        for item, package, target in _own_imports(root)
        if package != "_core"
        and target
        and target[0] not in SHARED | MAY_IMPORT.get(package, set()) | {package}
    ]


def families_use_public_names_of_others(root: Path) -> list[str]:
    return [
        str(item)
        for item, package, target in _own_imports(root)
        if package != "_core"
        and target
        and target[0] not in SHARED | {package}
        and (len(target) > 1 or item.cimport)
    ]


def cython_shares_only_core(root: Path) -> list[str]:
    return [
        str(item)
        for item, package, target in _own_imports(root)
        if item.cimport and target and target[0] not in {"_core", package}
    ]


def layers_point_down(root: Path) -> list[str]:
    def layer(module: str) -> int:
        known = (n for name, n in LAYERS.items() if module.startswith(name))
        return next(known, ALGORITHM)

    breaches = []
    for item, package, target in _own_imports(root):
        inside = package != "_core" and target[:1] == [package]
        if not inside or item.path.name == "__init__.py" or item.cimport:
            continue
        if len(target) == 1:
            breaches.append(f"{item}, its own public package")
        elif layer(target[1]) > layer(item.path.stem):
            breaches.append(f"{item}, a higher layer")
    return breaches


def packages_are_required_or_optional(root: Path) -> list[str]:
    def allowed(path: Path) -> set[str]:
        extra = EXTRA_IMPORTS.get(path.as_posix(), set())
        return extra | EXTRA_IMPORTS.get(path.parts[0], set())

    compiled = {"cython", "libc", "libcpp", "cpython"}
    known = THIRD_PARTY | compiled | {"sparseopt"} | sys.stdlib_module_names
    return [
        str(item)
        for item in _imports(root)
        if item.module.split(".")[0] not in known | allowed(item.path)
    ]


def peers_stay_outside(root: Path) -> list[str]:
    call = re.compile(r"""(?:require|import_module|find_spec)\(\s*["']([\w-]+)""")
    return [
        f"{file.relative_to(root)}: loads {name}"
        for file in sorted((root / "sparseopt").rglob("*.py"))
        for name in call.findall(file.read_text())
        if name in PEERS
    ]


def init_files_only_export(root: Path) -> list[str]:
    allowed = (ast.Import, ast.ImportFrom, ast.Assign, ast.Expr)
    return [
        f"{file.relative_to(root)}:{node.lineno}: not a re-export"
        for file in sorted((root / "sparseopt").glob("*/__init__.py"))
        for node in ast.parse(file.read_text()).body
        if not isinstance(node, allowed)
    ]


def files_are_short(root: Path) -> list[str]:
    counts = {
        file: len(file.read_text().splitlines())
        for file in _files(root, set(MAX_LINES))
    }
    return [
        f"{file.relative_to(root)}: {count} lines"
        for file, count in counts.items()
        if count > MAX_LINES[file.suffix]
    ]


def _python_functions(text: str) -> Iterator[tuple[str, int]]:
    """Names and lengths of functions, without their docstrings."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0]
            doc = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            doc_lines = first.end_lineno - first.lineno + 1 if doc else 0
            yield node.name, node.end_lineno - node.lineno + 1 - doc_lines


_CYTHON_DEF = re.compile(r"(\s*)(?:cdef|cpdef|def)\b[^=]*?(\w+)\s*\(")


def _cython_functions(text: str) -> Iterator[tuple[str, int]]:
    """Functions end where a line is indented no deeper than their first line."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        match = _CYTHON_DEF.match(line)
        if match is None or line.lstrip().startswith("cdef extern"):
            continue
        signature = next(
            (k for k in range(number, len(lines)) if lines[k].endswith(":")), number
        )
        if not all(more[:1] in (" ", ")") for more in lines[number + 1 : signature]):
            continue  # a declaration, no function
        inside = re.compile(rf"\s{{{len(match[1]) + 1}}}|\s*$")
        body = takewhile(inside.match, lines[signature + 1 :])
        yield match[2], signature - number + 1 + sum(1 for _ in body)


def functions_are_short(root: Path) -> list[str]:
    readers = {".py": _python_functions, ".pyx": _cython_functions}
    return [
        f"{file.relative_to(root)}: {name} has {length} lines"
        for file in _files(root, set(readers))
        for name, length in readers[file.suffix](file.read_text())
        if length > MAX_FUNCTION
    ]


# Unfinished work, folders of one machine, and addresses of package indexes, which
# installers know better.
_UNWANTED = re.compile(
    r"\b(?:T[O]DO|F[I]XME|X{3})\b"
    r"|(?<![\w.~\-])/(?:home|root|work|Users|opt)/"
    r"|\b(?:files\.python[h]osted|p[y]pi|registry\.npm[j]s)\.org"
)


def texts_are_clean(root: Path) -> list[str]:
    top = [file for file in root.iterdir() if file.suffix in TEXT | {".in"}]
    return [
        f"{file.relative_to(root)}:{number}: {match[0]}"
        for file in [*_files(root, TEXT), *top, *(root / ".ci").glob("*")]
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if (match := _UNWANTED.search(line))
    ]


RULES = [
    core_is_at_the_bottom,
    families_use_only_listed_families,
    families_use_public_names_of_others,
    cython_shares_only_core,
    layers_point_down,
    packages_are_required_or_optional,
    peers_stay_outside,
    init_files_only_export,
    files_are_short,
    functions_are_short,
    texts_are_clean,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule(rule):
    assert not rule(ROOT)


# Rule -> (file, text) that breaks it.
LONG_BODY = "    x = 1\n" * MAX_FUNCTION
PLANTED = [
    (core_is_at_the_bottom, "_core/_a.py", "from sparseopt import ot"),
    (core_is_at_the_bottom, "_core/_a.py", "from ..ot import solve"),
    (core_is_at_the_bottom, "_core/_a.py", "def f():\n    import sparseopt.testing"),
    (core_is_at_the_bottom, "_core/_a.pyx", "from sparseopt.ot._kernels cimport f"),
    (core_is_at_the_bottom, "_core/_a.c", '#include "../ot/_rows.h"'),
    (families_use_only_listed_families, "ot/_a.py", "import sparseopt.datasets"),
    (families_use_only_listed_families, "prox/_a.py", "from ..ot import solve"),
    (families_use_public_names_of_others, "ldp/_a.py", "from ..prox._l1 import f"),
    (families_use_public_names_of_others, "ldp/_a.py", "from ..prox import _l1"),
    (families_use_public_names_of_others, "ldp/_a.pyx", "from ..prox cimport f"),
    (cython_shares_only_core, "ldp/_a.pyx", "cimport sparseopt.prox._l1 as l1"),
    (cython_shares_only_core, "ot/_a.c", '#include "../prox/_l1.h"'),
    (layers_point_down, "prox/_l1.py", "from ._api import solve"),
    (layers_point_down, "prox/_problem.py", "from . import _l1"),
    (layers_point_down, "prox/_api.py", "from sparseopt.prox import solve"),
    (layers_point_down, "prox/_kernels.pyx", "from ._problem import Problem"),
    (packages_are_required_or_optional, "ot/_a.py", "import matplotlib.pyplot"),
    (packages_are_required_or_optional, "ot/_a.py", "def f():\n    import torch"),
    (packages_are_required_or_optional, "ot/_a.py", "import array_api_compat"),
    (peers_stay_outside, "ot/_a.py", 'ot = require("ot", "examples")'),
    (init_files_only_export, "ot/__init__.py", "def solve():\n    return 1"),
    (files_are_short, "ot/_a.py", "x = 1\n" * 501),
    (files_are_short, "ot/_a.pyx", "x = 1\n" * 401),
    (functions_are_short, "ot/_a.py", f"def f():\n{LONG_BODY}"),
    (functions_are_short, "ot/_a.py", f"class A:\n  def f(self):\n{LONG_BODY}"),
    (functions_are_short, "ot/_a.pyx", f"cdef int f(int a,\n    int b):\n{LONG_BODY}"),
    (texts_are_clean, "ot/_a.py", "# T" + "ODO: finish"),
    (texts_are_clean, "ot/_a.c", "/* see /" + "home/me/notes */"),
]
# What the rules must let through.
INNOCENT = {
    "ot/__init__.py": "from ._api import solve\n__all__ = ['solve']",
    "ot/_a.py": "import os\nimport scipy.sparse\nfrom .._core._result import Result",
    "ot/_api.py": "from . import _a\nfrom ._problem import P",
    "ot/_estimators.py": "from sparseopt.exceptions import E\nfrom ._api import solve",
    "ot/_kernels.pyx": "from libc.math cimport exp\nfrom .._core._vec cimport dot",
    "ot/_long.py": f'def f():\n    """{"Words." + chr(10) * 99}"""\n    return 1',
    "ot/_plots.py": "if TYPE_CHECKING:\n    import matplotlib",
    "ot/_rows.c": '#include "_rows.h"\n#include "../_core/_exp.h"\n#include <math.h>',
    "ldp/_a.py": "from sparseopt.prox import L1",
    "prox/_l1.py": "x = 1",
    "torch/_a.py": "import torch",
}


def _plant(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / "sparseopt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_lets_good_code_through(rule, tmp_path):
    _plant(tmp_path, INNOCENT)
    assert not rule(tmp_path)


@pytest.mark.parametrize(("rule", "name", "text"), PLANTED)
def test_rule_finds_breach(rule, name, text, tmp_path):
    _plant(tmp_path, INNOCENT | {name: text})
    assert rule(tmp_path)


def test_every_rule_has_a_planted_breach():
    assert {rule for rule, _, _ in PLANTED} == set(RULES)
