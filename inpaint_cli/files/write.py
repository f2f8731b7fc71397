"""Write files whole or not at all, and sweep what killed processes left of writing."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from ..errors import InpaintError, blame_path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

TEMPORARY = re.compile(r"\..*\.inpaint-[0-9a-f]{8}(\.[^.]+)?", re.DOTALL)
CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


@contextmanager
def atomic_path(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Give a temporary path beside `path`, and rename it to `path` when the block ends well.

    Whatever goes wrong inside, Ctrl-C and a full disk included, `path` stays as it was and the
    temporary file is removed. The temporary name keeps the suffix, by which writers choose a
    format, and begins with a dot. A file that is replaced hands on its permissions; of a symbolic
    link the target is written. What killed processes left in the folder is removed. Raises
    `InpaintError` where `path` exists and may not be replaced, or cannot be written.
    """
    check_free(path, overwrite=overwrite)
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep_once(os.path.abspath(target.parent), os.getpid())
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
        temporary, handle = create_temporary(target)
    except OSError as error:
        raise write_error(path, error) from error
    try:
        yield temporary
        if mode is not None:
            temporary.chmod(mode)
        if fcntl is None:  # Windows renames no open file
            os.close(handle)
        temporary.replace(target)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        if fcntl is not None:
            os.close(handle)
        temporary.unlink(missing_ok=True)


def create_temporary(target: Path) -> tuple[Path, int]:
    """Create an empty file beside `target`; its handle holds the lock that says it is in use."""
    while True:
        name = f".{shorten(target.stem)}.inpaint-{os.urandom(4).hex()}{target.suffix[:30]}"
        temporary = target.with_name(name)
        with suppress(FileExistsError):
            handle = os.open(temporary, CREATE, 0o666)
            if fcntl is None:
                return temporary, handle
            with suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            if temporary.exists():  # no other process took it for abandoned meanwhile
                return temporary, handle
            os.close(handle)


def shorten(stem: str) -> str:
    """The beginning of a name, so that with what is added it is not too long for a file system."""
    return os.fsencode(stem)[:120].decode("utf-8", "ignore")


@lru_cache(maxsize=1024)
def sweep_once(folder: str, process: int) -> None:
    """Call `sweep_folder` once for each process."""
    sweep_folder(Path(folder))


def sweep_folder(folder: Path) -> None:
    """Remove the temporary files in `folder` whose process has ended."""
    if fcntl is None:
        return
    for name in os.listdir(folder):
        if TEMPORARY.fullmatch(name):
            with suppress(OSError):
                remove_abandoned(os.path.join(folder, name))


def remove_abandoned(path: str) -> None:
    """Remove a temporary file, unless a process that lives holds its lock (`OSError`)."""
    assert fcntl is not None
    handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if stat.S_ISREG(os.fstat(handle).st_mode):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
    finally:
        os.close(handle)


@blame_path
def check_free(path: Path, *, overwrite: bool) -> None:
    """Raise `InpaintError` where `path` is no regular file, or exists and may not be replaced."""
    if path.is_dir():
        raise InpaintError(f"{path} is a folder; give the name of a file")
    if path.exists() and not path.is_file():
        raise InpaintError(f"{path} is a device or a pipe, not a file; give another name")
    if path.exists() and not overwrite:
        raise InpaintError(f"{path} exists already; give another name or --overwrite")


def write_error(path: Path, error: OSError) -> InpaintError:
    return InpaintError(f"{path} cannot be written: {error.strerror or error}", path=path)
