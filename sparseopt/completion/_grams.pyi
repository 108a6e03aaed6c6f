import numpy as np

def inverse_grams(
    ptr: np.ndarray,
    idx: np.ndarray,
    V: np.ndarray,
    w: np.ndarray | None,
    d: np.ndarray,
    unit: float,
    least: float,
    H: np.ndarray,
    chunks: np.ndarray,
    n_threads: int,
) -> None: ...
def block_products(
    H: np.ndarray, g: np.ndarray, z: np.ndarray, n_threads: int
) -> None: ...
