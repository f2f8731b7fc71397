"""LaMa's generator: downsampling, residual blocks of fast Fourier convolutions, upsampling.

Suvorov et al., "Resolution-robust Large Mask Inpainting with Fourier Convolutions", WACV 2022,
section 2.1. The arithmetic is that of the authors' code, whose weights fit after conversion; here
local and global channels are one tensor.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from inpaint_cli.api import FFCBlock

from .settings import LaMaSettings


def add_norm(conv: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    """Follow `conv` by batch norm and ReLU."""
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU(inplace=True))


class FourierNet(nn.Module):
    """The generator; the sides of its input must be multiples of 2^downsamplings."""

    def __init__(self, settings: LaMaSettings) -> None:
        super().__init__()
        widths = [settings.width * 2**n for n in range(settings.downsamplings + 1)]
        steps = list(pairwise(widths))
        self.stem = add_norm(
            nn.Conv2d(4, widths[0], 7, padding=3, padding_mode="reflect", bias=False)
        )
        self.down = nn.Sequential(
            *(
                add_norm(nn.Conv2d(a, b, 3, 2, 1, padding_mode="reflect", bias=False))
                for a, b in steps
            )
        )
        self.blocks = nn.Sequential(
            *(FFCBlock(widths[-1], ratio=settings.ratio) for _ in range(settings.blocks))
        )
        self.up = nn.Sequential(
            *(
                add_norm(nn.ConvTranspose2d(b, a, 3, 2, 1, output_padding=1))
                for a, b in reversed(steps)
            )
        )
        self.head = nn.Conv2d(widths[0], 3, 7, padding=3, padding_mode="reflect")

    def forward(self, visible: Tensor, mask: Tensor) -> Tensor:
        x = self.stem(torch.cat([visible, mask], 1))  # N W H W
        x = self.up(self.blocks(self.down(x)))  # N 8W H/8 W/8 and back, with 3 downsamplings
        return torch.sigmoid(self.head(x))
