"""The network: a U-Net of residual blocks on folded pixels, and a correction along the hole."""

from itertools import pairwise

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.api.settings import Settings
from inpaint_cli.layers.spreading import spread


class ResUNetSettings(Settings):
    scale: PositiveInt = 1  # how many times smaller than the photo the picture is that it guesses
    fold: PositiveInt = 4  # pixels a side that become one place with as many more channels
    width: PositiveInt = 64  # channels of the first level; each next one has twice as many ...
    widest: PositiveInt = 256  # ... up to this
    levels: PositiveInt = 4  # the last sees 1/2^(levels-1) of the folded photo
    blocks: PositiveInt = 2  # on the last level
    window: PositiveInt = 256  # pixels a side of the photos that it is trained on


class ResidualBlock(nn.Module):
    """x + conv(relu(norm(conv(relu(norm(x)))))), with a 1 x 1 convolution where widths differ."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(),
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.residual(x)


class ResUNet(nn.Module):
    """What it gets wrong about the visible pixels is spread into the hole and taken off there.

    So the fill joins the photo without a step, a network that knows nothing yet interpolates
    already, and what is learned is what interpolation lacks.
    """

    def __init__(self, settings: ResUNetSettings) -> None:
        super().__init__()
        self.scale, self.fold = settings.scale, settings.fold
        widths = [min(settings.width * 2**n, settings.widest) for n in range(settings.levels)]
        pairs = [*pairwise(widths)]
        cells = self.fold**2
        self.enter = nn.Conv2d(4 * cells, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(ResidualBlock(upper, upper) for upper, _ in pairs)
        self.shrink = nn.ModuleList(nn.Conv2d(u, d, 2, stride=2) for u, d in pairs)
        self.middle = nn.Sequential(
            *(ResidualBlock(widths[-1], widths[-1]) for _ in range(settings.blocks))
        )
        self.widen = nn.ModuleList(nn.Conv2d(d, u, 1) for u, d in pairs)
        self.decoder = nn.ModuleList(ResidualBlock(2 * upper, upper) for upper, _ in pairs)
        self.leave = nn.Sequential(
            nn.BatchNorm2d(widths[0]), nn.ReLU(), nn.Conv2d(widths[0], 3 * cells, 3, padding=1)
        )
        self.to(memory_format=torch.channels_last)  # on a processor 1.5 times as fast

    def forward(self, visible: Tensor, mask: Tensor) -> Tensor:
        known = 1 - mask
        share = F.avg_pool2d(known, self.scale)  # of visible pixels, H/s W/s
        seen = F.avg_pool2d((visible - 0.5) * known, self.scale) / share.clamp(min=1e-6)
        guess = self.guess(torch.cat([seen, 1 - share], dim=1)).float() + 0.5
        with torch.autocast(guess.device.type, enabled=False):
            size = visible.shape[-2:]
            guess = F.interpolate(guess, size, mode="bilinear", align_corners=False)
            return guess + spread((visible.float() - guess) * known, known.float())

    def guess(self, seen: Tensor) -> Tensor:
        """The picture [N, 3, H/s, W/s], less 0.5, from `seen` [N, 4, H/s, W/s]."""
        folded = F.pixel_unshuffle(seen, self.fold)  # N 4 f f H/sf W/sf
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
