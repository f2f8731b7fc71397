"""Outlines that annotation programs have written as JSON: COCO and labelme."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from inpaint_cli.api import DataError, Finder, Mask, grow

from .partner import find_partner
from .shapes import draw_polygon

LARGEST = 500_000_000  # bytes of a file
RLE_BASE = 48  # the character that stands for 0 in compressed counts


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; `DataError` where it is none."""
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path} is larger than {LARGEST // 10**6} MB; split it", path=path)
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path} cannot be read as JSON: {error}; check the file", path=path
        ) from error
    if not isinstance(found, dict):
        raise DataError(f"{path} is not an annotation file: it holds no object", path=path)
    return found


class Annotations(Finder):
    """Base of what reads annotation files."""

    limit = 1.0

    file: Path = Field(
        description="The JSON file, or a folder with a file for each photo, of the photo's name."
    )
    label: str | None = Field(default=None, description="Only outlines of this label; null: all.")
    grow: int = Field(default=0, ge=0, le=1000, description="Pixels added around them.")

    def files(self, name) -> list[Path]:
        return [find_partner(self.file, name, frozenset([".json"]))]

    def find(self, rgb, name) -> Mask:
        (path,) = self.files(name)
        mask = np.zeros(rgb.shape[:2], np.bool_)
        try:
            for part in self.outlines(read_json(path), name, rgb.shape[:2]):
                mask |= part
        except (
            TypeError,
            ValueError,
            KeyError,
            IndexError,
            AttributeError,
            OverflowError,
        ) as error:
            raise DataError(
                f"{path} is not an annotation file of this kind ({error!r}); check the file",
                path=path,
            ) from error
        return grow(mask, self.grow)

    def outlines(
        self, found: Mapping[str, Any], name: str, size: tuple[int, int]
    ) -> Iterator[NDArray[np.bool_]]:
        """Yield a mask [H, W] for each outline of the photo `name`."""
        raise NotImplementedError

    def wanted(self, label: Any) -> bool:
        return self.label is None or str(label) == self.label


class LabelMe(Annotations):
    """Outlines drawn with labelme: polygons, rectangles, circles and lines."""

    source = "https://github.com/wkentaro/labelme"

    def outlines(self, found, name, size):
        check_size(found.get("imageHeight"), found.get("imageWidth"), size)
        for shape in found["shapes"]:
            if self.wanted(shape["label"]):
                yield draw_shape(shape.get("shape_type") or "polygon", shape["points"], size)


class COCO(Annotations):
    """Outlines of a COCO file: polygons and run lengths, else boxes."""

    source = "https://cocodataset.org/#format-data"

    def outlines(self, found, name, size):
        pictures = [p for p in found["images"] if Path(p["file_name"]).name == name]
        if not pictures and len(found["images"]) == 1:
            pictures = found["images"]
        if len(pictures) != 1:
            count = len(pictures) or "no"
            raise DataError(
                f"{self.file} has {count} images named {name or 'so'}; rename the photo"
            )
        check_size(pictures[0].get("height"), pictures[0].get("width"), size)
        names = {c["id"]: c["name"] for c in found.get("categories", ())}
        for each in found["annotations"]:
            if each["image_id"] == pictures[0]["id"] and self.wanted(
                names.get(each["category_id"])
            ):
                yield draw_segmentation(each, size)


def check_size(height: Any, width: Any, size: tuple[int, int]) -> None:
    """Raise `DataError` where annotations are of a photo of another size."""
    if height and width and (height, width) != size:
        raise DataError(
            f"the annotations are for {width}x{height}, but the photo is {size[1]}x{size[0]}; use"
            " those of this photo"
        )


def draw_shape(kind: str, points: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the inside of a labelme shape."""
    if kind == "polygon":
        return draw_polygon(points, size)
    first, *others = np.array(points, np.float64)
    if kind == "rectangle":
        (x0, y0), (x1, y1) = first, others[0]
        return draw_polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], size)
    ys, xs = np.mgrid[: size[0], : size[1]] + 0.5
    if kind == "circle":
        return (xs - first[0]) ** 2 + (ys - first[1]) ** 2 <= ((others[0] - first) ** 2).sum()
    raise ValueError(f"a shape of type {kind}")


def draw_segmentation(each: Mapping[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask of a COCO annotation."""
    found = each.get("segmentation")
    if isinstance(found, dict):
        return unpack_runs(found, size)
    if found:
        mask = np.zeros(size, np.bool_)
        for polygon in found:
            mask |= draw_polygon(polygon, size)
        return mask
    x, y, width, height = each["bbox"]
    return draw_polygon([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], size)


def unpack_runs(found: Mapping[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask of run lengths, column by column, that begin with what is not hole."""
    counts = found["counts"]
    if isinstance(counts, str):
        counts = unpack_counts(counts)
    if tuple(found["size"]) != size or sum(counts) != size[0] * size[1] or min(counts) < 0:
        raise ValueError("run lengths of another size")
    values = np.arange(len(counts)) % 2 > 0
    return np.repeat(values, counts).reshape(size[::-1]).T


def unpack_counts(text: str) -> list[int]:
    """Return the run lengths of COCO's compressed form: 5 bits a character, as differences."""
    counts: list[int] = []
    value = shift = 0
    for character in text.encode("ascii"):
        bits = character - RLE_BASE
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts
