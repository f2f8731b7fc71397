"""LaMa's strokes and boxes (Suvorov et al. 2022): training, thin, medium and thick."""

import math
from typing import ClassVar, NamedTuple

import numpy as np

from inpaint_cli.api import Mask, Masks

from .brush import flip_at_random, rounded_cos_sin


class StrokesOrBoxes(NamedTuple):
    """Parameters of a family: ranges in pixels include both ends."""

    strokes: tuple[int, int]
    brush: int  # widths are 5 to 4 + brush
    length: int  # segments are 10 to 9 + length long
    boxes: float = 0  # probability of boxes instead of strokes
    number: tuple[int, int] = (1, 1)  # of boxes
    side: tuple[int, int] = (1, 1)  # of boxes, without the upper bound, as published
    margin: int = 0  # between boxes and the border


class LaMaMasks(Masks):
    """Strokes or boxes, as in the training of LaMa at 256 pixels (Suvorov et al. 2022).

    For images with a short side of over 384 pixels all lengths are twice as large, so that holes
    cover as much of them.
    """

    small: ClassVar[StrokesOrBoxes] = StrokesOrBoxes(
        (1, 6), 100, 200, 1 / 2, (1, 4), (30, 150), 10
    )  # up to 384 pixels
    large: ClassVar[StrokesOrBoxes] = StrokesOrBoxes((1, 6), 200, 400, 1 / 2, (1, 4), (60, 300), 20)

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        law = self.small if min(height, width) <= 384 else self.large
        draw = lama_boxes if rng.random() < law.boxes else lama_strokes
        return flip_at_random(draw(law, height, width, rng), rng)


class ThinLaMaMasks(LaMaMasks):
    """The thin test masks of LaMa: many narrow strokes."""

    small: ClassVar[StrokesOrBoxes] = StrokesOrBoxes((4, 51), 10, 40)
    large: ClassVar[StrokesOrBoxes] = StrokesOrBoxes((4, 71), 20, 100)


class MediumLaMaMasks(LaMaMasks):
    """The medium test masks of LaMa: a few strokes, or small boxes."""

    small: ClassVar[StrokesOrBoxes] = StrokesOrBoxes((4, 6), 50, 100, 0.3 / 1.3, (1, 5), (10, 50))
    large: ClassVar[StrokesOrBoxes] = StrokesOrBoxes(
        (4, 11), 100, 200, 0.3 / 1.3, (1, 5), (30, 150)
    )


class ThickLaMaMasks(LaMaMasks):
    """The thick test masks of LaMa: wide strokes, or large boxes."""

    small: ClassVar[StrokesOrBoxes] = StrokesOrBoxes(
        (1, 6), 100, 200, 0.3 / 1.3, (1, 3), (30, 150), 10
    )
    large: ClassVar[StrokesOrBoxes] = StrokesOrBoxes(
        (1, 6), 250, 450, 0.3 / 1.3, (1, 4), (30, 300), 10
    )


def lama_strokes(law: StrokesOrBoxes, height: int, width: int, rng: np.random.Generator) -> Mask:
    """Draw strokes of one to five segments in four directions, every second stroke mirrored."""
    import cv2

    canvas = np.zeros((height, width), np.uint8)
    low, high = law.strokes
    for n in range(int(rng.integers(low, high + 1))):
        count = int(rng.integers(1, 6))
        angles = 0.01 + rng.integers(4, size=count)  # whole radians
        cosines, sines = rounded_cos_sin(angles if n % 2 else 2 * math.pi - angles)
        lengths = 10 + rng.integers(law.length, size=count)
        brushes = (5 + rng.integers(law.brush, size=count)).tolist()
        x, y = int(rng.integers(width)), int(rng.integers(height))
        steps = zip((lengths * sines).tolist(), (lengths * cosines).tolist(), brushes, strict=True)
        for dx, dy, brush in steps:
            end = int(min(max(x + dx, 0), width - 1)), int(min(max(y + dy, 0), height - 1))
            cv2.line(canvas, (x, y), end, 1, brush)
            x, y = end
    return canvas.view(np.bool_)


def lama_boxes(law: StrokesOrBoxes, height: int, width: int, rng: np.random.Generator) -> Mask:
    """Draw boxes at least `law.margin` pixels away from the border."""
    mask = np.zeros((height, width), np.bool_)
    margin = min(law.margin, (min(height, width) - 1) // 2)
    high = min(law.side[1], height - 2 * margin, width - 2 * margin)
    low = min(law.side[0], high - 1)
    for _ in range(int(rng.integers(law.number[0], law.number[1] + 1))):
        w, h = rng.integers(max(low, 1), max(high, 2), size=2).tolist()
        x = int(rng.integers(margin, max(width - margin - w, margin) + 1))
        y = int(rng.integers(margin, max(height - margin - h, margin) + 1))
        mask[y : y + h, x : x + w] = True
    return mask
