"""Known values spread over what is unknown, smoothly: push-pull on a pyramid.

Gortler, Grzeszczuk, Szeliski and Cohen, "The Lumigraph", SIGGRAPH 1996, section 3.4: averages of
what is known go down to a single pixel, and back up each level fills what it does not know from
the one below. One smoothing of the unknown on each level takes most of its blocks away.
"""

from torch import Tensor
from torch.nn import functional as F

FULL = (
    4  # times its share of known pixels, up to 1, a cell trusts their mean: one of 2 x 2 is enough
)


def spread(values: Tensor, known: Tensor) -> Tensor:
    """`values` [N, C, H, W], continued from where `known` [N, 1, H, W] is 1 to where it is 0.

    What lies there already must be finite and is not looked at; where nothing is known all is 0.
    """
    levels = [(values * known, known)]  # means times their weights, and these
    while max(levels[-1][1].shape[-2:]) > 1:
        sums, share = (F.avg_pool2d(x, 2, ceil_mode=True) for x in levels[-1])
        weight = (FULL * share).clamp(max=1)
        levels.append((sums * (weight / share.clamp(min=1e-8)), weight))
    filled, _ = levels.pop()
    for sums, weight in reversed(levels):
        size, rest = sums.shape[-2:], 1 - weight
        filled = F.interpolate(filled, size, mode="bilinear", align_corners=False)
        filled = sums + rest * filled
        filled = sums + rest * F.avg_pool2d(F.pad(filled, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return filled
