"""When the penalty starts, grows and ends."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import torch

from sparseopt.exceptions import ConvergenceWarning


class Phase(NamedTuple):
    """What happens in one step."""

    fraction: float  # of the penalty: 0 during the warm-up, 1 after the ramp
    cut: bool  # this step ends with the cut


def phase(step: int, group: dict[str, Any]) -> Phase:
    """Phase of a step, counted from 1, under the schedule of a parameter group.

    Without a schedule the penalty is whole from the first step and nothing is cut.
    """
    total = group["total_steps"]
    if total is None:
        return Phase(1.0, False)
    start = round(group["warmup"] * total)
    end = round((group["warmup"] + group["ramp"]) * total)
    last = max(1, round(group["cut"] * total))
    fraction = 1.0 if step >= end else max(0.0, (step - start) / max(1, end - start))
    return Phase(fraction, step == last)


class LossWatch:
    """Says once when the penalty has driven the loss back to where it began."""

    # Mean of the first losses, and how often the running mean is compared with it:
    # a comparison waits for the device.
    N_FIRST = 10
    EVERY = 50
    DECAY = 0.9
    # It had fallen below the one multiple of the first losses and is above the other.
    LOW, HIGH = 0.8, 0.95

    def __init__(self) -> None:
        self.first: Any = 0.0
        self.mean: Any = 0.0
        self.lowest: Any = 0.0
        self.count = 0
        self.warned = False

    def see(self, loss: Any, *, penalised: bool) -> None:
        """Take the loss of one step in."""
        loss = torch.as_tensor(loss).detach().double()
        self.count += 1
        if self.count <= self.N_FIRST:
            self.first = self.first + (loss - self.first) / self.count
            self.mean = self.lowest = self.first
            return
        self.mean = self.DECAY * self.mean + (1 - self.DECAY) * loss
        self.lowest = torch.minimum(self.lowest, self.mean)
        if self.warned or not penalised or self.count % self.EVERY:
            return
        mean, first, lowest = float(self.mean), float(self.first), float(self.lowest)
        if lowest < self.LOW * first and mean > self.HIGH * first:
            self.warned = True
            warnings.warn(
                f"The loss had fallen from {first:.3g} to {lowest:.3g} and is back at "
                f"{mean:.3g}: the penalty is too strong for this step size. Decrease "
                "'lam' or use lam='auto'.",
                ConvergenceWarning,
                stacklevel=5,
            )
