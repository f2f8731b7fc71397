"""The critic of the memory's training: StyleGAN2's residual discriminator."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BLUR_FILTER = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
DEVIATION_GROUP = 4  # images over which a standard deviation is taken


def activate(x: Tensor) -> Tensor:
    """Apply LeakyReLU 0.2 with a gain of sqrt 2."""
    return F.leaky_relu(x, 0.2) * 2**0.5


def batch_deviation(x: Tensor) -> Tensor:
    """Return the mean deviation of features over a group of the batch as a map [N, 1, H, W]."""
    n, _, height, width = x.shape
    group = next(g for g in range(min(DEVIATION_GROUP, n), 0, -1) if n % g == 0)
    spread = (x.reshape(group, n // group, -1).var(0, correction=0) + 1e-8).sqrt().mean(1)
    return spread.repeat(group).view(n, 1, 1, 1).expand(-1, -1, height, width)


class EqualisedLayer(nn.Module):
    """A layer whose weights start as N(0, 1) and are divided by the root of the fan-in in use."""

    def __init__(self, layer: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        self.layer = layer
        nn.init.normal_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        self.gain = layer.weight[0].numel() ** -0.5

    def forward(self, x: Tensor) -> Tensor:
        layer, weight = self.layer, self.layer.weight * self.gain
        if isinstance(layer, nn.Linear):
            return F.linear(x, weight, layer.bias)
        return F.conv2d(x, weight, layer.bias, layer.stride, layer.padding)


class DownBlock(nn.Module):
    """Two convolutions to half the size, plus a shortcut; the sum keeps its variance."""

    kernel: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = EqualisedLayer(nn.Conv2d(inputs, inputs, 3, padding=1))
        self.second = EqualisedLayer(nn.Conv2d(inputs, outputs, 3, stride=2))
        self.short = EqualisedLayer(nn.Conv2d(inputs, outputs, 1, bias=False))
        self.register_buffer(
            "kernel", torch.outer(BLUR_FILTER, BLUR_FILTER)[None, None], persistent=False
        )

    def forward(self, x: Tensor) -> Tensor:
        y = activate(self.second(self.blur_features(activate(self.first(x)), padding=2)))
        return (y + self.short(self.blur_features(x, padding=1, stride=2))) * 2**-0.5

    def blur_features(self, x: Tensor, *, padding: int, stride: int = 1) -> Tensor:
        channels = x.shape[1]
        kernel = self.kernel.to(x.dtype).expand(channels, -1, -1, -1)
        return F.conv2d(x, kernel, stride=stride, padding=padding, groups=channels)


class ResidualCritic(nn.Module):
    """Images [N, 3, H, W] to scores [N]; `widths` are the channels from the finest level down.

    Features that are not 4 x 4 at the coarsest level are pooled to that size [choice].
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        last = widths[-1]
        self.first = EqualisedLayer(nn.Conv2d(3, widths[0], 1))
        self.blocks = nn.Sequential(*map(DownBlock, widths[:-1], widths[1:]))
        self.mixed = EqualisedLayer(nn.Conv2d(last + 1, last, 3, padding=1))
        self.hidden = EqualisedLayer(nn.Linear(16 * last, last))
        self.score = EqualisedLayer(nn.Linear(last, 1))

    def forward(self, image: Tensor, *, full: bool = False) -> Tensor:
        """`full` computes in float32 even under autocast, for R1, which differentiates twice."""
        with torch.autocast(image.device.type, enabled=False) if full else nullcontext():
            x = self.blocks(activate(self.first(image)))
            x = activate(self.mixed(torch.cat([x, batch_deviation(x)], 1)))
            x = F.adaptive_avg_pool2d(x, 4).flatten(1)
            return self.score(activate(self.hidden(x))).flatten()
