"""Potentials of blocks of the plan that no mass connects.

Such blocks can be shifted against each other, ``g + s`` and ``f - s`` in one of them,
within what the costs between them allow.  Prohibitive costs leave shifts as large as
themselves behind, beside which the digits of the other costs are lost.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from sparseopt.ot._problem import Duals, Problem
from sparseopt.ot._run import Run

_CONNECTED = 45.0  # reg units: entries below a_i exp(-45) connect nothing
_CHUNK = 1_000_000


def recentre(run: Run, reg: float, bearable: float) -> None:
    """Small potentials; block by block where their rounding would be felt at `reg`."""
    p, d = run.problem, run.duals
    d.recentre(p.shape[1])
    blurred = d.rounding(p, reg) > bearable and not math.isnan(d.reg)
    if blurred and recentre_blocks(p, d, d.reg):
        run.dense.evaluate(d, d.reg)


def recentre_blocks(problem: Problem, duals: Duals, reg: float) -> bool:
    """Shift each block's potentials as near to zero as the costs between allow.

    `duals` come from a pass at `reg`; afterwards they need another one.  False if there
    is one block only.
    """
    n, m = problem.shape
    label = _labels(problem, duals, reg)
    k = int(label.max()) + 1
    if k == 1 or k * k > problem.C.size:
        return False
    room = _room(problem, duals, label, k) - _CONNECTED * reg
    wanted = np.array(
        [-np.median(duals.g[:m][label[n:] == block]) for block in range(k)]
    )
    shift = _nearest(wanted, np.maximum(room, 0.0))
    duals.g[:m] += shift[label[n:]]
    duals.f -= shift[label[:n]]
    return True


def _labels(problem: Problem, duals: Duals, reg: float) -> np.ndarray:
    """Block of each row and column: components of the entries that hold mass."""
    n, m = problem.shape
    rows, columns = [np.empty(m, dtype=np.intp)], [np.arange(n, n + m)]
    lowest = np.full(m, np.inf)
    for part, slack in _slack(problem, duals):
        # each row and column has its mass somewhere, whatever rounding does to slacks
        best = slack.argmin(axis=0)
        value = slack[best, np.arange(m)]
        rows[0] = np.where(value < lowest, best + part.start, rows[0])
        lowest = np.minimum(lowest, value)
        least = slack.min(axis=1, keepdims=True)
        i, j = np.nonzero(slack <= np.maximum(least, 0.0) + _CONNECTED * reg)
        rows.append(i + part.start)
        columns.append(j + n)
    edges = np.concatenate(rows), np.concatenate(columns)
    size = n + m
    graph = sparse.csr_array((np.ones(len(edges[0]), bool), edges), shape=(size, size))
    return csgraph.connected_components(graph, directed=False)[1]


def _room(problem: Problem, duals: Duals, label: np.ndarray, k: int) -> np.ndarray:
    """Least slack from block to block: what ``s_l - s_k`` may grow by."""
    n = problem.shape[0]
    room = np.full((k, k), np.inf)
    order = np.argsort(label[n:], kind="stable")
    found, first = np.unique(label[n:][order], return_index=True)
    for part, slack in _slack(problem, duals):
        least = np.minimum.reduceat(slack[:, order], first, axis=1)
        np.minimum.at(room, (label[part][:, None], found), least)
    np.fill_diagonal(room, 0.0)
    return room


def _slack(problem: Problem, duals: Duals):
    n, m = problem.shape
    step = max(1, _CHUNK // m)
    for start in range(0, n, step):
        part = slice(start, min(start + step, n))
        yield part, problem.C[part] - duals.g[:m] - duals.f[part, None]


def _nearest(wanted: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Largest shifts below `wanted` with ``s_l <= s_k + room_kl``: shortest paths."""
    k = len(wanted)
    graph = np.full((k + 1, k + 1), np.inf)
    graph[:k, :k] = room
    # from a source, all edges made non-negative
    base = wanted.min()
    graph[k, :k] = wanted - base
    dense = csgraph.csgraph_from_dense(graph, null_value=np.inf)
    return base + csgraph.dijkstra(dense, indices=k)[:k]
