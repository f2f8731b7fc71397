"""Pictures of a fill: images by the memory alone, the fill, and its variation."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inpaint_cli.api import to_uint8

from .model import GMSRMNet, MemoryQuery

MEMORY_IMAGES = 2  # by the memory alone
FILLS = 5  # whose variation is shown


def explain_memory_fill(
    net: GMSRMNet, visible: Tensor, mask: Tensor
) -> list[tuple[NDArray[np.uint8], str]]:
    """Show images by the memory alone, a fill, and where several fills differ."""
    rows = []
    if net.settings.memory:
        images = [net(visible, mask, MemoryQuery()).image[0] for _ in range(MEMORY_IMAGES)]
        rows += [(to_uint8((image + 1) / 2), "by the memory alone") for image in images]
    fills = torch.stack([net(visible, mask).image[0] for _ in range(FILLS)])
    rows.append((to_uint8(torch.where(mask[0] > 0, fills[0], visible[0])), "filled"))
    spread = fills.std(0).mean(0, keepdim=True) * mask[0]
    scaled = (spread / spread.max().clamp(min=1e-6)).expand(3, -1, -1)
    caption = f"spread of {FILLS} samples, up to {spread.max():.3f}"
    return [*rows, (to_uint8(scaled), caption)]
