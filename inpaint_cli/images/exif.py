"""Metadata that must change because the pixels did: orientation and embedded previews.

Everything else in an EXIF block stays byte for byte, maker notes included, which is why it is
edited in place, not parsed and written again.
"""

import re
import struct

import numpy as np
from numpy.typing import NDArray

from .remnants import erase_pictures

ORIENTATION = 0x0112
EXIF_POINTER = 0x8769
SIZE_TAGS = {0x0100: 0, 0x0101: 1, 0xA002: 0, 0xA003: 1}  # of a picture: its width, its height
PLACE_TAGS = {0x9214, 0xA214}  # where in the picture its subject is
HEAD = b"Exif\0\0"
PREVIEWS = ((0x0201, 0x0202), (0x0111, 0x0117))  # where they start, how long they are
EMPTY = {330, 700, 34377, 37724}  # pages, XMP, and what Photoshop puts into TIFF: not for a photo
SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
}  # bytes of types


def upright(exif: bytes) -> bytes:
    """The block with the head that JPEG wants, with orientation 1 and without any picture.

    Previews would show what was removed: those that directories point to and those in maker
    notes. Raises `ValueError` where the block is damaged.
    """
    body = bytearray(exif.removeprefix(HEAD))
    try:
        order = {b"II": "<", b"MM": ">"}[bytes(body[:2])]
        (start,) = struct.unpack_from(order + "I", body, 4)
        following = start + 2 + 12 * struct.unpack_from(order + "H", body, start)[0]
        for at in range(start + 2, following, 12):
            tag = struct.unpack_from(order + "H", body, at)[0]
            if tag == ORIENTATION:
                struct.pack_into(order + "HIHH", body, at + 2, 3, 1, 1, 0)
            elif tag in EMPTY:
                erase_entry(body, order, at)
        (preview,) = struct.unpack_from(order + "I", body, following)
        struct.pack_into(order + "I", body, following, 0)
        seen = set()
        while preview and preview not in seen:  # the preview's directory, and whatever follows it
            seen.add(preview)
            preview = erase_directory(body, order, preview)
    except (KeyError, struct.error) as error:
        raise ValueError("the block ends before its entries do") from error
    erase_pictures(body)
    return HEAD + bytes(body)


def describe_damage(name: str) -> str:
    """Return a note on a photo whose block `upright` refuses."""
    return f"the EXIF block of {name} is damaged and left out of what is written"


def erase_directory(body: bytearray, order: str, start: int) -> int:
    """Overwrite a directory and the pictures that it points to; return where the next begins."""
    (count,) = struct.unpack_from(order + "H", body, start)
    places = range(start + 2, start + 2 + 12 * count, 12)
    values = {
        struct.unpack_from(order + "H", body, at)[0]: numbers(body, order, at) for at in places
    }
    (following,) = struct.unpack_from(order + "I", body, start + 2 + 12 * count)
    for begins, lengths in PREVIEWS:
        for begin, length in zip(values.get(begins, ()), values.get(lengths, ()), strict=False):
            end = min(begin + length, len(body))
            body[begin:end] = bytes(max(0, end - begin))
    for at in places:
        erase_entry(body, order, at)
    body[start : start + 2] = bytes(2)
    return following


def numbers(body: bytearray, order: str, at: int) -> tuple[int, ...]:
    """Return the values of the entry at `at` where they are whole numbers."""
    kind, count, place = struct.unpack_from(order + "HII", body, at + 2)
    if kind not in (3, 4) or count > len(body):
        return ()
    inside = SIZES[kind] * count <= 4
    form = f"{order}{count}{'H' if kind == 3 else 'I'}"
    return struct.unpack_from(form, body, at + 8 if inside else place)


def erase_entry(body: bytearray, order: str, at: int) -> None:
    """Overwrite what the entry at `at` holds; the entry stays, with zeros."""
    kind, count, place = struct.unpack_from(order + "HII", body, at + 2)
    size = SIZES.get(kind, 1) * count
    begin, end = (at + 8, at + 12) if size <= 4 else (place, min(place + size, len(body)))
    body[begin:end] = bytes(max(0, end - begin))


def resize_exif(exif: bytes, width: int, height: int) -> bytes:
    """The block for a canvas of `width` x `height`, as it says it; without places of subjects.

    Raises `ValueError` where the block is damaged.
    """
    body = bytearray(exif.removeprefix(HEAD))
    try:
        order = {b"II": "<", b"MM": ">"}[bytes(body[:2])]
        (start,) = struct.unpack_from(order + "I", body, 4)
        if camera := resize_directory(body, order, start, (width, height)):
            resize_directory(body, order, camera, (width, height))
    except (KeyError, struct.error) as error:
        raise ValueError("the block ends before its entries do") from error
    return HEAD + bytes(body)


def resize_directory(body: bytearray, order: str, start: int, size: tuple[int, int]) -> int:
    """Write `size` into a directory, drop its places; return where the camera's begins, or 0."""
    camera, at = 0, start + 2
    while at < start + 2 + 12 * struct.unpack_from(order + "H", body, start)[0]:
        tag, _, _, value = struct.unpack_from(order + "HHII", body, at)
        if tag in PLACE_TAGS:
            drop_entry(body, order, start, at)
            continue
        if tag in SIZE_TAGS:
            struct.pack_into(order + "HHII", body, at, tag, 4, 1, size[SIZE_TAGS[tag]])
        elif tag == EXIF_POINTER:
            camera = value
        at += 12
    return camera


def drop_entry(body: bytearray, order: str, start: int, at: int) -> None:
    """Overwrite what the entry at `at` holds, and take it out of the directory at `start`."""
    erase_entry(body, order, at)
    (count,) = struct.unpack_from(order + "H", body, start)
    end = start + 2 + 12 * count + 4  # after the place of the next directory
    body[at : end - 12] = body[at + 12 : end]
    body[end - 12 : end] = bytes(12)
    struct.pack_into(order + "H", body, start, count - 1)


def resize_xmp(xmp: bytes, width: int, height: int) -> bytes:
    """The packet with the size of its picture, where it has one, set to `width` x `height`."""
    for names, side in (
        (rb"exif:PixelXDimension|tiff:ImageWidth", width),
        (rb"exif:PixelYDimension|tiff:ImageLength", height),
    ):
        xmp = re.sub(rb"((?:%b)(?:=[\"']|>))[0-9]+" % names, rb"\g<1>%d" % side, xmp)
    return xmp


def upright_xmp(xmp: bytes) -> bytes:
    """The packet with its orientation, if it has one, set to 1."""
    return re.sub(rb"(tiff:Orientation(?:=[\"']|>))[0-9]", rb"\g<1>1", xmp)


def turned(pixels: NDArray, orientation: int) -> NDArray:
    """`pixels` [H, W, ...] as they are meant to be seen (EXIF 2.3, orientation 1 to 8)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
