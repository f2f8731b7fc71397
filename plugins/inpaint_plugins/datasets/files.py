"""Image files in a folder, in a zip archive that stays packed, or named by a list."""

import os
import re
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import NonNegativeInt

from inpaint_cli.api import DataError, Dataset, read_zip_member, zip_names

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".avif", ".jp2")
LISTS = (".txt", ".lst", ".flist")


class Stored(Dataset):
    """Images that lie as files in one place, perhaps with their label maps."""

    labels: str | None = None  # a label map's path from its image's folder: "../labels/{}.png"

    def read(self, root: Path, name: str) -> bytes:
        return contents(root, name)

    def label_map(self, root: Path, name: str) -> bytes | None:
        where = self.labels and labels_of(name, self.labels)
        if where is None or where not in everything(root):
            return None
        return contents(root, where)

    def pictures(self, root: Path) -> list[str]:
        """The images below `root`, which label maps are not."""
        names = listed(root)
        if self.labels is None:
            return names
        maps = {labels_of(name, self.labels) for name in names}
        return [name for name in names if name not in maps]


class Files(Stored):
    """A folder with all below it, a zip file, or a text file with a path on each line."""

    split: Literal["all", "train", "val"] = "all"
    hold: NonNegativeInt = 0  # the last images, at most so many, are those of val

    def names(self, root: Path) -> list[str]:
        names = self.pictures(root)
        if self.split == "all" or not self.hold:
            return names
        border = max(len(names) - self.hold, 0)
        return names[border:] if self.split == "val" else names[:border]


def listed(root: Path) -> list[str]:
    """The names of the images in a folder, an archive or a list, numbers in their order."""
    if root.is_dir():
        found = [
            os.path.join(os.path.relpath(folder, root), file)
            for folder, _, files in os.walk(root, followlinks=True)
            for file in files
        ]
        names = [os.path.normpath(name) for name in found]
    elif root.suffix.lower() == ".zip" and root.is_file():
        names = zip_names(root)
    elif root.suffix.lower() in LISTS and root.is_file():
        names = [line for line in root.read_text("utf-8").splitlines() if line.strip()]
    else:
        raise DataError(f"{root} is neither a folder nor a .zip, .txt or .lst file; check the path")
    images = [n for n in names if n.lower().endswith(SUFFIXES) and not hidden(n)]
    if not images:
        raise DataError(f"{root} holds no images; known are {', '.join(SUFFIXES)}")
    return sorted(images, key=natural)


def labels_of(name: str, pattern: str) -> str:
    """Return the path of the label map of the image `name`."""
    path = PurePosixPath(name)
    return os.path.normpath(path.parent / pattern.replace("{}", path.stem))


@lru_cache(maxsize=4)
def everything(root: Path) -> frozenset[str]:
    """All that is listed below `root`, to look names up in."""
    return frozenset(listed(root))


def contents(root: Path, name: str) -> bytes:
    """The bytes of one of the files that `listed` names."""
    if root.suffix.lower() == ".zip" and not root.is_dir():
        return read_zip_member(root, name)
    folder = root if root.is_dir() else root.parent
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise DataError(f"{root}: {name} cannot be read: {error}") from error


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts 10.jpg after 9.jpg."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def hidden(name: str) -> bool:
    """Whether a file is one of those that systems leave beside the user's."""
    return any(part.startswith((".", "__MACOSX")) for part in Path(name).parts if part != "..")
