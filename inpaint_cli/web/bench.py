"""What the worker does: decode photos, read masks, fill, and write; with files of the session.

Only the server names files here: those of the command line, and those in its own folder.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from PIL import Image

from .. import images
from ..errors import ArgumentError, ImageError
from ..files.write import atomic_path
from ..filling.fill import write_filled
from ..filling.photo import fill
from ..images.photo import Hole
from ..images.read import file_contents
from ..masks.find import find_mask, list_finders, make_finder
from ..models.choose import LoadedModel, ModelRef, list_models, load_model
from ..registry import load_plugin
from ..wording import describe_found
from .exchange import PhotoFile, Report, stamp_file
from .patches import read_result, write_result, write_view

if TYPE_CHECKING:
    from ..api.finders import Finder


class Bench:
    """Keeps the photo and the model that were used last."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.photo: tuple[Any, images.Photo] | None = None
        self.model: tuple[Any, LoadedModel] | None = None

    def wait(self) -> None:
        """Do nothing: the process is up when this returns."""

    def models(self) -> list[dict[str, Any]]:
        """Return the models that can be chosen, with what each needs."""
        return [model.to_dict() | {"status": model.status} for model in list_models()[0]]

    def open(self, file: PhotoFile, folder: Path, mask: Path | None) -> dict[str, Any]:
        """Decode a photo for the screen, into `folder`, and the mask that belongs to it."""
        photo = self.read(file)
        write_view(folder / "view.npy", photo)
        height, width = photo.size
        marked = mask and (str(mask) != "alpha" or photo.channel)
        drawn = self.read_mask(file, mask) if mask and marked else np.zeros(photo.size, np.bool_)
        np.save(folder / "mask.npy", drawn)
        return {
            "width": width,
            "height": height,
            "stamp": stamp_file(file.path),
            "format": photo.format,
            "lossless": photo.lossless,
            "transparent": photo.channel is not None,
            "notes": [*photo.notes],
        }

    def read(self, file: PhotoFile) -> images.Photo:
        """Return the photo in `file`, which is decoded once."""
        if file.stamp and file.stamp != stamp_file(file.path):
            raise ImageError(f"{file.name} has changed since it was opened; load the page again")
        key = file.path, stamp_file(file.path)
        if self.photo is None or self.photo[0] != key:
            self.photo = None  # two large photos need not fit into memory
            self.photo = key, images.read_photo(file_contents(file.path), name=file.name)
        return self.photo[1]

    def read_mask(self, file: PhotoFile, mask: Path, name: str = "") -> Hole:
        """Return the mask in a file, or the photo's own transparency for "alpha"."""
        source = self.read(file)
        if str(mask) == "alpha":
            return source.hole_from_alpha()
        name = name or mask.name
        found = images.read_mask(file_contents(mask), name=name)
        for note in found.notes:
            self.report(note=note)
        if found.hole.shape == source.size:
            return found.hole
        (height, width), (h, w) = source.size, found.hole.shape
        if not images.same_shape(found.hole.shape, source.size):
            raise ImageError(
                f"{name} is {w}x{h}, but {file.name} is {width}x{height}: the proportions"
                " differ; choose the mask of this photo"
            )
        self.report(note=f"the mask was {w}x{h} and is resized to {width}x{height}")
        return images.resize_mask(found.hole, source.size)

    def finders(self) -> list[dict[str, Any]]:
        """Return the finders that work, with their settings, and which of these are files."""
        usable = (row for row in list_finders() if not row["problem"])
        return [row | {"files": file_fields(row["kind"])} for row in usable]

    def find(
        self,
        file: PhotoFile,
        base: Path | None,
        kind: str,
        settings: Mapping[str, Any],
        upload: Path | None,
    ) -> tuple[Hole, str]:
        """Return what a finder finds in a photo, or in the result in `base`, and a sentence.

        `upload` is a file of the session, for the one setting of the finder that is a file.
        """
        photo, _ = read_result(base, self.read(file))
        if upload is not None:
            settings = {**settings, **dict.fromkeys(file_fields(kind)[:1], upload)}
        refuse_paths(make_finder(kind, settings), upload)
        hole = find_mask(photo, kind, limit=1.0, **settings)  # it is seen before it is filled
        return hole, describe_found(kind, float(hole.mean()), file.name)

    def fill(
        self,
        file: PhotoFile,
        mask: Path,
        base: Path | None,
        output: Path,
        model: ModelRef,
        settings: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Fill the hole of a photo, or of the result in `base`, into the folder `output`."""
        source = self.read(file)
        photo, before = read_result(base, source)
        drawn = np.load(mask)
        alpha = photo.channel is not None and np.array_equal(drawn, photo.hole_from_alpha())
        filled = fill(
            photo,
            "alpha" if alpha else images.ReadMask(drawn),
            model=self.load(model, settings),
            notify=lambda note: self.report(note=note),
            progress=lambda done, total: self.report(done=done, total=total),
            **settings,
        )
        area = before | filled.hole.area
        boxes = write_result(output, filled.photo, area)
        return {
            "alpha": alpha,  # the photo's own transparency was the hole, and is opaque now
            "model": filled.model.name,
            "stochastic": filled.model.filler.stochastic,
            "device": filled.model.device,
            "seconds": round(filled.seconds, 3),
            "boxes": [[x, y, w, h] for y, x, h, w in boxes],
            "hole": bound_area(filled.hole.area),
            "notes": [*filled.notes],
        }

    def load(self, model: ModelRef, settings: Mapping[str, Any]) -> LoadedModel:
        """Return the model, which is loaded once."""
        how = {key: settings[key] for key in ("device", "precision")}
        key = model, *how.values()
        if self.model is None or self.model[0] != key:
            self.model = None
            self.model = key, load_model(model, **how)
        return self.model[1]

    def save(self, file: PhotoFile, result: Path, output: Path, overwrite: bool) -> dict[str, Any]:
        """Write a result as `fill` writes it, and read it again."""
        source = self.read(file)
        photo, area = read_result(result, source)
        drift, notes = write_filled(photo, source, area, output, overwrite=overwrite, verify=True)
        return {"notes": [*notes], "drift": drift and vars(drift)}

    def encode(self, file: PhotoFile, result: Path, format: str) -> bytes:
        """Return the bytes that `save` would write in `format`."""
        return images.encode(read_result(result, self.read(file))[0], format)[0]

    def save_mask(self, mask: Path, output: Path, overwrite: bool) -> None:
        """Write a mask as a picture, white where the hole is."""
        with atomic_path(output, overwrite=overwrite) as temporary:
            Image.fromarray(np.load(mask).astype(np.uint8) * 255).save(temporary, "PNG")

    def fill_file(
        self,
        file: PhotoFile,
        mask: Path | str | None,
        model: ModelRef,
        settings: Mapping[str, Any],
    ) -> tuple[bytes, str, list[str]]:
        """Fill one photo as `inpaint fill` does: its bytes, its format, and notes."""
        notes: list[str] = []
        for kind in settings["find"]:
            refuse_paths(make_finder(kind))
        source = self.read(file)
        loaded = self.load(model, settings)
        filled = fill(source, mask, model=loaded, notify=notes.append, **settings)
        stream = io.BytesIO()
        filled.save(stream, notify=notes.append)
        return stream.getvalue(), source.format, notes


def is_path(annotation: Any) -> bool:
    """Whether a setting of this type is a file."""
    return annotation is Path or any(map(is_path, get_args(annotation)))


def file_fields(kind: str) -> list[str]:
    """Return the settings of a finder that are files."""
    fields = load_plugin("finders", kind).model_fields
    return [name for name, field in fields.items() if is_path(field.annotation)]


def refuse_paths(finder: "Finder", upload: Path | None = None) -> None:
    """Raise where a setting names another file than `upload`: a client names none of ours."""
    for name, value in finder:
        if isinstance(value, Path) and value != upload:
            raise ArgumentError(name, "files of this machine are not opened for a page")


def bound_area(area: Hole) -> list[int]:
    """Return the box of `area` [H, W]: x, y, width, height."""
    rows, columns = (np.flatnonzero(area.any(axis)) for axis in (1, 0))
    if not rows.size:
        return [0, 0, area.shape[1], area.shape[0]]
    spans = [(int(at[0]), int(at[-1] - at[0] + 1)) for at in (columns, rows)]
    return [start for start, _ in spans] + [length for _, length in spans]
