"""The semantic prior learner: from what is visible to features of the whole picture.

Zhang et al., section 3.1 and 3.2; the trunk of dense blocks is in the authors' code only. Shapes
in comments are for an image of H x W and the default width of 64; the learner sees it doubled.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .settings import SPNPSettings, SPNSettings

Conv = nn.Conv2d


class DenseBlock(nn.Module):
    """Convolutions that each see the input and all outputs before theirs; then 1 x 1 and sum.

    Without gradients all of it lies in one tensor from the start, and nothing is copied twice.
    """

    def __init__(self, channels: int, growth: int, *, layers: int = 6) -> None:
        super().__init__()
        self.growth = growth
        self.convs = nn.ModuleList(
            Conv(channels + n * growth, growth, 3, padding=1) for n in range(layers)
        )
        self.fuse = Conv(channels + layers * growth, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():  # gradients need each input as it was
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


class Residual(nn.Module):
    """x + two reflecting 3 x 3 convolutions without norm."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.first = Conv(channels, inner, 3, padding=1, padding_mode="reflect")
        self.second = Conv(inner, channels, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.relu(self.first(x), inplace=True)).add_(x)


class Widening(nn.Module):
    """As `Residual` from `inputs` to `outputs` channels, with a 3 x 3 convolution as shortcut.

    The shortcut and the first convolution see the same pixels: they are one.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.both = Conv(inputs, 2 * outputs, 3, padding=1, padding_mode="reflect")
        self.second = Conv(outputs, outputs, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        first, shortcut = self.both(x).chunk(2, 1)
        return self.second(F.relu(first)).add_(shortcut)


def shuffled(inputs: int, outputs: int) -> nn.Sequential:
    """Twice the size by pixel shuffle."""
    conv = Conv(inputs, 4 * outputs, 3, padding=1)
    return nn.Sequential(conv, nn.PixelShuffle(2), nn.ReLU(inplace=True))


class Variational(nn.Module):
    """What may be there: features drawn from q(z | what is visible) (eq. 3 to 5)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encode = nn.Sequential()
        for inputs in (4 * width, 8 * width, 8 * width):
            self.encode.append(Conv(inputs, 8 * width, 4, 2, 1))
            self.encode.append(nn.LeakyReLU(0.2, inplace=True))
        self.mean = Conv(8 * width, 2 * width, 1)
        self.deviation = Conv(8 * width, 2 * width, 1)  # before its softplus
        steps = [(2 * width, 4 * width), (4 * width, 4 * width), (4 * width, 4 * width)]
        self.decode = nn.Sequential(*(shuffled(*step) for step in steps))

    def forward(self, u: Tensor, samples: int, drawn: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Features [samples N, C, h, w], and mean and deviation of z [N, C/2, h/8, w/8]."""
        x = self.encode(u)
        mean, deviation = self.mean(x), F.softplus(self.deviation(x))
        z = mean.repeat(samples, 1, 1, 1)
        if drawn:
            z = z + deviation.repeat(samples, 1, 1, 1) * torch.randn_like(z)
        return self.decode(z), mean, deviation


class PriorLearner(nn.Module):
    """Prior features, fine to coarse: [S1, S2, S3], or [S3] without the pyramid."""

    def __init__(self, settings: SPNSettings) -> None:
        super().__init__()
        w = settings.width
        self.slope = settings.slope
        self.first = Conv(4, w, 7, padding=3, padding_mode="reflect")
        self.down = nn.ModuleList(
            Conv(a, b, 4, 2, 1) for a, b in ((w, 2 * w), (2 * w, 4 * w), (4 * w, 4 * w))
        )
        self.enter = Conv(4 * w, 4 * w, 3, padding=1)
        self.dense = nn.ModuleList(
            DenseBlock(4 * w, -(-w // 2)) for _ in range(settings.dense_blocks)
        )
        self.fuse = nn.Sequential(
            Conv(4 * w * settings.dense_blocks, 4 * w, 1), Conv(4 * w, 4 * w, 3, padding=1)
        )
        self.drawn = isinstance(settings, SPNPSettings) and settings.z == "drawn"
        self.variational = Variational(w) if isinstance(settings, SPNPSettings) else None
        begin = Residual(4 * w, 4 * w) if self.variational is None else Widening(8 * w, 4 * w)
        self.coarse = nn.Sequential(begin, *(Residual(4 * w, 4 * w) for _ in range(3)))
        if settings.pyramid:
            self.up = nn.ModuleList([shuffled(4 * w, 2 * w), shuffled(2 * w, w)])
            self.join = nn.ModuleList([Widening(6 * w, 2 * w), Widening(3 * w, w)])
        else:
            self.up, self.join = nn.ModuleList(), nn.ModuleList()

    def forward(
        self, white: Tensor, mask: Tensor, *, samples: int = 1
    ) -> tuple[list[Tensor], Tensor | None, Tensor | None]:
        """The priors of `samples` draws, one after the other, and mean and deviation of z."""
        doubled = F.interpolate(torch.cat([white, mask], 1), scale_factor=2)
        x = self.active(self.first(doubled))  # N 64 2H 2W
        skips = []
        for conv in self.down:  # N 128 H W, N 256 H/2 W/2, N 256 H/4 W/4
            x = self.active(conv(x))
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

    def active(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.slope, inplace=True)
