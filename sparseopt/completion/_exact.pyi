import numpy as np

FAILED: int

def exact_rows(
    ptr: np.ndarray,
    idx: np.ndarray,
    x: np.ndarray,
    w: np.ndarray | None,
    V: np.ndarray,
    A: np.ndarray,
    d: np.ndarray,
    free: np.ndarray,
    scale: np.ndarray | None,
    k: int,
    short_rows: int,
    rss: np.ndarray,
    drop: np.ndarray,
    state: np.ndarray,
    chunks: np.ndarray,
    n_threads: int,
    tries: int = ...,
    floor: float = ...,
) -> None: ...
def nonnegative_rows(
    ptr: np.ndarray,
    idx: np.ndarray,
    x: np.ndarray,
    w: np.ndarray | None,
    V: np.ndarray,
    A: np.ndarray,
    d: np.ndarray,
    free: np.ndarray,
    scale: np.ndarray | None,
    k: int,
    sweeps: int,
    tol: float,
    rss: np.ndarray,
    drop: np.ndarray,
    chunks: np.ndarray,
    n_threads: int,
) -> None: ...
