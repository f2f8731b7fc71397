"""JPEG blocks that hold no changed pixel, carried over as the coefficients they were.

Decoding and encoding again rounds every block a little. With the package `jpeglib` installed only
blocks with a changed pixel are encoded; without it nothing here is done. Its writer knows no
progressive files: they become sequential, which is only a little larger.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .photo import Hole

PLANES = ("Y", "Cb", "Cr", "K")
Box = tuple[slice, slice]  # rows and columns, in pixels or in blocks


def splice(encode: Callable[[Box], bytes], source: bytes, changed: Hole) -> bytes | None:
    """Return `source` with new blocks wherever a pixel of `changed` [H, W] is in them.

    `encode` makes a JPEG of a part of the photo, whose metadata the result gets. None where its
    tables or sampling are not those of `source`, or the package is missing.
    """
    try:
        import jpeglib
    except ImportError:
        return None
    with tempfile.TemporaryDirectory() as folder:
        names = [str(Path(folder, name)) for name in ("source.jpg", "new.jpg", "spliced.jpg")]
        try:
            Path(names[0]).write_bytes(without_metadata(source))
            old = jpeglib.read_dct(names[0])
            unit = 8 * sampling_factors(old).max(0)
            box = changed_box(changed, *unit)
            encoded = encode(box)
            Path(names[1]).write_bytes(without_metadata(encoded))
            new = jpeglib.read_dct(names[1])
            if not share_tables(new, old):
                return None
            carry_over(new, old, changed, box)
            old.progressive_mode = new.progressive_mode
            del new  # the writer takes three times the size of the coefficients
            old.write_dct(names[2])
            return split_metadata(encoded)[0] + split_metadata(Path(names[2]).read_bytes())[1]
        except OSError:  # a slightly damaged source, which Pillow takes and jpeglib does not
            return None


def can_splice() -> bool:
    """Whether the package is installed."""
    try:
        import jpeglib
    except ImportError:
        return False
    return bool(jpeglib)


def sampling_factors(image: Any) -> NDArray[np.int64]:
    """Return the sampling [planes, 2] of each plane, vertical and horizontal."""
    return np.asarray(image.samp_factor, np.int64).reshape(-1, 2)


def changed_box(changed: Hole, high: int, wide: int) -> Box:
    """Return the rows and columns that hold all changes, in whole units of `high` x `wide`.

    One unit where nothing changed. The last unit ends with the photo.
    """
    ends = []
    for axis, unit in ((1, int(high)), (0, int(wide))):
        used = np.flatnonzero(changed.any(axis))
        first, last = (used[0], used[-1]) if used.size else (0, 0)
        start, stop = first // unit * unit, (last // unit + 1) * unit
        ends.append(slice(int(start), int(min(stop, changed.shape[1 - axis]))))
    return ends[0], ends[1]


def carry_over(new: Any, old: Any, changed: Hole, box: Box) -> None:
    """Put the blocks of `new`, which shows `box` alone, into `old` where a pixel has changed."""
    factors = sampling_factors(old)
    for plane, factor in zip(PLANES, factors, strict=False):
        blocks, fresh = getattr(old, plane), getattr(new, plane)
        high, wide = (int(n) for n in 8 * factors.max(0) // factor)
        top, left = box[0].start // high, box[1].start // wide
        part = blocks[top : top + fresh.shape[0], left : left + fresh.shape[1]]
        mask = block_changes(changed[box], high, wide)
        rows, columns = (min(sizes) for sizes in zip(mask.shape, part.shape, strict=False))
        mask = mask[:rows, :columns, None, None]
        np.copyto(part[:rows, :columns], fresh[:rows, :columns], where=mask)


def share_tables(new: Any, old: Any) -> bool:
    """Whether coefficients mean the same in both: one colour space, sampling, quantisation."""
    one, two = (np.asarray(image.qt)[np.asarray(image.quant_tbl_no)] for image in (new, old))
    return (
        new.jpeg_color_space == old.jpeg_color_space
        and (new.Cb is None) == (old.Cb is None)
        and (new.Cb is None or np.array_equal(new.samp_factor, old.samp_factor))
        and np.array_equal(one, two)
    )


def block_changes(changed: Hole, high: int, wide: int) -> NDArray[np.bool_]:
    """Whether any pixel changed in each block of `high` x `wide` pixels."""
    height, width = changed.shape
    padded = np.zeros((-(-height // high) * high, -(-width // wide) * wide), np.bool_)
    padded[:height, :width] = changed
    return np.logical_or.reduce(padded.reshape(len(padded) // high, high, -1, wide), axis=(1, 3))


def without_metadata(jpeg: bytes) -> bytes:
    """Return what a decoder of the picture needs; metadata can crash the C code of jpeglib."""
    return jpeg[:2] + split_metadata(jpeg)[1]


def split_metadata(jpeg: bytes) -> tuple[bytes, bytes]:
    """Return the start of a JPEG with all metadata, and everything that the picture needs."""
    head, body, at = bytearray(jpeg[:2]), bytearray(), 2
    while at + 4 <= len(jpeg) and jpeg[at + 1] != 0xDA:  # start of scan
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        metadata = 0xE0 <= jpeg[at + 1] <= 0xEF or jpeg[at + 1] == 0xFE
        (head if metadata else body).extend(jpeg[at:end])
        at = end
    return bytes(head), bytes(body) + jpeg[at:]
