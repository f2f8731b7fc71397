"""Which pixels a metric looks at, and in which colours."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Region = Literal["full", "hole", "ring"]
Colour = Literal["rgb", "gray", "luma", "mean"]

# Rec. 709 as scikit-image's `rgb2gray`, Rec. 601 as Pillow's "L", and the mean of the channels
WEIGHTS = {
    "gray": (0.2125, 0.7154, 0.0721),
    "luma": (0.299, 0.587, 0.114),
    "mean": (1 / 3, 1 / 3, 1 / 3),
}


def coloured(image: Tensor, colour: Colour) -> Tensor:
    """`image` [N, 3, H, W] as it is, or as one channel [N, 1, H, W]."""
    if colour == "rgb":
        return image
    weights = torch.tensor(WEIGHTS[colour], dtype=image.dtype, device=image.device)
    return torch.einsum("nchw,c->nhw", image, weights)[:, None]


def inside(mask: Tensor, region: Region, ring: int) -> Tensor:
    """The pixels of `region`, bool [N, 1, H, W].

    "ring" is the part of the hole at most `ring` pixels (rows or columns) from a visible one.
    """
    if region == "full":
        return torch.ones_like(mask)
    return mask if region == "hole" else mask & dilated(~mask, ring)


def dilated(mask: Tensor, pixels: int) -> Tensor:
    """`mask` grown by a square of `pixels` on every side."""
    grown = mask.float()
    for shape in ((2 * pixels + 1, 1), (1, 2 * pixels + 1)):
        grown = F.max_pool2d(grown, shape, 1, (shape[0] // 2, shape[1] // 2))
    return grown > 0


def mean_over(values: Tensor, where: Tensor) -> Tensor:
    """The mean of `values` [N, C, H, W] over all channels and `where` [N, 1, H, W]; NaN if none."""
    if bool(where.all()):
        return values.flatten(1).mean(1)
    count = where.flatten(1).sum(1) * values.shape[1]
    return (values * where).flatten(1).sum(1) / count
