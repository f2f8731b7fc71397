"""The manifest of a set of masks: how each of them was drawn."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar

from pydantic import NonNegativeInt, PositiveInt, ValidationError

from ..errors import DataError, blame_path
from ..images.bounds import max_pixels
from ..settings import Settings, first_problem

MANIFEST = "masks.jsonl"
UNFINISHED = ".masks.unfinished.json"  # there while a set is drawn
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


@dataclass(frozen=True)
class ManifestLine:
    """Line `number` (from 1) of the manifest at `path`."""

    path: Path
    number: int

    def error(self, text: str) -> DataError:
        place = f"{self.path}:{self.number}"
        return DataError(f"{place}: {text}", path=self.path, line=self.number)

    def parse(self, schema: type[Line], text: str) -> Line:
        try:
            return schema.model_validate_json(text)
        except ValidationError as error:
            raise self.error(f"not a manifest of masks: {first_problem(error)}") from error

    def check(self, entry: MaskEntry, header: ManifestHeader) -> None:
        """Raise `DataError` where `entry` cannot be drawn, or would be written outside the set."""
        if not is_mask_name(entry.file):
            raise self.error(f"'{entry.file}' is not the name of a mask in the set")
        if entry.generator >= len(header.generators):
            raise self.error(f"there is no generator {entry.generator}")
        if entry.height * entry.width > max_pixels():
            raise self.error(f"{entry.width}x{entry.height} is too large")


def is_mask_name(text: str) -> bool:
    """Whether `text` names a mask within the folder of a set."""
    name = PurePosixPath(text)
    return not name.is_absolute() and ".." not in name.parts and name.suffix == ".png"


@blame_path
def read_manifest(path: Path) -> tuple[ManifestHeader, list[MaskEntry]]:
    """Return header and entries of the manifest at `path`, checked for drawing the masks again.

    Raises `DataError`, with the line, where it is damaged or names files outside the set.
    """
    try:
        text = path.read_text("utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a manifest of masks; give a {MANIFEST}") from error
    if not text:
        raise DataError(f"{path} is not a manifest of masks; give a {MANIFEST}")
    first, *rest = text.split("\n")  # not splitlines: names may hold any other break
    header = ManifestLine(path, 1).parse(ManifestHeader, first)
    entries = []
    for number, text in enumerate(rest, 2):
        line = ManifestLine(path, number)
        entry = line.parse(MaskEntry, text)
        line.check(entry, header)
        entries.append(entry)
    return header, entries
