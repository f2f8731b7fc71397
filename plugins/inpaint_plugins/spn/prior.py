"""The semantic prior learner: from the visible part to features of the whole image.

Zhang et al., sections 3.1 and 3.2; the trunk of dense blocks is from the authors' code. Shapes in
comments are for an image of H x W, which the learner enlarges twice, and the default width of 64.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .settings import SPNPSettings, SPNSettings


class DenseBlock(nn.Module):
    """Convolutions of the input and all previous outputs; then 1 x 1, and the input added.

    Without gradients all outputs are written to one tensor, which avoids copies.
    """

    def __init__(self, channels: int, growth: int, *, layers: int = 6) -> None:
        super().__init__()
        self.growth = growth
        self.convs = nn.ModuleList(
            nn.Conv2d(channels + n * growth, growth, 3, padding=1) for n in range(layers)
        )
        self.fuse = nn.Conv2d(channels + layers * growth, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():  # gradients need each input unchanged
            seen = x
            for conv in self.convs:
                seen = torch.cat([seen, F.relu(conv(seen), inplace=True)], 1)
        else:
            n, channels, h, w = x.shape
            seen = x.new_empty(n, self.fuse.in_channels, h, w)
            seen[:, :channels] = x
            for conv in self.convs:
                room = seen[:, channels : channels + self.growth]
                torch.clamp(conv(seen[:, :channels]), min=0, out=room)
                channels += self.growth
        return self.fuse(seen).add_(x)


class ReflectResidual(nn.Module):
    """x + two 3 x 3 convolutions with reflection padding and without norm."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, inner, 3, padding=1, padding_mode="reflect")
        self.second = nn.Conv2d(inner, channels, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.relu(self.first(x), inplace=True)).add_(x)


class WideningResidual(nn.Module):
    """The same from `inputs` to `outputs` channels, with a 3 x 3 convolution as shortcut.

    The shortcut and the first convolution have the same input, and are computed as one.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.both = nn.Conv2d(inputs, 2 * outputs, 3, padding=1, padding_mode="reflect")
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        first, shortcut = self.both(x).chunk(2, 1)
        return self.second(F.relu(first)).add_(shortcut)


def shuffle_up(inputs: int, outputs: int) -> nn.Sequential:
    """Make a convolution, pixel shuffle to twice the size, and ReLU."""
    conv = nn.Conv2d(inputs, 4 * outputs, 3, padding=1)
    return nn.Sequential(conv, nn.PixelShuffle(2), nn.ReLU(inplace=True))


def draw_noise(like: Tensor, *, training: bool) -> Tensor:
    """Draw N(0, 1) in the shape of `like`; for a fill on the CPU, so that a seed means the same."""
    if training:
        return torch.randn_like(like)
    return torch.randn(like.shape).to(like)


class LatentPrior(nn.Module):
    """Features drawn from q(z | visible part) (eq. 3 to 5)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encode = nn.Sequential()
        for inputs in (4 * width, 8 * width, 8 * width):
            self.encode.append(nn.Conv2d(inputs, 8 * width, 4, 2, 1))
            self.encode.append(nn.LeakyReLU(0.2, inplace=True))
        self.mean = nn.Conv2d(8 * width, 2 * width, 1)
        self.deviation = nn.Conv2d(8 * width, 2 * width, 1)  # before its softplus
        steps = [(2 * width, 4 * width), (4 * width, 4 * width), (4 * width, 4 * width)]
        self.decode = nn.Sequential(*(shuffle_up(*step) for step in steps))

    def forward(self, u: Tensor, samples: int, drawn: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Return features [samples N, C, h, w], and mean and deviation of z [N, C/2, h/8, w/8]."""
        x = self.encode(u)
        mean, deviation = self.mean(x), F.softplus(self.deviation(x))
        z = mean.repeat(samples, 1, 1, 1)
        if drawn:
            noise = draw_noise(z, training=self.training)
            z = z + deviation.repeat(samples, 1, 1, 1) * noise
        return self.decode(z), mean, deviation


class PriorLearner(nn.Module):
    """The whole learner; priors are [S1, S2, S3], fine to coarse, or the last of these."""

    def __init__(self, settings: SPNSettings) -> None:
        super().__init__()
        w = settings.width
        self.slope = settings.slope
        self.first = nn.Conv2d(4, w, 7, padding=3, padding_mode="reflect")
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 4, 2, 1) for a, b in ((w, 2 * w), (2 * w, 4 * w), (4 * w, 4 * w))
        )
        self.enter = nn.Conv2d(4 * w, 4 * w, 3, padding=1)
        self.dense = nn.ModuleList(
            DenseBlock(4 * w, -(-w // 2)) for _ in range(settings.dense_blocks)
        )
        self.fuse = nn.Sequential(
            nn.Conv2d(4 * w * settings.dense_blocks, 4 * w, 1),
            nn.Conv2d(4 * w, 4 * w, 3, padding=1),
        )
        self.drawn = isinstance(settings, SPNPSettings) and settings.z == "drawn"
        self.variational = LatentPrior(w) if isinstance(settings, SPNPSettings) else None
        begin = (
            ReflectResidual(4 * w, 4 * w)
            if self.variational is None
            else WideningResidual(8 * w, 4 * w)
        )
        self.coarse = nn.Sequential(begin, *(ReflectResidual(4 * w, 4 * w) for _ in range(3)))
        self.up, self.join = nn.ModuleList(), nn.ModuleList()
        for inputs, outputs in ((4 * w, 2 * w), (2 * w, w))[: settings.levels - 1]:
            self.up.append(shuffle_up(inputs, outputs))
            self.join.append(WideningResidual(inputs + outputs, outputs))

    def forward(
        self, white: Tensor, mask: Tensor, *, samples: int = 1
    ) -> tuple[list[Tensor], Tensor | None, Tensor | None]:
        """Return the priors of `samples` draws of the batch, and mean and deviation of z."""
        doubled = F.interpolate(torch.cat([white, mask], 1), scale_factor=2)
        x = self.activate(self.first(doubled))  # N 64 2H 2W
        skips = []
        for conv in self.down:  # N 128 H W, N 256 H/2 W/2, N 256 H/4 W/4
            x = self.activate(conv(x))
            skips.append(x)
        y = self.enter(skips.pop())
        trunk = []
        for block in self.dense:
            y = block(y)
            trunk.append(y)
        y = self.fuse(torch.cat(trunk, 1)) + x  # u
        mean = deviation = None
        if self.variational is not None:
            v, mean, deviation = self.variational(y, samples, self.drawn)
            y = torch.cat([y.repeat(samples, 1, 1, 1), v], 1)  # N 512 H/4 W/4
        y = self.coarse(y)  # S3: N 256 H/4 W/4
        priors = [y]
        for up, join in zip(self.up, self.join, strict=True):  # S2: N 128 H/2 W/2, S1: N 64 H W
            y = join(torch.cat([skips.pop().repeat(samples, 1, 1, 1), up(y)], 1))
            priors.insert(0, y)
        return priors, mean, deviation

    def activate(self, x: Tensor) -> Tensor:
        """Apply the leaky ReLU in place."""
        return F.leaky_relu(x, self.slope, inplace=True)
