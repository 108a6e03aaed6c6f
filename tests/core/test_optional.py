"""Optional packages: found, or an error that says how to get them."""

import json
import sys

import pytest

from sparseopt._core._optional import require


def test_found():
    assert require("json", "a test") is json
    assert require("json.decoder", "a test") is json.decoder


@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.part"])
def test_missing(module):
    with pytest.raises(ImportError) as caught:
        require(module, "plots", extra="examples")
    assert str(caught.value) == (
        "The package 'no_such_package' is needed for plots and is not installed. "
        "Install it with: pip install '.[examples]', in a clone of sparseopt"
    )
    assert caught.value.name == "no_such_package"


def test_missing_without_extra():
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'no_such_package'$"):
        require("no_such_package", "plots")


def test_package_that_lacks_something_itself(tmp_path, monkeypatch):
    (tmp_path / "half_there.py").write_text("import no_such_package")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_package'"):
        require("half_there", "plots")
    assert "half_there" not in sys.modules
