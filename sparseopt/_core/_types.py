"""Types of parameters that many public functions share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

from numpy.typing import ArrayLike

from sparseopt._core._monitor import State
from sparseopt._core._random import RandomState

__all__ = [
    "Callback",
    "ClassWeight",
    "Folds",
    "GroupWeights",
    "GroupsLike",
    "RandomState",
    "Scoring",
]


class Splitter(Protocol):
    """Splitters of scikit-learn into folds."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterable[Any]:
        """Pairs of index arrays, to train on and to test on."""


class Partition(Protocol):
    """Groups that are made already, `sparseopt.prox.Groups`."""

    n: int
    m: int


Callback = Callable[[State], Any] | None
# a number of folds, a splitter of scikit-learn, or pairs of index arrays
Folds = int | Splitter | Iterable[tuple[Any, Any]] | None
ClassWeight = Mapping[Any, float] | Literal["balanced"] | None
Scoring = str | Callable[..., float] | None
GroupsLike = int | Sequence[Any] | Mapping[str, Any] | ArrayLike | Partition | None
GroupWeights = Literal["sqrt", "size"] | ArrayLike | None
