"""An object, from a box around it or from clicks on it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from inpaint_cli.api import Box, Finder, ImageError, Mask, Points, grow

from .align import Picture

SIDE = 288  # pixels of the longer side at which its colours are learned
ROUNDS = 4
MARGIN = 0.3  # of the box, that is looked at around it
RIM = 0.06  # of the box, inside its border, that is hardly ever object
DOT = 0.012  # of the longer side: the radius of what a click is sure of
REACH = 0.2  # of the longer side: how far from a click its object is looked for at first


class Frame(NamedTuple):
    """The part of a photo in which an object is looked for."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)


class Object(Finder):
    """An object in a box or under clicks, cut out along its edges (GrabCut)."""

    limit = 0.7
    source = (
        "Rother et al. 2004, GrabCut: Interactive Foreground Extraction using Iterated Graph Cuts"
    )

    box: Box | None = Field(
        default=None, description="A box around the object: x,y,width,height in pixels."
    )
    at: Points = Field(default=(), description="Clicks on the object: x,y,x,y,...")
    avoid: Points = Field(default=(), description="Clicks beside the object: x,y,x,y,...")
    grow: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="Pixels added to cover its fringe; null: a 200th of the photo's longer side.",
    )

    @model_validator(mode="after")
    def check_place(self):
        if self.box is None and not self.at:
            raise ValueError("say where the object is: box=x,y,width,height or at=x,y")
        return self

    def find(self, rgb, name) -> Mask:
        height, width = rgb.shape[:2]
        frame = self.frame(width, height)
        part = rgb[frame.slices]
        mask = np.zeros((height, width), np.bool_)
        mask[frame.slices] = self.cut(part, frame)
        more = max(1, round(max(height, width) / 200)) if self.grow is None else self.grow
        return grow(mask, more)

    def frame(self, width: int, height: int) -> Frame:
        """Return the box and a margin around it; without a box the whole photo."""
        for x, y in (*self.at, *self.avoid):
            if not (0 <= x < width and 0 <= y < height):
                raise ImageError(f"the click {x:g},{y:g} is outside the photo of {width}x{height}")
        if self.box is None:
            return Frame(0, 0, width, height)
        x, y, wide, high = self.box
        if x >= width or y >= height or x + wide <= 0 or y + high <= 0:
            raise ImageError(
                f"the box {x},{y},{wide},{high} is outside the photo, {width}x{height}"
            )
        more = round(MARGIN * max(wide, high)) + 2
        left, top = max(0, x - more), max(0, y - more)
        return Frame(left, top, min(width, x + wide + more), min(height, y + high + more))

    def cut(self, rgb: Picture, frame: Frame) -> Mask:
        """Return the object in `rgb` [h, w, 3], a part of the photo."""
        import cv2

        longer = max(rgb.shape[:2])
        scale = min(1.0, SIDE / longer)
        size = [max(1, round(side * scale)) for side in rgb.shape[1::-1]]
        small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
        labels = self.guess(size[1], size[0], frame, scale)
        if not (np.isin(labels, OBJECT).any() and (~np.isin(labels, OBJECT)).any()):
            return np.ones(rgb.shape[:2], np.bool_)
        best, reached = np.zeros(labels.shape, np.bool_), -1.0
        for core in CORES if self.box else (0,):
            found = self.keep(*grab_cut(small, labels, core))
            if (spans := measure_spans(found, labels)) > reached:
                best, reached = found, spans
            if reached >= SPAN:
                break
        return sharpen(rgb, best)

    def guess(self, height: int, width: int, frame: Frame, scale: float) -> NDArray[np.uint8]:
        """Return what GrabCut begins with [height, width], from box and clicks."""
        import cv2

        labels = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
        to_small = lambda x, y: (round((x - frame.left) * scale), round((y - frame.top) * scale))  # noqa: E731
        longer = max(height, width)
        if self.box is not None:
            x, y, wide, high = self.box
            (x0, y0), (x1, y1) = to_small(x, y), to_small(x + wide, y + high)
            labels[:] = cv2.GC_BGD
            x0, y0 = max(x0, 0), max(y0, 0)
            labels[y0:y1, x0:x1] = cv2.GC_PR_BGD
            rim_x, rim_y = round(RIM * (x1 - x0)), round(RIM * (y1 - y0))
            inner = [  # at the photo's edge an object may go on
                y0 + rim_y * (y > 0), y1 - rim_y * (y1 < height),
                x0 + rim_x * (x > 0), x1 - rim_x * (x1 < width),
            ]  # fmt: skip
            labels[inner[0] : inner[1], inner[2] : inner[3]] = cv2.GC_PR_FGD
        elif self.at:
            for x, y in self.at:
                cv2.circle(labels, to_small(x, y), round(REACH * longer), cv2.GC_PR_FGD, -1)
        radius = max(1, round(DOT * longer))
        for points, label in ((self.at, cv2.GC_FGD), (self.avoid, cv2.GC_BGD)):
            for x, y in points:
                cv2.circle(labels, to_small(x, y), radius, label, -1)
        return labels

    def keep(self, found: Mask, labels: NDArray[np.uint8]) -> Mask:
        """Return the parts of `found` under clicks, else the largest ones, without their gaps."""
        import cv2

        count, parts, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8))
        if count < 2:
            return found
        areas = stats[:, cv2.CC_STAT_AREA].copy()
        areas[0] = 0
        wanted = areas >= 0.1 * areas.max()
        if self.at:
            wanted[:] = False
            wanted[np.unique(parts[labels == cv2.GC_FGD])] = True
        wanted[0] = False
        solid = np.pad(wanted[parts], 1)
        count, gaps, stats, _ = cv2.connectedComponentsWithStats((~solid).astype(np.uint8))
        small = stats[:, cv2.CC_STAT_AREA] < 0.02 * areas.max()
        small[0] = False
        return (solid | small[gaps])[1:-1, 1:-1]


OBJECT = (1, 3)  # GrabCut's labels of what is object, surely or probably
CORES = (0, 0.25, 0.5)  # shares of the box, around its middle, that are taken for object in turn
SPAN = 0.75  # of the box's width and height, that an object in it reaches


def grab_cut(
    rgb: Picture, labels: NDArray[np.uint8], core: float
) -> tuple[Mask, NDArray[np.uint8]]:
    """Return the object in `rgb` [h, w, 3], and the labels; `core` is of what may be object."""
    import cv2

    labels = labels.copy()
    rows, columns = np.nonzero(labels == cv2.GC_PR_FGD)
    if core and len(rows):
        middle = round((columns[0] + columns[-1]) / 2), round((rows[0] + rows[-1]) / 2)
        axes = round(np.ptp(columns) * core / 2) + 1, round(np.ptp(rows) * core / 2) + 1
        cv2.ellipse(labels, middle, axes, 0, 0, 360, cv2.GC_FGD, -1)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(rgb, labels, None, *models, ROUNDS, cv2.GC_INIT_WITH_MASK)  # pyright: ignore
    return np.isin(labels, OBJECT), labels


def measure_spans(found: Mask, labels: NDArray[np.uint8]) -> float:
    """Return how much of the box's width or height, whichever is less, `found` reaches."""
    spans = [
        np.count_nonzero(found.any(axis)) / max(1, np.count_nonzero((labels > 0).any(axis)))
        for axis in (0, 1)
    ]
    return min(spans)


def sharpen(rgb: Picture, found: Mask) -> Mask:
    """Return `found`, of a smaller copy of `rgb`, at its size, along its edges (guided filter)."""
    import cv2

    height, width = rgb.shape[:2]
    if found.shape == (height, width):
        return found
    reach = max(2, round(1.5 * width / found.shape[1]))
    shape = cv2.resize(found.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    guide = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    mean = lambda picture: cv2.blur(picture, (2 * reach + 1, 2 * reach + 1))  # noqa: E731
    slope = (mean(guide * shape) - mean(guide) * mean(shape)) / (
        mean(guide * guide) - mean(guide) ** 2 + 1e-3
    )
    return mean(slope) * guide + mean(mean(shape) - slope * mean(guide)) > 0.5
