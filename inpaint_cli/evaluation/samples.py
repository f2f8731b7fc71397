"""Samples of an evaluation: photos with their holes and fills, from folders or from a model.

A sample is a function of its number, so that processes can share the samples, and the worst ones
can be read again for the report. No metrics in this module.
"""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from .. import images
from ..api.fillers import Filler
from ..api.masks import MAX_DRAWS, Masks
from ..api.tensors import to_tensor
from ..datasets.collection import Collection, place_image, split_hidden
from ..errors import DataError, ImageError
from ..files import pairs
from ..files.pictures import stem_key
from ..files.stores import holds_files, list_masks, list_pictures
from ..filling.fill import Rgb, fill_array
from ..images.photo import Hole
from ..images.read import file_contents
from ..masks.manifest import MANIFEST, read_manifest
from ..models.choose import LoadedModel, ModelRef, load_model
from ..models.network import NetworkFiller
from ..recipe.plugins import build_dataset, build_generator
from ..recipe.read import open_recipe
from ..recipe.schema import Data, Named
from ..recipe.source import RecipeSource
from ..wording import count_text
from .protocols import Protocol, in_interval, interval_bounds

Padding = Literal["constant", "edge"]
NETWORK = Lock()  # held while a network fills, for it draws from a generator of the whole process


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
    mask_source: str  # where the holes are from, for tables; "" if not known
    exclusive: bool = False  # whether one sample at a time is filled, by a network

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
    mask_source: str = ""

    @property
    def masked(self) -> bool:
        return any(self.masks)

    def digest(self, n: int) -> str:
        return hash_bytes(file_contents(self.truths[n]))

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
        sample = EvalSample(
            to_tensor(truth.rgb),
            to_tensor(hole[..., None]),
            [to_tensor(f.rgb) for f in fills],
        )
        return leave_out(sample, to_tensor(truth.hidden(slice(None))[..., None]))


def leave_out(sample: EvalSample, hidden: Tensor) -> EvalSample:
    """Return the sample without what is `hidden` [1, 1, H, W] in the truth.

    Nothing is known there: it is no hole, and black in the truth and in the fills.
    """
    if not hidden.any():
        return sample
    truth, *fills = (image.masked_fill(hidden, 0) for image in (sample.truth, *sample.fills))
    return EvalSample(truth, sample.mask & ~hidden, fills)


def pair_results(
    results: Path, truth: Path, masks: Path | None, protocol: Protocol
) -> FolderResults:
    """Pair results, true photos and masks by name; files without a partner are in the notes.

    The result of `cat.jpg` is `cat` of any format, `cat.filled`, or with several samples `cat.1`,
    `cat.2` and so on, in the same subfolder. Raises `DataError` where there is no pair.
    """
    for folder in (results, truth):
        if not holds_files(folder):
            raise DataError(
                f"{folder} is neither a folder, an archive, a table nor a list; give those of the "
                "fills and of the truth"
            )
    places = list_pictures(results, [truth, *([masks] if masks else [])])
    groups = group_results(places, protocol.samples)
    pairing = pairs.pair_files(truth, masks, skip=results)
    notes = [*pairing.alone.values(), *pairing.unused.values()]
    chosen, used = [], set()
    rivals = {pair.name for pair in pairing.pairs}
    for pair in pairing.pairs:
        fills = pick_fills(places, pair.name, groups.get(stem_key(pair.name), {}), rivals)
        used.update(fills.values())
        if len(fills) == protocol.samples:
            chosen.append((pair, [places[fills[number]] for number in sorted(fills)]))
        elif fills:
            notes.append(f"{pair.photo} has {len(fills)} results, not {protocol.samples}")
        else:
            notes.append(f"{pair.photo} has no result in {results}")
    notes += [
        f"{places[name]} is not the result of a photo"
        for fills in groups.values()
        for names in fills.values()
        for name in names
        if name not in used
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
        describe_masks(masks) if masks else "",
    )


def group_results(
    results: Iterable[str], samples: int
) -> dict[tuple[str, str], dict[int, list[str]]]:
    """Return the names of `results` by the photo they are named after and their sample number."""
    groups: dict[tuple[str, str], dict[int, list[str]]] = {}
    for name in results:
        folder, stem = stem_key(name)
        suffix = re.search(r"\.(\d+)$", stem) if samples > 1 else None
        stem = stem[: suffix.start()] if suffix else stem
        fills = groups.setdefault((folder, stem.removesuffix(".filled")), {})
        fills.setdefault(int(suffix[1]) if suffix else 0, []).append(name)
    return groups


def pick_fills(
    results: Mapping[str, Path],
    photo: str,
    fills: Mapping[int, Sequence[str]],
    rivals: Iterable[str],
) -> dict[int, str]:
    """Return by its number the one file of each sample that is of `photo`.

    `results` are paths by name. Of several that with the suffix of the photo counts; `rivals` are
    the names of all photos, which own those with theirs. Raises `DataError` where two may be meant.
    """
    picked, suffix = {}, Path(photo).suffix
    stem = stem_key(photo)
    others = {Path(name).suffix for name in rivals if stem_key(name) == stem} - {suffix}
    for number, names in fills.items():
        same = [name for name in names if Path(name).suffix == suffix]
        left = same or [name for name in names if Path(name).suffix not in others]
        if len(left) > 1:
            pair = " and ".join(str(results[name]) for name in left)
            raise DataError(f"{pair} are of one photo, {photo}; remove one of them")
        if left and not same and others:
            doubles = " and ".join([photo, *(Path(photo).stem + other for other in sorted(others))])
            raise DataError(f"{results[left[0]]} could be of {doubles}; give it the suffix of one")
        if left:
            picked[number] = left[0]
    return picked


@dataclass(frozen=True)
class PhotoMask:
    """A photo, by its number, and its mask: a file, or one to draw with a hole in `interval`."""

    photo: int
    file: Path | None = None
    interval: str | None = None  # in percent; None: any hole that the generator draws

    @property
    def suffix(self) -> str:
        """What tells a photo's masks apart."""
        return f" + {self.file.name if self.file else f'hole of {self.interval} %'}"


@dataclass(frozen=True)
class ModelResults(EvalSamples):
    """Photos that a model fills when they are read, at the size or in the shapes of the protocol.

    Each photo is filled in all shapes before the next one.
    """

    names: Sequence[str]
    model: LoadedModel
    photos: Collection
    assigned: Sequence[PhotoMask]
    generator: Masks | None  # draws the other masks
    protocol: Protocol
    seed: int
    notes: Sequence[str] = ()
    mask_source: str = ""

    @property
    def masked(self) -> bool:
        return True

    @property
    def exclusive(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        filler = self.model.filler
        return isinstance(getattr(filler, "filler", filler), NetworkFiller)

    def digest(self, n: int) -> str:
        photo = self.photos.names[self.assigned[n // self.per_photo].photo]
        return hash_bytes(self.photos.images.read(self.photos.root, photo))

    @property
    def per_photo(self) -> int:
        """The number of samples of each photo and mask."""
        return max(len(self.protocol.shapes), 1)

    def __getitem__(self, n: int) -> EvalSample:
        given, protocol = self.assigned[n // self.per_photo], self.protocol
        image = self.photos.decode(given.photo)
        if shapes := protocol.shapes:
            rows, columns = map(int, shapes[n % self.per_photo].split("x"))
            image = place_image(image, (rows, columns), "cover", resize=protocol.resize)
        if side := protocol.size:
            image = place_image(
                image, (side, side), protocol.fit, zoom=protocol.zoom, resize=protocol.resize
            )
        image, hidden = split_hidden(image)
        height, width = image.shape[-2:]
        if given.file is not None:
            hole = images.resize_mask(images.read_mask(given.file).hole, (height, width))
        else:
            assert self.generator is not None
            rng = np.random.default_rng([self.seed, given.photo])
            hole = draw_in_bin(self.generator, given.interval, (height, width), rng)
        truth, unknown = image[None] / 255, hole | hidden[0].numpy()
        fills = [
            to_tensor(self.fill(truth, unknown, n, sample))
            for sample in range(self.protocol.samples)
        ]
        return leave_out(EvalSample(truth, to_tensor(hole[..., None]), fills), hidden[None])

    def fill(self, truth: Tensor, hole: Hole, n: int, sample: int) -> Rgb:
        """Return `truth` [1, 3, H, W] with `hole` filled; mid-gray where nothing is visible."""
        rgb = truth[0].permute(1, 2, 0).numpy().copy()
        if hole.all():
            rgb[:] = 0.5
        elif hole.any():
            rng = np.random.default_rng([self.seed, n, sample])
            with NETWORK if self.exclusive else nullcontext():
                fill_array(self.model.filler, rgb, hole, rng)
        return rgb


def draw_in_bin(
    generator: Masks, interval: str | None, shape: tuple[int, int], rng: np.random.Generator
) -> Hole:
    """Draw a mask of `shape`, with a hole in `interval` percent in place of the generator's ratio.

    Raises `DataError` if the generator does not reach it.
    """
    if interval is None:
        return generator.draw(*shape, rng)
    generator = generator.model_copy(update={"ratio": interval_bounds(interval)})
    for _ in range(MAX_DRAWS):
        hole = generator.draw(*shape, rng)
        if in_interval(interval, hole.mean()):  # a bound may belong to one of them only
            return hole
    raise DataError(f"'{generator.kind}' drew no mask with a hole of {interval} %; give --masks")


@dataclass(frozen=True)
class Photos:
    """The photos for a model: of `data`, by a `recipe` those of its validation or of `split`."""

    data: Path
    recipe: str | Path | None = None
    split: str | None = None
    count: int | None = None  # from the first; None: all
    changes: Sequence[str] = ()  # of the recipe, such as "data.train.labels={}.png"

    def open(self, *, masked: bool) -> tuple[Collection, Masks | None, list[str]]:
        """Return the photos, the generator of masks if they are not `masked`, and notes."""
        source, photos, generator = RecipeSource(self.data), Named(kind="files"), None
        if self.recipe is not None:
            read, source = open_recipe(self.recipe, self.changes)
            photos = read.data.val or read.data.train
            settings = (read.val_masks or read.masks).model_dump()
            if not masked:
                generator = build_generator(settings, source, ("masks",))
        if self.split is not None:
            photos = Named.model_validate(photos.model_dump() | {"split": self.split})
            source.note_option(("data", "val", "split"), f"--split {self.split}")
        collection = Collection.at(build_dataset(photos, source, "val"), self.data)
        every = len(collection.names)
        if self.count is None or self.count >= every:
            return collection, generator, []
        first = replace(collection, names=collection.names[: self.count])
        return first, generator, [f"the first {self.count:,} of {every:,} photos"]


def model_results(
    model: str | Path | ModelRef | LoadedModel,
    photos: Photos,
    masks: Path | None,
    protocol: Protocol,
    *,
    seed: int,
    device: str = "auto",
    resize: int | None = None,
    pad: Padding | None = None,
) -> ModelResults:
    """Return the fills that a model makes of `photos`.

    `resize` is the side of the square to which each photo is resized for the model; with `pad` its
    longer side is resized to that, and the square is padded.
    """
    collection, generator, notes = photos.open(masked=masks is not None)
    if masks is None and generator is None:
        raise DataError("say where the holes are: --masks FOLDER, or a recipe that draws them")
    loaded = load_model(model, device=device, precision="full")
    if resize:
        loaded = replace(loaded, filler=ResizedFiller(loaded.filler, resize, pad))
    given = give_masks(loaded, collection, masks, generator, protocol, seed=seed)
    return replace(given, notes=[*notes, *given.notes])


def recipe_data(recipe: str | Path | None, changes: Sequence[str] = ()) -> Data | None:
    """Return what a recipe says of its images."""
    return open_recipe(recipe, changes)[0].data if recipe is not None else None


@dataclass(frozen=True)
class ResizedFiller(Filler):
    """A filler that is given every image resized to a square, and whose fill is resized back.

    With `pad` the proportions are kept, and what is missing of the square is black ("constant") or
    repeats the edge. A pixel of the small image that covers any part of the hole is hole.
    """

    filler: Filler
    side: int
    pad: Padding | None = None

    def fill(self, rgb: Rgb, hole: Hole, rng: np.random.Generator) -> Rgb:
        resize = partial(F.interpolate, mode="bilinear", align_corners=False, antialias=True)
        inner = self.inner_shape(*hole.shape)
        small = resize(to_tensor(rgb), inner)[0].permute(1, 2, 0).numpy()
        covered = resize(to_tensor(hole[..., None]).float(), inner)[0, 0].numpy() > 1e-3
        (top, left), margins = self.margins(inner)
        square = np.pad(small, (*margins, (0, 0)), "edge" if self.pad == "edge" else "constant")
        fill_array(self.filler, square, np.pad(covered, margins), rng)
        filled = square[top : top + inner[0], left : left + inner[1]]
        return resize(to_tensor(filled), hole.shape)[0].permute(1, 2, 0).numpy()

    def inner_shape(self, height: int, width: int) -> tuple[int, int]:
        """Return the size of the resized image in the square."""
        if self.pad is None:
            return self.side, self.side
        scale = self.side / max(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))

    def margins(self, inner: tuple[int, int]) -> tuple[list[int], list[tuple[int, int]]]:
        """Return where the image begins in the square, and the margins of each axis."""
        before = [(self.side - length) // 2 for length in inner]
        return before, [
            (b, self.side - length - b) for b, length in zip(before, inner, strict=True)
        ]


def give_masks(
    model: LoadedModel,
    photos: Collection,
    masks: Path | None,
    generator: Masks | None,
    protocol: Protocol,
    *,
    seed: int,
) -> ModelResults:
    """Give every photo a mask: a file under `masks`, or else one that `generator` draws.

    If the protocol is `per_bin`, every photo is given one of each bin.
    """
    notes = [*model.notes]
    if masks is not None:
        assigned, note = match_mask_files(photos.names, masks, protocol, seed)
        notes += note
        origin = describe_masks(masks)
    else:
        bins = protocol.bins if protocol.per_bin else protocol.only[:1] or (None,)
        assigned = [PhotoMask(n, None, bin) for bin in bins for n in range(len(photos.names))]
        origin = f"drawn by '{generator.kind}'" if generator else ""
    several = len(assigned) > len(photos.names)
    names = [photos.names[a.photo] + (a.suffix if several else "") for a in assigned]
    if protocol.shapes:
        names = [f"{name} {shape}" for name in names for shape in protocol.shapes]
    return ModelResults(names, model, photos, assigned, generator, protocol, seed, notes, origin)


def describe_masks(masks: Path) -> str:
    """Return where the masks of a folder, archive or file are from, for tables.

    Those that `inpaint masks gen` drew are known by their manifest.
    """
    manifest = masks / MANIFEST
    if not manifest.is_file():
        return f"from {masks.name}"
    kinds = dict.fromkeys(str(g.get("kind")) for g in read_manifest(manifest)[0].generators)
    return f"from {masks.name}, drawn by {' and '.join(map(repr, kinds))}"


def match_mask_files(
    names: Sequence[str], masks: Path, protocol: Protocol, seed: int
) -> tuple[list[PhotoMask], list[str]]:
    """Return the mask files under `masks` by photo, and notes on how they were matched.

    Masks are matched by name; if none has the name of a photo they are assigned at random. Those
    with holes that do not count are left out.
    """
    places = list_masks(masks) if holds_files(masks) else {"": masks}  # one mask is for all
    files = [*places.values()]
    if not files:
        raise DataError(f"no mask in {masks}; draw some with `inpaint masks gen`")
    fitting = files
    if protocol.only:
        fitting = [path for group in group_by_bin(files, protocol) for path in group]
    if not fitting:
        raise DataError(f"no mask has a hole of {' or '.join(protocol.only)} percent")
    notes = []
    if len(fitting) < len(files):
        other = count_text(len(files) - len(fitting), "mask")
        notes.append(f"{other} left out: a hole of {' or '.join(protocol.only)} % is needed")
    by_name: dict[tuple[str, str], list[str]] = {}
    for name in places:
        folder, stem = stem_key(name)
        by_name.setdefault((folder, stem.removesuffix(".mask")), []).append(name)
    own_masks = [pairs.prefer_same_name(n, by_name.get(stem_key(n), []), {*names}) for n in names]
    for name, found in zip(names, own_masks, strict=True):
        if len(found) > 1:
            doubles = " and ".join(str(places[other]) for other in found)
            raise DataError(f"{doubles} are masks of one photo, {name}; remove one of them")
    matched = [places[found[0]] if found else None for found in own_masks]
    if all(matched):
        own = enumerate(matched)
        return [PhotoMask(photo, path) for photo, path in own if path in fitting], notes
    if any(matched):
        raise DataError(
            f"{masks} has no mask of {names[matched.index(None)]}, but masks of other photos; add"
            " it, or rename the masks to have them assigned at random"
        )
    if len(files) == 1:
        return [PhotoMask(photo, files[0]) for photo in range(len(names))], notes
    notes.append(
        f"the names of the {count_text(len(files), 'mask')} do not match the photos: assigned at "
        f"random (seed {seed})"
    )
    return assign_masks(fitting, len(names), protocol, seed), notes


def assign_masks(
    files: Sequence[Path], count: int, protocol: Protocol, seed: int
) -> list[PhotoMask]:
    """Assign masks to `count` photos in an order shuffled by `seed`.

    If the protocol is `per_bin`, every photo is given one mask of each bin that has masks.
    """
    groups = group_by_bin(files, protocol) if protocol.per_bin else [list(files)]
    assigned = []
    for number, group in enumerate(groups):
        order = np.random.default_rng([seed, number]).permutation(len(group))
        chosen = [group[order[photo % len(group)]] for photo in range(count) if group]
        assigned += [PhotoMask(photo, path) for photo, path in enumerate(chosen)]
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
