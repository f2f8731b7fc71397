"""Image files in a folder, in a zip archive that is not unpacked, or named by a list."""

import os
import re
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field, NonNegativeInt

from inpaint_cli.api import DataError, Dataset, is_picture, read_zip_member, zip_names

LISTS = (".txt", ".lst", ".flist")


class StoredFiles(Dataset):
    """Images stored as files in one place, optionally with their label maps."""

    labels: str | None = Field(
        default=None,
        description="Path of an image's label map, relative to the image's folder; {} is its name "
        "without suffix. For example ../labels/{}.png.",
    )

    def read(self, root: Path, name: str) -> bytes:
        return read_stored(root, name)

    def label_map(self, root: Path, name: str) -> bytes | None:
        if self.labels is None or not StoredFiles.has_label_map(self, root, name):
            return None
        return read_stored(root, label_path(name, self.labels))

    def has_label_map(self, root: Path, name: str) -> bool:
        return self.labels is not None and label_path(name, self.labels) in image_set(root)

    def skipped(self, root: Path) -> list[str]:
        return sorted(name for name in list_files(root) if not is_picture(name))

    def image_names(self, root: Path) -> list[str]:
        """Return the names of the images below `root`, without label maps."""
        names = list_images(root)
        if self.labels is None:
            return names
        maps = {label_path(name, self.labels) for name in names}
        return [name for name in names if name not in maps]


class Files(StoredFiles):
    """All images below a folder, in a zip file, or in a text file with one path per line."""

    split: Literal["all", "train", "val"] = Field(
        default="all",
        description="Images to use: all, all but the last `hold`, or the last `hold`.",
    )
    hold: NonNegativeInt = Field(
        default=0, description="Number of images at the end that the split val has; 0: no split."
    )

    def names(self, root: Path) -> list[str]:
        names = self.image_names(root)
        if self.split == "all" or not self.hold:
            return names
        border = max(len(names) - self.hold, 0)
        return names[border:] if self.split == "val" else names[:border]


def list_files(root: Path) -> list[str]:
    """Return the names of all files in a folder, an archive or a list, without hidden ones.

    Raises `DataError` if `root` is none of these.
    """
    if root.is_dir():
        names = [
            os.path.normpath(os.path.join(os.path.relpath(folder, root), file))
            for folder, _, files in os.walk(root, followlinks=True)
            for file in files
        ]
    elif root.suffix.lower() == ".zip" and root.is_file():
        names = zip_names(root)
    elif root.suffix.lower() in LISTS and root.is_file():
        names = [line for line in root.read_text("utf-8").splitlines() if line.strip()]
    else:
        raise DataError(f"{root} is neither a folder nor a .zip, .txt or .lst file; check the path")
    return [name for name in names if not is_hidden(name)]


def list_images(root: Path) -> list[str]:
    """Return the names of the images in a folder, an archive or a list, 9.jpg before 10.jpg."""
    images = [name for name in list_files(root) if is_picture(name)]
    if not images:
        raise DataError(f"no image files in {root}; give a folder, zip file or list of images")
    return sorted(images, key=natural_order)


@lru_cache(maxsize=4)
def image_set(root: Path) -> frozenset[str]:
    """Return the names of all images below `root`, for look-ups."""
    return frozenset(list_images(root))


def label_path(name: str, pattern: str) -> str:
    """Return the name of the label map of the image `name`."""
    path = PurePosixPath(name)
    return os.path.normpath(path.parent / pattern.replace("{}", path.stem))


def read_stored(root: Path, name: str) -> bytes:
    """Return the bytes of one of the files that `list_files` names."""
    if root.suffix.lower() == ".zip" and not root.is_dir():
        return read_zip_member(root, name)
    folder = root if root.is_dir() else root.parent
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise DataError(f"{root}: {name} cannot be read: {error}") from error


def natural_order(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts 10.jpg after 9.jpg."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def is_hidden(name: str) -> bool:
    """Whether a file is hidden, or one that a system adds to archives."""
    return any(part.startswith((".", "__MACOSX")) for part in Path(name).parts if part != "..")
