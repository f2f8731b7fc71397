"""The manifest of a set of masks: how each of them was drawn."""

from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar

from pydantic import NonNegativeInt, PositiveInt, ValidationError

from ..api.settings import Settings
from ..errors import DataError
from ..images.read import max_pixels

MANIFEST = "masks.jsonl"
Line = TypeVar("Line", bound=Settings)


class MaskOrder(Settings):
    """A mask to draw."""

    file: str  # relative to the folder of the set
    generator: NonNegativeInt = 0  # index into the generators of the set
    seed: tuple[NonNegativeInt, NonNegativeInt]  # for `numpy.random.default_rng`
    height: PositiveInt
    width: PositiveInt


class MaskEntry(MaskOrder):
    """A mask that was drawn."""

    pixels: NonNegativeInt  # hole area
    ratio: float  # hole area / image area
    border: bool  # whether the hole touches the edge of the image
    sha256: str  # of the rows, eight pixels a byte: independent of how the PNG is compressed


class ManifestHeader(Settings):
    """The first line of a manifest."""

    format: Literal["inpaint masks 1"] = "inpaint masks 1"
    versions: dict[str, str]  # of the packages that drew the masks
    generators: list[dict[str, Any]]  # {kind: ..., ...}, with every setting


def read_manifest(path: Path) -> tuple[ManifestHeader, list[MaskEntry]]:
    """Return header and entries of the manifest at `path`, checked for drawing the masks again.

    Raises `DataError`, with the line, where it is damaged or names files outside the set.
    """
    try:
        first, *rest = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise DataError(f"{path} is not a manifest of masks; give a {MANIFEST}") from error
    header = parse_line(ManifestHeader, first, f"{path}:1")
    entries = []
    for line, text in enumerate(rest, 2):
        entry = parse_line(MaskEntry, text, f"{path}:{line}")
        check_entry(entry, header, f"{path}:{line}")
        entries.append(entry)
    return header, entries


def parse_line(schema: type[Line], text: str, place: str) -> Line:
    try:
        return schema.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        reason = f"{key} {first['msg']}".strip()
        raise DataError(f"{place}: not a manifest of masks: {reason}") from error


def check_entry(entry: MaskEntry, header: ManifestHeader, place: str) -> None:
    """Raise `DataError` where `entry` cannot be drawn, or would be written outside the set."""
    name = PurePosixPath(entry.file)
    if name.is_absolute() or ".." in name.parts or name.suffix != ".png":
        raise DataError(f"{place}: '{name}' is not the name of a mask in the set")
    if entry.generator >= len(header.generators):
        raise DataError(f"{place}: there is no generator {entry.generator}")
    if entry.height * entry.width > max_pixels():
        raise DataError(f"{place}: {entry.width}x{entry.height} is too large")
