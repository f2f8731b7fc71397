"""Metrics of the border between the fill and the visible part."""

from pydantic import Field, PositiveInt
from torch import Tensor

from inpaint_cli.api import ImageMetric, unit

from .regions import crop_around, dilate_mask, mean_over


class Seam(ImageMetric):
    """Visibility of the hole's edge compared with the truth, in percent of the range.

    The prominence of the edge is the mean absolute step from a visible pixel to its neighbour in
    the hole, minus the mean of the steps just before and just after. The score is the absolute
    difference between the prominences in the fill and in the truth. NaN if no pixel of the edge has
    both steps.
    """

    better = "lower"
    unit = "%"

    def score(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        filled, truth, mask = crop_around(mask, 2, filled, truth)
        out, count = edge_prominence(unit(filled), mask)
        real, _ = edge_prominence(unit(truth), mask)
        return 100 * (out - real).abs() / count


def edge_prominence(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sum over the edges of a hole in both axes, and the number of values, both [N]."""
    total, count = image.new_zeros(len(image)), image.new_zeros(len(image))
    for axis in (-2, -1):
        steps, edges = image.diff(dim=axis).abs(), mask.diff(dim=axis)
        if steps.shape[axis] < 3:
            continue  # no step has neighbours on both sides
        before, across, after = neighbours(steps, axis)
        early, edge, late = neighbours(edges, axis)
        where = edge & ~early & ~late  # not where a neighbouring step is an edge too
        excess = (across - (before + after) / 2) * where
        total += excess.flatten(1).sum(1)
        count += where.flatten(1).sum(1) * image.shape[1]
    return total, count


def neighbours(values: Tensor, axis: int) -> list[Tensor]:
    """Return the previous, the same and the next values along `axis`, without both ends."""
    return [values.narrow(axis, start, values.shape[axis] - 2) for start in range(3)]


class ColourShift(ImageMetric):
    """Distance of the mean colours of fill and truth along the edge, in percent of the range.

    The Euclidean distance in RGB divided by the square root of 3, over the pixels of the hole that
    are at most `ring` pixels from a visible one.
    """

    better = "lower"
    unit = "%"
    ring: PositiveInt = Field(default=8, description="Width of that band, in pixels.")

    def score(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        filled, truth, mask = crop_around(mask, self.ring, filled, truth)
        where = mask & dilate_mask(~mask, self.ring)
        difference = unit(filled) - unit(truth)
        shifts = [mean_over(difference[:, c : c + 1], where).square() for c in range(3)]
        return 100 * (sum(shifts, difference.new_zeros(len(difference))) / 3).sqrt()
