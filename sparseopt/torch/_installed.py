"""Imported first, so that a missing torch is reported with what to install."""

from sparseopt._core._optional import require

require("torch", "sparseopt.torch", extra="torch")
