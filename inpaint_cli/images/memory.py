"""Photos and masks that are in memory: Pillow pictures and numpy arrays, in and out."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ImageError
from .masks import ReadMask, read_mask
from .photo import MODES, Photo, rgb_bytes, to_pillow
from .read import colours_of, limits, read_photo
from .write import convert_mode

LAYOUTS = {  # modes by channels and by the type of the numbers
    "uint8": {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"},
    "uint16": {1: "I;16", 2: "LA;16", 3: "RGB;16", 4: "RGBA;16"},
    "float": {1: "F", 2: "LA;F", 3: "RGB;F", 4: "RGBA;F"},
}
WHITE = {"uint8": 255.0, "uint16": 65535.0, "float": 1.0}
KIN = {"PA": "RGBA", "La": "LA", "RGBa": "RGBA"}  # modes that Pillow converts without loss; or RGB


def to_photo(source: Any, *, name: str = "the photo") -> Photo:
    """Return the photo in a file, in the bytes of one, in a Pillow picture or in an array.

    Arrays are [H, W], [H, W, 1], [H, W, 2] (gray, alpha), [H, W, 3] or [H, W, 4], of uint8, uint16
    or floats in 0..1. Pixels in memory are taken as they are displayed: EXIF turns files alone.
    Raises `ImageError` for everything else.

    >>> to_photo(np.zeros((2, 3, 4), np.uint16)).mode
    'RGBA;16'
    """
    if isinstance(source, Photo):
        return source
    if isinstance(source, str | Path):
        return read_photo(Path(source))
    if isinstance(source, bytes):
        return read_photo(source, name=name)
    if isinstance(source, Image.Image):
        return photo_of_image(source, name)
    if isinstance(source, np.ndarray):
        return photo_of_array(source, name)
    raise ImageError(
        f"{name} is a {type(source).__name__}; give a path, a Pillow picture or a numpy array"
    )


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read a photo as `read_photo` does; return RGB [H, W, 3] of 8 bits."""
    return rgb_bytes(read_photo(path))


def photo_of_array(array: NDArray[Any], name: str) -> Photo:
    kind = "float" if array.dtype.kind == "f" else array.dtype.name
    if kind not in LAYOUTS:
        raise ImageError(f"{name} is an array of {array.dtype}; give uint8, uint16 or floats")
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in LAYOUTS[kind]:
        raise ImageError(f"{name} has the shape {array.shape}; give [H, W] or [H, W, 1 to 4]")
    if not array.size:
        raise ImageError(f"{name} has no pixels, its shape is {array.shape}")
    if kind == "float" and not (array.min() >= 0 and array.max() <= 1):  # NaN is neither
        raise ImageError(f"{name} has values outside 0..1; give floats in 0..1, or uint8")
    single = array.ndim == 3 and channels == 1
    pixels = np.ascontiguousarray(array[..., 0] if single else array)
    keep = {"single": single}
    return Photo(name, "PNG", LAYOUTS[kind][channels], pixels, white=WHITE[kind], keep=keep)


def photo_of_image(image: Image.Image, name: str) -> Photo:
    notes = []
    known = image.mode in MODES or image.mode.startswith("I;16")
    if not known:
        mode = KIN.get(image.mode, "RGB")
        if mode == "RGB":
            notes.append(f"{name} is converted from {image.mode} to RGB")
        image = image.convert(mode)
    mode = "I;16" if image.mode.startswith("I;16") else image.mode
    pixels = np.array(image)
    if mode == "I;16":
        pixels = pixels.astype(np.uint16)
    if not pixels.size:
        raise ImageError(f"{name} has no pixels ({image.width}x{image.height})")
    black, white = limits(pixels, mode)
    transparency = image.info.get("transparency")
    palette = key = None
    if mode == "P":
        palette = colours_of(image, transparency)
    elif transparency is not None:
        key = transparency if isinstance(transparency, tuple) else (transparency,)
        key = (int(key[0] > 0),) if mode == "1" else key
    keep = {k: image.info[k] for k in ("icc_profile", "dpi") if image.info.get(k)}
    return Photo(
        name, "PNG", mode, pixels, black, white, palette, key, keep=keep, notes=tuple(notes)
    )


def to_array(photo: Photo) -> NDArray[Any]:
    """Return the pixels: of the shape and type of the array that `photo` came from, or the file's.

    >>> to_array(to_photo(np.zeros((2, 3, 1), np.float64))).shape
    (2, 3, 1)
    """
    if photo.palette is not None:
        return to_array(convert_mode(photo, "RGBA" if photo.channel else "RGB"))
    return photo.pixels[..., None] if photo.keep.get("single") else photo.pixels


def to_image(photo: Photo) -> Image.Image:
    """Return a Pillow picture of the photo's mode, or of 8 bits where Pillow has no such mode."""
    mode, _, depth = photo.mode.partition(";")
    if depth and photo.mode != "I;16":
        return to_image(convert_mode(photo, mode))
    if photo.mode == "F":
        return to_pillow(photo.pixels.astype(np.float32), "F")
    image = to_pillow(photo.pixels, photo.mode)
    if photo.palette is not None:
        image.putpalette(photo.palette[:, :3].tobytes(), "RGB")
        if photo.channel:
            image.info["transparency"] = photo.palette[:, 3].tobytes()
    elif photo.key is not None:
        image.info["transparency"] = photo.key if len(photo.key) == 3 else photo.key[0]
    image.info |= {k: photo.keep[k] for k in ("icc_profile", "dpi") if photo.keep.get(k)}
    return image


def to_mask(
    source: Any, *, threshold: int | None = None, invert: bool = False, name: str = "the mask"
) -> ReadMask:
    """Return the mask in a file, in the bytes of one, in a Pillow picture or in an array [H, W].

    The hole is where a bool array is True, or where levels (uint8 and uint16 up to their largest
    number, floats up to 1) reach `threshold` of 255; below it with `invert`. Without a threshold
    levels are judged as `read_mask` does. Raises `ImageError` for everything else.

    >>> to_mask(np.eye(3, dtype=bool)).hole.sum().item()
    3
    """
    if isinstance(source, ReadMask):
        return source
    if isinstance(source, np.ndarray) and source.dtype == np.bool_:
        if source.ndim == 3 and source.shape[2] == 1:
            source = source[..., 0]
        if source.ndim != 2 or not source.size:
            raise ImageError(f"{name} has the shape {source.shape}; give [H, W]")
        return ReadMask(~source if invert else source)
    if isinstance(source, np.ndarray):
        photo = photo_of_array(source, name)
        if photo.mode.endswith("F"):
            photo = convert_mode(photo, {"F": "L", "LA;F": "LA"}.get(photo.mode, photo.mode[:-2]))
        source = photo.pixels
        deep = source.dtype == np.uint16 and source.ndim == 3
        source = Image.fromarray((source >> 8).astype(np.uint8) if deep else source)
    if isinstance(source, Image.Image):
        out = io.BytesIO()
        image = source if source.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16") else None
        (image or source.convert("L")).save(out, "PNG", compress_level=1)
        source = out.getvalue()
    if isinstance(source, str | Path):
        source, name = Path(source), ""
    if not isinstance(source, bytes | Path):
        raise ImageError(
            f"{name} is a {type(source).__name__}; give a path, a Pillow picture or a numpy array"
        )
    return read_mask(source, name=name, threshold=threshold, invert=invert)
