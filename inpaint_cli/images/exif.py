"""Metadata that must change because the pixels did: orientation and embedded previews.

Everything else in an EXIF block stays byte for byte, maker notes included, which is why it is
edited in place, not parsed and written again.
"""

import re
import struct

import numpy as np
from numpy.typing import NDArray

ORIENTATION = 0x0112
HEAD = b"Exif\0\0"
THUMBNAIL = (0x0201, 0x0202)  # where it starts, how long it is


def upright(exif: bytes) -> bytes:
    """The block with the head that JPEG wants, with orientation 1 and without its preview.

    The preview would show what was removed. Raises `ValueError` where the block is damaged.
    """
    body = bytearray(exif.removeprefix(HEAD))
    try:
        order = {b"II": "<", b"MM": ">"}[bytes(body[:2])]
        (start,) = struct.unpack_from(order + "I", body, 4)
        following = start + 2 + 12 * struct.unpack_from(order + "H", body, start)[0]
        for at in range(start + 2, following, 12):
            if struct.unpack_from(order + "H", body, at)[0] == ORIENTATION:
                struct.pack_into(order + "HIHH", body, at + 2, 3, 1, 1, 0)
        (preview,) = struct.unpack_from(order + "I", body, following)
        if preview:
            struct.pack_into(order + "I", body, following, 0)
            erase(body, order, preview)
    except (KeyError, struct.error) as error:
        raise ValueError("the block ends before its entries do") from error
    return HEAD + bytes(body)


def erase(body: bytearray, order: str, start: int) -> None:
    """Overwrite the thumbnail that the directory at `start` points to."""
    (count,) = struct.unpack_from(order + "H", body, start)
    entries = [struct.unpack_from(order + "HHII", body, start + 2 + 12 * n) for n in range(count)]
    begin, length = (next((e[3] for e in entries if e[0] == tag), 0) for tag in THUMBNAIL)
    end = min(begin + length, len(body))
    if begin:
        body[begin:end] = bytes(max(0, end - begin))


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
