"""The contract of mask generators. No torch.

    class Stripes(Masks):
        \"""Horizontal stripes.\"""

        width: int = Field(default=8, ge=1, description="Width of a stripe, in pixels.")

        def sketch(self, height, width, rng):
            rows = (np.arange(height) + rng.integers(2 * self.width)) // self.width % 2 == 0
            return np.repeat(rows[:, None], width, axis=1)

A package offers it under a name in the entry-point group `inpaint.masks`.
"""

from abc import ABC, abstractmethod
from fractions import Fraction
from functools import lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from ..errors import DataError
from .settings import Settings

Mask = NDArray[np.bool_]  # [height, width], True in the hole
MAX_DRAWS = 2000  # before a generator is said not to reach the ratio or border asked of it


def check_ratio(ratio: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= ratio[0] < ratio[1] <= 1:
        raise ValueError("a ratio is [low, high], two numbers from 0 to 1, the smaller first")
    return ratio


Ratio = Annotated[tuple[float, float], AfterValidator(check_ratio)]  # low < hole area <= high


@lru_cache(maxsize=1024)
def hole_areas(ratio: tuple[float, float], pixels: int) -> range:
    """Return the hole areas, in pixels, within (low, high] of an image of `pixels`.

    Exact: 0.29 means 29/100 here, not the nearest binary fraction.

    >>> hole_areas((0.29, 0.31), 100)
    range(30, 32)
    """
    low, high = (Fraction(bound).limit_denominator(10**6) * pixels for bound in ratio)
    return range(int(low) + 1, int(high) + 1)


def on_border(mask: Mask) -> bool:
    """Return whether the hole touches the edge of the image."""
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


class Masks(Settings, ABC):
    """A generator of masks; its fields are its settings in a recipe and for `masks gen --set`.

    The first line of the class's docstring is what listings show, and each field has a
    `description`. A generator that contains others has fields of type `SerializeAsAny[Masks]`:
    settings that name a `kind` are turned into generators first.
    """

    kind: str = Field(default="", description="Name of the generator; set when it is built.")
    ratio: Ratio | None = Field(
        default=None, description="Bounds of hole area / image area; null: not restricted."
    )
    border: bool | None = Field(
        default=None,
        description="Whether the hole touches the edge of the image; null: not restricted.",
    )

    @abstractmethod
    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        """Return a mask [height, width], True in the hole, of any area.

        The same settings, size and state of `rng` must give the same mask on every machine.
        `ratio` and `border` need not be respected: `draw` rejects masks that do not.
        """

    def draw(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        """Return a mask [height, width] with a hole that respects `ratio` and `border`.

        Raises `DataError` if none of `MAX_DRAWS` sketches does.
        """
        for _ in range(MAX_DRAWS):
            mask = self.sketch(height, width, rng)
            if self.accepts(mask):
                return mask
        wanted = [f"a hole of {percent_text(self.ratio)} %"] if self.ratio else []
        wanted += [] if self.border is None else [f"border={str(self.border).lower()}"]
        raise DataError(
            f"'{self.kind or type(self).__name__}' at {width}x{height} gave no mask with "
            f"{' and '.join(wanted) or 'a hole'} in {MAX_DRAWS} draws; widen the ratio, change the "
            "settings, or use 'irregular', which reaches every ratio"
        )

    def accepts(self, mask: Mask) -> bool:
        """Return whether `mask` has a hole and respects `ratio` and `border`."""
        area = int(np.count_nonzero(mask))
        return area in hole_areas(self.ratio or (0, 1), mask.size) and (
            self.border is None or on_border(mask) == self.border
        )


def percent_text(ratio: tuple[float, float]) -> str:
    """Return `ratio` in percent.

    >>> percent_text((0.4, 0.6))
    '40-60'
    """
    return "-".join(f"{round(bound * 100, 4):g}" for bound in ratio)
