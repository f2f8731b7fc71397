"""Write files whole or not at all, pictures in the format that their suffix stands for."""

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InpaintError

RANDOM_PART = re.compile("[a-z0-9_]{8}")  # what mkstemp puts into names


@contextmanager
def atomic_path(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Give a temporary path beside `path`, and rename it to `path` when the block ends well.

    Whatever goes wrong inside, Ctrl-C and a full disk included, `path` stays as it was and the
    temporary file is removed. The temporary name keeps the suffix, by which writers choose a
    format, and begins with a dot. Raises `InpaintError` where `path` exists and may not be
    replaced, or cannot be written.
    """
    check_free(path, overwrite=overwrite)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(path.suffix, f".{path.stem[:40]}-", path.parent)
    except OSError as error:
        raise write_error(path, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~current_umask())  # mkstemp allows its owner only
        temporary.replace(path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def find_leftovers(folder: Path, names: Iterable[str]) -> list[Path]:
    """The temporary files that killed processes have left of writing `names` into `folder`."""
    ours = {(f".{path.stem[:40]}-", path.suffix) for path in map(Path, names)}
    found = [Path(name) for name in os.listdir(folder) if name.startswith(".")]
    return [
        folder / path
        for path in found
        if (path.stem[:-8], path.suffix) in ours and RANDOM_PART.fullmatch(path.stem[-8:])
    ]


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raise `InpaintError` where `path` is a folder, or exists and may not be replaced."""
    if path.is_dir():
        raise InpaintError(f"{path} is a folder; give the name of a file")
    if path.exists() and not overwrite:
        raise InpaintError(f"{path} exists already; give another name or --overwrite")


def write_error(path: Path, error: OSError) -> InpaintError:
    return InpaintError(f"{path} cannot be written: {error.strerror or error}")


def current_umask() -> int:
    """The permissions that new files of this process do not get."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
