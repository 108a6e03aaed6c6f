"""Parameters of public functions and methods have types."""

import inspect
import typing

import pytest

import sparseopt

# Parameters whose type is still left open, by package: the numbers only fall.
OPEN = {
    "completion": 78,
    "datasets": 2,
    "exceptions": 0,
    "linear_model": 138,
    "ot": 21,
    "prox": 149,
    "testing": 5,
}


def _functions(package):
    """Every public function, and every public method of a public class."""
    for name in package.__all__:
        value = getattr(package, name)
        if not inspect.isclass(value):
            if callable(value):
                yield name, value
            continue
        for member, method in inspect.getmembers(value):
            if member.startswith("_") and member != "__init__":
                continue
            method = inspect.unwrap(method) if callable(method) else None
            if getattr(method, "__module__", None) and method.__module__.startswith(
                "sparseopt"
            ):
                yield f"{name}.{member}", method


def _open_parameters(package):
    for owner, function in _functions(package):
        if not (inspect.isfunction(function) or inspect.ismethod(function)):
            continue
        for name, parameter in inspect.signature(function).parameters.items():
            if name in ("self", "cls") or parameter.kind is parameter.VAR_KEYWORD:
                continue
            if parameter.annotation in (inspect.Parameter.empty, "Any", typing.Any):
                yield f"{owner}({name})"


@pytest.mark.parametrize("name", sorted(OPEN))
def test_parameters_without_a_type(name):
    found = sorted(_open_parameters(getattr(sparseopt, name)))
    assert len(found) <= OPEN[name], found
