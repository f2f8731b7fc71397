"""Result cards: what a filled photo came from, as JSON beside it, and the way to make it again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import images, registry
from ..errors import DataError, InpaintError
from ..files.stamps import FileStamp
from ..files.write import atomic_path, check_free
from ..models.choose import open_model
from ..models.weights import Model
from .options import FillOptions

if TYPE_CHECKING:
    from .fill import FillResult

CARD_FORMAT = 1


@dataclass(frozen=True)
class CardFile:
    """A file by its contents, and where it lay as seen from the card."""

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
        """Where the file should lie."""
        return Path(os.path.relpath((card.parent / self.path).resolve()))


@dataclass(frozen=True)
class Card:
    """All that shaped a filled photo; `options` name the device and precision that were used."""

    photo: CardFile
    mask: CardFile | None
    output: CardFile
    model: str
    weights: CardFile | None
    options: FillOptions
    sample: int
    plugin: str
    inpaint: str
    torch: str
    threads: int  # of the CPU
    windows: Sequence[Mapping[str, int]]  # of the photo, that were shown to the model
    drift: Mapping[str, Any] | None  # what writing changed outside the hole
    seconds: float
    notes: Sequence[str]
    card: int = CARD_FORMAT


def card_path(output: Path) -> Path:
    """Where the card of `output` lies."""
    return output.with_name(f"{output.name}.card.json")


def write_card(
    model: Model,
    written: FillResult,
    photo: Path,
    mask: Path | None,
    *,
    options: FillOptions,
    sample: int = 0,
    output: Path | None = None,
) -> Path:
    """Write the card of the photo that `written` tells of beside it, or beside `output`."""
    import torch

    from .fill import choose_runtime

    output = output or written.output
    if output is None:
        raise ValueError("what went to a stream has no card")
    path = card_path(output)
    device, _ = choose_runtime(model, options)
    plugins = registry.find_plugins("architectures").get(
        model.header.get("architecture", model.name)
    )
    card = Card(
        photo=CardFile.of(photo, path),
        mask=mask and CardFile.of(mask, path),
        output=CardFile.of(output, path),
        model=model.name,
        weights=model.weights and CardFile.of(model.weights, path),
        options=replace(options, device=str(device), precision=written.precision),
        sample=sample,
        plugin=registry.plugin_origin(plugins[0]) if plugins else "",
        inpaint=version("inpaint-cli"),
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        windows=[asdict(window) for window in written.windows],
        drift=written.drift and asdict(written.drift),
        seconds=round(written.seconds, 4),
        notes=[*written.notes],
    )
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(asdict(card), indent=2) + "\n", "utf-8")
    return path


def read_card(path: Path) -> Card:
    """The card at `path`; `DataError` where it is none."""
    try:
        found = json.loads(path.read_text("utf-8"))
        if found["card"] != CARD_FORMAT:
            raise DataError(f"{path} is a card of format {found['card']}; get a newer inpaint")
        for name in ("photo", "mask", "output", "weights"):
            found[name] = found[name] and CardFile(**found[name])
        regions = [tuple(region) for region in found["options"].pop("regions")]
        found["options"] = FillOptions(**found["options"], regions=regions)
        return Card(**found)
    except FileNotFoundError as error:
        raise DataError(f"there is no card {path}; check the name") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path} is not a card that `--card` has written: {error!r}") from error


def repeat_card(
    path: Path,
    photo: Path | None = None,
    mask: Path | None = None,
    weights: Path | None = None,
    *,
    output: Path | None = None,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda note: None,
) -> Path:
    """Make the photo of the card at `path` again, and return its path.

    `photo`, `mask` and `weights` say where those files lie now, `output` where to write to
    instead. Raises `DataError` where a file is not the card's any more, and, once the photo is
    written, `InpaintError` where it came out otherwise.
    """
    import torch

    from . import fill
    from .hole import find_hole

    card = read_card(path)
    photo = find_card_file(photo, card.photo, path, "photo")
    hole_file = card.mask and find_card_file(mask, card.mask, path, "mask")
    held = card.weights and find_card_file(weights, card.weights, path, "weights file")
    output = output or card.output.seen_from(path)
    if output.exists() and output.samefile(photo):
        raise DataError(f"{output} is the photo itself: give another name with -o")
    check_free(output, overwrite=overwrite)
    threads = torch.get_num_threads()
    torch.set_num_threads(card.threads)  # sums are in another order with others
    try:
        source = images.read_photo(photo)
        hole = find_hole(source, hole_file, card.options)
        model = open_model(None, held) if held else open_model(card.model)
        report(f"filling as {path} says: {model.name} on {card.options.device}")
        fill.fill_file(
            model,
            source,
            hole.hole,
            output,
            options=card.options,
            sample=card.sample,
            overwrite=overwrite,
        )
    finally:
        torch.set_num_threads(threads)
    if output.suffix == Path(card.output.path).suffix:
        if FileStamp.of(output).sha256 != card.output.sha256:
            raise InpaintError(
                f"{output} is not bit for bit what {path} tells of, which was made by inpaint"
                f" {card.inpaint} ({card.plugin}) with torch {card.torch}, here"
                f" {version('inpaint-cli')} with {torch.__version__}"
            )
        report(f"{output} is bit for bit what the card tells of")
    return output


def find_card_file(given: Path | None, source: CardFile, card: Path, what: str) -> Path:
    """The file `given`, or else where the card says it lies, if it is still the same."""
    path = given or source.seen_from(card)
    if not path.is_file():
        raise DataError(f"the {what} of {card}, {path}, is not there; say where it is now")
    if FileStamp.of(path).sha256 != source.sha256:
        raise DataError(f"{path} has changed since {card} was written: it is another {what} now")
    return path
