"""Packages that sparseopt can use but does not require."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


def require(module: str, purpose: str, *, extra: str | None = None) -> ModuleType:
    """Import an optional module, or say what it is for and how to install it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name not in (module, package):
            raise  # the package is there but lacks something itself
        # the form that works whether or not sparseopt is published
        wanted = f"'.[{extra}]', in a clone of sparseopt" if extra else f"'{package}'"
        raise ModuleNotFoundError(
            f"The package {package!r} is needed for {purpose} and is not installed. "
            f"Install it with: pip install {wanted}",
            name=error.name,
        ) from None
