"""GM-SRM: a generative memory, trained on the data first, guides the fill."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inpaint_cli.api import Architecture, Sizes, to_uint8

from .model import GMSRMNet, GMSRMSettings, Query
from .task import GMSRMTask

PICTURES, SAMPLES = 2, 5  # by the memory alone, and fills whose differences `explain` shows


class GMSRM(Architecture):
    """Asks a generative memory, trained first, what belongs in the hole."""

    settings = GMSRMSettings
    task = GMSRMTask
    stochastic = True
    tiny: ClassVar[Mapping[str, Any]] = {
        "model": {"width": "tiny"},
        "task": {"vgg": "random", "critic": 8},
    }
    source = (
        "Generative Memory-Guided Semantic Reasoning Model for Image Inpainting, arXiv 2110.00261"
    )

    @staticmethod
    def build(settings: GMSRMSettings) -> nn.Module:
        return GMSRMNet(settings)

    @staticmethod
    def sizes(settings: GMSRMSettings) -> Sizes:
        step = settings.multiple  # instance norm needs two numbers a channel: two steps a side
        return Sizes(multiple=step, minimum=2 * step, window=8 * step, context=step)

    @staticmethod
    def explain(
        net: GMSRMNet, visible: Tensor, mask: Tensor
    ) -> Sequence[tuple[NDArray[np.uint8], str]]:
        """What the memory alone makes of the photo, the fill, and where several fills differ."""
        rows = []
        if net.settings.memory:
            pictures = [(net(visible, mask, Query()).image[0] + 1) / 2 for _ in range(PICTURES)]
            rows += [(to_uint8(picture), "by the memory alone") for picture in pictures]
        fills = torch.stack([net(visible, mask).image[0] for _ in range(SAMPLES)])
        rows.append((to_uint8(torch.where(mask[0] > 0, fills[0], visible[0])), "filled"))
        spread = fills.std(0).mean(0, keepdim=True) * mask[0]
        scaled = (spread / spread.max().clamp(min=1e-6)).expand(3, -1, -1)
        caption = f"spread of {SAMPLES} samples, up to {spread.max():.3f}"
        return [*rows, (to_uint8(scaled), caption)]
