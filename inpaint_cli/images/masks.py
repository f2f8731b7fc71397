"""Masks: which pixels of a photo are the hole. White is the hole, cut at half."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ImageError, blame_path
from .levels import HALF, Levels, MaskChannel, level_strips, measure_levels
from .photo import FloatArray, Hole, Photo
from .read import read_photo

BETWEEN, COVERAGE = 0.01, 0.6  # larger shares are worth a note
CUT_MARGIN = 4e-6  # a thousandth of a level, for float rounding


@dataclass(frozen=True, eq=False)
class ReadMask:
    """`hole` [H, W], True where it is, and sentences for the user about how it was read."""

    hole: Hole
    notes: tuple[str, ...] = ()
    levels: Levels | None = None  # of its file
    in_alpha: bool = False  # whether the shape was found in its transparency


@blame_path
def read_mask(
    source: Path | bytes,
    *,
    name: str = "",
    threshold: int | None = None,
    invert: bool = False,
    channel: MaskChannel = "auto",
) -> ReadMask:
    """Read a mask of any kind that photos may have, turned by its EXIF orientation.

    The hole is where the level, 0 to 255, is at least `threshold`, or below it with `invert`.
    Without a threshold that is the upper one of two levels, or else 128, and what cannot be a
    mask, such as a photo or a map of classes, is an `ImageError`. "gray" looks at brightness
    only, "alpha" at opacity only; "auto" lets transparent count as black, and takes the opacity
    alone where the colours are all on one side of the threshold.
    """
    mask, name = open_mask(source, name, threshold, invert, channel)
    if mask.levels and mask.levels.fault and threshold is None:
        raise ImageError(
            f"{name} is {mask.levels.fault}: give the mask, find marks on a copy of the photo with"
            " `inpaint masks find markup`, or say with --mask-threshold from which level it is hole"
        )
    return mask


def open_mask(
    source: Path | bytes,
    name: str = "",
    threshold: int | None = None,
    invert: bool = False,
    channel: MaskChannel = "auto",
) -> tuple[ReadMask, str]:
    """Read a mask as `read_mask` does, whatever its levels say of it; return it and its name."""
    photo = read_photo(
        source, name=name or (str(source) if isinstance(source, Path) else "the mask")
    )
    if photo.mode in ("I", "I;16") and photo.pixels.max(initial=0) <= 255:
        photo = replace(photo, white=255.0)  # eight bits, or class numbers, stored in more
    notes = list(photo.notes)
    if channel == "alpha" and photo.channel is None:
        raise ImageError(f"{photo.name} has no alpha; leave out the channel or give another mask")
    cut = HALF if threshold is None else threshold / 255
    if channel == "auto" and shape_in_alpha(photo, cut):
        notes.append(f"{photo.name} has its shape in alpha only: opaque is taken as white")
        channel = "alpha"
    levels = measure_levels(photo, channel)
    if threshold is None:
        cut = levels.cut
    hole = np.empty(photo.size, np.bool_)
    for rows, part in level_strips(photo, channel):
        np.greater_equal(part, np.float32(cut - CUT_MARGIN), out=hole[rows])
    notes += describe_cut(photo.name, levels, cut, threshold, empty=not hole.any())
    if invert:
        np.logical_not(hole, out=hole)
    if (share := hole.mean()) > COVERAGE:
        notes.append(f"the hole covers {share:.0%} of {photo.name}; if black is meant, invert it")
    return ReadMask(hole, tuple(notes), levels, channel == "alpha"), photo.name


def describe_cut(
    name: str, levels: Levels, cut: float, threshold: int | None, *, empty: bool
) -> list[str]:
    """Return notes on where a mask was cut, where that is not as clear as black and white."""
    notes = []
    if empty and levels.high > 0:
        notes.append(
            f"{name} has no pixel of {cut * 255:.0f} or more; its brightest is"
            f" {levels.high * 255:.3g}"
        )
    if threshold is None and levels.two and not levels.low < HALF <= levels.high and not empty:
        low, high = (f"{level * 255:.3g}" for level in (levels.low, levels.high))
        notes.append(f"{name} has the levels {low} and {high} alone: {high} is taken as the hole")
    elif levels.between > BETWEEN and not levels.two:
        notes.append(
            f"{levels.between:.1%} of {name} is neither black nor white (JPEG or soft edges?);"
            f" it was cut at {cut * 255:.0f}"
        )
    return notes


def shape_in_alpha(photo: Photo, cut: float) -> bool:
    """Whether some pixels are not opaque, and all colours are on one side of `cut`."""
    if photo.channel is None or all(a.min() >= 1 for _, a in level_strips(photo, "alpha")):
        return False
    white = [levels >= cut - CUT_MARGIN for _, levels in level_strips(photo, "gray")]
    return all(part.all() for part in white) or not any(part.any() for part in white)


def grow(hole: Hole, pixels: float) -> Hole:
    """Return the hole grown by `pixels` on all sides; shrunk where they are negative.

    Distances are Euclidean between pixel centres, so corners become round. Pixels
    beyond the borders of the photo count neither as hole nor as visible.
    """
    if not pixels or not hole.any() or hole.all():
        return hole.copy()
    out, box = hole.copy(), hole_box(hole, pixels)
    out[box] = (
        distance_inside(~hole[box]) <= pixels
        if pixels > 0
        else distance_inside(hole[box]) > -pixels
    )
    return out


def feather(hole: Hole, pixels: float, *, core: Hole | None = None) -> FloatArray:
    """Weights [H, W] that rise over `pixels` from 0 at the hole's border to 1 inside it.

    Nothing outside the hole gets any weight. `core`, the hole before it was grown, is 1
    throughout: what is to go must not shine through.
    """
    weights = hole.astype(np.float32)
    if pixels > 0 and hole.any() and not hole.all():
        box = hole_box(hole, 0)
        weights[box] = np.minimum(distance_inside(hole[box]) / np.float32(pixels + 1), 1)
    return weights if core is None else np.maximum(weights, core & hole)


def hole_box(hole: Hole, margin: float) -> tuple[slice, slice]:
    """The box of the hole and `margin` more on each side, and a pixel: work grows with the hole."""
    more = int(abs(margin)) + 1
    ends = (np.flatnonzero(hole.any(axis)) for axis in (1, 0))
    rows, columns = (slice(max(0, found[0] - more), found[-1] + 1 + more) for found in ends)
    return rows, columns


def distance_inside(inside: Hole) -> NDArray[np.float32]:
    """Euclidean distance of each pixel to the nearest that is not `inside`; 0 for the others."""
    import cv2  # takes 0.1 s to import

    far = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(far, np.float32)


def resize_mask(hole: Hole, size: tuple[int, int]) -> Hole:
    """The hole at another (height, width), by the nearest pixel."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.intp)
        for new, old in zip(size, hole.shape, strict=True)
    )
    return hole[rows[:, None], columns]


def same_shape(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two sizes (height, width) have the same proportions, to a pixel of the smaller."""
    return abs(one[0] * other[1] - one[1] * other[0]) <= max(*one, *other)


def hole_to_image(hole: Hole) -> Image.Image:
    """Return the hole [H, W] as a picture of a bit a pixel, white where it is."""
    height, width = hole.shape
    return Image.frombytes("1", (width, height), np.packbits(hole, axis=1).tobytes())


def hole_of_regions(size: tuple[int, int], regions: Sequence[tuple[int, int, int, int]]) -> Hole:
    """The boxes (x, y, width, height) in a photo of (height, width), cut at its borders."""
    hole = np.zeros(size, np.bool_)
    for x, y, width, height in regions:
        box = hole[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
        if width < 1 or height < 1 or not box.size:
            raise ImageError(
                f"region {x},{y},{width},{height} marks nothing in a photo of"
                f" {size[1]}x{size[0]}; give x,y,width,height in pixels from its top left"
            )
        box[:] = True
    return hole
