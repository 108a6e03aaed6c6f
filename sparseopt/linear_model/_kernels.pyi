import numpy as np

KINDS: dict[str, int]

def set_simd_level(level: int) -> str: ...
def prox_coordinates(
    u: np.ndarray,
    t: np.ndarray,
    kind: int,
    lam: float,
    p0: float,
    p1: float,
    positive: bool,
    out: np.ndarray,
) -> None: ...
def cd_gram(
    H: np.ndarray,
    g: np.ndarray,
    w: np.ndarray,
    weights: np.ndarray,
    kind: int,
    lam: float,
    p0: float,
    p1: float,
    positive: bool,
    n_epochs: int,
    tol: float,
) -> tuple[int, float]: ...
def add_rows(
    H: np.ndarray, rows: np.ndarray, step: np.ndarray, g: np.ndarray
) -> None: ...
def cd_dense(
    A: np.ndarray,
    e: np.ndarray,
    w: np.ndarray,
    square: np.ndarray,
    weights: np.ndarray,
    kind: int,
    lam: float,
    p0: float,
    p1: float,
    positive: bool,
    n_epochs: int,
    tol: float,
) -> tuple[int, float]: ...
def cd_csc(
    data: np.ndarray,
    rows: np.ndarray,
    ptr: np.ndarray,
    e: np.ndarray,
    offset: np.ndarray,
    mean: np.ndarray,
    w: np.ndarray,
    square: np.ndarray,
    weights: np.ndarray,
    kind: int,
    lam: float,
    p0: float,
    p1: float,
    positive: bool,
    n_epochs: int,
    tol: float,
) -> tuple[int, float]: ...
def bcd_gram(
    H: np.ndarray,
    g: np.ndarray,
    w: np.ndarray,
    ptr: np.ndarray,
    top: np.ndarray,
    lam_group: np.ndarray,
    lam1: np.ndarray,
    work: np.ndarray,
    n_epochs: int,
    tol: float,
) -> tuple[int, float]: ...
def column_dots(
    X: np.ndarray,
    r: np.ndarray,
    cols: np.ndarray,
    out: np.ndarray,
    every: bool,
    n_threads: int,
) -> None: ...
def column_moments(
    X: np.ndarray,
    s: np.ndarray,
    square: np.ndarray,
    mean: np.ndarray,
    n_threads: int,
) -> None: ...
def csc_dots(
    data: np.ndarray,
    rows: np.ndarray,
    ptr: np.ndarray,
    r: np.ndarray,
    cols: np.ndarray,
    out: np.ndarray,
    every: bool,
    n_threads: int,
) -> None: ...
def row_dots(X: np.ndarray, r: np.ndarray, out: np.ndarray, n_threads: int) -> None: ...
