"""What the proximal optimizers share: groups, schedule, proximal step and cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch.optim import Optimizer

from sparseopt._core._params import (
    Boolean,
    Interval,
    Options,
    Type,
    check_params,
    public_name,
)
from sparseopt.prox import Penalty
from sparseopt.torch._layout import make_layout
from sparseopt.torch._schedule import LossWatch, phase
from sparseopt.torch._terms import PenaltyTerm, count_of
from sparseopt.torch._unit import Unit, group_weights

CONSTRAINTS: Mapping[str, list[Any]] = {
    "lr": [Interval(0, None)],
    "weight_decay": [Interval(0, None)],
    "penalty": [Options("group_lasso", "l0_ball", "l1", "wgsef"), Type(Penalty), None],
    "lam": [Options("auto"), Interval(0, None)],
    "debias": [Interval(0, 1)],
    "scope": [Options("global", "layer")],
    "total_steps": [Interval(1, None, integer=True), None],
    "warmup": [Interval(0, 1)],
    "ramp": [Interval(0, 1)],
    "cut": [Interval(0, 1, closed="right")],
    "half_space": [Interval(0, 1, closed="left"), None],
    "nesterov": [Boolean],
}
# Entries of a parameter group that change during training.
_PROGRESS = {"step": 0, "start": None, "grad_norm": None, "n_grads": 0, "support": None}
# Entries that may hold objects, which a saved state must not.
_OBJECTS = ("penalty", "groups", "weights")
# Penalties of all groups of a unit share these.
_SHARED = ("penalty", "k", "lam", "debias", "half_space")


class ProxOptimizer(Optimizer):
    """Gradient step, then proximal step; subclasses say what the gradient step is."""

    constraints: ClassVar[Mapping[str, list[Any]]] = CONSTRAINTS

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        check_params(type(self), self.constraints, defaults)
        start = defaults["warmup"] + defaults["ramp"]
        if start > defaults["cut"]:
            raise ValueError(
                f"The 'cut' parameter of {public_name(type(self))} must be at least "
                f"warmup + ramp = {start:g}. Got {defaults['cut']}."
            )
        self._watch = LossWatch()
        self._units_now: list[Unit] | None = None
        super().__init__(params, defaults)
        self._units()  # budgets of all layers together are checked here

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._units_now = None  # they hold references to the old groups
        if "_watch" not in self.__dict__:
            self._watch = LossWatch()

    # ------------------------------------------------------------- parameter groups

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, which are penalised if the group names a penalty.

        Parameters
        ----------
        param_group : dict
            Its ``"params"`` and whatever differs from the arguments of the optimizer.
        """
        group = dict(param_group)
        if group.get("penalty", self.defaults["penalty"]) is not None:
            if group.get("weight_decay"):
                raise ValueError(
                    f"The 'weight_decay' parameter of {public_name(type(self))} must "
                    "be 0 in parameter groups with a penalty, which shrinks them "
                    f"already. Got {group['weight_decay']}."
                )
            group["weight_decay"] = 0.0
        super().add_param_group(group)
        try:
            self._prepare(self.param_groups[-1])
        except Exception:
            self.param_groups.pop()
            raise
        self._units_now = None

    def _prepare(self, group: dict[str, Any]) -> None:
        """Check a new group, so that mistakes are found before training."""
        owner = public_name(type(self))
        check_params(type(self), self.constraints, group)
        for param in group["params"]:
            if param.is_complex():
                raise ValueError(
                    f"The 'params' of {owner} must be real. Complex data not "
                    f"supported; got {param.dtype}."
                )
        for name, value in _PROGRESS.items():
            group.setdefault(name, value)
        penalty = group["penalty"]
        if penalty is None:
            return
        if group["groups"] is None:
            group["groups"] = "entries" if penalty == "l1" else "rows"
        if penalty in ("wgsef", "l0_ball") and group["k"] is None:
            raise ValueError(
                f"The 'k' parameter of {owner} must be given for the penalty "
                f"{penalty!r}: a number of groups or a fraction of them. Got None."
            )
        layout = make_layout(group["groups"], group["params"])
        group_weights(group, layout)
        if group["scope"] == "layer":
            count_of(group["k"], layout.m, owner)
            return
        for other in self.param_groups[:-1]:
            if other["penalty"] is None or other["scope"] == "layer":
                continue
            for name in _SHARED:
                if other[name] != group[name]:
                    raise ValueError(
                        f"The {name!r} parameter of {owner} must be the same in all "
                        f"groups with scope='global'. Got {group[name]!r} and "
                        f"{other[name]!r}."
                    )

    def _units(self) -> list[Unit]:
        if self._units_now is None:
            scopes: dict[Any, list[dict]] = {}
            for index, group in enumerate(self.param_groups):
                if group["penalty"] is not None:
                    scope = group["scope"]
                    key = scope if scope == "global" else index
                    scopes.setdefault(key, []).append(group)
            owner = public_name(type(self))
            self._units_now = [Unit(groups, owner) for groups in scopes.values()]
        return self._units_now

    # ------------------------------------------------------------------------ a step

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and its gradients, and returns the loss.

        Returns
        -------
        loss : tensor or None
            What the closure returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        penalised = False
        for group in self.param_groups:
            if group["penalty"] is None:
                group["step"] += 1
                self._descend(group, None)
        for unit in self._units():
            penalised |= self._step_unit(unit)
        if loss is not None:
            self._watch.see(loss, penalised=penalised)
        return loss

    def _step_unit(self, unit: Unit) -> bool:
        """Step of the layers of one budget; whether the penalty acted."""
        if all(p.grad is None for group in unit.groups for p in group["params"]):
            return False
        for group in unit.groups:
            group["step"] += 1
        now = phase(unit.head["step"], unit.head)
        frozen = unit.head["support"] is not None
        moves = all(float(group["lr"]) > 0 for group in unit.groups)
        active = now.fraction > 0 and not frozen and moves
        if not frozen:
            unit.see_gradient()
        half_space = (
            active and now.fraction == 1 and unit.head["half_space"] is not None
        )
        before = unit.snapshot() if half_space else None
        precisions = [
            self._descend(group, layout if active else None)
            for group, layout in zip(unit.groups, unit.layouts, strict=True)
        ]
        if active:
            if isinstance(unit.term, PenaltyTerm):
                precisions = [_scalar(p) for p in precisions]
            unit.penalise(precisions, now.fraction)
        if before is not None:
            unit.half_space(before)
        if frozen:
            unit.freeze()
        elif now.cut and unit.k is not None:
            unit.cut()
        return active

    def _descend(self, group: dict[str, Any], layout: Any) -> Any:
        """Gradient step; with a layout, the precision of its proximal step."""
        raise NotImplementedError

    def _gradients(self, group: dict[str, Any]) -> list[torch.Tensor | None]:
        grads = [param.grad for param in group["params"]]
        if any(g is not None and g.is_sparse for g in grads):
            raise RuntimeError(
                f"{public_name(type(self))} does not support sparse gradients. "
                "Use a dense embedding (sparse=False)."
            )
        return grads

    # ------------------------------------------------------------ support and saving

    @torch.no_grad()
    def cut(self) -> None:
        """Keep the k largest groups now and for good, without penalty from here on.

        With `total_steps` this happens by itself; without, call it when the training
        is nearly done.  Layers without `k` keep the groups that are not zero.
        """
        for unit in self._units():
            unit.cut()

    @torch.no_grad()
    def support(self) -> list[torch.Tensor | None]:
        """Groups that are not zero.

        Returns
        -------
        support : list of tensors of bool, or None
            One for each parameter group; None where there is no penalty.
        """
        found = {
            id(group): part
            for unit in self._units()
            for group, part in zip(unit.groups, unit.live(), strict=True)
        }
        return [found.get(id(group)) for group in self.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """State of the training, of plain values and tensors only.

        Returns
        -------
        state : dict
            Can be saved by `torch.save` and loaded with ``weights_only=True``.
        """
        state = super().state_dict()
        for group in state["param_groups"]:
            for name in _OBJECTS:
                if not isinstance(group[name], (str, type(None))):
                    group[name] = type(group[name]).__name__
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where another optimizer of the same groups was saved.

        Parameters
        ----------
        state_dict : dict
            What `state_dict` gave.  Penalties, groups and weights stay those of this
            optimizer.
        """
        own = [{name: group[name] for name in _OBJECTS} for group in self.param_groups]
        super().load_state_dict(state_dict)
        for group, kept in zip(self.param_groups, own, strict=True):
            group.update(kept)
        self._units_now = None


def _scalar(precision: Any) -> Any:
    return precision.mean() if torch.is_tensor(precision) else precision


def arguments(names: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults of an optimizer from the local names of its constructor."""
    other = ("self", "params", "__class__")
    return {name: value for name, value in names.items() if name not in other}
