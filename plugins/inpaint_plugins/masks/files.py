"""Masks from image files in a folder or a zip archive, which is not unpacked."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from pydantic import Field

from inpaint_cli.api import DataError, Mask, Masks, is_picture, read_zip_member, zip_names

from .brush import flip_at_random


class FileMasks(Masks):
    """A random file of a folder or zip archive, resized to the image; white is the hole."""

    path: Path = Field(description="Folder or zip archive of masks.")
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

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        from inpaint_cli.api import read_mask, resize_mask

        names = list_masks(self.path)
        name = names[int(rng.integers(len(names)))]
        hole = read_mask(
            self.path / name if self.path.is_dir() else read_zip_member(self.path, name),
            name=f"{self.path}/{name}",
            threshold=self.threshold,
            invert=self.invert,
        ).hole
        sized = resize_mask(hole, (height, width))
        return flip_at_random(sized, rng) if self.flip else sized


@lru_cache(maxsize=16)
def list_masks(path: Path) -> list[str]:
    """Return the names of all image files below a folder or in an archive, sorted."""
    if path.is_dir():
        files = [p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()]
    elif path.is_file():
        files = zip_names(path)
    else:
        raise DataError(f"{path} does not exist; give a folder or zip archive of masks")
    names = sorted(f for f in files if is_picture(f) and not Path(f).name.startswith("."))
    if not names:
        raise DataError(f"no image files in {path}; give a folder or zip archive of masks")
    return names
