"""Mask sets on disk: drawn from a seed, described by a manifest that alone rebuilds them.

Mask n of a set comes from `default_rng([seed, n])` and nothing else, so neither the order of
work nor the number of processes can change it.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path, PurePosixPath
from signal import SIG_IGN, SIGINT, signal
from typing import Any, TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from ..api.masks import Masks, on_border, percent_text
from ..errors import DataError
from ..files import pictures as pairs
from ..files.write import atomic_path, write_error
from ..images.read import image_size, max_pixels
from ..recipe.plugins import TypedSource, build_generator
from ..registry import find_plugins, load_plugin
from .manifest import MANIFEST, ManifestHeader, MaskEntry, MaskOrder, read_manifest

Element = TypeVar("Element")


def list_generators(kind: str | None = None) -> list[dict[str, Any]]:
    """The generators, or the one called `kind`: summary, and settings with their defaults."""
    names = [kind] if kind else list(find_plugins("masks"))
    rows = []
    for name in names:
        schema: type[Masks] = load_plugin("masks", name)
        required = {key for key, field in schema.model_fields.items() if field.is_required()}
        default = schema.model_construct().model_dump(mode="json", exclude=set(Masks.model_fields))
        rows.append(
            {
                "kind": name,
                "summary": (schema.__doc__ or "").strip().partition("\n")[0],
                "settings": dict.fromkeys(sorted(required), "required") | default,
            }
        )
    return rows


def number_orders(
    generators: Sequence[Masks], count: int, size: tuple[int, int], *, seed: int
) -> list[MaskOrder]:
    """`count` masks of (height, width) from each generator.

    With several generators names begin with the ratio.
    """
    if size[0] * size[1] > max_pixels():
        raise DataError(f"masks of {size[1]}x{size[0]} are too large; ask for smaller ones")
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


def match_orders(generators: Sequence[Masks], photos: Path, *, seed: int) -> list[MaskOrder]:
    """A mask for each photo below a folder, of its size and name; generators take turns."""
    orders: dict[str, MaskOrder] = {}
    for n, name in enumerate(photo_names(photos)):
        file = PurePosixPath(name).with_suffix(".png").as_posix()
        if file in orders:
            raise DataError(f"{photos} holds two photos for the mask {file}; rename one of them")
        height, width = image_size(photos / name)
        orders[file] = MaskOrder(
            file=file, generator=n % len(generators), seed=(seed, n), height=height, width=width
        )
    return list(orders.values())


def photo_names(folder: Path) -> list[str]:
    """The names of all pictures below `folder`, sorted, hidden ones left out."""
    names = pairs.list_pictures(folder, ())
    if not names:
        raise DataError(f"no pictures in {folder}; give a folder of photos or masks")
    return names


def generate_masks(
    orders: Sequence[MaskOrder],
    generators: Sequence[Masks],
    folder: Path,
    *,
    workers: int = 1,
    overwrite: bool = False,
) -> list[MaskEntry]:
    """Draw `orders` into `folder` as 1-bit PNGs, white in the hole, and write the manifest.

    Raises `DataError` where the folder has files in it, unless `overwrite`: then the masks of
    an earlier manifest are removed first.
    """
    clear_folder(folder, overwrite)
    entries: list[MaskEntry] = []
    with atomic_path(folder / MANIFEST) as temporary, temporary.open("w", encoding="utf-8") as file:
        header = ManifestHeader(
            versions={
                name: version(name) for name in ("inpaint-cli", "numpy", "opencv-python-headless")
            },
            generators=[masks.model_dump(mode="json") for masks in generators],
        )
        file.write(header.model_dump_json() + "\n")
        try:
            for entry in draw_masks(orders, generators, folder, workers):
                file.write(entry.model_dump_json() + "\n")
                entries.append(entry)
        except BaseException:  # Ctrl-C too: without a manifest, nothing could remove them later
            for order in orders:
                (folder / order.file).unlink(missing_ok=True)
            raise
    return entries


def rebuild_masks(
    manifest: Path, folder: Path, *, workers: int = 1, overwrite: bool = False
) -> tuple[list[MaskEntry], list[str]]:
    """Draw the masks of `manifest` again: the entries, and the names of those that differ."""
    header, entries = read_manifest(manifest)
    source = TypedSource(manifest)
    generators = [
        build_generator(settings, source, ("generators",)) for settings in header.generators
    ]
    again = generate_masks(entries, generators, folder, workers=workers, overwrite=overwrite)
    differ = [new.file for old, new in zip(entries, again, strict=True) if old != new]
    return again, differ


def clear_folder(folder: Path, overwrite: bool) -> None:
    """Make sure that the set in `folder` will be the only one.

    An earlier set's masks are removed; its manifest stays until the new one replaces it.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file; give a folder for the masks")
    try:
        if folder.exists() and any(folder.iterdir()):
            if not overwrite:
                raise DataError(f"{folder} is not empty; give another folder (-o), or --overwrite")
            if (old := folder / MANIFEST).is_file():
                for entry in read_manifest(old)[1]:
                    (folder / entry.file).unlink(missing_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error


def draw_masks(
    orders: Sequence[MaskOrder], generators: Sequence[Masks], folder: Path, workers: int
) -> Iterator[MaskEntry]:
    """Draw and write `orders`, in their order, with a bar on a terminal."""
    work = partial(write_mask, generators, folder)
    bar = partial(tqdm, total=len(orders), unit="mask", disable=None, leave=False)
    if workers <= 1:
        yield from bar(map(work, orders))
        return
    deaf = {"initializer": signal, "initargs": (SIGINT, SIG_IGN)}  # Ctrl-C ends the parent alone
    with ProcessPoolExecutor(workers, get_context("spawn"), **deaf) as pool:
        try:
            yield from bar(pool.map(work, orders, chunksize=16))
        finally:
            pool.shutdown(cancel_futures=True)


def write_mask(generators: Sequence[Masks], folder: Path, order: MaskOrder) -> MaskEntry:
    """Draw one mask and write it."""
    masks = generators[order.generator]
    hole = masks.draw(order.height, order.width, np.random.default_rng(order.seed))
    rows = np.packbits(hole, axis=1).tobytes()
    image = Image.frombytes("1", (order.width, order.height), rows)
    with atomic_path(folder / order.file) as temporary:
        image.save(temporary, compress_level=1)
    pixels = int(np.count_nonzero(hole))
    return MaskEntry(
        **{name: getattr(order, name) for name in MaskOrder.model_fields},
        pixels=pixels,
        ratio=round(pixels / hole.size, 6),
        border=on_border(hole),
        sha256=hashlib.sha256(rows).hexdigest(),
    )
