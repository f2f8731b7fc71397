"""The generator of LaMa: down, residual blocks of fast Fourier convolutions, and up.

Suvorov et al., "Resolution-robust Large Mask Inpainting with Fourier Convolutions", WACV 2022.
Same arithmetic as the authors', with the local and global channels in one tensor, so that their
weights fit after `convert`.
"""

from itertools import pairwise
from typing import Annotated

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from inpaint_cli.api import FFCBlock, Settings


class LaMaSettings(Settings):
    """The defaults are Big LaMa, 51 M parameters; with 9 blocks it is LaMa-Fourier, 27 M."""

    width: PositiveInt = 64  # channels of the first layer
    blocks: PositiveInt = 18  # residual blocks of two Fourier convolutions each
    downsamplings: PositiveInt = 3
    ratio: Annotated[float, Field(gt=0, lt=1)] = 0.75  # share of channels that are global


class FourierNet(nn.Module):
    def __init__(self, settings: LaMaSettings) -> None:
        super().__init__()
        widths = [settings.width * 2**n for n in range(settings.downsamplings + 1)]
        steps = list(pairwise(widths))
        self.stem = normed(
            nn.Conv2d(4, widths[0], 7, padding=3, padding_mode="reflect", bias=False)
        )
        self.down = nn.Sequential(
            *(
                normed(nn.Conv2d(a, b, 3, 2, 1, padding_mode="reflect", bias=False))
                for a, b in steps
            )
        )
        self.blocks = nn.Sequential(
            *(FFCBlock(widths[-1], ratio=settings.ratio) for _ in range(settings.blocks))
        )
        self.up = nn.Sequential(
            *(
                normed(nn.ConvTranspose2d(b, a, 3, 2, 1, output_padding=1))
                for a, b in reversed(steps)
            )
        )
        self.head = nn.Conv2d(widths[0], 3, 7, padding=3, padding_mode="reflect")

    def forward(self, visible: Tensor, mask: Tensor) -> Tensor:
        x = self.stem(torch.cat([visible, mask], 1))  # N W H W
        x = self.up(self.blocks(self.down(x)))  # N 8W H/8 W/8 and back, with 3 downsamplings
        return torch.sigmoid(self.head(x))


def normed(conv: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU(inplace=True))
