"""The parts of a photo that a filler needs to see to fill its holes; pure arithmetic.

The work grows with the hole, not with the photo: each hole gets a window at native scale with
some of the photo around it, windows that touch become one, and what is larger than a network
takes is cut into tiles that overlap. Knows nothing of networks and files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..api.sizes import Sizes

Boxes = NDArray[np.int64]  # [n, 4]: top, left, bottom, right
GRID_CELL = 8  # pixels a side of the grid on which boxes are merged
LOCAL_CELL = 512  # pixels a side of the grid whose holes are filled together by a local filler


@dataclass(frozen=True, order=True)
class Box:
    """A rectangle of a photo, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """The slices that cut the box out of an array [H, W, ...]."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def within(self, outer: Box) -> Box:
        """The same box in the coordinates of `outer`."""
        return Box(self.top - outer.top, self.left - outer.left, self.height, self.width)


@dataclass(frozen=True)
class Region:
    """A part of a photo that is filled by itself: one window, or tiles that overlap.

    Every hole pixel of the photo is in exactly one region, and in the own part of at least one
    of its windows: what no other window reaches farther into.
    """

    box: Box
    windows: tuple[Box, ...]
    owned: tuple[Box, ...]
    fade: int = 0  # pixels
    hole: NDArray[np.bool_] | None = None  # [height, width], what is filled; None: all hole there

    def shares(self) -> Iterator[NDArray[np.float32]]:
        """Yield the weight of each window for its pixels [h, w].

        1 in its own part, then falling to 0 over `fade` pixels.
        """
        for window, own in zip(self.windows, self.owned, strict=True):
            rows = window_ramp(window.top, window.height, own.top, own.height, self.fade)
            columns = window_ramp(window.left, window.width, own.left, own.width, self.fade)
            yield np.outer(rows, columns)


def plan_windows(hole: NDArray[np.bool_], sizes: Sizes, limit: int | None = None) -> list[Region]:
    """Regions that hold all of `hole` [H, W], in windows of at most `limit` pixels a side.

    `limit` is `sizes.window` unless given, and is never less than the network's minimum. Each
    hole gets `sizes.context` pixels around it, or half the side of a square of its area where
    that is more. A photo that fits is one window where cutting would save less than 3/4 of it.
    Without `sizes.tiles` a region is one window however large it is.
    """
    limit = round_limit(limit or sizes.window, sizes)
    if not hole.any():
        return []
    if sizes.local and max(hole.shape) > LOCAL_CELL:
        return plan_local(hole, sizes, limit)
    boxes = merge_boxes(context_boxes(Holes.find(hole), sizes, limit), hole.shape)
    while len(boxes) > len(
        again := merge_boxes(enlarge_boxes(boxes, hole.shape, sizes, limit), hole.shape)
    ):
        boxes = again
    area = (again[:, 2:] - again[:, :2]).prod(1).sum()
    if max(hole.shape) <= limit and 4 * area >= hole.size:
        return [make_region([0, 0, *hole.shape], hole, sizes, limit)]
    side = limit if sizes.tiles else max(hole.shape)
    return [make_region(box, hole, sizes, side) for box in again.tolist()]


def plan_whole(hole: NDArray[np.bool_], sizes: Sizes, limit: int) -> Region:
    """Return the region that is all of the photo, in windows of at most `limit` pixels a side."""
    side = round_limit(limit, sizes) if sizes.tiles else max(hole.shape)
    return make_region([0, 0, *hole.shape], hole, sizes, side)


def round_limit(limit: int, sizes: Sizes) -> int:
    """The largest side up to `limit` that the network takes, or else its smallest."""
    return max(limit // sizes.multiple * sizes.multiple, sizes.fit(1, 1)[0])


def plan_local(hole: NDArray[np.bool_], sizes: Sizes, limit: int) -> list[Region]:
    """Regions for a filler that looks no farther than its context, so that they may overlap.

    Each holds the holes whose middle is in one cell of a grid, and is pasted where these are.
    """
    holes = Holes.find(hole)
    boxes = context_boxes(holes, sizes, limit)
    cells = (boxes[:, :2] + boxes[:, 2:]) // (2 * LOCAL_CELL)
    _, cell = np.unique(cells, axis=0, return_inverse=True)
    regions = []
    for n in range(cell.max() + 1):
        mine = boxes[cell.ravel() == n]
        bounds = np.concatenate([mine[:, :2].min(0), mine[:, 2:].max(0)])[None]
        ((top, left, bottom, right),) = enlarge_boxes(bounds, hole.shape, sizes, limit).tolist()
        own = np.zeros((bottom - top, right - left), np.bool_)
        labels, y, x = holes.labels_in(top, left, bottom, right)
        chosen = np.concatenate([[False], cell.ravel() == n])
        own[y : y + len(labels), x : x + labels.shape[1]] = chosen[labels]
        region = make_region([top, left, bottom, right], hole, sizes, limit)
        regions.append(replace(region, hole=own))
    return regions


@dataclass(frozen=True, eq=False)
class Holes:
    """The connected holes of a photo, by numbers from 1, in the rectangle that holds them all."""

    labels: NDArray[np.int32]  # [h, w], 0 where there is no hole
    top: int
    left: int
    boxes: Boxes  # of each hole, in the photo
    area: NDArray[np.int64]  # [n], pixels
    photo: tuple[int, int]  # (height, width)

    @classmethod
    def find(cls, hole: NDArray[np.bool_]) -> Holes:
        """Find them in `hole` [H, W], which is not empty."""
        import cv2

        (top, bottom), (left, right) = (used_span(np.any(hole, axis)) for axis in (1, 0))
        part = np.ascontiguousarray(hole[top:bottom, left:right]).view(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(part, connectivity=8)
        x, y, w, h, area = stats[1:].astype(np.int64).T
        boxes = np.stack([y + top, x + left, y + h + top, x + w + left], 1)
        return cls(np.asarray(labels, np.int32), top, left, boxes, area, hole.shape)

    def labels_in(
        self, top: int, left: int, bottom: int, right: int
    ) -> tuple[NDArray[np.int32], int, int]:
        """Return the numbers in a box of the photo, and the place in it where they begin."""
        rows = slice(max(top - self.top, 0), max(bottom - self.top, 0))
        columns = slice(max(left - self.left, 0), max(right - self.left, 0))
        return self.labels[rows, columns], max(self.top - top, 0), max(self.left - left, 0)


def context_boxes(holes: Holes, sizes: Sizes, limit: int) -> Boxes:
    """A box for each hole, with the context that it is to be filled from."""
    start, stop = holes.boxes[:, :2], holes.boxes[:, 2:]
    most = np.sqrt(holes.area) / 2 * (not sizes.local)
    wanted = np.maximum(sizes.context, most).astype(np.int64)[:, None]
    room = (limit - (stop - start)) // 2
    scant = (room < wanted) & (room >= sizes.context // 2)  # less context is better than tiles
    context = np.where(scant, room, wanted)
    return clip_boxes(start - context, stop + context, holes.photo)


def used_span(used: Any) -> tuple[int, int]:
    """The first true place and the one after the last."""
    return int(used.argmax()), len(used) - int(used[::-1].argmax())


def clip_boxes(start: Boxes, stop: Boxes, shape: tuple[int, int]) -> Boxes:
    return np.concatenate([np.maximum(start, 0), np.minimum(stop, shape)], axis=1)


def merge_boxes(boxes: Boxes, shape: tuple[int, int]) -> Boxes:
    """Return boxes that contain all of `boxes` and do not overlap.

    They are drawn on a coarse grid, on which connected ones are found at once, so that
    thousands take no longer than a few; boxes nearer than two cells may count as touching.
    """
    import cv2

    while True:
        grid = np.zeros([side // GRID_CELL + 1 for side in shape], np.uint8)
        for top, left, bottom, right in (boxes // GRID_CELL).tolist():
            grid[top : bottom + 1, left : right + 1] = 1
        count, labels = cv2.connectedComponents(grid, connectivity=8)
        if count - 1 == len(boxes):
            return boxes
        cells = boxes // GRID_CELL
        label = labels[cells[:, 0], cells[:, 1]].astype(np.int64) - 1
        joined = np.empty((count - 1, 4), np.int64)
        joined[:, :2], joined[:, 2:] = np.iinfo(np.int64).max, 0
        np.minimum.at(joined[:, :2], label, boxes[:, :2])
        np.maximum.at(joined[:, 2:], label, boxes[:, 2:])
        boxes = joined


def enlarge_boxes(boxes: Boxes, shape: tuple[int, int], sizes: Sizes, limit: int) -> Boxes:
    """The same boxes in sizes that the network takes, as far as the photo reaches.

    Real surroundings are better than padding.
    """
    side = boxes[:, 2:] - boxes[:, :2]
    tile = np.minimum(side, limit)
    fitting = np.array([sizes.fit(h, w) for h, w in tile.tolist()], np.int64)
    side = np.minimum(np.maximum(side, fitting), shape)
    start = boxes[:, :2] - (side - (boxes[:, 2:] - boxes[:, :2])) // 2
    start = np.clip(start, 0, np.array(shape) - side)
    return np.concatenate([start, start + side], axis=1)


def make_region(box: list[int], hole: NDArray[np.bool_], sizes: Sizes, limit: int) -> Region:
    """The windows of `box`: itself where it fits, else tiles that own some of the hole."""
    top, left, bottom, right = box
    height, width = min(limit, bottom - top), min(limit, right - left)
    overlap = min(2 * sizes.context, limit // 2)
    pairs = [
        (Box(y, x, height, width), Box(above, before, below - above, after - before))
        for y, above, below in tile_spans(top, bottom, height, overlap)
        for x, before, after in tile_spans(left, right, width, overlap)
        if hole[above:below, before:after].any()
    ]
    windows, owned = zip(*pairs, strict=True)
    return Region(Box(top, left, bottom - top, right - left), windows, owned, overlap // 8)


def tile_spans(first: int, last: int, side: int, overlap: int) -> list[tuple[int, int, int]]:
    """Tiles of `side` pixels that cover first..last evenly: start, and first..last of their own.

    Neighbours overlap by `overlap` pixels at least, and what they own ends halfway.
    """
    spare = last - first - side
    steps = -(-spare // max(side - overlap, 1))
    starts = [first + spare * n // steps for n in range(steps + 1)] if steps else [first]
    borders = [first, *((a + side + b) // 2 for a, b in pairwise(starts)), last]
    return list(zip(starts, borders[:-1], borders[1:], strict=True))


def window_ramp(start: int, side: int, own: int, length: int, fade: int) -> NDArray[np.float32]:
    """Weights [side] of pixels from `start` on: 1 in own..own+length, less beyond."""
    at = np.arange(start, start + side)
    beyond = np.maximum(np.maximum(own - at, at - (own + length - 1)), 0)
    return np.clip(1 - beyond / (fade + 1), 0, 1).astype(np.float32)
