"""Which channels are constant, and which are needed."""

from __future__ import annotations

from typing import Any

import torch

from sparseopt.torch._graph import Op, Space

Constants = dict[Op, torch.Tensor]  # value of each channel, NaN where it varies


def constants(ops: list[Op]) -> Constants:
    """Value that a channel has for every input of a network in evaluation mode."""
    values: Constants = {}
    for op in ops:
        if op.kind != "output":
            values[op] = _value(op, [values[source] for source in op.inputs])
    return values


def _value(op: Op, inputs: list[torch.Tensor]) -> torch.Tensor:
    if op.kind in ("input", "coupling"):
        return torch.full((op.size,), torch.nan, dtype=torch.float64)
    if op.kind == "linear":
        return _linear(op, inputs[0])
    if op.kind == "depthwise":
        return _depthwise(op, inputs[0])
    if op.kind == "norm":
        return _norm(op.module, inputs[0])
    if op.kind == "add":
        return inputs[0] + inputs[1]
    if op.kind == "elementwise":
        assert op.call is not None
        parameters = list(op.module.parameters()) if op.module is not None else []
        like = parameters[0] if parameters else inputs[0]
        return op.call(inputs[0].to(like)).to(inputs[0])
    if op.kind == "flatten":
        return inputs[0].repeat_interleave(op.size // inputs[0].shape[0])
    if op.kind == "average":  # its padding takes part: only zero stays what it is
        return torch.where(inputs[0] == 0, 0.0, torch.nan)
    return inputs[0]


def matrix(module: Any) -> torch.Tensor:
    """Sums of the weights over positions of the kernel, as (outputs, inputs)."""
    weight = module.weight.detach().double().cpu()
    return weight.reshape(*weight.shape[:2], -1).sum(dim=2)


def is_used(module: Any) -> torch.Tensor:
    """Whether an output depends on an input, as (outputs, inputs)."""
    weight = module.weight.detach().cpu()
    return (weight != 0).reshape(*weight.shape[:2], -1).any(dim=2)


def _bias(module: Any) -> torch.Tensor | float:
    return 0.0 if module.bias is None else module.bias.detach().double().cpu()


def pads_with_zeros(module: Any) -> bool:
    """Whether a convolution sees zeros beside a constant channel."""
    padding = getattr(module, "padding", 0)
    if getattr(module, "padding_mode", "zeros") != "zeros" or padding == "valid":
        return False
    if padding == "same":
        return any(size > 1 for size in module.kernel_size)
    return any(padding) if isinstance(padding, tuple) else bool(padding)


def foldable(module: Any, value: torch.Tensor) -> torch.Tensor:
    """Input channels whose effect on a linear module is one number for each output."""
    if pads_with_zeros(module):
        return value == 0
    return ~value.isnan()


def _linear(op: Op, value: torch.Tensor) -> torch.Tensor:
    known = foldable(op.module, value)
    varies = is_used(op.module)[:, ~known].any(dim=1)
    out = matrix(op.module) @ torch.where(known, value, 0.0) + _bias(op.module)
    return torch.where(varies, torch.nan, out)


def _depthwise(op: Op, value: torch.Tensor) -> torch.Tensor:
    known = foldable(op.module, value) | ~is_used(op.module)[:, 0]
    scale = matrix(op.module)[:, 0]
    out = torch.where(scale == 0, 0.0, scale * value) + _bias(op.module)
    return torch.where(known, out, torch.nan)


def _norm(module: Any, value: torch.Tensor) -> torch.Tensor:
    if module.running_mean is None:  # statistics of the batch: a constant is centred
        centred = torch.where(value.isnan(), torch.nan, 0.0)
    else:
        mean = module.running_mean.double().cpu()
        deviation = (module.running_var.double().cpu() + module.eps).sqrt()
        centred = (value - mean) / deviation
    if module.weight is None:
        return centred
    weight, bias = (p.detach().double().cpu() for p in (module.weight, module.bias))
    return torch.where(weight == 0, 0.0, weight * centred) + bias


def needed(ops: list[Op], values: Constants) -> dict[Space, torch.Tensor]:
    """Channels that cannot be left out of a network.

    All are taken for needed at first; one is struck off if every module that reads it
    ignores it or can have it folded into its bias.  Striking off an output lets more
    inputs go, so this is repeated while it changes anything.
    """
    spaces = {op.channels for op in ops if op.kind != "output"}
    keep = {space: torch.ones(space.size, dtype=torch.bool) for space in spaces}
    while True:
        found = {space: torch.zeros(space.size, dtype=torch.bool) for space in spaces}
        for op in ops:
            for source in op.inputs if op.kind == "linear" else ():
                wanted = is_used(op.module)[keep[op.channels]].any(dim=0)
                wanted &= ~foldable(op.module, values[source])
                per_channel = wanted.reshape(source.channels.size, -1).any(dim=1)
                found[source.channels] |= per_channel
        for space, mask in found.items():
            if space.fixed:
                mask[:] = True
            elif not mask.any():
                mask[0] = True  # a module has at least one channel
        if all(torch.equal(found[space], keep[space]) for space in spaces):
            return keep
        keep = found
