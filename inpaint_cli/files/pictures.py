"""The files that are pictures, by the suffixes of their names."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import DataError, ImageError, blame_path
from .zips import is_archive, zip_names

PICTURE_SUFFIXES = {  # of pictures, and the formats that they stand for
    suffix: format
    for format, suffixes in {
        "JPEG": ".jpg .jpeg .jpe .jfif .mpo",
        "PNG": ".png .apng",
        "WEBP": ".webp",
        "TIFF": ".tif .tiff",
        "BMP": ".bmp .dib",
        "GIF": ".gif",
        "TGA": ".tga",
        "PPM": ".ppm .pgm .pbm .pnm .pfm",
        "JPEG2000": ".jp2 .j2k .jpx .j2c .jpf .jpc",
        "AVIF": ".avif",
    }.items()
    for suffix in suffixes.split()
}


def is_picture(name: str) -> bool:
    """Whether a file of this name is a picture that can be read, by its suffix."""
    return os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES


@blame_path
def picture_format(path: Path) -> str:
    """The format for which the suffix of `path` stands; raises `ImageError` where that is none."""
    if (suffix := path.suffix.lower()) not in PICTURE_SUFFIXES:
        raise ImageError(
            f"{path} has no suffix of a picture; use one of {', '.join(PICTURE_SUFFIXES)}"
        )
    return PICTURE_SUFFIXES[suffix]


@blame_path
def list_pictures(folder: Path, skip: Sequence[Path]) -> list[str]:
    """Names with slashes of the pictures in a folder or zip archive, sorted, without hidden ones.

    `folder / name` can be read as a picture in both.
    """
    if is_archive(folder):
        return sorted(name for name in zip_names(folder) if is_picture(name) and not hidden(name))
    left_out = {(s.st_dev, s.st_ino) for path in skip if path.exists() for s in [path.stat()]}

    def walk(place: str, prefix: str) -> Iterator[str]:
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    status = os.stat(entry.path)
                    if (status.st_dev, status.st_ino) not in left_out:
                        yield from walk(entry.path, f"{prefix}{entry.name}/")
                elif is_picture(entry.name) and entry.is_file():
                    yield prefix + entry.name

    try:
        return sorted(walk(os.fspath(folder), ""))
    except OSError as error:
        raise DataError(f"{error.filename} cannot be listed: {error.strerror}") from error


def hidden(name: str) -> bool:
    """Whether a file of an archive is hidden, or one that a system adds to archives."""
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def stem_key(name: str) -> tuple[str, str]:
    """The subfolder and the stem of a name with slashes."""
    folder, _, file = name.rpartition("/")
    return folder, os.path.splitext(file)[0]
