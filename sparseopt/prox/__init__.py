"""Proximal operators, projections and penalties."""

from sparseopt.prox._groups import Groups
from sparseopt.prox._penalty import Penalty

__all__ = ["Groups", "Penalty"]
