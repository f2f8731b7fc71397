"""What the server and the worker send to each other."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Report = Callable[..., None]  # is given `note`, or `done` and `total`, while work goes on
Stamp = tuple[int, int]  # of a file: its time in nanoseconds, its size in bytes


@dataclass(frozen=True)
class PhotoFile:
    """A photo for the worker: its file, its name for messages, and what is known of the file."""

    path: Path
    name: str
    stamp: Stamp | None = None


def stamp_file(path: Path) -> Stamp | None:
    """Return what changes when the file is written again; None where there is no file."""
    if not path.exists():
        return None
    status = path.stat()
    return status.st_mtime_ns, status.st_size
