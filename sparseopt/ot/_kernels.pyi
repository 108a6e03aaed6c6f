from typing import Any

import numpy as np

BLOCK: int

def set_simd_level(level: int) -> str: ...
def padded(m: int) -> int: ...
def row_blocks(n: int, m: int) -> np.ndarray: ...
def support_blocks(ptr: np.ndarray, mp: int) -> np.ndarray: ...
def dense_pass(
    C: np.ndarray,
    a: np.ndarray,
    loga: np.ndarray,
    inv_eps: float,
    f: np.ndarray,
    g: np.ndarray,
    c: np.ndarray,
    rows: np.ndarray,
    fast: bool,
    n_threads: int,
) -> None: ...
def plan_entries(
    C: np.ndarray,
    inv_eps: float,
    f: np.ndarray,
    g: np.ndarray,
    K: np.ndarray,
    rows: np.ndarray,
    n_threads: int,
) -> None: ...
def scaling_pass(
    K: np.ndarray,
    a: np.ndarray,
    v: np.ndarray,
    u: np.ndarray,
    c: np.ndarray,
    rows: np.ndarray,
    n_threads: int,
) -> None: ...
def certificate(
    C: np.ndarray,
    inv_eps: float,
    f: np.ndarray,
    g: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    rows: np.ndarray,
    n_threads: int,
) -> np.ndarray: ...
def dense_hess_vec(
    C: np.ndarray,
    a: np.ndarray,
    inv_eps: float,
    f: np.ndarray,
    g: np.ndarray,
    x: np.ndarray | None,
    y: np.ndarray,
    rows: np.ndarray,
    n_threads: int,
) -> None: ...
def support_count(
    C: np.ndarray,
    f: np.ndarray,
    g: np.ndarray,
    slack: np.ndarray,
    rows: np.ndarray,
    n_threads: int,
) -> np.ndarray: ...
def support_fill(
    C: np.ndarray,
    f: np.ndarray,
    g: np.ndarray,
    slack: np.ndarray,
    rows: np.ndarray,
    ptr: np.ndarray,
    n_threads: int,
) -> np.ndarray: ...
def support_eval(
    C: np.ndarray,
    ptr: np.ndarray,
    blk: np.ndarray,
    a: np.ndarray,
    loga: np.ndarray,
    inv_eps: float,
    f: np.ndarray,
    g: np.ndarray,
    c: np.ndarray,
    E: np.ndarray,
    rows: np.ndarray,
    n_threads: int,
) -> None: ...
def support_refine(
    ptr: np.ndarray,
    blk: np.ndarray,
    E: np.ndarray,
    a: np.ndarray,
    tau: float,
    rows: np.ndarray,
    n_threads: int,
) -> tuple[np.ndarray, np.ndarray]: ...

class Laplacian:
    d: np.ndarray
    drop: np.ndarray
    nnz: int
    def __init__(
        self,
        ptr: np.ndarray,
        blk: np.ndarray,
        E: np.ndarray,
        a: np.ndarray,
        mp: int,
        tau: float,
        rows: np.ndarray,
        n_threads: int,
    ) -> None: ...

class ConjugateGradients:
    x_array: np.ndarray
    n_iter: int
    stalled: bool
    residual: float
    def __init__(
        self, extra: np.ndarray, inv_d: np.ndarray, rhs: np.ndarray
    ) -> None: ...
    def run(self, H: Laplacian, rtol: float, max_iter: int, n_threads: int) -> bool: ...
    def run_dense(
        self,
        C: Any,
        a: np.ndarray,
        inv_eps: float,
        f: np.ndarray,
        g: np.ndarray,
        rtol: float,
        rows: np.ndarray,
        n_threads: int,
    ) -> bool: ...
