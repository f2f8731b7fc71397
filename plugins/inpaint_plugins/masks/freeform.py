"""The families built on DeepFill's brush: DeepFill v2, CoModGAN and MAT."""

from typing import ClassVar, NamedTuple

import numpy as np

from inpaint_cli.api import Mask, Masks

from .brush import flipped, freeform


class DeepFill(Masks):
    """Free-form strokes, united with a box, as in DeepFill v2 (Yu et al. 2019).

    Brush widths are pixels, as published: at twice the size the strokes cover about half.
    """

    box: bool = True  # the box of its training: half a side, each shortened by up to an eighth

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        strokes = int(rng.integers(1, 4))
        mask = freeform(height, width, rng, strokes=strokes, turns=(4, 12), brush=(12, 40))
        if self.box:
            h, w = height // 2, width // 2
            top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
            shrink_h, shrink_w = (int(rng.integers(side // 8 // 2 + 1)) for side in (height, width))
            mask[top + shrink_h : top + h - shrink_h, left + shrink_w : left + w - shrink_w] = True
        return mask


class Bounds(NamedTuple):
    """How many of each there are at most; counts are drawn below their bound."""

    halves: int  # boxes with sides below half of the picture's
    wholes: int  # boxes with sides below the picture's
    strokes: int


class CoModGAN(Masks):
    """Many strokes and boxes, most of the picture, as in CoModGAN (Zhao et al. 2021)."""

    small: ClassVar[Bounds] = Bounds(10, 5, 20)  # for short sides up to 384
    large: ClassVar[Bounds] = Bounds(10, 5, 20)

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        bounds = self.small if min(height, width) <= 384 else self.large
        # fewer are drawn for a low ratio, as published
        share = min(sum(self.ratio), 1.0) if self.ratio else 1.0
        halves, wholes, strokes = (int(rng.integers(max(1, int(n * share)))) for n in bounds)
        mask = freeform(height, width, rng, strokes=strokes, turns=(4, 18), brush=(12, 48))
        for count, part in ((halves, 2), (wholes, 1)):
            for _ in range(count):
                w, h = (int(rng.integers(max(1, side // part))) for side in (width, height))
                x = int(rng.integers(-(w // 2), width - w + w // 2))
                y = int(rng.integers(-(h // 2), height - h + h // 2))
                mask[max(y, 0) : y + h, max(x, 0) : x + w] = True
        return flipped(mask, rng)


class MAT(CoModGAN):
    """CoModGAN's strokes and boxes in smaller numbers, as in MAT (Li et al. 2022)."""

    small: ClassVar[Bounds] = Bounds(4, 2, 8)
    large: ClassVar[Bounds] = Bounds(5, 3, 9)


class SmallMAT(CoModGAN):
    """MAT's set of small masks (Li et al. 2022)."""

    small: ClassVar[Bounds] = Bounds(2, 2, 3)
    large: ClassVar[Bounds] = Bounds(3, 2, 4)
