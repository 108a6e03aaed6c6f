"""Parameter groups of a network: one for each set of channels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from sparseopt._core._params import Type, check_params
from sparseopt.torch._graph import Op, Space, trace

_OWNER = "sparseopt.torch.param_groups"


def param_groups(
    model: nn.Module,
    k: float | None = None,
    penalty: Any = "wgsef",
    *,
    skip: Iterable[str] = (),
    **options: Any,
) -> list[dict[str, Any]]:
    """Parameter groups for `ProxSGD` and `ProxAdamW`, one for each layer.

    A group of weights is all that makes one neuron or filter: the row of the weight,
    the bias, and the scale and shift of the batch normalisation behind it.  Layers
    whose outputs are added to one another, as by skip connections, share their groups.

    Parameters
    ----------
    model : Module
        Network, of the modules that `shrink` knows.
    k : int or float, default=None
        Number of neurons or filters to keep in a layer, or the fraction of them.
    penalty : str or Penalty, default="wgsef"
        As in `ProxSGD`.
    skip : iterable of str, default=()
        Names of modules to leave without penalty.  The outputs of the network always
        are.
    **options : dict
        Other entries of the penalised groups, such as ``lam``.

    Returns
    -------
    groups : list of dict
        Penalised groups, in the order of the network, then one with the rest.

    See Also
    --------
    ProxSGD : Optimizer that takes the groups.

    Examples
    --------
    >>> import torch
    >>> from sparseopt.torch import param_groups
    >>> model = torch.nn.Sequential(
    ...     torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(),
    ...     torch.nn.Linear(8, 2),
    ... )
    >>> [[tuple(p.shape) for p in g["params"]] for g in param_groups(model, k=0.5)]
    [[(8, 4), (8,), (8,), (8,)], [(2, 8), (2,)]]
    """
    check_params(param_groups, {"model": [Type(nn.Module)]}, {"model": model})
    skip = {skip} if isinstance(skip, str) else set(skip)
    unknown = skip - {name for name, _ in model.named_modules()}
    if unknown:
        raise ValueError(
            f"The 'skip' parameter of {_OWNER} must hold names of modules of the "
            f"model. Got {sorted(unknown)[0]!r}."
        )
    members: dict[Space, list[Op]] = {}
    for op in trace(model, _OWNER):
        if op.kind in ("linear", "depthwise", "norm") and op.factor == 1:
            members.setdefault(op.channels, []).append(op)
    groups = []
    taken: set[int] = set()
    for space, ops in members.items():
        if space.fixed or ops[0].kind == "norm" or skip & {op.name for op in ops}:
            continue
        params = [
            p
            for op in sorted(ops, key=lambda op: op.kind != "linear")
            for p in op.module.parameters()  # type: ignore[union-attr]
        ]
        taken.update(map(id, params))
        groups.append({"params": params, "penalty": penalty, "k": k, **options})
    rest = [p for p in model.parameters() if id(p) not in taken]
    if rest:
        groups.append({"params": rest, "penalty": None})
    return groups
