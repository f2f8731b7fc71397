"""Simple shapes, and two published families made of them: PIC and EdgeConnect."""

import math
from typing import Literal

import numpy as np
from pydantic import Field, PositiveInt

from inpaint_cli.api import Mask, Masks, Ratio, hole_areas

from .brush import flip_at_random

Side = Literal["left", "right", "top", "bottom"]


class CenterMasks(Masks):
    """A box in the centre: a quarter of the image, or any area within `ratio`."""

    area: float = Field(default=0.25, gt=0, le=1, description="Area of the box / image area.")
    side: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Side of the box / side of the image, instead of `area`.",
    )

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        area = self.area
        wanted = hole_areas(self.ratio, height * width) if self.ratio else None
        if wanted:
            area = int(rng.integers(wanted.start, wanted.stop)) / (height * width)
        side = math.sqrt(area) if self.side is None or wanted else self.side
        return centre_box(height, width, side)


class BoxMasks(Masks):
    """Boxes at random positions inside the image."""

    count: tuple[PositiveInt, PositiveInt] = Field(
        default=(1, 4), description="Least and greatest number of boxes."
    )
    side: Ratio = Field(
        default=(0.1, 0.5), description="Least and greatest side of a box / side of the image."
    )

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        mask = np.zeros((height, width), np.bool_)
        for _ in range(int(rng.integers(min(self.count), max(self.count) + 1))):
            h, w = (max(1, round(side * rng.uniform(*self.side))) for side in (height, width))
            add_box(mask, h, w, rng)
        return mask


class HalfMasks(Masks):
    """One half of the image."""

    side: Side | Literal["random"] = Field(default="random", description="The half that is hole.")

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        sides: tuple[Side, ...] = ("left", "right", "top", "bottom")
        side = sides[int(rng.integers(4))] if self.side == "random" else self.side
        return edge_band(height, width, side, (height if side in ("top", "bottom") else width) // 2)


class OutpaintMasks(Masks):
    """Margins along the edges, to extend a photo beyond its frame."""

    sides: tuple[Side, ...] = Field(
        default=("left", "right", "top", "bottom"), description="Edges with a margin."
    )
    margin: Ratio = Field(
        default=(0.04, 0.25),
        description="Least and greatest width of a margin / side of the image.",
    )

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        mask = np.zeros((height, width), np.bool_)
        for side in self.sides:
            length = height if side in ("top", "bottom") else width
            depth = max(1, round(length * rng.uniform(*self.margin)))
            mask |= edge_band(height, width, side, depth)
        return mask


class EdgeConnectMasks(Masks):
    """A box of half the side anywhere, or the left or right half (Nazeri et al. 2019).

    EdgeConnect's third kind, masks from files, is `files`; `mixture` combines them.
    """

    shape: Literal["any", "block", "half"] = Field(
        default="any", description="The box, the half, or either of them at random."
    )

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        if self.shape == "block" or (self.shape == "any" and rng.random() < 0.5):
            mask = np.zeros((height, width), np.bool_)
            add_box(mask, height // 2, width // 2, rng)
            return mask
        return edge_band(height, width, "left" if rng.random() < 0.5 else "right", width // 2)


class PICMasks(Masks):
    """A box in the centre, boxes, or lines, discs and arcs (Pluralistic, Zheng et al. 2019)."""

    shape: Literal["any", "center", "regular", "irregular"] = Field(
        default="any",
        description="Centre box, boxes, lines, or any of them at random.",
    )
    side: PositiveInt | None = Field(
        default=None,
        description="Draw at this size, then resize: strokes have fixed widths in pixels.",
    )

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        if self.side is None:
            return self.draw_shape(height, width, rng)
        mask = self.draw_shape(self.side, self.side, rng)
        y, x = ((2 * np.arange(n) + 1) * self.side // (2 * n) for n in (height, width))  # nearest
        return np.ascontiguousarray(mask[y[:, None], x])

    def draw_shape(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        shape = self.shape
        if shape == "any":
            shape = ("center", "regular", "irregular")[int(rng.integers(3))]
        if shape == "center":
            return centre_box(height, width, 0.5)
        draw = pic_boxes if shape == "regular" else pic_lines
        return flip_at_random(draw(height, width, rng), rng)


def pic_boxes(height: int, width: int, rng: np.random.Generator) -> Mask:
    """Draw one to five boxes, smaller ones the more there are."""
    mask = np.zeros((height, width), np.bool_)
    count = int(rng.integers(1, 6))
    for _ in range(count):
        spans = []
        for side in (height, width):
            start = int(rng.integers(int(side - side / (count + 1)) + 1))
            low, high = side // (count + 7), side - start
            length = int(rng.integers(min(low, high), high + 1))
            spans.append(slice(start, start + length))
        mask[spans[0], spans[1]] = True
    return mask


def pic_lines(height: int, width: int, rng: np.random.Generator) -> Mask:
    """Draw 16 to 64 lines, discs and arcs."""
    import cv2

    canvas = np.zeros((height, width), np.uint8)
    for _ in range(int(rng.integers(16, 65))):
        kind = rng.random()
        (x, u), (y, v) = (rng.integers(side, size=2).tolist() for side in (width, height))
        size = int(rng.integers(4, 21))
        if kind < 0.6:
            cv2.line(canvas, (x, y), (u, v), 1, size)
        elif kind < 0.8:
            cv2.circle(canvas, (x, y), size, 1, -1)
        else:
            turn, start, stop = rng.integers(3, 181, size=3).tolist()
            cv2.ellipse(canvas, (x, y), (u, v), turn, start, stop, 1, size)
    return canvas.view(np.bool_)


def centre_box(height: int, width: int, side: float) -> Mask:
    """Return a centred box whose sides are `side` times those of the image."""
    mask = np.zeros((height, width), np.bool_)
    h, w = (max(1, round(length * side)) for length in (height, width))
    top, left = (height - h) // 2, (width - w) // 2
    mask[top : top + h, left : left + w] = True
    return mask


def edge_band(height: int, width: int, side: Side, depth: int) -> Mask:
    """Return a band of `depth` pixels along one side."""
    mask = np.zeros((height, width), np.bool_)
    band = slice(None, depth) if side in ("left", "top") else slice(-depth, None)
    mask[(band, slice(None)) if side in ("top", "bottom") else (slice(None), band)] = True
    return mask


def add_box(mask: Mask, height: int, width: int, rng: np.random.Generator) -> None:
    """Add a box of [height, width] pixels at a random position inside `mask`."""
    top = int(rng.integers(mask.shape[0] - height + 1))
    left = int(rng.integers(mask.shape[1] - width + 1))
    mask[top : top + height, left : left + width] = True
