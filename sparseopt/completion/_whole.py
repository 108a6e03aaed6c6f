"""Methods that change an estimator as a whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

Method = TypeVar("Method", bound=Callable[..., Any])


def whole_or_not(method: Method) -> Method:
    """Decorate a method after whose failure the estimator is as it was before.

    Be it an error or an interrupt in the middle. What attributes refer to must not be
    changed in place by the method; random numbers that it drew are put back.
    """

    @wraps(method)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = dict(vars(self))
        random = before.get("random_state")
        state = _state(random)
        try:
            return method(self, *args, **kwargs)
        except BaseException:
            self.__dict__ = before
            if isinstance(random, np.random.Generator):
                random.bit_generator.state = state
            elif isinstance(random, np.random.RandomState):
                random.set_state(state)
            raise

    return cast(Method, guarded)


def _state(random: Any) -> Any:
    if isinstance(random, np.random.Generator):
        return random.bit_generator.state
    if isinstance(random, np.random.RandomState):
        return random.get_state()
    return None
