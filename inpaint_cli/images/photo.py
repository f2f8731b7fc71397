"""A photo in the numbers of its file, and the way from those numbers to RGB and back.

Only crops become float, and only hole pixels are ever converted back: the rest of the photo
stays the integers that were read.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ImageError

if TYPE_CHECKING:
    from PIL import ImageCms

GRAY = {"1", "L", "LA", "I", "F", "I;16", "LA;16", "LA;F"}
COLOUR = {"RGB", "RGBA", "RGBX", "RGB;16", "RGBA;16", "RGB;F", "RGBA;F"}
WITH_ALPHA = {"LA", "RGBA", "LA;16", "RGBA;16", "LA;F", "RGBA;F"}
MODES = GRAY | COLOUR | {"P", "CMYK", "LAB"}
STRIP = 256  # rows that are converted or compared at a time
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as in JPEG

FloatArray = NDArray[np.floating[Any]]
Hole = NDArray[np.bool_]


class Patch(NamedTuple):
    """A filled window [h, w, 3] of a photo whose pixels count where `hole` [h, w] is True."""

    top: int
    left: int
    filled: FloatArray
    hole: Hole


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo as its file has it, turned upright.

    `pixels` [H, W] or [H, W, C] holds the file's own numbers, `mode` is Pillow's name for what
    they mean; "RGB;16", "RGBA;F" and the like are ours, of 16 bits or floats. `black` and `white`
    are the numbers that become 0 and 1. `keep` is what the writer of the same format needs to
    give everything else back; `notes` are sentences for the user.
    """

    name: str
    format: str
    mode: str
    pixels: NDArray[Any]
    black: float = 0.0
    white: float = 255.0
    palette: NDArray[np.uint8] | None = None  # [N, 4], RGBA
    key: tuple[int, ...] | None = None  # the one colour that means transparent (PNG tRNS)
    lossless: bool = True
    keep: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width), as displayed."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @cached_property
    def rgb(self) -> FloatArray:
        """The whole photo [H, W, 3] in 0..1: 12 bytes a pixel, so prefer `crop` for large ones."""
        return self.crop(0, 0, *self.size)

    def crop(self, top: int, left: int, height: int, width: int) -> FloatArray:
        """A window of the photo as RGB [height, width, 3] in 0..1; gray is repeated."""
        return self.colours(self.pixels[top : top + height, left : left + width])

    @property
    def alpha(self) -> FloatArray | None:
        """Opacity [H, W] in 0..1, or None where the file has none."""
        return None if self.channel is None else self.opacity(self.pixels)

    @property
    def channel(self) -> str | None:
        """The place of transparency in the file: "alpha", its "palette" or a "key" colour."""
        if self.mode in WITH_ALPHA:
            return "alpha"
        if self.palette is not None and self.palette[:, 3].min() < 255:
            return "palette"
        return "key" if self.key is not None else None

    def hole_from_alpha(self, threshold: int = 255) -> Hole:
        """True where the opacity, 0 to 255, is below `threshold`.

        Raises `ImageError` where the photo has no alpha.
        """
        if self.channel is None:
            raise ImageError(f"{self.name} has no transparency to take the hole from; give a mask")
        hole = np.empty(self.size, np.bool_)
        for rows in self.strips():
            opacity = self.opacity(self.pixels[rows])
            np.less(opacity, np.float32((threshold - 0.001) / 255), out=hole[rows])
        return hole

    def hidden(self, rows: slice, columns: slice = slice(None)) -> Hole:
        """True in a window where the photo is fully transparent: its colours there mean nothing."""
        part = self.pixels[rows, columns]
        if self.channel is None:
            return np.zeros(part.shape[:2], np.bool_)
        return self.opacity(part) == 0

    def strips(self) -> Iterator[slice]:
        """Yield slices of `STRIP` rows."""
        for top in range(0, len(self.pixels), STRIP):
            yield slice(top, top + STRIP)

    def fill(self, filled: FloatArray, hole: Hole, *, opaque: bool = False) -> "Photo":
        """This photo with `filled` [H, W, 3] in 0..1 pasted where `hole` [H, W] is True."""
        return self.paste([Patch(0, 0, filled, hole)], opaque=opaque)

    def paste(self, patches: Iterable[Patch], *, opaque: bool = False) -> "Photo":
        """This photo with the hole pixels of each patch, rounded to the file's own numbers.

        Alpha stays what it was, so a filled pixel that was transparent is transparent still,
        unless `opaque`. Palette photos get the nearest opaque colour of their palette.
        """
        pixels = None
        for top, left, filled, hole in patches:
            if pixels is None:  # not before, for making the first patch takes most memory
                pixels = self.pixels.copy()
            window = pixels[top : top + hole.shape[0], left : left + hole.shape[1]]
            if filled.shape != (*hole.shape, 3) or window.shape[:2] != hole.shape:
                raise ValueError(f"patch {filled.shape} with hole {hole.shape} at {top}, {left}")
            for start in range(0, len(hole), STRIP):
                rows = slice(start, start + STRIP)
                if (part := hole[rows]).any():
                    old = window[rows][part]
                    window[rows][part] = self.numbers(filled[rows][part], old, opaque)
        return replace(self, pixels=self.pixels.copy() if pixels is None else pixels)

    def colours(self, pixels: NDArray[Any]) -> FloatArray:
        """RGB [..., 3] in 0..1 of the file's numbers [...] or [..., C]."""
        if self.palette is not None:
            return (self.palette[:, :3].astype(np.float32) / 255)[pixels]
        if self.mode in ("CMYK", "LAB"):
            return inks_to_rgb(pixels, self.mode, self.keep.get("icc_profile"))
        channels = (
            pixels[..., :3] if self.mode in COLOUR else first_channel(pixels, self.mode)[..., None]
        )
        scaled = np.subtract(channels, self.black, dtype=np.float32)
        scaled *= np.float32(1 / (self.white - self.black))
        if self.mode == "F":
            scaled = np.nan_to_num(scaled, copy=False, posinf=1, neginf=0)
        return scaled if self.mode in COLOUR else np.repeat(scaled, 3, axis=-1)

    def opacity(self, pixels: NDArray[Any]) -> FloatArray:
        """Opacity [...] in 0..1 of the file's numbers."""
        if self.mode in WITH_ALPHA:
            return np.divide(pixels[..., -1], self.white, dtype=np.float32)
        if self.palette is not None:
            return (self.palette[:, 3].astype(np.float32) / 255)[pixels]
        if self.key is None:
            return np.ones(pixels.shape[:2], np.float32)
        same = pixels == np.array(self.key)[: 3 if self.mode in COLOUR else 1]
        return (~(same.all(-1) if self.mode in COLOUR else same)).astype(np.float32)

    def numbers(self, colours: FloatArray, old: NDArray[Any], opaque: bool) -> NDArray[Any]:
        """The file's numbers for RGB `colours` [N, 3], where `old` [N] or [N, C] stood before."""
        colours = np.clip(colours, 0, 1)
        new = old.copy()
        if self.palette is not None:
            new[:] = nearest_colours(colours, self.palette)
        elif self.mode in ("CMYK", "LAB"):
            new[:] = inks_from_rgb(colours, self)
        elif self.mode in COLOUR:
            new[:, :3] = self.scaled(colours)
        else:
            first_channel(new, self.mode)[:] = self.scaled(colours @ LUMA)
        if self.mode in WITH_ALPHA and opaque:
            new[:, -1] = self.white
        if self.channel == "key":  # a new pixel must not become transparent by chance
            step = np.where(first_channel(new, self.mode) == 0, 1, -1)
            hit = self.opacity(new[None])[0] == 0
            first_channel(new, self.mode)[hit] += step[hit].astype(new.dtype)
        if self.channel in ("key", "palette") and not opaque:
            gone = self.opacity(old[None])[0] == 0
            new[gone] = old[gone]
        return new

    def scaled(self, values: FloatArray) -> NDArray[Any]:
        numbers = values.astype(np.float64) * (self.white - self.black) + self.black
        exact = np.issubdtype(self.pixels.dtype, np.floating)
        return (numbers if exact else np.rint(numbers)).astype(self.pixels.dtype)


def first_channel(pixels: NDArray[Any], mode: str) -> NDArray[Any]:
    """A view of the first channel."""
    return pixels if mode in ("1", "L", "I", "F", "I;16") else pixels[..., 0]


def nearest_colours(colours: FloatArray, palette: NDArray[np.uint8]) -> NDArray[np.intp]:
    """For each of `colours` [N, 3] the index of the nearest opaque entry, without dithering."""
    opaque = np.flatnonzero(palette[:, 3] == 255)
    known = opaque if opaque.size else np.arange(len(palette))
    entries = palette[known, :3].astype(np.float32) / 255
    lengths = (entries**2).sum(1)
    found = [
        known[np.argmin(lengths - 2 * (part @ entries.T), axis=1)]
        for part in np.array_split(colours, len(colours) // 65536 + 1)
    ]
    return np.concatenate(found)


def inks_to_rgb(pixels: NDArray[np.uint8], mode: str, profile: bytes | None) -> FloatArray:
    """RGB of CMYK inks or LAB colours, by the embedded profile where there is one."""
    if mode == "LAB" or profile:
        from PIL import ImageCms

        flat = np.ascontiguousarray(pixels).reshape(1, -1, pixels.shape[-1])
        turn = icc_transform(mode, profile, "RGB")
        if turn is not None:
            rgb = np.asarray(ImageCms.applyTransform(to_pillow(flat, mode), turn))
            return rgb.reshape(*pixels.shape[:-1], 3).astype(np.float32) / 255
    inks = 1 - pixels.astype(np.float32) / 255
    return inks[..., :3] * inks[..., 3:]


def inks_from_rgb(colours: FloatArray, photo: Photo) -> NDArray[np.uint8]:
    """CMYK inks or LAB colours [N, C] for RGB [N, 3].

    By the embedded profile where there is one; else with as large a share of black ink as the
    photo uses elsewhere, so that the fill prints like its surroundings.
    """
    profile = photo.keep.get("icc_profile")
    if photo.mode == "LAB" or profile:
        from PIL import ImageCms

        turn = icc_transform("RGB", profile, photo.mode)
        if turn is not None:
            rgb = to_pillow(to_bytes(colours[None]), "RGB")
            return np.asarray(ImageCms.applyTransform(rgb, turn))[0]
    sample = photo.pixels[:: max(1, photo.size[0] // 256), :: max(1, photo.size[1] // 256)]
    darkness = 1 - inks_to_rgb(sample, "CMYK", None).max(-1)
    black = sample[..., 3] / 255
    dark = darkness > 0.1
    share = float(np.median(black[dark] / darkness[dark])) if dark.any() else 0.0
    k = min(share, 1) * (1 - colours.max(1, keepdims=True))
    cmy = 1 - colours / np.maximum(1 - k, 1e-6)
    return to_bytes(np.concatenate([cmy, k], 1).clip(0, 1))


def icc_transform(
    source: str, profile: bytes | None, target: str
) -> "ImageCms.ImageCmsTransform | None":
    """Return the transform between RGB and `profile`; None where the profile is unusable."""
    from PIL import ImageCms  # needed for CMYK and LAB alone

    srgb = ImageCms.createProfile("sRGB")
    try:
        if "LAB" in (source, target):
            other = ImageCms.createProfile("LAB")
        else:
            other = ImageCms.ImageCmsProfile(io.BytesIO(profile or b""))
        ends = (srgb, other) if source == "RGB" else (other, srgb)
        return ImageCms.buildTransform(*ends, source, target, ImageCms.Intent.RELATIVE_COLORIMETRIC)
    except (ImageCms.PyCMSError, OSError):
        return None


def to_bytes(rgb: NDArray[Any]) -> NDArray[np.uint8]:
    """Colours in 0..1 as whole numbers in 0..255."""
    return np.rint(rgb * 255).astype(np.uint8)


def rgb_bytes(photo: Photo) -> NDArray[np.uint8]:
    """The whole photo as RGB [H, W, 3] of 8 bits, a view of its own pixels where it is that."""
    if photo.mode == "RGB" and photo.pixels.dtype == np.uint8:
        return photo.pixels
    height, width = photo.size
    out = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, STRIP):
        out[top : top + STRIP] = to_bytes(photo.crop(top, 0, STRIP, width))
    return out


def to_pillow(pixels: NDArray[Any], mode: str) -> Image.Image:
    """The Pillow image of the file's numbers."""
    if mode == "1":
        return Image.fromarray(pixels.astype(np.uint8) * 255).convert("1")
    height, width = pixels.shape[:2]
    return Image.frombytes(mode, (width, height), np.ascontiguousarray(pixels).data)
