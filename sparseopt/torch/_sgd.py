"""Proximal stochastic gradient descent."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from sparseopt._core._params import Boolean, Interval
from sparseopt.torch._base import CONSTRAINTS, ProxOptimizer, arguments


class ProxSGD(ProxOptimizer):
    r"""Proximal stochastic gradient descent for networks with k groups a layer.

    After each step of (momentum) SGD, every penalised layer goes through the exact
    proximal operator of its penalty, so neurons or filters become exactly zero while
    the network is trained.  With ``total_steps`` the penalty waits for a warm-up, grows
    along a ramp and ends with a cut that leaves exactly k groups, which are then
    trained on without penalty.

    Parameters
    ----------
    params : iterable of tensors or dicts
        One parameter group a layer, ``{"params": [weight, bias], "penalty": "wgsef",
        "k": 0.1}``; `param_groups` makes them from a model.  Parameter groups without
        ``"penalty"`` are trained as by `torch.optim.SGD`.  Every argument below can
        be given in a group, too.
    lr : float, default=0.1
        Step size.
    momentum : float in [0, 1), default=0.0
        Momentum.
    nesterov : bool, default=False
        Look ahead along the momentum.
    weight_decay : float, default=0.0
        Multiple of the weights added to their gradient; only where there is no
        penalty, because those shrink the weights themselves.
    penalty : {"wgsef", "group_lasso", "l1", "l0_ball"}, Penalty or None, default=None
        "wgsef" is the group sparse envelope, "l0_ball" the projection on k groups.  A
        `sparseopt.prox.Penalty` is taken of the vector of group norms; it has to be
        one of absolute values, and each step waits for the device.
    groups : str, labels or callable, default=None
        "rows" or "filters": the first dimension of the weight, with the bias and
        whatever else is in the group, such as the batch normalisation that follows;
        "columns" or "channels": the second, without the bias; "kernels": both;
        "entries": each weight by itself.  Or integer labels for the entries of the
        weight (a list of them for several tensors; negative: free), or a function of
        the tensors that gives one of these.  None is "rows", for "l1" "entries".
    k : int or float, default=None
        Number of groups to keep, or the fraction of them, rounded up.
    lam : float or "auto", default="auto"
        Multiple of the penalty after the ramp.  "auto" starts where the penalty pulls
        with a tenth of the gradient's norm, and if ``debias`` is positive grows
        geometrically to half of what the debiased penalty allows: nothing to tune.
        Without ``total_steps`` it stays at its start.
    weights : None, "ones", "sqrt", "size" or array of shape (m,), default=None
        Weights of the groups, of which "sqrt" and "size" are functions of their
        sizes.  None is "sqrt" for "group_lasso" and "ones" for the others.
    debias : float in [0, 1], default=1.0
        Part of ``sum_j d_j |w_j|^2 / 2`` that is subtracted from the envelope.  At 1
        the penalty is zero exactly where at most k groups are not, and the groups that
        are kept are not shrunk; at 0 it is the convex envelope of the paper.
    scope : {"layer", "global"}, default="layer"
        Whether k counts the groups of each layer, or of all of them together.
    total_steps : int, default=None
        Length of the training, for the schedule.  None: the whole penalty from the
        first step, and no cut but by `cut`.
    warmup, ramp, cut : float, default=0.1, 0.3, 0.8
        Fractions of ``total_steps``: without penalty, of growing penalty, and where
        the cut comes.
    half_space : float in [0, 1), default=None
        After the ramp also set groups to zero whose scalar product with their last
        value fell below this multiple of its square, but never below k groups.

    See Also
    --------
    ProxAdamW : The same with Adam's step.
    shrink : Remove the zero groups from the network.

    Notes
    -----
    The step is

    .. math:: w^{+} = \mathrm{prox}_{\alpha\lambda P}(w - \alpha v)

    with the momentum v and the step size alpha, exact for every penalty here.  The
    envelope leaves exactly k groups only if the others are small enough, so without a
    cut expect a few more.

    ``alpha * lam * debias`` times the largest weight has to stay below 1; a larger
    ``lam`` is cut down to 0.95 of that.

    A group of zeros whose gradient is zero, such as a neuron behind a ReLU, stays so.
    Parameters in bfloat16 round the shrinkage of a small ``lam`` away.

    References
    ----------
    .. [1] Refael, Arbel, Huleihel. Learning k-Level Structured Sparse Neural Networks
       Using Group Envelope Regularization. TMLR, 2024. Proximal SGD for k-level
       training.
    .. [2] Chen, Ji, Ding, Fang, Wang, Zhu, Liang, Shi, Yi, Tu. Only Train Once: A
       One-Shot Neural Network Training And Pruning Framework. NeurIPS 2021.
       Half-space steps.

    Examples
    --------
    >>> import torch
    >>> from sparseopt.torch import ProxSGD
    >>> _ = torch.manual_seed(0)
    >>> X = torch.randn(200, 10)
    >>> y = X[:, :2].sum(dim=1, keepdim=True)
    >>> layer = torch.nn.Linear(10, 1)
    >>> features = {"params": [layer.weight], "groups": "columns", "k": 2}
    >>> features["penalty"] = "wgsef"
    >>> bias = {"params": [layer.bias]}
    >>> optimizer = ProxSGD([features, bias], lr=0.1, total_steps=200)
    >>> for _ in range(200):
    ...     optimizer.zero_grad()
    ...     loss = torch.nn.functional.mse_loss(layer(X), y)
    ...     loss.backward()
    ...     _ = optimizer.step()
    >>> optimizer.support()[0].nonzero().flatten().tolist()
    [0, 1]
    """

    constraints: ClassVar = {
        **CONSTRAINTS,
        "momentum": [Interval(0, 1, closed="left")],
        "nesterov": [Boolean],
    }

    def __init__(
        self,
        params: Any,
        lr: float = 0.1,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        penalty: Any = None,
        groups: Any = None,
        k: float | None = None,
        lam: float | str = "auto",
        weights: Any = None,
        debias: float = 1.0,
        scope: str = "layer",
        total_steps: int | None = None,
        warmup: float = 0.1,
        ramp: float = 0.3,
        cut: float = 0.8,
        half_space: float | None = None,
    ) -> None:
        super().__init__(params, arguments(locals()))

    def _descend(self, group: dict[str, Any], layout: Any) -> Any:
        lr, momentum = float(group["lr"]), group["momentum"]
        for param, grad in zip(group["params"], self._gradients(group), strict=True):
            if grad is None:
                continue
            if group["weight_decay"]:
                grad = grad.add(param, alpha=group["weight_decay"])
            if momentum:
                state = self.state[param]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(param)
                buffer = state["momentum_buffer"].mul_(momentum).add_(grad)
                grad = grad.add(buffer, alpha=momentum) if group["nesterov"] else buffer
            param.add_(grad, alpha=-lr)
        return 1.0 / lr if lr > 0 else float("inf")
