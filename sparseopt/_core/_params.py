"""Declared constraints on parameters, and one form for all errors about them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, Literal, Protocol, TypeVar, cast

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

_BOOLS = (bool, np.bool_)
_INTS = (int, np.integer)
_REALS = (int, float, np.integer, np.floating)
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class Constraint(Protocol):
    """A set of allowed values; ``str()`` of it completes "must be ..."."""

    def accepts(self, value: Any) -> bool:
        """Whether the value is allowed."""

    def accepts_type(self, value: Any) -> bool:
        """Whether some value of this type is allowed: decides the error's class."""


class Interval:
    """Numbers between ``left`` and ``right``; None is unbounded, and finite.

    Infinity is inside only where a closed end says so (``right=inf``), NaN never.
    Booleans and arrays are no numbers; NumPy scalars are.
    """

    def __init__(
        self,
        left: float | None,
        right: float | None,
        *,
        closed: Literal["both", "left", "right", "neither"] = "both",
        integer: bool = False,
    ) -> None:
        self.left = -math.inf if left is None else left
        self.right = math.inf if right is None else right
        self.closed_left = left is not None and closed in ("both", "left")
        self.closed_right = right is not None and closed in ("both", "right")
        self.integer = integer
        self._types: tuple[type, ...] = _INTS if integer else _REALS

    def accepts_type(self, value: Any) -> bool:
        return isinstance(value, self._types) and not isinstance(value, _BOOLS)

    def accepts(self, value: Any) -> bool:
        return (
            self.accepts_type(value)
            and (self.integer or _fits_float(value))
            and bool(value >= self.left if self.closed_left else value > self.left)
            and bool(value <= self.right if self.closed_right else value < self.right)
        )

    def __str__(self) -> str:
        kind = "an int" if self.integer else "a float"
        opening, closing = "(["[self.closed_left], ")]"[self.closed_right]
        return f"{kind} in {opening}{self.left}, {self.right}{closing}"


def _fits_float(value: Any) -> bool:
    """Whether the value is a float or can become one: ints have no largest."""
    try:
        float(value)
    except OverflowError:
        return False
    return True


class Options:
    """One of a few values, mostly strings."""

    def __init__(self, *values: Any) -> None:
        self.values = sorted(values)
        self._types = tuple({type(value) for value in values})

    def accepts_type(self, value: Any) -> bool:
        return isinstance(value, self._types) and not isinstance(value, _BOOLS)

    def accepts(self, value: Any) -> bool:
        return self.accepts_type(value) and value in self.values

    def __str__(self) -> str:
        texts = [repr(value) for value in self.values]
        return f"one of {{{', '.join(texts)}}}" if len(texts) > 1 else texts[0]


class Type:
    """Instances of some classes."""

    def __init__(self, *classes: type) -> None:
        self.classes = classes

    def accepts_type(self, value: Any) -> bool:
        return isinstance(value, self.classes)

    accepts = accepts_type

    def __str__(self) -> str:
        return " or ".join(map(_with_article, self.classes))


class _Callable:
    def accepts_type(self, value: Any) -> bool:
        return callable(value)

    accepts = accepts_type

    def __str__(self) -> str:
        return "a callable"


class _FloatType:
    def accepts_type(self, value: Any) -> bool:
        return isinstance(value, (str, type, np.dtype))

    def accepts(self, value: Any) -> bool:
        try:
            return self.accepts_type(value) and np.dtype(value) in _FLOATS
        except TypeError:  # no type has this name
            return False

    def __str__(self) -> str:
        return "float32 or float64"


class _Boolean:
    def accepts_type(self, value: Any) -> bool:
        return isinstance(value, _BOOLS)

    accepts = accepts_type

    def __str__(self) -> str:
        return "a bool"


class _None:
    def accepts_type(self, value: Any) -> bool:
        return value is None

    accepts = accepts_type

    def __str__(self) -> str:
        return "None"


Callable_ = _Callable()
FloatType = _FloatType()
Boolean = _Boolean()
RANDOM_STATE = (
    Interval(0, None, integer=True),
    Type(np.random.RandomState, np.random.Generator),
    None,
)

# What every solver accepts under these names. A function takes from it what is in its
# signature: ``@validate_params({**COMMON, ...})``.
COMMON: Mapping[str, Iterable[Any]] = {
    "tol": [Interval(0, None, closed="neither"), None],
    "max_iter": [Interval(1, None, integer=True), None],
    "max_time": [Interval(0, math.inf, closed="right"), None],
    "callback": [Callable_, None],
    "verbose": [Interval(0, None, integer=True), Boolean],
    "random_state": RANDOM_STATE,
    "dtype": [FloatType, None],
    "n_threads": [Interval(1, None, integer=True), Options(-1), None],
    "n_jobs": [
        Interval(1, None, integer=True),
        Interval(None, -1, integer=True),
        None,
    ],
}


def validate_params(constraints: Mapping[str, Iterable[Any]]) -> Callable[[F], F]:
    """Check the arguments of each call against ``constraints``.

    A constraint is an `Interval`, `Options`, `Callable_`, `FloatType`, `Boolean`, a
    class, None or the string ``"random_state"``. Parameters without constraints are not
    looked at, and defaults are trusted.
    """

    def decorate(function: F) -> F:
        parameters = inspect.signature(function).parameters
        unknown = constraints.keys() - parameters.keys() - COMMON.keys()
        if unknown:
            raise TypeError(f"{function} has no parameters {sorted(unknown)}")
        rules = {
            name: _expand(constraints[name])
            for name in parameters
            if name in constraints
        }
        # No binding of arguments: the call itself reports wrong names and counts.
        positional = [(name, rules.get(name)) for name in parameters]

        @wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            for (name, rule), value in zip(positional, args, strict=False):
                if rule is not None:
                    _check(function, name, rule, value)
            for name, value in kwargs.items():
                if name in rules:
                    _check(function, name, rules[name], value)
            return function(*args, **kwargs)

        return cast(F, checked)

    return decorate


def check_params(
    owner: Any, constraints: Mapping[str, Iterable[Any]], values: Mapping[str, Any]
) -> None:
    """Check named values, as an estimator does with its parameters in ``fit``."""
    for name, value in values.items():
        if name in constraints:
            _check(owner, name, _expand(constraints[name]), value)


def public_name(obj: Any) -> str:
    """Path under which users know a function or class: without private modules."""
    modules = obj.__module__.split(".")
    public = [part for part in modules if not part.startswith("_")]
    return ".".join([*public, obj.__qualname__])


def _expand(constraints: Iterable[Any]) -> tuple[Constraint, ...]:
    expanded: list[Constraint] = []
    for item in constraints:
        if isinstance(item, str) and item == "random_state":
            expanded.extend(_expand(RANDOM_STATE))
        elif item is None:
            expanded.append(_None())
        else:
            expanded.append(Type(item) if isinstance(item, type) else item)
    return tuple(expanded)


def _check(owner: Any, name: str, rule: tuple[Constraint, ...], value: Any) -> None:
    for constraint in rule:
        if constraint.accepts(value):
            return
    known_type = any(constraint.accepts_type(value) for constraint in rule)
    *most, last = map(str, rule)
    allowed = f"{', '.join(most)} or {last}" if most else last
    raise (ValueError if known_type else TypeError)(
        f"The {name!r} parameter of {public_name(owner)} must be {allowed}. "
        f"Got {describe(value)}."
    )


def describe(value: Any) -> str:
    """Value as shown in an error: short, and arrays by their shape."""
    shape = getattr(value, "shape", None)
    if isinstance(value, np.generic) or not isinstance(shape, tuple):
        text = repr(value)
        return text if len(text) <= 80 else f"{text[:77]}..."
    if shape == ():
        return "a 0-d array; pass a scalar, such as x.item()"
    return f"{_with_article(type(value))} of shape {shape}"


def _with_article(cls: type) -> str:
    article = "an" if cls.__name__[0].lower() in "aeiou" else "a"
    return f"{article} {cls.__name__}"
