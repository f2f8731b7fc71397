"""What a plugin implements to add a mask generator. Numpy only: no torch."""

from abc import ABC, abstractmethod
from fractions import Fraction
from functools import lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from ..errors import DataError
from .settings import Settings

Mask = NDArray[np.bool_]
TRIES = 2000  # draws before a generator is said not to reach what is asked of it


def check_ratio(ratio: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= ratio[0] < ratio[1] <= 1:
        raise ValueError("a ratio is [low, high], two shares between 0 and 1, the smaller first")
    return ratio


Ratio = Annotated[tuple[float, float], AfterValidator(check_ratio)]  # low < hole / picture <= high


@lru_cache(maxsize=1024)
def hole_areas(ratio: tuple[float, float], pixels: int) -> range:
    """The hole areas, in pixels, that lie within (low, high] of a picture of `pixels`.

    Exact: 0.29 means 29/100 here, not the nearest binary fraction.
    """
    low, high = (Fraction(share).limit_denominator(10**6) * pixels for share in ratio)
    return range(int(low) + 1, int(high) + 1)


def on_border(mask: Mask) -> bool:
    """Whether the hole touches the edge of the picture."""
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


class Masks(Settings, ABC):
    """A family of masks; its fields are its settings in a recipe.

    A generator that holds others has fields of type `SerializeAsAny[Masks]`, and is given them
    built: settings that name a `kind` are made generators before the settings around them.
    """

    kind: str = ""  # the name it is installed under; whoever builds it fills this in
    ratio: Ratio | None = None  # the share of the picture that is hole; None: as it comes
    border: bool | None = None  # whether the hole touches the picture's edge; None: as it comes

    @abstractmethod
    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        """Return a mask [height, width], True where the hole is, whatever its area.

        The same settings, size and state of `rng` give the same mask on every machine.
        """

    def draw(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        """Return a mask [height, width], never empty, that keeps `ratio` and `border`.

        Raises `DataError` where the family does not reach them.
        """
        for _ in range(TRIES):
            mask = self.sketch(height, width, rng)
            if self.accepts(mask):
                return mask
        asked = [f"a hole of {percent_text(self.ratio)} %"] if self.ratio else []
        asked += [] if self.border is None else [f"border={str(self.border).lower()}"]
        raise DataError(
            f"'{self.kind or type(self).__name__}' at {width}x{height} gave no mask with "
            f"{' and '.join(asked)} in {TRIES} draws; widen the ratio, change the settings, or "
            "take 'irregular', which reaches every ratio"
        )

    def accepts(self, mask: Mask) -> bool:
        """Whether `mask` has a hole and keeps `ratio` and `border`."""
        area = int(np.count_nonzero(mask))
        return area in hole_areas(self.ratio or (0, 1), mask.size) and (
            self.border is None or on_border(mask) == self.border
        )


def percent_text(ratio: tuple[float, float]) -> str:
    """`ratio` as people write it: "40-60"."""
    return "-".join(f"{round(share * 100, 4):g}" for share in ratio)
