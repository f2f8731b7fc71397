"""What a plugin implements to add a metric. It knows neither files nor processes.

Images are RGB [N, 3, H, W]: uint8 levels where the protocol compares 8-bit pictures, else float in
0..1; `unit` makes one of the other. Masks are bool [N, 1, H, W], True in the hole. The engine
gathers, averages, bins and bootstraps.
"""

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
    """A number that says how good a fill is; its fields are the conventions it follows.

    The first line of the class's docstring is what listings show. A metric extends `ImageMetric`
    or `SetMetric`, not this class.
    """

    better: ClassVar[Literal["higher", "lower"]]
    unit: ClassVar[str] = ""  # "dB", "%"
    uses: ClassVar[tuple[str, ...]] = ()  # distributions whose version may change the number

    def note(self) -> str:
        """What every table must say besides the name, as "random features"."""
        return ""


class ImageMetric(Metric):
    """A number an image."""

    @abstractmethod
    def score(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """Return float64 [N]; NaN where an image has no score, as without a hole."""

    def average(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """One number for the set from [..., N] scores without NaN."""
        return scores.mean(-1)

    def over(self, scores: Sequence[float] | NDArray[np.float64]) -> float:
        """One number for the set from the scores of all its images; NaN where none has one."""
        known = np.asarray(scores, np.float64)
        known = known[~np.isnan(known)]
        return float(self.average(known)) if known.size else float("nan")


@dataclass(frozen=True, eq=False)  # arrays have no hash, by which a cache could know them
class Features:
    """What an extractor saw in a set of images: some rows of an array that may lie on disk."""

    rows: NDArray[np.float32]  # [M, D]
    index: NDArray[np.intp]  # [N], which of them, in order

    def __len__(self) -> int:
        return len(self.index)

    @property
    def width(self) -> int:
        return self.rows.shape[1]

    def blocks(self, size: int = 1024) -> Iterator[NDArray[np.float64]]:
        """The rows in order, at most `size` at a time."""
        for start in range(0, len(self), size):
            yield self.rows[self.index[start : start + size]].astype(np.float64)

    def all(self) -> NDArray[np.float64]:
        """All rows [N, D] in memory."""
        return np.concatenate([*self.blocks(), np.empty((0, self.width))])


class SetMetric(Metric):
    """A number a set of images, from features of each: FID and its kin."""

    @property
    @abstractmethod
    def extractor(self) -> str:
        """A name for `features`; metrics that give the same share them, and a cache keeps them."""

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """Return float32 [N, D] for images of any size, each independent of the others."""

    @abstractmethod
    def distance(self, filled: Features, truth: Features) -> float:
        """Compare two sets whose n-th rows belong to the same photo; NaN where they are too few."""


def unit(image: Tensor, kind: torch.dtype = torch.float64) -> Tensor:
    """`image` as floats in 0..1."""
    return image.to(kind).div_(255) if image.dtype == torch.uint8 else image.to(kind)
