"""What fills have changed of a photo, as files: the numbers of its own file, and how they look.

A result is its photo with a few rectangles replaced. Nothing else of it is kept, so that many
results of a large photo cost little, and survive the process that made them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..images import Photo, to_bytes
from ..images.photo import STRIP, FloatArray, Hole
from .squares import place_squares

BACKDROP = 0.85  # the gray that shows through transparent pixels


@dataclass(frozen=True, eq=False)
class Patches:
    """Rectangles of pixels [h, w, ...]; `boxes` [n, 4] are their top, left, height and width."""

    boxes: NDArray[np.int64]
    pixels: Sequence[NDArray[Any]]

    def save(self, path: Path) -> None:
        """Write them into a file without pickles."""
        named = {f"pixels{n}": part for n, part in enumerate(self.pixels)}
        with path.open("wb") as file:
            np.savez(file, boxes=self.boxes, **named)  # pyright: ignore[reportArgumentType]

    @classmethod
    def load(cls, path: Path) -> "Patches":
        """Read what `save` has written."""
        with np.load(path) as file:
            boxes = file["boxes"]
            return cls(boxes, [file[f"pixels{n}"] for n in range(len(boxes))])

    def paste(self, pixels: NDArray[Any], top: int = 0, left: int = 0) -> None:
        """Paste them into `pixels` [H, W, ...], whose corner is at `top`, `left` of the photo."""
        height, width = pixels.shape[:2]
        for (y, x, h, w), part in zip(self.boxes - [top, left, 0, 0], self.pixels, strict=True):
            rows = slice(max(y, 0), min(y + h, height))
            columns = slice(max(x, 0), min(x + w, width))
            if rows.start < rows.stop and columns.start < columns.stop:
                inner = (
                    slice(rows.start - y, rows.stop - y),
                    slice(columns.start - x, columns.stop - x),
                )
                pixels[rows, columns] = part[inner]


def cut_boxes(area: Hole) -> list[tuple[int, int, int, int]]:
    """Return boxes (top, left, height, width) that hold all of `area` [H, W], one a square."""
    boxes = []
    for _, _, (rows, columns) in place_squares(area.shape):  # pyright: ignore[reportArgumentType]
        part = area[rows, columns]
        if part.any():
            y, x = (np.flatnonzero(part.any(axis)) for axis in (1, 0))
            top, left = rows.start + y[0], columns.start + x[0]
            boxes.append((int(top), int(left), int(y[-1] - y[0] + 1), int(x[-1] - x[0] + 1)))
    return boxes


def write_result(folder: Path, photo: Photo, area: Hole) -> list[tuple[int, int, int, int]]:
    """Write what `photo` holds inside `area`, all that was ever filled; return its boxes."""
    boxes = cut_boxes(area)
    numbers = [photo.pixels[y : y + h, x : x + w] for y, x, h, w in boxes]
    held = np.array(boxes, np.int64).reshape(-1, 4)
    Patches(held, numbers).save(folder / "numbers.npz")
    Patches(held, [show_pixels(photo, part) for part in numbers]).save(folder / "shown.npz")
    np.save(folder / "area.npy", np.packbits(area))
    return boxes


def read_result(folder: Path | None, source: Photo) -> tuple[Photo, Hole]:
    """Return `source` as the result in `folder` has it, and all that was ever filled of it."""
    if folder is None:
        return source, np.zeros(source.size, np.bool_)
    pixels = source.pixels.copy()
    Patches.load(folder / "numbers.npz").paste(pixels)
    bits = np.unpackbits(np.load(folder / "area.npy"), count=source.size[0] * source.size[1])
    return replace(source, pixels=pixels), bits.view(np.bool_).reshape(source.size)


def show_pixels(photo: Photo, pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the file's numbers as a screen shows them: uint8 [h, w, 3], gray behind alpha."""
    if photo.mode == "RGB" and not photo.channel:
        return pixels
    rgb: FloatArray = photo.colours(pixels)
    if photo.channel:
        rgb = BACKDROP + photo.opacity(pixels)[..., None] * (rgb - BACKDROP)
    return to_bytes(rgb.clip(0, 1))


def write_view(path: Path, photo: Photo) -> None:
    """Write all of `photo` as a screen shows it, an array [H, W, 3] to be mapped into memory."""
    shape = (*photo.size, 3)
    view = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    for top in range(0, shape[0], STRIP):
        rows = slice(top, top + STRIP)
        view[rows] = show_pixels(photo, photo.pixels[rows])
    view.flush()


def draw_view(
    view: NDArray[np.uint8], patches: Patches | None, box: Sequence[int], size: Sequence[int]
) -> bytes:
    """Return a PNG of `size` (width, height) that shows `box` (x, y, width, height) of a view."""
    import cv2

    x, y, width, height = box
    crop = np.array(view[y : y + height, x : x + width])
    if patches is not None:
        patches.paste(crop, y, x)
    if tuple(size) != (width, height):
        smaller = size[0] * size[1] <= width * height
        crop = cv2.resize(crop, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    bgr = cv2.cvtColor(crop, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return data.tobytes()
