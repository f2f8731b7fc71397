"""The file that says how each mask of a set was drawn."""

from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import NonNegativeInt, PositiveInt, ValidationError

from ..api.settings import Settings
from ..errors import DataError
from ..images.read import max_pixels

MANIFEST = "masks.jsonl"


class MaskOrder(Settings):
    """One mask that is to be drawn."""

    file: str  # below the folder of the set
    generator: NonNegativeInt = 0  # which of the set's
    seed: tuple[NonNegativeInt, NonNegativeInt]  # of `numpy.random.default_rng`
    height: PositiveInt
    width: PositiveInt


class MaskEntry(MaskOrder):
    """One mask as it was drawn."""

    pixels: NonNegativeInt  # of the hole
    ratio: float  # the share of the picture that is hole, 0 to 1
    border: bool  # whether the hole touches the picture's edge
    sha256: str  # of the rows, eight pixels a byte: the same whichever zlib packs the PNG


class ManifestHeader(Settings):
    """The first line of a manifest."""

    format: Literal["inpaint masks 1"] = "inpaint masks 1"
    versions: dict[str, str]  # under which the masks were drawn
    generators: list[dict[str, Any]]  # {kind: ..., ...}, every setting written out


def read_manifest(path: Path) -> tuple[ManifestHeader, list[MaskEntry]]:
    """What the manifest at `path` says; `DataError` where it says nothing that can be drawn."""
    try:
        first, *rest = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise DataError(f"{path} is not a manifest of masks; give a {MANIFEST}") from error
    line = 1
    try:
        header = ManifestHeader.model_validate_json(first)
        entries = []
        for line, text in enumerate(rest, 2):
            entries.append(entry := MaskEntry.model_validate_json(text))
            name = PurePosixPath(entry.file)
            if name.is_absolute() or ".." in name.parts or name.suffix != ".png":
                raise DataError(f"{path}:{line}: '{name}' is not the name of a mask in the set")
            if entry.generator >= len(header.generators):
                raise DataError(f"{path}:{line}: there is no generator {entry.generator}")
            if entry.height * entry.width > max_pixels():
                raise DataError(f"{path}:{line}: {entry.width}x{entry.height} is too large")
    except ValidationError as error:
        what = error.errors()[0]
        where = ".".join(map(str, what["loc"]))
        raise DataError(f"{path}:{line}: not a manifest of masks: {where} {what['msg']}") from error
    return header, entries
