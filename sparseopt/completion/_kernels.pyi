from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

LINE: int

def set_simd_level(level: int) -> str: ...
def aligned(
    shape: Sequence[int], dtype: Any, make: Callable[..., np.ndarray] = ...
) -> np.ndarray: ...
def workspaces(n_threads: int, size: int, dtype: Any) -> np.ndarray: ...
def cg_rows(
    ptr: np.ndarray,
    idx: np.ndarray,
    x: np.ndarray,
    w: np.ndarray | None,
    V: np.ndarray,
    A: np.ndarray,
    d: np.ndarray,
    g: np.ndarray,
    mask: np.ndarray,
    scale: np.ndarray | None,
    steps: int,
    tol: float,
    rss: np.ndarray,
    drop: np.ndarray,
    chunks: np.ndarray,
    n_threads: int,
    base: np.ndarray | None = None,
) -> None: ...
def product_rows(
    ptr: np.ndarray,
    idx: np.ndarray,
    x: np.ndarray | None,
    w: np.ndarray | None,
    V: np.ndarray,
    A: np.ndarray,
    r: np.ndarray | None,
    Y: np.ndarray | None,
    rss: np.ndarray | None,
    chunks: np.ndarray,
    n_threads: int,
) -> None: ...
def spmm_rows(
    ptr: np.ndarray,
    idx: np.ndarray,
    x: np.ndarray,
    V: np.ndarray,
    Y: np.ndarray,
    chunks: np.ndarray,
    n_threads: int,
) -> None: ...
