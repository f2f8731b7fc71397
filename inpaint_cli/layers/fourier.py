"""Fast Fourier convolution: a convolution with the whole image as receptive field.

Chi et al., "Fast Fourier Convolution", NeurIPS 2020, in the form of Suvorov et al.,
"Resolution-robust Large Mask Inpainting with Fourier Convolutions" (LaMa), WACV 2022: real
transform, no local Fourier unit, reflection padding. Features are one tensor [N, C, H, W] whose
first channels are local and whose last `int(ratio * C)` are global. The papers have two tensors
and three convolutions; the two that produce local channels are one here, with the same weights.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FourierUnit(nn.Module):
    """A 1 x 1 convolution of the spectrum, whose real and imaginary parts alternate as channels.

    It computes in float32 under autocast and in a module cast to half: the half-precision transform
    does not support every size, and the spectrum has a wide range. The output has the input's
    dtype.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(2 * channels)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        return super()._apply(lambda tensor: at_least_float32(fn(tensor)), recurse)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        with torch.autocast(x.device.type, enabled=False):
            spectrum = torch.view_as_real(torch.fft.rfft2(at_least_float32(x), norm="ortho"))
            y = spectrum.permute(0, 1, 4, 2, 3).reshape(n, 2 * c, h, w // 2 + 1)
            y = F.relu(self.norm(self.conv(y)), inplace=True)
            y = torch.complex(y[:, 0::2], y[:, 1::2])
            return torch.fft.irfft2(y, s=(h, w), norm="ortho").to(x.dtype)

    def for_export(self) -> nn.Module:
        return MatrixFourierUnit(self)


class MatrixFourierUnit(nn.Module):
    """The same `unit` by matrix products, for programs without a transform of any size.

    A transform of n values costs n^2 instead of n log n products; LaMa has it at an eighth of the
    photo's size, where its convolutions cost more.
    """

    def __init__(self, unit: FourierUnit) -> None:
        super().__init__()
        self.conv, self.norm = unit.conv, unit.norm

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        (row_cos, row_sin), (col_cos, col_sin) = waves(height, x), waves(width, x)
        half = width // 2 + 1
        col_cos, col_sin = col_cos[:, :half], col_sin[:, :half]
        a, b = x @ col_cos, -(x @ col_sin)
        real, imaginary = row_cos @ a + row_sin @ b, row_cos @ b - row_sin @ a
        y = torch.stack([real, imaginary], 2).flatten(1, 2)
        y = F.relu(self.norm(self.conv(y)))
        real, imaginary = y[:, 0::2], y[:, 1::2]
        a, b = row_cos @ real - row_sin @ imaginary, row_cos @ imaginary + row_sin @ real
        column = torch.arange(half, device=x.device)
        once = (column == 0) | (2 * column == width)  # all others stand for their conjugates too
        twice = 2 - once.to(x.dtype)
        return (a * twice) @ col_cos.T - (b * twice) @ col_sin.T


def waves(count: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of 2 pi j k / n [n, n] over the root of n, of the type of `like`."""
    k = torch.arange(count, device=like.device)
    angle = (k[:, None] * k % count).to(like.dtype) * (2 * torch.pi / count)
    scale = torch.ones((), dtype=like.dtype, device=like.device) / torch.as_tensor(count) ** 0.5
    return angle.cos() * scale, angle.sin() * scale


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return float16 and bfloat16 tensors as float32, all others unchanged."""
    half = tensor.dtype in (torch.float16, torch.bfloat16)
    return tensor.float() if half else tensor


class SpectralTransform(nn.Module):
    """The global path: shrink to half the channels, add their Fourier unit, grow back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.shrink = nn.Sequential(
            nn.Conv2d(channels, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU(inplace=True)
        )
        self.fourier = FourierUnit(half)
        self.grow = nn.Conv2d(half, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.shrink(x)
        return self.grow(y + self.fourier(y))


class FFC(nn.Module):
    """A 3 x 3 fast Fourier convolution with batch norm and ReLU, for sides of at least 2."""

    def __init__(self, channels: int, *, ratio: float = 0.75) -> None:
        super().__init__()
        wide = int(ratio * channels)
        self.local = channels - wide
        self.to_local = nn.Conv2d(channels, self.local, 3, bias=False)
        self.to_global = nn.Conv2d(self.local, wide, 3, bias=False)
        self.spectral = SpectralTransform(wide)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
        wide = self.to_global(padded[:, : self.local]) + self.spectral(x[:, self.local :])
        y = torch.cat([self.to_local(padded), wide], 1)
        return F.relu(self.norm(y), inplace=True)


class FFCBlock(nn.Module):
    """x + FFC(FFC(x)): LaMa's residual block."""

    def __init__(self, channels: int, *, ratio: float = 0.75) -> None:
        super().__init__()
        self.first = FFC(channels, ratio=ratio)
        self.second = FFC(channels, ratio=ratio)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x))
