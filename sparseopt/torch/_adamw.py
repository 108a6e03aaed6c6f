"""Proximal AdamW."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from sparseopt._core._params import Interval, Options, Type
from sparseopt.prox import Penalty
from sparseopt.torch._base import CONSTRAINTS, ProxOptimizer, arguments
from sparseopt.torch._layout import Layout


class ProxAdamW(ProxOptimizer):
    r"""Proximal AdamW for networks with k groups a layer.

    While the penalty acts, a group has one step size, from the mean of Adam's
    denominators over it, in the gradient step as in the proximal one.  With that the
    proximal step in the metric of the optimizer is a closed form.  During the warm-up,
    and after the cut, each entry has its own as usual; with ``preconditioner="diag"``
    always.

    Parameters
    ----------
    params : iterable of tensors or dicts
        One parameter group a layer, ``{"params": [weight, bias], "penalty": "wgsef",
        "k": 0.1}``; `param_groups` makes them from a model.  Parameter groups without
        ``"penalty"`` are trained as by `torch.optim.AdamW`.  Every argument below can
        be given in a group, too.
    lr : float, default=0.001
        Step size.
    betas : tuple of two floats in [0, 1), default=(0.9, 0.999)
        Decay of the means of the gradient and of its square.
    eps : float, default=1e-8
        Added to the root of the mean square.
    weight_decay : float, default=0.01
        Part of the weights taken off in a step, times ``lr``; only where there is no
        penalty, because those shrink the weights themselves.
    penalty : {"wgsef", "group_lasso", "l1", "l0_ball"}, Penalty or None, default=None
        As in `ProxSGD`.  With a `sparseopt.prox.Penalty` the layer has one step size.
    groups : str, labels or callable, default=None
        As in `ProxSGD`.
    k : int or float, default=None
        Number of groups to keep, or the fraction of them, rounded up.
    lam : float or "auto", default="auto"
        As in `ProxSGD`.
    weights : None, "ones", "sqrt", "size" or array of shape (m,), default=None
        As in `ProxSGD`.
    debias : float in [0, 1], default=1.0
        As in `ProxSGD`.
    scope : {"layer", "global"}, default="layer"
        Whether k counts the groups of each layer, or of all of them together.
    preconditioner : {"group", "layer", "diag"}, default="group"
        Whether each group has a step size of its own, or the layer one for all, or
        each entry has Adam's; then the proximal step is solved numerically, see below.
    total_steps : int, default=None
        Length of the training, for the schedule, as in `ProxSGD`.
    warmup, ramp, cut : float, default=0.1, 0.3, 0.8
        Fractions of ``total_steps``, as in `ProxSGD`.
    half_space : float in [0, 1), default=None
        As in `ProxSGD`.

    See Also
    --------
    ProxSGD : The same with a step of SGD, and more about the parameters.
    shrink : Remove the zero groups from the network.

    Notes
    -----
    With the means m and v of the gradient and its square, corrected for their start,
    and :math:`D_j` the mean of :math:`\sqrt{v} + \varepsilon` over group j, the step is

    .. math::

       z_j = w_j - \alpha m_j / D_j, \qquad
       w^{+} = \arg\min_w \sum_j \frac{D_j}{2\alpha} \|w_j - z_j\|^2 + \lambda P(w).

    Where the penalty is debiased, ``alpha * lam * debias * d_j / D_j`` has to stay
    below 1 in all groups that are not zero; a larger ``lam`` is cut down to 0.95 of
    that.

    With ``preconditioner="diag"`` the metric has a :math:`D_i` for every entry.  The
    minimiser is then

    .. math::

       w_i = \frac{D_i z_i u_j}{(D_i - \delta b_j) u_j + b_j}, \qquad
       b_j = \alpha \lambda d_j,

    where the share :math:`u_j` of a group solves a scalar equation for a given
    multiplier, and the multiplier makes the shares add up to k.  Both are found by
    Newton's method to the rounding of float64, in 15 to 30 passes over the weights: 50
    times the cost of the closed form, which it equals where :math:`D` is constant in
    the groups.

    Do not use it where time counts, nor with ``debias`` where some weights hardly ever
    have a gradient, as behind pixels that are always black: the smallest
    :math:`D_i` of a group limits ``lam``.  Then set ``debias=0``, raise ``eps``, or
    keep ``"group"``.  Penalty objects have one step size and cannot have a metric.

    References
    ----------
    .. [1] Refael, Arbel, Huleihel. Learning k-Level Structured Sparse Neural Networks
       Using Group Envelope Regularization. TMLR, 2024.
    .. [2] Yun, Lozano, Yang. Adaptive proximal gradient methods for structured neural
       networks. NeurIPS 2021. Proximal steps in the metric of a preconditioner.

    Examples
    --------
    >>> import torch
    >>> from sparseopt.torch import ProxAdamW, param_groups
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(
    ...     torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1)
    ... )
    >>> X = torch.randn(64, 8)
    >>> y = X[:, :1].relu()
    >>> optimizer = ProxAdamW(param_groups(model, k=4), lr=0.01, total_steps=100)
    >>> for _ in range(100):
    ...     optimizer.zero_grad()
    ...     loss = torch.nn.functional.mse_loss(model(X), y)
    ...     loss.backward()
    ...     _ = optimizer.step()
    >>> int((model[0].weight.norm(dim=1) > 0).sum())
    4
    """

    constraints: ClassVar = {
        **CONSTRAINTS,
        "betas": [Type(tuple, list)],
        "eps": [Interval(0, None)],
        "preconditioner": [Options("diag", "group", "layer")],
    }

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        penalty: Any = None,
        groups: Any = None,
        k: float | None = None,
        lam: float | str = "auto",
        weights: Any = None,
        debias: float = 1.0,
        scope: str = "layer",
        preconditioner: str = "group",
        total_steps: int | None = None,
        warmup: float = 0.1,
        ramp: float = 0.3,
        cut: float = 0.8,
        half_space: float | None = None,
    ) -> None:
        super().__init__(params, arguments(locals()))

    def _prepare(self, group: dict[str, Any]) -> None:
        super()._prepare(group)
        if group["preconditioner"] == "diag" and isinstance(group["penalty"], Penalty):
            raise ValueError(
                "The 'preconditioner' parameter of sparseopt.torch.ProxAdamW must be "
                "'layer' or 'group' where the penalty is an object, which knows one "
                f"step only. Got 'diag' and {group['penalty']!r}."
            )
        betas = group["betas"]
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(
                "The 'betas' parameter of sparseopt.torch.ProxAdamW must be two floats "
                f"in [0, 1). Got {betas!r}."
            )

    def _descend(self, group: dict[str, Any], layout: Layout | None) -> Any:
        lr, params = float(group["lr"]), group["params"]
        moments = [
            None if grad is None else self._moments(param, grad, group)
            for param, grad in zip(params, self._gradients(group), strict=True)
        ]
        metric, kind = None, group["preconditioner"]
        if layout is not None:
            metric = _metric(moments, params, kind, layout)
        shared = layout if metric is not None and kind != "diag" else None
        for i, (param, found) in enumerate(zip(params, moments, strict=True)):
            if found is None:
                continue
            mean, scale = found
            if group["weight_decay"]:
                param.mul_(1 - lr * group["weight_decay"])
            if shared is not None and metric is not None and i in shared.joined:
                scale = shared.spread(metric, i, param).to(param.dtype)
            param.addcdiv_(mean, scale, value=-lr)
        if metric is None:
            return 1.0
        if lr == 0:
            return float("inf")
        if layout is None or kind != "diag":
            return metric / lr
        return _entry_precisions(moments, params, metric / lr, lr, layout)

    def _moments(
        self, param: torch.Tensor, grad: torch.Tensor, group: dict[str, Any]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean of the gradient and root mean square, corrected for their start."""
        first, second = group["betas"]
        state = self.state[param]
        if not state:
            state["step"] = 0
            state["exp_avg"] = torch.zeros_like(param)
            state["exp_avg_sq"] = torch.zeros_like(param)
        state["step"] += 1
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(grad, 1 - first)
        square.mul_(second).addcmul_(grad, grad, value=1 - second)
        root = (square / (1 - second ** state["step"])).sqrt_().add_(group["eps"])
        return mean / (1 - first ** state["step"]), root


def _metric(
    moments: list, params: list, kind: str, layout: Layout
) -> torch.Tensor | None:
    """Mean of the denominators over each group, or over the layer."""
    seen = [i for i in layout.joined if moments[i] is not None]
    if not seen:
        return None
    roots = [moments[i][1] if i in seen else None for i in range(len(params))]
    total, count = layout.sums(roots), layout.sizes
    if len(seen) < len(layout.joined):  # of the entries that have gradients
        ones = [None if root is None else torch.ones_like(root) for root in roots]
        count = layout.sums(ones)
    if kind == "layer":
        return (total.sum() / count.sum()).expand(layout.m)
    # a group may lie in tensors without gradients only: it does not move
    return torch.where(count > 0, total / count.clamp(min=1), 1.0)


def _entry_precisions(
    moments: list, params: list, mean: torch.Tensor, lr: float, layout: Layout
) -> list[torch.Tensor | None]:
    """Precision of each entry; where there is no gradient, the mean of its group."""
    precisions: list[torch.Tensor | None] = [None] * len(params)
    for i in layout.joined:
        if moments[i] is None:
            precisions[i] = layout.spread(mean, i, params[i]).expand_as(params[i])
        else:
            precisions[i] = moments[i][1] / lr
    return precisions
