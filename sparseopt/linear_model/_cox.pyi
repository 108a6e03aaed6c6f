import numpy as np

def risk_sums(
    terms: np.ndarray,
    stratum: np.ndarray,
    dead: np.ndarray,
    start: np.ndarray,
    logs: np.ndarray,
    share: np.ndarray,
) -> None: ...
def log_value(
    logs: np.ndarray, share: np.ndarray, weight: np.ndarray, steps: np.ndarray
) -> float: ...
def cumulative(
    logs: np.ndarray,
    share: np.ndarray,
    weight: np.ndarray,
    steps: np.ndarray,
    first: np.ndarray,
    hazard: np.ndarray,
    of_dead: np.ndarray,
) -> None: ...
def risk_means(
    terms: np.ndarray,
    stratum: np.ndarray,
    dead: np.ndarray,
    start: np.ndarray,
    weight: np.ndarray,
    steps: np.ndarray,
    A: np.ndarray,
    sums: np.ndarray,
    out: np.ndarray,
) -> None: ...
def conjugate_terms(
    left: np.ndarray,
    dead: np.ndarray,
    weight: np.ndarray,
    steps: np.ndarray,
    first: np.ndarray,
    slack: float,
) -> float: ...
