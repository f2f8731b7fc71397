"""Masks from image files in a folder, an archive, shards, tables or a list, none unpacked."""

import math
from functools import lru_cache
from pathlib import Path

import numpy as np
from pydantic import Field, NonNegativeInt, model_validator
from typing_extensions import Self

from inpaint_cli.api import DataError, Mask, Masks, Share, is_picture, open_store

from .brush import flip_at_random, rounded_cos_sin


class FileMasks(Masks):
    """A random file of a folder or archive, resized to the image; white is the hole.

    Rotation, crop and dilation, in this order, make more of a set, as in the training of partial
    convolutions (Liu et al. 2018), whose training masks are black in the hole.
    """

    path: Path = Field(description="Folder, zip file, tar, shards, tables or list of masks.")
    flip: bool = Field(
        default=True,
        description="Flip horizontally and vertically with a probability of 1/2 each.",
    )
    invert: bool = Field(default=False, description="Black is the hole.")
    threshold: int | None = Field(
        default=None,
        ge=1,
        le=255,
        description="Levels of this and above are the hole; null: 128, or the upper of two levels,"
        " and what is no mask is refused.",
    )
    rotate: float = Field(
        default=0, ge=0, le=180, description="Largest rotation either way, in degrees."
    )
    crop: tuple[Share, Share] = Field(
        default=(1, 1),
        description="Least and greatest side of a random crop / side of the mask.",
    )
    dilate: tuple[NonNegativeInt, NonNegativeInt] = Field(
        default=(0, 0),
        description="Least and greatest number of pixels of the image by which the hole grows.",
    )

    @model_validator(mode="after")
    def check_ranges(self) -> Self:
        if not 0 < self.crop[0] <= self.crop[1] or self.dilate[0] > self.dilate[1]:
            raise ValueError("`crop` and `dilate` are two numbers, the smaller first")
        return self

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        from inpaint_cli.api import read_mask, resize_mask

        names = list_masks(self.path)
        name = names[int(rng.integers(len(names)))]
        hole = read_mask(
            open_store(self.path).read(name),
            name=f"{self.path}/{name}",
            threshold=self.threshold,
            invert=self.invert,
        ).hole
        if self.rotate:
            hole = rotate_mask(hole, float(rng.uniform(-self.rotate, self.rotate)))
        if self.crop != (1, 1):
            hole = crop_mask(hole, float(rng.uniform(*self.crop)), rng)
        sized = resize_mask(hole, (height, width))
        if self.dilate[1]:
            low, high = self.dilate
            sized = dilate_mask(sized, int(rng.integers(low, high + 1)))
        return flip_at_random(sized, rng) if self.flip else sized


def rotate_mask(mask: Mask, degrees: float) -> Mask:
    """Return `mask` turned about its centre; what comes in at the corners is no hole."""
    import cv2

    height, width = mask.shape
    cosine, sine = (v.item() for v in rounded_cos_sin(np.array(math.radians(degrees))))
    x, y = (width - 1) / 2, (height - 1) / 2
    turn = np.array(
        [[cosine, -sine, x - cosine * x + sine * y], [sine, cosine, y - sine * x - cosine * y]]
    )
    turned = cv2.warpAffine(mask.view(np.uint8), turn, (width, height), flags=cv2.INTER_NEAREST)
    return turned.view(np.bool_)


def crop_mask(mask: Mask, share: float, rng: np.random.Generator) -> Mask:
    """Return a random part of `mask` whose sides are `share` of its sides."""
    sides = [max(1, round(side * share)) for side in mask.shape]
    top, left = (int(rng.integers(s - t + 1)) for s, t in zip(mask.shape, sides, strict=True))
    return np.ascontiguousarray(mask[top : top + sides[0], left : left + sides[1]])


def dilate_mask(mask: Mask, pixels: int) -> Mask:
    """Return `mask` with its hole grown by a disc of radius `pixels`."""
    import cv2

    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return cv2.dilate(mask.view(np.uint8), disc).view(np.bool_)


@lru_cache(maxsize=16)
def list_masks(path: Path) -> list[str]:
    """Return the names of all image files at `path`, sorted."""
    if not path.exists():
        raise DataError(f"{path} does not exist; give a folder or archive of masks")
    store = open_store(path)
    names = sorted(filter(is_picture, store.names()))
    if not names:
        raise DataError(f"no image files in {path}; give a folder or archive of masks")
    return list(filter(store.is_mask, names)) or names
