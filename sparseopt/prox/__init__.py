"""Proximal operators, projections and penalties."""

from sparseopt.prox._groups import Groups
from sparseopt.prox._penalty import Penalty
from sparseopt.prox._wgsef import EnvelopeInfo, prox_wgsef
from sparseopt.prox._wgsef_value import wgsef_conjugate, wgsef_subgradient, wgsef_value

__all__ = [
    "EnvelopeInfo",
    "Groups",
    "Penalty",
    "prox_wgsef",
    "wgsef_conjugate",
    "wgsef_subgradient",
    "wgsef_value",
]
