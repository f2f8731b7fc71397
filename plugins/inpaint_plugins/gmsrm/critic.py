"""The critic of the memory's pre-training: StyleGAN2's residual discriminator."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FILTER = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
GROUP = 4  # images over which a standard deviation is taken


class ResidualCritic(nn.Module):
    """A score [N] of each image, from the finest of `widths` to the coarsest at 4 pixels a side.

    A size that does not end at 4 x 4 is pooled to it [choice].
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        last = widths[-1]
        self.first = Scaled(nn.Conv2d(3, widths[0], 1))
        self.blocks = nn.Sequential(*map(Down, widths[:-1], widths[1:]))
        self.mixed = Scaled(nn.Conv2d(last + 1, last, 3, padding=1))
        self.hidden = Scaled(nn.Linear(16 * last, last))
        self.score = Scaled(nn.Linear(last, 1))

    def forward(self, image: Tensor, *, full: bool = False) -> Tensor:
        """`full` computes in float32 under autocast as well: R1 differentiates twice."""
        with torch.autocast(image.device.type, enabled=False) if full else nullcontext():
            x = self.blocks(active(self.first(image)))
            x = active(self.mixed(torch.cat([x, deviation(x)], 1)))
            x = F.adaptive_avg_pool2d(x, 4).flatten(1)
            return self.score(active(self.hidden(x))).flatten()


class Down(nn.Module):
    """Half the size, two convolutions beside a short cut; the sum keeps its variance."""

    kernel: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = Scaled(nn.Conv2d(inputs, inputs, 3, padding=1))
        self.second = Scaled(nn.Conv2d(inputs, outputs, 3, stride=2))
        self.short = Scaled(nn.Conv2d(inputs, outputs, 1, bias=False))
        self.register_buffer("kernel", torch.outer(FILTER, FILTER)[None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        y = active(self.second(self.blurred(active(self.first(x)), padding=2)))
        return (y + self.short(self.blurred(x, padding=1, stride=2))) * 2**-0.5

    def blurred(self, x: Tensor, *, padding: int, stride: int = 1) -> Tensor:
        channels = x.shape[1]
        kernel = self.kernel.to(x.dtype).expand(channels, -1, -1, -1)
        return F.conv2d(x, kernel, stride=stride, padding=padding, groups=channels)


class Scaled(nn.Module):
    """A layer with equalised weights: N(0, 1) at first, over the root of the fan-in at run time."""

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


def active(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2) * 2**0.5


def deviation(x: Tensor) -> Tensor:
    """[N, 1, H, W]: the mean standard deviation of features over a group of the batch."""
    n, _, height, width = x.shape
    group = next(g for g in range(min(GROUP, n), 0, -1) if n % g == 0)
    spread = (x.reshape(group, n // group, -1).var(0, correction=0) + 1e-8).sqrt().mean(1)
    return spread.repeat(group).view(n, 1, 1, 1).expand(-1, -1, height, width)
