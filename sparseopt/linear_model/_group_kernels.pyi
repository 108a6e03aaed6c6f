import numpy as np

def set_simd_level(level: int) -> str: ...
def bcd_columns(
    A: np.ndarray,
    e: np.ndarray,
    w: np.ndarray,
    ptr: np.ndarray,
    H: np.ndarray,
    where: np.ndarray,
    top: np.ndarray,
    lam: np.ndarray,
    lam1: np.ndarray,
    groups: np.ndarray,
    work: np.ndarray,
    n_epochs: int,
    tol: float,
) -> int: ...
