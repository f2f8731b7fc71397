"""Brush strokes with a hole of exactly the requested ratio.

An area within the ratio is drawn first, then strokes are painted until they are nearest to it.
If that is outside the ratio, the last segment is shortened, to the pixel. No mask is rejected.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from inpaint_cli.api import DataError, Mask, Masks, Ratio, hole_areas, percent_text

from .brush import GRID, rounded_cos_sin

HEADINGS = 4096  # possible directions of a segment
COS, SIN = (
    (table * GRID).astype(int).tolist()
    for table in rounded_cos_sin(np.arange(HEADINGS) * (2 * math.pi / HEADINGS))
)


class IrregularMasks(Masks):
    """Brush strokes with any hole ratio, by default 1-60 %."""

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        return paint_strokes(
            height, width, rng, ratio=self.ratio or (0.01, 0.6), border=self.border
        )


class PConvMasks(Masks):
    """Brush strokes in the bins of the partial-convolution test set (Liu et al. 2018).

    All bins are equally likely, and half of the masks do not touch the border. The masks of that
    set were traced from occlusions and may not be copied.
    """

    bins: tuple[Ratio, ...] = Field(
        default=((0.01, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.4), (0.4, 0.5), (0.5, 0.6)),
        description="Hole ratios, all equally likely.",
    )

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        ratio = self.bins[int(rng.integers(len(self.bins)))]
        border = bool(rng.integers(2))
        return paint_strokes(
            height,
            width,
            rng,
            ratio=self.ratio or ratio,
            border=border if self.border is None else self.border,
        )


def paint_strokes(
    height: int,
    width: int,
    rng: np.random.Generator,
    *,
    ratio: tuple[float, float],
    border: bool | None,
) -> Mask:
    """Return a mask [height, width] with a hole area within `ratio`."""
    import cv2

    inside = (height - 2) * (width - 2) if border is False else height * width
    wanted = hole_areas(ratio, height * width)
    wanted = range(wanted.start, min(wanted.stop, inside + 1))
    if not wanted:
        raise DataError(
            f"no mask of {width}x{height} pixels has a hole of {percent_text(ratio)} %"
            f"{' away from the border' if border is False else ''}; give a wider ratio"
        )
    target = int(rng.integers(wanted.start, wanted.stop))
    share = target / (height * width)
    frame = 0 if border is not False else clearance(height, width, target)
    rows, columns = height - 2 * frame, width - 2 * frame
    canvas = np.zeros((rows, columns), np.uint8)
    bound = 0  # of the area: it is counted only when it may have reached the target
    for (x, y), (u, v), length, brush in stroke_segments(rows, columns, rng, share, bool(border)):
        most = (length + brush + 2) * (brush + 2)
        if bound + most >= target:
            bound = cv2.countNonZero(canvas)
        if bound + most < target:
            cv2.line(canvas, (x, y), (u, v), 1, brush)
            bound += most
            continue
        reach = brush // 2 + 2
        left, top = max(min(x, u) - reach, 0), max(min(y, v) - reach, 0)
        part = canvas[
            top : max(y, v) + reach, left : max(x, u) + reach
        ]  # all that the line can change
        before = part.copy()
        cv2.line(canvas, (x, y), (u, v), 1, brush)
        area, bound = bound, cv2.countNonZero(canvas)
        if bound >= target:
            if area in wanted and target - area < bound - target:
                part[:] = before
            elif bound not in wanted:
                shorten_segment(part, before, (x - left, y - top), bound - target)
            break
    return np.pad(canvas, frame).view(np.bool_) if frame else canvas.view(np.bool_)


def clearance(height: int, width: int, target: int) -> int:
    """Return the width of the border to keep free: a tenth of the side, or less for large holes."""
    frames = range(min(height, width) // 10, 1, -1)
    return next((f for f in frames if (height - 2 * f) * (width - 2 * f) > 1.1 * target), 1)


def shorten_segment(
    part: NDArray[np.uint8], before: NDArray[np.uint8], start: tuple[int, int], surplus: int
) -> None:
    """Remove the `surplus` pixels farthest from `start` that are in `part` but not in `before`."""
    if surplus:
        gained = np.flatnonzero(part != before)
        y = gained // part.shape[1]
        x = gained - y * part.shape[1]
        distance = (x - start[0]) ** 2 + (y - start[1]) ** 2
        order = distance * part.size + gained  # all different, so there are no ties
        farthest = order >= np.partition(order, -surplus)[-surplus]
        part[y[farthest], x[farthest]] = 0


def stroke_segments(
    height: int, width: int, rng: np.random.Generator, share: float, at_edge: bool
) -> Iterator[tuple[tuple[int, int], tuple[int, int], int, int]]:
    """Yield (start, end, length, brush width) without end: strokes of several segments.

    The larger the `share` to cover, the wider the brush. Integers only.
    """
    side = min(height, width)
    thin, thick = max(1, side // 40), max(2, round(side * (0.02 + 0.24 * math.sqrt(share))))
    x = y = heading = brush = left = 0
    while True:
        for a, b, c, d in rng.integers(1 << 16, size=(48, 4)).tolist():
            if not left:  # the next stroke
                x, y = a * width >> 16, b * height >> 16
                if at_edge:
                    x, y = ((0, y), (width - 1, y), (x, 0), (x, height - 1))[c & 3]
                    at_edge = False
                heading = c * HEADINGS >> 16
                brush = thin + (d * (thick - thin + 1) >> 16)
                left = 2 + d % 7
            else:
                heading = (heading + (a - (1 << 15)) // 40) % HEADINGS  # to 72 degrees either way
                length = (side * (32768 + b) >> 18) + 3  # an eighth to three eighths of the side
                u, v = x + (length * COS[heading] >> 14), y + (length * SIN[heading] >> 14)
                # OpenCV 4 and 5 clip lines that leave the image differently
                end = min(max(u, 0), width - 1), min(max(v, 0), height - 1)
                yield (
                    (x, y),
                    end,
                    length,
                    max(thin, brush + (c * (brush >> 1) >> 16) - (brush >> 2)),
                )
                left = left - 1 if end == (u, v) else 0
                x, y = end
