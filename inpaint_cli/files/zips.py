"""Read files out of zip archives, which stay packed."""

import os
import zlib
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from ..errors import DataError

LARGEST_MEMBER = 2**30  # bytes that a file may unpack to


def zip_names(path: Path) -> list[str]:
    """The names of all that the archive at `path` holds. Raises `DataError` where it is none."""
    return open_zip(path, os.getpid()).namelist()


def read_zip_member(path: Path, name: str) -> bytes:
    """The file `name` of the archive at `path`. Raises `DataError` where it is damaged or huge."""
    try:
        packed = open_zip(path, os.getpid())
        if packed.getinfo(name).file_size > LARGEST_MEMBER:
            raise DataError(
                f"{path}: {name} unpacks to more than {LARGEST_MEMBER:,} bytes; take it out"
            )
        return packed.read(name)
    except KeyError as error:
        raise DataError(f"{path} holds no {name}; check the name") from error
    except (OSError, BadZipFile, RuntimeError, NotImplementedError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: {name} cannot be read: {error}") from error


def archive_of(path: Path) -> Path | None:
    """The zip archive in which `path` is a member, as in masks.zip/cat.png; None if it is none."""
    return next((p for p in path.parents if is_archive(p)), None)


def is_archive(path: Path) -> bool:
    """Whether `path` is a zip archive, by its suffix."""
    return path.suffix.lower() == ".zip" and path.is_file()


def holds_files(path: Path) -> bool:
    """Whether `path` is a folder, or a zip archive that stands for one."""
    return path.is_dir() or is_archive(path)


@lru_cache(maxsize=16)
def open_zip(path: Path, process: int) -> ZipFile:
    """The opened archive; one for each process, for a file's position is shared across a fork."""
    try:
        return ZipFile(path)
    except (OSError, BadZipFile) as error:
        raise DataError(f"{path} is not a whole zip archive: {error}; get it again") from error
