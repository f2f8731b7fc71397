"""The hole of a photo: the pixels that are filled."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from .. import images
from ..errors import ImageError
from ..images.photo import Hole
from ..wording import describe_found
from .options import HoleOptions


@dataclass(frozen=True, eq=False)
class PhotoHole:
    """The hole of one photo; arrays are bool [H, W], True in the hole."""

    area: Hole  # all that is filled
    core: Hole  # what was marked, before it was grown
    options: HoleOptions = HoleOptions()  # noqa: RUF009 (it is frozen)
    notes: tuple[str, ...] = ()  # sentences for the user on how the mask was read
    found: Mapping[str, float] = field(default_factory=dict)  # share of the photo, by finder

    def describe_finds(self, photo: str) -> list[str]:
        """Return a sentence for each finder about the share of `photo` that it found."""
        return [describe_found(kind, share, photo) for kind, share in self.found.items()]


def mark_photo(
    photo: images.Photo, mask: Path | images.ReadMask | None, options: HoleOptions
) -> tuple[images.Photo, PhotoHole]:
    """Return the photo that is to be filled, and its hole, grown.

    The hole is what mask, alpha, regions and finders mark in `photo` together, and the margin
    that `options.extend` adds to it. Raises `ImageError` as `find_hole` does, and where the photo
    would become too large.
    """
    if not any(sides := options.sides(photo.size)):
        return photo, find_hole(photo, mask, options)
    larger = images.extend(photo, sides)  # before any work
    hole = find_hole(photo, mask, replace(options, grow=0))
    left, top, right, bottom = sides
    core = np.pad(hole.core, ((top, bottom), (left, right)), constant_values=True)
    area = images.grow(core, options.grow) if options.grow else core
    return larger, replace(hole, area=area, core=core, options=options)


def find_hole(
    photo: images.Photo, mask: Path | images.ReadMask | None, options: HoleOptions
) -> PhotoHole:
    """Return the hole that a mask, the photo's own alpha, regions and finders mark together, grown.

    Raises `ImageError` where the mask has another size, unless `options.resize` and its
    proportions are the photo's, and where there is no alpha.
    """
    core, notes = np.zeros(photo.size, np.bool_), ()
    if mask is not None:
        name = str(mask) if isinstance(mask, Path) else "the mask"
        if isinstance(mask, Path):
            mask = images.read_mask(mask, threshold=options.threshold, invert=options.invert)
        core, notes = fit_hole(mask.hole, photo, name, options.resize), mask.notes
        if photo.keep.get("sideways") and photo.size[0] == photo.size[1]:
            notes += (f"{photo.name} is stored on its side: {name} is taken for it as displayed",)
    if options.alpha:
        core = core | photo.hole_from_alpha(options.threshold or 255)
    if options.regions:
        core = core | images.hole_of_regions(photo.size, options.regions)
    found = {}
    if options.find:
        from ..masks.find import find_masks  # pydantic, where it is needed

        part, found = find_masks(photo, options.find, options.find_limit)
        core = core | part
    area = images.grow(core, options.grow) if options.grow else core
    return PhotoHole(area, core, options, notes, found)


def files_of_finders(options: HoleOptions, photo: Path) -> list[Path]:
    """Return the files that the finders of `options` read for `photo`; `DataError` if missing."""
    if not options.find:
        return []
    from ..masks.find import finder_files  # pydantic, where it is needed

    return finder_files(options.find, photo)


def fit_hole(hole: Hole, photo: images.Photo, name: str, resize: bool) -> Hole:
    """Return `hole`, read from `name`, in the size of `photo`."""
    if hole.shape == photo.size:
        return hole
    (height, width), (h, w) = photo.size, hole.shape
    sizes = f"{name} is {w}x{h}, but {photo.name} is {width}x{height}"
    if not images.same_shape(hole.shape, photo.size):
        if images.same_shape(hole.shape[::-1], photo.size):
            raise ImageError(f"{sizes}: it is on its side; turn it by 90 degrees")
        raise ImageError(f"{sizes}: the proportions differ; give the mask of this photo")
    if not resize:
        raise ImageError(f"{sizes}; resize the mask, or use --mask-resize")
    return images.resize_mask(hole, photo.size)
