"""Shapes at given places."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from inpaint_cli.api import Box, Finder, Mask, Points

PARTS = 4  # bits of a pixel to which places are drawn


def to_parts(points: Sequence[Sequence[float]]) -> NDArray[np.int32]:
    """Return points (x, y) as whole parts of a pixel [N, 2], counted from a pixel's centre."""
    places = np.array(points, np.float64).reshape(-1, 2)
    if not (len(places) and np.isfinite(places).all()):
        raise ValueError("points that are no finite numbers")
    return np.rint((places - 0.5) * 2**PARTS).clip(-(2**30), 2**30).astype(np.int32)


def draw_polygon(points: Sequence[Sequence[float]], size: tuple[int, int]) -> Mask:
    """Return the inside [H, W] of the polygon with corners (x, y)."""
    import cv2

    canvas = np.zeros(size, np.uint8)
    cv2.fillPoly(canvas, [to_parts(points)], 1, shift=PARTS)
    return canvas > 0


class Shape(Finder):
    """Base of shapes, which may be as large as the photo."""

    limit = 1.0


class Polygon(Shape):
    """The inside of a polygon."""

    points: Points = Field(description="Corners: x,y,x,y,... in pixels.", min_length=3)

    def find(self, rgb, name) -> Mask:
        return draw_polygon(self.points, rgb.shape[:2])


class Line(Shape):
    """A line through given points, as wide as a brush."""

    points: Points = Field(description="Points: x,y,x,y,... in pixels.", min_length=1)
    width: float = Field(default=8, gt=0, le=10_000, description="Width in pixels.")

    def find(self, rgb, name) -> Mask:
        import cv2

        canvas = np.full(rgb.shape[:2], 255, np.uint8)
        points = to_parts((*self.points, self.points[-1]))  # a single point is a dot
        cv2.polylines(canvas, [points], False, 0, shift=PARTS)
        return cv2.distanceTransform(canvas, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= self.width / 2


class Ellipse(Shape):
    """The largest ellipse in a box."""

    box: Box = Field(description="The box around it: x,y,width,height in pixels.")

    def find(self, rgb, name) -> Mask:
        x, y, width, height = self.box
        rows = (np.arange(rgb.shape[0]) + 0.5 - y) / height * 2 - 1
        columns = (np.arange(rgb.shape[1]) + 0.5 - x) / width * 2 - 1
        return rows[:, None] ** 2 + columns**2 <= 1
