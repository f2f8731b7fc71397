"""Structural similarity (Wang et al. 2004), with the conventions that papers use."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from .pixels import PixelMetric
from .regions import mean_over, region_mask

C1, C2 = 0.01**2, 0.03**2  # for a range of 1


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
    border: Literal["valid", "zero"] = Field(
        default="valid", description="Windows inside the image only, or images padded with black."
    )
    sample: bool = Field(
        default=False,
        description="Divide (co)variances by n - 1, as scikit-image does by default.",
    )

    def score(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        edge = self.size // 2
        pad = (edge, self.size - 1 - edge) * 2 if self.border == "zero" else ()
        height, width = (side + sum(pad[:2]) - self.size + 1 for side in filled.shape[-2:])
        if min(height, width) < 1:
            return torch.full((len(filled),), torch.nan, dtype=torch.float64)
        where = pad_image(region_mask(mask, self.region, self.ring), pad)
        where = where[..., edge : edge + height, edge : edge + width]
        shape = (2, 4, height + self.size - 1, width + self.size - 1)
        planes = torch.empty(shape, dtype=torch.float64, device=filled.device)
        full = self.region == "full"  # a masked mean takes a tenth of the time
        scores = []
        for n in range(len(filled)):  # plane by plane, to stay in the cache
            pair = (
                pad_image(self.in_colour(image[n : n + 1]), pad)[0] for image in (filled, truth)
            )
            means = []
            for x, y in zip(*pair, strict=True):
                index = self.similarity(x, y, *planes)
                means.append(index.mean() if full else mean_over(index[None, None], where[n])[0])
            scores.append(torch.stack(means).mean())
        return torch.stack(scores)

    def similarity(self, x: Tensor, y: Tensor, planes: Tensor, spare: Tensor) -> Tensor:
        """Return the map of two planes [H, W] in 0..1, with a value for each window inside.

        Computed in double precision, as variances are small differences, in the buffers `planes`
        and `spare` [4, H, W], as allocating memory takes longer than the sums, and on whole rows,
        as slices of rows are slower.
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
        product.mul_(2).add_(C1)
        index = covariance.mul_(product).div_(variances.mul_(squares.add_(C1)))
        return index[:, self.size // 2 :][:, : x.shape[1] - self.size + 1]

    def weights(self, like: Tensor) -> Tensor:
        """Return the weights of a window along one axis [size], with a sum of 1."""
        if self.window == "uniform":
            line = torch.ones(self.size, dtype=torch.float64)
        else:
            at = torch.arange(self.size, dtype=torch.float64) - (self.size - 1) / 2
            line = torch.exp(-at.square() / (2 * self.sigma**2))
        return (line / line.sum()).to(like)


def pad_image(image: Tensor, pad: tuple[int, ...]) -> Tensor:
    return F.pad(image, pad) if pad else image


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
