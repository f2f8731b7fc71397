"""Colour at sixteen bits a channel, which Pillow cuts to eight: PNG, TIFF and PPM.

Arrays are uint16 [H, W, C] in the order R G B A (or gray, alpha).
"""

import io
import struct
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

from ..errors import ImageError

Deep = NDArray[np.uint16]
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def deep_mode(image: ImageFile.ImageFile, data: bytes) -> str | None:
    """ "RGB;16", "RGBA;16" or "LA;16" where the file is deeper than the mode Pillow gives it."""
    if image.format == "PNG":  # bits and kind of colour, from the header that comes first
        return {2: "RGB;16", 4: "LA;16", 6: "RGBA;16"}.get(data[25]) if data[24] == 16 else None
    if image.mode not in ("RGB", "RGBA"):
        return None
    if image.format == "TIFF":
        deep = max(image.tag_v2.get(258, (8,))) > 8  # type: ignore[attr-defined]
    else:
        deep = image.format == "PPM" and ppm_maximum(image) > 255
    return f"{image.mode};16" if deep else None


def decode_deep(image: ImageFile.ImageFile, data: bytes, mode: str) -> Deep:
    """Read at full depth what `image` has opened; `ImageError` says why it cannot be done."""
    if image.format == "PPM":
        if ppm_maximum(image) != 65535:
            raise ImageError("its largest value is neither 255 nor 65535; convert it to PNG")
        values = np.frombuffer(data, ">u2", image.width * image.height * 3, image.tile[0].offset)
        return values.reshape(image.height, image.width, 3).astype(np.uint16)
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        if tags.get(258) != (16,) * (4 if mode == "RGBA;16" else 3) or tags.get(262, 2) > 2:
            raise ImageError("above 8 bits a channel a TIFF must be RGB or gray; convert it")
        if 1 in tags.get(338, ()):
            raise ImageError("its colours are multiplied by alpha; save it with straight alpha")
    import cv2  # takes 0.1 s, and few photos are this deep

    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    cv2.utils.logging.setLogLevel(level)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3:
        raise ImageError("its 16 bits a channel cannot be decoded; convert it to PNG")
    order = {"RGB;16": [2, 1, 0], "RGBA;16": [2, 1, 0, 3], "LA;16": [-2, -1]}[mode]
    pixels = pixels[..., order].astype(np.uint16)
    if image.format == "TIFF":  # of which there are more kinds than decoders agree on
        image.load()
        if not np.array_equal(pixels >> 8, np.asarray(image)):
            raise ImageError("its 16 bits a channel cannot be decoded; convert it to PNG")
    return pixels


def refuse_cut(image: ImageFile.ImageFile, data: bytes) -> None:
    """Raise `ImageError` where Pillow would silently cut or misread what the file holds."""
    tags = getattr(image, "tag_v2", {})
    bits = image.info.get("bit_depth", tags.get(258, (8,))[0])  # HEIF says so
    if image.format == "JPEG2000" and not image.mode.startswith("I;16"):
        at = data.find(b"\xff\x51") + 40  # component size in the SIZ marker segment
        bits = 1 + (data[at] & 127)
    elif image.format == "AVIF":
        at = data.find(b"av1C")
        bits = 10 if at > 0 and data[at + 6] & 64 else 8
    if bits not in (1, 2, 4, 8, 16, 32) or (bits > 8 and image.mode[0] not in "IF"):
        raise ImageError(f"its {bits} bits a channel would be cut to 8; convert it to 16-bit PNG")
    if bits > 8 and tags.get(262) == 0:
        raise ImageError("its white is 0 instead of the largest number; invert it first")


def ppm_maximum(image: ImageFile.ImageFile) -> int:
    """The largest value of a P6 file; Pillow has its own decoder only where that is not 255."""
    args = image.tile[0].args
    return int(args[1]) if image.tile[0].codec_name == "ppm" and args else 255


def encode_png(pixels: Deep, frame: bytes) -> bytes:
    """A PNG of `pixels` that has the metadata of `frame`, another PNG."""
    height, width, channels = pixels.shape
    colour = {2: 4, 3: 2, 4: 6}[channels]
    rows = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = 2  # each row less the one above
    filtered[0, 1:], filtered[1:, 1:] = rows[0], rows[1:] - rows[:-1]
    own = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0),
        b"IDAT": zlib.compress(filtered.data, 3),
    }
    return PNG_MAGIC + b"".join(
        png_chunk(kind, own.get(kind, body)) for kind, body in png_chunks(frame)
    )


def png_chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks (kind, body) of a PNG, as far as they are whole."""
    found, at = [], len(PNG_MAGIC)
    while at + 12 <= len(png):
        (length,) = struct.unpack_from(">I", png, at)
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def insert_chunks(png: bytes, chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return `png` with more chunks (kind, body) before its pixels."""
    at = png.index(b"IDAT") - 4
    return png[:at] + b"".join(png_chunk(*chunk) for chunk in chunks) + png[at:]


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def encode_ppm(pixels: Deep) -> bytes:
    height, width, _ = pixels.shape
    return b"P6\n%d %d\n65535\n" % (width, height) + pixels.astype(">u2").tobytes()


def encode_tiff(pixels: Deep, tags: dict[int, Any], *, dpi: Any, icc_profile: Any) -> bytes:
    """A TIFF with lossless compression and the plain text `tags`."""
    import tifffile

    text = [(n, "s", 0, value, True) for n, value in tags.items() if isinstance(value, str)]
    out = io.BytesIO()
    resolution = (float(dpi[0]), float(dpi[1])) if dpi else None  # not Pillow's own rationals
    tifffile.imwrite(
        out,
        pixels,
        photometric="rgb",
        compression="adobe_deflate",
        predictor=True,
        extrasamples=["unassalpha"] if pixels.shape[-1] == 4 else None,
        resolution=resolution,
        resolutionunit="inch" if dpi else None,
        iccprofile=icc_profile,
        extratags=text,
        metadata=None,
        software=False,
    )
    return out.getvalue()
