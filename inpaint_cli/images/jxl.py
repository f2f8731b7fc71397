"""JPEG XL, unpacked into a file that everything else knows: its JPEG where it holds one, or a PNG.

A JPEG that was packed comes out as the file it was, byte for byte.
"""

import io
import struct
from collections.abc import Iterator

from PIL import Image

from ..errors import ImageError
from .bounds import check_pixels
from .exif import describe_damage, upright

CODESTREAM, CONTAINER = b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"
RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
LENGTHS = 9, 13, 18, 30  # bits of a side
DEPTHS = 8, 10, 12  # bits of a channel
BOXES = {b"jxlc": 0, b"jxlp": 4}  # that hold the codestream, and where in them it begins
INTEGER_MODES = {"L", "LA", "RGB", "RGBA", "I;16"}


def is_jxl(data: bytes) -> bool:
    return data.startswith((CODESTREAM, CONTAINER))


def unpack_jxl(data: bytes, name: str) -> tuple[bytes, tuple[str, ...]]:
    """Return a JPEG or a PNG of the picture, and notes on what is left out.

    A header that claims too many pixels is refused before anything is decoded. Raises `ImageError`
    also where the package that reads JPEG XL is missing, or the file damaged.
    """
    try:
        import pillow_jxl  # an extra
    except ImportError as error:
        raise ImageError(
            f"{name} is JPEG XL: install the package pillow-jxl-plugin (pip install"
            " 'inpaint-cli[jxl]'), or convert it to PNG, or back to its JPEG"
        ) from error
    try:
        width, height, notes = read_header(find_codestream(data), name)
    except (ValueError, struct.error) as error:
        raise ImageError(f"{name} is damaged JPEG XL: {error}; get the file again") from error
    check_pixels(name, width, height)
    try:
        packed, info, pixels, profile, boxes = pillow_jxl.Decoder()(data)
    except Exception as error:  # of its Rust code, with advice for who builds it
        raise ImageError(f"{name} is damaged JPEG XL; get the file again") from error
    if packed:
        return pixels, notes
    if info.mode not in INTEGER_MODES:
        raise ImageError(f"{name} is JPEG XL of floats, which is not read: export it as PNG")
    out, exif = io.BytesIO(), b""
    for box in boxes:
        if box.box_type == b"Exif":  # the place where it begins comes first, if it is by the book
            block = box.data if box.data[:2] in (b"II", b"MM") else box.data[4:]
            try:
                exif = upright(block)  # the decoder has turned the picture
            except ValueError:
                notes += (describe_damage(name),)
    image = Image.frombytes(info.mode, (info.width, info.height), pixels)
    image.save(out, "PNG", icc_profile=profile, exif=exif, compress_level=0)
    return out.getvalue(), notes


def find_codestream(data: bytes) -> bytes:
    """Return the beginning of the codestream, which has the header."""
    if data.startswith(CODESTREAM):
        return data
    for kind, body in split_boxes(data):
        if kind in BOXES:
            return body[BOXES[kind] :]
    raise ValueError("it has no codestream")


def split_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and the content of each box of a container (ISO/IEC 18181-2)."""
    at = 0
    while at + 8 <= len(data):
        length, start = struct.unpack_from(">I", data, at)[0], 8
        if length == 1:
            (length,), start = struct.unpack_from(">Q", data, at + 8), 16
        length = length or len(data) - at
        if length < start:
            raise ValueError("a box of it is shorter than its own header")
        yield data[at + 4 : at + 8], data[at + start : at + length]
        at += length


def read_header(codestream: bytes, name: str) -> tuple[int, int, tuple[str, ...]]:
    """Return width, height and notes, by the headers of ISO/IEC 18181-1, annex D."""
    if not codestream.startswith(CODESTREAM):
        raise ValueError("its codestream does not begin as one")
    number, used = int.from_bytes(codestream[2:66], "little"), 0

    def bits(count: int) -> int:
        nonlocal used
        used += count
        if used > 8 * len(codestream[2:66]):
            raise ValueError("its header is cut")
        return number >> (used - count) & ((1 << count) - 1)

    def read_size() -> tuple[int, int]:
        small = bits(1)

        def side() -> int:
            return 8 * (bits(5) + 1) if small else bits(LENGTHS[bits(2)]) + 1

        height, ratio = side(), bits(3)
        if not ratio:
            return side(), height
        wide, high = RATIOS[ratio]
        return height * wide // high, height

    width, height = read_size()
    notes, animated = [], 0
    if not bits(1):  # not all is as usual
        if bits(1):  # there is more than depth and channels
            bits(3)  # the orientation
            if bits(1):
                read_size()  # at which it is to be shown
            previewed, animated = bits(1), bits(1)
            if previewed:
                return width, height, ()
        if animated:
            notes.append(f"{name} has several frames; only the first is read")
        elif not bits(1):  # whole numbers
            choice = bits(2)
            depth = bits(6) + 1 if choice == 3 else DEPTHS[choice]
            if depth > 8:
                notes.append(f"{name} has {depth} bits a channel, colours of which are read with 8")
    return width, height, tuple(notes)
