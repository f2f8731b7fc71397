"""The network: a U-Net of residual blocks on folded pixels, and a correction along the hole."""

from functools import partial
from itertools import pairwise

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.api.settings import Settings
from inpaint_cli.layers.spreading import spread


class ResUNetSettings(Settings):
    side: PositiveInt = 128  # pixels a side at which it sees a photo: larger ones are shrunk
    fold: PositiveInt = 4  # pixels a side that become one place with as many more channels
    width: PositiveInt = 64  # channels of the first level; each next one has twice as many ...
    widest: PositiveInt = 256  # ... up to this
    levels: PositiveInt = 4  # the last sees 1/2^(levels-1) of the folded photo
    blocks: PositiveInt = 2  # on the last level


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
    """A photo larger than it was made for is shrunk by a whole number, guessed, and enlarged again.

    What the guess gets wrong about the visible pixels is then spread into the hole and taken off
    there, at the photo's own scale: so the fill joins the photo without a step, a network that
    knows nothing yet interpolates already, and what is learned is what interpolation lacks.
    """

    def __init__(self, settings: ResUNetSettings) -> None:
        super().__init__()
        self.side, self.fold = settings.side, settings.fold
        self.multiple = settings.fold * 2 ** (settings.levels - 1)
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
        height, width = visible.shape[-2:]
        scale = max(1, -(-max(height, width) // self.side))
        known = 1 - mask
        shrink = partial(F.avg_pool2d, kernel_size=scale, ceil_mode=True)
        share = shrink(known)  # of visible pixels, N 1 h w
        seen = shrink((visible - 0.5) * known) / share.clamp(min=1e-6)
        guess = self.guess(seen, share).float() + 0.5
        with torch.autocast(guess.device.type, enabled=False):
            guess = F.interpolate(
                guess, scale_factor=float(scale), mode="bilinear", align_corners=False
            )[..., :height, :width]
            return guess + spread((visible.float() - guess) * known, known.float())

    def guess(self, seen: Tensor, share: Tensor) -> Tensor:
        """The picture [N, 3, h, w], less 0.5, from what is `seen` of it and its `share` of sight.

        Beyond the picture, up to a size that it takes, it sees nothing.
        """
        height, width = seen.shape[-2:]
        pad = (0, -width % self.multiple, 0, -height % self.multiple)
        x = torch.cat([F.pad(seen, pad), F.pad(1 - share, pad, value=1.0)], dim=1)
        folded = F.pixel_unshuffle(x, self.fold)  # N 4ff h/f w/f
        x = self.enter(folded.contiguous(memory_format=torch.channels_last))
        skips = []
        for block, shrink in zip(self.encoder, self.shrink, strict=True):
            skips.append(block(x))
            x = shrink(skips[-1])
        x = self.middle(x)
        for block, widen in zip(reversed(self.decoder), reversed(self.widen), strict=True):
            x = F.interpolate(widen(x), scale_factor=2)  # nearest
            x = block(torch.cat([x, skips.pop()], dim=1))
        return F.pixel_shuffle(self.leave(x), self.fold)[..., :height, :width]
