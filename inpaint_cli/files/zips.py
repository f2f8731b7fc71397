"""Read files out of zip archives, which stay packed."""

import os
from functools import lru_cache
from pathlib import Path
from zipfile import ZipFile

from ..errors import DataError, blame_path

LARGEST_MEMBER = 2**28  # bytes that a file may unpack to


@blame_path
def zip_names(path: Path) -> list[str]:
    """The names of all that the archive at `path` holds. Raises `DataError` where it is none."""
    return open_zip(path, os.getpid()).namelist()


@blame_path
def read_zip_member(path: Path, name: str) -> bytes:
    """The file `name` of the archive at `path`. Raises `DataError` where it is damaged or huge."""
    try:
        packed = open_zip(path, os.getpid())
        if packed.getinfo(name).file_size > LARGEST_MEMBER:
            raise DataError(
                f"{path}: {name} unpacks to more than {LARGEST_MEMBER:,} bytes; take it out"
            )
        return packed.read(name)
    except DataError:
        raise
    except KeyError as error:
        raise DataError(f"{path} holds no {name}; check the name") from error
    except Exception as error:  # zipfile raises nearly anything for a damaged archive
        raise DataError(f"{path}: {name} cannot be read: {error}") from error


@lru_cache(maxsize=16)
def open_zip(path: Path, process: int) -> ZipFile:
    """The opened archive; one for each process, for a file's position is shared across a fork."""
    try:
        return ZipFile(path)
    except Exception as error:
        raise DataError(f"{path} is not a whole zip archive: {error}; get it again") from error
