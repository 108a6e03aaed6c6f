"""Importing sparseopt is cheap, has no side effects, and says why when it fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _run(code: str, folder: Path, **environment: str) -> str:
    """Output of ``code`` in a fresh interpreter that does not see the source folder."""
    command = [sys.executable, "-P", "-c", code]
    env = os.environ | environment
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_is_light(tmp_path):
    count = "import sys, {}; print(len(sys.modules))"
    yardstick = int(_run(count.format("numpy, sklearn.base"), tmp_path))
    assert int(_run(count.format("sparseopt"), tmp_path)) < 1.3 * yardstick


def test_import_loads_no_family_and_changes_nothing(tmp_path):
    code = """
import os, sys, threading
before = dict(os.environ), threading.active_count(), sorted(os.listdir())
import sparseopt
after = dict(os.environ), threading.active_count(), sorted(os.listdir())
assert before == after
loaded = {name.split('.')[1] for name in sys.modules if name.startswith('sparseopt.')}
print(*sorted(loaded - {'_version'}))
"""
    assert _run(code, tmp_path) == ""


def test_families_load_no_optional_package(tmp_path):
    code = """
import sys
import joblib, sklearn.datasets  # these load pandas and rich, where installed
before = set(sys.modules)
import sparseopt
for name in sparseopt.__all__:
    getattr(sparseopt, name)
heavy = {'matplotlib', 'pandas', 'torch', 'skimage', 'ot', 'cvxpy', 'rich', 'tqdm'}
print(*sorted(heavy & (set(sys.modules) - before)))
"""
    assert _run(code, tmp_path) == ""


def test_source_folder_says_why_it_cannot_be_imported(tmp_path):
    package = tmp_path / "sparseopt"
    package.mkdir()
    source = (ROOT / "sparseopt" / "__init__.py").read_text()
    (package / "__init__.py").write_text(source)
    command = [sys.executable, "-S", "-c", "import sparseopt"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "imported in place of the installed package" in done.stderr


_LEVELS_IN_USE = """
import importlib, pkgutil
import sparseopt
names = []
for module in pkgutil.walk_packages(sparseopt.__path__, "sparseopt."):
    if not module.name.startswith("sparseopt.torch"):
        module = importlib.import_module(module.name)
        for setter in ("set_level", "set_simd_level"):
            if hasattr(module, setter):  # the best level it may use
                names.append(getattr(module, setter)(2))
assert len(names) >= 8
print(*sorted(set(names)))
"""


@pytest.mark.parametrize("level", ["baseline", "v3", "v4"])
def test_simd_level_of_the_environment_is_that_of_all_families(level, tmp_path):
    best = _run(_LEVELS_IN_USE, tmp_path, SPARSEOPT_SIMD="")
    expected = min(level, best)  # it lowers only; the alphabet has the order of levels
    assert _run(_LEVELS_IN_USE, tmp_path, SPARSEOPT_SIMD=level) == expected


def test_unknown_simd_level_is_an_error_that_names_the_allowed_ones(tmp_path):
    command = [sys.executable, "-P", "-c", "import sparseopt"]
    env = os.environ | {"SPARSEOPT_SIMD": "avx2"}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "SPARSEOPT_SIMD must be one of ('baseline', 'v3', 'v4')" in done.stderr
    assert "Got 'avx2'" in done.stderr


def test_dir_offers_no_imports_of_its_own(tmp_path):
    code = """
import importlib
import sparseopt
packages = [name for name in sparseopt.__all__ if name[0].islower()]
packages.remove("show_versions")
for name in [None, *packages]:
    package = importlib.import_module(f"sparseopt.{name}") if name else sparseopt
    offered = {word for word in dir(package) if not word.startswith("_")}
    extra = offered - set(package.__all__) - (set() if name else {"torch"})
    assert not extra, (name, extra)
    assert set(package.__all__) <= set(dir(package))
    assert all(getattr(package, word) is not None for word in package.__all__)
"""
    assert _run(code, tmp_path) == ""
