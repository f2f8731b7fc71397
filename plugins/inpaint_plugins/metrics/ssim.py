"""Structural similarity (Wang et al. 2004), under each of the conventions that papers use."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from .pixels import PixelMetric
from .regions import inside, mean_over

C1, C2 = 0.01**2, 0.03**2  # for a range of 1


class SSIM(PixelMetric):
    """Structural similarity, the mean over the map and over the channels.

    border "valid" keeps the windows that lie wholly inside; "zero" pads the pictures with black and
    gives every pixel its window. `sample` divides (co)variances by n - 1, as scikit-image does by
    default. A region takes the windows whose centre lies in it. NaN where no window fits.
    """

    better = "higher"
    window: Literal["gaussian", "uniform"] = "gaussian"
    size: int = Field(default=11, ge=3)  # pixels
    sigma: float = Field(default=1.5, gt=0)  # pixels, of the Gaussian
    border: Literal["valid", "zero"] = "valid"
    sample: bool = False

    def score(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        edge = self.size // 2
        pad = (edge, self.size - 1 - edge) * 2 if self.border == "zero" else ()
        height, width = (side + sum(pad[:2]) - self.size + 1 for side in filled.shape[-2:])
        if min(height, width) < 1:
            return torch.full((len(filled),), torch.nan, dtype=torch.float64)
        where = padded(inside(mask, self.region, self.ring), pad)
        where = where[..., edge : edge + height, edge : edge + width]
        shape = (2, 4, height + self.size - 1, width + self.size - 1)
        planes = torch.empty(shape, dtype=torch.float64, device=filled.device)
        full = self.region == "full"  # where asking each pixel costs a tenth of all
        scores = []
        for n in range(len(filled)):  # plane by plane, which stay in the processor's cache
            pair = (padded(self.prepared(image[n : n + 1]), pad)[0] for image in (filled, truth))
            means = []
            for x, y in zip(*pair, strict=True):
                index = self.similarity(x, y, *planes)
                means.append(index.mean() if full else mean_over(index[None, None], where[n])[0])
            scores.append(torch.stack(means).mean())
        return torch.stack(scores)

    def similarity(self, x: Tensor, y: Tensor, planes: Tensor, spare: Tensor) -> Tensor:
        """The map of two planes [H, W] in 0..1, one value for each window inside.

        In double precision, for variances are small differences; in `planes` and `spare`, both
        [4, H, W], because new memory costs more than the sums, and on whole rows, because pieces
        of rows do too.
        """
        planes[0], planes[1] = x, y
        torch.mul(x, x, out=planes[2]).addcmul_(y, y)
        torch.mul(x, y, out=planes[3])
        mean_x, mean_y, variances, covariance = filtered(planes, self.weights(x), spare)
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
        """The window along one axis [size], which sums to 1."""
        if self.window == "uniform":
            line = torch.ones(self.size, dtype=torch.float64)
        else:
            at = torch.arange(self.size, dtype=torch.float64) - (self.size - 1) / 2
            line = torch.exp(-at.square() / (2 * self.sigma**2))
        return (line / line.sum()).to(like)


def padded(image: Tensor, pad: tuple[int, ...]) -> Tensor:
    return F.pad(image, pad) if pad else image


def filtered(planes: Tensor, weights: Tensor, spare: Tensor) -> Tensor:
    """Each of `planes` [K, H, W] under `weights`: the rows where they fit inside, whole.

    The columns at the edges, where they do not fit, hold anything.
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
        inside = F.conv2d(F.conv2d(planes, rows, groups=count), rows.mT, groups=count)
        spare[:, edge : edge + height - size + 1, edge : edge + width - size + 1] = inside
    return spare[:, edge : edge + height - size + 1]
