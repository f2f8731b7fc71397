"""Regions and colour spaces of metrics."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

MetricRegion = Literal["full", "hole", "ring"]
Colour = Literal["rgb", "gray", "luma", "mean"]
REGION = "Pixels that count: all, the hole, or the edge of the hole."
RING = "Width of the region 'ring', the edge of the hole, in pixels."

# Rec. 709 as in scikit-image's `rgb2gray`, Rec. 601 as in Pillow's "L", mean of the channels
CHANNEL_WEIGHTS = {
    "gray": (0.2125, 0.7154, 0.0721),
    "luma": (0.299, 0.587, 0.114),
    "mean": (1 / 3, 1 / 3, 1 / 3),
}


def convert_colours(image: Tensor, colour: Colour) -> Tensor:
    """Return `image` [N, 3, H, W] as it is, or as one channel [N, 1, H, W]."""
    if colour == "rgb":
        return image
    weights = torch.tensor(CHANNEL_WEIGHTS[colour], dtype=image.dtype, device=image.device)
    return torch.einsum("nchw,c->nhw", image, weights)[:, None]


def region_mask(mask: Tensor, region: MetricRegion, ring: int) -> Tensor:
    """Return the pixels of `region`, bool [N, 1, H, W].

    "ring" is the part of the hole at most `ring` pixels (rows or columns) from a visible one.
    """
    if region == "full":
        return torch.ones_like(mask)
    return mask if region == "hole" else mask & dilate_mask(~mask, ring)


def bounds_of(where: Tensor, margin: int = 0) -> tuple[slice, slice]:
    """Return the rows and columns of all that is True in `where` [N, 1, H, W].

    With `margin` more on every side, where there are so many; one pixel if nothing is True.
    """
    slices: list[slice] = []
    for axis in (-1, -2):
        found = where.any(axis).flatten(0, 1).any(0)
        at = found.nonzero()
        first, last = (int(at[0]), int(at[-1])) if len(at) else (margin, -margin)
        slices.append(slice(max(first - margin, 0), min(last + margin + 1, len(found))))
    return slices[0], slices[1]


def crop_around(mask: Tensor, margin: int, *images: Tensor) -> list[Tensor]:
    """Return views of `images` and `mask` around the holes: the time goes by these then."""
    part = (..., *bounds_of(mask, margin))
    return [image[part] for image in (*images, mask)]


def dilate_mask(mask: Tensor, pixels: int) -> Tensor:
    """Grow `mask` by `pixels` on every side, by a square."""
    grown = mask.float()
    for shape in ((2 * pixels + 1, 1), (1, 2 * pixels + 1)):
        grown = F.max_pool2d(grown, shape, 1, (shape[0] // 2, shape[1] // 2))
    return grown > 0


def mean_over(values: Tensor, where: Tensor) -> Tensor:
    """Return the mean [N] of `values` [N, C, H, W] in `where` [N, 1, H, W]; NaN if it is empty."""
    if bool(where.all()):
        return values.flatten(1).mean(1)
    count = where.flatten(1).sum(1) * values.shape[1]
    return (values * where).flatten(1).sum(1) / count
