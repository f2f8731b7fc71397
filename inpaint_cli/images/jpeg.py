"""JPEG blocks that hold no changed pixel, carried over as the coefficients they were.

Decoding and encoding anew rounds every block a little. With the package `jpeglib` installed
(the extra "jpeg") only blocks with a changed pixel are encoded; without it nothing here is done.
Its writer knows no progressive files: they become sequential, which is only a little larger.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .photo import Hole


def splice(encoded: bytes, source: bytes, changed: Hole) -> bytes:
    """`encoded` with the blocks of `source` wherever no pixel of `changed` [H, W] lies in them.

    Both must be of one size. Given back as it is where their tables or sampling differ.
    """
    try:
        import jpeglib
    except ImportError:
        return encoded
    with tempfile.TemporaryDirectory() as folder:
        names = [Path(folder, name) for name in ("new.jpg", "source.jpg", "spliced.jpg")]
        try:
            for name, data in zip(names, (encoded, source), strict=False):
                name.write_bytes(data[:2] + divided(data)[1])  # metadata can crash its C code
            new, old = (jpeglib.read_dct(str(name)) for name in names[:2])
            if not alike(new, old):
                return encoded
            carry_over(old, new, changed)
            new.write_dct(str(names[2]))
            return divided(encoded)[0] + divided(names[2].read_bytes())[1]
        except OSError:  # a slightly damaged source, which Pillow takes and jpeglib does not
            return encoded


def carry_over(old: Any, new: Any, changed: Hole) -> None:
    """Put the blocks of `old` in `new` wherever no pixel has changed."""
    sampling = np.asarray(new.samp_factor).reshape(-1, 2)  # vertical, horizontal
    for plane, factor in zip(("Y", "Cb", "Cr", "K"), sampling, strict=False):
        blocks, before = getattr(new, plane), getattr(old, plane)
        high, wide = 8 * sampling.max(0) // factor
        kept = ~pooled(changed, high, wide)
        rows, columns = (min(ends) for ends in zip(kept.shape, blocks.shape, strict=False))
        kept = kept[:rows, :columns]
        blocks[:rows, :columns][kept] = before[:rows, :columns][kept]


def alike(new: Any, old: Any) -> bool:
    """Whether coefficients mean the same in both: one colour space, sampling, quantisation."""
    one, two = (np.asarray(image.qt)[np.asarray(image.quant_tbl_no)] for image in (new, old))
    return (
        new.jpeg_color_space == old.jpeg_color_space
        and new.Y.shape == old.Y.shape
        and (new.Cb is None or np.array_equal(new.samp_factor, old.samp_factor))
        and np.array_equal(one, two)
    )


def pooled(changed: Hole, high: int, wide: int) -> NDArray[np.bool_]:
    """Whether any pixel changed in each block of `high` x `wide` pixels."""
    height, width = changed.shape
    padded = np.zeros((-(-height // high) * high, -(-width // wide) * wide), np.bool_)
    padded[:height, :width] = changed
    return np.logical_or.reduce(padded.reshape(len(padded) // high, high, -1, wide), axis=(1, 3))


def divided(jpeg: bytes) -> tuple[bytes, bytes]:
    """A JPEG as its start with all metadata, and everything that the picture needs."""
    head, body, at = bytearray(jpeg[:2]), bytearray(), 2
    while at + 4 <= len(jpeg) and jpeg[at + 1] != 0xDA:  # start of scan
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        metadata = 0xE0 <= jpeg[at + 1] <= 0xEF or jpeg[at + 1] == 0xFE
        (head if metadata else body).extend(jpeg[at:end])
        at = end
    return bytes(head), bytes(body) + jpeg[at:]
