"""Proximal operators, projections and penalties."""

from sparseopt.prox._groups import Groups
from sparseopt.prox._ksupport import (
    project_ksupport_ball,
    prox_box_norm,
    prox_ksupport,
)
from sparseopt.prox._penalty import Penalty
from sparseopt.prox._simplex import (
    project_capped_simplex,
    project_l1_ball,
    project_simplex,
)
from sparseopt.prox._wgsef import EnvelopeInfo, prox_wgsef
from sparseopt.prox._wgsef_blocks import prox_wgsef_blocks
from sparseopt.prox._wgsef_jvp import prox_wgsef_jvp
from sparseopt.prox._wgsef_value import wgsef_conjugate, wgsef_subgradient, wgsef_value

__all__ = [
    "EnvelopeInfo",
    "Groups",
    "Penalty",
    "project_capped_simplex",
    "project_ksupport_ball",
    "project_l1_ball",
    "project_simplex",
    "prox_box_norm",
    "prox_ksupport",
    "prox_wgsef",
    "prox_wgsef_blocks",
    "prox_wgsef_jvp",
    "wgsef_conjugate",
    "wgsef_subgradient",
    "wgsef_value",
]
