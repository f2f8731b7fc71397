"""Stamps that show whether a file has changed."""

import os
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from .archives import archive_of

PIECE = 1 << 20  # bytes


class FileStamp(NamedTuple):
    """The size, time and hash of a file, which show whether it has changed."""

    size: int
    mtime: int  # nanoseconds
    sha256: str
    ctime: int = 0  # nanoseconds; unlike mtime no program can set it

    @classmethod
    def of(cls, path: Path) -> "FileStamp":
        path = archive_of(path) or path
        status = os.stat(path)
        digest = file_hash(path, status.st_mtime_ns, status.st_ctime_ns)
        return cls(status.st_size, status.st_mtime_ns, digest, status.st_ctime_ns)

    def fits(self, path: Path) -> bool:
        """Whether the file at `path`, or the archive it is in, is still the one of this stamp."""
        path = archive_of(path) or path
        try:
            status = os.stat(path)
            if status.st_size != self.size:
                return False
            if (status.st_mtime_ns, status.st_ctime_ns) == (self.mtime, self.ctime):
                return True
            return file_hash(path, status.st_mtime_ns, status.st_ctime_ns) == self.sha256
        except OSError:
            return False


def hash_file(path: Path) -> str:
    """The SHA-256 of a file, in hex; read in pieces, for weights are large."""
    digest = sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


@lru_cache(maxsize=16)  # one mask may serve all photos
def file_hash(path: Path, mtime: int, ctime: int) -> str:
    """The SHA-256 of a file as it was at `mtime` and `ctime`, nanoseconds."""
    return hash_file(path)
