"""Region normalisation: each of two regions of a feature map to mean 0 and deviation 1.

Yu et al., "Region Normalization for Image Inpainting", AAAI 2020, as in SPL's image branch: the
region is the hole of the mask (`BasicNorm`) or predicted from features (`LearnedNorm`). A region
without elements is treated as one of zeros.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NORM_EPSILON = 1e-5


def normalise_regions(
    x: Tensor, region: Tensor, scale: Tensor | None = None, shift: Tensor | None = None
) -> Tensor:
    """Normalise `x` [N, C, H, W] where `region` [N, 1, H, W] is 1 and where it is 0.

    The results are multiplied by `scale` [C, 2], one column a region; `shift` [C, 1, 1] is added
    everywhere. For a region of n elements this equals filling the other region with the mean,
    instance norm over the whole map and a factor sqrt(n / H W). It takes two passes, in float32
    also under autocast.
    """
    with torch.autocast(x.device.type, enabled=False):
        flat = x.float().flatten(2)  # N C P
        both = torch.cat([region, 1 - region], 1).float().flatten(2)  # N 2 P
        count = both.sum(2).clamp(min=1)[:, None]  # N 1 2
        mean = flat @ both.transpose(1, 2) / count  # N C 2
        centred = flat - mean @ both
        variance = centred.square() @ both.transpose(1, 2) / count
        factor = (variance + NORM_EPSILON * flat.shape[2] / count).rsqrt()
        if scale is not None:
            factor = factor * scale
        out = (centred * (factor @ both)).view(x.shape)
        return out if shift is None else out + shift


class BasicNorm(nn.Module):
    """Region norm by the hole mask, with a scale and a shift for each region.

    Both shifts are added everywhere, as in the authors' code.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(channels, 2))  # minus 1; of the hole, of the rest
        self.shift = nn.Parameter(torch.zeros(channels, 2))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        region = F.interpolate(mask, x.shape[-2:])
        return normalise_regions(x, region, 1 + self.scale, self.shift.sum(1)[:, None, None])


class LearnedNorm(nn.Module):
    """Region norm by a region predicted from features: where their attention reaches 0.8."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.scale_shift = nn.Conv2d(1, 2, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        s = torch.sigmoid(self.attention(pooled))
        scale, shift = self.scale_shift(s).chunk(2, 1)
        return normalise_regions(x, (s.detach() >= 0.8).to(x.dtype)) * (1 + scale) + shift
