"""Masks on their way between the page and the server: squares of bits, only those that matter.

A record of the format is the column and the row of a square (little-endian, 16 bits each), and
its `SIDE` x `SIDE` pixels as bits, row by row, the most significant first; 1 is the hole. Pixels
beyond the photo are 0.
"""

from collections.abc import Iterator

import numpy as np

from ..errors import ImageError
from ..images.photo import Hole

SIDE = 512  # pixels
RECORD = np.dtype([("column", "<u2"), ("row", "<u2"), ("bits", "u1", (SIDE, SIDE // 8))])


def place_squares(shape: tuple[int, int]) -> Iterator[tuple[int, int, tuple[slice, slice]]]:
    """Yield column, row and slices of the squares of a photo of `shape` (height, width)."""
    for top in range(0, shape[0], SIDE):
        for left in range(0, shape[1], SIDE):
            box = slice(top, min(top + SIDE, shape[0])), slice(left, min(left + SIDE, shape[1]))
            yield left // SIDE, top // SIDE, box


def pack_mask(mask: Hole) -> bytes:
    """Return the squares of `mask` [H, W] that hold any hole.

    >>> len(pack_mask(np.eye(600, dtype=bool))) // RECORD.itemsize
    2
    """
    records = []
    for column, row, box in place_squares(mask.shape):  # pyright: ignore[reportArgumentType]
        if (part := mask[box]).any():
            record = np.zeros((), RECORD)
            record["column"], record["row"] = column, row
            bits = np.packbits(part, axis=1)
            record["bits"][: bits.shape[0], : bits.shape[1]] = bits
            records.append(record.tobytes())
    return b"".join(records)


def unpack_squares(data: bytes, mask: Hole) -> None:
    """Write the squares of `data` into `mask` [H, W]; `ImageError` where they do not fit."""
    if len(data) % RECORD.itemsize:
        raise ImageError("the mask was cut off on its way; try again")
    for record in np.frombuffer(data, RECORD):
        top, left = int(record["row"]) * SIDE, int(record["column"]) * SIDE
        part = mask[top : top + SIDE, left : left + SIDE]
        if not part.size:
            raise ImageError("the mask reaches beyond the photo; load the photo again")
        bits = np.unpackbits(record["bits"], axis=1).view(np.bool_)
        part[:] = bits[: part.shape[0], : part.shape[1]]
