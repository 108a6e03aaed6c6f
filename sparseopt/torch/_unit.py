"""Parameter groups with one budget: penalty, support and cut."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch

from sparseopt.exceptions import ConvergenceWarning
from sparseopt.torch._diagonal import Entries
from sparseopt.torch._layout import Layout, make_layout
from sparseopt.torch._terms import Term, count_of, make_term

Number = Any  # float, or a tensor that broadcasts with the group norms

# The penalty starts at this part of the gradient.
_GENTLE = 0.1


class Unit:
    """A layer, or all layers where they share one budget.

    The first group holds the progress of the unit, so that it is saved with the
    optimizer: ``start``, the first value of lam, and ``grad_norm``, the sum of the
    norms of the gradients seen so far.  ``support`` of each group is its own.
    """

    def __init__(self, groups: list[dict], owner: str) -> None:
        self.groups = groups
        self.layouts = [make_layout(g["groups"], g["params"]) for g in groups]
        self.sizes = [layout.m for layout in self.layouts]
        self.head = groups[0]
        self.k = count_of(self.head["k"], sum(self.sizes), owner)
        parts = [
            group_weights(g, layout)
            for g, layout in zip(groups, self.layouts, strict=True)
        ]
        d = None
        if any(part is not None for part in parts):
            d = self._join(
                [
                    torch.ones_like(layout.sizes) if part is None else part
                    for part, layout in zip(parts, self.layouts, strict=True)
                ]
            )
        self.term: Term = make_term(
            self.head["penalty"], self.k, d, float(self.head["debias"])
        )

    def _join(self, parts: list[torch.Tensor]) -> torch.Tensor:
        """One vector, on the device of the first layer."""
        if len(parts) == 1:
            return parts[0]
        dtypes = [part.dtype for part in parts]
        dtype = torch.float64 if torch.float64 in dtypes else dtypes[0]
        return torch.cat([part.to(parts[0].device, dtype) for part in parts])

    def _split(self, joined: torch.Tensor) -> list[torch.Tensor]:
        return [
            part.to(group["params"][0].device)
            for part, group in zip(joined.split(self.sizes), self.groups, strict=True)
        ]

    def norms(self) -> torch.Tensor:
        """Norms of all groups."""
        return self._join(
            [
                layout.norms(group["params"])
                for group, layout in zip(self.groups, self.layouts, strict=True)
            ]
        )

    # ------------------------------------------------------------- the proximal step

    def see_gradient(self) -> None:
        """Add the norm of the gradient to what the automatic lam starts from."""
        if self.head["lam"] != "auto" or self.head["start"] is not None:
            return
        squares = [
            torch.linalg.vector_norm(group["params"][i].grad).float() ** 2
            for group, layout in zip(self.groups, self.layouts, strict=True)
            for i in layout.joined
            if group["params"][i].grad is not None
        ]
        if squares:
            norm = sum(s.to(squares[0].device) for s in squares).sqrt()
            seen = self.head["grad_norm"]
            self.head["grad_norm"] = norm if seen is None else seen.to(norm) + norm
            self.head["n_grads"] += 1

    def penalise(self, precisions: list[Number], fraction: float) -> None:
        """Proximal step in the metric of the optimizer."""
        r = self.norms()
        entries = None
        if any(isinstance(p, list) for p in precisions):
            entries = Entries(self, precisions)
        p = self._precision(precisions) if entries is None else entries.least()
        lam = self._lam(r, p, fraction)
        if not torch.is_tensor(lam) and lam == 0:
            return
        if entries is not None:
            entries.shrink_(self.term, float(lam), r)
            return
        factor = self.term.factor(r, lam, p)
        if len(self.sizes) > 1:
            factor = self._no_layer_empty(factor, r)
        self._scale(factor)

    def _no_layer_empty(self, factor: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        """Leave the largest group of a layer alone where all of them would go."""
        parts = []
        for part, norms in zip(
            factor.split(self.sizes), r.split(self.sizes), strict=True
        ):
            largest = norms.argmax(dim=0, keepdim=True)
            one = torch.where(part.max() > 0, part[largest], 1.0)
            parts.append(part.index_copy(0, largest, one))
        return torch.cat(parts)

    def _precision(self, precisions: list[Number]) -> Number:
        if len(precisions) == 1 or all(
            not torch.is_tensor(p) and p == precisions[0] for p in precisions
        ):
            return precisions[0]
        parts = []
        for p, layout in zip(precisions, self.layouts, strict=True):
            p = torch.as_tensor(p, dtype=torch.float32, device=layout.sizes.device)
            parts.append(p.expand(layout.m))
        return self._join(parts)

    def _lam(self, r: torch.Tensor, p: Number, fraction: float) -> Number:
        """The penalty of this step: a ramp up to the value that was asked for."""
        if self.head["lam"] != "auto":
            return float(self.head["lam"]) * fraction
        if self.head["start"] is None:
            self.head["start"] = self._start(r)
        start = self.head["start"]
        end = self.term.ceiling(r, p)
        if end is None or self.head["total_steps"] is None:
            return start * fraction
        # geometric: the time at each order of magnitude is the same
        if torch.is_tensor(end):
            ratio = (start / end).clamp(1e-6, 1.0)
        else:
            ratio = min(1.0, max(1e-6, start / end))
        return end * ratio ** (1.0 - fraction)

    def _start(self, r: torch.Tensor) -> float:
        """Value at which the penalty pulls with a tenth of the loss's gradient."""
        _check_finite(r)
        slope = self.term.slope(r)
        if slope is None or self.head["grad_norm"] is None:
            return 1.0
        mean = float(self.head["grad_norm"]) / self.head["n_grads"]
        return _GENTLE * mean / slope if slope > 0 else 0.0

    def _scale(self, factor: torch.Tensor) -> None:
        parts = self._split(factor)
        for group, layout, part in zip(self.groups, self.layouts, parts, strict=True):
            layout.scale_(group["params"], part)

    def snapshot(self) -> list[list[torch.Tensor]]:
        """Copies of the weights before a step."""
        return [[p.clone() for p in group["params"]] for group in self.groups]

    def half_space(self, before: list[list[torch.Tensor]]) -> None:
        """Set groups to zero that leave the half-space of their last value.

        The k largest groups stay, so that the count never falls below k.
        """
        dots, squares = [], []
        for group, layout, old in zip(self.groups, self.layouts, before, strict=True):
            dots.append(layout.dots(group["params"], old))
            squares.append(layout.dots(old, old))
        eps = self.head["half_space"]
        stays = self._join(dots) >= eps * self._join(squares)
        if self.k is not None:
            best = self.term.score(self.norms()).topk(self.k).indices
            stays = stays.index_fill(0, best, True)
        self._scale(stays.float())

    # -------------------------------------------------------------- support and cut

    def live(self) -> list[torch.Tensor]:
        """Which groups of each layer are not zero."""
        return self._split(self.norms() > 0)

    def cut(self) -> None:
        """Keep the k largest groups for good."""
        norms = self.norms()
        _check_finite(norms)
        score = self.term.score(norms).double().cpu().numpy()
        k = len(score) if self.k is None else self.k
        order = np.argsort(-score, kind="stable")  # ties: the lowest index
        keep = np.zeros(len(score), dtype=bool)
        keep[order[:k]] = True
        if len(self.sizes) > 1:
            _keep_one_each(keep, score, self.sizes)
        keep &= score > 0
        if keep.sum() < k and self.k is not None:
            warnings.warn(
                f"Only {keep.sum()} groups are not zero at the cut, of k = {k} asked "
                "for. Decrease 'lam' or use lam='auto'.",
                ConvergenceWarning,
                stacklevel=6,
            )
        for group, part in zip(
            self.groups, self._split(torch.from_numpy(keep)), strict=True
        ):
            group["support"] = part
        self.freeze()

    def freeze(self) -> None:
        """Keep at zero what the cut removed."""
        for group, layout in zip(self.groups, self.layouts, strict=True):
            support = group["support"].to(group["params"][0].device)
            layout.scale_(group["params"], support.float())


def _check_finite(norms: torch.Tensor) -> None:
    """Raise an error where the training has left the numbers."""
    if not torch.isfinite(norms).all():
        raise ValueError(
            "The penalised 'params' must be finite. Got NaN or infinity in "
            f"{int((~torch.isfinite(norms)).sum())} of {norms.numel()} groups: the "
            "training has diverged; decrease 'lr', or use float32 parameters."
        )


def _keep_one_each(keep: np.ndarray, score: np.ndarray, sizes: list[int]) -> None:
    """A network without a neuron in some layer computes nothing: swap one in."""
    starts = np.cumsum([0, *sizes])
    layer = np.repeat(np.arange(len(sizes)), sizes)
    for number in range(len(sizes)):
        if keep[starts[number] : starts[number + 1]].any():
            continue
        counts = np.bincount(layer[keep], minlength=len(sizes))
        spare = np.flatnonzero(keep & (counts[layer] > 1))
        if spare.size:
            keep[spare[score[spare].argmin()]] = False
        best = starts[number] + score[starts[number] : starts[number + 1]].argmax()
        keep[best] = True


def group_weights(group: dict[str, Any], layout: Layout) -> torch.Tensor | None:
    """Weights of the groups of a layer; None: ones."""
    weights = group["weights"]
    if weights is None:
        weights = "sqrt" if group["penalty"] == "group_lasso" else "ones"
    if isinstance(weights, str):
        if weights not in ("ones", "sqrt", "size"):
            raise ValueError(
                "The 'weights' parameter must be 'ones', 'sqrt', 'size', an array or "
                f"None. Got {weights!r}."
            )
        sizes = layout.sizes
        return {"ones": None, "sqrt": sizes.sqrt(), "size": sizes}[weights]
    array = torch.as_tensor(weights).to(layout.sizes)
    if array.shape != (layout.m,):
        raise ValueError(
            f"The 'weights' array must have shape ({layout.m},). "
            f"Got {tuple(array.shape)}."
        )
    if not bool(((array > 0) & torch.isfinite(array)).all()):
        raise ValueError("The 'weights' array must be positive and finite.")
    return array
