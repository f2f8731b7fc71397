"""Scratches, dust and hairs of old prints and films.

Both are thinner than what they cover, lighter or darker than both their sides, and nearly white
or black. Texture is too, here and there. A small network has learned what is damage and what
belongs to a scene, from damage drawn over photos. The classic detector goes by how far something
stands out from its neighbourhood, where every line of a texture raises the bar.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from inpaint_cli.api import Finder, Mask, grow

from .align import Picture, keep_strong, shrink
from .network import see_damage

Levels = NDArray[np.float32]  # [H, W], of 255

SIDE = 1200  # pixels of the longer side at which damage is looked for
TURNS = 16  # directions of lines
REACH = 9  # pixels to both sides, over which a line is averaged
ASIDE = 3  # pixels from a line's middle, at which its sides are looked at
UNEVEN = 0.7  # of what both sides differ by: an edge of the scene, not a line over it
AREA = 10  # neighbourhoods along the longer side
LIGHT, DARK = 135, 105  # levels: damage is lighter in all channels, or darker in all
WEAK, STRONG = 50, 140  # percent of the bar, that a line reaches all along, and somewhere
HAIR = 5  # times a speck, that a hair may be long
COLOURED = 70  # levels that its channels differ by at most
MIRRORED = (1, 1), (-1, -1), (1, -1), (-1, 1)  # ways in which the network is shown a photo
FRAME = 4  # pixels along the border, in which a line is the photo's frame
AROUND = 15  # pixels, of which a mean says whether damage is light or dark

LINES = 0.0, 3.0  # logits that a line has all along, and somewhere
LIKELY, EASIER = -1.0, 1.4  # mean logit of a line found by contrast, whose bar is lower by so much
SPECKS = -1.6, -0.5

Tone = Literal["both", "light", "dark"]


class Damage(Finder):
    """Base of the finders of damage to prints and films."""

    channel: ClassVar[int]  # of what the network sees
    looks: ClassVar[int]  # of `MIRRORED`: more look better, and take longer

    detector: Literal["network", "classic"] = Field(
        default="network", description="network: has learned it; classic: goes by contrast alone."
    )
    tone: Tone = Field(default="both", description="light, dark or both: what damage looks like.")
    sensitivity: float = Field(
        default=1, gt=0.1, lt=10, description="Above 1 more is found, below 1 less."
    )
    grow: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="Pixels added for soft edges; null: 1, more if large.",
    )

    def find(self, rgb, name) -> Mask:
        import cv2

        small, scale = shrink(rgb, SIDE)
        mask = np.zeros(small.shape[:2], np.bool_)
        if min(small.shape[:2]) >= 16 and self.detector == "network":
            mask = keep_tone(self.choose(self.judge(small), small), small, self.tone)
        elif min(small.shape[:2]) >= 16:
            for plane, sign in self.planes(small):
                mask |= self.search(plane, small, sign)
        if scale < 1:
            size = (rgb.shape[1], rgb.shape[0])
            large = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_LINEAR)
            mask = np.asarray(large) > 100
        return grow(mask, max(1, round(0.7 / scale)) if self.grow is None else self.grow)

    def judge(self, rgb: Picture) -> Levels:
        """Return how surely each pixel of `rgb` is damage: logits, the mean of mirrored looks."""
        total = np.zeros(rgb.shape[:2], np.float32)
        for rows, columns in MIRRORED[: self.looks]:
            seen = see_damage(np.ascontiguousarray(rgb[::rows, ::columns]))[self.channel]
            total += seen[::rows, ::columns]
        return total / self.looks + 2 * np.log(np.float32(self.sensitivity))

    def choose(self, sure: Levels, rgb: Picture) -> Mask:
        """Return the damage of this kind in `rgb`, of which the network is so `sure` [H, W]."""
        raise NotImplementedError

    def planes(self, rgb: Picture) -> Iterator[tuple[Levels, int]]:
        """Yield brightness so that damage is light in it, and 1, or -1 where it is turned over."""
        import cv2

        gray = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.float32)
        if self.tone != "dark":
            yield gray, 1
        if self.tone != "light":
            yield 255 - gray, -1

    def search(self, plane: Levels, rgb: Picture, sign: int) -> Mask:
        """Return light damage in `plane` [H, W]."""
        raise NotImplementedError


class Scratches(Damage):
    """Scratches and hairs: thin, long, light or dark, of any direction."""

    channel, looks = 0, 2

    least: float = Field(
        default=0.1, gt=0, le=1, description="Length of the shortest, as a share of the photo's."
    )

    def choose(self, sure, rgb) -> Mask:
        mask = self.keep_long(sure)
        with ThreadPoolExecutor() as pool:  # light and dark at once: OpenCV needs no lock
            tasks = [pool.submit(self.trace, p, rgb, s, EASIER) for p, s in self.planes(rgb)]
        for task in tasks:
            mask |= keep_likely(task.result(), sure)
        return mask

    def keep_long(self, sure: Levels) -> Mask:
        """Return the long parts of `sure` [H, W] that are not the photo's frame."""
        labels, stats, strong = join_parts(sure, *LINES)
        height, width = sure.shape
        x, y, w, h, _ = stats.T
        keep = strong & (np.hypot(w, h) >= self.least * max(height, width))
        keep &= (x + w > FRAME) & (y + h > FRAME)
        keep &= (x < width - FRAME) & (y < height - FRAME)
        return keep[labels]

    def search(self, plane, rgb, sign) -> Mask:
        return self.trace(plane, rgb, sign)

    def trace(self, plane: Levels, rgb: Picture, sign: int, easier: float = 1.0) -> Mask:
        """Return lines in `plane` [H, W] that stand out; the bar is lower where it is `easier`."""
        ridges, turns = find_ridges(plane)
        bar = 3 * blur(ridges) + 12
        share = 100 * self.sensitivity * easier
        levels = (ridges / bar * share).clip(0, 255).astype(np.uint8)
        levels[~has_tone(rgb, sign)] = 0
        return keep_lines(levels, turns, self.least * max(plane.shape))


class Dust(Damage):
    """Specks of dust and short hairs: small, light or dark."""

    channel, looks = 1, 4

    largest: float = Field(
        default=0.018, gt=0, le=1, description="Side of the largest, as a share of the photo's."
    )

    def choose(self, sure, rgb) -> Mask:
        labels, stats, strong = join_parts(sure, *SPECKS)
        longest = stats[:, 2:4].max(1)
        return (strong & (longest <= HAIR * self.largest * max(sure.shape) * 1.5))[labels]

    def search(self, plane, rgb, sign) -> Mask:
        import cv2

        side = max(5, round(self.largest * max(plane.shape)) // 2 * 2 + 1)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        specks = np.asarray(cv2.morphologyEx(plane, cv2.MORPH_TOPHAT, kernel), np.float32)
        bar = 5 * blur(specks) + 12
        levels = (specks / bar * (100 * self.sensitivity)).clip(0, 255).astype(np.uint8)
        mask = keep_strong(np.where(has_tone(rgb, sign), levels, 0), 40, 150, least=2)
        return keep_specks(mask, side * 1.5)


def join_parts(
    sure: Levels, weak: float, strong: float
) -> tuple[NDArray[np.int32], NDArray[np.int32], Mask]:
    """Return the parts of `sure` [H, W] above `weak`: their numbers [H, W], boxes and areas [N, 5].

    And which of them [N] reach `strong` somewhere.
    """
    import cv2

    count, parts, stats, _ = cv2.connectedComponentsWithStats((sure > weak).astype(np.uint8))
    labels, reach = np.asarray(parts, np.int32), np.zeros(count, np.bool_)
    reach[np.unique(labels[sure > strong])] = True
    reach[0] = False
    return labels, np.asarray(stats, np.int32), reach


def keep_likely(lines: Mask, sure: Levels) -> Mask:
    """Return the parts of `lines` of which the network is `sure` [H, W] enough on the whole."""
    import cv2

    if not lines.any():
        return lines
    count, parts = cv2.connectedComponents(lines.astype(np.uint8))
    labels = np.asarray(parts, np.int32).ravel()
    near = np.asarray(cv2.dilate(sure, np.ones((3, 3), np.uint8)), np.float32).ravel()
    mean = np.bincount(labels, near, count) / np.maximum(np.bincount(labels, minlength=count), 1)
    keep = mean > LIKELY
    keep[0] = False
    return keep[np.asarray(parts, np.int32)]


def keep_tone(mask: Mask, rgb: Picture, tone: Tone) -> Mask:
    """Return the parts of `mask` that are lighter, or darker, than what is around them."""
    import cv2

    if tone == "both" or not mask.any():
        return mask
    gray = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.float32)
    shape, size = (~mask).astype(np.float32), (AROUND, AROUND)
    around = cv2.blur(gray * shape, size) / np.maximum(cv2.blur(shape, size), 1e-3)
    count, parts = cv2.connectedComponents(mask.astype(np.uint8))
    labels = np.asarray(parts, np.int32)
    lift = np.bincount(labels.ravel(), (gray - around).ravel(), count)
    keep = lift > 0 if tone == "light" else lift < 0
    keep[0] = False
    return keep[labels]


def blur(levels: Levels) -> Levels:
    """Return the mean of `levels` [H, W] around each pixel."""
    import cv2

    side = max(levels.shape) // AREA + 1
    return np.asarray(cv2.blur(levels, (side, side)), np.float32)


def find_ridges(plane: Levels) -> tuple[Levels, NDArray[np.uint8]]:
    """Return by how much a line through each pixel is lighter than both its sides, and its turn.

    Lines have `TURNS` directions; the best counts. Means along a line leave little of texture.
    """
    import cv2

    best, turns = np.zeros(plane.shape, np.float32), np.zeros(plane.shape, np.uint8)
    soft = cv2.GaussianBlur(plane, (0, 0), 0.7)
    for turn in range(TURNS):
        angle = np.pi * turn / TURNS
        way = np.array([np.cos(angle), np.sin(angle)])
        kernel = np.zeros((2 * REACH + 1, 2 * REACH + 1), np.uint8)
        ends = [tuple(np.rint(REACH + sign * REACH * way).astype(int).tolist()) for sign in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], 1)
        share = kernel.astype(np.float32) / kernel.sum()
        along = np.asarray(cv2.filter2D(soft, -1, share), np.float32)
        x, y = np.rint(ASIDE * way[::-1] * (-1, 1)).astype(int).tolist()
        one, two = shift(along, x, y), shift(along, -x, -y)
        lift = along - np.maximum(one, two) - UNEVEN * np.abs(one - two)
        turns[lift > best] = turn
        np.maximum(best, lift, out=best)
    return best, turns


def shift(levels: Levels, x: int, y: int) -> Levels:
    """Return `levels` [H, W] moved by x, y pixels; the border is repeated."""
    rows = np.clip(np.arange(levels.shape[0]) - y, 0, levels.shape[0] - 1)
    columns = np.clip(np.arange(levels.shape[1]) - x, 0, levels.shape[1] - 1)
    return levels[rows][:, columns]


def has_tone(rgb: Picture, sign: int) -> Mask:
    """Return what is nearly white, or for a `sign` of -1 nearly black [H, W]."""
    plain = rgb.max(-1) - rgb.min(-1) <= COLOURED
    return plain & (rgb.min(-1) >= LIGHT if sign > 0 else rgb.max(-1) <= DARK)


def keep_lines(levels: NDArray[np.uint8], turns: NDArray[np.uint8], least: float) -> Mask:
    """Return runs of one direction in `levels` [H, W] that are at least `least` pixels long."""
    mask = np.zeros(levels.shape, np.bool_)
    for turn in range(TURNS):
        like = (turns - turn + 1) % TURNS <= 2
        mask |= keep_strong(levels * like, WEAK, STRONG, least=8, length=least)
    return mask


def keep_specks(mask: Mask, most: float) -> Mask:
    """Return the parts of `mask` that are at most `most` pixels wide and high, and hairs."""
    import cv2

    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    longest = np.maximum(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    hair = (longest <= HAIR * most) & (stats[:, cv2.CC_STAT_AREA] <= 3 * longest)
    keep = (longest <= most) | hair
    keep[0] = False
    return keep[np.asarray(parts, np.int32)]
