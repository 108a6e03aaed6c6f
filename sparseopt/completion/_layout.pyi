import numpy as np

def count(ids: np.ndarray, n: int, ptr: np.ndarray) -> int: ...
def is_ascending(ids: np.ndarray) -> bool: ...
def scatter(
    ids: np.ndarray,
    others: np.ndarray,
    x: np.ndarray,
    head: np.ndarray,
    idx: np.ndarray,
    val: np.ndarray,
    source: np.ndarray,
) -> None: ...
def transpose(
    ptr: np.ndarray,
    idx: np.ndarray,
    x: np.ndarray,
    head: np.ndarray,
    tidx: np.ndarray,
    tval: np.ndarray,
    source: np.ndarray,
    target: np.ndarray,
) -> None: ...
def count_duplicates(ptr: np.ndarray, idx: np.ndarray) -> tuple[int, int]: ...
def runs(
    ptr: np.ndarray, idx: np.ndarray, starts: np.ndarray, ptr_out: np.ndarray
) -> None: ...
def is_sorted(ptr: np.ndarray, idx: np.ndarray) -> bool: ...
