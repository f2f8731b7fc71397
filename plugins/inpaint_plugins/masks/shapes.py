"""Plain shapes, and the two published families made of them: PIC and EdgeConnect."""

import math
from typing import Literal

import numpy as np
from pydantic import Field, PositiveInt

from inpaint_cli.api import Mask, Masks, Ratio, hole_areas

from .brush import flipped

Share = float
Side = Literal["left", "right", "top", "bottom"]


class Center(Masks):
    """A box in the middle: a quarter of the picture, or any area within `ratio`."""

    area: float = Field(default=0.25, gt=0, le=1)  # share of the picture
    side: float | None = Field(default=None, gt=0, le=1)  # share of each side, instead of `area`

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        area = self.area
        wanted = hole_areas(self.ratio, height * width) if self.ratio else None
        if wanted:
            area = int(rng.integers(wanted.start, wanted.stop)) / (height * width)
        side = math.sqrt(area) if self.side is None or wanted else self.side
        return middle(height, width, side)


class Boxes(Masks):
    """Boxes at random places, whole ones only."""

    count: tuple[PositiveInt, PositiveInt] = (1, 4)  # from, to
    side: Ratio = (0.1, 0.5)  # shares of the picture's side

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        mask = np.zeros((height, width), np.bool_)
        for _ in range(int(rng.integers(min(self.count), max(self.count) + 1))):
            h, w = (max(1, round(side * rng.uniform(*self.side))) for side in (height, width))
            box(mask, h, w, rng)
        return mask


class Half(Masks):
    """One half of the picture."""

    side: Side | Literal["random"] = "random"

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        sides: tuple[Side, ...] = ("left", "right", "top", "bottom")
        side = sides[int(rng.integers(4))] if self.side == "random" else self.side
        return edge(height, width, side, (height if side in ("top", "bottom") else width) // 2)


class Outpaint(Masks):
    """Margins around the picture, for growing a photo beyond its frame."""

    sides: tuple[Side, ...] = ("left", "right", "top", "bottom")
    margin: Ratio = (0.04, 0.25)  # shares of the picture's side, drawn anew for each side

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        mask = np.zeros((height, width), np.bool_)
        for side in self.sides:
            length = height if side in ("top", "bottom") else width
            depth = max(1, round(length * rng.uniform(*self.margin)))
            mask |= edge(height, width, side, depth)
        return mask


class EdgeConnect(Masks):
    """A block of half the side anywhere, or the left or right half (Nazeri et al. 2019).

    Its third kind, masks from files, is `files`; `mixture` joins them.
    """

    shape: Literal["any", "block", "half"] = "any"

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        if self.shape == "block" or (self.shape == "any" and rng.random() < 0.5):
            mask = np.zeros((height, width), np.bool_)
            box(mask, height // 2, width // 2, rng)
            return mask
        return edge(height, width, "left" if rng.random() < 0.5 else "right", width // 2)


class PIC(Masks):
    """The middle, one to five boxes, or lines, discs and arcs (Pluralistic, Zheng et al. 2019)."""

    shape: Literal["any", "center", "regular", "irregular"] = "any"
    side: PositiveInt | None = None  # drawn in this square, then shrunk: strokes are pixels wide

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        if self.side is None:
            return self.drawn(height, width, rng)
        mask = self.drawn(self.side, self.side, rng)
        y, x = ((2 * np.arange(n) + 1) * self.side // (2 * n) for n in (height, width))  # nearest
        return np.ascontiguousarray(mask[y[:, None], x])

    def drawn(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        shape = self.shape
        if shape == "any":
            shape = ("center", "regular", "irregular")[int(rng.integers(3))]
        if shape == "center":
            return middle(height, width, 0.5)
        draw = pic_boxes if shape == "regular" else pic_lines
        return flipped(draw(height, width, rng), rng)


def pic_boxes(height: int, width: int, rng: np.random.Generator) -> Mask:
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


def middle(height: int, width: int, side: Share) -> Mask:
    """A box in the middle with `side` of each of the picture's sides."""
    mask = np.zeros((height, width), np.bool_)
    h, w = (max(1, round(length * side)) for length in (height, width))
    top, left = (height - h) // 2, (width - w) // 2
    mask[top : top + h, left : left + w] = True
    return mask


def edge(height: int, width: int, side: Side, depth: int) -> Mask:
    """A band of `depth` pixels along one side."""
    mask = np.zeros((height, width), np.bool_)
    band = slice(None, depth) if side in ("left", "top") else slice(-depth, None)
    mask[(band, slice(None)) if side in ("top", "bottom") else (slice(None), band)] = True
    return mask


def box(mask: Mask, height: int, width: int, rng: np.random.Generator) -> None:
    """Add a box of [height, width] pixels at a random place inside `mask`."""
    top = int(rng.integers(mask.shape[0] - height + 1))
    left = int(rng.integers(mask.shape[1] - width + 1))
    mask[top : top + height, left : left + width] = True
