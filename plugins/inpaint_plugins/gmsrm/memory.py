"""The generative memory: StyleGAN2's synthesis network with an encoder's features as input.

Figure 3 of the paper; Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR
2020. Codes, features and noise come from the surrounding network.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.api import is_exporting

ModulationForm = Literal["grouped", "scaled"]


def modulate_conv(
    x: Tensor,
    weight: Tensor,
    style: Tensor,
    *,
    demodulate: bool = True,
    form: ModulationForm | None = None,
) -> Tensor:
    """Convolve `x` [N, I, H, W] by `weight` [O, I, k, k], its inputs scaled by `style` [N, I].

    Demodulation gives the filters of each sample norm 1 (StyleGAN2, eq. 1 and 3). Both forms are
    equivalent: `grouped` scales the weights of each sample, `scaled` its input and its output. None
    selects the faster one (benchmarks/gmsrm.py): `grouped` for a single image with more values than
    the weights, which saves two passes over it.
    """
    (n, _, height, width), (outputs, inputs, k, _) = x.shape, weight.shape
    style = style * (inputs * k * k) ** -0.5  # equalised: a weight starts as N(0, 1)
    if is_exporting():  # into a file of fixed operators, for all sizes
        form = "scaled"
    if form is None:
        dense = height * width * (inputs + outputs) > weight.numel()
        form = "grouped" if n == 1 and dense else "scaled"
    if form == "grouped":
        w = weight * style[:, None, :, None, None]  # N O I k k
        if demodulate:
            w = w * (w.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
        y = F.conv2d(x.reshape(1, -1, height, width), w.flatten(0, 1), padding=k // 2, groups=n)
        return y.view(n, outputs, height, width)
    y = F.conv2d(x * style[..., None, None], weight, padding=k // 2)
    if demodulate:
        norms = style.square().repeat_interleave(k * k, 1) @ weight.square().flatten(1).T  # N O
        y = y * (norms + 1e-8).rsqrt()[..., None, None]
    return y


class Modulation(nn.Module):
    """A convolution's weights, and the affine map from a code to the scales of its inputs."""

    def __init__(self, inputs: int, outputs: int, kernel: int, code: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.affine = nn.Parameter(torch.randn(inputs, code))
        self.affine_bias = nn.Parameter(torch.ones(inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def style(self, code: Tensor) -> Tensor:
        """Return the scales [N, I] of the inputs for a code [N, D]."""
        return F.linear(code * code.shape[1] ** -0.5, self.affine, self.affine_bias)


class StyledConv(Modulation):
    """Modulated convolution, noise of one channel for all features, LeakyReLU of gain sqrt 2."""

    def __init__(self, inputs: int, outputs: int, code: int) -> None:
        super().__init__(inputs, outputs, 3, code)
        self.strength = nn.Parameter(torch.zeros(()))  # of the noise

    def forward(self, x: Tensor, code: Tensor, noise: Tensor | None) -> Tensor:
        y = modulate_conv(x, self.weight, self.style(code)) + self.bias[:, None, None]
        if noise is not None:
            y = y + self.strength * noise
        return F.leaky_relu(y, 0.2) * 2**0.5


class ToRGB(Modulation):
    """Features to an image, added to that of the level below; used for the memory's own images."""

    def __init__(self, inputs: int, code: int) -> None:
        super().__init__(inputs, 3, 1, code)

    def forward(self, x: Tensor, code: Tensor, below: Tensor | None) -> Tensor:
        y = modulate_conv(x, self.weight, self.style(code), demodulate=False)
        y = y + self.bias[:, None, None]
        return y if below is None else y + double_size(below)


class MemoryLevel(nn.Module):
    """Two styled convolutions at one resolution (one at the lowest), and an image of them."""

    def __init__(self, below: int, feature: int, outputs: int, code: int, *, lowest: bool) -> None:
        super().__init__()
        self.first = StyledConv(below + feature, outputs, code)
        self.second = None if lowest else StyledConv(outputs, outputs, code)
        self.to_rgb = ToRGB(outputs, code)

    @property
    def noises(self) -> int:
        """The number of noise maps that it takes."""
        return 1 if self.second is None else 2

    def forward(
        self, below: Tensor, feature: Tensor, code: Tensor, noises: Sequence[Tensor | None]
    ) -> Tensor:
        x = self.first(torch.cat([below, feature], 1), code, noises[0])
        return x if self.second is None else self.second(x, code, noises[1])


class GenerativeMemory(nn.Module):
    """M of eq. 4, with one level for each of the encoder's, deepest first."""

    steps: Tensor

    def __init__(self, features: Sequence[int], widths: Sequence[int], code: int) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.randn(1, widths[0], 4, 4))
        self.widths = tuple(widths)
        below = (widths[0], *widths)
        self.levels = nn.ModuleList(
            MemoryLevel(below[n], feature, width, code, lowest=n == 0)
            for n, (feature, width) in enumerate(zip(features, widths, strict=True))
        )
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))  # of training so far

    def level(self, n: int) -> MemoryLevel:
        level = self.levels[n]
        assert isinstance(level, MemoryLevel)
        return level

    def strengths(self) -> Tensor:
        """Return the strength of the noise in each styled convolution."""
        convs = [module for module in self.modules() if isinstance(module, StyledConv)]
        return torch.stack([conv.strength for conv in convs])

    def start_features(self, feature: Tensor) -> Tensor:
        """Return the learned constant at the size of the deepest feature, for each image."""
        size = feature.shape[-2:]
        constant = self.constant
        if size != constant.shape[-2:]:
            constant = F.interpolate(constant, size, mode="bilinear", align_corners=False)
        return constant.expand(len(feature), -1, -1, -1)


def double_size(x: Tensor) -> Tensor:
    """Double both sides; equal to StyleGAN2's filter of 1, 3, 3, 1 except at the border."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
