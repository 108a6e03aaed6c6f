from typing import Any

import numpy as np

LOSSES: dict[str, int]
PENALTIES: dict[str, int]

class Work:
    def __init__(
        self,
        arrays: dict[str, np.ndarray],
        loss: str,
        delta: float,
        penalty: str,
        numbers: tuple[float, float, float, float],
        positive: bool,
        step: float,
        step_b: float,
        saga: bool,
        seed: int,
    ) -> None: ...
    def finish(self) -> None: ...

def sparse_steps(
    work: Work,
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    shares: np.ndarray,
    n_steps: int,
) -> None: ...
def dense_steps(
    work: Work, X: np.ndarray, shares: np.ndarray, n_steps: int
) -> None: ...

__test__: dict[str, Any]
