"""Which pixels of a photo are to be filled."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import images
from ..errors import ImageError
from .options import FillOptions

Hole = NDArray[np.bool_]


def find_hole(photo: images.Photo, mask: Path | None, options: FillOptions) -> images.ReadMask:
    """The hole that a mask file, the photo's own alpha and regions mark together.

    Alpha counts where `options.alpha`. Raises `ImageError` where the mask has another size, unless
    `options.resize` and its proportions are the photo's, and where there is no alpha.
    """
    hole, notes = np.zeros(photo.size, np.bool_), ()
    if mask is not None:
        read = images.read_mask(mask, threshold=options.threshold, invert=options.invert)
        hole, notes = fit_hole(read.hole, photo, str(mask), options.resize), read.notes
    if options.alpha:
        hole = hole | photo.hole_from_alpha()
    if options.regions:
        hole = hole | images.hole_of_regions(photo.size, options.regions)
    return images.ReadMask(hole, notes)


def fit_hole(hole: Hole, photo: images.Photo, name: str, resize: bool) -> Hole:
    """The hole in the photo's size."""
    if hole.shape == photo.size:
        return hole
    (height, width), (h, w) = photo.size, hole.shape
    sizes = f"{name} is {w}x{h}, but {photo.name} is {width}x{height}"
    if not images.same_shape(hole.shape, photo.size):
        raise ImageError(f"{sizes}: not even the proportions agree; give the mask of this photo")
    if not resize:
        raise ImageError(f"{sizes}; make the mask as large, or say --mask-resize")
    return images.resize_mask(hole, photo.size)
