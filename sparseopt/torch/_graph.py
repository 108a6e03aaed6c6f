"""The flow of channels through a network, from its symbolic trace."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
MAX_POOLS = (
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
)
AVERAGE_POOLS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
ELEMENTWISE = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU),
    *(nn.Mish, nn.Tanh, nn.Sigmoid, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid),
    *(nn.Softplus, nn.Softsign, nn.LogSigmoid, nn.Tanhshrink, nn.Softshrink),
    *(nn.Hardshrink, nn.Threshold),
)
SAME = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
# Channels meet in these: none of them can be left out.
COUPLING = (nn.Softmax, nn.LogSoftmax, nn.LayerNorm, nn.GroupNorm)

_ELEMENTWISE_CALLS: set[Any] = {
    *(F.relu, F.relu6, F.leaky_relu, F.elu, F.selu, F.celu, F.gelu, F.silu, F.mish),
    *(F.tanh, F.sigmoid, F.hardtanh, F.hardswish, F.hardsigmoid, F.softplus),
    *(torch.relu, torch.tanh, torch.sigmoid),
    *("relu", "tanh", "sigmoid"),
}
_MAX_POOL_CALLS: set[Any] = {
    *(F.max_pool1d, F.max_pool2d, F.max_pool3d),
    *(F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d),
    *(F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d),
}
_AVERAGE_POOL_CALLS: set[Any] = {F.avg_pool1d, F.avg_pool2d, F.avg_pool3d}
_SAME_CALLS: set[Any] = {F.dropout, "contiguous"}
_COUPLING_CALLS: set[Any] = {
    *(F.softmax, F.log_softmax, torch.softmax, torch.log_softmax),
    *("softmax", "log_softmax"),
}
_ADD_CALLS: set[Any] = {torch.add, operator.add, operator.iadd, "add", "add_"}
_FLATTEN_CALLS: set[Any] = {torch.flatten, "flatten", "view", "reshape"}


@dataclass(eq=False)
class Space:
    """Channels that exist in several nodes, and are kept or left out in all of them."""

    size: int
    fixed: bool = False  # input, output and where channels meet
    merged: Space | None = None

    def root(self) -> Space:
        return self if self.merged is None else self.merged.root()


@dataclass(eq=False)
class Op:
    """One node: what it does to the channels of its inputs."""

    kind: str
    name: str
    inputs: list[Op]
    module: nn.Module | None = None
    call: Callable[[torch.Tensor], torch.Tensor] | None = None
    space: Space | None = None
    factor: int = 1  # entries for each channel, more than one after flattening
    users: list[Op] = field(default_factory=list)

    @property
    def channels(self) -> Space:
        assert self.space is not None
        return self.space.root()

    @property
    def size(self) -> int:
        return self.channels.size * self.factor


def trace(model: nn.Module, owner: str) -> list[Op]:
    """Nodes of a network in the order of their computation."""
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"The 'model' parameter of {owner} must be a Module. "
            f"Got {type(model).__name__}."
        )
    try:
        graph = fx.Tracer().trace(model)
    except Exception as error:
        raise ValueError(
            f"The 'model' parameter of {owner} must be a network whose forward pass "
            "torch.fx can trace, without branches that depend on the data. "
            f"Got {type(model).__name__}: {error}"
        ) from error
    ops: dict[fx.Node, Op] = {}
    seen: dict[int, str] = {}
    for node in graph.nodes:
        if _is_size(node):
            continue
        op = _make(model, node, ops, owner)
        if op.module is not None and list(op.module.parameters(recurse=False)):
            _check_module(op, seen, owner)
        ops[node] = op
        for source in op.inputs:
            source.users.append(op)
    order = list(ops.values())
    for op in order:
        _assign_space(op, owner)
    return order


def _check_module(op: Op, seen: dict[int, str], owner: str) -> None:
    module = op.module
    if id(module) in seen:
        raise _unsupported(op.name, "used twice in the forward pass", owner)
    seen[id(module)] = op.name
    if hasattr(module, "parametrizations"):
        raise _unsupported(op.name, "a module with parametrizations", owner)


def _unsupported(name: str, what: str, owner: str) -> ValueError:
    return ValueError(
        f"{owner} does not know how to follow channels through {name!r}, {what}. It "
        "knows Linear, Conv, BatchNorm, activations, pooling, flatten, dropout and "
        "addition."
    )


def _is_size(node: fx.Node) -> bool:
    """Whether a node is about shapes only, as in ``x.view(x.size(0), -1)``."""
    if node.op == "call_method":
        return node.target == "size"
    if node.op == "call_function" and node.target is getattr:
        return node.args[1] == "shape"
    return (
        node.op == "call_function"
        and node.target is operator.getitem
        and isinstance(node.args[0], fx.Node)
        and _is_size(node.args[0])
    )


def _make(model: nn.Module, node: fx.Node, ops: dict, owner: str) -> Op:
    inputs = [ops[n] for n in node.all_input_nodes if n in ops]
    if node.op == "placeholder":
        return Op("input", node.name, [])
    if node.op == "output":
        return Op("output", node.name, inputs)
    if node.op == "call_module":
        return _from_module(model.get_submodule(str(node.target)), node, inputs, owner)
    if node.op in ("call_function", "call_method"):
        return _from_call(node, inputs, owner)
    raise _unsupported(str(node.target), "a tensor of the model", owner)


def _from_module(module: nn.Module, node: fx.Node, inputs: list[Op], owner: str) -> Op:
    name, kind = str(node.target), type(module)
    if kind in LINEAR:
        groups = getattr(module, "groups", 1)
        if groups == 1:
            return Op("linear", name, inputs, module)
        if groups == module.in_channels == module.out_channels:
            return Op("depthwise", name, inputs, module)
        raise _unsupported(name, f"a {kind.__name__} with groups={groups}", owner)
    if kind in NORMS:
        return Op("norm", name, inputs, module)
    if kind in ELEMENTWISE or (kind is nn.PReLU and module.num_parameters == 1):
        return Op("elementwise", name, inputs, module, call=module)
    if kind in MAX_POOLS or kind in SAME:
        return Op("same", name, inputs, module)
    if kind in AVERAGE_POOLS:
        plain = not any(_numbers(module.padding)) and (
            getattr(module, "divisor_override", None) is None
        )
        return Op("same" if plain else "average", name, inputs, module)
    if kind is nn.Flatten and module.start_dim == 1 and module.end_dim == -1:
        return Op("flatten", name, inputs, module)
    if kind in COUPLING:
        return Op("coupling", name, inputs, module)
    raise _unsupported(name, f"a {kind.__name__}", owner)


def _from_call(node: fx.Node, inputs: list[Op], owner: str) -> Op:
    target, name = node.target, node.name
    if target in _ADD_CALLS:
        if len(inputs) == 2 and not node.kwargs:
            return Op("add", name, inputs)
        if len(inputs) == 1 and len(node.args) == 2 and not node.kwargs:
            left, right = node.args
            number = right if isinstance(left, fx.Node) else left
            if isinstance(number, (int, float)):
                return Op("elementwise", name, inputs, call=lambda x: x + number)
            return Op("add", name, inputs * 2)  # x + x
        raise _unsupported(name, f"a call of {target}", owner)
    if target in _ELEMENTWISE_CALLS:
        return Op("elementwise", name, inputs, call=_bind(node))
    if target in _MAX_POOL_CALLS or target in _SAME_CALLS:
        return Op("same", name, inputs)
    if target in _AVERAGE_POOL_CALLS:
        return Op("average", name, inputs)
    if target in _COUPLING_CALLS:
        return Op("coupling", name, inputs)
    if target in _FLATTEN_CALLS and _flattens(node):
        return Op("flatten", name, inputs)
    called = getattr(target, "__name__", target)
    raise _unsupported(name, f"a call of {called}", owner)


def _bind(node: fx.Node) -> Callable[[torch.Tensor], torch.Tensor]:
    args, kwargs, target = node.args[1:], dict(node.kwargs), node.target
    if isinstance(target, str):
        return lambda x: getattr(x, target)(*args, **kwargs)
    kwargs.pop("input", None)
    return lambda x: target(x, *args, **kwargs)


def _flattens(node: fx.Node) -> bool:
    """Whether a call leaves the first dimension and joins all others."""
    rest = node.args[1:]
    if node.target in (torch.flatten, "flatten"):
        start = node.kwargs.get("start_dim", rest[0] if rest else 0)
        return start == 1 and len(rest) < 2 and "end_dim" not in node.kwargs
    shape = rest[0] if len(rest) == 1 and isinstance(rest[0], (tuple, list)) else rest
    return len(shape) == 2 and shape[1] == -1


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


# ------------------------------------------------------------------------- channels


def _assign_space(op: Op, owner: str) -> None:
    if op.kind == "input":
        op.space = Space(_first_size(op), fixed=True)
        return
    if op.kind == "linear":
        _check_width(op, _width(op), owner)
        module: Any = op.module
        op.space = Space(module.weight.shape[0])
        return
    if op.kind == "output":
        for source in op.inputs:
            source.channels.fixed = True
        return
    first = op.inputs[0]
    op.space, op.factor = first.space, first.factor
    if op.kind == "add":
        _merge(op, owner)
    elif op.kind == "flatten":
        size = _first_size(op)
        if size == 0:
            op.channels.fixed = True
        elif first.factor == 1:
            op.factor = max(1, size // first.channels.size)
    elif op.kind == "coupling":
        op.channels.fixed = True
    elif op.kind in ("norm", "depthwise"):
        _check_width(op, _width(op), owner)


def _merge(op: Op, owner: str) -> None:
    left, right = op.inputs
    if left.size != right.size or left.factor != right.factor:
        raise _unsupported(
            op.name, f"an addition of {left.size} and {right.size} channels", owner
        )
    one, other = left.channels, right.channels
    if one is not other:
        other.merged = one
        one.fixed |= other.fixed


def _width(op: Op) -> int:
    """Entries that a module with parameters wants for each sample, or channels."""
    module: Any = op.module
    for name in ("in_features", "in_channels", "num_features"):
        if hasattr(module, name):
            return int(getattr(module, name))
    return 0


def _first_size(op: Op) -> int:
    """Size that the first module with parameters behind a node wants; 0: none."""
    for user in op.users:
        size = _width(user) if user.module is not None else 0
        if size == 0 and user.kind not in ("output", "flatten"):
            size = _first_size(user)
        if size:
            return size
    return 0


def _check_width(op: Op, width: int, owner: str) -> None:
    source = op.inputs[0]
    if source.channels.size and source.size != width:
        raise _unsupported(
            op.name,
            f"which takes {width} channels where {source.size} arrive",
            owner,
        )
