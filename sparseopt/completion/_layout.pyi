import numpy as np

def count(ids: np.ndarray, n: int, ptr: np.ndarray) -> int: ...
def scatter(
    ids: np.ndarray,
    others: np.ndarray,
    x: np.ndarray,
    head: np.ndarray,
    idx: np.ndarray,
    val: np.ndarray,
    perm: np.ndarray | None,
) -> None: ...
def transpose(
    ptr: np.ndarray,
    idx: np.ndarray,
    x: np.ndarray,
    head: np.ndarray,
    tidx: np.ndarray,
    tval: np.ndarray,
    perm: np.ndarray | None,
) -> None: ...
def first_duplicate(ptr: np.ndarray, idx: np.ndarray) -> int: ...
def is_sorted(ptr: np.ndarray, idx: np.ndarray) -> bool: ...
