"""Partial convolution: a convolution over visible pixels only, and the mask that results.

Masks here are *known* masks, 1 where a value may be used: the inverse of the program's hole
masks, as in the paper (Liu et al., "Image Inpainting for Irregular Holes Using Partial
Convolutions", ECCV 2018, eq. 1 and 2).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PartialConv2d(nn.Module):
    """A convolution of several sources, each with one known mask for all of its channels.

    With m the mask over all channels, s its sum in a k x k window and W = k * k * channels:
    y = w * (x m) * W / s + b and the new mask is 1 where s > 0; both are 0 elsewhere. Padding
    counts as unknown. One mask channel per source is equivalent to a mask for every channel: s is
    the window sum of the masks, each weighted by the number of channels of its source.
    """

    def __init__(
        self, sources: Sequence[int], outputs: int, *, kernel: int, stride: int = 1, bias: bool
    ) -> None:
        super().__init__()
        self.sources = tuple(sources)
        self.kernel, self.stride, self.padding = kernel, stride, (kernel - 1) // 2
        self.window = kernel * kernel * sum(sources)  # W
        self.weight = nn.Parameter(torch.empty(outputs, sum(sources), kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        nn.init.kaiming_normal_(self.weight)  # fan-in

    def forward(self, *sources: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Map features [N, C, H, W], each with its known mask [N, 1, H, W], to a pair like them."""
        x = torch.cat([zero_unknown(*source) for source in sources], 1)
        y = F.conv2d(x, self.weight, None, self.stride, self.padding)
        with torch.no_grad():
            counts = torch.cat(
                [n * m.float() for n, (_, m) in zip(self.sources, sources, strict=True)], 1
            )
            means = F.avg_pool2d(
                counts.sum(1, keepdim=True), self.kernel, self.stride, self.padding
            )
            s = (means * self.kernel**2).round()  # whole numbers below 2^24: exact in float32
            known = (s > 0).to(s)
            ratio = known * (self.window / s.clamp(min=1))
        y = y * ratio
        if self.bias is not None:
            y = y + self.bias[:, None, None] * known
        return y, known


def zero_unknown(x: Tensor, known: Tensor) -> Tensor:
    """Set `x` to 0 where `known` is 0; unlike a product, this also removes NaN and infinity."""
    return torch.where(known > 0, x, x.new_zeros(()))


class FreezableBatchNorm2d(nn.BatchNorm2d):
    """A batch norm that also keeps its statistics while its weights are frozen.

    The statistics of partial convolutions include the zeros of holes, so the paper freezes them
    for fine-tuning (section 4); a later call of `train()` must not unfreeze them.
    """

    def train(self, mode: bool = True) -> "FreezableBatchNorm2d":
        return super().train(mode and self.weight.requires_grad)
