"""Optimal transport: entropic plans to machine precision by sparse Newton methods."""

from sparseopt.ot._api import solve
from sparseopt.ot._estimators import SinkhornTransport
from sparseopt.ot._result import OTResult

__all__ = ["OTResult", "SinkhornTransport", "solve"]
