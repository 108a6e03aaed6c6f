"""How the tensors of one layer fall into groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

# Dimensions of the weight that number the groups; None: all of them.
_KEPT: dict[str, tuple[int, ...] | None] = {
    "rows": (0,),
    "filters": (0,),
    "columns": (1,),
    "channels": (1,),
    "kernels": (0, 1),
    "entries": None,
}
NAMES = tuple(_KEPT)


def wide(dtype: torch.dtype) -> torch.dtype:
    """Type in which sums over a group are taken."""
    return torch.float64 if dtype == torch.float64 else torch.float32


class Layout:
    """Groups of the entries of some tensors, the first of which is the weight.

    Attributes
    ----------
    m : int
        Number of groups.
    joined : list of int
        Positions of the tensors with entries in groups; the others are free.
    sizes : tensor of shape (m,)
        Entries in each group.
    """

    m: int
    joined: list[int]
    sizes: torch.Tensor

    def norms(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Euclidean norm of each group, in float32 or wider."""
        raise NotImplementedError

    def sums(self, tensors: Sequence[torch.Tensor | None]) -> torch.Tensor:
        """Sum over each group; a tensor that is None counts as zeros."""
        raise NotImplementedError

    def least(self, tensors: Sequence[torch.Tensor | None]) -> torch.Tensor:
        """Smallest entry of each group; a tensor that is None has none."""
        raise NotImplementedError

    def spread(self, values: torch.Tensor, position: int, like: torch.Tensor) -> Any:
        """Value of its group for each entry, broadcastable to ``like``; free ones 1."""
        raise NotImplementedError

    def scale_(self, tensors: Sequence[torch.Tensor], factor: torch.Tensor) -> None:
        """Multiply each group by its factor in place; 0 gives +0 whatever was there."""
        for position in self.joined:
            tensor = tensors[position]
            spread = self.spread(factor, position, tensor).to(tensor.dtype)
            # not a product alone: infinity * 0 is NaN, and -1 * 0 is -0
            tensor.mul_(spread).masked_fill_(spread == 0, 0.0)

    def dots(
        self, left: Sequence[torch.Tensor], right: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Scalar product of two points over each group."""
        return self.sums(
            [a.to(wide(a.dtype)) * b for a, b in zip(left, right, strict=True)]
        )


class AxisLayout(Layout):
    """Groups numbered by dimensions of the tensors, such as the rows of a matrix."""

    def __init__(
        self, tensors: Sequence[torch.Tensor], kept: list[tuple[int, ...] | None]
    ) -> None:
        self.kept = kept
        self.joined = [i for i, dims in enumerate(kept) if dims is not None]
        first = kept[0] or ()
        self.m = int(np.prod([tensors[0].shape[d] for d in first]))
        count = sum(tensors[i].numel() for i in self.joined) // max(self.m, 1)
        self.sizes = torch.full(
            (self.m,), count, dtype=wide(tensors[0].dtype), device=tensors[0].device
        )

    def _others(self, position: int, ndim: int) -> tuple[int, ...]:
        kept = self.kept[position] or ()
        return tuple(d for d in range(ndim) if d not in kept)

    def norms(self, tensors):
        parts = []
        for i in self.joined:
            t, dims = tensors[i], self._others(i, tensors[i].ndim)
            t = t.to(wide(t.dtype))
            norm = torch.linalg.vector_norm(t, dim=dims) if dims else t.abs()
            parts.append(norm.reshape(-1))
        if len(parts) == 1:
            return parts[0]
        return torch.linalg.vector_norm(torch.stack(parts), dim=0)

    def sums(self, tensors):
        total = None
        for i in self.joined:
            t = tensors[i]
            if t is None:
                continue
            dims = self._others(i, t.ndim)
            t = t.to(wide(t.dtype))
            part = (t.sum(dim=dims) if dims else t).reshape(-1)
            total = part if total is None else total + part
        assert total is not None
        return total

    def least(self, tensors):
        parts = []
        for i in self.joined:
            if (t := tensors[i]) is not None:
                dims = self._others(i, t.ndim)
                parts.append((t.amin(dim=dims) if dims else t).reshape(-1))
        return torch.stack(parts).amin(dim=0)

    def spread(self, values, position, like):
        kept = self.kept[position] or ()
        return values.reshape(
            [like.shape[d] if d in kept else 1 for d in range(like.ndim)]
        )


class LabelLayout(Layout):
    """Groups given by a label for each entry; entries with a negative one are free."""

    def __init__(
        self, tensors: Sequence[torch.Tensor], labels: list[torch.Tensor | None]
    ) -> None:
        self.joined = [i for i, part in enumerate(labels) if part is not None]
        self.m = 1 + max(int(part.max()) for part in labels if part is not None)
        # free entries share one more group, which nobody looks at
        self.labels = [
            None
            if part is None
            else torch.where(part < 0, self.m, part).to(tensors[0].device).reshape(-1)
            for part in labels
        ]
        counts = sum(
            torch.bincount(self.labels[i], minlength=self.m + 1) for i in self.joined
        )
        self.sizes = counts[: self.m].to(wide(tensors[0].dtype))
        if bool((self.sizes == 0).any()):
            empty = int((self.sizes == 0).nonzero()[0])
            raise ValueError(
                "The labels of the 'groups' parameter must use every number from 0 to "
                f"the largest, {self.m - 1}. Got none with {empty}."
            )

    def norms(self, tensors):
        top = torch.stack([tensors[i].abs().max() for i in self.joined]).max()
        top = torch.where(top > 0, top, 1.0).to(wide(top.dtype))
        scaled = [None if t is None else t.to(top.dtype) / top for t in tensors]
        return top * self.sums([None if t is None else t * t for t in scaled]).sqrt()

    def sums(self, tensors):
        parts = [i for i in self.joined if tensors[i] is not None]
        dtype = wide(tensors[parts[0]].dtype)
        total = torch.zeros(self.m + 1, dtype=dtype, device=tensors[parts[0]].device)
        for i in parts:
            total.index_add_(0, self.labels[i], tensors[i].reshape(-1).to(dtype))
        return total[: self.m]

    def least(self, tensors):
        parts = [i for i in self.joined if tensors[i] is not None]
        least = tensors[parts[0]].new_full((self.m + 1,), torch.inf)
        for i in parts:
            entries = tensors[i].reshape(-1)
            least.scatter_reduce_(0, self.labels[i], entries, reduce="amin")
        return least[: self.m]

    def spread(self, values, position, like):
        return torch.cat([values, values.new_ones(1)])[self.labels[position]].reshape(
            like.shape
        )


def make_layout(groups: Any, tensors: Sequence[torch.Tensor]) -> Layout:
    """Layout from a name, labels, or a function of the tensors that gives labels."""
    if callable(groups):
        groups = groups(*tensors)
    if isinstance(groups, str):
        if groups not in NAMES:
            raise ValueError(
                f"The 'groups' parameter must be one of {sorted(NAMES)}, labels or a "
                f"callable. Got {groups!r}."
            )
        return _by_axis(groups, tensors)
    return _by_labels(groups, tensors)


def _by_axis(name: str, tensors: Sequence[torch.Tensor]) -> AxisLayout:
    weight = tensors[0]
    dims = _KEPT[name]
    dims = tuple(range(weight.ndim)) if dims is None else dims
    if weight.ndim <= max(dims, default=-1) or weight.numel() == 0:
        raise ValueError(
            f"The 'groups' parameter {name!r} needs a weight of at least "
            f"{max(dims, default=0) + 1} dimensions, not empty, as the first of "
            f"'params'. Got one of shape {tuple(weight.shape)}."
        )
    kept: list[tuple[int, ...] | None] = [dims]
    for position, tensor in enumerate(tensors[1:], start=1):
        if len(dims) > 1 or dims == (1,) or name == "entries":
            # a bias belongs to no column, kernel or entry of the weight
            same = dims == (1,) and tensor.ndim > 1
            same = same and tensor.shape[1] == weight.shape[1]
            kept.append(dims if same else None)
        elif tensor.ndim and tensor.shape[0] == weight.shape[0]:
            kept.append(dims)
        else:
            raise ValueError(
                f"Every tensor of a group with groups={name!r} must have "
                f"{weight.shape[0]} {name}, like the first. Got shape "
                f"{tuple(tensor.shape)} at position {position} of 'params'."
            )
    return AxisLayout(tensors, kept)


def _by_labels(groups: Any, tensors: Sequence[torch.Tensor]) -> LabelLayout:
    is_list = isinstance(groups, (list, tuple)) and any(
        part is None or hasattr(part, "shape") for part in groups
    )
    given = list(groups) if is_list else [groups]
    if len(given) > len(tensors):
        raise ValueError(
            "The 'groups' parameter must have labels for at most as many tensors as "
            f"'params', {len(tensors)}. Got {len(given)}."
        )
    labels: list[torch.Tensor | None] = []
    for part, tensor in zip(given, tensors, strict=False):
        labels.append(None if part is None else _labels_of(part, tensor))
    labels += [None] * (len(tensors) - len(labels))
    if all(part is None or int(part.max()) < 0 for part in labels):
        raise ValueError(
            "The 'groups' parameter must have a label that is not negative. Got none."
        )
    return LabelLayout(tensors, labels)


def _labels_of(part: Any, tensor: torch.Tensor) -> torch.Tensor:
    array = torch.as_tensor(np.asarray(part) if not torch.is_tensor(part) else part)
    if array.is_floating_point() or array.is_complex() or array.dtype == torch.bool:
        raise TypeError(
            f"The labels of the 'groups' parameter must be integers. Got {array.dtype}."
        )
    if array.numel() != tensor.numel():
        raise ValueError(
            "The 'groups' parameter, where it holds labels, must have one for each of "
            f"{tensor.numel()} entries. Got {array.numel()}."
        )
    return array.detach().long().reshape(-1)
