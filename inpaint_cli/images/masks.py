"""Masks: which pixels of a photo are the hole. White is the hole, cut at half."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ImageError
from .photo import GRAY, LUMA, STRIP, FloatArray, Hole, Photo
from .read import read_photo

MaskChannel = Literal["auto", "gray", "alpha"]
NEAR = 16  # levels of 255 from black or white that still count as black or white
BETWEEN, COVERAGE = 0.01, 0.6  # larger shares are worth a note


@dataclass(frozen=True, eq=False)
class ReadMask:
    """`hole` [H, W], True where it is, and sentences for the user about how it was read."""

    hole: Hole
    notes: tuple[str, ...] = ()
    between: float = 0.0  # the share of the file that is neither black nor white, or nearly so
    impure: float = 0.0  # the share that is not exactly black or white
    peak: float = 255.0  # its brightest level, 0 to 255
    in_alpha: bool = False  # whether the shape was found in its transparency


def read_mask(
    source: Path | bytes,
    *,
    name: str = "",
    threshold: int = 128,
    invert: bool = False,
    channel: MaskChannel = "auto",
) -> ReadMask:
    """Read a mask of any kind that photos may have, turned by its EXIF orientation.

    The hole is where the level, 0 to 255, is at least `threshold`, or below it with `invert`.
    "gray" looks at brightness only, "alpha" at opacity only; "auto" lets transparent count as
    black, and takes the opacity alone where the colours are all on one side of the threshold.
    """
    photo = read_photo(
        source, name=name or (str(source) if isinstance(source, Path) else "the mask")
    )
    notes = list(photo.notes)
    cut = np.float32((threshold - 0.001) / 255)  # a thousandth of a level for float rounding
    if channel == "alpha" and photo.channel is None:
        raise ImageError(f"{photo.name} has no alpha; leave out the channel or give another mask")
    if channel == "auto" and shape_in_alpha(photo, cut):
        notes.append(f"{photo.name} has its shape in alpha only: opaque is taken as white")
        channel = "alpha"
    mask = cut_levels(photo, channel, cut)
    if not mask.hole.any() and mask.peak != 0:
        notes.append(
            f"{photo.name} has no pixel of {threshold} or more; its brightest is {mask.peak:.0f}"
        )
    if invert:
        np.logical_not(mask.hole, out=mask.hole)
    if mask.between > BETWEEN:
        notes.append(
            f"{mask.between:.1%} of {photo.name} is neither black nor white (JPEG or soft edges?);"
            f" it was cut at {threshold}"
        )
    if (share := mask.hole.mean()) > COVERAGE:
        notes.append(f"the hole covers {share:.0%} of {photo.name}; if black is meant, invert it")
    return replace(mask, notes=tuple(notes))


def cut_levels(photo: Photo, channel: MaskChannel, cut: np.float32) -> ReadMask:
    """Return the mask of all levels of at least `cut` in 0..1, strip by strip."""
    hole = np.empty(photo.size, np.bool_)
    between = impure = 0
    peaks = []
    for rows, levels in level_strips(photo, channel):
        hole[rows] = levels >= cut
        between += np.count_nonzero((levels > NEAR / 255) & (levels < 1 - NEAR / 255))
        impure += np.count_nonzero((levels > 0) & (levels < 1))
        peaks.append(levels.max())
    return ReadMask(
        hole,
        between=float(between / hole.size),
        impure=float(impure / hole.size),
        peak=float(np.max(peaks) * 255),
        in_alpha=channel == "alpha",
    )


def shape_in_alpha(photo: Photo, cut: np.float32) -> bool:
    """Whether some pixels are not opaque, and all colours are on one side of `cut`."""
    if photo.channel is None or all(a.min() >= 1 for _, a in level_strips(photo, "alpha")):
        return False
    white = [levels >= cut for _, levels in level_strips(photo, "gray")]
    return all(part.all() for part in white) or not any(part.any() for part in white)


def level_strips(photo: Photo, channel: MaskChannel) -> Iterator[tuple[slice, FloatArray]]:
    """Yield rows and their levels [h, W] in 0..1: brightness, opacity, or their product."""
    for top in range(0, photo.size[0], STRIP):
        rows = slice(top, top + STRIP)
        pixels = photo.pixels[rows]
        if channel == "alpha":
            yield rows, photo.opacity(pixels)
        elif channel == "auto" and photo.channel:
            yield rows, brightness(photo, pixels) * photo.opacity(pixels)
        else:
            yield rows, brightness(photo, pixels)


def brightness(photo: Photo, pixels: NDArray[Any]) -> FloatArray:
    """Brightness [...] in 0..1 of the file's numbers."""
    if photo.mode in GRAY and photo.mode != "F":
        channel = pixels if pixels.ndim == 2 else pixels[..., 0]
        return (channel - np.float32(photo.black)) / np.float32(photo.white - photo.black)
    if photo.palette is not None:
        return (photo.palette[:, :3].astype(np.float32) / 255 @ LUMA)[pixels]
    return photo.colours(pixels) @ LUMA


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
