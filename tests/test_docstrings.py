"""Every public name has a complete numpydoc docstring whose examples run."""

import doctest
import importlib
import inspect
import pkgutil
from dataclasses import is_dataclass
from importlib.util import find_spec

import pytest
from numpydoc.docscrape import ClassDoc
from numpydoc.validate import validate

import sparseopt

# Packages that need an extra, and what it installs.
EXTRAS = {"torch": "torch"}
MISSING = {name for name, needs in EXTRAS.items() if find_spec(needs) is None}

# Of numpydoc's checks: layout, summary, parameters, return value, example.
CHECKS = {"GL01", "GL02", "GL03", "SS03", "SS04", "SS05"} | {
    *(f"PR0{i}" for i in range(1, 8)),
    *("RT01", "EX01"),
}
# Methods are shown by the example of their class.
METHOD_CHECKS = CHECKS - {"EX01"}


def _public_names() -> dict[str, object]:
    """Public functions and classes by import path, each under the shortest one."""
    found: dict[int, tuple[str, object]] = {}
    packages = [("sparseopt", sparseopt)]
    for path, package in packages:
        extras = EXTRAS.keys() - MISSING if package is sparseopt else ()
        for name in [*package.__all__, *sorted(extras)]:
            value = getattr(package, name)
            if inspect.ismodule(value):
                packages.append((f"{path}.{name}", value))
            elif inspect.isfunction(value) or inspect.isclass(value):
                if value.__module__.startswith("sparseopt"):
                    found.setdefault(id(value), (f"{path}.{name}", value))
    return dict(found.values())


def _public_methods(path: str, cls: type) -> list[str]:
    return [
        f"{path}.{name}"
        for name, value in vars(cls).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, (property, classmethod)))
    ]


NAMES = _public_names()
METHODS = [
    method
    for path, value in NAMES.items()
    if inspect.isclass(value)
    for method in _public_methods(path, value)
]


def _complaints(path: str, checks: set[str]) -> list[str]:
    errors = validate(path)["errors"]
    return [f"{code}: {text}" for code, text in errors if code in checks | {"GL08"}]


def _undocumented_fields(cls: type) -> set[str]:
    """Fields that a dataclass adds to its base and does not describe."""
    own = {name for name in inspect.get_annotations(cls) if not name.startswith("_")}
    described = ClassDoc(cls)["Parameters"] + ClassDoc(cls)["Attributes"]
    return own - {name for entry in described for name in entry.name.split(", ")}


@pytest.mark.parametrize("path", NAMES)
def test_docstring(path):
    if is_dataclass(NAMES[path]):  # fields of the base are described there
        assert not _undocumented_fields(NAMES[path])
        assert not _complaints(path, CHECKS - {"PR01"})
    else:
        assert not _complaints(path, CHECKS)


@pytest.mark.parametrize("path", METHODS)
def test_method_docstring(path):
    assert not _complaints(path, METHOD_CHECKS)


MODULES = ["sparseopt"] + [
    module.name
    for module in pkgutil.walk_packages(sparseopt.__path__, prefix="sparseopt.")
    if not MISSING & set(module.name.split("."))
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(module, optionflags=options)
    assert result.failed == 0


def test_an_undocumented_parameter_is_found(monkeypatch):
    def show_versions(verbose):
        """Print versions."""

    monkeypatch.setattr(sparseopt, "show_versions", show_versions, raising=False)
    complaints = " ".join(_complaints("sparseopt.show_versions", CHECKS))
    assert "PR01" in complaints
    assert "EX01" in complaints
