"""The contract of metrics. They know neither files nor processes.

    class Error(ImageMetric):
        \"""Mean absolute error in 0..1.\"""

        better = "lower"

        def score(self, filled, truth, mask):
            return (unit(filled) - unit(truth)).abs().flatten(1).mean(1)

A package offers it under a name in the entry-point group `inpaint.metrics`. Images are RGB
[N, 3, H, W], either uint8 levels 0 to 255 or float 0..1, as the protocol says; `unit` converts both
to float. Masks are bool [N, 1, H, W], True in the hole. Averages over images, bins and confidence
intervals are computed elsewhere.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .settings import Settings


class Metric(Settings, ABC):
    """A measure of the quality of fills; its fields are its settings in protocols and recipes.

    The first line of the class's docstring is what listings show, and each field has a
    `description`. A metric extends `ImageMetric` or `SetMetric`, not this class.
    """

    better: ClassVar[Literal["higher", "lower"]]
    unit: ClassVar[str] = ""  # "dB", "%"
    uses: ClassVar[tuple[str, ...]] = ()  # distributions whose version may change the score

    def note(self) -> str:
        """Return a remark for every table beside the name, such as "random features"."""
        return ""


class ImageMetric(Metric):
    """A metric with a score for each image."""

    @abstractmethod
    def score(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """Return float64 [N]; NaN for an image without a score, such as one without a hole."""

    def unscored(self) -> str:
        """Return which images have no score, for the note on a result that has such."""
        return "those without a hole"

    def average(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the score of a set, [...], from scores of its images, [..., N], without NaN."""
        return scores.mean(-1)

    def over(self, scores: Sequence[float] | NDArray[np.float64]) -> float:
        """Return the score of a set from all its images; NaN if none of them has one."""
        known = np.asarray(scores, np.float64)
        known = known[~np.isnan(known)]
        return float(self.average(known)) if known.size else float("nan")


@dataclass(frozen=True, eq=False)  # compared by identity, as arrays cannot be hashed
class Features:
    """The features of a set of images: some rows of an array, which may be on disk."""

    rows: NDArray[np.float32]  # [M, D]
    index: NDArray[np.intp]  # [N], the rows of this set, in order

    def __len__(self) -> int:
        return len(self.index)

    @property
    def width(self) -> int:
        """The number of features of an image, D."""
        return self.rows.shape[1]

    def blocks(self, size: int = 1024) -> Iterator[NDArray[np.float64]]:
        """Yield the rows in order, [n, D] with n of at most `size`."""
        for start in range(0, len(self), size):
            yield self.rows[self.index[start : start + size]].astype(np.float64)

    def all(self) -> NDArray[np.float64]:
        """Return all rows [N, D] in memory."""
        return np.concatenate([*self.blocks(), np.empty((0, self.width))])


@dataclass(frozen=True)
class Estimate:
    """The score of a set, and how sure it is; NaN for what is not known."""

    value: float
    low: float = math.nan  # bounds of its 95 % confidence interval
    high: float = math.nan
    deviation: float = math.nan  # standard deviation over subsets


class SetMetric(Metric):
    """A metric with a score for a set of images, from features of each, such as FID."""

    few: ClassVar[int] = 0  # images below which the score depends on their number; tables say so

    @property
    @abstractmethod
    def extractor(self) -> str:
        """A name for `features`: metrics with the same name share them, also in a cache."""

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """Return float32 [N, D] for images of any size, each independent of the others."""

    @abstractmethod
    def distance(self, filled: Features, truth: Features) -> float:
        """Return the score of two sets whose n-th rows are of one photo; NaN if too few."""

    def estimate(self, filled: Features, truth: Features) -> Estimate:
        """Return `distance` with its interval or deviation, for a metric that has one."""
        return Estimate(self.distance(filled, truth))


def unit(image: Tensor, kind: torch.dtype = torch.float64) -> Tensor:
    """Return `image` as floats in 0..1; uint8 levels are divided by 255.

    >>> unit(torch.tensor([255], dtype=torch.uint8))
    tensor([1.], dtype=torch.float64)
    """
    return image.to(kind).div_(255) if image.dtype == torch.uint8 else image.to(kind)
