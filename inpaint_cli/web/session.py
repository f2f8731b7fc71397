"""What one page works on: photos, the masks drawn on them, and results, until the server ends."""

import re
import secrets
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from pathlib import Path, PurePosixPath
from threading import RLock
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from .. import images
from ..arguments import argument_error
from ..errors import DataError, ImageError, InpaintError
from ..files.pairs import MASK_NAME, Pair, pair_files
from ..files.pictures import filled_name, is_picture, picture_format, written_suffix
from ..files.stores import list_pictures
from ..images.photo import Hole
from ..models.choose import ModelRef
from ..settings import Settings
from ..wording import name_some
from .exchange import PhotoFile, Stamp
from .jobs import Job, Jobs
from .patches import Patches, draw_view
from .squares import pack_mask, unpack_squares
from .worker import Worker

TAB = re.compile("[0-9a-f]{16}")
MOST_UPLOADS = 200
MOST_DRAFTS = 50  # of a photo, each of one tab
OptionsT = TypeVar("OptionsT", bound="FillOptions")
LARGEST_VIEW = 1536  # pixels a side that are sent at once


class NameTaken(InpaintError):
    """There is a file of the name that was given, which nobody asked to replace."""


class FillOptions(Settings):
    """The options of a fill that a page or a script may give; no path is among them."""

    model: str | None = Field(
        default=None, pattern=r"^[\w.+-]+$", description="A name that `inpaint models` lists."
    )
    grow: int = Field(default=0, description="Pixels by which the hole grows; negative shrinks.")
    feather: int = Field(default=0, ge=0, description="Pixels over which the fill fades in.")
    seed: int = Field(default=0, ge=0, description="The same seed gives the same picture.")
    device: str = Field(default="auto", description="For networks: auto, cpu, cuda, mps.")
    precision: str = Field(default="auto", description="For networks: auto, full, bf16, fp16.")
    window: int | None = Field(default=None, ge=16, description="Pixels a side seen at once.")

    @property
    def settings(self) -> dict[str, Any]:
        """The keywords of `fill` besides the model."""
        return self.model_dump(exclude={"model"})


class FormOptions(FillOptions):
    """The fields of a form that fills one photo, as `fill` names them."""

    mask: Literal["alpha"] | None = Field(default=None, description="The photo's transparency.")
    regions: list[tuple[int, int, int, int]] = Field(
        default=[], description="Rectangles: x,y,width,height in pixels; repeatable."
    )
    extend: list[int | str] = Field(
        default=[], description="Wider canvas: left,top,right,bottom in pixels or percent."
    )
    find: list[str] = Field(default=[], description="Finders: KIND:KEY=VALUE; repeatable.")
    threshold: int = Field(default=128, description="Mask levels from which it is hole.")
    invert: bool = Field(default=False, description="Black marks the hole.")
    resize: bool = Field(default=False, description="Resize the mask to the photo.")

    @property
    def settings(self) -> dict[str, Any]:
        return self.model_dump(exclude={"model", "mask"})


@dataclass
class Result:
    """A fill: what it was made from, and how; its pixels are in `folder`."""

    id: str
    base: str | None  # the result that it was filled on top of; None: the photo
    folder: Path
    options: FillOptions
    facts: Mapping[str, Any]  # of the bench

    def to_dict(self) -> dict[str, Any]:
        """Return it as values of JSON."""
        return {
            "id": self.id,
            "base": self.base,
            "options": self.options.model_dump(),
            **self.facts,
        }


@dataclass
class OpenPhoto:
    """A photo that can be chosen on the page; `folder` is where its files of the session are."""

    id: str
    path: Path
    name: str
    folder: Path
    given: bool  # on the command line: results are saved beside it
    mask: Path | None = None  # from the command line
    facts: dict[str, Any] = field(default_factory=dict)  # of the bench, once it was opened
    results: dict[str, Result] = field(default_factory=dict)

    @property
    def file(self) -> PhotoFile:
        """The photo for the worker, which refuses it when it has changed since it was opened."""
        stamp: Stamp | None = self.facts.get("stamp")
        return PhotoFile(self.path, self.name, stamp)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width); raises where the photo is not open."""
        if not self.facts:
            raise InpaintError(f"{self.name} is not open; load the page again")
        return self.facts["height"], self.facts["width"]

    def result(self, result: str | None) -> Result:
        """Return a result by its id."""
        if result not in self.results:
            raise InpaintError(f"{self.name} has no such result; load the page again")
        return self.results[result]

    def chain(self, result: str) -> list[Result]:
        """Return the result and those below it, the first that was made first."""
        last = self.result(result)
        return [*(self.chain(last.base) if last.base else []), last]

    def to_dict(self) -> dict[str, Any]:
        """Return it as values of JSON."""
        facts = {key: value for key, value in self.facts.items() if key != "stamp"}
        results = [result.to_dict() for result in self.results.values()]
        names = {"name": self.name, "filled": filled_name(self.name)}
        return {"id": self.id, "given": self.given, "results": results, **names, **facts}


class Session:
    """All photos of a page. `folder` is removed by whoever made it, with everything in it."""

    def __init__(
        self,
        folder: Path,
        photo: Path | None = None,
        mask: Path | None = None,
        model: ModelRef | None = None,
    ) -> None:
        self.folder, self.model = folder, model or ModelRef()
        self.worker, self.jobs, self.lock = Worker(), Jobs(), RLock()
        self.photos: dict[str, OpenPhoto] = {}
        self.keys = count()
        for pair in find_photos(photo, mask):
            self.add(pair.photo, str(pair.photo), given=True, mask=pair.mask)

    def add(self, path: Path, name: str, *, given: bool, mask: Path | None = None) -> OpenPhoto:
        """Add a photo that is not read yet."""
        with self.lock:
            key = str(next(self.keys))
            photo = OpenPhoto(key, path, name, self.folder / key, given, mask)
            self.photos[key] = photo
            return photo

    def photo(self, key: str) -> OpenPhoto:
        """Return a photo by its id."""
        if key not in self.photos:
            raise DataError("there is no such photo; load the page again")
        return self.photos[key]

    def new_upload(self, name: str) -> tuple[Path, str]:
        """Return a new file of the session for an upload, and a harmless `name` to show."""
        uploads = self.folder / "uploads"
        uploads.mkdir(exist_ok=True)
        if len([*uploads.iterdir()]) >= MOST_UPLOADS:
            raise DataError(
                f"{MOST_UPLOADS} files came already; stop `inpaint paint`, start it again"
            )
        shown = PurePosixPath(name.replace("\\", "/")).name[-100:] or "photo"
        return uploads / secrets.token_hex(8), shown

    def open(self, key: str) -> OpenPhoto:
        """Decode a photo, if it was not yet, and return it."""
        photo = self.photo(key)
        with self.lock:
            if not photo.facts:
                photo.folder.mkdir(exist_ok=True)
                photo.facts = self.worker.call(
                    "open", file=photo.file, folder=photo.folder, mask=photo.mask
                )
        return photo

    # masks -------------------------------------------------------------------------------

    def draft(self, photo: OpenPhoto, tab: str, *, write: bool = False) -> Hole:
        """Return the mask that a tab draws, mapped from its file: all zero, or the given one."""
        if not TAB.fullmatch(tab):
            raise InpaintError("the tab has no proper id; load the page again")
        path, first = photo.folder / f"draft-{tab}.npy", photo.folder / "mask.npy"
        if not path.exists():
            shutil.copyfile(first, path)
            drafts = sorted(photo.folder.glob("draft-*.npy"), key=lambda file: file.stat().st_mtime)
            for old in drafts[:-MOST_DRAFTS]:
                old.unlink()
        return np.load(path, mmap_mode="r+" if write else "r")

    def draft_squares(self, photo: OpenPhoto, tab: str) -> bytes:
        """Return the mask that a tab draws, as squares."""
        return pack_mask(self.draft(photo, tab))

    def mask_picture(self, photo: OpenPhoto, tab: str) -> bytes:
        """Return the mask that a tab draws as a PNG."""
        path = photo.folder / "picture.png"
        with self.lock:
            draft = photo.folder / f"draft-{tab}.npy"
            self.draft(photo, tab)
            self.worker.call("save_mask", mask=draft, output=path, overwrite=True)
            return path.read_bytes()

    def draw(self, photo: OpenPhoto, tab: str, squares: bytes) -> None:
        """Replace squares of a tab's mask."""
        with self.lock:
            unpack_squares(squares, self.draft(photo, tab, write=True))

    def load_mask(self, photo: OpenPhoto, mask: Path, name: str) -> tuple[bytes, list[str]]:
        """Return the mask of a file, or "alpha", as squares, and notes; no draft changes."""
        notes: list[str] = []
        hole = self.worker.call(
            "read_mask",
            lambda note="": notes.append(note),
            file=photo.file,
            mask=mask,
            name=name,
        )
        return pack_mask(hole), notes

    def find(
        self,
        photo: OpenPhoto,
        version: str | None,
        kind: str,
        settings: Mapping[str, Any],
        upload: Path | None = None,
    ) -> tuple[bytes, str]:
        """Return what a finder finds in a photo or a result of it, as squares, and a sentence."""
        base = photo.result(version).folder if version else None
        if not re.fullmatch(r"[\w-]+", kind):
            raise InpaintError("a finder is named by its kind, with settings apart")
        hole, sentence = self.worker.call(
            "find", file=photo.file, base=base, kind=kind, settings=settings, upload=upload
        )
        return pack_mask(hole), sentence

    def grown(self, photo: OpenPhoto, tab: str, grow: int, feather: int) -> bytes:
        """Return all that would be filled of a tab's mask, as squares."""
        return pack_mask(images.grow(self.draft(photo, tab), grow or feather))

    # fills -------------------------------------------------------------------------------

    def start_fill(self, photo: OpenPhoto, tab: str, base: str | None, options: FillOptions) -> Job:
        """Fill the mask of a tab, on top of the result `base`, in the background."""
        key = secrets.token_hex(8)
        folder = photo.folder / key
        folder.mkdir()
        np.save(folder / "mask.npy", self.draft(photo, tab))
        below = photo.result(base).folder if base else None

        def work(job: Job) -> dict[str, Any]:
            facts = self.worker.call(
                "fill",
                lambda **news: job.report(**news),
                file=photo.file,
                mask=folder / "mask.npy",
                base=below,
                output=folder,
                model=self.choose(options),
                settings=options.settings,
            )
            photo.results[key] = Result(key, base, folder, options, facts)
            return photo.results[key].to_dict()

        return self.jobs.start(photo.id, self.worker.turn, work)

    def choose(self, options: FillOptions) -> ModelRef:
        """Return the model that was asked for, by its name alone, or the command line's."""
        return ModelRef(name=options.model) if options.model else self.model

    def cancel(self, key: str) -> Job:
        """End a fill, and the process that does it."""
        job = self.job(key)
        if job.cancel():
            self.worker.kill()
            self.worker.warm()
        return job

    def job(self, key: str) -> Job:
        """Return a job by its id."""
        if key not in self.jobs.known:
            raise DataError("there is no such fill; load the page again")
        return self.jobs.known[key]

    def fill_file(
        self, files: Mapping[str, tuple[Path, str]], fields: Mapping[str, Sequence[str]]
    ) -> tuple[bytes, str, list[str]]:
        """Return the file "photo" filled, its format, and notes.

        The hole is what the file "mask" and the `fields` of a form say.
        """
        if "photo" not in files:
            raise InpaintError("no file 'photo' was sent; send the photo that is to be filled")
        options = parse_options(FormOptions, {k: unpack_field(k, v) for k, v in fields.items()})
        (path, name), (mask, _) = files["photo"], files.get("mask", (options.mask, ""))
        return self.worker.call(
            "fill_file",
            file=PhotoFile(path, name),
            mask=mask,
            model=self.choose(options),
            settings=options.settings,
        )

    # results -----------------------------------------------------------------------------

    def view(
        self, photo: OpenPhoto, version: str, box: Sequence[int], size: Sequence[int]
    ) -> bytes:
        """Return a PNG of `size` (width, height) of the photo, or of one of its results."""
        (height, width), (x, y, w, h) = photo.size, box
        inside = 0 <= x < x + w <= width and 0 <= y < y + h <= height
        if not inside or not all(1 <= side <= LARGEST_VIEW for side in size):
            raise ImageError("that part of the photo cannot be shown; load the page again")
        patches = None if version == "photo" else load_patches(photo.result(version).folder)
        view: NDArray[np.uint8] = np.load(photo.folder / "view.npy", mmap_mode="r")
        return draw_view(view, patches, box, size)

    def result_squares(self, photo: OpenPhoto, result: str) -> bytes:
        """Return the mask of a result, as squares."""
        return pack_mask(np.load(photo.result(result).folder / "mask.npy", mmap_mode="r"))

    def result_file(self, photo: OpenPhoto, result: str) -> tuple[bytes, str]:
        """Return a result as the file that `fill` would write, and its format."""
        folder, own = photo.result(result).folder, photo.facts["format"]
        format = own if written_suffix(photo.name) == Path(photo.name).suffix else "PNG"
        return self.worker.call("encode", file=photo.file, result=folder, format=format), format

    def save(
        self, photo: OpenPhoto, result: str, name: str, *, overwrite: bool, with_mask: bool
    ) -> dict[str, Any]:
        """Write a result beside its photo, as `fill` writes it; say how, and with which command."""
        if not photo.given:
            raise InpaintError(f"{photo.name} came through the page; download the result instead")
        chain, output = photo.chain(result), photo.path.with_name(check_name(name))
        masks = self.mask_files(photo, chain) if with_mask else {}
        if output == photo.path or (output.exists() and output.samefile(photo.path)):
            raise InpaintError(f"{output} is the photo itself; give another name")
        taken = [path.name for path in (output, *masks.values()) if path.exists()]
        if taken and not overwrite:
            raise NameTaken(f"{name_some(taken)} exists already; give another name, or replace it")
        saved = self.worker.call(
            "save",
            file=photo.file,
            result=chain[-1].folder,
            output=output,
            overwrite=overwrite,
        )
        for step, path in masks.items():
            drawn = self.folder / photo.id / step / "mask.npy"
            self.worker.call("save_mask", mask=drawn, output=path, overwrite=overwrite)
        return saved | {
            "output": str(output),
            "masks": [*map(str, masks.values())],
            "commands": self.commands(photo, chain, output) if with_mask else [],
        }

    def mask_files(self, photo: OpenPhoto, chain: Sequence[Result]) -> dict[str, Path]:
        """Return where the masks of results are saved; the photo's own transparency is not."""
        drawn = [result.id for result in chain if not result.facts["alpha"]]
        return dict(zip(drawn, name_masks(photo.path, len(drawn)), strict=True))

    def commands(self, photo: OpenPhoto, chain: Sequence[Result], output: Path) -> list[str]:
        """Return the command lines that make `output` again from the photo and saved masks."""
        lines, source, masks = [], photo.path, self.mask_files(photo, chain)
        for n, result in enumerate(chain, 1):
            target = output if n == len(chain) else output.with_stem(f"{output.stem}.{n}")
            mask = masks.get(result.id, "alpha")
            words = ["inpaint", "fill", str(source), "--mask", str(mask)]
            words += self.option_words(result.options)
            lines.append(shlex.join([*words, "-o", str(target), "--verify"]))
            source = target
        return lines

    def option_words(self, options: FillOptions) -> Iterator[str]:
        """Yield the options of `fill` that are not as they are by default."""
        model = self.choose(options)
        for name, value in (("model", model.name), ("weights", model.weights)):
            if value:
                yield from (f"--{name}", value)
        plain = FillOptions()
        for name, value in options.settings.items():
            if value != getattr(plain, name):
                yield from (f"--{name}", str(value))


def find_photos(photo: Path | None, mask: Path | None) -> Sequence[Pair]:
    """Return the photos of the command line with their masks, without results and their masks."""
    if photo is None:
        return []
    if not photo.is_dir():
        return [Pair(photo.name, photo, mask)]
    if mask is not None and str(mask) != "alpha":
        return match_all(photo, mask)
    pairs = [Pair(pair.name, pair.photo, mask) for pair in pair_files(photo, None).pairs]
    kept = [pair for pair in pairs if not is_made(pair.photo.stem)]
    return kept or pairs


def is_made(stem: str) -> bool:
    """Whether a file of this stem looks like a result or a mask."""
    return stem.endswith(".filled") or MASK_NAME.fullmatch(stem) is not None


def match_all(photos: Path, masks: Path) -> list[Pair]:
    """Return every photo of a folder, with its mask where there is one."""
    found, places = pair_files(photos, masks), list_pictures(photos)
    alone = [Pair(name, places[name], None) for name in found.alone]
    return sorted([*found.pairs, *alone], key=lambda pair: pair.name)


@lru_cache(maxsize=8)
def load_patches(folder: Path) -> Patches:
    """Return how a result looks, which never changes."""
    return Patches.load(folder / "shown.npz")


def check_name(name: str) -> str:
    """Return `name` if it is the plain name of a picture; no folder, nothing hidden."""
    if not name or name != Path(name).name or "\\" in name or name.startswith(".") or "\0" in name:
        raise InpaintError(f"'{name}' is not the name of a file; leave out folders")
    if not is_picture(name):
        picture_format(Path(name))  # raises with what is possible
    return name


def name_masks(photo: Path, count: int) -> list[Path]:
    """Return where the masks of `count` steps are saved; `infer` pairs the first with its photo."""
    numbers = ["", *(str(n) for n in range(2, count + 1))][:count]
    return [photo.with_name(f"{photo.stem}_mask{n}.png") for n in numbers]


def parse_options(schema: type[OptionsT], values: Mapping[str, Any]) -> OptionsT:
    """Return the options in `values`; `ArgumentError` names one that cannot be used."""
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise argument_error(error) from None


def unpack_field(name: str, texts: Sequence[str]) -> Any:
    """Return the value of a field of a form: a list where it may be repeated."""
    if name == "regions":
        return [text.split(",") for text in texts]
    if name == "extend":
        return texts[-1].split(",")
    return texts if name == "find" else texts[-1]
