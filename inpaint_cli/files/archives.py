"""Files in zip archives, tars and tables, by their names: all stay packed."""

from pathlib import Path

from ..errors import DataError, blame_path
from .tables import TABLES, read_cell
from .tars import Place, check_name, tar_places
from .zips import LARGEST_MEMBER, read_zip_member, zip_names

ARCHIVES = (".zip", ".tar")  # suffixes


def is_archive(path: Path) -> bool:
    """Whether `path` is an archive, by its suffix."""
    return path.suffix.lower() in ARCHIVES and path.is_file()


def archive_of(path: Path) -> Path | None:
    """The archive or table in which `path` is, as in masks.zip/cat.png; None if it is in none."""
    packed = (*ARCHIVES, *TABLES)
    return next((p for p in path.parents if p.suffix.lower() in packed and p.is_file()), None)


@blame_path
def archive_names(path: Path) -> list[str]:
    """The names of all that the archive at `path` holds.

    Raises `DataError` where it is no whole archive, or has a name twice or one that leads out.
    """
    if path.suffix.lower() == ".tar":
        return [*tar_places(path)]
    known = dict[str, None]()
    for name in zip_names(path):
        check_name(path, name, known)
        known[name] = None
    return [*known]


@blame_path
def read_member(path: Path, name: str) -> bytes:
    """The file `name` of the archive or table at `path`.

    Raises `DataError` where it is damaged or huge.
    """
    if path.suffix.lower() in TABLES:
        return read_cell(path, name)
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
