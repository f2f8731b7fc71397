"""The conditional mean of a small picture, and a correction along the hole at full size."""

import math

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.api.settings import Settings
from inpaint_cli.layers.spreading import spread


class GaussianSettings(Settings):
    side: PositiveInt = 32  # cells a side of the small picture
    noise: PositiveFloat = 2e-3  # variance that a cell's colours begin with beyond the Gaussian
    enough: PositiveFloat = 0.1  # share of visible pixels from which on a cell is seen


class Noise(nn.Module):
    """The variance of what is seen beside the Gaussian, the one thing that gradients teach."""

    def __init__(self, variance: float) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.tensor(math.log(variance)))

    def forward(self) -> Tensor:
        return self.log.exp()


class GaussianFill(nn.Module):
    """Colours of S x S cells are drawn from N(mean, covariance), and what is seen has noise.

    Given seen cells o, with d = x_o - mean_o, the mean of all is

        mean + C[:, o] (C[o, o] + diag(noise / share))^-1 d

    (Bishop, "Pattern Recognition and Machine Learning", eq. 2.81). It is enlarged to the photo, and
    what it gets wrong about visible pixels is spread into the hole and taken off there.
    """

    mean: Tensor
    lower: Tensor

    def __init__(self, settings: GaussianSettings) -> None:
        super().__init__()
        self.side, self.enough = settings.side, settings.enough
        values = 3 * settings.side**2
        self.noise = Noise(settings.noise)
        self.register_buffer("mean", torch.full((values,), 0.5))
        self.register_buffer("lower", torch.zeros(values * (values + 1) // 2))

    def forward(self, visible: Tensor, mask: Tensor) -> Tensor:
        with torch.autocast(visible.device.type, enabled=False):
            known, (height, width) = 1 - mask.float(), visible.shape[-2:]
            visible = visible.float() * known
            share, seen = self.cells(known), self.cells(visible)
            small = self.expected(seen / share.clamp(min=1e-6), share)
            side = max(height, width)
            guess = F.interpolate(small, (side, side), mode="bicubic", align_corners=False)
            top, left = (side - height) // 2, (side - width) // 2
            guess = guess[..., top : top + height, left : left + width]
            return guess + spread(visible - guess * known, known)

    def cells(self, image: Tensor) -> Tensor:
        """The means [N, C, S, S] of `image` [N, C, H, W], in the middle of a black square."""
        height, width = image.shape[-2:]
        rows, columns = max(width - height, 0), max(height - width, 0)
        margins = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        return F.adaptive_avg_pool2d(F.pad(image, margins), self.side)

    def expected(self, seen: Tensor, share: Tensor) -> Tensor:
        """The small pictures [N, 3, S, S] to expect from `seen` [N, 3, S, S] where `share` > 0."""
        covariance = self.covariance
        pictures = []
        for values, weight in zip(seen.flatten(1), share.expand_as(seen).flatten(1), strict=True):
            where = weight > self.enough
            block = covariance[:, where]
            system = block[where] + torch.diag(self.noise() / weight[where])
            difference = (values - self.mean)[where, None]
            solved = torch.cholesky_solve(difference, torch.linalg.cholesky_ex(system)[0])
            pictures.append(self.mean + (block @ solved)[:, 0])
        return torch.stack(pictures).view_as(seen)

    @property
    def covariance(self) -> Tensor:
        """The symmetric matrix [3SS, 3SS] of which `lower` holds the rows up to the diagonal."""
        values = len(self.mean)
        matrix = self.lower.new_empty(values, values)
        start = 0
        for row in range(values):  # ten times as fast as by indices
            part = self.lower[start : start + row + 1]
            matrix[row, : row + 1] = part
            matrix[: row + 1, row] = part
            start += row + 1
        return matrix

    @torch.no_grad()
    def become(self, mean: Tensor, covariance: Tensor) -> None:
        """Take over another Gaussian."""
        self.mean.copy_(mean)
        self.lower.copy_(torch.cat([row[: n + 1] for n, row in enumerate(covariance)]))
