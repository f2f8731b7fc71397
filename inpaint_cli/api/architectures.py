"""The contract of architectures, networks that fill holes. Imports no torch.

Conventions, here and nowhere else: images are float [N, 3, H, W] RGB in 0..1, masks are float
[N, 1, H, W] with 1 in the hole and 0 where the photo is visible. A network never sees what is
under the hole, and only the hole of what it returns is used: the program sees to both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import getattr_static
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ..lazy import deferred, lazy_names
from .sizes import WHOLE_PHOTO, Sizes

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..settings import Settings
    from .tasks import Batch, Losses, Phase, Task

__all__ = [
    "WHOLE_PHOTO",
    "Architecture",
    "Batch",
    "Converted",
    "Losses",
    "Phase",
    "Precision",
    "Sizes",
    "Task",
]

# as version 0.1 offered them here
__getattr__, _ = lazy_names(__name__, {"..tasks": "Batch Losses Phase Task"})

Precision = Literal["full", "bf16", "fp16"]


@dataclass(frozen=True)
class Converted:
    """Someone else's checkpoint as our settings and state, and what of it was not needed."""

    settings: Settings
    state: Mapping[str, Tensor]  # no number is lost: each is here or under a dropped name
    dropped: Sequence[str]  # critics, losses, counters


class Architecture(ABC):
    """A network that fills holes, and optionally the task that trains it.

    The first line of the class's docstring is what listings show. They import the module of the
    class: one that names its settings and task with `deferred`, and imports its network in
    `build`, is listed without importing torch.
    """

    settings: ClassVar[type[Settings]] = deferred("inpaint_cli.settings:Settings")
    task: ClassVar[type[Task] | None] = None  # None: cannot be trained; see `deferred`
    needs_weights: ClassVar[bool] = True  # False: fills as it is built
    stochastic: ClassVar[bool] = False  # True: may draw from torch's generator, which is seeded
    precisions: ClassVar[Sequence[Precision]] = ("full", "bf16")  # in which its results are sound
    no_onnx: ClassVar[str] = ""  # why the network cannot be an ONNX file, in words
    licence: ClassVar[str] = "Apache-2.0"  # of the code; weights carry their own
    source: ClassVar[str] = ""  # the paper or the package it comes from
    citation: ClassVar[str] = ""  # that paper as BibTeX

    @staticmethod
    @abstractmethod
    def build(settings: Any) -> nn.Module:
        """Return a module called as net(visible, mask) -> image, or -> (image, ...)."""

    @staticmethod
    def sizes(settings: Any) -> Sizes:
        """The image sizes that the network built from `settings` takes."""
        return Sizes()

    @classmethod
    def draws(cls, settings: Any) -> bool:
        """Whether the network built from `settings` draws at random, so that fills differ."""
        return cls.stochastic

    @classmethod
    def convert(cls, tensors: Mapping[str, Tensor]) -> Converted | None:
        """The authors' own checkpoint as ours; None where its layout is not known.

        Raises WeightsError where the layout is known but a tensor is missing or has no place.
        """
        return None

    @staticmethod
    def explain(net: Any, visible: Tensor, mask: Tensor) -> Sequence[tuple[Any, str]]:
        """Pictures (Pillow's, or uint8 [H, W, 3]) with captions of how `net` came to its fill."""
        return []

    @classmethod
    def trains(cls) -> bool:
        """Whether it can be trained; imports nothing."""
        return getattr_static(cls, "task") is not None
