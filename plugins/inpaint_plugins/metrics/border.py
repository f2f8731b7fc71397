"""What a viewer sees first: the seam along the hole."""

from pydantic import PositiveInt
from torch import Tensor

from inpaint_cli.api import ImageMetric, unit

from .regions import dilated, mean_over


class Seam(ImageMetric):
    """How far the step across the hole's edge stands out, against the truth, in percent of range.

    The prominence of an edge is the mean absolute step from a visible pixel to its neighbour in the
    hole, less the mean of the steps just before and just after it; the score is the difference
    between the prominences of fill and truth. NaN where no edge has both steps.
    """

    better = "lower"
    unit = "%"

    def score(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        out, count = prominence(unit(filled), mask)
        real, _ = prominence(unit(truth), mask)
        return 100 * (out - real).abs() / count


def prominence(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Sum over the edges of a hole in both directions, and how many values were summed, [N]."""
    total, count = image.new_zeros(len(image)), image.new_zeros(len(image))
    for axis in (-2, -1):
        steps, edges = image.diff(dim=axis).abs(), mask.diff(dim=axis)
        if steps.shape[axis] < 3:
            continue  # no step has one on either side
        before, across, after = neighbours(steps, axis)
        early, edge, late = neighbours(edges, axis)
        where = edge & ~early & ~late  # a step beside it that is an edge too says nothing
        excess = (across - (before + after) / 2) * where
        total += excess.flatten(1).sum(1)
        count += where.flatten(1).sum(1) * image.shape[1]
    return total, count


def neighbours(values: Tensor, axis: int) -> list[Tensor]:
    """All but the first and last along `axis`, between what comes before and what comes after."""
    return [values.narrow(axis, start, values.shape[axis] - 2) for start in range(3)]


class ColourShift(ImageMetric):
    """Distance between the mean colours of fill and truth just inside the hole, percent of range.

    The Euclidean distance of RGB over the square root of 3, on the pixels of the hole that are at
    most `ring` pixels from a visible one.
    """

    better = "lower"
    unit = "%"
    ring: PositiveInt = 8

    def score(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        where = mask & dilated(~mask, self.ring)
        difference = unit(filled) - unit(truth)
        shifts = [mean_over(difference[:, c : c + 1], where).square() for c in range(3)]
        return 100 * (sum(shifts, difference.new_zeros(len(difference))) / 3).sqrt()
