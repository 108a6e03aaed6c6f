import numpy as np

SOFT: int
SOFT_POS: int
WSOFT: int
WSOFT_POS: int
FIRM: int
SCAD: int
LOG_SUM: int
HALF: int
TWO_THIRDS: int
POWER: int
POWER_CONVEX: int
HUBER: int
HINGE: int
SQ_HINGE: int
PINBALL: int
LOGISTIC: int
KL: int
SHRINK: int
CLIP: int
BALL: int

def set_simd_level(level: int) -> str: ...
def apply(
    kind: int, x: np.ndarray, y: np.ndarray | None, p: np.ndarray, out: np.ndarray
) -> bool: ...
def group_map(
    kind: int,
    m: int,
    g: int,
    idx: np.ndarray | None,
    ptr: np.ndarray | None,
    x: np.ndarray,
    weights: np.ndarray | None,
    lam: float,
    l1: float,
    largest: int,
    out: np.ndarray,
) -> bool: ...
