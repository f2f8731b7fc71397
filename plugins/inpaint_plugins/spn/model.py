"""The network: a prior learner, and an image generator that its priors modulate.

Zhang et al., "Fully Context-Aware Image Inpainting with a Learned Semantic Pyramid", Pattern
Recognition 2023, section 3, with details from the authors' code; SPL is "Context-Aware Image
Inpainting with Learned Semantic Priors", IJCAI 2021. The heads and the pretext model belong to the
task. Shapes in comments are for the default width of 64.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.api import Spade, SpadeBlock

from .prior import PriorLearner, ReflectResidual
from .regions import BasicNorm, LearnedNorm
from .settings import SPNPSettings, SPNSettings


class SPNOutput(NamedTuple):
    """`samples` fills of each image, one draw of the batch after another, and their priors."""

    image: Tensor  # samples N 3 H W
    priors: list[Tensor]  # fine to coarse
    mean: Tensor | None  # of z, of the probabilistic network
    deviation: Tensor | None


class SpadeResidual(nn.Module):
    """x + two SPADE-modulated reflecting convolutions, the first of them dilated."""

    def __init__(self, channels: int, layout: int, *, hidden: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = (Spade(channels, layout, hidden=hidden) for _ in range(2))
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=2, dilation=2, padding_mode="reflect")
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor, layout: Tensor) -> Tensor:
        y = self.conv1(F.relu(self.norm1(x, layout), inplace=True))
        return self.conv2(F.relu(self.norm2(y, layout), inplace=True)).add_(x)


class ConcatFusion(nn.Module):
    """Concatenation of prior and features: the paper's "w/o SPADE"."""

    def __init__(self, inputs: int, outputs: int, layout: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs + layout, outputs, 3, padding=1)

    def forward(self, x: Tensor, layout: Tensor) -> Tensor:
        return F.leaky_relu(self.conv(torch.cat([x, layout], 1)), 0.2)


class ShuffleUp(nn.Module):
    """Pixel shuffle to twice the size, region norm and ReLU: SPL's decoder."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, 4 * outputs, 3, padding=1)
        self.norm = LearnedNorm()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(F.pixel_shuffle(self.conv(x), 2)))


class Generator(nn.Module):
    """The visible image and the priors to the filled image (section 3.3)."""

    def __init__(self, settings: SPNSettings) -> None:
        super().__init__()
        w = settings.width
        self.encode = nn.ModuleList(
            [
                nn.Conv2d(3, w, 7, padding=3, padding_mode="reflect"),
                nn.Conv2d(w, 2 * w, 4, 2, 1),
                nn.Conv2d(2 * w, 4 * w, 4, 2, 1),
            ]
        )
        self.norms = nn.ModuleList(BasicNorm(n * w) for n in (1, 2, 4))
        narrow = isinstance(settings, SPNPSettings)  # its SPADEs are no wider than their layout

        def hidden(layout: int) -> int:
            return min(2 * w, layout) if narrow else 2 * w

        def fuse(inputs: int, outputs: int, layout: int) -> nn.Module:
            if not settings.spade:
                return ConcatFusion(inputs, outputs, layout)
            return SpadeBlock(inputs, outputs, layout, hidden=hidden(layout), shortcut=3)

        self.blocks = nn.ModuleList()
        if settings.spade:
            for _ in range(settings.blocks):
                self.blocks.append(SpadeResidual(4 * w, 4 * w, hidden=hidden(4 * w)))
        else:
            self.blocks.append(ConcatFusion(4 * w, 4 * w, 4 * w))
        self.plain = nn.Sequential(
            *(
                ReflectResidual(4 * w, 4 * w)
                for _ in range(0 if settings.spade else settings.blocks)
            )
        )
        self.up = nn.ModuleList()
        for level, (a, b) in enumerate([(4 * w, 2 * w), (2 * w, w)], 2):
            self.up.append(fuse(a, b, b) if level <= settings.levels else ShuffleUp(a, b))
        self.last = nn.Conv2d(w, 3, 7, padding=3, padding_mode="reflect")

    def forward(self, white: Tensor, mask: Tensor, priors: list[Tensor]) -> Tensor:
        x = self.encode_image(white, mask)  # N 256 H/4 W/4
        *finer, coarse = priors
        x = x.repeat(len(coarse) // len(x), 1, 1, 1)
        for block in self.blocks:
            x = block(x, coarse)
        x = self.plain(x)
        if finer:  # N 128 H/2 W/2, N 64 H W
            for block, prior in zip(self.up, reversed(finer), strict=False):
                x = block(F.interpolate(x, scale_factor=2), prior)
            x = F.leaky_relu(x, 0.2)
        for block in self.up[len(finer) :]:
            x = block(x)
        return (torch.tanh(self.last(x)) + 1) / 2

    def encode_image(self, white: Tensor, mask: Tensor) -> Tensor:
        """Return F_enc [N, 4 width, H/4, W/4]."""
        x = white
        for conv, norm in zip(self.encode, self.norms, strict=True):
            x = F.relu(norm(conv(x), mask), inplace=True)
        return x


class SemanticPriorNet(nn.Module):
    """The whole network, for sides of multiples of 4 from 12, or of 32 if probabilistic."""

    def __init__(self, settings: SPNSettings) -> None:
        super().__init__()
        self.settings = settings
        self.prior = PriorLearner(settings)
        self.generator = Generator(settings)

    def forward(self, visible: Tensor, mask: Tensor, samples: int = 1) -> SPNOutput:
        white = torch.where(mask > 0, 1, visible)  # holes are white
        priors, mean, deviation = self.prior(white, mask, samples=samples)
        return SPNOutput(self.generator(white, mask, priors), priors, mean, deviation)
