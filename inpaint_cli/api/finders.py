"""The contract of finders, which make a mask from what a photo shows. No torch.

    class Sky(Finder):
        \"""What is bright and blue in the upper half.\"""

        level: int = Field(default=180, ge=0, le=255, description="Blue from which it is sky.")

        def find(self, rgb, name):
            sky = rgb[..., 2] >= self.level
            sky[len(sky) // 2 :] = False
            return sky

A package offers it under a name in the entry-point group `inpaint.finders`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, Field

from .masks import Mask
from .settings import Settings


def split_numbers(value: Any) -> Any:
    """Return the numbers of a text such as "10,20,30,40"; anything else as it is."""
    return [float(part) for part in value.split(",")] if isinstance(value, str) else value


def split_points(value: Any) -> Any:
    """Return the points (x, y) of "x,y,x,y", or of numbers in a row."""
    numbers = split_numbers(value)
    if not isinstance(numbers, Sequence) or any(isinstance(part, Sequence) for part in numbers):
        return numbers
    if len(numbers) % 2:
        raise ValueError("points are x,y,x,y, an even count of numbers")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def check_box(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    if box[2] < 1 or box[3] < 1:
        raise ValueError("a box is x,y,width,height in pixels, with a width and a height")
    return box


Box = Annotated[
    tuple[int, int, int, int], BeforeValidator(split_numbers), AfterValidator(check_box)
]  # x, y, width, height in pixels
Points = Annotated[tuple[tuple[float, float], ...], BeforeValidator(split_points)]  # (x, y) each


class Finder(Settings, ABC):
    """Finds the pixels of a photo that are to be filled; its fields are its settings.

    Every field can be written as a text: `--find color:value=#ff8c1e,tolerance=15`. The first line
    of the class's docstring is what listings show, and each field has a `description`. Its module
    should import what is heavy inside `find`.
    """

    licence: ClassVar[str] = "Apache-2.0"  # of the code and of any weights
    source: ClassVar[str] = ""  # the paper or the package it comes from
    limit: ClassVar[float] = 0.25  # a larger share of the photo is refused: a wrong guess

    within: Box | None = Field(
        default=None, description="Find nothing outside this box: x,y,width,height in pixels."
    )

    def files(self, name: str) -> list[Path]:
        """Return the files that are read for the photo `name`: where one changes, so may the mask.

        All settings that are paths, unless a finder says otherwise; one to which a setting may be
        a folder returns the file in it. Raises `DataError` where that is missing.
        """
        return [value for _, value in self if isinstance(value, Path)]

    @abstractmethod
    def find(self, rgb: NDArray[np.uint8], name: str) -> Mask:
        """Return a mask [H, W], True where `rgb` [H, W, 3] is to be filled.

        `rgb` is the photo as it is displayed, and must not be changed; `name` is the name of its
        file, or "". The same arguments give the same mask, whatever the number of threads. An empty
        mask says that nothing was found. `within` need not be respected. Raises `ImageError` or
        `DataError` where the photo or a file that the settings name does not fit.
        """
