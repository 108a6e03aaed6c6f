"""Without torch, sparseopt works and sparseopt.torch says what to install."""

import subprocess
import sys

HIDE = """
import sys
class Hidden:  # as if torch were not installed
    def find_spec(self, name, path=None, target=None):
        if name == 'torch':
            raise ModuleNotFoundError("No module named 'torch'", name='torch')
sys.meta_path.insert(0, Hidden())
"""


def _run(code, folder):
    command = [sys.executable, "-P", "-c", HIDE + code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_error_names_the_extra(tmp_path):
    code = """
import sparseopt
assert 'torch' in dir(sparseopt)
for get in (lambda: sparseopt.torch, lambda: __import__('sparseopt.torch')):
    try:
        get()
    except ImportError as error:
        print(error)
"""
    lines = _run(code, tmp_path).splitlines()
    assert len(lines) == 2
    for line in lines:
        assert "sparseopt.torch" in line
        assert "pip install '.[torch]'" in line


def test_nothing_else_needs_torch(tmp_path):
    code = """
import sparseopt
for name in sparseopt.__all__:
    getattr(sparseopt, name)
print('done')
"""
    assert _run(code, tmp_path) == "done"
