"""The named transport problems that benchmarks, tests and docs share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from sparseopt.datasets._ot import (
    OTProblem,
    make_assignment,
    make_clouds,
    make_digits_pair,
    make_faces_pair,
    make_grid_pair,
)


class OTBenchmarkProblem(NamedTuple):
    """Transport problem with the regularisation it is measured at.

    Parameters
    ----------
    C : ndarray of shape (n, m)
        Cost, largest entry at most 1.
    a : ndarray of shape (n,)
        Source marginal.
    b : ndarray of shape (m,)
        Target marginal.
    reg : float
        Entropic regularisation in the units of `C`.
    name : str
        Key in `ot_benchmark_names`.

    Examples
    --------
    >>> from sparseopt.datasets import ot_benchmark_set
    >>> problem = next(ot_benchmark_set())
    >>> problem.name, problem.C.shape
    ('assignment-500', (500, 500))
    """

    C: np.ndarray
    a: np.ndarray
    b: np.ndarray
    reg: float
    name: str


class _Entry(NamedTuple):
    reg: float
    large: bool  # left out of the quick set
    make: Callable[[], OTProblem]


def _table() -> dict[str, _Entry]:
    table = {}

    def add(
        name: str, reg: float, make: Callable[[], OTProblem], large: bool = False
    ) -> None:
        table[name] = _Entry(reg, large, make)

    # The order of the published comparisons: fixed regularisation, growing size.
    for n in (500, 1000, 2000, 4000):
        add(f"assignment-{n}", 1 / 1200, partial(_assignment, n), n > 1000)
    for size in (28, 45, 64):
        add(f"grid-l2-{size**2}", 1e-3, partial(make_grid_pair, size), size > 28)
    for size in (28, 45, 64):
        add(f"grid-l1-{size**2}", 1e-3, partial(_grid_l1, size), size > 28)
    add("digits-l2", 1 / 1200, make_digits_pair)
    add("digits-l1", 1 / 1200, lambda: make_digits_pair(metric="cityblock"))
    add("faces-l2", 1e-3, make_faces_pair)
    for n in (1000, 2000, 4000):
        add(f"clouds-{n}", 1e-3, partial(make_clouds, n, random_state=1), n > 1000)
    # One problem, regularisation over four decades.
    for reg in (1e-1, 1e-2, 1e-4):
        add(f"grid-l2-784-reg{reg:.0e}", reg, lambda: make_grid_pair(28))
    for reg in (1e-1, 1e-2, 1e-4):
        add(f"assignment-1000-reg{reg:.0e}", reg, lambda: _assignment(1000))
    # Problems on which no constant of the solver was chosen.
    for k in range(3):
        add(f"unseen-crop-l1-289-{k}", 1e-3, partial(_crop, k))
    add("unseen-clouds-1d", 1e-3, lambda: make_clouds(1000, dim=1, random_state=2))
    add("unseen-clouds-10d", 1e-3, lambda: make_clouds(1000, dim=10, random_state=3))
    add("unseen-clusters", 1e-3, lambda: _clouds(1000, n_clusters=12))
    add("unseen-clouds-3000x50", 1e-3, lambda: _clouds(3000, 50))
    add("unseen-heavy-tailed", 1e-3, lambda: _clouds(1000, weights="heavy"))
    add("unseen-low-rank", 1e-3, lambda: make_assignment(1000, rank=3, random_state=5))
    add("unseen-euclidean", 1e-3, lambda: _clouds(1000, metric="euclidean"))
    return table


def _assignment(n: int) -> OTProblem:
    return make_assignment(n, random_state=n)


def _grid_l1(size: int) -> OTProblem:
    return make_grid_pair(size, "cityblock")


def _clouds(n: int, m: int | None = None, **options: Any) -> OTProblem:
    return make_clouds(n, m, random_state=4, **options)


def _crop(k: int) -> OTProblem:
    images = (("camera", "camera"), ("moon", "brick"), ("gravel", "coins"))[k]
    return make_grid_pair(17, "cityblock", images=images, crop=17, random_state=k)


_TABLE = _table()


def ot_benchmark_names(quick: bool = False) -> tuple[str, ...]:
    """List the names of the transport benchmark problems, in order.

    Parameters
    ----------
    quick : bool, default=False
        Leave out the large ones.

    Returns
    -------
    tuple of str
        Keys for the `names` parameter of `ot_benchmark_set`.

    Examples
    --------
    >>> from sparseopt.datasets import ot_benchmark_names
    >>> ot_benchmark_names()[:2]
    ('assignment-500', 'assignment-1000')
    """
    return tuple(key for key, entry in _TABLE.items() if not (quick and entry.large))


def ot_benchmark_set(
    quick: bool = False, *, names: Sequence[str] | None = None
) -> Iterator[OTBenchmarkProblem]:
    """Transport problems on which solvers are compared, built one at a time.

    Random assignments, image grids with squared Euclidean and L1 cost, digits, faces
    and Gaussian clouds up to n = 4096, one regularisation sweep, and problems called
    `unseen-...` on which no solver constant was tuned.

    Parameters
    ----------
    quick : bool, default=False
        Leave out the large ones.
    names : sequence of str, optional
        Only these problems, in this order; `quick` is then not used.

    Returns
    -------
    iterator of OTBenchmarkProblem
        Cost, marginals, regularisation and name.

    Examples
    --------
    >>> from sparseopt.datasets import ot_benchmark_set
    >>> for C, a, b, reg, name in ot_benchmark_set(names=["assignment-500"]):
    ...     print(name, C.shape, round(reg, 6))
    assignment-500 (500, 500) 0.000833
    """
    names = ot_benchmark_names(quick) if names is None else tuple(names)
    unknown = [name for name in names if name not in _TABLE]
    if unknown:
        raise ValueError(
            "The 'names' parameter of sparseopt.datasets.ot_benchmark_set must be "
            f"names from ot_benchmark_names(). Got {unknown[0]!r}."
        )
    return _problems(names)


def _problems(names: Sequence[str]) -> Iterator[OTBenchmarkProblem]:
    for name in names:
        entry = _TABLE[name]
        problem = entry.make()
        yield OTBenchmarkProblem(problem.C, problem.a, problem.b, entry.reg, name)
