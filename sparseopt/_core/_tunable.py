"""Objects whose parameters scikit-learn can read and set, such as penalties."""

from __future__ import annotations

import copy
import inspect
from typing import Any, TypeVar

from sparseopt._core._params import public_name

T = TypeVar("T", bound="Tunable")
_NAMELESS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Tunable:
    """Parameters of the constructor by name, in the protocol of scikit-learn.

    An object keeps each parameter in an attribute of its name, or tells it in
    `_parameter`.  As the parameter of an estimator it can then be cloned, and searched
    over: ``penalty__lam``.
    """

    def _parameter(self, name: str) -> Any:
        """Value of a parameter of the constructor."""
        return getattr(self, name)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters of the constructor.

        Parameters
        ----------
        deep : bool, default=True
            Whether parameters of parameters are there, too, as ``penalty__lam``.

        Returns
        -------
        dict
            The parameters by name.
        """
        found: dict[str, Any] = {}
        for name, parameter in inspect.signature(type(self)).parameters.items():
            if parameter.kind in _NAMELESS:
                continue
            value = found[name] = self._parameter(name)
            if deep and isinstance(value, Tunable):
                inner = value.get_params()
                found.update({f"{name}__{key}": inner[key] for key in inner})
        return found

    def set_params(self: T, **params: Any) -> T:
        """Set parameters of the constructor.

        Parameters
        ----------
        **params : dict
            Values by name; ``penalty__lam`` is `lam` of the parameter `penalty`.

        Returns
        -------
        object
            The object itself, as if it had been made with these parameters.
        """
        values = self.get_params(deep=False)
        inner: dict[str, dict[str, Any]] = {}
        for key, value in params.items():
            name, below, rest = key.partition("__")
            if name not in values:
                allowed = ", ".join(map(repr, values)) or "none"
                raise ValueError(
                    f"{public_name(type(self))} has no parameter {name!r}. "
                    f"Its parameters: {allowed}."
                )
            if below:
                inner.setdefault(name, {})[rest] = value
            else:
                values[name] = value
        for name, changes in inner.items():
            if not isinstance(values[name], Tunable):
                raise ValueError(
                    f"The {name!r} parameter of {public_name(type(self))} has no "
                    f"parameters {sorted(changes)}. Got {values[name]!r}."
                )
            # others may hold the object that is inside
            values[name] = copy.copy(values[name]).set_params(**changes)
        # made anew: what the constructor checks and derives holds for the new values
        made = vars(type(self)(**values))
        vars(self).clear()
        vars(self).update(made)
        return self

    def __sklearn_clone__(self: T) -> T:
        return copy.deepcopy(self)
