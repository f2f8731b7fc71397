"""The families with DeepFill's strokes: DeepFill v2, CoModGAN and MAT."""

from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from inpaint_cli.api import Mask, Masks

from .brush import draw_freeform, flip_at_random

AsPublished = Annotated[
    bool,
    Field(
        description="Do not flip between strokes: the published code throws these flips away, so "
        "that its strokes meet more often and cover less."
    ),
]


class DeepFillMasks(Masks):
    """Free-form strokes and a box, as in DeepFill v2 (Yu et al. 2019).

    Brush widths are in pixels, as published: at twice the size the strokes cover about half.
    """

    box: bool = Field(
        default=True, description="Add the box of its training, up to half of each side."
    )
    published: AsPublished = False

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        strokes = int(rng.integers(1, 4))
        mask = draw_freeform(
            height,
            width,
            rng,
            strokes=strokes,
            turns=(4, 12),
            brush=(12, 40),
            flips=not self.published,
        )
        if self.box:
            h, w = height // 2, width // 2
            top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
            shrink_h, shrink_w = (int(rng.integers(side // 8 // 2 + 1)) for side in (height, width))
            mask[top + shrink_h : top + h - shrink_h, left + shrink_w : left + w - shrink_w] = True
        return mask


class MaxCounts(NamedTuple):
    """Upper bounds, excluded, of the numbers of boxes and strokes."""

    half_boxes: int  # with sides of up to half of the image's
    full_boxes: int  # with sides of up to the image's
    strokes: int


class CoModGANMasks(Masks):
    """Strokes and boxes that cover most of the image, as in CoModGAN (Zhao et al. 2021)."""

    small: ClassVar[MaxCounts] = MaxCounts(10, 5, 20)  # for images with a short side of up to 384
    large: ClassVar[MaxCounts] = MaxCounts(10, 5, 20)
    published: AsPublished = False

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        most = self.small if min(height, width) <= 384 else self.large
        # fewer for a low ratio, as published
        share = min(sum(self.ratio), 1.0) if self.ratio else 1.0
        halves, wholes, strokes = (int(rng.integers(max(1, int(n * share)))) for n in most)
        mask = draw_freeform(
            height,
            width,
            rng,
            strokes=strokes,
            turns=(4, 18),
            brush=(12, 48),
            flips=not self.published,
        )
        for count, part in ((halves, 2), (wholes, 1)):
            for _ in range(count):
                w, h = (int(rng.integers(max(1, side // part))) for side in (width, height))
                x = int(rng.integers(-(w // 2), width - w + w // 2))
                y = int(rng.integers(-(h // 2), height - h + h // 2))
                mask[max(y, 0) : y + h, max(x, 0) : x + w] = True
        return flip_at_random(mask, rng)


class MATMasks(CoModGANMasks):
    """Fewer of CoModGAN's strokes and boxes, as in MAT (Li et al. 2022)."""

    small: ClassVar[MaxCounts] = MaxCounts(4, 2, 8)
    large: ClassVar[MaxCounts] = MaxCounts(5, 3, 9)


class SmallMATMasks(CoModGANMasks):
    """The small masks of MAT (Li et al. 2022)."""

    small: ClassVar[MaxCounts] = MaxCounts(2, 2, 3)
    large: ClassVar[MaxCounts] = MaxCounts(3, 2, 4)
