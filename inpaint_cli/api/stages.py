"""The length, optimisers and learning rates of a stage of training. No torch.

The stages of a task are defaults; a recipe replaces the settings that it has.
"""

import math
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, NonNegativeFloat, PositiveFloat

from ..settings import Count, PositiveCount, Settings

Share = Annotated[float, Field(ge=0, le=1)]
AnySettings = TypeVar("AnySettings", bound=Settings)


class Schedule(Settings):
    """The learning rate as a function of the step in a stage."""

    kind: Literal["constant", "linear", "cosine", "step"] = Field(
        default="constant", description="How the rate falls after the warm-up."
    )
    warmup: Count = Field(default=0, description="Steps in which the rate rises linearly.")
    start: Share = Field(
        default=0.0, description="Share of the full rate at the first warm-up step."
    )
    hold: Share = Field(
        default=0.0, description="Share of the stage before a linear or cosine rate begins to fall."
    )
    floor: Share = Field(
        default=0.0, description="Share of the full rate at which a linear or cosine rate ends."
    )
    power: PositiveFloat = Field(
        default=1.0, description="Exponent of a linear rate: (1 - t) ** power."
    )
    drops: tuple[Share, ...] = Field(
        default=(), description="Shares of the stage at which a step rate drops."
    )
    factor: PositiveFloat = Field(default=0.1, description="Factor of a step rate at each drop.")

    def share(self, step: int, steps: int) -> float:
        """Return the share of the full rate at `step` of a stage of `steps`.

        >>> Schedule(kind="linear").share(25, 100)
        0.75
        """
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
    """An optimiser of torch, and its learning rate."""

    kind: Literal["adam", "adamw", "sgd"] = Field(default="adam", description="Optimiser.")
    lr: PositiveFloat = Field(default=1e-4, description="Full learning rate.")
    betas: tuple[Share, Share] = Field(
        default=(0.9, 0.999), description="Decay rates of the moments of adam and adamw."
    )
    eps: PositiveFloat = Field(
        default=1e-8, description="Term for numerical stability of adam and adamw."
    )
    momentum: Share = Field(default=0.0, description="Momentum of sgd.")
    weight_decay: NonNegativeFloat = Field(default=0.0, description="Weight decay.")
    decays: Literal["all", "weights"] = Field(
        default="all",
        description="Parameters that decay: all, or no biases and no scales of norms.",
    )
    schedule: Schedule = Field(default=Schedule(), description="Learning rate over the stage.")

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate at `step` of a stage of `steps`."""
        return self.lr * self.schedule.share(step, steps)

    def shared(self, steps: float) -> "Optimizer":
        """Return it rescaled for `steps` steps per iteration, with the same effect.

        This is the correction for lazy regularisation (StyleGAN2, appendix B).
        """
        slow = self.betas[0] ** (1 / steps), self.betas[1] ** (1 / steps)
        return self.model_copy(update={"lr": self.lr / steps, "betas": slow})


class Stage(Settings):
    """A part of a training in which the same modules learn from the same losses."""

    steps: Count = Field(default=100_000, description="Steps; 0: the stage is skipped.")
    batch: PositiveCount | None = Field(
        default=None, description="Images per step, over all processes; null: the recipe's."
    )
    clip: NonNegativeFloat = Field(
        default=0.0, description="Largest norm of the gradient of a phase; 0: not clipped."
    )
    labelled: bool = Field(default=False, description="Use only images that have a label map.")
    averaged: bool = Field(
        default=False, description="Start from the averaged network of the stage before."
    )
    decay: Share | None = Field(
        default=None,
        description="Share of the averaged network that is kept at each step; 0: no averaging; "
        "null: as `ema` says.",
    )
    optimizer: Optimizer = Field(default=Optimizer(), description="Optimiser of every phase.")
    optimizers: dict[str, Optimizer] = Field(
        default_factory=dict, description="Changes of `optimizer` for single phases, by name."
    )

    def optimizer_of(self, phase: str) -> Optimizer:
        """Return the optimiser of `phase`: `optimizer` with the changes in `optimizers`."""
        own = self.optimizers.get(phase)
        return overlay_settings(self.optimizer, own) if own else self.optimizer


def overlay_settings(below: AnySettings, above: AnySettings) -> AnySettings:
    """Return `below` with every setting that was set in `above`, at any depth."""
    return type(below).model_validate(
        merge_trees(below.model_dump(exclude_unset=True), above.model_dump(exclude_unset=True))
    )


def merge_trees(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Merge two trees of settings; where both have a leaf, that of `above` is used."""
    tree = below | above
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            tree[key] = merge_trees(below[key], above[key])
    return tree
