import numpy as np

class Model:
    def __init__(
        self, arrays: dict[str, np.ndarray], positive: bool, fit_intercept: bool
    ) -> None: ...
    def refresh(self) -> None: ...

def dense_epoch(model: Model, X: np.ndarray, cols: np.ndarray) -> float: ...
def sparse_epoch(
    model: Model,
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    cols: np.ndarray,
) -> float: ...
