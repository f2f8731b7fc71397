"""The contract of tasks, which train an architecture. Imports torch.

Images are float [N, 3, H, W] RGB in 0..1, masks are float [N, 1, H, W] with 1 in the hole and 0
where the photo is visible.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from ..settings import Settings
from .stages import Stage

Losses = Mapping[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """A batch to learn from: images [N, 3, H, W] and masks [N, 1, H, W].

    A stage that is `labelled` is given label maps too: whole numbers [N, H, W], as in the files. A
    stage with a `detail` of D is given the same images at D times their size, scaled from the
    files: [N, 3, D * H, D * W].
    """

    image: Tensor
    mask: Tensor
    labels: Tensor | None = None
    large: Tensor | None = None

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
    """The training of an architecture. Networks are its children; time belongs to the program."""

    settings: ClassVar[type[Settings]] = Settings
    plan: ClassVar[Mapping[str, Stage]] = {"fill": Stage()}  # its stages in order, by name
    stage: str = "fill"  # the one that runs; the program sets it
    label_names: Sequence[str] = ()  # of the classes in label maps, by number; "left X" and
    # "right X" change places in a mirrored image

    def __init__(self, net: nn.Module, settings: Any) -> None:
        super().__init__()
        self.net = net
        self.config = settings

    def start(self) -> None:
        """Load others' weights that the networks to train begin with.

        A run that is resumed has them in its state: it does without their files. Raises
        `WeightsError`.
        """

    def phases(self, stage: str) -> Sequence[Phase]:
        """The optimiser steps of one iteration of `stage`, in order; none: it is skipped."""
        return [Phase("fill", ["net"], self.losses)]

    def detail(self, stage: str) -> int:
        """Return the factor by which `batch.large` is larger than the images; 1: there is none."""
        return 1

    def predict(self, batch: Batch) -> Any:
        """Run once an iteration; every phase is given the result."""
        return self.net(batch.visible, batch.mask)

    def losses(self, batch: Batch, out: Any) -> Losses:
        """The weighted terms of the one phase of a task that has no others."""
        raise NotImplementedError(f"{type(self).__name__} defines neither losses nor phases")

    def filler(self, net: nn.Module) -> Callable[[Tensor, Tensor], Any] | None:
        """Return what a validation of the running stage fills with; `net` is the averaged network.

        It is called as `net` is. None: the stage trains nothing that fills. Scores of what is not
        `net` itself are named after the stage, and its weights are never the best.
        """
        return net

    def tally(self, net: nn.Module, batch: Batch) -> Tensor | None:
        """Return counts of one batch of a validation, of what the running stage trains in `net`.

        They are added over all batches; None: there is nothing to count.
        """
        return None

    def tally_scores(self, total: Tensor) -> Mapping[str, float]:
        """Return the scores that the sum of all `tally` gives, by name; higher is better."""
        return {}

    def without(self) -> Sequence[str]:
        """Return what this training goes without, for the names of its runs: ["no-vgg"]."""
        return []

    def notes(self) -> Mapping[str, str]:
        """Return what else a weights file should say of this training: {"parser": "template"}."""
        return {}

    def files(self) -> Mapping[str, Path]:
        """Return the files of others' weights that it starts from, by the part they are for."""
        return {}

    def after(self, batch: Batch, out: Any, gather: Callable[[Tensor], Tensor]) -> None:
        """Write memories and running means, without gradient, from gathered tensors."""
