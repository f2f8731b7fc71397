"""Files in zip archives and tars, by their names: both stay packed."""

from pathlib import Path

from ..errors import DataError, blame_path
from .tars import Place, tar_places
from .zips import LARGEST_MEMBER, read_zip_member, zip_names

ARCHIVES = (".zip", ".tar")  # suffixes


def is_archive(path: Path) -> bool:
    """Whether `path` is an archive, by its suffix."""
    return path.suffix.lower() in ARCHIVES and path.is_file()


def archive_of(path: Path) -> Path | None:
    """The archive in which `path` is a member, as in masks.zip/cat.png; None if it is none."""
    return next((p for p in path.parents if is_archive(p)), None)


def holds_files(path: Path) -> bool:
    """Whether `path` is a folder, or an archive that stands for one."""
    return path.is_dir() or is_archive(path)


@blame_path
def archive_names(path: Path) -> list[str]:
    """The names of all that the archive at `path` holds.

    Raises `DataError` where it is no whole archive, or holds a name twice.
    """
    if path.suffix.lower() == ".tar":
        return [*tar_places(path)]
    known = set[str]()
    for name in (names := zip_names(path)):
        if name in known:
            raise DataError(f"{path} holds {name} twice; keep one of them")
        known.add(name)
    return names


@blame_path
def read_member(path: Path, name: str) -> bytes:
    """The file `name` of the archive at `path`. Raises `DataError` where it is damaged or huge."""
    if path.suffix.lower() != ".tar":
        return read_zip_member(path, name)
    place = tar_places(path).get(name)
    if place is None:
        raise DataError(f"{path} holds no {name}; check the name")
    return read_place(path, name, place)


def read_place(path: Path, name: str, place: Place) -> bytes:
    """The file `name` of the tar at `path`, which is at `place`."""
    if place.size > LARGEST_MEMBER:
        raise DataError(f"{path}: {name} has more than {LARGEST_MEMBER:,} bytes; take it out")
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(place.start)
            return file.read(place.size)
    except OSError as error:
        raise DataError(f"{path}: {name} cannot be read: {error}") from error
