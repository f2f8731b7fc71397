"""What an evaluation looks at: photos with their holes and fills, from folders or from a model.

A case is a function of its number, so that processes can share them and the worst can be looked at
again. Nothing knows metrics.
"""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .. import images
from ..api.fillers import Filler
from ..api.masks import Masks
from ..datasets.collection import Collection, place_image
from ..errors import DataError, ImageError
from ..files import pairs
from ..files.pictures import list_pictures, stem_key
from ..filling.fill import Rgb, fill_array
from ..models.choose import LoadedModel, ModelRef, load_model
from ..recipe import read as recipes
from ..recipe.plugins import build_dataset as images_of
from ..recipe.plugins import build_generator as masks_of
from ..recipe.schema import Named
from ..recipe.source import RecipeSource
from .protocols import Protocol, in_interval


@dataclass(frozen=True)
class EvalSample:
    """A photo [1, 3, H, W] in 0..1, its hole [1, 1, H, W] and one or several fills of it."""

    truth: Tensor
    mask: Tensor  # bool
    fills: Sequence[Tensor]


class EvalSamples(ABC):
    """Numbered cases. `names` are unique; `notes` are sentences for the user."""

    names: Sequence[str]
    notes: Sequence[str]

    @property
    @abstractmethod
    def masked(self) -> bool:
        """Whether there are holes at all."""

    @abstractmethod
    def __getitem__(self, n: int) -> EvalSample:
        """Read or make the case `n`; the same whoever asks, and in whatever order."""

    @abstractmethod
    def digest(self, n: int) -> str:
        """A hash of the file that the photo of case `n` comes from."""


@dataclass(frozen=True)
class FolderResults(EvalSamples):
    """Results that lie in a folder, one or several a photo, beside the truth and the masks."""

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
                f"{self.size}; resize results, truth and masks alike, or choose --protocol house"
            )
        mask = self.masks[n]
        hole = images.read_mask(mask).hole if mask else np.zeros(truth.size, np.bool_)
        fills = [images.read_photo(path) for path in self.results[n]]
        for path, size in [*((f.name, f.size) for f in fills), (str(mask), hole.shape)]:
            if size != truth.size:
                raise ImageError(
                    f"{path} is {size[1]}x{size[0]}, but {self.truths[n]} is {width}x{height}; "
                    "nothing is resized here, so make them equal"
                )
        return EvalSample(
            image_tensor(truth.rgb),
            image_tensor(hole[..., None]),
            [image_tensor(f.rgb) for f in fills],
        )


def pair_results(
    results: Path, truth: Path, masks: Path | None, protocol: Protocol
) -> FolderResults:
    """Find by name what belongs together; who has no partner is told in the notes.

    The result of `cat.jpg` is `cat` of any format, `cat.filled`, or with several samples `cat.1`,
    `cat.2` and so on, in the same subfolder. Raises `DataError` where nothing belongs together.
    """
    if not results.is_dir():
        raise DataError(f"{results} is not a folder; give the folder of results, then of the truth")
    found: dict[tuple[str, str], dict[int, str]] = {}
    for name in list_pictures(results, [truth, *([masks] if masks else [])]):
        folder, stem = stem_key(name)
        number = re.search(r"\.(\d+)$", stem) if protocol.samples > 1 else None
        stem = stem[: number.start()] if number else stem
        mine = found.setdefault((folder, stem.removesuffix(".filled")), {})
        which = int(number[1]) if number else 0
        if which in mine:
            raise DataError(f"{results / name} and {results / mine[which]}: keep one of the two")
        mine[which] = name
    pairing = pairs.pair_files(truth, masks, skip=results)
    notes = [*pairing.alone.values(), *pairing.unused.values()]
    chosen = []
    for pair in pairing.pairs:
        mine = found.pop(stem_key(pair.name), {})
        if len(mine) == protocol.samples:
            chosen.append((pair, [results / mine[number] for number in sorted(mine)]))
        elif mine:
            notes.append(f"{pair.photo} has {len(mine)} results, not {protocol.samples}")
        else:
            notes.append(f"{pair.photo} has no result in {results}")
    notes += [f"{results / n} is no result of a photo" for g in found.values() for n in g.values()]
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


@dataclass(frozen=True)
class ModelResults(EvalSamples):
    """Photos that a model fills as often as the protocol wants, at the protocol's size or shapes.

    Each is filled in all shapes before the next one is.
    """

    names: Sequence[str]
    model: LoadedModel
    photos: Collection
    given: Sequence[tuple[int, Path | None]]  # which photo, and its mask, if that is a file
    drawn: Masks | None  # where the others come from
    protocol: Protocol
    seed: int
    notes: Sequence[str] = ()

    @property
    def masked(self) -> bool:
        return True

    def digest(self, n: int) -> str:
        photo = self.photos.names[self.given[n // self.each][0]]
        return hash_bytes(self.photos.images.read(self.photos.root, photo))

    @property
    def each(self) -> int:
        """How many cases are made of one photo and mask."""
        return max(len(self.protocol.shapes), 1)

    def __getitem__(self, n: int) -> EvalSample:
        photo, path = self.given[n // self.each]
        image = self.photos.decode(photo)
        if shapes := self.protocol.shapes:
            rows, columns = map(int, shapes[n % self.each].split("x"))
            image = place_image(image, (rows, columns), "cover")
        if side := self.protocol.size:
            image = place_image(image, (side, side), self.protocol.fit, zoom=self.protocol.zoom)
        height, width = image.shape[-2:]
        if path is not None:
            hole = images.resize_mask(images.read_mask(path).hole, (height, width))
        else:
            assert self.drawn is not None
            hole = self.drawn.draw(height, width, np.random.default_rng([self.seed, photo]))
        truth, mask = image[None] / 255, image_tensor(hole[..., None])
        fills = [
            image_tensor(self.fill(truth, hole, n, sample))
            for sample in range(self.protocol.samples)
        ]
        return EvalSample(truth, mask, fills)

    def fill(self, truth: Tensor, hole: NDArray[np.bool_], n: int, sample: int) -> Rgb:
        """Return `truth` [1, 3, H, W] with `hole` filled; mid-gray where nothing is visible."""
        rgb = truth[0].permute(1, 2, 0).numpy().copy()
        if hole.all():
            rgb[:] = 0.5
        elif hole.any():
            fill_array(self.model.filler, rgb, hole, np.random.default_rng([self.seed, n, sample]))
        return rgb


def model_results(
    model: ModelRef,
    data: Path,
    masks: Path | None,
    recipe: Sequence[Path],
    protocol: Protocol,
    *,
    seed: int,
    device: str = "auto",
    resize: int | None = None,
) -> ModelResults:
    """What a model makes of the photos under `data`, all of them or those a recipe validates on.

    `resize`, where given, is the side of the square in which the model sees them.
    """
    source, photos, drawn = RecipeSource(data), Named(kind="files"), None
    for name in recipe:  # one at most
        read, source = recipes.read_recipe(recipes.find_recipe(str(name)))
        photos = read.data.val or read.data.train
        if masks is None:
            drawn = masks_of((read.val_masks or read.masks).model_dump(), source, ("masks",))
    if masks is None and drawn is None:
        raise DataError("say where the holes are: --masks FOLDER, or a recipe that draws them")
    collection = Collection.at(images_of(photos, source, "val"), data)
    loaded = load_model(model, device=device, precision="full")
    if resize:
        loaded = replace(loaded, filler=ResizedFiller(loaded.filler, resize))
    return give_masks(loaded, collection, masks, drawn, protocol, seed=seed)


def recipe_size(recipe: Sequence[Path]) -> int | None:
    """The size that a recipe trains at."""
    return next(
        (recipes.read_recipe(recipes.find_recipe(str(name)))[0].data.size for name in recipe), None
    )


@dataclass(frozen=True)
class ResizedFiller(Filler):
    """A filler that sees every picture stretched to a square: the usual way to any size.

    What it fills is stretched back. Pixels into which some of the hole was mixed are hole.
    """

    filler: Filler
    side: int

    def fill(self, rgb: Rgb, hole: NDArray[np.bool_], rng: np.random.Generator) -> Rgb:
        stretch = partial(F.interpolate, mode="bilinear", align_corners=False, antialias=True)
        square = (self.side, self.side)
        small = stretch(image_tensor(rgb), square)[0].permute(1, 2, 0).numpy()
        share = stretch(image_tensor(hole[..., None]).float(), square)[0, 0].numpy()
        small = np.ascontiguousarray(small)
        fill_array(self.filler, small, share > 1e-3, rng)
        return stretch(image_tensor(small), hole.shape)[0].permute(1, 2, 0).numpy()


def give_masks(
    model: LoadedModel,
    photos: Collection,
    masks: Path | None,
    drawn: Masks | None,
    protocol: Protocol,
    *,
    seed: int,
) -> ModelResults:
    """Give every photo a mask: a file under `masks`, by name or else dealt out, or a `drawn` one.

    Dealt out means in an order that `seed` shuffles; where the protocol wants a mask from each of
    its bins, every photo is filled once a bin. The masks are brought to the photos' size, nearest.
    """
    notes = [*model.notes]
    numbers = range(len(photos.names))
    if masks is None:
        cases = [(photo, None) for photo in numbers]
    else:
        files = [masks / name for name in list_pictures(masks, [])] if masks.is_dir() else [masks]
        if not files:
            raise DataError(f"no mask in {masks}; `inpaint masks gen` makes some")
        own = {
            stem_key(path.relative_to(masks).as_posix()): path for path in files if path != masks
        }
        named = [own.get(stem_key(name)) for name in photos.names]
        if all(named):
            cases = list(enumerate(named))
        elif any(named):
            raise DataError(
                f"{masks} has no mask of {photos.names[named.index(None)]}, though other photos"
                " have theirs; add it, or rename the masks to have them dealt out"
            )
        elif len(files) == 1:
            cases = [(photo, files[0]) for photo in numbers]
        else:
            cases = assign_masks(files, len(photos.names), protocol, seed)
            notes.append(
                f"the {len(files)} masks are not named after the photos: dealt by seed {seed}"
            )
    several = len(cases) > len(numbers)
    names = [photos.names[n] + (f" + {path.name}" if several and path else "") for n, path in cases]
    if protocol.shapes:
        names = [f"{name} {shape}" for name in names for shape in protocol.shapes]
    return ModelResults(names, model, photos, cases, drawn, protocol, seed, notes)


def assign_masks(
    files: Sequence[Path], count: int, protocol: Protocol, seed: int
) -> list[tuple[int, Path | None]]:
    """Which photo gets which mask."""
    hands = {"": list(files)}
    if protocol.per_bin:
        side = protocol.size
        holes = [images.read_mask(path).hole for path in files]
        ratios = [(images.resize_mask(h, (side, side)) if side else h).mean() for h in holes]
        hands = {
            interval: [
                path for path, r in zip(files, ratios, strict=True) if in_interval(interval, r)
            ]
            for interval in protocol.bins
        }
    cases = []
    for number, hand in enumerate(hands.values()):
        order = np.random.default_rng([seed, number]).permutation(len(hand))
        cases += [(photo, hand[order[photo % len(hand)]]) for photo in range(count) if hand]
    if not cases:
        raise DataError(f"no mask has a hole of {' or '.join(protocol.bins)} percent")
    return cases


def image_tensor(array: NDArray) -> Tensor:
    """[H, W, C] as [1, C, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1)[None]


def hash_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
