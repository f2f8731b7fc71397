"""The network of IN2: an encoder, an attention body, and a decoder that is a function of place.

Zhao, Yang and Fu, "Learning Position-Aware Implicit Neural Network for Real-World Face
Inpainting", arXiv 2401.10537, section 4. No code was published; what the paper leaves open is
marked [choice]. The defaults have 15,491,483 parameters (paper: 15.5 M). The settings `dpb`,
`attention` and `pyramid` are the last three of the four steps of table 7; the first is how the data
is cropped.
"""

from itertools import chain, pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.api import FFCBlock

from .attention import NeighbourhoodAttention
from .decoder import Pyramid
from .settings import IN2Settings

LEAST_SIDE = 9  # pixels: Fourier convolutions mirror features, which takes 2 or more


class ChannelAttention(nn.Module):
    """CAB of HAT (Chen et al., CVPR 2023): two convolutions, gated by their own mean."""

    def __init__(self, channels: int, *, compress: int = 2) -> None:
        super().__init__()
        inner = max(channels // compress, 1)
        squeezed = max(8, channels // 30)  # [choice] HAT's 2 for 64 channels may both be dead
        self.convs = nn.Sequential(
            nn.Conv2d(channels, inner, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(inner, channels, 3, padding=1),
        )
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(squeezed, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.convs(x)
        return x * self.gate(x)


class Halving(nn.Module):
    """A strided convolution whose output o is centred at (o + 0.5) 2 pixels, also at odd sizes.

    An odd size is padded by one more mirrored column at its end [choice], so that nothing drifts
    with the size; the 3 x 3 kernel is always off by half a pixel.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        spare = self.conv.kernel_size[0] - 3
        pad = (1, spare + width % 2, 1, spare + height % 2)
        return F.relu(self.norm(self.conv(F.pad(x, pad, mode="reflect"))), inplace=True)


class DPB(nn.Module):
    """Downsample processing block: halve, see the whole picture, weigh channels (figure 3b)."""

    def __init__(self, inputs: int, outputs: int, settings: IN2Settings) -> None:
        super().__init__()
        self.down = Halving(inputs, outputs, settings.downsampling)
        self.fourier = nn.Sequential(
            *(FFCBlock(outputs, ratio=settings.ratio) for _ in range(settings.fourier_blocks))
        )
        self.weigh = ChannelAttention(outputs, compress=settings.compress)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fourier(self.down(x))
        return x + self.weigh(x)


class PlainBlock(nn.Sequential):
    """A layer of LaMa's encoder in place of a DPB, enlarged by two convolutions [choice]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(Halving(inputs, outputs, 3), ConvLayer(outputs), ConvLayer(outputs))


class ConvLayer(nn.Sequential):
    """A 3 x 3 convolution that mirrors at borders, batch norm and ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )


class NHAB(nn.Module):
    """Neighbour hybrid attention block (eq. 1): neighbours and channels, then an MLP."""

    def __init__(self, channels: int, settings: IN2Settings) -> None:
        super().__init__()
        self.alpha, self.residual = settings.alpha, settings.residual
        self.before = nn.LayerNorm(channels)
        self.attention = NeighbourhoodAttention(
            channels,
            heads=settings.heads,
            kernel=settings.kernel,
            bias=settings.bias,
            tile=settings.tile,
        )
        self.weigh = ChannelAttention(channels, compress=settings.compress)
        self.norm = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, settings.mlp * channels),
            nn.GELU(),
            nn.Linear(settings.mlp * channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.before(x)  # N H W C
        mixed = self.attention(y)
        if self.alpha:
            channels = self.weigh(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            mixed = mixed + self.alpha * channels
        x = x + mixed if self.residual else mixed
        return x + self.mlp(self.norm(x))


class ResidualGroup(nn.Module):
    """x + convolution(blocks(x)): HAT's residual group."""

    def __init__(self, channels: int, settings: IN2Settings) -> None:
        super().__init__()
        self.attention = settings.attention
        if settings.attention:
            blocks = [NHAB(channels, settings) for _ in range(settings.depth)]
        else:  # [choice] two for one have about its size
            blocks = [FFCBlock(channels, ratio=settings.ratio) for _ in range(2 * settings.depth)]
        self.blocks = nn.Sequential(*blocks)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        if not self.attention:
            return x + self.conv(self.blocks(x))
        y = self.blocks(x.permute(0, 2, 3, 1))  # N H W C
        return x + self.conv(y.permute(0, 3, 1, 2))


class IN2Net(nn.Module):
    """The whole network, for sides of at least 9 pixels; visible pixels are returned unchanged."""

    def __init__(self, settings: IN2Settings) -> None:
        super().__init__()
        self.settings = settings
        widths = [settings.width * 2**n for n in range(3)]
        steps = list(pairwise([4, *widths]))
        self.encoder = nn.ModuleList(
            DPB(*step, settings) if settings.dpb else PlainBlock(*step) for step in steps
        )
        self.body = nn.Sequential(
            *(ResidualGroup(widths[-1], settings) for _ in range(settings.groups))
        )
        self.decoder = Pyramid(
            widths[::-1],
            pyramid=settings.pyramid,
            form=settings.form,
            grid=settings.grid,
            rows=settings.rows,
        )
        # NAT's start is for attention; the decoder's perceptrons learn faster from PyTorch's own.
        for module in chain(self.encoder.modules(), self.body.modules()):
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, visible: Tensor, mask: Tensor) -> Tensor:
        height, width = visible.shape[-2:]
        if min(height, width) < LEAST_SIDE:
            raise ValueError(
                f"IN2 needs sides of at least {LEAST_SIDE} pixels, not {height} x {width}"
            )
        hole = mask > 0
        x = torch.cat([torch.where(hole, 0, visible), mask], 1)  # N 4 H W: NaN cannot leak
        sizes = []
        for block in self.encoder:  # N 64 H/2 W/2, N 128 H/4 W/4, N 256 H/8 W/8, rounded up
            sizes.append((x.shape[-2], x.shape[-1]))
            x = block(x)
        guess = self.decoder(self.body(x), sizes[::-1])  # N 3 H W
        return torch.where(hole, guess, visible)
