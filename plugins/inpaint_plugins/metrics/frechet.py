"""FID: the Fréchet distance of Gaussians fitted to the features of two sets."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from inpaint_cli.api import Estimate, Features

from .inception import InceptionMetric

NORMAL_95 = 1.96  # standard errors to each bound of a 95 % interval


class FID(InceptionMetric):
    """Fréchet Inception distance (Heusel et al. 2017), with the network of pytorch-fid.

    NaN for fewer than two images. Biased upwards for small sets: compare sets of one size only.
    The interval is that of the distance of so many images, and holds for pairs. It is no bootstrap,
    whose sets repeat images and so lie farther apart than real ones of their size, by more than the
    width of the interval: see `frechet_error`.
    """

    better = "lower"

    def distance(self, filled: Features, truth: Features) -> float:
        return frechet_distance(filled, truth) if min(len(filled), len(truth)) > 1 else math.nan

    def estimate(self, filled: Features, truth: Features) -> Estimate:
        value = self.distance(filled, truth)
        if len(filled) != len(truth) or len(filled) < 3:
            return Estimate(value)
        reach = NORMAL_95 * frechet_error(filled, truth)
        return Estimate(value, max(value - reach, 0.0), value + reach)


@dataclass(frozen=True)
class SetMoments:
    """Sums over a set, in float64; adding those of two sets gives those of their union."""

    count: int
    total: Tensor  # [D]
    products: Tensor  # [D, D], of the features minus `origin`
    origin: Tensor  # [D], near the mean, so that the products do not cancel

    @staticmethod
    def of(features: Features, origin: Tensor | None = None) -> "SetMoments":
        """Sum `features` in blocks; `origin` defaults to the mean of the first block."""
        if origin is None:
            origin = torch.from_numpy(next(features.blocks())).mean(0)
        total, products = torch.zeros_like(origin), origin.new_zeros(2 * origin.shape)
        for block in features.blocks():
            rows = block - origin.numpy()
            total += torch.from_numpy(rows.sum(0))
            products += torch.from_numpy(
                rows.T @ rows
            )  # NumPy computes half of it, as it is symmetric
        return SetMoments(len(features), total, products, origin)

    def __add__(self, other: "SetMoments") -> "SetMoments":
        shift = other.origin - self.origin
        cross = torch.outer(other.total, shift)
        products = other.products + cross + cross.T + other.count * torch.outer(shift, shift)
        return SetMoments(
            self.count + other.count,
            self.total + other.total + other.count * shift,
            self.products + products,
            self.origin,
        )

    @property
    def mean(self) -> Tensor:
        return self.origin + self.total / self.count

    @property
    def covariance(self) -> Tensor:
        """The sample covariance [D, D]."""
        rest = torch.outer(self.total, self.total) / self.count
        return (self.products - rest) / (self.count - 1)


def frechet_distance(a: Features, b: Features) -> float:
    """Return |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), without the square root of a matrix.

    For any factors C = F^T F, the trace of the root is the sum of the singular values of F1 F2^T.
    For a set of fewer images than dimensions, its centred features are such a factor, and smaller
    than the covariance, which is not computed.
    """
    if len(a) > len(b):
        a, b = b, a
    if len(b) <= b.width:
        (mean_a, rows_a), (mean_b, rows_b) = centre_features(a), centre_features(b)
        root = torch.linalg.svdvals(rows_a @ rows_b.T).sum()
        traces = rows_a.square().sum() + rows_b.square().sum()
    else:
        moments = SetMoments.of(b)
        mean_b, covariance = moments.mean, moments.covariance
        mean_a, factor = mean_and_factor(a)
        root = torch.linalg.eigvalsh(factor @ covariance @ factor.T).clamp_min(0).sqrt().sum()
        traces = factor.square().sum() + covariance.trace()
    return float((mean_a - mean_b).square().sum() + traces - 2 * root)


def frechet_error(a: Features, b: Features) -> float:
    """Return the standard error of the distance of N pairs, by the infinitesimal jackknife.

    That is a bootstrap over the pairs to the first order: each has an influence, the derivative of
    the distance by its weight. A bootstrap itself needs a decomposition for each resampled set, and
    is wrong: repeated images lower the rank of a covariance as if there were fewer of them, which
    shifts the distance upwards, and about doubles its scatter.

    With F1 F2^T = U S V^T for factors of C1 and C2, the derivative of the trace of the root by C1
    is W^T W / 2 with W = S^(-1/2) V^T F2.
    """
    (mean_a, factor_a), (mean_b, factor_b) = mean_and_factor(a), mean_and_factor(b)
    product = factor_a @ factor_b.T
    squares, left = torch.linalg.eigh(product @ product.T)  # faster than singular values
    kept = squares > 1e-14 * squares[-1]
    spread, left = squares[kept].sqrt()[:, None], left[:, kept]
    maps = (left.T @ product @ factor_b) / spread**1.5, (left.T @ factor_a) / spread**0.5
    shift, influences = 2 * (mean_a - mean_b), []
    for block_a, block_b in zip(a.blocks(), b.blocks(), strict=True):
        rows = [torch.from_numpy(block_a) - mean_a, torch.from_numpy(block_b) - mean_b]
        pulls = [
            row.square().sum(1) - (row @ pull.T).square().sum(1)
            for row, pull in zip(rows, maps, strict=True)
        ]
        influences.append((rows[0] - rows[1]) @ shift + pulls[0] + pulls[1])
    return float(torch.cat(influences).std() / math.sqrt(len(a)))


def mean_and_factor(features: Features) -> tuple[Tensor, Tensor]:
    """Return the mean [D] and a factor F of the sample covariance F^T F, of at most D rows."""
    if len(features) <= features.width:
        return centre_features(features)
    moments = SetMoments.of(features)
    return moments.mean, covariance_factor(moments.covariance)


def centre_features(features: Features) -> tuple[Tensor, Tensor]:
    """Return the mean [D] and a factor [N, D] of the sample covariance."""
    rows = torch.from_numpy(features.all())
    mean = rows.mean(0)
    return mean, (rows - mean) / math.sqrt(len(rows) - 1)


def covariance_factor(covariance: Tensor) -> Tensor:
    """Return a factor [D, D] of `covariance`, which may be singular."""
    lower, failed = torch.linalg.cholesky_ex(covariance)
    if not failed:
        return lower.T
    values, vectors = torch.linalg.eigh(covariance)
    return values.clamp_min(0).sqrt()[:, None] * vectors.T
