"""Write a photo as its file was, or as another format with a note on what that loses."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, PngImagePlugin

from ..errors import ImageError
from ..files.pictures import picture_format
from ..files.write import atomic_path
from .deep import encode_png, encode_ppm, encode_tiff, insert_chunks
from .jpeg import BLOCK, any_in_cells, can_splice, splice
from .photo import GRAY, LUMA, STRIP, WITH_ALPHA, FloatArray, Hole, Photo, to_pillow
from .read import colours_of, enable_heif, read_photo

WRITES = {  # the modes that each format can hold
    format: set(modes.split())
    for format, modes in {
        "JPEG": "L RGB CMYK",
        "PNG": "1 L LA P RGB RGBA I;16 RGB;16 RGBA;16 LA;16",
        "WEBP": "RGB RGBA",
        "TIFF": "1 L LA P RGB RGBA RGBX CMYK LAB I F I;16 RGB;16 RGBA;16",
        "BMP": "1 L P RGB RGBA",
        "GIF": "L P",
        "PPM": "1 L RGB I I;16 F RGB;16",
        "TGA": "L LA P RGB RGBA",
        "JPEG2000": "L LA RGB RGBA I;16",
        "AVIF": "RGB RGBA",
        "HEIF": "RGB RGBA",
    }.items()
}
METADATA = {"icc_profile": "colour profile", "exif": "EXIF", "tags": "tags"}
HOLDS_METADATA = {"JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF"}
LEVEL = 3  # of PNG: on photos not larger than Pillow's 6, and more than twice as fast
QUALITY = 95  # of lossy files whose own quality cannot be known: new ones, WebP, AVIF


def write_photo(
    photo: Photo, path: Path, *, overwrite: bool = False, quality: int | None = None
) -> tuple[str, ...]:
    """Write `photo` whole or not at all, in the format of the suffix; give notes for the user.

    Without a suffix the format stays the photo's. `quality` (1 to 100) replaces what a lossy
    file would take over from its source.
    """
    format = picture_format(path) if path.suffix else photo.format
    data, notes = encode(photo, format, quality=quality)
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(data)
    return notes


def encode(
    photo: Photo, format: str | None = None, *, quality: int | None = None
) -> tuple[bytes, tuple[str, ...]]:
    """The bytes of `photo` as a file of `format` (its own by default), and notes on losses."""
    format = format or photo.format
    if format == "HEIF":
        enable_heif(photo.name)
    fitted, notes = fit(photo, format)
    settings = traits(fitted, format, quality)
    notes += describe_compression(fitted, format, settings)
    try:
        if fitted.mode.endswith(";16") and fitted.mode != "I;16":
            return encode_deep(fitted, format, settings), notes
        spliced = splice_blocks(fitted, settings) if "qtables" in settings else None
        return spliced or encode_pillow(fitted, format, settings), notes
    except Exception as error:  # sizes and tags that a format cannot hold: Pillow raises anything
        raise ImageError(
            f"{photo.name} cannot be written as {format}: {error}; choose another format"
        ) from error


def describe_compression(photo: Photo, format: str, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a note where pixels outside the hole change because all are compressed again."""
    again = format in ("AVIF", "HEIF") or (format == "WEBP" and not settings["lossless"])
    if again:
        return (
            f"{photo.name} is compressed again as {format}, which changes pixels outside the hole a"
            " little: --verify says by how much, PNG keeps them",
        )
    if "extended" in photo.keep and "qtables" in settings:
        return (
            f"all of {photo.name} is compressed again, for its canvas is larger: --verify says what"
            " that changes, PNG keeps all pixels",
        )
    if "source" in photo.keep and "qtables" in settings and not can_splice():
        return (
            f"all of {photo.name} is compressed again: with the package jpeglib, blocks without a"
            " hole stay as they are",
        )
    return ()


def encode_pillow(photo: Photo, format: str, settings: Mapping[str, Any]) -> bytes:
    """Return the file that Pillow writes of the photo's pixels."""
    out = io.BytesIO()
    image = to_pillow(photo.pixels, photo.mode)
    if photo.palette is not None:
        image.putpalette(photo.palette[:, :3].tobytes(), "RGB")
    image.save(out, format, **settings)
    if format == "PNG" and photo.keep.get("late"):
        return insert_chunks(out.getvalue(), photo.keep["late"])
    return out.getvalue()


def splice_blocks(photo: Photo, settings: Mapping[str, Any]) -> bytes | None:
    """Return the JPEG of `photo` in which blocks without a changed pixel are those of its source.

    None where there is no such source, or its blocks cannot be taken over.
    """
    if "source" not in photo.keep:
        return None
    before = photo.keep["decoded"]
    changed = np.concatenate(
        [
            any_in_cells(differs(photo.pixels[rows], before[rows]), BLOCK, BLOCK)
            for rows in photo.strips()
        ]
    )

    def encode_box(box: tuple[slice, slice]) -> bytes:
        return encode_pillow(replace(photo, pixels=photo.pixels[box]), "JPEG", settings)

    return splice(encode_box, photo.keep["source"], changed)


def differs(one: NDArray[Any], two: NDArray[Any]) -> Hole:
    """True [H, W] where any channel does."""
    unlike = one != two
    if unlike.ndim == 2:
        return unlike
    return reduce(np.logical_or, (unlike[..., n] for n in range(unlike.shape[-1])))


def encode_deep(photo: Photo, format: str, settings: Mapping[str, Any]) -> bytes:
    if format == "PPM":
        return encode_ppm(photo.pixels)
    if format == "TIFF":
        tags, dpi, profile = (settings.get(key) for key in ("exif", "dpi", "icc_profile"))
        return encode_tiff(photo.pixels, dict(tags or {}), dpi=dpi, icc_profile=profile)
    out = io.BytesIO()
    Image.new("RGB", (1, 1)).save(out, "PNG", **settings)
    return encode_png(photo.pixels, insert_chunks(out.getvalue(), photo.keep.get("late", ())))


def traits(photo: Photo, format: str, quality: int | None) -> dict[str, Any]:
    """Return the settings of Pillow's writer of `format`."""
    keep = photo.keep
    same = format == photo.format
    given = {key: keep[key] for key in ("icc_profile", "dpi", "exif", "xmp") if key in keep}
    if "tags" in keep:
        given["exif"] = keep["tags"] if format == "TIFF" else camera_tags(keep["tags"])
    if format == "JPEG":
        given |= {"comment": keep.get("comment", b""), "extra": keep.get("extra", b"")}
        given["progressive"] = keep.get("progressive", False)
        given["keep_rgb"] = keep.get("keep_rgb", False)
        if same and quality is None and "qtables" in keep:
            given["qtables"] = keep["qtables"]
            given["subsampling"] = keep["subsampling"]
        else:
            given |= {"quality": quality or QUALITY, "subsampling": 0}
    elif format == "PNG":
        info = PngImagePlugin.PngInfo()
        for kind, body in keep.get("chunks", ()):
            info.add(kind, body)
        given |= {"pnginfo": info, "compress_level": LEVEL}
        if photo.palette is not None and photo.channel:
            given["transparency"] = photo.palette[:, 3].tobytes()
        elif photo.key is not None:
            key = photo.key
            given["transparency"] = key if len(key) == 3 else int(key[0])
    elif format == "TIFF":
        if isinstance(block := given.get("exif"), bytes):
            given["exif"] = load_exif(block)
        given["compression"] = keep["compression"] if same else "tiff_adobe_deflate"
        if {ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo} & {*given.get("exif", ())}:
            given["compression"] = "raw"  # Pillow's other writer knows no such directories
        if given["compression"] == "jpeg":
            given["quality"] = quality or QUALITY
    elif format == "WEBP":
        given |= {"lossless": keep.get("lossless", photo.lossless), "exact": True}
        given["quality"] = quality or (80 if given["lossless"] else QUALITY)
    elif format in ("AVIF", "HEIF"):
        given["quality"] = quality or QUALITY
    elif format == "GIF":
        if photo.channel == "palette":
            given["transparency"] = int(np.argmin(photo.palette[:, 3]))  # type: ignore[index]
        given["comment"] = keep.get("comment", b"")
    elif format == "TGA":
        given["compression"] = keep.get("compression") if same else "tga_rle"
    return given


def load_exif(block: bytes) -> Image.Exif:
    """Return the tags of an EXIF block, the camera's among them, which TIFF needs read."""
    tags = Image.Exif()
    tags.load(block)
    for group in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if group in tags and not tags.get_ifd(group):
            del tags[group]
    return tags


def camera_tags(tags: Image.Exif) -> Image.Exif:
    """The tags of a TIFF less those that are blocks of their own in other formats."""
    exif = Image.Exif()
    exif.load(tags.tobytes())
    for block in (700, 33723, 34377, 34675):  # XMP, IPTC, Photoshop, colour profile
        exif.pop(block, None)
    return exif


def fit(photo: Photo, format: str) -> tuple[Photo, tuple[str, ...]]:
    """The photo in a mode that `format` can hold, and notes on what is lost."""
    known, notes = WRITES[format], []
    if photo.mode not in known:
        alpha, gray = photo.channel is not None, photo.mode in GRAY
        layouts = [
            *(("LA", "L") if gray and alpha else ("L",) if gray else ()),
            *(("RGBA", "RGB") if alpha else ("RGB",)),
        ]
        depth = ";16" if photo.white > 255 or photo.mode.endswith("F") else ""
        wanted = [
            name + bits for bits in dict.fromkeys((depth, "")) for name in (*layouts, "P", "L")
        ]
        wanted = ["I;16" if mode == "L;16" else mode for mode in wanted]
        fitted = convert_mode(photo, next(mode for mode in wanted if mode in known))
        if fitted.channel is None and (opacity := photo.alpha) is not None and opacity.min() < 1:
            notes.append(f"{format} has no alpha: the transparency of {photo.name} is lost")
        if (depth and fitted.white <= 255) or photo.mode.endswith("F"):
            notes.append(
                f"{photo.name} is stored with {'16' if fitted.white > 255 else '8'} bits a channel"
            )
        if fitted.mode == "P":
            notes.append(f"{photo.name} is cut to 256 colours for {format}")
        photo = fitted
    lost = [words for key, words in METADATA.items() if photo.keep.get(key)]
    if lost and format not in {photo.format, *HOLDS_METADATA}:
        notes.append(f"{format} does not hold the {' and '.join(lost)} of {photo.name}")
    return photo, tuple(notes)


def convert_mode(photo: Photo, mode: str) -> Photo:
    """The photo in "P", "I;16" or a gray or colour `mode`; its profile only where it still fits."""
    height, width = photo.size
    gray, deep_ = mode[0] in "LI", mode.endswith(";16")
    channels = {"I;16": 1, "P": 3}.get(mode, len(mode.removesuffix(";16")))
    white, kind = (65535, np.uint16) if deep_ else (255, np.uint8)
    pixels = np.empty((height, width, channels), kind)
    for top in range(0, height, STRIP):
        part = photo.pixels[top : top + STRIP]
        rgb = photo.colours(part)
        out = pixels[top : top + STRIP]
        out[..., : 1 if gray else 3] = np.rint(
            (rgb @ LUMA)[..., None] * white if gray else rgb * white
        )
        if mode in WITH_ALPHA:
            out[..., -1] = np.rint(photo.opacity(part) * white)
    palette = None
    if mode == "P":
        image = to_pillow(pixels, "RGB").quantize(256)
        pixels, palette = np.asarray(image), colours_of(image, None)
    keep = dict(photo.keep)
    keep["late"] = [pair for pair in keep.get("late", ()) if pair[0] != b"bKGD"]  # in its mode
    space = b"GRAY" if gray else b"RGB "
    if keep.get("icc_profile", space.rjust(20))[16:20] != space:
        del keep["icc_profile"]
    return replace(
        photo,
        mode=mode,
        pixels=pixels[..., 0] if channels == 1 else pixels,
        black=0.0,
        white=float(white),
        palette=palette,
        key=None,
        keep=keep,
    )


@dataclass(frozen=True)
class Drift:
    """The changes outside the hole that writing made, in steps of the file's own numbers.

    For 8 bits these are grey levels. `count` pixels of `outside` changed in any channel.
    """

    largest: float
    mean: float
    count: int
    outside: int
    lossless: bool

    @property
    def ok(self) -> bool:
        """False where a format that loses nothing has lost something."""
        return not (self.lossless and self.count)


def eight_bits(photo: Photo, rows: slice) -> FloatArray:
    """Rows of the photo as RGB and opacity, [h, W, 4] in 0..255."""
    part = photo.pixels[rows]
    levels = np.concatenate([photo.colours(part), photo.opacity(part)[..., None]], -1)
    return np.rint(levels * 255)


def verify(before: Photo, written: Path | bytes, hole: Hole) -> Drift:
    """Read `written` again and compare it with `before` wherever there is no `hole` [H, W].

    Palette photos, and photos in unlike modes, are compared as 8-bit RGB and opacity.
    """
    after = read_photo(written)
    if after.size != before.size:
        raise ImageError(f"{after.name} has another size than {before.name}; do not use it")
    native = after.mode == before.mode and after.palette is None
    outside = int(np.count_nonzero(~hole))
    wide = np.int16 if native and after.pixels.dtype == np.uint8 else np.float64
    largest, total, count = 0.0, 0.0, 0
    for top in range(0, before.size[0], STRIP):
        rows = slice(top, top + STRIP)
        one, two = (
            photo.pixels[rows] if native else eight_bits(photo, rows) for photo in (before, after)
        )
        if np.array_equal(one, two):
            continue
        with np.errstate(invalid="ignore"):  # infinity less infinity
            change = np.nan_to_num(np.abs(one.astype(wide) - two.astype(wide)))
        change[hole[rows]] = 0
        largest = max(largest, float(change.max()))
        total += float(change.sum()) * hole[rows].size / change.size
        count += int(np.count_nonzero(differs(change, np.zeros_like(change))))
    lossless = after.lossless and after.mode in (before.mode, "RGB", "RGBA")
    return Drift(largest, total / max(outside, 1), count, outside, lossless)
