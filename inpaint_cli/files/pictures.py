"""The files that are pictures, by the suffixes of their names."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import DataError, ImageError, blame_path

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
        "HEIF": ".heic .heif .hif",
        "JXL": ".jxl",
    }.items()
    for suffix in suffixes.split()
}

UNREAD_SUFFIXES = {  # of pictures that are not read, and the way out
    suffix: advice
    for advice, suffixes in {
        "camera raw, which is not read: develop it and export a TIFF of 16 bits": (
            ".dng .cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .orf .rw2 .raf .pef .srw .x3f .3fr .iiq"
            " .erf .dcr .kdc .mrw .mos .rwl .raw .gpr"
        ),
        "a document with layers, which is not read: export it as PNG or TIFF": (
            ".psd .psb .xcf .kra .ora .clip .afphoto .procreate"
        ),
        "of a kind that is not read: export it as PNG or TIFF": (
            ".svg .pdf .eps .ai .exr .hdr .ico .dds .jxr .wdp .bpg .webm"
        ),
    }.items()
    for suffix in suffixes.split()
}


def suffix_advice(name: str) -> str:
    """What a picture of this name is that cannot be read, and the way out; else nothing."""
    return UNREAD_SUFFIXES.get(os.path.splitext(name)[1].lower(), "")


def written_suffix(name: str | Path) -> str:
    """The suffix of a picture once it is filled: that of `name`, but JPEG XL becomes PNG."""
    suffix = Path(name).suffix
    return ".png" if suffix.lower() == ".jxl" else suffix


def filled_name(name: str | Path) -> str:
    """What a filled picture is called beside its source: cat.jpg becomes cat.filled.jpg."""
    return f"{Path(name).stem}.filled{written_suffix(name)}"


def is_picture(name: str) -> bool:
    """Whether a file of this name is a picture that can be read, by its suffix."""
    return os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES


@blame_path
def picture_format(path: Path) -> str:
    """The format in which `path` is written, by its suffix.

    Raises `ImageError` where that stands for none, or for one that is only read.
    """
    if advice := suffix_advice(path.name):
        raise ImageError(f"{path} is {advice}")
    if (suffix := path.suffix.lower()) not in PICTURE_SUFFIXES:
        raise ImageError(
            f"{path} has no suffix of a picture; use one of {', '.join(PICTURE_SUFFIXES)}"
        )
    if written_suffix(path) != path.suffix:
        raise ImageError(f"{path} is JPEG XL, which is read, but not written: use .png or .jpg")
    return PICTURE_SUFFIXES[suffix]


def walk_files(folder: Path, skip: Sequence[Path]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield the names of what is under `folder` and not hidden, linked folders among it."""
    left_out = {(s.st_dev, s.st_ino) for path in skip if path.exists() for s in [path.stat()]}

    def walk(place: str, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    status = os.stat(entry.path)
                    if (status.st_dev, status.st_ino) not in left_out:
                        yield from walk(entry.path, f"{prefix}{entry.name}/")
                else:
                    yield prefix + entry.name, entry

    try:
        yield from walk(os.fspath(folder), "")
    except OSError as error:
        raise DataError(f"{error.filename} cannot be listed: {error.strerror}") from error


def hidden(name: str) -> bool:
    """Whether a file of an archive is hidden, or one that a system adds to archives."""
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def stem_key(name: str) -> tuple[str, str]:
    """The subfolder and the stem of a name with slashes."""
    folder, _, file = name.rpartition("/")
    return folder, os.path.splitext(file)[0]
