"""JPEG blocks that hold no changed pixel, carried over as the coefficients they were.

Decoding and encoding again rounds every block a little. With the package `jpeglib` installed only
blocks with a changed pixel are encoded; without it nothing here is done. Its writer knows no
progressive files: they become sequential, which is only a little larger.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .photo import Hole

PLANES = ("Y", "Cb", "Cr", "K")
BLOCK = 8  # pixels a side
BAND = 64  # units of rows that are encoded at a time, which bounds the memory
Box = tuple[slice, slice]  # rows and columns, in pixels


def splice(encode: Callable[[Box], bytes], source: bytes, changed: Hole) -> bytes | None:
    """Return `source` with new blocks wherever there is one of the `changed` blocks of luma.

    `changed` [H / 8, W / 8] is True for a block of 8 x 8 pixels that holds a changed one. `encode`
    makes a JPEG of a part of the photo, whose metadata the result gets. None where its tables or
    sampling are not those of `source`, or the package is missing.
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
            factors = sampling_factors(old)
            if (factors.max(0) % factors).any():  # blocks of one plane that split those of another
                return None
            encoded = b""
            for box in changed_boxes(changed, *factors.max(0).tolist()):
                encoded = encode(box)
                Path(names[1]).write_bytes(without_metadata(encoded))
                new = jpeglib.read_dct(names[1])
                if not share_tables(new, old):
                    return None
                carry_over(new, old, changed, box)
                old.progressive_mode = new.progressive_mode
            for plane in PLANES:
                if getattr(old, plane) is not None:
                    setattr(old, plane, getattr(old, plane).view(Coefficients))
            old.write_dct(names[2])
            return split_metadata(encoded)[0] + split_metadata(Path(names[2]).read_bytes())[1]
        except OSError:  # a slightly damaged source, which Pillow takes and jpeglib does not
            return None


class Coefficients(np.ndarray[Any, np.dtype[np.int16]]):
    """Coefficients that the writer does not copy: it asks for the type that they have."""

    def astype(self, dtype: Any, *values: Any, copy: bool = False, **named: Any) -> Any:
        return super().astype(dtype, *values, copy=copy, **named)


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


def changed_boxes(changed: Hole, high: int, wide: int) -> Iterator[Box]:
    """Yield rows and columns of pixels that hold all changes, band by band, in units of blocks.

    A unit has `high` x `wide` blocks of luma; it is one unit where nothing changed. The last may
    reach beyond the photo.
    """
    for top in range(0, len(changed), BAND * high):
        band = changed[top : top + BAND * high]
        if band.any() or (top == 0 and not changed.any()):
            rows, columns = unit_span(band, 0, high), unit_span(band, 1, wide)
            yield slice(top * BLOCK + rows.start, top * BLOCK + rows.stop), columns


def unit_span(changed: Hole, axis: int, unit: int) -> slice:
    """Return the pixels from the first to the last change along `axis`, in whole units."""
    places = np.flatnonzero(changed.any(1 - axis))
    first, last = (int(places[0]), int(places[-1])) if places.size else (0, 0)
    return slice(first // unit * unit * BLOCK, (last // unit + 1) * unit * BLOCK)


def carry_over(new: Any, old: Any, changed: Hole, box: Box) -> None:
    """Put the blocks of `new`, which shows `box` alone, into `old` where one has changed."""
    factors = sampling_factors(old)
    part_changed = changed[tuple(slice(s.start // BLOCK, s.stop // BLOCK) for s in box)]
    for plane, factor in zip(PLANES, factors, strict=False):
        blocks, fresh = getattr(old, plane), getattr(new, plane)
        high, wide = (int(n) for n in factors.max(0) // factor)
        top, left = (s.start // BLOCK // unit for s, unit in zip(box, (high, wide), strict=True))
        part = blocks[top : top + fresh.shape[0], left : left + fresh.shape[1]]
        mask = any_in_cells(part_changed, high, wide)
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


def any_in_cells(changed: Hole, high: int, wide: int) -> NDArray[np.bool_]:
    """Whether any is True in each cell of `high` x `wide`."""
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
