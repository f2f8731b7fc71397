"""Stamps that show whether a file has changed."""

import os
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from .zips import archive_of


class FileStamp(NamedTuple):
    """The size, time and hash of a file, which show whether it has changed."""

    size: int
    mtime: int  # nanoseconds
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "FileStamp":
        path = archive_of(path) or path
        status = os.stat(path)
        return cls(status.st_size, status.st_mtime_ns, file_hash(path, status.st_mtime_ns))

    def fits(self, path: Path) -> bool:
        """Whether the file at `path`, or the archive it is in, is still the one of this stamp."""
        path = archive_of(path) or path
        try:
            status = os.stat(path)
            if status.st_size != self.size or status.st_mtime_ns == self.mtime:
                return status.st_size == self.size
            return file_hash(path, status.st_mtime_ns) == self.sha256
        except OSError:
            return False


@lru_cache(maxsize=16)  # one mask may serve all photos
def file_hash(path: Path, mtime: int) -> str:
    """The SHA-256 of a file as it was at `mtime`."""
    return sha256(path.read_bytes()).hexdigest()
