from collections.abc import Callable

import numpy as np

def set_simd_level(level: int) -> str: ...
def exchange(
    G: np.ndarray,
    c0: np.ndarray,
    total: float,
    ptr: np.ndarray,
    block: np.ndarray,
    active: np.ndarray,
    start: int,
    fixed: int,
    size: int,
    rtol: float,
    patience: int,
    tenure: int,
    max_steps: int,
    work: np.ndarray,
    marks: np.ndarray,
    expired: Callable[[], bool],
) -> tuple[int, int, float]: ...
def exchange_gains(
    V: np.ndarray,
    M: np.ndarray,
    b: np.ndarray,
    c: np.ndarray,
    S: np.ndarray,
    least: np.ndarray,
    ptr: np.ndarray,
    block: np.ndarray,
    who: np.ndarray,
    leaving: np.ndarray,
    work: np.ndarray,
    gains: np.ndarray,
) -> None: ...
def work_sizes(m: int, q: int, w: int, size: int) -> tuple[int, int]: ...
