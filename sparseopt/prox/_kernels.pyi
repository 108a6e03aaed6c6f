import numpy as np

DONE: int
BAD: int
RANGE: int
FILTER: int
MEASURE: int

def set_simd_level(level: int) -> str: ...
def envelope_root_d(
    x: np.ndarray, k: float, b: float, c: float, any_scale: bool, n_threads: int
) -> tuple[int, float]: ...
def envelope_root_s(
    x: np.ndarray, k: float, b: float, c: float, any_scale: bool, n_threads: int
) -> tuple[int, float]: ...
def envelope_prox_d(
    x: np.ndarray, w: np.ndarray, k: float, b: float, c: float, n_threads: int
) -> tuple[int, float]: ...
def envelope_prox_s(
    x: np.ndarray, w: np.ndarray, k: float, b: float, c: float, n_threads: int
) -> tuple[int, float]: ...
def shrink_d(
    x: np.ndarray,
    w: np.ndarray,
    tau: float,
    alpha: float,
    low: float,
    high: float,
    n_threads: int,
) -> None: ...
def shrink_s(
    x: np.ndarray,
    w: np.ndarray,
    tau: float,
    alpha: float,
    low: float,
    high: float,
    n_threads: int,
) -> None: ...
def simplex_d(
    x: np.ndarray,
    w: np.ndarray,
    total: float,
    cap: float,
    absolute: bool,
    any_scale: bool,
    n_threads: int,
) -> tuple[int, float]: ...
def simplex_s(
    x: np.ndarray,
    w: np.ndarray,
    total: float,
    cap: float,
    absolute: bool,
    any_scale: bool,
    n_threads: int,
) -> tuple[int, float]: ...
def general_root(
    enter: np.ndarray, full: np.ndarray, slope: np.ndarray, target: float
) -> float: ...
def weighted_prox_d(
    x: np.ndarray,
    w: np.ndarray,
    d: np.ndarray | None,
    q: np.ndarray | None,
    weight: float,
    lam: float,
    debias: float,
    target: float,
    shares: np.ndarray | None,
    n_threads: int = ...,
) -> tuple[int, float]: ...
def weighted_prox_s(
    x: np.ndarray,
    w: np.ndarray,
    d: np.ndarray | None,
    q: np.ndarray | None,
    weight: float,
    lam: float,
    debias: float,
    target: float,
    shares: np.ndarray | None,
    n_threads: int = ...,
) -> tuple[int, float]: ...
def weighted_factors(
    r: np.ndarray,
    factors: np.ndarray,
    d: np.ndarray | None,
    q: np.ndarray | None,
    weight: float,
    lam: float,
    debias: float,
    target: float,
    shares: np.ndarray | None,
    n_threads: int = ...,
) -> tuple[int, float]: ...
