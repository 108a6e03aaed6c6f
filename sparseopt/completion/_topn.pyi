import numpy as np

def offer(
    x: np.ndarray,
    first: int,
    score: np.ndarray,
    ids: np.ndarray,
    ptr: np.ndarray | None,
    idx: np.ndarray | None,
    at: np.ndarray | None,
) -> None: ...
def finish(score: np.ndarray, ids: np.ndarray) -> None: ...
