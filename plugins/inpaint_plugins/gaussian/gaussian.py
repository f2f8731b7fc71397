"""A Gaussian of small pictures: the likelihood of one, and the expected content of its hole."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from inpaint_cli.api import has_values, waits_for_device

COLOUR_AXES = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]])
COLOUR_AXES /= COLOUR_AXES.norm(dim=1, keepdim=True)
TO_AXES, TO_COLOURS = COLOUR_AXES.tolist(), COLOUR_AXES.T.tolist()
SEEN_SHARE = 0.1  # share of visible pixels above which a cell counts as seen
UNSEEN_VARIANCE = 1e4  # noise variance of a cell that is not seen
DEGREES_OF_FREEDOM = 4.0  # of the t distribution: contrast varies between photos


@dataclass(frozen=True)
class PictureGaussian:
    """Mean [3, SS] and covariance [3, SS, SS] of the colours of S x S cells, less 0.5.

    Colours are measured along three nearly independent axes: brightness, red to blue, green to both
    (Ohta, Kanade and Sakai, "Color information for region segmentation", 1980).
    """

    mean: Tensor
    covariance: Tensor

    @property
    def side(self) -> int:
        return round(self.mean.shape[1] ** 0.5)

    def shrink(self, side: int) -> "PictureGaussian":
        """Return the Gaussian of the same pictures at `side` cells a side."""
        factor = self.side // side
        mean = self.mean.view(3, side, factor, side, factor).mean((2, 4))
        both = self.covariance.view(3, *(side, factor) * 4).mean((2, 4, 6, 8))
        return PictureGaussian(mean.reshape(3, -1), both.reshape(3, side**2, side**2))

    def expect_cells(self, seen: Tensor, share: Tensor, noise: Tensor) -> Tensor:
        """Return the expected pictures [N, 3, S, S] given `seen` [N, 3, S, S], both less 0.5.

        `share` [N, 1, S, S] is the visible share of each cell; `noise` [3] is the variance of a
        fully visible cell. Pictures with the same visible cells are solved together, unless a
        device would be waited for to find them.
        """
        values = project_colours(seen)
        if waits_for_device(share):
            expected = self.condition_each(values, share.flatten(1), noise)
        else:
            weights, groups = group_alike(share.flatten(1))
            parts = [
                self.condition_on(values[group], w, noise)
                for w, group in zip(weights, groups, strict=True)
            ]
            expected = torch.cat(parts)[torch.cat([*groups]).argsort()]
        return mix_channels(expected, TO_COLOURS).view_as(seen)

    def condition_each(self, values: Tensor, weight: Tensor, noise: Tensor) -> Tensor:
        """Return the means of `condition_on` for visible shares [N, SS], one for each picture.

        Its shapes do not depend on values: a cell that is not seen stays in the system, apart from
        all others, with the solution 0.
        """
        whole = weight > SEEN_SHARE  # N SS
        there = whole.to(values)
        variance = noise[:, None] / weight.clamp(min=SEEN_SHARE)[:, None]  # N 3 SS
        alone = torch.diag_embed(torch.where(whole[:, None], variance, 1.0))
        system = self.covariance * (there[:, :, None] * there[:, None])[:, None] + alone
        factor = torch.linalg.cholesky_ex(system)[0]
        difference = (values - self.mean) * there[:, None]
        solved = torch.cholesky_solve(difference[..., None], factor)[..., 0]
        return self.mean + torch.einsum("ast, nat -> nas", self.covariance, solved)

    def condition_on(self, values: Tensor, weight: Tensor, noise: Tensor) -> Tensor:
        """Return the mean [N, 3, SS] given `values` [N, 3, SS] with visible shares `weight` [SS].

        With d = x_o - mean_o for the seen cells o it is

            mean + C[:, o] (C[o, o] + diag(noise / weight))^-1 d

        (Bishop, "Pattern Recognition and Machine Learning", eq. 2.81).
        """
        where = list_seen_cells(weight)
        pairs = (where[:, None] * len(weight) + where).flatten()
        system = self.covariance.flatten(1).index_select(1, pairs).view(3, len(where), len(where))
        system = system + torch.diag_embed(noise[:, None] / weight[where])
        factor = torch.linalg.cholesky_ex(system)[0]
        difference = (values - self.mean)[:, :, where].permute(1, 2, 0)
        solved = torch.cholesky_solve(difference, factor)
        padded = solved.new_zeros(3, len(weight), len(values)).index_copy(1, where, solved)
        return self.mean + (self.covariance @ padded).permute(2, 0, 1)

    def log_likelihood(self, seen: Tensor, share: Tensor, noise: float) -> Tensor:
        """Return the log density [K] of `seen` [K, 3, S, S] with visible shares [K, 1, S, S].

        It is a multivariate t on each axis, up to a constant that depends on the cells seen.
        """
        weight = share.flatten(1)
        whole = weight > SEEN_SHARE
        variance = torch.where(whole, noise / weight.clamp(min=SEEN_SHARE), UNSEEN_VARIANCE)
        factor = torch.linalg.cholesky_ex(self.covariance + torch.diag_embed(variance)[:, None])[0]
        away = ((project_colours(seen) - self.mean) * whole[:, None])[..., None]
        white = torch.linalg.solve_triangular(factor, away, upper=False)[..., 0]
        volume = factor.diagonal(dim1=-2, dim2=-1).log().sum(2)
        distance = torch.log1p(white.square().sum(2) / DEGREES_OF_FREEDOM)
        return -(volume + (DEGREES_OF_FREEDOM + whole.sum(1, keepdim=True)) / 2 * distance).sum(1)


def group_alike(weights: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
    """Return the different rows of `weights` [N, SS], and the numbers of the rows equal to each."""
    if not has_values(weights):  # an estimate: no two are alike
        return weights, torch.arange(len(weights), device=weights.device)[:, None].unbind()
    rows, kind = weights.unique(dim=0, return_inverse=True)
    return rows, [(kind == n).nonzero()[:, 0] for n in range(len(rows))]


def list_seen_cells(weight: Tensor) -> Tensor:
    """Return the numbers of the cells that are seen, of visible shares `weight` [SS]."""
    if not has_values(weight):  # an estimate: two in three
        return torch.arange(2 * len(weight) // 3, device=weight.device)
    return (weight > SEEN_SHARE).nonzero()[:, 0]


class PictureStatistics(nn.Module):
    """Buffers with the Gaussian of all pictures counted so far."""

    mean: Tensor
    covariance: Tensor

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        self.register_buffer("mean", torch.zeros(3, side**2))
        self.register_buffer("covariance", torch.zeros(3, side**2, side**2))

    def forward(self) -> PictureGaussian:
        return PictureGaussian(self.mean, self.covariance)


class Noise(nn.Module):
    """The variance of visible cells that the Gaussian does not explain, learned by gradients."""

    def __init__(self, variance: float) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.full((3,), variance).log())  # of each axis

    def forward(self) -> Tensor:
        return self.log.exp()


def project_colours(pictures: Tensor) -> Tensor:
    """Project the colours of `pictures` [N, 3, S, S] onto the axes: [N, 3, SS]."""
    return mix_channels(pictures.flatten(2), TO_AXES)


def mix_channels(pictures: Tensor, rows: Sequence[Sequence[float]]) -> Tensor:
    """Return the sums of the channels of `pictures` [N, 3, P] weighted by each of `rows`.

    The weights are numbers, not a tensor, which would have to be copied to the device.
    """
    a, b, c = pictures.unbind(1)
    return torch.stack([x * a + y * b + z * c for x, y, z in rows], dim=1)
