"""Image files in a folder, an archive, shards or tables, none unpacked, or named by a list."""

import os
import re
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field, NonNegativeInt

from inpaint_cli.api import DataError, Dataset, is_picture, open_store


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
        """Return the names of the images below `root`, without label maps and masks."""
        names = list_images(root)
        if any(".mask." in name for name in names):
            store = open_store(root)
            names = [name for name in names if not store.is_mask(name)]
        if self.labels is not None:
            maps = {label_path(name, self.labels) for name in names}
            names = [name for name in names if name not in maps]
        check_keys(root, names)
        return names


class Files(StoredFiles):
    """All images in a folder, zip file, tar, shards, tables, or a text file with a path per line.

    Shards are a folder of tars, as of WebDataset; tables are .parquet files, or what `datasets`
    saves. The order is that of the names, wherever the images are.
    """

    categories: tuple[str, ...] = Field(
        default=(),
        description="Subfolders to use, such as airfield or stage/indoor, wherever they are; empty:"
        " all.",
    )

    split: Literal["all", "train", "val"] = Field(
        default="all",
        description="Images to use: all, all but the last `hold`, or the last `hold`.",
    )
    hold: NonNegativeInt = Field(
        default=0,
        description="Number of images at the end, of each of the `categories` if any, that "
        "the split val has; 0: no split.",
    )

    def names(self, root: Path) -> list[str]:
        names = self.image_names(root)
        if not self.categories:
            return self.select(names)
        groups = [select_category(root, names, category) for category in self.categories]
        return list(dict.fromkeys(name for group in groups for name in self.select(group)))

    def select(self, names: list[str]) -> list[str]:
        """Return those of `names` that are in the split."""
        if self.split == "all" or not self.hold:
            return names
        border = max(len(names) - self.hold, 0)
        return names[border:] if self.split == "val" else names[:border]


def select_category(root: Path, names: list[str], category: str) -> list[str]:
    """Return the images in the subfolder `category`. Raises `DataError` if there are none."""
    folder = f"/{category.strip('/')}/"
    if own := [name for name in names if folder in f"/{PurePosixPath(name).parent}/"]:
        return own
    known = {str(PurePosixPath(name).parent) for name in names} - {"."}
    raise DataError(
        f"{root} has no images in a folder {category}; its folders: "
        f"{', '.join(sorted(known)[:20]) or 'none'}"
    )


def list_files(root: Path) -> list[str]:
    """Return the names of all files at `root`, without hidden ones.

    Raises `DataError` if `root` is nothing that holds files.
    """
    return open_store(root).names()


def list_images(root: Path) -> list[str]:
    """Return the names of the images in a folder, an archive or a list, 9.jpg before 10.jpg."""
    images = [name for name in list_files(root) if is_picture(name)]
    if not images:
        raise DataError(f"no image files in {root}; give a folder, archive or list of images")
    return sorted(images, key=natural_order)


@lru_cache(maxsize=4)
def image_set(root: Path) -> frozenset[str]:
    """Return the names of all images below `root`, for look-ups."""
    return frozenset(list_images(root))


def check_keys(root: Path, names: list[str]) -> None:
    """Raise `DataError` where a sample of shards or tables has two images, as key.jpg, key.x.png.

    Which of them is the photo is not known, unless `labels` names the other.
    """
    known: dict[str, str] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        key = f"{folder}/{file.partition('.')[0]}"
        if (other := known.get(key)) and open_store(root).keyed:
            ending = max(name, other, key=len).rpartition("/")[2].partition(".")[2]
            raise DataError(
                f"{root} has two images of one key, {other} and {name}; if one is a label map: "
                f"--set data.train.labels='{{}}.{ending}'"
            )
        known[key] = name


def label_path(name: str, pattern: str) -> str:
    """Return the name of the label map of the image `name`."""
    path = PurePosixPath(name)
    return os.path.normpath(path.parent / pattern.replace("{}", path.stem))


def read_stored(root: Path, name: str) -> bytes:
    """Return the bytes of one of the files that `list_files` names."""
    return open_store(root).read(name)


def natural_order(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts 10.jpg after 9.jpg."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
