"""Draw sets of masks from a seed, with a manifest from which they can be drawn again.

Mask n of a set is drawn with `default_rng([seed, n])`, so neither the order of the work nor the
number of processes changes it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path, PurePosixPath
from signal import SIG_IGN, SIGINT, signal
from typing import Any

import numpy as np
from pydantic import NonNegativeInt, PositiveInt
from tqdm import tqdm

from ..api.masks import Masks, on_border, percent_text
from ..arguments import AnyPath, check_arguments
from ..errors import ArgumentError, DataError
from ..files.pictures import picture_format
from ..files.stores import list_pictures
from ..files.write import atomic_path, check_free, sweep_folder, write_error
from ..images import hole_to_image
from ..images.bounds import max_pixels
from ..images.read import image_size
from ..recipe.plugins import build_generator, make_generator
from ..recipe.source import ArgumentSource
from ..registry import find_plugins, load_plugin
from ..settings import describe_settings
from ..wording import count_text, name_some
from .manifest import (
    MANIFEST,
    UNFINISHED,
    ManifestHeader,
    MaskEntry,
    MaskOrder,
    is_mask_name,
    read_manifest,
)
from .sheet import write_mask_sheet


@dataclass(frozen=True)
class MaskSet:
    """A set of masks on disk: 1-bit PNGs, white in the hole, and their manifest."""

    folder: Path
    entries: Sequence[MaskEntry]

    @property
    def manifest(self) -> Path:
        """The file that describes how each mask was drawn."""
        return self.folder / MANIFEST

    @property
    def summary(self) -> str:
        """The number of masks and the range of their hole ratios, as a sentence."""
        ratios = [entry.ratio for entry in self.entries]
        return (
            f"{count_text(len(ratios), 'mask')}, hole {min(ratios):.1%} to {max(ratios):.1%}, mean "
            f"{sum(ratios) / len(ratios):.1%}; {self.manifest} can rebuild them"
        )


@dataclass(frozen=True)
class RebuiltSet(MaskSet):
    """A set that was drawn again from a manifest."""

    differing: Sequence[str] = ()  # names of masks that differ from the manifest
    versions: Mapping[str, str] | None = None  # of the packages that drew the masks first

    @property
    def summary(self) -> str:
        """A sentence that says if the masks are the same."""
        count = count_text(len(self.entries), "mask")
        if not self.differing:
            return f"{count}, identical to the manifest"
        packages = ", ".join(f"{name} {v}" for name, v in (self.versions or {}).items())
        return (
            f"{len(self.differing)} of {count} differ from the manifest"
            f" ({name_some(self.differing)}); install the versions that drew them: {packages}"
        )


def list_mask_kinds(kind: str | None = None) -> list[dict[str, Any]]:
    """Return all generators of masks, or the one called `kind`, with their settings.

    Each has its `kind`, a `summary`, `settings` with their defaults ("required" where there is
    none) and `descriptions` of the settings. Raises `PluginError` for an unknown `kind`.

    >>> list_mask_kinds("boxes")[0]["settings"]
    {'count': [1, 4], 'side': [0.1, 0.5]}
    """
    rows = []
    for name in [kind] if kind else find_plugins("masks"):
        schema: type[Masks] = load_plugin("masks", name)
        rows.append({"kind": name} | describe_settings(schema, leave_out=Masks))
    return rows


@check_arguments
def generate_masks(
    kind: str = "irregular",
    output: AnyPath = "masks",
    *,
    count: PositiveInt | None = None,
    size: PositiveInt | tuple[PositiveInt, PositiveInt] = 256,
    ratio: tuple[float, float] | None = None,
    bins: Sequence[tuple[float, float]] = (),
    border: bool | None = None,
    settings: Mapping[str, Any] | Sequence[str] = (),
    images: AnyPath | None = None,
    seed: NonNegativeInt = 0,
    workers: PositiveInt = 1,
    overwrite: bool = False,
    sheet: AnyPath | None = None,
) -> MaskSet:
    """Draw a set of masks into the folder `output`: 1-bit PNGs, white in the hole, and a manifest.

    `kind` is a generator (see `list_mask_kinds`) with `settings`, a mapping or texts "KEY=VALUE".
    `count` masks (by default 100) of `size` pixels, one number or (height, width), are drawn; or
    one for each photo below `images`, with its size and name. `ratio` (low, high) bounds hole area
    / image area; with `bins` there are `count` masks for each of several ratios. `border`: the hole
    touches the edge of the image, or not. The same `seed` gives the same masks with any number of
    `workers` (processes). `overwrite` replaces an earlier set. `sheet` is a contact sheet to write.
    Raises `ArgumentError`, or `DataError` where masks cannot be drawn or written.

    >>> from tempfile import mkdtemp
    >>> masks = generate_masks("irregular", mkdtemp(), count=2, ratio=(0.4, 0.6))
    >>> [0.4 < entry.ratio <= 0.6 for entry in masks.entries]
    [True, True]
    """
    if bins and ratio:
        raise ArgumentError("ratio", "cannot be combined with bins")
    if images and count:
        raise ArgumentError("count", "cannot be combined with images: each photo gets one mask")
    check_targets(output, images, sheet, overwrite)
    overrides, values = ((), settings) if isinstance(settings, Mapping) else (settings, {})
    generators = [
        make_generator(kind, overrides, **{"ratio": each, "border": border, **values})
        for each in (bins or [ratio])
    ]
    if images is None:
        shape = (size, size) if isinstance(size, int) else size
        orders = number_orders(generators, count or 100, shape, seed=seed)
    else:
        orders = match_orders(generators, Path(images), Path(output), seed=seed)
    entries = draw_set(orders, generators, Path(output), workers=workers, overwrite=overwrite)
    if sheet:
        write_mask_sheet(entries, Path(output), Path(sheet))
    return MaskSet(Path(output), entries)


@check_arguments
def rebuild_masks(
    manifest: AnyPath, output: AnyPath, *, workers: PositiveInt = 1, overwrite: bool = False
) -> RebuiltSet:
    """Draw the masks of `manifest`, a file masks.jsonl, again into the folder `output`.

    The result names the masks that differ from the manifest. Raises `DataError` where the manifest
    is damaged, or `output` has other files in it, unless `overwrite`.

    >>> from tempfile import mkdtemp
    >>> manifest = generate_masks(output=mkdtemp(), count=2).manifest
    >>> rebuild_masks(manifest, mkdtemp()).summary
    '2 masks, identical to the manifest'
    """
    path, folder = Path(manifest), Path(output)
    header, entries = read_manifest(path)
    source = ArgumentSource(path)
    generators = [
        build_generator(settings, source, ("generators",)) for settings in header.generators
    ]
    rebuilt = draw_set(entries, generators, folder, workers=workers, overwrite=overwrite)
    differing = [new.file for old, new in zip(entries, rebuilt, strict=True) if old != new]
    return RebuiltSet(folder, rebuilt, differing, header.versions)


def check_targets(output: Any, images: Any, sheet: Any, overwrite: bool) -> None:
    """Refuse, before any work, to write masks over photos, or a sheet that cannot be written."""
    if images and output.exists() and output.samefile(images):
        raise ArgumentError("output", f"the masks would overwrite the photos in {images}")
    if sheet:
        picture_format(sheet)
        check_free(sheet, overwrite=overwrite)


def number_orders(
    generators: Sequence[Masks], count: int, size: tuple[int, int], *, seed: int
) -> list[MaskOrder]:
    """Return orders for `count` masks of (height, width) from each generator.

    With several generators names begin with the ratio.
    """
    if size[0] * size[1] > max_pixels():
        raise DataError(f"masks of {size[1]}x{size[0]} are too large; reduce the size")
    digits = max(5, len(str(count - 1)))
    orders: list[MaskOrder] = []
    for g, masks in enumerate(generators):
        prefix = f"{percent_text(masks.ratio)}_" if len(generators) > 1 and masks.ratio else ""
        orders += [
            MaskOrder(
                file=f"{prefix}{n:0{digits}}.png",
                generator=g,
                seed=(seed, len(orders) + n),
                height=size[0],
                width=size[1],
            )
            for n in range(count)
        ]
    return orders


def match_orders(
    generators: Sequence[Masks], photos: Path, output: Path, *, seed: int
) -> list[MaskOrder]:
    """Return an order for each photo below a folder, with its size and name, but for `output`.

    Several generators take turns.
    """
    orders: dict[str, MaskOrder] = {}
    found = list_pictures(photos, [output])
    if not found:
        raise DataError(f"no image files in {photos}; give a folder of photos")
    for n, (name, place) in enumerate(found.items()):
        file = PurePosixPath(name).with_suffix(".png").as_posix()
        if file in orders:
            raise DataError(f"{photos} has two photos for the mask {file}; rename one of them")
        height, width = image_size(place)
        orders[file] = MaskOrder(
            file=file, generator=n % len(generators), seed=(seed, n), height=height, width=width
        )
    return list(orders.values())


def draw_set(
    orders: Sequence[MaskOrder],
    generators: Sequence[Masks],
    folder: Path,
    *,
    workers: int = 1,
    overwrite: bool = False,
) -> list[MaskEntry]:
    """Draw `orders` into `folder`, and write the manifest last.

    What a killed command began, the same command finishes. Raises `DataError` where the folder has
    other files in it, unless `overwrite`: then the masks of the earlier set are removed first.
    """
    packages = ("inpaint-cli", "numpy", "opencv-python-headless")
    header = ManifestHeader(
        versions={name: version(name) for name in packages},
        generators=[masks.model_dump(mode="json") for masks in generators],
    )
    unfinished = begin_set(folder, header, orders, overwrite)
    entries: list[MaskEntry] = []
    with atomic_path(folder / MANIFEST) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(header.model_dump_json() + "\n")
        for entry in draw_masks(orders, generators, folder, workers):
            file.write(entry.model_dump_json() + "\n")
            entries.append(entry)
    unfinished.unlink()
    return entries


def begin_set(
    folder: Path, header: ManifestHeader, orders: Sequence[MaskOrder], overwrite: bool
) -> Path:
    """Claim `folder` for a set; return the file that says so until the set is whole.

    That file names every mask that may be removed: those to come, and those of a set that is
    replaced. Raises `DataError` where the folder has other files in it.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file; give a folder for the masks", path=folder)
    plan = [header.generators, [order.model_dump(mode="json") for order in orders]]
    digest = sha256(json.dumps(plan).encode()).hexdigest()
    path, coming = folder / UNFINISHED, {order.file for order in orders}
    try:
        claimed = claimed_files(folder, digest, overwrite) if folder.exists() else set[str]()
        with atomic_path(path) as temporary:
            claim = {"set": digest, "files": sorted(claimed | coming)}
            temporary.write_text(json.dumps(claim), "utf-8")
        for name in [MANIFEST, *(claimed - coming)]:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    return path


def claimed_files(folder: Path, digest: str, overwrite: bool) -> set[str]:
    """The masks in `folder` that are an earlier command's; `DataError` where they must stay."""
    sweep_folder(folder)
    before, files = read_claim(folder / UNFINISHED)
    if before == digest:
        return files
    if any(folder.iterdir()) and not overwrite:
        state = "has an unfinished set of other masks" if before else "is not empty"
        raise DataError(f"{folder} {state}; give another folder (-o), or --overwrite", path=folder)
    return files | manifest_files(folder / MANIFEST)


def read_claim(path: Path) -> tuple[str, set[str]]:
    """Which set a killed command was drawing, and the names of the masks that are its own."""
    try:
        claim = json.loads(path.read_text("utf-8"))
        return str(claim["set"]), {str(name) for name in claim["files"] if is_mask_name(name)}
    except FileNotFoundError:
        return "", set()
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(
            f"{path} is damaged; remove it, and the masks with it", path=path
        ) from error


def manifest_files(path: Path) -> set[str]:
    """The names of the masks of an earlier set; none where it has no manifest."""
    return {entry.file for entry in read_manifest(path)[1]} if path.is_file() else set()


def draw_masks(
    orders: Sequence[MaskOrder], generators: Sequence[Masks], folder: Path, workers: int
) -> Iterator[MaskEntry]:
    """Draw and write `orders`, in their order, with a progress bar on a terminal."""
    work = partial(write_mask, generators, folder)
    bar = partial(tqdm, total=len(orders), unit="mask", disable=None, leave=False)
    if workers <= 1:
        yield from bar(map(work, orders))
        return
    # workers ignore Ctrl-C, which the parent handles
    options = {"initializer": signal, "initargs": (SIGINT, SIG_IGN)}
    with ProcessPoolExecutor(workers, get_context("spawn"), **options) as pool:
        try:
            yield from bar(pool.map(work, orders, chunksize=16))
        finally:
            pool.shutdown(cancel_futures=True)


def write_mask(generators: Sequence[Masks], folder: Path, order: MaskOrder) -> MaskEntry:
    """Draw one mask and write it."""
    masks = generators[order.generator]
    hole = masks.draw(order.height, order.width, np.random.default_rng(order.seed))
    image = hole_to_image(hole)
    with atomic_path(folder / order.file) as temporary:
        image.save(temporary, compress_level=1)
    pixels = int(np.count_nonzero(hole))
    return MaskEntry(
        **{name: getattr(order, name) for name in MaskOrder.model_fields},
        pixels=pixels,
        ratio=round(pixels / hole.size, 6),
        border=on_border(hole),
        sha256=sha256(image.tobytes()).hexdigest(),
    )
