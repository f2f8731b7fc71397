"""What the levels of a mask file show: whether it is a mask at all, and where to cut it.

The one judgement of masks: `fill`, folder jobs, training, evaluation and `masks check` share it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .photo import GRAY, LUMA, STRIP, FloatArray, Hole, Photo

MaskChannel = Literal["auto", "gray", "alpha"]
NEAR = 16  # levels of 255 from black or white that still count as black or white
GRAY_SHARE = 0.2  # with more than this between black and white it is a photo
COLOURED = 48  # levels between the largest and the smallest channel of what is a colour
HUES = 24  # bins of 15 degrees; a photo has hues more than three of them apart
ROUGH = 0.15  # of the gray of a photo more pixels are brighter or darker than both neighbours
STEP = 4 / 255  # between neighbours; less may be the noise of compression
CLASSES = 64  # a map of classes has at most as many levels in one picture
HALF = 128 / 255
EQUAL = np.float32(2e-6)  # less than a step of 16 bits, more than what float rounds

GRAY_FAULT = "mostly gray, as a photo or a marked-up copy of one is, so no mask"
HUE_FAULT = "of many colours, as a photo, a marked-up copy or a map of classes is, so no mask"
ROUGH_FAULT = "of gray that is no soft edge, as a dark or light photo has, so no mask"
CLASS_FAULT = "of flat areas of several levels, as a map of classes is, so no mask"
FAINT_FAULT = "without clear black and white, so nothing says what the hole is"


@dataclass(frozen=True)
class Levels:
    """Statistics of the levels of a mask, brightness times opacity, 0 to 1; shares are 0 to 1."""

    low: float
    high: float
    two: bool  # whether there are two levels, or one
    count: int  # different levels, of 256
    between: float  # share that is neither black nor white, or nearly so
    impure: float  # share that is not exactly black or white
    flat: float  # share of what is impure whose neighbours to the right and below are equal
    black: float  # share that is black, or nearly so
    white: float  # share that is white, or nearly so
    bright: float  # share from half on
    rough: float  # share of what is between that is brighter or darker than both its neighbours
    hues: float  # share of a colour that is far from the commonest one
    lossless: bool

    @property
    def empty(self) -> bool:
        """True if all is black; noise that compression makes is black too."""
        return self.high <= (0 if self.lossless else NEAR / 255)

    @property
    def cut(self) -> float:
        """The level from which a pixel is hole: half, or the upper one of two levels."""
        return self.high if self.two and not self.empty and self.low < self.high else HALF

    @property
    def fault(self) -> str:
        """Why this is no mask, as what follows "it is"; nothing where it may be one."""
        if self.empty or (self.two and self.low < self.high):
            return ""
        if self.two:
            return FAINT_FAULT if self.high < HALF else ""
        classes = self.lossless and self.count <= CLASSES
        if classes and self.flat > 0.8 and self.impure > 0.001:
            return CLASS_FAULT
        if self.hues > 0.005:
            return HUE_FAULT
        if self.between > GRAY_SHARE:
            return GRAY_FAULT
        sides = ((self.white, self.bright, self.black), (self.black, 1 - self.bright, self.white))
        faint = any(end < 1e-4 and part < (1 - other) / 2 for end, part, other in sides)
        if faint or self.high < HALF:
            return FAINT_FAULT
        gray = self.between > max(0.01, 8 * min(self.black, self.white))
        return ROUGH_FAULT if gray and self.rough > ROUGH else ""


def measure_levels(photo: Photo, channel: MaskChannel) -> Levels:
    """Return the statistics of a mask file."""
    counts, hues = np.zeros(256, np.int64), np.zeros(HUES, np.int64)
    impure = flat = rough = 0
    low, high = np.inf, -np.inf
    for rows, levels in level_strips(photo, channel):
        low, high = min(low, float(levels.min())), max(high, float(levels.max()))
        between = (levels > EQUAL) & (levels < 1 - EQUAL)
        if not (some := np.count_nonzero(between)):  # as in most masks
            counts[255] += (white := np.count_nonzero(levels > HALF))
            counts[0] += levels.size - white
            continue
        impure += some
        flat += np.count_nonzero(between & equal_neighbours(levels))
        bytes_ = np.rint(levels * 255).astype(np.uint8)
        counts += np.bincount(bytes_.ravel(), minlength=256)
        gray = (bytes_ > NEAR) & (bytes_ < 255 - NEAR)
        rough += np.count_nonzero(gray[:, 1:-1] & extremes(levels))
        if channel != "alpha":
            hues += count_hues(photo, rows)
    total, between = int(counts.sum()), int(counts[NEAR + 1 : 255 - NEAR].sum())
    return Levels(
        low=low,
        high=high,
        two=not impure or has_two_levels(photo, channel, low, high),
        count=int(np.count_nonzero(counts)),
        between=between / total,
        impure=impure / total,
        flat=flat / max(impure, 1),
        black=int(counts[: NEAR + 1].sum()) / total,
        white=int(counts[255 - NEAR :].sum()) / total,
        bright=int(counts[128:].sum()) / total,
        rough=rough / max(between, 1),
        hues=other_hues(hues) / total,
        lossless=photo.lossless,
    )


def equal_neighbours(levels: FloatArray) -> Hole:
    """True [h, W] where the neighbours to the right and below are equal."""
    same = np.ones(levels.shape, np.bool_)
    same[:, :-1] = levels[:, :-1] == levels[:, 1:]
    same[:-1] &= levels[:-1] == levels[1:]
    return same


def extremes(levels: FloatArray) -> Hole:
    """True [h, W - 2] where a level is clearly above, or below, those to its left and right."""
    steps = np.diff(levels, axis=1)
    before, after = steps[:, :-1], steps[:, 1:]
    return ((before > STEP) & (after < -STEP)) | ((before < -STEP) & (after > STEP))


def has_two_levels(photo: Photo, channel: MaskChannel, low: float, high: float) -> bool:
    """Whether each level is the lowest or the highest."""
    return all(
        bool(((levels - low <= EQUAL) | (high - levels <= EQUAL)).all())
        for _, levels in level_strips(photo, channel)
    )


def count_hues(photo: Photo, rows: slice) -> np.ndarray:
    """Return how many coloured, visible pixels of some rows have each of `HUES` hues."""
    if photo.mode in GRAY:
        return np.zeros(HUES, np.int64)
    rgb = photo.colours(photo.pixels[rows])
    coloured = np.ptp(rgb, axis=-1) > COLOURED / 255
    if photo.channel:
        coloured &= photo.opacity(photo.pixels[rows]) > 0
    red, green, blue = rgb[coloured].T
    angle = np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue)
    bins = np.floor(angle / (2 * np.pi) * HUES).astype(np.int64) % HUES
    return np.bincount(bins, minlength=HUES)


def other_hues(counts: np.ndarray) -> int:
    """Return how many are more than three bins from the commonest hue."""
    turned = np.roll(counts, 3 - int(counts.argmax()))
    return int(turned[7:].sum())


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


def brightness(photo: Photo, pixels: np.ndarray) -> FloatArray:
    """Brightness [...] in 0..1 of the file's numbers."""
    if photo.mode in GRAY and photo.mode != "F":
        channel = pixels if pixels.ndim == 2 else pixels[..., 0]
        return (channel - np.float32(photo.black)) / np.float32(photo.white - photo.black)
    if photo.palette is not None:
        return (photo.palette[:, :3].astype(np.float32) / 255 @ LUMA)[pixels]
    return photo.colours(pixels) @ LUMA
