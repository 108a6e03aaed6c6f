"""Penalties of the group norms of a layer, on tensors.

A penalty of groups depends on their norms r only, so its proximal operator multiplies
each group by ``prox(r) / r``.  The step is a proximal step in the metric of the
optimizer: with a number p_j > 0, the precision, for each group,

    minimise  sum_j p_j / 2 |w_j - z_j|^2 + lam * P(|w_1|, ..., |w_m|).

Substituting ``v_j = sqrt(p_j) w_j`` turns it into a plain proximal step with weights.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from sparseopt._core._array_api import SUPPORT
from sparseopt.prox import Penalty, prox_wgsef, wgsef_subgradient

Number = Any  # float, or a tensor that broadcasts with the norms

# Whether the function takes tensors where they are; on a processor the compiled
# kernels are faster in any case.
ON_DEVICE = "torch" in SUPPORT.get("prox.prox_wgsef", ())

# A debiased step is exact as long as debias * lam * d_j / p_j < 1 for every group.
_LARGEST = 0.95
# Products of lam and weights beyond act like those at the ends.
_RANGE = 1e-30, 1e30
# Where lam = "auto" ends.  At 1 a step would be the projection on k groups.
_TARGET = 0.5


class Term:
    """A penalty with its group weights d (None: ones)."""

    d: torch.Tensor | None = None
    needs_k = False

    def factor(self, r: torch.Tensor, lam: Number, p: Number) -> torch.Tensor:
        """Numbers in [0, 1] by which the proximal step multiplies the groups."""
        raise NotImplementedError

    def slope(self, r: torch.Tensor) -> float | None:
        """Norm of a subgradient at a point with these group norms, if known."""
        return None

    def ceiling(self, r: torch.Tensor, p: Number) -> Number | None:
        """Where an automatic lam ends; None where it stays at its start."""
        return None

    def score(self, r: torch.Tensor) -> torch.Tensor:
        """What decides which groups a cut keeps: the larger."""
        return r if self.d is None else r * self.d.sqrt()


class WGSEFTerm(Term):
    """Group sparse envelope, less `debias` times its quadratic part."""

    needs_k = True

    def __init__(self, k: int, d: torch.Tensor | None, debias: float) -> None:
        self.k, self.d, self.debias = k, d, debias

    def _shrinkage(self, r: torch.Tensor, p: Number) -> Number:
        """Ratios d / p, the largest of which decides how large lam may be."""
        if self.d is None:
            return 1.0 / p
        return self.d.to(r.dtype) / p

    def _largest(self, r: torch.Tensor, p: Number) -> Number:
        shrinkage = self._shrinkage(r, p)
        if not torch.is_tensor(shrinkage) or shrinkage.ndim == 0:
            return shrinkage
        # groups that are zero already do not limit the others
        return torch.where(r > 0, shrinkage, 0.0).max()

    def factor(self, r, lam, p):
        if self.debias > 0:
            lam = _smaller(lam, _LARGEST / (self.debias * self._largest(r, p)))
        b = lam * self._shrinkage(r, p)
        if not torch.is_tensor(b) or b.ndim == 0:
            shrunk = _envelope(r, self.k, float(b), None, self.debias)
            return torch.where(r == 0, 0.0, shrunk / r)
        b = torch.where(r > 0, b, b.mean().clamp(max=_LARGEST))
        b = b.nan_to_num(nan=0.0).clamp(*_RANGE)  # what is NaN is so in r as well
        v = self.score(r) / b.sqrt()
        shrunk = _envelope(v, self.k, 1.0, b, self.debias)
        return torch.where(v == 0, 0.0, shrunk / v)

    def slope(self, r):
        norms = r.detach().double().cpu().numpy()
        d = None if self.d is None else self.d.double().cpu().numpy()
        y = wgsef_subgradient(norms, self.k, weights=d)
        return float(
            np.linalg.norm(y - self.debias * norms * (1.0 if d is None else d))
        )

    def ceiling(self, r, p):
        if self.debias == 0:
            return None
        return _TARGET / (self.debias * self._largest(r, p))


def _envelope(
    r: torch.Tensor, k: int, lam: float, weights: torch.Tensor | None, debias: float
) -> torch.Tensor:
    """`prox_wgsef` of a vector of norms; what is not finite makes all of it NaN."""
    if ON_DEVICE and r.device.type != "cpu":
        return prox_wgsef(r, k, lam, weights=weights, debias=debias, check_finite=False)
    w = prox_wgsef(
        r.detach().cpu().numpy(),
        k,
        lam,
        weights=None if weights is None else weights.detach().cpu().numpy(),
        debias=debias,
        check_finite=False,
    )
    return torch.as_tensor(w, device=r.device)


def _smaller(lam: Number, limit: Number) -> Number:
    if not torch.is_tensor(limit):
        return lam.clamp(max=limit) if torch.is_tensor(lam) else min(lam, limit)
    if torch.is_tensor(lam):
        return torch.minimum(lam, limit)
    return limit.clamp(max=min(lam, torch.finfo(limit.dtype).max))


class NormTerm(Term):
    """Weighted sum of the group norms: group lasso, or l1 where groups are entries."""

    def __init__(self, d: torch.Tensor | None) -> None:
        self.d = d

    def factor(self, r, lam, p):
        threshold = lam * (1.0 if self.d is None else self.d.to(r.dtype)) / p
        return torch.where(r == 0, 0.0, (1.0 - threshold / r).clamp(min=0.0))

    def slope(self, r):
        d = torch.ones_like(r) if self.d is None else self.d.to(r.dtype)
        return float(torch.where(r > 0, d, 0.0).norm())

    def score(self, r):
        return r


class BallTerm(Term):
    """At most k groups: iterative hard thresholding."""

    needs_k = True

    def __init__(self, k: int, d: torch.Tensor | None) -> None:
        self.k, self.d = k, d

    def factor(self, r, lam, p):
        best = (r * r * p).topk(self.k).indices
        return torch.zeros_like(r).index_fill_(0, best, 1.0)


class PenaltyTerm(Term):
    """A `sparseopt.prox.Penalty` of the vector of group norms, through NumPy."""

    def __init__(self, penalty: Penalty) -> None:
        self.penalty = penalty

    def factor(self, r, lam, p):
        norms = r.detach().double().cpu().numpy()
        step = float(lam / p)
        if not math.isfinite(step):  # a training that diverges has to be seen
            return torch.full_like(r, torch.nan)
        shrunk = self.penalty.prox(norms, step)
        with np.errstate(invalid="ignore", divide="ignore"):
            factor = np.where(norms == 0, 0.0, np.abs(shrunk) / norms)
        return torch.as_tensor(factor, dtype=r.dtype, device=r.device)


def make_term(
    penalty: Any, k: int | None, d: torch.Tensor | None, debias: float
) -> Term:
    """Term for a name of the 'penalty' parameter or a penalty object."""
    if isinstance(penalty, Penalty):
        return PenaltyTerm(penalty)
    if penalty in ("wgsef", "l0_ball"):
        assert k is not None
        return WGSEFTerm(k, d, debias) if penalty == "wgsef" else BallTerm(k, d)
    return NormTerm(d)


def count_of(k: Any, m: int, owner: str) -> int | None:
    """Number of groups from an int or a fraction of them."""
    if k is None:
        return None
    if isinstance(k, (float, np.floating)):
        if not 0 < k <= 1:
            raise ValueError(
                f"The 'k' parameter of {owner}, where it is a fraction of the groups, "
                f"must be a float in (0, 1]. Got {k}."
            )
        # 0.1 of 30 is 3, although 0.1 * 30 is a little more
        return max(1, math.ceil(round(float(k) * m, 9)))
    if isinstance(k, (bool, np.bool_)) or not isinstance(k, (int, np.integer)):
        raise TypeError(
            f"The 'k' parameter of {owner} must be an int or a float. Got {k!r}."
        )
    if not 1 <= k <= m:
        raise ValueError(
            f"The 'k' parameter of {owner} must be an int in [1, {m}], the number of "
            f"groups, or a fraction of them. Got {k}."
        )
    return int(k)
