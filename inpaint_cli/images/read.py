"""Open a file that may be anything, and say in a sentence what is wrong with it."""

import io
import stat
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from ..errors import ImageError, blame_path
from ..files.archives import archive_of, read_member
from ..files.pictures import suffix_advice
from .bounds import check_pixels, max_pixels
from .deep import PNG_MAGIC, decode_deep, deep_mode, png_chunks, refuse_cut
from .exif import ORIENTATION, describe_damage, turned, upright, upright_xmp
from .jxl import is_jxl, unpack_jxl
from .photo import MODES, STRIP, Photo
from .remnants import (
    LAYER_TAG,
    claims_of,
    decode_raw_profile,
    erase_pictures,
    holds_picture,
    scrub_chunks,
    scrub_resources,
    scrub_segments,
    scrub_xmp,
)

READ_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "TGA", "JPEG2000", "AVIF")
PNG_CHUNKS = (b"cHRM", b"cICP", b"gAMA", b"sBIT", b"sRGB", b"sPLT", b"tEXt", b"zTXt", b"iTXt")
LATE_CHUNKS = (b"mDCV", b"cLLI", b"bKGD", b"oFFs", b"tIME", b"caBX")  # which Pillow cannot write
XMP_TAG, PHOTOSHOP_TAG = 700, 34377  # of TIFF
LEAST_LIMIT = 2**28  # bytes that a file of any picture may have
DNG_TAG = 50706
HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
LOSSY = {"JPEG", "AVIF", "HEIF"}
TIFF_LOSSY = {"jpeg", "tiff_jpeg", "webp"}
TIFF_LAYOUT = {  # tags that say how pixels lie in the file, or that are written by name
    *(*range(254, 260), 262, 266, 273, ORIENTATION, *range(277, 285), 292, 293, 296, 297),
    *(*range(317, 321), *range(322, 326), 330, 338, 339, 347, *range(512, 515), *range(529, 533)),
}
lock = threading.RLock()


@blame_path
def read_photo(source: Path | bytes, *, name: str = "") -> Photo:
    """Read a photo, turned as its EXIF orientation says, from a file or from its bytes.

    `name` stands for bytes in messages. Of several frames the first is read, with a note.
    Raises `ImageError` for whatever is not a whole photo of a kind that can be filled.
    """
    name = name or (str(source) if isinstance(source, Path) else "the photo")
    data = source if isinstance(source, bytes) else file_contents(source)
    if not data:
        raise ImageError(f"{name} is empty (0 bytes); get the file again")
    if is_jxl(data):
        data, notes = unpack_jxl(data, name)
        photo = read_photo(data, name=name)
        return replace(photo, notes=(*notes, *photo.notes))
    with open_image(data, name) as image:
        try:
            mode = deep_mode(image, data)
            pixels = decode_deep(image, data, mode) if mode else plain_values(image, data)
            with without_warnings():
                return describe(image, data, pixels, mode or image.mode, name)
        except ImageError as error:
            raise ImageError(f"{name} cannot be filled: {error}") from error
        except MemoryError:
            raise ImageError(f"{name} ({megapixels(image)}) does not fit into memory") from None
        except Exception as error:  # a damaged file makes Pillow raise nearly anything
            raise ImageError(f"{name} cannot be read: {read_error_reason(error)}") from error


@blame_path
def file_contents(path: Path) -> bytes:
    """The bytes of a file, a pipe, or a member of an archive."""
    if archive := archive_of(path):
        return read_member(archive, path.relative_to(archive).as_posix())
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            raise ImageError(f"{path} is a folder; give the name of a photo")
        with path.open("rb") as file:
            if path.is_file():
                check_length(path)
                return file.read()
            data = file.read(4 * max_pixels())  # a device may have no end
            if len(data) == 4 * max_pixels():
                raise ImageError(f"{path} does not end; give the name of a photo")
            return data
    except FileNotFoundError as error:
        raise ImageError(f"{path} does not exist; check the name") from error
    except PermissionError as error:
        raise ImageError(f"{path} may not be read; change its permissions") from error
    except (OSError, ValueError) as error:
        raise ImageError(f"{path} cannot be read: {error}") from error


def check_length(path: Path) -> None:
    """Raise `ImageError` where a file is far longer than its picture needs, before it is read."""
    length = path.stat().st_size
    if length <= LEAST_LIMIT:
        return
    try:
        with without_warnings(), Image.open(path, formats=READ_FORMATS) as image:
            limit = LEAST_LIMIT + 16 * image.width * image.height
    except Exception:  # whatever is wrong, decoding its bytes says
        limit = LEAST_LIMIT
    if length > limit:
        raise ImageError(f"{path} has {length:,} bytes, far more than its picture needs")


@contextmanager
def open_image(data: bytes, name: str) -> Iterator[ImageFile.ImageFile]:
    """The image with its header read and found sane, its pixels not decoded yet."""
    formats = READ_FORMATS
    if is_jxl(data):
        data, _ = unpack_jxl(data, name)
    if is_heif(data):
        enable_heif(name)
        formats = (*formats, "HEIF")
    elif advice := content_advice(data, name):
        raise ImageError(f"{name} is {advice}")
    try:
        with without_warnings():
            image = Image.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name} is not a picture, or damaged; what can be read is {', '.join(READ_FORMATS)}"
        ) from error
    except Exception as error:
        raise ImageError(f"{name} cannot be read: {read_error_reason(error)}") from error
    with image:
        if DNG_TAG in getattr(image, "tag_v2", ()):
            raise ImageError(f"{name} is {suffix_advice('a.dng')}")
        if not (image.width and image.height):
            raise ImageError(f"{name} has no pixels ({image.width}x{image.height})")
        check_pixels(name, image.width, image.height)
        yield image


def is_heif(data: bytes) -> bool:
    """Whether these are the bytes of a HEIF or HEIC picture, which AVIF resembles."""
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    listed = {brands[at : at + 4] for at in range(0, len(brands), 4)}
    return data[4:8] == b"ftyp" and bool(listed & HEIF_BRANDS) and not listed & {b"avif", b"avis"}


def enable_heif(name: str) -> None:
    """Let Pillow read and write HEIF; raises `ImageError` where the package is missing."""
    try:
        import pillow_heif  # takes long to import, and few photos need it
    except ImportError as error:
        raise ImageError(
            f"{name} is HEIC: install the package pillow-heif (pip install 'inpaint-cli[heic]'), or"
            " export it as JPEG"
        ) from error
    pillow_heif.register_heif_opener()


def content_advice(data: bytes, name: str) -> str:
    """What `data` is if it cannot be read, by how it begins or by its name, and the way out."""
    if data[:3] == b"\xff\xd8\xff" or data[:8] == PNG_MAGIC:
        return ""
    starts = {b"8BPS": ".psd", b"%PDF": ".pdf"}
    found = (suffix for start, suffix in starts.items() if data.startswith(start))
    kind = ".cr2" if data[8:10] == b"CR" else next(found, "")
    return suffix_advice(f"a{kind}" if kind else name)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(height, width) of an image as displayed, by its header."""
    try:
        sideways = image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
    except Exception:  # damaged EXIF says nothing
        sideways = False
    return (image.width, image.height) if sideways else (image.height, image.width)


def image_size(photo: Path) -> tuple[int, int]:
    """(height, width) of a photo as displayed; only its header is decoded."""
    with open_image(file_contents(photo), str(photo)) as image:
        return upright_size(image)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Pillow without its warnings and without its own limit of pixels, for ours is kept.

    Both are global to the process, so one thread at a time; decoding happens outside.
    """
    with lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def megapixels(image: Image.Image) -> str:
    return f"{image.width * image.height / 1e6:.0f} MP"


def read_error_reason(error: Exception) -> str:
    return f"{str(error).rstrip('.') or type(error).__name__}; get the file again"


def plain_values(image: ImageFile.ImageFile, data: bytes) -> NDArray[Any]:
    """The pixels as Pillow decodes them."""
    refuse_cut(image, data)
    image.load()
    if image.mode not in MODES and not image.mode.startswith("I;16"):
        raise ImageError(f"nothing is known of its mode, {image.mode}; convert it to RGB")
    return copy_pixels(image)


def copy_pixels(image: Image.Image) -> NDArray[Any]:
    """Copy the pixels strip by strip, for `np.asarray` holds all of them three times meanwhile."""
    width, height = image.size
    first = np.asarray(image.crop((0, 0, width, 1)))
    kind = np.uint16 if image.mode.startswith("I;16") else first.dtype
    pixels = np.empty((height, *first.shape[1:]), kind)
    for top in range(0, height, STRIP):
        bottom = min(top + STRIP, height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, width, bottom)))
    return pixels


def describe(image: Image.Image, data: bytes, pixels: NDArray[Any], mode: str, name: str) -> Photo:
    """Return the photo of `pixels` with everything else that the file says."""
    kind = "JPEG" if image.format == "MPO" else str(image.format)
    orientation = read_orientation(image)
    keep, notes = read_metadata(image, data, name)
    if orientation in (5, 6, 7, 8):
        keep["sideways"] = True
        if "dpi" in keep:
            keep["dpi"] = keep["dpi"][::-1]
    keep |= read_traits(image, data, kind)
    if kind == "JPEG" and orientation not in range(2, 9):  # its blocks are written as they are
        keep |= {"source": data, "decoded": pixels}
    mode = "I;16" if mode.startswith("I;16") else mode
    black, white = limits(pixels, mode)
    palette, key = read_transparency(image, mode, kind)
    return Photo(
        name,
        kind,
        mode,
        turned(pixels, orientation),
        black,
        white,
        palette,
        key,
        is_lossless(kind, keep),
        keep,
        tuple(notes),
    )


def read_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 where there is none."""
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF
        return 1


def read_metadata(image: Image.Image, data: bytes, name: str) -> tuple[dict[str, Any], list[str]]:
    """Return the metadata that every format may have, for upright pixels, and notes.

    Whatever shows the photo as it was is left out.
    """
    notes = []
    beside = {"depth_images": "depth map", "aux": "second picture"}  # of HEIF
    claims = [kind for key, kind in beside.items() if image.info.get(key)]
    if (frames := getattr(image, "n_frames", 1)) > 1:
        notes.append(f"{name} has {frames} frames; only the first is read")
    keys = ("icc_profile", "dpi", "comment")
    keep: dict[str, Any] = {key: image.info[key] for key in keys if image.info.get(key)}
    exif = image.info.get("exif")
    for key in ("Raw profile type exif", "Raw profile type APP1"):  # of PNG
        exif = exif or decode_raw_profile(getattr(image, "text", {}).get(key, ""))
    if exif:
        try:
            keep["exif"] = upright(exif)
        except ValueError:
            notes.append(describe_damage(name))
    if isinstance(xmp := image.info.get("xmp"), bytes):
        keep["xmp"] = scrub_xmp(upright_xmp(xmp))
        if not keep["xmp"]:
            notes.append(f"the XMP of {name} holds a picture or is damaged, and is left out")
        claims += claims_of(xmp)
    if claims:
        notes.append(
            f"{name} has a {' and a '.join(dict.fromkeys(claims))} of the photo as it was: left out"
            " of what is written"
        )
    if image.format == "PNG" and any(
        kind == b"caBX" and holds_picture(body) for kind, body in png_chunks(data)
    ):
        notes.append(f"the content credentials of {name} hold a picture of it and are left out")
    return keep, notes


def read_traits(image: Image.Image, data: bytes, kind: str) -> dict[str, Any]:
    """Return what the writer of one format needs besides the metadata of all."""
    if kind == "JPEG":
        return jpeg_traits(image)
    if kind == "TIFF":
        return tiff_traits(image)
    if kind == "PNG":
        found = png_chunks(data)
        chunks = ((key, upright_xmp(body)) for key, body in found if key in PNG_CHUNKS)
        late = [(key, body) for key, body in found if key in LATE_CHUNKS]
        return {
            "chunks": [*scrub_chunks(chunks)],
            "late": [pair for pair in late if not holds_picture(pair[1])],
        }
    if kind == "WEBP":
        return {"lossless": lossless_webp(data)}
    return {"compression": image.info.get("compression")} if kind == "TGA" else {}


def is_lossless(kind: str, keep: Mapping[str, Any]) -> bool:
    """Whether a file of this kind, with these traits, stores its pixels exactly."""
    if kind == "TIFF":
        return keep["compression"] not in TIFF_LOSSY
    return keep["lossless"] if kind == "WEBP" else kind not in LOSSY


def read_transparency(
    image: Image.Image, mode: str, kind: str
) -> tuple[NDArray[np.uint8] | None, tuple[int, ...] | None]:
    """Return the palette as RGBA, and the one colour that means transparent, where there are."""
    transparency = image.info.get("transparency")
    if mode == "P":
        return colours_of(image, transparency), None
    if transparency is None or kind != "PNG":
        return None, None
    key = transparency if isinstance(transparency, tuple) else (transparency,)
    return None, (int(key[0] > 0),) if mode == "1" else key


def jpeg_traits(image: Any) -> dict[str, Any]:
    """Return the compression of the JPEG, and the segments that Pillow would not write."""
    segments = [body for kind, body in getattr(image, "applist", []) if kind == "APP13"]
    (_, *luma, _), *others = image.layer  # (number, horizontal, vertical sampling, table) each
    halved = {(1, 1): 0, (2, 1): 1, (2, 2): 2}.get(tuple(luma), 0)
    return {
        "qtables": image.quantization,
        "subsampling": halved if all(layer[1:3] == (1, 1) for layer in others) else 0,
        "progressive": bool(image.info.get("progressive")),
        "keep_rgb": image.mode == "RGB" and image.info.get("adobe_transform") == 0,
        "extra": scrub_segments(segments),  # Photoshop's, which holds captions
    }


def tiff_traits(image: Image.Image) -> dict[str, Any]:
    tags = image.getexif()
    for tag in TIFF_LAYOUT & set(tags):
        del tags[tag]
    groups = [tags.get_ifd(group) for group in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)]
    for values in (tags, *groups):  # read now, for the file will be closed
        for tag, value in [*values.items()]:
            clean = clean_tag(tag, value)
            if clean is None:
                del values[tag]
            elif clean is not value:
                values[tag] = clean
    tags.tagtype = image.tag_v2.tagtype  # type: ignore[attr-defined]  # its writer guesses else
    return {"compression": image.info.get("compression", "raw"), "tags": tags}


def clean_tag(tag: int, value: Any) -> Any:
    """Return the value of a tag of TIFF without pictures; None where nothing is left of it."""
    if tag == LAYER_TAG:
        return None
    data = value.encode("latin-1", "ignore") if isinstance(value, str) else value
    if not isinstance(data, bytes):
        return value
    if tag == XMP_TAG:
        return scrub_xmp(upright_xmp(data)) or None
    if tag == PHOTOSHOP_TAG:
        return scrub_resources(data) or None
    if not holds_picture(data):
        return value
    body = bytearray(data)
    erase_pictures(body)
    return None if holds_picture(bytes(body)) or isinstance(value, str) else bytes(body)


def lossless_webp(data: bytes) -> bool:
    at = 12
    while at + 8 <= len(data):
        if data[at : at + 4] in (b"VP8L", b"VP8 "):
            return data[at : at + 4] == b"VP8L"
        at += 8 + (int.from_bytes(data[at + 4 : at + 8], "little") + 1) // 2 * 2
    return False


def limits(pixels: NDArray[Any], mode: str) -> tuple[float, float]:
    """The numbers that mean black and white."""
    if mode == "1":
        return 0, 1
    if mode.endswith(";16"):
        return 0, 65535
    if mode not in ("I", "F"):
        return 0, 255
    known = pixels[np.isfinite(pixels)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    for white in (1, 255) if mode == "F" else (65535,):
        if low >= 0 and high <= white:
            return 0, white
    return low, max(high, low + 1)


def colours_of(image: Image.Image, transparency: int | bytes | None) -> NDArray[np.uint8]:
    """The palette [N, 4] as RGBA."""
    rgb = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    palette = np.full((256, 4), 255, np.uint8)  # an index beyond those given is white
    palette[: len(rgb), :3] = rgb
    if isinstance(transparency, bytes):
        palette[: len(transparency), 3] = np.frombuffer(transparency, np.uint8)[: len(palette)]
    elif transparency is not None and transparency < len(palette):
        palette[transparency, 3] = 0
    return palette
