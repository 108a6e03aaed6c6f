"""Groups by the names of columns: of data frames, dictionaries and series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from sparseopt._core._arrays import plain_array
from sparseopt._core._tunable import Tunable

N = TypeVar("N", bound="Named")


class Labels(NamedTuple):
    """A label for each of some columns that have names."""

    labels: np.ndarray
    columns: np.ndarray


def plain_groups(groups: Any) -> Any:
    """Copy what users give as groups: series, ranges and arrays are arrays of ours."""
    if isinstance(groups, np.generic):
        return groups.item()
    if isinstance(groups, dict):
        return {name: _plain_part(part) for name, part in groups.items()}
    if isinstance(groups, range) or _is_array(groups):
        labels = np.array(plain_array(groups, "groups"))
        index = getattr(groups, "index", None)  # of a series of pandas
        names = None if index is None or callable(index) else np.asarray(index)
        if names is not None and labels.ndim == 1 and are_strings(names):
            return Labels(labels, names.astype(str))
        return labels
    if isinstance(groups, list) and any(map(is_sequence, groups)):
        return [_plain_part(part) for part in groups]
    return groups


def by_position(groups: Any, columns: Any) -> Any:
    """Groups with positions among the columns where names of columns were."""
    groups = plain_groups(groups)
    place = {str(name): j for j, name in enumerate(columns)}
    if isinstance(groups, Labels):
        known = dict(zip(groups.columns.tolist(), groups.labels, strict=True))
        lost = [name for name in place if name not in known]
        if lost or len(known) != len(place) or len(known) != len(groups.columns):
            raise ValueError(
                "The 'groups' parameter, where it is a series with names, must have "
                f"one label for each column. Got {len(groups.columns)} for "
                f"{len(place)} columns" + (f", none for {lost[0]!r}." if lost else ".")
            )
        return np.array([known[name] for name in place])
    if isinstance(groups, dict):
        return {name: _positions(part, place) for name, part in groups.items()}
    if isinstance(groups, (list, tuple)) and any(map(is_sequence, groups)):
        return [_positions(part, place) for part in groups]
    return groups


def is_sequence(value: Any) -> bool:
    """Whether an entry of a list is a group, and no label."""
    return isinstance(value, (list, tuple, range)) or _is_array(value)


def refuse_names(part: Any) -> None:
    """Raise an error where names of columns are left, which nobody knows."""
    array = np.asarray(part)
    if array.size and are_strings(array):
        raise ValueError(
            "The 'groups' parameter may name columns only where an estimator is fitted "
            "to a data frame with names, or after `with_columns` of a penalty. "
            f"Got {str(array.flat[0])!r}."
        )


class Named(Tunable):
    """Objects some of whose parameters may name columns."""

    def with_columns(self: N, columns: Sequence[str]) -> N:
        """The same penalty, with positions where groups name columns.

        Estimators call it with the names of the data frame that they are fitted to.

        Parameters
        ----------
        columns : sequence of str
            Names of the coefficients, in their order.

        Returns
        -------
        Penalty
            A new penalty, or this one if it has no groups.

        Raises
        ------
        ValueError
            For names that are no columns.
        """
        changes: dict[str, Any] = {}
        params = self.get_params(deep=False)
        for name, value in params.items():
            if name == "groups" and isinstance(value, (dict, list, tuple)):
                changes[name] = by_position(value, columns)
            elif isinstance(value, Named):
                inner = value.with_columns(columns)
                if inner is not value:
                    changes[name] = inner
        return type(self)(**{**params, **changes}) if changes else self


def _is_array(value: Any) -> bool:
    # a series of polars tells its shape, and no number of dimensions
    return len(getattr(value, "shape", ())) > 0


def are_strings(array: np.ndarray) -> bool:
    """Whether all entries are strings."""
    if array.dtype.kind in "US":
        return True
    return array.dtype.kind in "OT" and all(isinstance(x, str) for x in array.flat)


def _plain_part(part: Any) -> Any:
    single = isinstance(part, (str, int, np.integer)) and not isinstance(part, bool)
    if single:
        return [part]
    return np.array(plain_array(part, "groups")) if _is_array(part) else part


def _positions(part: Any, place: dict[str, int]) -> Any:
    array = np.asarray(part)
    if not array.size or not are_strings(array):
        return part
    names = [str(name) for name in array.reshape(-1)]
    for name in names:
        if name not in place:
            raise ValueError(
                f"The 'groups' parameter names a column {name!r}, which there is not. "
                f"Columns: {', '.join(map(repr, list(place)[:10]))}"
                + (", ..." if len(place) > 10 else ".")
            )
    return np.array([place[name] for name in names], dtype=np.int64)
