"""Importing sparseopt is cheap, has no side effects, and says why when it fails."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _run(code: str, folder: Path) -> str:
    """Output of ``code`` in a fresh interpreter that does not see the source folder."""
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
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
