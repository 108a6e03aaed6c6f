"""Proximal operators that can be differentiated."""

from __future__ import annotations

from typing import Any

import torch

from sparseopt.prox import prox_wgsef as _prox_wgsef
from sparseopt.prox import prox_wgsef_jvp
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
        ctx.save_for_backward(x)
        ctx.k, ctx.lam = k, lam
        ctx.options = {"groups": groups, "weights": weights, "debias": debias}
        w = _prox_wgsef(_native(x), k, lam, **_native_options(ctx.options, x))
        return _like(w, x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        (x,) = ctx.saved_tensors
        # the Jacobian is symmetric: its product with a vector is the gradient
        g = prox_wgsef_jvp(
            _native(x),
            _native(grad),
            ctx.k,
            ctx.lam,
            **_native_options(ctx.options, x),
        )
        return _like(g, x), *(None,) * 5


def _native(x: torch.Tensor) -> Any:
    """Array for the compiled kernels; a tensor of another device as it is."""
    x = x.detach()
    x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    return x if ON_DEVICE and x.device.type != "cpu" else x.cpu().numpy()


def _like(array: Any, x: torch.Tensor) -> torch.Tensor:
    """Tensor of the type of x, where that is one of floats."""
    dtype = x.dtype if x.is_floating_point() else None
    return torch.as_tensor(array, dtype=dtype, device=x.device)


def _native_options(options: dict[str, Any], x: torch.Tensor) -> dict[str, Any]:
    weights = options["weights"]
    if torch.is_tensor(weights):
        options = options | {"weights": _native(weights.to(x.device))}
    return options
