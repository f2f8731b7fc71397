"""IN2: faces of any shape and resolution (Zhao et al., 2024)."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from inpaint_cli.api import WHOLE_PHOTO, Architecture, Sizes

from .model import IN2Net, IN2Settings
from .task import IN2Task


class IN2(Architecture):
    """Faces of any size and proportions: each pixel is a function of its place."""

    settings = IN2Settings
    task = IN2Task
    tiny: ClassVar[Mapping[str, Any]] = {
        "model": {"width": 8, "depth": 1, "heads": 2, "rows": 16},
        "task": {"critic": 4, "vgg": "none"},
    }
    source = (
        "Learning Position-Aware Implicit Neural Network for Real-World Face Inpainting, "
        "arXiv 2401.10537"
    )

    @staticmethod
    def build(settings: IN2Settings) -> nn.Module:
        return IN2Net(settings)

    @staticmethod
    def sizes(settings: IN2Settings) -> Sizes:
        # a place is known by its distance from the borders
        return Sizes(minimum=16, window=2048, context=WHOLE_PHOTO, tiles=False)
