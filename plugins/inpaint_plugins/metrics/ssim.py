"""Structural similarity (Wang et al. 2003, 2004), with the conventions that papers use."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from .pixels import PixelMetric
from .regions import bounds_of, mean_over, region_mask

C1, C2 = 0.01**2, 0.03**2  # for a range of 1
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # weights, the finest first


class SSIM(PixelMetric):
    """Structural similarity, the mean over its map and the channels.

    In a region, over the windows whose centre is in it. NaN for images smaller than a window.
    """

    better = "higher"
    window: Literal["gaussian", "uniform"] = Field(
        default="gaussian", description="Weights of the pixels in a window."
    )
    size: int = Field(default=11, ge=3, description="Side of a window, in pixels.")
    sigma: float = Field(
        default=1.5, gt=0, description="Standard deviation of the Gaussian, in pixels."
    )
    border: Literal["valid", "zero", "reflect"] = Field(
        default="valid",
        description="Windows inside the image only, or images padded with black or with their "
        "mirror image (reflect, as in torchmetrics).",
    )
    sample: bool = Field(
        default=False,
        description="Divide (co)variances by n - 1, as scikit-image does by default.",
    )

    def score(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        edge = self.size // 2
        pad = () if self.border == "valid" else (edge, self.size - 1 - edge) * 2
        height, width = (side + sum(pad[:2]) - self.size + 1 for side in filled.shape[-2:])
        least = edge + 1 if self.border == "reflect" else 1  # which can be mirrored that far
        if min(height, width, *filled.shape[-2:]) < least:
            return torch.full((len(filled),), torch.nan, dtype=torch.float64)
        where = pad_image(region_mask(mask, self.region, self.ring), pad)
        where = where[..., edge : edge + height, edge : edge + width]
        full = self.region == "full"  # a masked mean takes a tenth of the time
        rows, columns = (slice(0, height), slice(0, width)) if full else bounds_of(where)
        where = where[..., rows, columns]
        part = [slice(s.start, s.stop + self.size - 1) for s in (rows, columns)]
        shape = (2, 4, *(s.stop - s.start for s in part))
        planes = torch.empty(shape, dtype=torch.float64, device=filled.device)
        mode = "reflect" if self.border == "reflect" else "constant"
        scores = []
        for n in range(len(filled)):  # plane by plane, to stay in the cache
            out, real = (
                self.in_colour(pad_image(image[n : n + 1], pad, mode)[(..., *part)])[0]
                for image in (filled, truth)
            )
            means = []
            for x, y in zip(out, real, strict=True):
                index = self.similarity(x, y, *planes)
                means.append(index.mean() if full else mean_over(index[None, None], where[n])[0])
            scores.append(torch.stack(means).mean())
        return torch.stack(scores)

    def unscored(self) -> str:
        small = f"those smaller than its window of {self.size} pixels"
        return small if self.region == "full" else f"{small}, or without a hole"

    def similarity(self, x: Tensor, y: Tensor, planes: Tensor, spare: Tensor) -> Tensor:
        """Return the map of two planes [H, W] in 0..1, with a value for each window inside.

        Computed in double precision, as variances are small differences, in the buffers `planes`
        and `spare` [4, H, W], as allocating memory takes longer than the sums, and on whole rows,
        as slices of rows are slower.
        """
        luminance, squares, covariance, variances = self.terms(x, y, planes, spare)
        index = covariance.mul_(luminance).div_(variances.mul_(squares))
        return index[:, self.size // 2 :][:, : x.shape[1] - self.size + 1]

    def terms(self, x: Tensor, y: Tensor, planes: Tensor, spare: Tensor) -> tuple[Tensor, ...]:
        """Return numerator and denominator of luminance, and of contrast and structure.

        In whole rows; see `similarity`.
        """
        planes[0], planes[1] = x, y
        torch.mul(x, x, out=planes[2]).addcmul_(y, y)
        torch.mul(x, y, out=planes[3])
        mean_x, mean_y, variances, covariance = filter_planes(planes, self.weights(x), spare)
        n = self.size**2
        scale = n / (n - 1) if self.sample else 1.0
        product, squares = planes[:2, : len(mean_x)]
        torch.mul(mean_x, mean_y, out=product)
        torch.mul(mean_x, mean_x, out=squares).addcmul_(mean_y, mean_y)
        covariance.sub_(product).mul_(2 * scale).add_(C2)
        variances.sub_(squares).mul_(scale).add_(C2)
        return product.mul_(2).add_(C1), squares.add_(C1), covariance, variances

    def weights(self, like: Tensor) -> Tensor:
        """Return the weights of a window along one axis [size], with a sum of 1."""
        if self.window == "uniform":
            line = torch.ones(self.size, dtype=torch.float64)
        else:
            at = torch.arange(self.size, dtype=torch.float64) - (self.size - 1) / 2
            line = torch.exp(-at.square() / (2 * self.sigma**2))
        return (line / line.sum()).to(like)


class MSSSIM(SSIM):
    """Multi-scale structural similarity (Wang et al. 2003), over five scales.

    Negative terms count as 0. NaN for images too small for a window at the last scale, such as 175
    pixels for the window of 11.
    """

    region: Literal["full"] = Field(default="full", description="All pixels.")  # type: ignore[assignment]
    border: Literal["valid"] = Field(default="valid", description="Windows inside the image.")  # type: ignore[assignment]

    def score(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        if min(filled.shape[-2:]) >> len(SCALE_WEIGHTS) - 1 < self.size:
            return torch.full((len(filled),), torch.nan, dtype=torch.float64)
        pairs = zip(self.in_colour(filled), self.in_colour(truth), strict=True)
        scores = [
            torch.stack([self.over_scales(x, y) for x, y in zip(*pair, strict=True)]).mean()
            for pair in pairs
        ]
        return torch.stack(scores)

    def unscored(self) -> str:
        return f"those smaller than {self.size << len(SCALE_WEIGHTS) - 1} pixels"

    def over_scales(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the score of two planes [H, W] in 0..1."""
        score = torch.ones((), dtype=torch.float64, device=x.device)
        for scale, weight in enumerate(SCALE_WEIGHTS):
            buffers = x.new_empty((2, 4, *x.shape))
            top, bottom, covariance, variances = self.terms(x, y, *buffers)
            similar = covariance / variances
            if scale == len(SCALE_WEIGHTS) - 1:
                similar *= top / bottom
            inner = similar[:, self.size // 2 :][:, : x.shape[1] - self.size + 1]
            score = score * inner.mean().clamp(min=0) ** weight
            x, y = (F.avg_pool2d(plane[None, None], 2)[0, 0] for plane in (x, y))
        return score


def pad_image(image: Tensor, pad: tuple[int, ...], mode: str = "constant") -> Tensor:
    return F.pad(image, pad, mode) if pad else image


def filter_planes(planes: Tensor, weights: Tensor, spare: Tensor) -> Tensor:
    """Filter `planes` [K, H, W] by `weights` along both axes, where the window is inside.

    Returns whole rows: their first and last columns, where it is not inside, are undefined.
    """
    count, height, width = planes.shape
    size = len(weights)
    edge = size // 2
    if planes.device.type == "cpu":
        import cv2  # several times as fast as torch's convolutions in double precision

        line = weights.numpy()
        source, target = (p.view(-1, width).numpy() for p in (planes, spare))
        cv2.sepFilter2D(source, -1, line, line, target, borderType=cv2.BORDER_CONSTANT)
    else:
        rows = weights.expand(count, 1, 1, size)
        filtered = F.conv2d(F.conv2d(planes, rows, groups=count), rows.mT, groups=count)
        spare[:, edge : edge + height - size + 1, edge : edge + width - size + 1] = filtered
    return spare[:, edge : edge + height - size + 1]
