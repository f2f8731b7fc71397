"""Read files out of tars, which stay packed. Only plain ones: each member is read at its place."""

import os
import tarfile
from collections.abc import Container
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError, blame_path

TAR_BLOCK = 512  # bytes to which a tar is padded


class Place(NamedTuple):
    """Where the content of a member is, in bytes."""

    start: int
    size: int


@blame_path
def tar_places(path: Path) -> dict[str, Place]:
    """The place of each file in the tar at `path`, by name. Raises `DataError` where it is none."""
    status = os.stat(path)
    return index_tar(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1024)  # shards of one data set
def index_tar(path: Path, length: int, mtime: int) -> dict[str, Place]:
    """The places in a tar as it was at `mtime`, with `length` bytes."""
    places, end = dict[str, Place](), 0
    try:
        with tarfile.open(path, "r:") as packed:
            for member in packed:
                places |= add_place(path, places, member)
                end = packed.offset  # behind the last whole member
    except (tarfile.TarError, OSError, ValueError) as error:
        reason = "it is compressed: unpack it" if is_compressed(path) else "get it again"
        raise DataError(f"{path} is not a plain tar: {error}; {reason}") from error
    with path.open("rb") as file:
        file.seek(end)
        if end > length or file.read(TAR_BLOCK) != bytes(TAR_BLOCK):
            raise DataError(f"{path} is damaged or cut off after {len(places)} files; get it again")
    return places


def add_place(path: Path, places: dict[str, Place], member: tarfile.TarInfo) -> dict[str, Place]:
    """The place of a member that is a file; its name is checked."""
    if not member.isreg():
        return {}
    name = member.name.removeprefix("./")
    check_name(path, name, places)
    return {name: Place(member.offset_data, member.size)}


def check_name(path: Path, name: str, known: Container[str]) -> None:
    """Raise `DataError` where the archive at `path` has a name of the `known`, or one leads out."""
    if name in known:
        raise DataError(f"{path} holds {name} twice; keep one of them")
    if name.startswith("/") or ".." in name.split("/"):
        raise DataError(f"{path} holds {name}, which leads out of it; pack it again")


def is_compressed(path: Path) -> bool:
    """Whether a file begins as gzip, bzip2, xz or Zstandard do."""
    with path.open("rb") as file:
        return file.read(6).startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"))
