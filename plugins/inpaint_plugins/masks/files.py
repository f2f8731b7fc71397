"""Masks that somebody else drew, from a folder or a zip archive, read where they lie."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from pydantic import Field

from inpaint_cli.api import DataError, Mask, Masks, read_zip_member, zip_names

from .brush import flipped

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


class Files(Masks):
    """A file of a folder or zip archive for each mask, resized to fit; white is the hole."""

    path: Path
    flip: bool = True  # mirror left to right and top to bottom at even odds each
    invert: bool = False  # black is the hole
    threshold: int = Field(default=128, ge=1, le=255)

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        from inpaint_cli.api import read_mask, resize_mask

        names = listed(self.path)
        name = names[int(rng.integers(len(names)))]
        hole = read_mask(
            self.path / name if self.path.is_dir() else read_zip_member(self.path, name),
            name=f"{self.path}/{name}",
            threshold=self.threshold,
            invert=self.invert,
        ).hole
        sized = resize_mask(hole, (height, width))
        return flipped(sized, rng) if self.flip else sized


@lru_cache(maxsize=16)
def listed(path: Path) -> list[str]:
    """The names of all pictures below a folder or in an archive, sorted."""
    if path.is_dir():
        found = [p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()]
    elif path.is_file():
        found = zip_names(path)
    else:
        raise DataError(f"there is no {path} to take masks from; check the name")
    names = sorted(
        name
        for name in found
        if Path(name).suffix.lower() in SUFFIXES and not Path(name).name.startswith(".")
    )
    if not names:
        raise DataError(f"no pictures in {path}; give a folder or zip archive of masks")
    return names
