"""Proximal operators that can be differentiated."""

from __future__ import annotations

from typing import Any

import torch

from sparseopt.prox import Groups
from sparseopt.prox import prox_wgsef as _prox_wgsef
from sparseopt.torch._terms import ON_DEVICE


def prox_wgsef(
    x: torch.Tensor,
    k: int,
    lam: float = 1.0,
    *,
    groups: Any = None,
    weights: Any = None,
    debias: float = 0.0,
) -> torch.Tensor:
    """Proximal operator of the group sparse envelope, with its gradient.

    Parameters
    ----------
    x : tensor of any shape
        Point, taken as one vector; float32 or float64.
    k : int
        Number of groups to aim at.
    lam : float, default=1.0
        Multiple of the envelope: step times regularisation.
    groups : None, int, list of index arrays or array of n labels, default=None
        Disjoint groups, as in `sparseopt.prox.prox_wgsef`.
    weights : None, "sqrt", "size" or array of shape (m,), default=None
        Group weights.
    debias : float in [0, 1], default=0.0
        Part of the quadratic that is subtracted from the envelope.

    Returns
    -------
    w : tensor
        The minimiser, of the shape, type and device of ``x``.

    Notes
    -----
    The operator is smooth except where a group enters the support or is saturated;
    there the gradient is one of the generalised ones.  Groups that share the budget
    depend on one another through the multiplier, which adds a matrix of rank one to
    the derivative of each alone.  The gradient cannot be differentiated again.

    Examples
    --------
    >>> import torch
    >>> from sparseopt.torch import prox_wgsef
    >>> x = torch.tensor([4.0, -2.0, 1.0, 0.5], requires_grad=True)
    >>> prox_wgsef(x, k=2).sum().backward()
    >>> x.grad
    tensor([0.5000, 0.5000, 0.0000, 0.0000])
    """
    if not torch.is_tensor(x):
        raise TypeError(
            "The 'x' parameter of sparseopt.torch.prox_wgsef must be a Tensor. "
            f"Got {type(x).__name__}."
        )
    if ON_DEVICE and x.device.type != "cpu":  # differentiated by torch itself
        return _prox_wgsef(x, k, lam, groups=groups, weights=weights, debias=debias)
    return _ProxWGSEF.apply(x, k, lam, groups, weights, debias)


class _ProxWGSEF(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        k: int,
        lam: float,
        groups: Any,
        weights: Any,
        debias: float,
    ) -> torch.Tensor:
        w, info = _prox_wgsef(
            x.detach().cpu().numpy(),
            k,
            lam,
            groups=groups,
            weights=_as_numpy(weights),
            debias=debias,
            return_info=True,
        )
        u = torch.as_tensor(info.u, dtype=torch.float64, device=x.device)
        ctx.save_for_backward(x, u)
        ctx.eta, ctx.problem = float(info.eta), (lam, groups, weights, debias)
        return torch.as_tensor(w, device=x.device)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        x, u = ctx.saved_tensors
        lam, groups, weights, debias = ctx.problem
        none = (None,) * 5
        if x.numel() == 0 or lam == 0:
            return grad, *none
        g = _vjp(
            x, grad, u, ctx.eta, lam, Groups.of(groups, x.numel()), weights, debias
        )
        return g.reshape(x.shape).to(x.dtype), *none


def _vjp(
    x: torch.Tensor,
    grad: torch.Tensor,
    u: torch.Tensor,
    eta: float,
    lam: float,
    groups: Groups,
    weights: Any,
    debias: float,
) -> torch.Tensor:
    """Gradient of ``<grad, w>`` in x, where ``w_j = x_j u_j / (c_j u_j + b_j)``.

    Between the bounds ``u_j = (eta a_j - b_j) / c_j`` and thus ``w_j = x_j (1 - b_j /
    (eta a_j)) / c_j``; eta follows from the sum of the shares.
    """
    x, grad = x.detach().double().reshape(-1), grad.double().reshape(-1)
    d = groups.weights(_as_numpy(weights))
    d = torch.ones_like(u) if d is None else torch.as_tensor(d, device=u.device)
    b = lam * d
    c = 1.0 - debias * b
    # entries without a group belong to one more, which is passed through
    label = torch.as_tensor(
        groups.spread(torch.arange(groups.m).numpy(), fill=groups.m), device=u.device
    )

    def sums(values: torch.Tensor) -> torch.Tensor:
        total = values.new_zeros(groups.m + 1)
        return total.index_add_(0, label, values)[:-1]

    def spread(values: torch.Tensor, free: float) -> torch.Tensor:
        return torch.cat([values, values.new_full((1,), free)])[label]

    r = sums(x * x).sqrt()
    part = (u > 0) & (u < 1)
    outer = torch.where(u >= 1, 1.0 / (c + b), torch.where(part, 1.0 / c, 0.0))
    out = grad * spread(outer, 1.0)
    if not bool(part.any()):
        return out
    safe = torch.where(r > 0, r, 1.0)
    inner = sums(x * grad) / safe  # of the gradient with the direction of the group
    shrunk = torch.where(part, b / (c * eta * d.sqrt() * safe), 0.0)
    slope = torch.where(part, d.sqrt() / c, 0.0)
    pull = torch.where(part, b * inner / (c * eta**2 * d.sqrt()), 0.0).sum()
    # the sum of the shares stays k: eta falls where a norm grows
    move = slope * (eta / (slope * r).sum()) * pull
    along = (shrunk * inner - move) / safe
    return out - spread(shrunk, 0.0) * grad + spread(along, 0.0) * x


def _as_numpy(weights: Any) -> Any:
    return weights.detach().cpu().numpy() if torch.is_tensor(weights) else weights
