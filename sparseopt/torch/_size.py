"""Parameters and operations of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from sparseopt._core._params import Type, check_params

_COUNTED = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


@dataclass(frozen=True, kw_only=True)
class ModelSize:
    """Size of a network.

    Parameters
    ----------
    params : int
        Numbers that are trained.
    nonzero : int
        Those that are not zero.
    flops : int or None
        Floating point operations of linear and convolutional layers for one sample,
        two for each multiplication and addition; None without an example input.

    Examples
    --------
    >>> import torch
    >>> from sparseopt.torch import model_size
    >>> model_size(torch.nn.Linear(10, 5), torch.zeros(1, 10))
    ModelSize(params=55, nonzero=..., flops=100)
    """

    params: int
    nonzero: int
    flops: int | None


@torch.no_grad()
def model_size(
    model: nn.Module, example_input: torch.Tensor | None = None
) -> ModelSize:
    """Count the parameters and operations of a network.

    Parameters
    ----------
    model : Module
        Network.
    example_input : tensor, default=None
        A batch, on which the network is run to count operations.

    Returns
    -------
    size : ModelSize
        Parameters, those that are not zero, and operations for one sample.

    See Also
    --------
    shrink : Make a network with zeros smaller.

    Notes
    -----
    Operations are those of Linear and Conv modules without their biases; activations,
    pooling and normalisation are not counted.  Dense layers are counted whole, zeros
    included: shrink the network first.

    Examples
    --------
    >>> import torch
    >>> from sparseopt.torch import model_size
    >>> net = torch.nn.Conv2d(1, 4, 3, bias=False)
    >>> model_size(net, torch.zeros(1, 1, 8, 8)).flops
    2592
    """
    check_params(model_size, {"model": [Type(nn.Module)]}, {"model": model})
    params = list(model.parameters())
    return ModelSize(
        params=sum(p.numel() for p in params),
        nonzero=sum(int(torch.count_nonzero(p)) for p in params),
        flops=None if example_input is None else _flops(model, example_input),
    )


def _flops(model: nn.Module, example: torch.Tensor) -> int:
    total = 0

    def count(module: Any, inputs: Any, output: torch.Tensor) -> None:
        nonlocal total
        per_position = module.weight.numel() // module.weight.shape[0]
        # each output is a sum over a row of the weight; for transposed convolutions
        # each input is spread by one
        at = inputs[0] if isinstance(module, _COUNTED[4:]) else output
        total += 2 * at.numel() * per_position

    hooks = [
        module.register_forward_hook(count)
        for module in model.modules()
        if isinstance(module, _COUNTED)
    ]
    training = {module: module.training for module in model.modules()}
    try:
        model.eval()
        model(example)
    finally:
        for module, mode in training.items():
            module.training = mode
        for hook in hooks:
            hook.remove()
    return total // max(1, example.shape[0])
