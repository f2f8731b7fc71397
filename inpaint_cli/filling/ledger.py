"""The record of a folder job: a file of JSON lines that survives a kill at any moment.

A line is appended in one write when a photo is finished, so only the last one can be torn. Of
several lines about a photo the last counts.
"""

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InpaintError
from ..files.stamps import FileStamp
from ..files.write import atomic_path, write_error

LOCK = ".inpaint.lock"
LEDGER = "ledger.jsonl"


@dataclass(frozen=True)
class LedgerEntry:
    """The outcome for one photo; after an `error`, `made` is the file of an earlier run."""

    name: str
    settings: str  # hash of all that shapes the result besides photo and mask
    photo: FileStamp | None  # None: could not be read
    mask: FileStamp | None  # None: none was needed
    made: FileStamp | None = None
    error: str = ""
    lasting: bool = False  # the error is the files' own: it stays until they change
    untouched: bool = False  # there was no hole, so the photo came back as it was
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    found: Mapping[str, float] = field(default_factory=dict)  # share of the photo, by finder
    files: Mapping[str, FileStamp] = field(default_factory=dict)  # that finders read, by path

    @classmethod
    def read(cls, line: bytes) -> "LedgerEntry":
        """Parse a line; whatever is wrong with it is a `ValueError`."""
        try:
            values = json.loads(line)
            for name in ("photo", "mask", "made"):
                values[name] = None if values[name] is None else FileStamp(**values[name])
            values["notes"] = tuple(values["notes"])
            files = values.get("files", {}).items()
            values["files"] = {path: FileStamp(**stamp) for path, stamp in files}
            entry = cls(**values)
        except (TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"not an entry: {error}") from error
        if not entry.is_sound():
            raise ValueError("not an entry: values of other types")
        return entry

    def is_sound(self) -> bool:
        """Whether all values have their types, which JSON does not promise."""
        known = (self.photo, self.mask, self.made, *self.files.values())
        stamps = [stamp for stamp in known if stamp]
        texts = [self.name, self.settings, self.error, *self.notes, *(s.sha256 for s in stamps)]
        numbers = [n for s in stamps for n in (s.size, s.mtime, s.ctime)]
        return (
            all(isinstance(text, str) for text in texts)
            and all(isinstance(number, int) for number in numbers)
            and isinstance(self.seconds, int | float)
            and isinstance(self.found, dict)
        )

    def line(self) -> bytes:
        values = {k: v._asdict() if isinstance(v, FileStamp) else v for k, v in vars(self).items()}
        values["files"] = {path: stamp._asdict() for path, stamp in self.files.items()}
        return json.dumps(values).encode() + b"\n"  # in ASCII: names need not be UTF-8


def read_entries(folder: Path) -> dict[str, LedgerEntry]:
    """The last entry about each photo, by name; what is torn or damaged is left out."""
    return parse_ledger(read_ledger(folder))[0]


def read_ledger(folder: Path) -> bytes:
    path = folder / LEDGER
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise InpaintError(
            f"{path} cannot be read: {error.strerror}; move it away", path=path
        ) from error


def parse_ledger(data: bytes) -> tuple[dict[str, LedgerEntry], int]:
    """Entries by name, and how many lines are none; an unfinished last line does not count."""
    found, damaged = {}, 0
    for line in data[: data.rfind(b"\n") + 1].splitlines():
        try:
            entry = LedgerEntry.read(line)
        except ValueError:
            damaged += 1
        else:
            found[entry.name] = entry
    return found, damaged


def repair_ledger(folder: Path) -> str:
    """Make the ledger fit to be appended to; return a sentence where lines were damaged.

    A torn last line is cut off. A damaged ledger is kept aside under another name, and a new one
    is made of the lines that can be read.
    """
    path, data = folder / LEDGER, read_ledger(folder)
    found, damaged = parse_ledger(data)
    if not damaged:
        if not data.endswith(b"\n") and data:
            os.truncate(path, data.rfind(b"\n") + 1)
        return ""
    n = 1
    while (aside := path.with_name(f"{path.stem}.damaged-{n}{path.suffix}")).exists():
        n += 1
    for target, kept in (aside, data), (path, b"".join(e.line() for e in found.values())):
        with atomic_path(target) as temporary:
            temporary.write_bytes(kept)
    return (
        f"{path} had {damaged} damaged lines: it is kept as {aside.name}, and the photos"
        " of those lines are filled again"
    )


@contextmanager
def open_ledger(folder: Path) -> Iterator["LedgerWriter"]:
    """Open the ledger for adding entries, which several processes may do at a time."""
    path = folder / LEDGER
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    except OSError as error:
        raise write_error(path, error) from error
    try:
        yield LedgerWriter(path, handle)
    finally:
        os.close(handle)


@dataclass(frozen=True)
class LedgerWriter:
    path: Path
    handle: int

    def add(self, entry: LedgerEntry) -> None:
        """Append `entry`; of a line that a full disk cuts short, `mend` removes the rest."""
        line = entry.line()
        try:
            if os.write(self.handle, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise write_error(self.path, error) from error


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep other jobs out of `folder` while the block runs; the system forgets it on a kill."""
    from filelock import FileLock, Timeout  # imports asyncio

    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise InpaintError(
            f"another job is writing into {folder}; wait until it ends, or give another -o",
            path=folder,
        ) from error
    except OSError as error:
        raise write_error(folder, error) from error
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes it itself
            (folder / LOCK).unlink()
        lock.release()
