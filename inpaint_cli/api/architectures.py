"""What a plugin implements to add an architecture, and how it learns.

Conventions, here and nowhere else: images are float [N, 3, H, W] RGB in 0..1, masks are float
[N, 1, H, W] with 1 in the hole and 0 where the photo is visible. A network never sees what is
under the hole, and only the hole of what it returns is used: the engine sees to both.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from .settings import Settings
from .stages import Stage

Losses = Mapping[str, Tensor]
Precision = Literal["full", "bf16", "fp16"]


WHOLE_PHOTO = 2**20  # as context: all of any photo


@dataclass(frozen=True)
class Sizes:
    """Which image sizes a network takes, and how much of a photo it needs to see.

    The engine pads to the next size that fits and crops the result; a large photo is worked on
    in windows of at most `window` pixels a side, cut around the hole with `context` pixels or
    more of the photo on every side. Holes too large for one window are cut into `tiles`; a network
    that must see them whole, as one that looks for a face, says False, and is shown all at once,
    shrunk to `window`.
    """

    multiple: int = 1
    minimum: int = 1
    square: bool = False
    window: int = 512
    context: int = 64
    tiles: bool = True

    def fit(self, height: int, width: int) -> tuple[int, int]:
        """The smallest size that holds [height, width] and that the network takes."""
        if self.square:
            height = width = max(height, width)
        step = self.multiple
        return (
            -(-max(height, self.minimum) // step) * step,
            -(-max(width, self.minimum) // step) * step,
        )


@dataclass(frozen=True)
class Batch:
    """What a task learns from: images [N, 3, H, W] and masks [N, 1, H, W].

    A stage that is `labelled` is given label maps too: whole numbers [N, H, W], as in the files.
    """

    image: Tensor
    mask: Tensor
    labels: Tensor | None = None

    @property
    def visible(self) -> Tensor:
        """The image with its hole set to 0: all that a network is shown."""
        return self.image * (1 - self.mask)


@dataclass(frozen=True)
class Phase:
    """One optimiser step of an iteration: the modules that learn, and from which losses.

    Phases that train the same modules share the optimiser of the first of them, whose rate and
    betas make up for the steps of those that are lazy (`every` over 1). What no phase of a stage
    trains stays frozen, in eval mode, for the whole stage.
    """

    name: str
    trains: Sequence[str]  # modules of the task, as `get_submodule` names them
    losses: Callable[[Batch, Any], Losses]  # weighted terms, whose sum is back-propagated; one
    # without gradient is there to be logged
    every: int = 1  # take part in each n-th iteration
    rates: Mapping[str, float] = field(default_factory=dict)  # of modules, times the optimiser's


class Task(nn.Module):
    """How an architecture learns. Networks are its children; time belongs to the engine."""

    settings: ClassVar[type[Settings]] = Settings
    plan: ClassVar[Mapping[str, Stage]] = {"fill": Stage()}  # its stages in order, by name
    stage: str = "fill"  # the one that runs; the engine sets it

    def __init__(self, net: nn.Module, settings: Any) -> None:
        super().__init__()
        self.net = net
        self.config = settings

    def phases(self, stage: str) -> Sequence[Phase]:
        """The optimiser steps of one iteration of `stage`, in order; none: it is skipped."""
        return [Phase("fill", ["net"], self.losses)]

    def predict(self, batch: Batch) -> Any:
        """Run once an iteration; every phase is given the result."""
        return self.net(batch.visible, batch.mask)

    def losses(self, batch: Batch, out: Any) -> Losses:
        """The weighted terms of the one phase of a task that has no others."""
        raise NotImplementedError(f"{type(self).__name__} defines neither losses nor phases")

    def without(self) -> Sequence[str]:
        """What this training does without, for the names of its runs: ["no-vgg"]."""
        return []

    def after(self, batch: Batch, out: Any, gather: Callable[[Tensor], Tensor]) -> None:
        """Write memories and running means, without gradient, from gathered tensors."""


@dataclass(frozen=True)
class Converted:
    """Someone else's checkpoint as our settings and state, and what of it was not needed."""

    settings: Settings
    state: Mapping[str, Tensor]  # no number is lost: each lies here or under a dropped name
    dropped: Sequence[str]  # critics, losses, counters


class Architecture(ABC):
    """A network that fills holes, and optionally the task that trains it.

    The first line of the class's docstring is what listings show.
    """

    settings: ClassVar[type[Settings]] = Settings
    task: ClassVar[type[Task] | None] = None  # None: cannot be trained
    needs_weights: ClassVar[bool] = True  # False: fills as it is built
    stochastic: ClassVar[bool] = False  # True: draws from torch's generator, which the engine seeds
    precisions: ClassVar[Sequence[Precision]] = ("full", "bf16")  # in which its results are sound
    licence: ClassVar[str] = "Apache-2.0"  # of the code; weights carry their own
    source: ClassVar[str] = ""  # the paper or the package it comes from
    tiny: ClassVar[Mapping[str, Any]] = {}  # a recipe's section, {model, task}, quick to test

    @staticmethod
    @abstractmethod
    def build(settings: Any) -> nn.Module:
        """Return a module called as net(visible, mask) -> image, or -> (image, ...)."""

    @staticmethod
    def sizes(settings: Any) -> Sizes:
        """The image sizes that the network built from `settings` takes."""
        return Sizes()

    @staticmethod
    def convert(tensors: Mapping[str, Tensor]) -> Converted | None:
        """The authors' own checkpoint as ours; None where its layout is not known.

        Raises WeightsError where the layout is known but a tensor is missing or has no place.
        """
        return None

    @staticmethod
    def explain(net: Any, visible: Tensor, mask: Tensor) -> Sequence[tuple[Any, str]]:
        """Pictures (Pillow's, or uint8 [H, W, 3]) with captions of how `net` came to its fill."""
        return []
