"""Result cards: what a filled photo came from, as JSON beside it, and the way to make it again."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import __version__, images, registry
from ..errors import DataError, InpaintError, blame_path
from ..files.archives import archive_of
from ..files.pictures import picture_format
from ..files.stamps import FileStamp
from ..files.write import atomic_path, check_free
from ..models.choose import LoadedModel, ModelRef, load_model
from .fill import Filled, FillResult, Notify, fill_photo, ignore
from .hole import files_of_finders, mark_photo
from .options import options_from_dict

CARD_FORMAT = 1


@dataclass(frozen=True)
class CardFile:
    """A file by its contents, and its path as seen from the card."""

    path: str
    sha256: str

    @classmethod
    def of(cls, file: Path, card: Path) -> CardFile:
        try:
            place = os.path.relpath(file.resolve(), card.parent.resolve())
        except ValueError:  # on another drive of Windows
            place = file.resolve()
        return cls(Path(place).as_posix(), FileStamp.of(file).sha256)

    def seen_from(self, card: Path) -> Path:
        """Return the path at which the file should be."""
        try:
            return Path(os.path.relpath((card.parent / self.path).resolve()))
        except (ValueError, OSError, RuntimeError) as error:  # NUL, too long, a loop of links
            raise DataError(f"{card} names an impossible path: {error}", path=card) from error


@dataclass(frozen=True)
class Card:
    """All that shaped a filled photo; `options` name the device and precision that were used."""

    photo: CardFile
    mask: CardFile | None
    output: CardFile
    model: str
    weights: CardFile | None
    options: Mapping[str, Any]  # see `options_to_dict`
    sample: int
    plugin: str
    inpaint: str
    torch: str
    threads: int  # of the CPU
    windows: Sequence[Mapping[str, int]]  # of the photo, that were shown to the model
    drift: Mapping[str, Any] | None  # what writing changed outside the hole
    seconds: float
    notes: Sequence[str]
    files: Sequence[CardFile] = ()  # that finders read
    card: int = CARD_FORMAT


def card_path(output: Path) -> Path:
    """Return the path of the card of `output`."""
    return output.with_name(f"{output.name}.card.json")


def write_card(
    filled: Filled,
    result: FillResult,
    photo: Path,
    mask: Path | None,
    *,
    output: Path | None = None,
) -> Path:
    """Write the card of a filled photo beside it, or beside `output`, and return its path."""
    output = output or result.output
    if output is None:
        raise ValueError("what went to a stream has no card")
    path, model = card_path(output), filled.model
    read = files_of_finders(filled.hole.options, photo)
    used = {"device": result.device, "precision": result.precision}
    card = Card(
        photo=CardFile.of(photo, path),
        mask=mask and CardFile.of(mask, path),
        output=CardFile.of(output, path),
        model=model.name,
        weights=model.weights and CardFile.of(model.weights, path),
        options=filled.options | used,
        sample=filled.sample,
        plugin=find_plugin(model),
        inpaint=__version__,
        torch=torch_version(),
        threads=count_threads(),
        windows=[asdict(window) for window in result.windows],
        drift=result.drift and asdict(result.drift),
        seconds=round(result.seconds, 4),
        notes=[*result.notes],
        files=[CardFile.of(file, path) for file in read],
    )
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(asdict(card), indent=2) + "\n", "utf-8")
    return path


def find_plugin(model: LoadedModel) -> str:
    """Return the package that offers the filler or architecture, with its version."""
    name = model.header.get("architecture", model.name)
    for kind in ("fillers", "architectures"):
        if points := registry.find_plugins(kind).get(name):
            return registry.plugin_origin(points[0])
    return ""


def torch_version() -> str:
    """Return the version of the installed torch, which need not be imported."""
    from importlib.metadata import version  # takes longer to import than a small fill's work

    return version("torch")


def count_threads() -> int:
    """Return the CPU threads of torch where it computes; 0 where it was not imported."""
    return sys.modules["torch"].get_num_threads() if "torch" in sys.modules else 0


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use `count` threads in the block: with others, sums are in another order."""
    torch = sys.modules.get("torch")
    if not (torch and count):
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@blame_path
def read_card(path: Path) -> Card:
    """The card at `path`; `DataError` where it is none."""
    from pydantic import TypeAdapter, ValidationError  # a fill needs none of these

    from ..settings import first_problem

    try:
        card = TypeAdapter(Card).validate_json(path.read_bytes())
        options_from_dict(card.options)  # raises where they are not ours
    except FileNotFoundError as error:
        raise DataError(f"there is no card {path}; check the name") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        reason = first_problem(error)
        raise DataError(f"{path} is not a card that `--card` has written: {reason}") from error
    except (ValueError, TypeError, AttributeError, InpaintError) as error:
        raise DataError(f"{path} is not a card that `--card` has written: {error}") from error
    if card.card != CARD_FORMAT:
        raise DataError(f"{path} is a card of format {card.card}; get a newer inpaint")
    return card


def repeat_card(
    path: Path,
    photo: Path | None = None,
    mask: Path | None = None,
    weights: Path | None = None,
    *,
    output: Path | None = None,
    overwrite: bool = False,
    notify: Notify = ignore,
) -> Path:
    """Fill the photo of the card at `path` again, and return the path of the result.

    `photo`, `mask` and `weights` say where those files are now, `output` where to write
    instead. Raises `DataError` where a file is not the card's any more, and, once the photo is
    written, `InpaintError` where the result differs from the card's.
    """
    card = read_card(path)
    photo = find_card_file(photo, card.photo, path, "photo")
    hole_file = card.mask and find_card_file(mask, card.mask, path, "mask")
    held = card.weights and find_card_file(weights, card.weights, path, "weights file")
    output = output or stated_output(card, path)
    picture_format(output)
    if output.exists() and output.samefile(archive_of(photo) or photo):
        raise DataError(f"{output} is the photo itself: give another name with -o")
    check_free(output, overwrite=overwrite)
    hole_options, run = options_from_dict(card.options)
    for file, source in zip(files_of_finders(hole_options, photo), card.files, strict=False):
        find_card_file(file, source, path, "file for its finder")
    source, hole = mark_photo(images.read_photo(photo), hole_file, hole_options)
    ref = ModelRef(weights=str(held)) if held else ModelRef(name=card.model)
    model = load_model(ref, device=run.device, precision=run.precision)
    notify(f"filling as {path} says: {model.name} on {model.device}")
    with torch_threads(card.threads):
        fill_photo(model, source, hole, run=run, sample=card.sample).save(
            output, overwrite=overwrite
        )
    if output.suffix == Path(card.output.path).suffix:
        if FileStamp.of(output).sha256 != card.output.sha256:
            raise InpaintError(
                f"{output} is not bit for bit the file of {path}, which was made by inpaint"
                f" {card.inpaint} ({card.plugin}) with torch {card.torch}, here"
                f" {__version__} with {torch_version()}"
            )
        notify(f"{output} is bit for bit the file of the card")
    return output


def stated_output(card: Card, path: Path) -> Path:
    """Return where the card at `path` says its result is, if that is beside or below the card."""
    output = card.output.seen_from(path)
    if not output.resolve().is_relative_to(path.parent.resolve()):
        raise DataError(
            f"{path} names an output outside its folder, {output}; say where to write with -o",
            path=path,
        )
    return output


def find_card_file(given: Path | None, source: CardFile, card: Path, what: str) -> Path:
    """Return the file `given`, or else the one that the card names, if it is still the same."""
    path = given or source.seen_from(card)
    if not (archive_of(path) or path).is_file():
        raise DataError(f"the {what} of {card}, {path}, does not exist; give its present path")
    if FileStamp.of(path).sha256 != source.sha256:
        raise DataError(f"{path} has changed since {card} was written; give the original {what}")
    return path
