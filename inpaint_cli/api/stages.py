"""How a stage of training runs: its length, its optimisers, their rates. No torch.

A task gives its own stages as defaults; a recipe lays what it sets over them.
"""

import math
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from .settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]
AnySettings = TypeVar("AnySettings", bound=Settings)


class Schedule(Settings):
    """A learning rate's way through a stage, as a function of the step and of nothing else."""

    kind: Literal["constant", "linear", "cosine", "step"] = "constant"
    warmup: NonNegativeInt = 0  # steps that rise linearly to the full rate
    start: Share = 0.0  # share of the full rate at the first of them
    hold: Share = 0.0  # share of the stage before linear and cosine begin to fall
    floor: Share = 0.0  # share of the full rate at which they end
    power: PositiveFloat = 1.0  # of linear: (1 - t) ** power
    drops: tuple[Share, ...] = ()  # of step: the shares of the stage at which the rate drops
    factor: PositiveFloat = 0.1  # of step: what it is multiplied by at each

    def share(self, step: int, steps: int) -> float:
        """The share of the full rate at `step` of a stage of `steps`."""
        if step < self.warmup:
            return self.start + (1 - self.start) * step / self.warmup
        if self.kind == "step":
            return self.factor ** sum(step >= drop * steps for drop in self.drops)
        begin = max(self.warmup, self.hold * steps)
        if self.kind == "constant" or step < begin or steps <= begin:
            return 1.0
        t = (step - begin) / (steps - begin)
        fall = (1 - t) ** self.power if self.kind == "linear" else (1 + math.cos(math.pi * t)) / 2
        return self.floor + (1 - self.floor) * fall


class Optimizer(Settings):
    """An optimiser of torch by name, with the rate of each step."""

    kind: Literal["adam", "adamw", "sgd"] = "adam"
    lr: PositiveFloat = 1e-4
    betas: tuple[Share, Share] = (0.9, 0.999)  # of adam and adamw
    eps: PositiveFloat = 1e-8
    momentum: Share = 0.0  # of sgd
    weight_decay: NonNegativeFloat = 0.0
    decays: Literal["all", "weights"] = "all"  # weights: not biases, not scales of norms
    schedule: Schedule = Schedule()

    def rate(self, step: int, steps: int) -> float:
        """The learning rate at `step` of a stage of `steps`."""
        return self.lr * self.schedule.share(step, steps)

    def shared(self, steps: float) -> "Optimizer":
        """As fast and inert where it takes `steps` steps an iteration (StyleGAN2, appendix B)."""
        slow = self.betas[0] ** (1 / steps), self.betas[1] ** (1 / steps)
        return self.model_copy(update={"lr": self.lr / steps, "betas": slow})


class Stage(Settings):
    """A part of a training, in which the same modules learn from the same losses."""

    steps: NonNegativeInt = 100_000  # 0: the stage is skipped
    batch: PositiveInt | None = None  # images a step, over all processes; None: as the recipe says
    clip: NonNegativeFloat = 0.0  # largest norm of a phase's gradient; 0: not clipped
    labelled: bool = False  # learn from images with label maps only
    averaged: bool = False  # begin from the averaged network of the stage before
    optimizer: Optimizer = Optimizer()
    optimizers: dict[str, Optimizer] = Field(default_factory=dict)  # by phase, over `optimizer`

    def optimizer_of(self, phase: str) -> Optimizer:
        """The optimiser of `phase`: what `optimizers` sets for it, laid over `optimizer`."""
        own = self.optimizers.get(phase)
        return overlay_settings(self.optimizer, own) if own else self.optimizer


def overlay_settings(below: AnySettings, above: AnySettings) -> AnySettings:
    """`below`, with all that was set in `above` laid over it, however deep."""
    return type(below).model_validate(
        merge_trees(below.model_dump(exclude_unset=True), above.model_dump(exclude_unset=True))
    )


def merge_trees(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two trees of settings as one; where both have a leaf, `above` has it."""
    tree = below | above
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            tree[key] = merge_trees(below[key], above[key])
    return tree
