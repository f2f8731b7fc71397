"""Precision and recall of generated sets (Kynkaanniemi et al. 2019), on Inception features.

Each set spans balls around its features, as wide as the distance to the k-th nearest of the same
set. The paper takes VGG's features; those of FID, which many use since, are shared with it here.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from inpaint_cli.api import Features

from .inception import InceptionMetric

ROWS_AT_A_TIME = 1024  # rows at a time


class ManifoldMetric(InceptionMetric):
    """Base of both: they score how much of a set is in the balls of another."""

    better = "higher"
    unit = "%"
    neighbours: PositiveInt = Field(
        default=3, description="A ball reaches to the neighbour of this number, k."
    )

    def share(self, inner: Features, outer: Features) -> float:
        """Return the percentage of `inner` in the balls of `outer`; NaN for sets of k or fewer."""
        if not len(inner) or len(outer) <= self.neighbours:
            return math.nan
        reach = np.concatenate(
            [
                np.partition(block, self.neighbours, axis=1)[:, self.neighbours]
                for block in squared_distances(outer, outer)
            ]
        )
        inside = [(block <= reach).any(1) for block in squared_distances(inner, outer)]
        return 100 * float(np.concatenate(inside).mean())


class Precision(ManifoldMetric):
    """Share of the fills that are like photos: inside the balls of the photos' features.

    NaN for no more than `neighbours` images.
    """

    def distance(self, filled: Features, truth: Features) -> float:
        return self.share(filled, truth)


class Recall(ManifoldMetric):
    """Share of the photos that are like fills: inside the balls of the fills' features.

    NaN for no more than `neighbours` images.
    """

    def distance(self, filled: Features, truth: Features) -> float:
        return self.share(truth, filled)


def squared_distances(a: Features, b: Features) -> Iterator[NDArray[np.float64]]:
    """Yield the squared distances of blocks of rows of `a` to all rows of `b`, [n, M]."""
    every = b.all()
    squares = np.square(every).sum(1)
    for block in a.blocks(ROWS_AT_A_TIME):
        squared = np.square(block).sum(1)[:, None] + squares - 2 * block @ every.T
        yield squared.clip(0)
