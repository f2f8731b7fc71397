"""The network that learns what the Gaussian cannot express: a residual U-Net on folded pixels."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.1  # of leaky ReLUs; plain ones died, since the residual is small


class ResidualBlock(nn.Module):
    """x + conv(act(norm(conv(act(norm(x)))))) (He et al., "Identity Mappings", 2016).

    If the widths differ, x passes a 1 x 1 convolution.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.residual(x)


class ResidualUNet(nn.Module):
    """A map of [N, I, H, W] to [N, O, H, W], sides multiples of `multiple`; it starts as 0.

    Squares of `fold` pixels a side become the channels of one place (Shi et al., "Real-Time Single
    Image and Video Super-Resolution", 2016). Each level has half as many places a side as the one
    above and twice the channels, up to `widest`.
    """

    def __init__(
        self, inputs: int, outputs: int, *, fold: int, width: int, widest: int, levels: int
    ) -> None:
        super().__init__()
        self.fold, self.multiple = fold, fold * 2 ** (levels - 1)
        widths = [min(width * 2**n, widest) for n in range(levels)]
        pairs = [*pairwise(widths)]
        self.enter = nn.Conv2d(inputs * fold**2, width, 3, padding=1)
        self.encoder = nn.ModuleList(ResidualBlock(upper, upper) for upper, _ in pairs)
        self.shrink = nn.ModuleList(nn.Conv2d(u, d, 2, stride=2) for u, d in pairs)
        self.middle = nn.Sequential(*(ResidualBlock(widths[-1], widths[-1]) for _ in range(2)))
        self.widen = nn.ModuleList(nn.Conv2d(d, u, 1) for u, d in pairs)
        self.decoder = nn.ModuleList(ResidualBlock(2 * upper, upper) for upper, _ in pairs)
        leave = nn.Conv2d(width, outputs * fold**2, 3, padding=1)
        nn.init.zeros_(leave.weight)
        nn.init.zeros_(leave.bias)  # pyright: ignore[reportArgumentType]
        self.leave = nn.Sequential(nn.BatchNorm2d(width), nn.LeakyReLU(SLOPE), leave)
        self.to(memory_format=torch.channels_last)  # 1.5 times as fast on a CPU

    def forward(self, image: Tensor) -> Tensor:
        folded = F.pixel_unshuffle(image, self.fold)
        x = self.enter(folded.contiguous(memory_format=torch.channels_last))
        skips = []
        for block, shrink in zip(self.encoder, self.shrink, strict=True):
            skips.append(block(x))
            x = shrink(skips[-1])
        x = self.middle(x)
        for block, widen in zip(reversed(self.decoder), reversed(self.widen), strict=True):
            x = F.interpolate(widen(x), scale_factor=2)  # nearest
            x = block(torch.cat([x, skips.pop()], dim=1))
        return F.pixel_shuffle(self.leave(x), self.fold)
