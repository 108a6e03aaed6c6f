import numpy as np

def set_simd_level(level: int) -> str: ...
def envelope_rows(
    x: np.ndarray,
    w: np.ndarray,
    k: float,
    b: float,
    c: float,
    left: np.ndarray,
    n_threads: int,
) -> None: ...
def simplex_rows(
    x: np.ndarray,
    w: np.ndarray,
    total: float,
    cap: float,
    absolute: bool,
    left: np.ndarray,
    n_threads: int,
) -> None: ...
def norm_multiplier(x: np.ndarray, k: float, size: float, ball: bool) -> float: ...
def norm_rows(
    x: np.ndarray,
    w: np.ndarray,
    k: float,
    size: float,
    ball: bool,
    left: np.ndarray,
    n_threads: int,
) -> None: ...
