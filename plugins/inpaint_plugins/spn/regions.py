"""Region normalisation: each of two regions of a feature map to mean 0 and deviation 1.

Yu et al., "Region Normalization for Image Inpainting", AAAI 2020, in the form that SPL's image
branch has: the norms take the hole from the mask (`BasicNorm`) or find it themselves
(`LearnedNorm`). A region without elements is as good as one that holds zeros.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPS = 1e-5


def normalised(
    x: Tensor, region: Tensor, scale: Tensor | None = None, shift: Tensor | None = None
) -> Tensor:
    """`x` [N, C, H, W] with its elements where `region` [N, 1, H, W] is 1 and 0 each normalised.

    `scale` [C, 2] is multiplied into both regions' results, `shift` [C, 1, 1] is added everywhere.
    Equal to filling the other region with the mean, instance norm over the whole map and a factor
    sqrt(n / H W) for a region of n elements, in two passes; in float32 also under autocast.
    """
    with torch.autocast(x.device.type, enabled=False):
        flat = x.float().flatten(2)  # N C P
        both = torch.cat([region, 1 - region], 1).float().flatten(2)  # N 2 P
        count = both.sum(2).clamp(min=1)[:, None]  # N 1 2
        mean = flat @ both.mT / count  # N C 2
        centred = flat - mean @ both
        variance = centred.square() @ both.mT / count
        factor = (variance + EPS * flat.shape[2] / count).rsqrt()
        if scale is not None:
            factor = factor * scale
        out = (centred * (factor @ both)).view(x.shape)
        return out if shift is None else out + shift


class BasicNorm(nn.Module):
    """Region norm by the hole mask, with a scale and a shift a region.

    Both shifts are added everywhere, as in the authors' code.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(channels, 2))  # beyond 1; of the hole, of the rest
        self.shift = nn.Parameter(torch.zeros(channels, 2))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        region = F.interpolate(mask, x.shape[-2:])
        return normalised(x, region, 1 + self.scale, self.shift.sum(1)[:, None, None])


class LearnedNorm(nn.Module):
    """Region norm by regions seen in the features: where their attention reaches 0.8."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.scale_shift = nn.Conv2d(1, 2, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        s = torch.sigmoid(self.attention(pooled))
        scale, shift = self.scale_shift(s).chunk(2, 1)
        return normalised(x, (s.detach() >= 0.8).to(x.dtype)) * (1 + scale) + shift
