"""Where images are: a folder, an archive, shards, tables, or a list of paths.

All of them give names with slashes, sorted by nobody, none of which leads out of a folder, and the
bytes of each.

- A folder, with all below it.
- A zip archive or a tar.
- Shards, as WebDataset writes them: a folder of tars whose members are called key.ext. Their names
  are those of a folder into which all were unpacked. A sample's mask is key.mask.ext.
- Tables, as Hugging Face's `datasets` saves them: a folder of .arrow or .parquet files, or one such
  file. See `tables`.
- A list: a text file with one path per line, relative to the list's folder. If a path leads out of
  that, all names are relative to the deepest folder that has all the files.
"""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath

from ..errors import DataError, blame_path
from .archives import ARCHIVES, archive_names, is_archive, read_member, read_place
from .pictures import hidden, is_picture, suffix_advice, walk_files
from .tables import TABLES, PictureTable
from .tars import Place, tar_places

PART_NAME = re.compile(r"(.+)-\d+-of-\d+")  # of a file, behind its split
LISTS = (".txt", ".lst", ".flist")
NO_STORE = "neither a folder nor a .zip, .tar, .parquet, .txt or .lst file"


class Store(ABC):
    """Files by name at `root`."""

    keyed = False  # whether files that differ in what is behind a dot are of one sample

    def __init__(self, root: Path) -> None:
        self.root = root

    @abstractmethod
    def names(self) -> list[str]:
        """The names of all files, in any order, without hidden ones. Raises `DataError`."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The content of one of the names. Raises `DataError`."""

    def place(self, name: str) -> Path:
        """The path by which `images.read.file_contents` reads the same."""
        return self.root / name

    def is_mask(self, name: str) -> bool:
        """Whether a picture is the mask of a sample."""
        return self.keyed and PurePosixPath(name).stem.endswith(".mask")


class FolderStore(Store):
    """All files below a folder, through links."""

    def names(self) -> list[str]:
        names = (
            os.path.normpath(os.path.join(os.path.relpath(folder, self.root), file))
            for folder, _, files in os.walk(self.root, followlinks=True)
            for file in files
        )
        return [name for name in names if not hidden(name)]

    def read(self, name: str) -> bytes:
        return read_file(self.root, self.place(name), name)


class ListStore(Store):
    """The files that a text file names."""

    @cached_property
    def files(self) -> dict[str, Path]:
        """The file of each name."""
        try:
            text = self.root.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{self.root} is not a list of paths in UTF-8: {error}") from error
        files = dict[str, Path]()
        paths = [line for line in text.splitlines() if line.strip()]
        for name, path in zip(inner_names(self.root.parent, paths), paths, strict=True):
            if name in files:
                raise DataError(f"{self.root} names {path} twice; remove one of the lines")
            files[name] = self.root.parent / path
        return files

    def names(self) -> list[str]:
        return [*self.files]

    def read(self, name: str) -> bytes:
        return read_file(self.root, self.place(name), name)

    def place(self, name: str) -> Path:
        return self.files[name]


class ArchiveStore(Store):
    """The members of a zip archive or a tar."""

    def names(self) -> list[str]:
        return [name for name in archive_names(self.root) if not hidden(name)]

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
        return [name for name in self.shards if not hidden(name)]

    def read(self, name: str) -> bytes:
        path, place = self.shards[name]
        return read_place(path, name, place)

    def place(self, name: str) -> Path:
        return self.shards[name][0] / name


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

    def place(self, name: str) -> Path:
        return self.table.place(name)


def holds_files(path: Path) -> bool:
    """Whether `path` is a folder, or by its suffix a file that stands for one."""
    suffixes = (*ARCHIVES, *TABLES, *LISTS)
    return path.is_dir() or (path.suffix.lower() in suffixes and path.is_file())


@blame_path
def list_pictures(root: Path, skip: Sequence[Path] = ()) -> dict[str, Path]:
    """The pictures of the store at `root` by name, sorted, each with the path to read it by.

    Neither hidden ones, nor those in folders of `skip`; linked folders are not entered.
    """
    store = open_store(root)
    if isinstance(store, FolderStore):
        names = [name for name, entry in walk_files(root, skip) if entry.is_file()]
    else:
        names = store.names()
    return {name: store.place(name) for name in sorted(filter(is_picture, names))}


def list_unread(root: Path, skip: Sequence[Path] = ()) -> dict[str, str]:
    """Sentences, by name, on the pictures and linked folders at `root` that are not read."""
    store = open_store(root)
    if isinstance(store, FolderStore):
        found = {name: file_advice(name, entry) for name, entry in walk_files(root, skip)}
    else:
        found = {name: suffix_advice(name) for name in store.names()}
    return {name: f"{store.place(name)} is {advice}" for name, advice in found.items() if advice}


def file_advice(name: str, entry: os.DirEntry[str]) -> str:
    """What keeps a file of a folder from being read, and the way out; else nothing."""
    if entry.is_dir():
        return "a linked folder, which is not entered: give it by itself"
    if is_picture(name) and not entry.is_file():
        return "no file, but a pipe, a device or a broken link: remove it"
    return suffix_advice(name)


def list_masks(root: Path, skip: Sequence[Path] = ()) -> dict[str, Path]:
    """The pictures of the store at `root` that may be masks: if samples have some, these alone."""
    found, store = list_pictures(root, skip), open_store(root)
    return {name: path for name, path in found.items() if store.is_mask(name)} or found


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
            if (files := list_suffix(root, suffixes)) and not holds_pictures(root):
                check_parts(root, files)
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


def check_parts(root: Path, files: Sequence[Path]) -> None:
    """Raise `DataError` where files are of several splits, as test-00000-of-00002.parquet says."""
    splits = sorted({match[1] for f in files if (match := PART_NAME.fullmatch(f.stem))})
    if len(splits) > 1:
        raise DataError(
            f"{root} has files of several splits ({', '.join(splits)}); put those of one into a "
            "folder"
        )


def list_suffix(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files in a folder, not below it, with one of `suffixes`, sorted by name."""
    found = (p for p in folder.iterdir() if p.suffix.lower() in suffixes and not hidden(p.name))
    return sorted(p for p in found if p.is_file())


def holds_pictures(folder: Path) -> bool:
    """Whether a picture is anywhere below a folder."""
    walk = os.walk(folder, followlinks=True)
    return any(is_picture(f) and not hidden(f) for _, _, files in walk for f in files)


def inner_names(folder: Path, paths: Sequence[str]) -> list[str]:
    """Names of `paths`, which are relative to `folder`, that lead out of no folder."""
    names = [os.path.normpath(path) for path in paths]
    if any(os.path.isabs(name) or name.split(os.sep)[0] == os.pardir for name in names):
        whole = [os.path.abspath(os.path.join(folder, name)) for name in names]
        common = os.path.commonpath(map(os.path.dirname, whole))
        names = [os.path.relpath(path, common) for path in whole]
    return [Path(name).as_posix() for name in names]


def read_file(root: Path, path: Path, name: str) -> bytes:
    """The bytes of a file of the store at `root`."""
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise DataError(f"{root}: {name} cannot be read: {error}") from error
