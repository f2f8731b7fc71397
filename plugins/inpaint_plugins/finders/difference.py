"""What differs between two shots of one scene."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from inpaint_cli.api import Finder, ImageError, Mask, grow, read_rgb

from .align import Picture, differ, keep_strong, match_pictures
from .partner import find_partner

SAMPLE = 40_000  # pixels by which the exposure of the shots is matched


class Difference(Finder):
    """What is in this shot of a scene and not in another: people, cars, a new thing."""

    limit = 0.6

    other: Path = Field(description="The other shot, or a folder of shots of the photos' names.")
    align: bool = Field(default=True, description="Undo what the camera moved between the shots.")
    tolerance: float = Field(
        default=16, gt=0, le=255, description="Levels of CIELAB, 0 to 255, that are a difference."
    )
    least: int = Field(default=40, ge=1, description="Pixels of the smallest difference.")
    grow: int = Field(default=3, ge=0, le=100, description="Pixels added around it.")

    def files(self, name) -> list[Path]:
        return [find_partner(self.other, name)]

    def find(self, rgb, name) -> Mask:
        import cv2

        (path,) = self.files(name)
        other = read_rgb(path)
        height, width = rgb.shape[:2]
        place = match_pictures(rgb, other, rigid=False) if self.align else None
        if place is None and other.shape != rgb.shape:
            raise ImageError(f"{path} does not show the same scene in the same size; give another")
        seen = np.ones(rgb.shape[:2], np.bool_)
        if place is not None:
            known = np.ones(other.shape[:2], np.uint8)
            seen = np.asarray(cv2.warpPerspective(known, place, (width, height))) > 0
            other = np.asarray(cv2.warpPerspective(other, place, (width, height)), np.uint8)
        other = match_exposure(rgb, other, seen)
        far = cv2.medianBlur(differ(rgb, other, reach=1 if place is None else 2), 3)
        seen = cv2.erode(seen.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        far = np.where(seen, far, 0).astype(np.uint8)
        mask = keep_strong(far, self.tolerance / 2, self.tolerance, self.least)
        close = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
        return grow(close > 0, self.grow)


def match_exposure(rgb: Picture, other: Picture, seen: NDArray[np.bool_]) -> Picture:
    """Return `other` with each channel scaled so that most of it has the levels of `rgb`."""
    places = np.flatnonzero(seen)
    places = places[:: max(1, len(places) // SAMPLE)]
    table = np.empty((1, 256, 3), np.uint8)
    levels = np.arange(256)
    for channel in range(3):
        here, there = (p[..., channel].ravel()[places].astype(np.float64) for p in (rgb, other))
        gain, offset = 1.0, 0.0
        for _ in range(8):  # least squares of what agrees so far
            miss = np.abs(gain * there + offset - here)
            near = miss <= max(4.0, 1.5 * float(np.median(miss)))
            if near.sum() < 100 or np.std(there[near]) < 4:
                break
            gain, offset = np.polyfit(there[near], here[near], 1)
        gain, offset = (gain, offset) if 0.5 < gain < 2 else (1.0, 0.0)
        table[0, :, channel] = np.rint(gain * levels + offset).clip(0, 255)
    import cv2

    return np.asarray(cv2.LUT(other, table), np.uint8)
