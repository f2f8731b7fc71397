"""A larger canvas for a photo, and what its metadata then says of size and places."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import ExifTags

from ..errors import ImageError
from .bounds import max_pixels
from .exif import PLACE_TAGS, SIZE_TAGS, resize_exif, resize_xmp
from .photo import Photo
from .remnants import chunk_text, drop_places

Sides = tuple[int, int, int, int]  # pixels added to the left, top, right and bottom


def extend(photo: Photo, sides: Sides) -> Photo:
    """Return `photo` with a margin of `sides` pixels, which repeats its border and is opaque.

    Its own pixels stay as they are. What its metadata says of size is corrected; what it says of
    places in the picture is dropped. Raises `ImageError` where that is more than is ever read.
    """
    left, top, right, bottom = sides
    height, width = photo.size[0] + top + bottom, photo.size[1] + left + right
    if height * width > max_pixels():
        raise ImageError(
            f"{photo.name} would have {width}x{height} pixels when extended, more than"
            f" {max_pixels() / 1e6:.0f} MP; extend it by less, or set INPAINT_MAX_PIXELS higher"
        )
    around = ((top, bottom), (left, right), (0, 0))[: photo.pixels.ndim]
    pixels = np.pad(photo.pixels, around, "edge")
    larger = replace(photo, pixels=pixels, keep=resize_metadata(photo.keep, width, height))
    if photo.channel is not None:
        for rows in larger.strips():
            margin = larger.opacity(pixels[rows]) < 1
            inside = slice(max(0, top - rows.start), max(0, height - bottom - rows.start))
            margin[inside, left : width - right] = False
            if margin.any():
                old = pixels[rows][margin]
                pixels[rows][margin] = photo.numbers(photo.colours(old), old, opaque=True)
    return larger


def resize_metadata(keep: Mapping[str, Any], width: int, height: int) -> dict[str, Any]:
    """Return what writers keep of a photo, for a canvas of `width` x `height`.

    Blocks of a JPEG are left out: they are the smaller photo's.
    """
    new = {key: value for key, value in keep.items() if key not in ("source", "decoded")}
    if "source" in keep:
        new["extended"] = True
    if "exif" in new:
        new["exif"] = resize_exif(new["exif"], width, height)
    if "xmp" in new:
        new["xmp"] = drop_places(resize_xmp(new["xmp"], width, height))
    if "tags" in new:
        new["tags"] = tags = copy.deepcopy(new["tags"])
        for values in (tags, tags.get_ifd(ExifTags.IFD.Exif)):
            for tag in {*values} & {*SIZE_TAGS, *PLACE_TAGS}:
                del values[tag]
    if "chunks" in new:
        new["chunks"] = [resize_chunk(kind, body, width, height) for kind, body in new["chunks"]]
    return new


def resize_chunk(kind: bytes, body: bytes, width: int, height: int) -> tuple[bytes, bytes]:
    """Return a chunk of a PNG, which may hold XMP, for another canvas."""
    keyword, text = chunk_text(kind, body)
    if keyword != b"XML:com.adobe.xmp":
        return kind, body
    return b"iTXt", keyword + bytes(5) + drop_places(resize_xmp(text, width, height))
