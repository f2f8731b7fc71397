"""Smooth extrapolation of known values into unknown areas: push-pull on a pyramid, then relaxation.

Known values are averaged down to a single pixel; on the way back up each level fills its unknown
pixels from the level below (push-pull: Gortler, Grzeszczuk, Szeliski and Cohen, "The Lumigraph",
SIGGRAPH 1996, section 3.4). On each level some steps of Jacobi's method then move the unknown
pixels towards the smoothest surface, whose bilaplacian is 0: far from known pixels on small levels,
near them on large ones, as in multigrid methods. Levels over 256 pixels a side, which cost most and
change least, take proportionally fewer steps.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from .values import has_values, waits_for_device

CELL_CONFIDENCE = 4  # times a cell's share of known pixels, at most 1: the weight of their mean
LARGE = 256  # pixels a side, beyond which there are fewer steps
DAMPING = 0.6  # of Jacobi's steps; from 0.62 on they diverge
BILAPLACIAN = (
    (0.0, 0.0, 1.0, 0.0, 0.0),
    (0.0, 2.0, -8.0, 2.0, 0.0),
    (1.0, -8.0, 20.0, -8.0, 1.0),
    (0.0, 2.0, -8.0, 2.0, 0.0),
    (0.0, 0.0, 1.0, 0.0, 0.0),
)


def spread_colours(values: Tensor, known: Tensor, steps: int = 32) -> Tensor:
    """Extrapolate `values` [N, C, H, W] from where `known` [N, 1, H, W] is 1 to where it is 0.

    Values at unknown pixels must be finite and are ignored. If nothing is known, the result is 0.
    `steps` of relaxation are made on each level.
    """
    levels = [(values * known, known)]  # means times their weights, and these
    while max(levels[-1][1].shape[-2:]) > 1:
        sums, share = (F.avg_pool2d(x, 2, ceil_mode=True) for x in levels[-1])
        weight = (CELL_CONFIDENCE * share).clamp(max=1)
        levels.append((sums * (weight / share.clamp(min=1e-8)), weight))
    filled, _ = levels.pop()
    for sums, weight in reversed(levels):
        rest = 1 - weight
        filled = F.interpolate(filled, sums.shape[-2:], mode="bilinear", align_corners=False)
        filled = sums + rest * filled
        filled = sums + rest * F.avg_pool2d(F.pad(filled, (1, 1, 1, 1), mode="replicate"), 3, 1)
        if steps and min(sums.shape[-2:]) > 2 and not is_known_empty(rest):
            filled = relax_colours(filled, rest, steps * LARGE // max(LARGE, *rest.shape[-2:]))
    return filled


def is_known_empty(rest: Tensor) -> bool:
    """Whether `rest` is 0 everywhere; False too where a device would be waited for to know."""
    return has_values(rest) and not waits_for_device(rest) and not rest.any()


def relax_colours(surface: Tensor, rest: Tensor, steps: int) -> Tensor:
    """Smooth `surface` [N, C, H, W] by `steps` of Jacobi's method where `rest` [N, 1, H, W] > 0."""
    channels = surface.shape[1]
    operator = torch.tensor(BILAPLACIAN).to(surface, non_blocking=True)
    operator = (DAMPING / operator.max() * operator).expand(channels, 1, 5, 5)
    for _ in range(steps):
        around = F.pad(surface, (2, 2, 2, 2), mode="replicate")
        surface = surface - rest * F.conv2d(around, operator, groups=channels)
    return surface
