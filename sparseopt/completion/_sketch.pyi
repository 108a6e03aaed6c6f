import numpy as np

FAILED: int

def sketched_rows(
    ptr: np.ndarray,
    idx: np.ndarray,
    x: np.ndarray,
    w: np.ndarray | None,
    V: np.ndarray,
    A: np.ndarray,
    k: int,
    size: int,
    longest: int,
    seed: int,
    tol: float,
    singular: float,
    steps: np.ndarray,
    chunks: np.ndarray,
    n_threads: int,
) -> None: ...
def sketch_of(
    idx: np.ndarray,
    x: np.ndarray,
    w: np.ndarray | None,
    V: np.ndarray,
    k: int,
    size: int,
    seed: int,
    row: int,
) -> np.ndarray: ...
