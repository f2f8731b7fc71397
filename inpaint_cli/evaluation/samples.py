"""Samples of an evaluation: photos with their holes and fills, from folders or from a model.

A sample is a function of its number, so that processes can share the samples, and the worst ones
can be read again for the report. No metrics in this module.
"""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from .. import images
from ..api.fillers import Filler
from ..api.masks import Masks
from ..api.tensors import to_tensor
from ..datasets.collection import Collection, place_image
from ..errors import DataError, ImageError
from ..files import pairs
from ..files.pictures import list_pictures, stem_key
from ..filling.fill import Rgb, fill_array
from ..images.photo import Hole
from ..models.choose import LoadedModel, ModelRef, load_model
from ..recipe.plugins import build_dataset, build_generator
from ..recipe.read import find_recipe, read_recipe
from ..recipe.schema import Named
from ..recipe.source import RecipeSource
from ..wording import count_text
from .protocols import Protocol, in_interval


@dataclass(frozen=True)
class EvalSample:
    """A photo [1, 3, H, W] in 0..1, its hole [1, 1, H, W] and one or several fills of it."""

    truth: Tensor
    mask: Tensor  # bool
    fills: Sequence[Tensor]


class EvalSamples(ABC):
    """Numbered samples. `names` are unique; `notes` are sentences for the user."""

    names: Sequence[str]
    notes: Sequence[str]

    @property
    @abstractmethod
    def masked(self) -> bool:
        """True if any sample has a hole."""

    @abstractmethod
    def __getitem__(self, n: int) -> EvalSample:
        """Return sample `n`: the same in every process and in any order."""

    @abstractmethod
    def digest(self, n: int) -> str:
        """Return a hash of the file of the photo of sample `n`."""


@dataclass(frozen=True)
class FolderResults(EvalSamples):
    """Fills in a folder, one or several of each photo, with the true photos and the masks."""

    names: Sequence[str]
    truths: Sequence[Path]
    masks: Sequence[Path | None]
    results: Sequence[Sequence[Path]]
    size: int | None
    notes: Sequence[str] = ()

    @property
    def masked(self) -> bool:
        return any(self.masks)

    def digest(self, n: int) -> str:
        return hash_bytes(self.truths[n].read_bytes())

    def __getitem__(self, n: int) -> EvalSample:
        truth = images.read_photo(self.truths[n])
        height, width = truth.size
        if self.size and (height, width) != (self.size, self.size):
            raise ImageError(
                f"{self.truths[n]} is {width}x{height}, but the protocol is for {self.size}x"
                f"{self.size}; resize results, truth and masks, or use --protocol house"
            )
        mask = self.masks[n]
        hole = images.read_mask(mask).hole if mask else np.zeros(truth.size, np.bool_)
        fills = [images.read_photo(path) for path in self.results[n]]
        for path, size in [*((f.name, f.size) for f in fills), (str(mask), hole.shape)]:
            if size != truth.size:
                raise ImageError(
                    f"{path} is {size[1]}x{size[0]}, but {self.truths[n]} is {width}x{height}; "
                    "resize one of them: `inpaint eval` resizes nothing"
                )
        return EvalSample(
            to_tensor(truth.rgb),
            to_tensor(hole[..., None]),
            [to_tensor(f.rgb) for f in fills],
        )


def pair_results(
    results: Path, truth: Path, masks: Path | None, protocol: Protocol
) -> FolderResults:
    """Pair results, true photos and masks by name; files without a partner are in the notes.

    The result of `cat.jpg` is `cat` of any format, `cat.filled`, or with several samples `cat.1`,
    `cat.2` and so on, in the same subfolder. Raises `DataError` where there is no pair.
    """
    for folder in (results, truth):
        if not folder.is_dir():
            raise DataError(f"{folder} is not a folder; give those of the fills and of the truth")
    groups = group_results(results, [truth, *([masks] if masks else [])], protocol.samples)
    pairing = pairs.pair_files(truth, masks, skip=results)
    notes = [*pairing.alone.values(), *pairing.unused.values()]
    chosen = []
    for pair in pairing.pairs:
        fills = groups.pop(stem_key(pair.name), {})
        if len(fills) == protocol.samples:
            chosen.append((pair, [results / fills[number] for number in sorted(fills)]))
        elif fills:
            notes.append(f"{pair.photo} has {len(fills)} results, not {protocol.samples}")
        else:
            notes.append(f"{pair.photo} has no result in {results}")
    notes += [
        f"{results / name} is not the result of a photo"
        for fills in groups.values()
        for name in fills.values()
    ]
    if not chosen:
        reason = f" ({notes[0]})" if notes else ""
        raise DataError(f"no result in {results} has the name of a photo in {truth}{reason}")
    return FolderResults(
        [pair.name for pair, _ in chosen],
        [pair.photo for pair, _ in chosen],
        [pair.mask for pair, _ in chosen],
        [files for _, files in chosen],
        protocol.size,
        notes,
    )


def group_results(
    results: Path, skip: Sequence[Path], samples: int
) -> dict[tuple[str, str], dict[int, str]]:
    """Return the files in `results` by the photo they are named after and their sample number."""
    groups: dict[tuple[str, str], dict[int, str]] = {}
    for name in list_pictures(results, skip):
        folder, stem = stem_key(name)
        suffix = re.search(r"\.(\d+)$", stem) if samples > 1 else None
        stem = stem[: suffix.start()] if suffix else stem
        fills = groups.setdefault((folder, stem.removesuffix(".filled")), {})
        number = int(suffix[1]) if suffix else 0
        if number in fills:
            other = results / fills[number]
            raise DataError(f"{results / name} and {other} are of one photo; remove one of them")
        fills[number] = name
    return groups


@dataclass(frozen=True)
class ModelResults(EvalSamples):
    """Photos that a model fills when they are read, at the size or in the shapes of the protocol.

    Each photo is filled in all shapes before the next one.
    """

    names: Sequence[str]
    model: LoadedModel
    photos: Collection
    assigned: Sequence[tuple[int, Path | None]]  # number of a photo, and its mask file if any
    generator: Masks | None  # draws the other masks
    protocol: Protocol
    seed: int
    notes: Sequence[str] = ()

    @property
    def masked(self) -> bool:
        return True

    def digest(self, n: int) -> str:
        photo = self.photos.names[self.assigned[n // self.per_photo][0]]
        return hash_bytes(self.photos.images.read(self.photos.root, photo))

    @property
    def per_photo(self) -> int:
        """The number of samples of each photo and mask."""
        return max(len(self.protocol.shapes), 1)

    def __getitem__(self, n: int) -> EvalSample:
        photo, path = self.assigned[n // self.per_photo]
        image = self.photos.decode(photo)
        if shapes := self.protocol.shapes:
            rows, columns = map(int, shapes[n % self.per_photo].split("x"))
            image = place_image(image, (rows, columns), "cover")
        if side := self.protocol.size:
            image = place_image(image, (side, side), self.protocol.fit, zoom=self.protocol.zoom)
        height, width = image.shape[-2:]
        if path is not None:
            hole = images.resize_mask(images.read_mask(path).hole, (height, width))
        else:
            assert self.generator is not None
            hole = self.generator.draw(height, width, np.random.default_rng([self.seed, photo]))
        truth, mask = image[None] / 255, to_tensor(hole[..., None])
        fills = [
            to_tensor(self.fill(truth, hole, n, sample)) for sample in range(self.protocol.samples)
        ]
        return EvalSample(truth, mask, fills)

    def fill(self, truth: Tensor, hole: Hole, n: int, sample: int) -> Rgb:
        """Return `truth` [1, 3, H, W] with `hole` filled; mid-gray where nothing is visible."""
        rgb = truth[0].permute(1, 2, 0).numpy().copy()
        if hole.all():
            rgb[:] = 0.5
        elif hole.any():
            fill_array(self.model.filler, rgb, hole, np.random.default_rng([self.seed, n, sample]))
        return rgb


def model_results(
    model: str | Path | ModelRef | LoadedModel,
    data: Path,
    masks: Path | None,
    recipe: str | Path | None,
    protocol: Protocol,
    *,
    seed: int,
    device: str = "auto",
    resize: int | None = None,
) -> ModelResults:
    """Return the fills that a model makes of the photos under `data`.

    With a `recipe` these are the photos it validates on. `resize` is the side of the square to
    which each photo is resized for the model.
    """
    source, photos, generator = RecipeSource(data), Named(kind="files"), None
    if recipe is not None:
        read, source = read_recipe(find_recipe(str(recipe)))
        photos = read.data.val or read.data.train
        if masks is None:
            settings = (read.val_masks or read.masks).model_dump()
            generator = build_generator(settings, source, ("masks",))
    if masks is None and generator is None:
        raise DataError("say where the holes are: --masks FOLDER, or a recipe that draws them")
    collection = Collection.at(build_dataset(photos, source, "val"), data)
    loaded = load_model(model, device=device, precision="full")
    if resize:
        loaded = replace(loaded, filler=ResizedFiller(loaded.filler, resize))
    return give_masks(loaded, collection, masks, generator, protocol, seed=seed)


def recipe_size(recipe: str | Path | None) -> int | None:
    """Return the size that a recipe trains at."""
    return read_recipe(find_recipe(str(recipe)))[0].data.size if recipe is not None else None


@dataclass(frozen=True)
class ResizedFiller(Filler):
    """A filler that is given every image resized to a square, and whose fill is resized back.

    A pixel of the small image that covers any part of the hole is hole.
    """

    filler: Filler
    side: int

    def fill(self, rgb: Rgb, hole: Hole, rng: np.random.Generator) -> Rgb:
        resize = partial(F.interpolate, mode="bilinear", align_corners=False, antialias=True)
        square = (self.side, self.side)
        small = np.ascontiguousarray(resize(to_tensor(rgb), square)[0].permute(1, 2, 0).numpy())
        covered = resize(to_tensor(hole[..., None]).float(), square)[0, 0].numpy()
        fill_array(self.filler, small, covered > 1e-3, rng)
        return resize(to_tensor(small), hole.shape)[0].permute(1, 2, 0).numpy()


def give_masks(
    model: LoadedModel,
    photos: Collection,
    masks: Path | None,
    generator: Masks | None,
    protocol: Protocol,
    *,
    seed: int,
) -> ModelResults:
    """Give every photo a mask: a file under `masks`, or else one that `generator` draws."""
    notes = [*model.notes]
    if masks is None:
        assigned: list[tuple[int, Path | None]] = [(n, None) for n in range(len(photos.names))]
    else:
        assigned, note = match_mask_files(photos.names, masks, protocol, seed)
        notes += note
    several = len(assigned) > len(photos.names)
    names = [
        photos.names[n] + (f" + {path.name}" if several and path else "") for n, path in assigned
    ]
    if protocol.shapes:
        names = [f"{name} {shape}" for name in names for shape in protocol.shapes]
    return ModelResults(names, model, photos, assigned, generator, protocol, seed, notes)


def match_mask_files(
    names: Sequence[str], masks: Path, protocol: Protocol, seed: int
) -> tuple[list[tuple[int, Path | None]], list[str]]:
    """Return the mask files under `masks` by photo, and notes on how they were matched.

    Masks are matched by name; if none has the name of a photo they are assigned at random.
    """
    files = [masks / name for name in list_pictures(masks, [])] if masks.is_dir() else [masks]
    if not files:
        raise DataError(f"no mask in {masks}; draw some with `inpaint masks gen`")
    by_name = {
        stem_key(path.relative_to(masks).as_posix()): path for path in files if path != masks
    }
    matched = [by_name.get(stem_key(name)) for name in names]
    if all(matched):
        return list(enumerate(matched)), []
    if any(matched):
        raise DataError(
            f"{masks} has no mask of {names[matched.index(None)]}, but masks of other photos; add"
            " it, or rename the masks to have them assigned at random"
        )
    if len(files) == 1:
        return [(photo, files[0]) for photo in range(len(names))], []
    note = (
        f"the names of the {count_text(len(files), 'mask')} do not match the photos: assigned at "
        f"random (seed {seed})"
    )
    return assign_masks(files, len(names), protocol, seed), [note]


def assign_masks(
    files: Sequence[Path], count: int, protocol: Protocol, seed: int
) -> list[tuple[int, Path | None]]:
    """Assign masks to `count` photos in an order shuffled by `seed`.

    If the protocol is `per_bin`, every photo is given one mask of each bin that has masks.
    """
    groups = group_by_bin(files, protocol) if protocol.per_bin else [list(files)]
    assigned = []
    for number, group in enumerate(groups):
        order = np.random.default_rng([seed, number]).permutation(len(group))
        assigned += [(photo, group[order[photo % len(group)]]) for photo in range(count) if group]
    if not assigned:
        raise DataError(f"no mask has a hole of {' or '.join(protocol.bins)} percent")
    return assigned


def group_by_bin(files: Sequence[Path], protocol: Protocol) -> list[list[Path]]:
    """Return the masks of each bin, by their hole ratios at the protocol's size."""
    side = protocol.size
    holes = [images.read_mask(path).hole for path in files]
    ratios = [(images.resize_mask(h, (side, side)) if side else h).mean() for h in holes]
    return [
        [path for path, ratio in zip(files, ratios, strict=True) if in_interval(interval, ratio)]
        for interval in protocol.bins
    ]


def hash_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
