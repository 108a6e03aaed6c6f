"""Removal of what a network does not need."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from sparseopt.torch._constants import Constants, constants, foldable, matrix, needed
from sparseopt.torch._graph import Op, Space, trace

_OWNER = "sparseopt.torch.shrink"


@torch.no_grad()
def shrink(model: nn.Module, example_input: torch.Tensor | None = None) -> nn.Module:
    """Smaller dense network that computes the same.

    Neurons and filters are removed that are constant, for instance because all their
    weights are zero, or that nothing depends on.  Constants that are not zero go into
    the biases of the layers that follow.

    Parameters
    ----------
    model : Module
        Network of Linear, Conv, BatchNorm, activations, pooling, flatten, dropout and
        additions (skip connections), in `torch.nn.Sequential` or in modules of your
        own whose forward pass `torch.fx` can trace.  It is not changed.
    example_input : tensor, default=None
        If given, both networks are run on it, and an error is raised if their outputs
        differ by more than rounding.

    Returns
    -------
    smaller : Module
        Copy of ``model`` with fewer channels inside; its input and its output have
        the same shape.

    Raises
    ------
    ValueError
        If the network holds a module that is not supported; the error names it.

    See Also
    --------
    model_size : Parameters and operations of a network.

    Notes
    -----
    The outputs are equal, up to rounding, in evaluation mode.  Channels that meet in an
    addition are removed together.  A constant that is not zero is kept in front of a
    convolution that pads with zeros, because at the border it would count less.

    Examples
    --------
    >>> import torch
    >>> from sparseopt.torch import shrink
    >>> model = torch.nn.Sequential(
    ...     torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)
    ... )
    >>> with torch.no_grad():
    ...     _ = model[0].weight[3:].zero_(), model[0].bias[3:].zero_()
    >>> shrink(model)
    Sequential(
      (0): Linear(in_features=4, out_features=3, bias=True)
      (1): ReLU()
      (2): Linear(in_features=3, out_features=2, bias=True)
    )
    """
    ops = trace(model, _OWNER)
    values = constants(ops)
    keep = needed(ops, values)
    smaller = copy.deepcopy(model)
    for op in ops:
        if op.kind in ("linear", "depthwise", "norm"):
            _resize(smaller.get_submodule(op.name), op, values, keep)
    if example_input is not None:
        _compare(model, smaller, example_input)
    return smaller


def _resize(module: Any, op: Op, values: Constants, keep: dict[Space, Any]) -> None:
    """Keep the channels that are needed, of a copy of the module of an op."""
    source = op.inputs[0]
    inputs = keep[source.channels].repeat_interleave(source.factor)
    if op.kind == "norm":
        _select(module, ("weight", "bias", "running_mean", "running_var"), inputs)
        module.num_features = int(inputs.sum())
        return
    outputs = keep[op.channels]
    if op.kind == "linear":
        _fold(module, values[source], inputs)
    _select(module, ("weight", "bias"), outputs)
    if op.kind == "linear":
        weight = module.weight
        chosen = weight[:, inputs.to(weight.device)]
        module.weight = nn.Parameter(chosen, requires_grad=weight.requires_grad)
    else:
        module.groups = int(outputs.sum())
    names = ("features", "channels")
    for name in names:
        if hasattr(module, f"out_{name}"):
            setattr(module, f"in_{name}", int(inputs.sum()))
            setattr(module, f"out_{name}", int(outputs.sum()))


def _fold(module: Any, value: torch.Tensor, inputs: torch.Tensor) -> None:
    """Add to the bias what the constants among the removed inputs contribute."""
    removed = foldable(module, value) & ~inputs
    extra = matrix(module) @ torch.where(removed, value, 0.0)
    if not extra.any():
        return
    weight = module.weight
    if module.bias is None:
        module.bias = nn.Parameter(
            torch.zeros_like(weight[:, 0].reshape(weight.shape[0], -1)[:, 0]),
            requires_grad=weight.requires_grad,
        )
    module.bias += extra.to(module.bias)


def _select(module: Any, names: tuple[str, ...], mask: torch.Tensor) -> None:
    for name in names:
        tensor = getattr(module, name)
        if tensor is None:
            continue
        chosen = tensor.detach()[mask.to(tensor.device)]
        if isinstance(tensor, nn.Parameter):
            chosen = nn.Parameter(chosen, requires_grad=tensor.requires_grad)
        setattr(module, name, chosen)


def _compare(model: nn.Module, smaller: nn.Module, example: torch.Tensor) -> None:
    outputs = []
    for network in (model, smaller):
        training = {module: module.training for module in network.modules()}
        network.eval()
        outputs.append(network(example))
        for module, mode in training.items():
            module.training = mode
    wanted, got = outputs
    eps = torch.finfo(wanted.dtype).eps
    scale = float(wanted.abs().max())
    error = float((wanted - got).abs().max())
    # sums of many terms in another order
    if not error <= 1e4 * eps * max(scale, 1.0):
        raise RuntimeError(
            f"The smaller network differs from the given one by {error:.3g} on the "
            "example input. Its forward pass does something that its trace does not "
            "show."
        )
