"""What somebody painted over, on a phone or in any editor."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from inpaint_cli.api import Finder, ImageError, Mask, grow, read_rgb

from .align import Picture, differ, keep_strong, match_pictures
from .partner import find_partner

SATURATED, BRIGHT = 150, 90  # of 255, from which a colour may be a marker's
FLAT = 6  # levels that a marker's colour varies by inside a stroke
LIKE = 28  # levels of CIELAB around it, for the soft edge
MOST = 4  # colours of strokes in one picture
EXACT, PURE = 4, 0.6  # a marker's pixels differ by no more levels; their share of what is near


class Markup(Finder):
    """Strokes painted on a copy of the photo, or, without a copy, on the photo itself."""

    limit = 0.6

    marked: Path | None = Field(
        default=None,
        description="The painted copy, also resized, cropped and as JPEG, or a folder of copies of"
        " the photos' names; null: the photo itself has strokes of a bright colour.",
    )
    tolerance: float = Field(
        default=24, gt=0, le=255, description="Levels of CIELAB, 0 to 255, that a stroke changes."
    )
    inside: bool = Field(default=False, description="Find what strokes enclose as well.")
    grow: int = Field(default=2, ge=0, le=100, description="Pixels added for soft edges.")

    def files(self, name) -> list[Path]:
        return [find_partner(self.marked, name)] if self.marked else []

    def find(self, rgb, name) -> Mask:
        if not self.marked:
            mask = find_strokes(rgb)
        else:
            (path,) = self.files(name)
            mask = compare_copy(rgb, read_rgb(path), self.tolerance, str(path))
        if self.inside:
            mask = enclosed(mask)
        return grow(mask, self.grow)


def compare_copy(rgb: Picture, copy: Picture, tolerance: float, name: str) -> Mask:
    """Return where `copy` differs from `rgb` [H, W, 3], compared in the coarser of both scales."""
    import cv2

    height, width = rgb.shape[:2]
    if copy.shape == rgb.shape:
        return strokes_between(rgb, copy, tolerance)
    place = match_pictures(rgb, copy, rigid=True)
    if place is None:
        raise ImageError(f"{name} does not look like a copy of the photo; give the painted copy")
    if place[0, 0] > 1:  # the copy is smaller: reduce the photo to it
        small = (copy.shape[1], copy.shape[0])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        sigma = 0.4 * float(place[0, 0])
        soft = cv2.GaussianBlur(rgb, (0, 0), sigma) if sigma > 0.5 else rgb
        seen = cv2.warpPerspective(soft, place, small, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        found = strokes_between(np.asarray(seen, np.uint8), copy, tolerance).astype(np.uint8) * 255
        levels = cv2.warpPerspective(found, place, (width, height))
        return np.asarray(levels) > 127
    seen = cv2.warpPerspective(copy, place, (width, height), flags=cv2.INTER_AREA)
    known = cv2.warpPerspective(np.ones(copy.shape[:2], np.uint8), place, (width, height))
    return strokes_between(rgb, np.asarray(seen, np.uint8), tolerance) & (known > 0)


def strokes_between(rgb: Picture, copy: Picture, tolerance: float) -> Mask:
    """Return where two pictures of one size differ by more than JPEG makes them."""
    return keep_strong(differ(rgb, copy), tolerance / 2, tolerance, least=12)


def find_strokes(rgb: Picture) -> Mask:
    """Return flat strokes of the saturated colours that cover most of the picture's saturated part.

    Markers paint one exact colour; what a camera sees of a saturated thing varies from pixel to
    pixel.
    """
    import cv2

    largest, least = rgb.max(-1), rgb.min(-1)
    saturated = (largest - least >= SATURATED) & (largest >= BRIGHT)
    square = np.ones((3, 3), np.uint8)
    spread = cv2.subtract(cv2.dilate(rgb, square), cv2.erode(rgb, square)).max(-1)
    flat = saturated & (spread <= FLAT)
    mask = np.zeros(rgb.shape[:2], np.bool_)
    for colour in common_colours(rgb[flat], least=max(30, rgb[..., 0].size // 20_000)):
        mask |= grow_colour(rgb, flat, colour)
    return mask


def common_colours(colours: NDArray[np.uint8], least: int) -> list[NDArray[np.uint8]]:
    """Return the colours that `least` or more of `colours` [N, 3] have, and nearly exactly."""
    if not len(colours):
        return []
    cells = colours.astype(np.int32) // 8 @ np.array([1024, 32, 1])
    counts = np.bincount(cells, minlength=32**3)
    found = []
    for cell in np.argsort(counts, kind="stable")[::-1][:MOST]:
        if counts[cell] < least:
            break
        middle = np.median(colours[cells == cell], axis=0)
        far = np.abs(colours - middle).max(-1)
        if (far <= EXACT).sum() > PURE * (far <= 4 * EXACT).sum():
            found.append(middle.astype(np.uint8))
    return found


def grow_colour(rgb: Picture, flat: Mask, colour: NDArray[np.uint8]) -> Mask:
    """Return what is like `colour` and joined to a `flat` part that is nearly that colour."""
    import cv2

    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)
    wanted = cv2.cvtColor(colour[None, None], cv2.COLOR_RGB2Lab)[0, 0]
    far = cv2.absdiff(lab, np.broadcast_to(wanted, lab.shape).copy()).max(-1)
    core = np.where(flat & (far <= FLAT), 255, 0).astype(np.uint8)
    levels = np.where(far <= LIKE, np.maximum(core, 1), 0).astype(np.uint8)
    return keep_strong(levels, 0, 254, least=12)


def enclosed(mask: Mask) -> Mask:
    """Return `mask` [H, W] with what it encloses."""
    import cv2

    outside = np.pad(mask, 1).astype(np.uint8)
    cv2.floodFill(outside, None, (0, 0), 2)  # pyright: ignore[reportCallIssue, reportArgumentType]
    return (outside != 2)[1:-1, 1:-1]
