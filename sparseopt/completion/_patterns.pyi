import numpy as np

def fill(
    L: np.ndarray,
    G: np.ndarray,
    starts: np.ndarray,
    rows: np.ndarray,
    places: np.ndarray,
    missing: np.ndarray,
    w: np.ndarray,
    Z: np.ndarray,
    C: np.ndarray,
    quad: np.ndarray,
    logdet: np.ndarray,
    moved: np.ndarray,
    chunks: np.ndarray,
    n_threads: int,
) -> bool: ...
def own_precisions(
    L: np.ndarray,
    starts: np.ndarray,
    rows: np.ndarray,
    places: np.ndarray,
    missing: np.ndarray,
    out: np.ndarray,
) -> bool: ...
def neighbour_means(
    D: np.ndarray,
    Z: np.ndarray,
    seen: np.ndarray,
    donors: np.ndarray,
    has: np.ndarray,
    w: np.ndarray,
    k: int,
    floor: float,
    out: np.ndarray,
    n_threads: int,
) -> None: ...
