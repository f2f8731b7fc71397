"""Where the images of a data set are: a folder, an archive, shards, tables, or a list of paths.

All of them give names with slashes, sorted by nobody, and the bytes of each.

- A folder, with all below it.
- A zip archive or a tar.
- Shards, as WebDataset writes them: a folder of tars whose members are called key.ext. Their names
  are those of a folder into which all were unpacked.
- Tables, as Hugging Face's `datasets` saves them: a folder of .arrow or .parquet files, or one such
  file. See `tables`.
- A list: a text file with one path per line, relative to the list's folder.
"""

import os
from abc import ABC, abstractmethod
from functools import cached_property, lru_cache
from pathlib import Path

from ..errors import DataError
from .archives import archive_names, is_archive, read_member, read_place
from .pictures import hidden, is_picture
from .tables import TABLES, PictureTable
from .tars import Place, tar_places

LISTS = (".txt", ".lst", ".flist")
NO_STORE = "neither a folder nor a .zip, .tar, .parquet, .txt or .lst file"


class Store(ABC):
    """Files by name at `root`."""

    keyed = False  # whether files that differ in what is behind a dot are of one sample

    def __init__(self, root: Path) -> None:
        self.root = root

    @abstractmethod
    def names(self) -> list[str]:
        """The names of all files, in any order. Raises `DataError`."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The content of one of the names. Raises `DataError`."""


class FolderStore(Store):
    """All files below a folder, through links."""

    def names(self) -> list[str]:
        return [
            os.path.normpath(os.path.join(os.path.relpath(folder, self.root), file))
            for folder, _, files in os.walk(self.root, followlinks=True)
            for file in files
        ]

    def read(self, name: str) -> bytes:
        return read_file(self.root, self.root / name, name)


class ListStore(Store):
    """The files that a text file names."""

    def names(self) -> list[str]:
        try:
            text = self.root.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{self.root} is not a list of paths in UTF-8: {error}") from error
        return [line for line in text.splitlines() if line.strip()]

    def read(self, name: str) -> bytes:
        return read_file(self.root, self.root.parent / name, name)


class ArchiveStore(Store):
    """The members of a zip archive or a tar."""

    def names(self) -> list[str]:
        return archive_names(self.root)

    def read(self, name: str) -> bytes:
        return read_member(self.root, name)


class ShardStore(Store):
    """The members of all tars in a folder, under their names there."""

    keyed = True

    @cached_property
    def shards(self) -> dict[str, tuple[Path, Place]]:
        """The tar of each name, and its place there."""
        shards = dict[str, tuple[Path, Place]]()
        for path in list_suffix(self.root, (".tar",)):
            for name, place in tar_places(path).items():
                if name in shards:
                    raise DataError(
                        f"{name} is in {shards[name][0]} and in {path}; keys of shards differ "
                        "from each other"
                    )
                shards[name] = path, place
        return shards

    def names(self) -> list[str]:
        return [*self.shards]

    def read(self, name: str) -> bytes:
        path, place = self.shards[name]
        return read_place(path, name, place)


class TableStore(Store):
    """The pictures in the rows of tables."""

    keyed = True

    @cached_property
    def table(self) -> PictureTable:
        return PictureTable(list_suffix(self.root, TABLES) if self.root.is_dir() else [self.root])

    def names(self) -> list[str]:
        return self.table.names()

    def read(self, name: str) -> bytes:
        return self.table.read(name)


def open_store(root: Path) -> Store:
    """Return the store at `root`. Raises `DataError` if there is none."""
    try:
        status = os.stat(root)
    except OSError as error:
        raise DataError(f"{root} is {NO_STORE}; check the path") from error
    return find_store(root, status.st_mtime_ns)


@lru_cache(maxsize=8)
def find_store(root: Path, mtime: int) -> Store:
    """The store at `root` as it was at `mtime`."""
    if root.is_dir():
        kinds = ((ShardStore, (".tar",)), (TableStore, TABLES))
        for kind, suffixes in kinds:
            if list_suffix(root, suffixes) and not holds_pictures(root):
                return kind(root)
        check_splits(root)
        return FolderStore(root)
    suffix = root.suffix.lower()
    if is_archive(root):
        return ArchiveStore(root)
    if suffix in LISTS:
        return ListStore(root)
    if suffix in TABLES:
        return TableStore(root)
    if root.name.lower().endswith((".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")):
        raise DataError(f"{root} is a compressed tar, which cannot be read in any order; unpack it")
    raise DataError(f"{root} is {NO_STORE}; check the path")


def check_splits(root: Path) -> None:
    """Raise `DataError` where `root` holds several splits of a saved data set, not one."""
    if (root / "dataset_dict.json").is_file():
        splits = sorted(p.parent.name for p in root.glob("*/dataset_info.json"))
        raise DataError(f"{root} has several splits ({', '.join(splits)}); give the folder of one")


def list_suffix(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files in a folder, not below it, with one of `suffixes`, sorted by name."""
    found = (p for p in folder.iterdir() if p.suffix.lower() in suffixes and not hidden(p.name))
    return sorted(p for p in found if p.is_file())


def holds_pictures(folder: Path) -> bool:
    """Whether a picture is anywhere below a folder."""
    walk = os.walk(folder, followlinks=True)
    return any(is_picture(f) and not hidden(f) for _, _, files in walk for f in files)


def read_file(root: Path, path: Path, name: str) -> bytes:
    """The bytes of a file of the store at `root`."""
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise DataError(f"{root}: {name} cannot be read: {error}") from error
