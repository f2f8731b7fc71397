"""Text laid over a photo: date stamps, subtitles, captions, watermarks.

Where text is, a detector says: the detection network of PP-OCR that the package rapidocr carries
(differentiable binarization, run by OpenCV), or letters that stand in a row. Which pixels are
letters is decided here, by what is thinner than a stroke and unlike its surroundings.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from inpaint_cli.api import Finder, Mask, PluginError, grow

from .align import Picture, shrink

SIDES = 960, 608  # pixels of the longer side at which the network looks: for small and large text
CLASSIC_SIDE = 1280
CORE, SURE = 0.25, 0.55  # probabilities: of a pixel inside a line of text, of the line's best pixel
LEVELS = 8  # of 255: contrast from which a stroke is seen
EVEN, LIKE = 10, 36  # levels of CIELAB: letters of one colour vary by less; edges differ by less
MOST, SQUARE = 0.45, 2.0  # of a line, that letters cover at most if it is no longer than this
OUTLINE, STRAY = 0.125, 0.02  # of a line's height: how far an outline reaches; squared: a dot
TINTED, TINT = 40, 0.27  # levels of CIELAB between two tints; share of one that letters have
LEAST_REST = 20  # pixels, from which the tint of what is around letters is known
STROKE = 0.18  # of a line's height: strokes are thinner
TALLEST = 0.125  # of the photo's longer side: higher than that is no line of text


class TextLine(NamedTuple):
    """A line of text: its corners (x, y) [4, 2] around the letters, and their height in pixels."""

    corners: NDArray[np.float32]
    height: float


class Text(Finder):
    """Text laid over the photo: date stamps, captions, watermarks; letter by letter."""

    source = "Liao et al. 2020, Real-time Scene Text Detection with Differentiable Binarization"

    detector: Literal["auto", "network", "classic"] = Field(
        default="auto",
        description="network: PP-OCR's, of the package rapidocr (pip install 'inpaint-cli[text]');"
        " classic: letters in a row; auto: the network where it is installed.",
    )
    letters: bool = Field(default=True, description="The letters alone; false: whole lines.")
    grow: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="Pixels added for soft edges; null: by the size of the letters.",
    )

    def find(self, rgb, name) -> Mask:
        mask = np.zeros(rgb.shape[:2], np.bool_)
        for line in self.lines(rgb):
            box = line_box(line, rgb.shape[:2])
            shape = fill_quad(line.corners - (box[1].start, box[0].start), mask[box].shape)
            part = find_letters(rgb[box], shape, line.height) if self.letters else shape
            more = max(2, round(line.height / 14)) if self.grow is None else self.grow
            mask[box] |= grow(part, more)
        return mask

    def lines(self, rgb: Picture) -> list[TextLine]:
        """Return the lines of text in `rgb`."""
        weights = None if self.detector == "classic" else network_file()
        if weights is None and self.detector == "network":
            raise PluginError(
                "detector=network needs the package rapidocr; pip install 'inpaint-cli[text]', or"
                " use detector=classic"
            )
        if min(rgb.shape[:2]) < 16:
            return []
        return list(detect_lines(rgb, weights) if weights else group_letters(rgb))


@lru_cache(maxsize=1)
def network_file() -> Path | None:
    """Return the detection network in the package rapidocr, or None where that is missing."""
    from importlib.util import find_spec

    spec = find_spec("rapidocr")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder, "models").glob("*_det_*.onnx")):
            return path
    return None


def detect_lines(rgb: Picture, weights: Path) -> Iterator[TextLine]:
    """Yield the lines of text that the network sees."""
    import cv2

    height, width = rgb.shape[:2]
    network = cv2.dnn.readNetFromONNX(str(weights))
    for side in SIDES:
        scale = side / max(height, width)
        size = [max(32, round(length * scale / 32) * 32) for length in (width, height)]
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.resize(rgb, size, interpolation=way)[..., ::-1].astype(np.float32) / 127.5 - 1
        network.setInput(np.ascontiguousarray(small.transpose(2, 0, 1)[None]))
        to_photo = np.array([width / size[0], height / size[1]], np.float32)
        for line in outline_lines(network.forward()[0, 0]):
            high = line.height * float(to_photo.min())
            if high < TALLEST * max(height, width):
                yield TextLine(line.corners * to_photo, high)


def outline_lines(chance: NDArray[np.float32]) -> Iterator[TextLine]:
    """Yield the lines in the network's map [h, w] of the chance that a pixel is text."""
    import cv2

    core = (chance > CORE).astype(np.uint8)
    for outline in cv2.findContours(core, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]:
        x, y, w, h = cv2.boundingRect(outline)
        middle, (wide, high), angle = cv2.minAreaRect(outline)
        wide, high = wide + 1, high + 1
        inside = fill_quad(outline[:, 0] - (x, y), (h, w))
        if min(wide, high) < 3 or chance[y : y + h, x : x + w][inside].max() < SURE:
            continue
        more = 1.5 * wide * high / (wide + high)  # the network sees lines shrunk by as much
        corners = cv2.boxPoints((middle, (wide + more, high + more), angle))
        yield TextLine(np.asarray(corners, np.float32), float(min(wide, high) + more / 2))


def fill_quad(corners: NDArray[np.floating], size: tuple[int, ...]) -> Mask:
    """Return the inside [H, W] of an outline with `corners` (x, y)."""
    import cv2

    canvas = np.zeros(size, np.uint8)
    cv2.fillPoly(canvas, [np.rint(corners).astype(np.int32)], 1)
    return canvas > 0


def line_box(line: TextLine, size: tuple[int, ...]) -> tuple[slice, slice]:
    """Return rows and columns around a line, with room for what its letters stand on."""
    more = line.height
    low = np.floor(line.corners.min(0) - more).astype(int).clip(0)
    high = np.ceil(line.corners.max(0) + more).astype(int) + 1
    return slice(low[1], max(low[1], min(high[1], size[0]))), slice(
        low[0], max(low[0], min(high[0], size[1]))
    )


def find_letters(rgb: Picture, line: Mask, height: float) -> Mask:
    """Return the letters in `rgb` [h, w, 3], `height` pixels high, inside `line` [h, w].

    A stroke is brighter or darker, in some channel, than what is left of the photo when everything
    thinner is opened or closed away.
    """
    import cv2

    if not line.any():
        return line
    side = max(3, round(height * STROKE) * 2 + 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    lab = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab), np.uint8)
    channels = np.concatenate([rgb, lab[..., 1:]], -1)
    bright = cv2.morphologyEx(channels, cv2.MORPH_TOPHAT, kernel)
    dark = cv2.morphologyEx(channels, cv2.MORPH_BLACKHAT, kernel)
    found = [cut_strokes(levels.max(-1), lab, line) for levels in (bright, dark)]
    strong, weak = sorted(found, key=lambda strokes: -strokes.contrast)
    mask = drop_strays(strong.mask, height) if strong.opaque else strong.mask
    if strong.opaque and weak.opaque and weak.contrast > 0.6 * strong.contrast:
        outline = weak.mask & grow(mask, max(2, height * OUTLINE))
        if outline.sum() > 0.5 * weak.mask.sum():  # else it is the photo's
            mask = mask | outline
    wide, high = cv2.minAreaRect(np.argwhere(line).astype(np.float32))[1]
    square = max(wide, high) < SQUARE * min(wide, high)
    return np.zeros_like(mask) if square and mask.sum() > MOST * line.sum() else mask


def drop_strays(mask: Mask, height: float) -> Mask:
    """Return `mask` without what is smaller than a dot of letters `height` pixels high."""
    import cv2

    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= STRAY * height**2
    keep[0] = False
    return keep[np.asarray(parts, np.int32)]


class Strokes(NamedTuple):
    """The strokes of a line of one polarity, their contrast, and whether they have one colour."""

    mask: Mask
    contrast: float
    opaque: bool


def cut_strokes(levels: NDArray[np.uint8], lab: Picture, line: Mask) -> Strokes:
    """Return the strokes among `levels` of contrast: of one colour, where they have one.

    The strongest pixels are surely letters. Where they agree in colour the letters are opaque, and
    what has another colour is photo; where they do not, the photo shines through.
    """
    strong = float(np.percentile(levels[line], 88))
    core = line & (levels >= max(strong, LEVELS))
    if not core.any():
        return Strokes(core, 0, False)
    far = np.abs(lab.astype(np.float32) - np.median(lab[core], 0)).max(-1)
    opaque = float(np.median(far[core])) <= EVEN
    mask = line & (levels > max(LEVELS, 0.45 * strong))
    if opaque:
        mask &= far <= LIKE
    return Strokes(mask & has_tint(lab, core, line & ~grow(mask, 2)), strong, opaque)


def has_tint(lab: Picture, core: Mask, rest: Mask) -> Mask:
    """Return what has some of the tint of `core` [h, w], if that is not the one of `rest`."""
    tint = lab[..., 1:].astype(np.float32)
    if rest.sum() < LEAST_REST:
        return np.ones_like(core)
    base = np.median(tint[rest], 0)
    way = np.median(tint[core], 0) - base
    size = float((way**2).sum())
    return (tint - base) @ way > TINT * size if size > TINTED**2 else np.ones_like(core)


def group_letters(rgb: Picture) -> Iterator[TextLine]:
    """Yield rows of at least four parts alike in colour, height and place, as letters are."""
    import cv2

    small, scale = shrink(rgb, CLASSIC_SIDE)
    longer = max(small.shape[:2])
    for stroke in (longer // 200, longer // 80):
        side = 2 * max(1, stroke) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        for way in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
            levels = cv2.morphologyEx(small, way, kernel).max(-1)
            for row in letter_rows(small, levels, longer):
                yield TextLine(row.corners / scale, row.height / scale)


def letter_rows(rgb: Picture, levels: NDArray[np.uint8], longer: int) -> Iterator[TextLine]:
    """Yield the rows of letters among the parts of `levels` [H, W] that stand out."""
    import cv2

    parts = (levels > 60).astype(np.uint8)
    _, named, stats, _ = cv2.connectedComponentsWithStats(parts, connectivity=8)
    labels = np.asarray(named, np.int32)
    x, y, w, h, area = stats.T.astype(np.float64)
    filled = area / (w * h)
    fits = (h >= 7) & (h < 0.12 * longer) & (w < 2.5 * h) & (filled > 0.15) & (filled < 0.95)
    fits[0] = False
    kept = [k for k in np.flatnonzero(fits).tolist() if is_plain(rgb, labels, stats[k], k)]
    kept.sort(key=lambda k: x[k])
    used: set[int] = set()
    for first in kept:
        if first in used:
            continue
        row = [first]
        for k in kept:
            last = row[-1]
            gap = x[k] - (x[last] + w[last])
            shared = min(y[k] + h[k], y[last] + h[last]) - max(y[k], y[last])
            beside = x[k] > x[last] and gap < 1.2 * h[first] and 0.45 < h[k] / h[first] < 2.2
            if k not in used and beside and shared > 0.5 * min(h[k], h[last]):
                row.append(k)
        if len(row) >= 4:
            used.update(row)
            edge = [x[row].min(), y[row].min(), (x + w)[row].max(), (y + h)[row].max()]
            high = edge[3] - edge[1]
            left, top, right, bottom = np.array(edge) + 0.2 * high * np.array([-1, -1, 1, 1])
            corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
            yield TextLine(corners.astype(np.float32), float(high))


def is_plain(rgb: Picture, labels: NDArray[np.int32], stat: NDArray[np.int32], which: int) -> bool:
    """Return whether a part of the photo has nearly one colour, as what is laid over it."""
    x, y, w, h = stat[:4]
    box = slice(y, y + h), slice(x, x + w)
    colours = rgb[box][labels[box] == which]
    return float(np.median(np.abs(colours - np.median(colours, 0)).max(1))) < 18
