"""Masks made from a photo by finders: what is like a colour, scratches, text, outlines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import images
from ..errors import ArgumentError, ImageError, PluginError, RecipeError
from ..files.pictures import picture_format
from ..files.write import atomic_path, check_free
from ..images.photo import Hole
from ..registry import find_plugins, load_plugin
from ..settings import describe_settings
from ..wording import describe_found

if TYPE_CHECKING:
    from ..api.finders import Finder

NEXT_SETTING = re.compile(r",(?=\w+=)")  # a comma inside a value is not before KEY=
PREVIEW_SIDE = 1600  # pixels


@dataclass(frozen=True)
class FoundMask:
    """A mask that was found and written: its file, and the share of the photo, 0 to 1."""

    path: Path
    share: float
    summary: str  # a sentence for the user


def find_mask(photo: Any, kind: str, *, limit: float | None = None, **settings: Any) -> Hole:
    """Return a mask [H, W], True where a finder says that `photo` is to be filled.

    `photo` is a path, a Pillow picture or an array. `kind` is a finder with its `settings`
    (see `list_finders`), which may stand in one text: "color:value=#ff8c1e,tolerance=15".
    Nothing found gives an empty mask. Raises `ImageError` where more than the share `limit` of the
    photo was found, by default the finder's own limit; `ArgumentError` for unknown kinds and
    settings.

    >>> photo = np.full((20, 30, 3), 90, np.uint8)
    >>> photo[5:8, 10:20] = 255, 140, 30
    >>> find_mask(photo, "color", value="#ff8c1e", grow=0).sum().item()
    30
    """
    finder, source = make_finder(kind, settings), images.to_photo(photo)
    return run_finder(finder, kind.partition(":")[0], source, images.rgb_bytes(source), limit)


def find_mask_file(
    photo: str | Path,
    kind: str,
    output: str | Path,
    *,
    settings: Mapping[str, Any] | Sequence[str] = (),
    preview: str | Path | None = None,
    limit: float | None = None,
    overwrite: bool = False,
) -> FoundMask:
    """Write the mask that a finder makes of `photo`: white is found; the rest is black.

    `settings` are those of `find_mask`, or texts "KEY=VALUE". `preview` is a picture of the photo
    with the mask laid over it. Raises `InpaintError` as `find_mask` does, and where a file exists,
    unless `overwrite`.

    >>> from tempfile import mkdtemp
    >>> from PIL import Image
    >>> photo = Path(mkdtemp(), "sea.png")
    >>> Image.new("RGB", (40, 30), "navy").save(photo)
    >>> find_mask_file(photo, "polygon", photo.with_name("m.png"), settings=["points=0,0,9,0,0,9"]).path.name
    'm.png'
    """  # noqa: E501
    mask_path, source = Path(output), images.read_photo(Path(photo))
    targets = [mask_path, *([Path(preview)] if preview else [])]
    for path in targets:
        check_free(path, overwrite=overwrite)
        picture_format(path)
        if path.exists() and path.samefile(photo):
            raise ArgumentError("output", f"{path} is the photo itself; give another name")
    if not isinstance(settings, Mapping):
        settings = dict(split_setting(text) for text in settings)
    mask = find_mask(source, kind, limit=limit, **settings)
    with atomic_path(mask_path) as temporary:
        images.hole_to_image(mask).save(temporary)
    if preview:
        write_preview(source, mask, Path(preview))
    share = float(mask.mean())
    return FoundMask(mask_path, share, describe_found(kind.partition(":")[0], share, source.name))


def find_masks(
    photo: images.Photo, kinds: Sequence[str], limit: float | None
) -> tuple[Hole, dict[str, float]]:
    """Return what the finders `kinds` find together [H, W], and the share that each found."""
    finders = [(kind, make_finder(kind)) for kind in kinds]
    mask, shares = np.zeros(photo.size, np.bool_), {}
    rgb = images.rgb_bytes(photo)
    for kind, finder in finders:
        part = run_finder(finder, kind.partition(":")[0], photo, rgb, limit)
        mask |= part
        shares[kind] = round(float(part.mean()), 6)
    return mask, shares


def finder_files(kinds: Sequence[str], photo: Path) -> list[Path]:
    """Return the files that the finders `kinds` read for `photo`, besides the photo itself.

    Raises `DataError` where one is missing.
    """
    return [path for kind in kinds for path in make_finder(kind).files(photo.name)]


def run_finder(
    finder: Finder, name: str, photo: images.Photo, rgb: Any, limit: float | None
) -> Hole:
    """Return what `finder` finds in `photo`, whose pixels are `rgb` uint8 [H, W, 3]."""
    mask = finder.find(rgb, Path(photo.name).name)
    if mask.shape != photo.size or mask.dtype != np.bool_:
        raise PluginError(
            f"finder '{name}' gave {mask.dtype} {list(mask.shape)} for a photo of"
            f" {list(photo.size)}; update or uninstall it"
        )
    if finder.within:
        mask = mask & images.hole_of_regions(photo.size, [finder.within])
    limit = finder.limit if limit is None else limit
    if (share := mask.mean()) > limit:
        raise ImageError(
            f"'{name}' found {share:.1%} of {photo.name}, more than the limit of {limit:.0%}: look"
            f" at it with `inpaint masks find {name} --limit 100%`, then change its settings or"
            " raise the limit"
        )
    return mask


def make_finder(kind: str, settings: Mapping[str, Any] | None = None) -> Finder:
    """Return the finder of a text "KIND" or "KIND:KEY=VALUE,KEY=VALUE", with more `settings`.

    Raises `ArgumentError` where the finder or a setting is unknown or wrong.
    """
    from ..recipe.schema import Named
    from ..recipe.source import ArgumentSource

    name, _, text = kind.partition(":")
    parts = dict(split_setting(part) for part in NEXT_SETTING.split(text)) if text else {}
    named = Named(kind=name, **(parts | dict(settings or {})))
    try:
        return ArgumentSource(Path(name)).plugin("finders", named, ())
    except RecipeError as error:
        reason = str(error).replace(f"{name}: kind: ", "")
        raise ArgumentError("find", reason) from error


def split_setting(text: str) -> tuple[str, str]:
    """Return key and value of "KEY=VALUE"."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise ArgumentError("find", f"'{text}' is not a setting; write KIND:KEY=VALUE,KEY=VALUE")
    return key.strip(), value.strip()


def write_preview(photo: images.Photo, mask: Hole, path: Path) -> None:
    """Write the photo with `mask` laid over it, reduced to `PREVIEW_SIDE` pixels."""
    from ..reports.contact_sheet import fit_cell, overlay_hole

    shown = overlay_hole(images.rgb_bytes(photo), mask)
    small = fit_cell(shown, PREVIEW_SIDE) if max(photo.size) > PREVIEW_SIDE else shown
    with atomic_path(path) as temporary:
        images.write_photo(images.to_photo(small), temporary, overwrite=True)


def list_finders(kind: str | None = None) -> list[dict[str, Any]]:
    """Return all finders, or the one called `kind`, with their settings.

    Each has its `kind`, a `summary`, `settings` with their defaults ("required" where there is
    none), `descriptions` of the settings, and `limit`, the largest share that it may find. A finder
    of a package that is broken has a `problem`, a sentence, and no settings; if it is the one asked
    for, that is raised as `PluginError`.

    >>> list_finders("color")[0]["settings"]["value"]
    'required'
    """
    rows = []
    for name in [kind] if kind else find_plugins("finders"):
        row: dict[str, Any] = {"kind": name, "problem": ""}
        try:
            finder: type[Finder] = load_plugin("finders", name)
            row |= {"limit": finder.limit} | describe_settings(finder)
        except PluginError as error:
            if kind:
                raise
            summary = f"cannot be used: {error}"
            row |= {"problem": str(error), "limit": 0.0, "summary": summary}
            row |= {"settings": {}, "descriptions": {}}
        rows.append(row)
    return rows
