"""Make batches of images and masks, from any step on.

Image, crop, flip and mask of sample n of a stage depend on the seed, the stage and n only, not on
workers, processes or restarts.

Decoding: whole JPEG and 8-bit PNG files go through OpenCV, which decodes them to the same bits as
Pillow, and are scaled as bytes by torchvision's antialiased filter, which differs from Pillow's by
at most one grey level. For training, a JPEG at least three times as large as needed is decoded at
reduced size, which changes it by about one grey level (benchmarks/data.py); `decode: exact`
forbids it, and validation never does it. All other files are read by `images.read_photo`, which
also describes damage.
"""

import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

import cv2
import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..api.architectures import Batch, Sizes
from ..api.masks import Masks
from ..api.stages import Stage
from ..datasets.collection import Collection, Shape, place_image, split_hidden
from ..errors import DataError, ImageError, InpaintError
from ..recipe.schema import Data, Recipe
from .transfer import BatchCopier

REDUCED_MARGIN = 1.5  # an image decoded at reduced size is at least this much too large


@dataclass(frozen=True)
class FeedSample:
    """The n-th sample of a stage: the index of an image, and the size to bring it to."""

    n: int
    index: int
    shape: Shape


@dataclass(frozen=True)
class FeedOrder:
    """The image of the n-th sample: every epoch has all images, in a new random order.

    With `shapes`, one per image, every batch has images of one shape; a shape whose images do not
    fill its last batch repeats some of them in the epoch.
    """

    count: int
    key: Sequence[int]
    shapes: Sequence[Shape] | None = None
    batch: int = 1
    epochs: dict[int, np.ndarray] = field(default_factory=dict, compare=False)

    def __getitem__(self, n: int) -> int:
        epoch, position = divmod(n, len(self.epoch(0)))
        return int(self.epoch(epoch)[position])

    def epoch(self, number: int) -> np.ndarray:
        """Return the images of an epoch in order; the last few epochs are cached."""
        if number not in self.epochs:
            if len(self.epochs) > 2:
                self.epochs.pop(min(self.epochs.keys() - {0}))  # all need the length of epoch 0
            self.epochs[number] = self.shuffled(np.random.default_rng([*self.key, number]))
        return self.epochs[number]

    def shuffled(self, rng: np.random.Generator) -> np.ndarray:
        """Return the images in a random order, in batches of one shape if there are shapes."""
        if self.shapes is None:
            return rng.permutation(self.count)
        rows = []
        for shape in sorted(set(self.shapes)):
            group = rng.permutation([i for i, s in enumerate(self.shapes) if s == shape])
            rows.append(np.resize(group, (-(-len(group) // self.batch), self.batch)))
        return rng.permutation(np.concatenate(rows)).reshape(-1)


class TrainingSamples(Dataset[dict[str, Tensor] | str]):
    """The parts of a `Batch`, uint8 [C, H, W] by name, of samples; a sentence for a bad image.

    With `classes`, the names of the classes in label maps, also label maps; with a `detail` over 1
    also the image at so many times its size.
    """

    def __init__(
        self,
        collection: Collection,
        masks: Masks,
        data: Data,
        key: Sequence[int],
        *,
        labelled: bool = False,
        classes: Sequence[str] = (),
        detail: int = 1,
    ) -> None:
        self.collection, self.masks, self.data, self.key = collection, masks, data, key
        self.labelled, self.classes, self.detail = labelled, classes, detail

    def __getitem__(self, sample: FeedSample) -> dict[str, Tensor] | str:
        zoom, top, left, side = np.random.default_rng([*self.key, sample.n]).random(4)
        low, high = self.data.zoom
        if self.data.fit == "margins":  # the subject, such as a face, is in the middle
            top, left = 0.25 + top / 2, 0.25 + left / 2
        elif self.data.fit == "centre":
            top, left = 0.5, 0.5
        scale, flip = low + (high - low) * zoom, self.data.flip and side < 0.5
        large = sample.shape[0] * self.detail, sample.shape[1] * self.detail
        enough = REDUCED_MARGIN * scale * max(large) if reduces_jpegs(self.data) else math.inf
        place = partial(place_image, fit=self.data.fit, zoom=scale, at=(top, left), flip=flip)
        try:
            image = self.collection.decode(sample.index, enough=enough)
        except InpaintError as error:
            return f"{error} (--check-data lists all bad images)"
        try:
            which = sample.n // self.data.per_mask
            hole = self.masks.draw(*sample.shape, np.random.default_rng([*self.key, which, 1]))
            placed = place(image, shape=sample.shape, resize=self.data.resize)
            colours, hidden = split_hidden(placed)  # what is not visible is not known
            parts = {"image": colours, "mask": (torch.from_numpy(hole)[None] | hidden).byte()}
            if self.labelled:
                size = image.shape[1], image.shape[2]
                labels = self.collection.labels(sample.index, size, self.classes)
                labels = place(labels, shape=sample.shape, resize="labels")
                parts["labels"] = mirror_labels(labels, self.classes) if flip else labels
        except InpaintError as error:
            return str(error)
        if self.detail > 1:
            parts["large"] = place(image, shape=large, resize=self.data.resize)[:3]
        return parts


def reduces_jpegs(data: Data) -> bool:
    """Whether large JPEGs may be decoded at a part of their size, which smooths them a little."""
    return data.decode == "fast" and data.fit != "native" and data.resize == "antialias"


def mirror_labels(labels: Tensor, classes: Sequence[str]) -> Tensor:
    """Return the label map of a mirrored image, where "left X" and "right X" change places."""
    sides = {"left": "right", "right": "left"}
    swapped = torch.arange(256, dtype=torch.uint8)
    for number, name in enumerate(classes):
        side, _, part = name.partition(" ")
        if (other := f"{sides.get(side)} {part}") in classes:
            swapped[number] = classes.index(other)
    return swapped[labels.long()]


def nearest_bucket(shape: Shape, size: int) -> Shape:
    """Return the shape of about `size` x `size` pixels with the aspect nearest to `shape`'s."""
    return min(aspect_buckets(size), key=lambda b: abs(np.log(b[0] * shape[1] / (b[1] * shape[0]))))


@lru_cache
def aspect_buckets(size: int) -> Sequence[Shape]:
    """Return shapes from 1:2 to 2:1 of at most `size` ** 2 pixels, in steps of `size` / 8."""
    step = max(size // 8, 1)
    sides = range(-(-size * 7 // 10 // step) * step, size + 1, step)
    wide = [(side, size * size // side // step * step) for side in sides]
    return sorted({*wide, *((w, h) for h, w in wide)})


def draw_shape(data: Data, key: Sequence[int]) -> Shape:
    """Draw a shape of about `size` x `size` pixels for a batch with fit margins.

    It is square with probability `data.square`; otherwise the logarithm of its aspect is uniform
    (IN2, section 4.4).
    """
    chance, place = np.random.default_rng(key).random(2)
    low, high = np.log(data.aspects)
    root = 1.0 if chance < data.square else float(np.exp((low + (high - low) * place) / 2))
    return round(data.size * root), round(data.size / root)


@dataclass
class Feed:
    """The batches of a training, for one of its processes, and the time spent waiting for them.

    Raises `DataError` if a batch cannot be divided among processes, or there are no images.
    """

    collection: Collection
    masks: Masks
    recipe: Recipe
    stages: Mapping[str, Stage]
    accelerator: Accelerator
    workers: int = 0
    sizes: Sizes = field(default_factory=Sizes)  # that the network accepts; no others are used
    classes: Sequence[str] = ()  # names of the classes in label maps
    detail: Callable[[str], int] = lambda stage: 1  # `Task.detail`
    channels_last: bool = False  # the order of the values of images
    waited: float = 0.0  # seconds since it was last set to 0

    def __post_init__(self) -> None:
        world, parts = self.accelerator.num_processes, self.recipe.accumulate
        for name, stage in self.stages.items():
            if (stage.batch or 0) % (world * parts):
                raise DataError(
                    f"stage '{name}': a batch of {stage.batch} cannot be divided among {world} "
                    f"processes in {parts} parts each; use a batch that is a multiple of "
                    f"{world * parts}"
                )
        if not self.collection.names:
            raise DataError(
                f"{self.collection.root} has no images left to train on; give more images, or "
                "reduce data.train.hold"
            )
        self.collections = {
            name: self.collection.labelled(self.classes)
            if stage.labelled and stage.steps
            else self.collection
            for name, stage in self.stages.items()
        }
        self.shapes = {name: self.buckets(c) for name, c in self.collections.items()}

    def buckets(self, collection: Collection) -> Sequence[Shape] | None:
        """Return the shape of each image; None if all have the same."""
        if self.recipe.data.fit != "buckets":
            return None
        size = self.recipe.data.size
        return [nearest_bucket(collection.shape(i), size) for i in range(len(collection.names))]

    def __call__(self, stage: str, first: int) -> Iterator[Batch]:
        """Yield this process's batches of `stage` from its step `first` on, without end."""
        key = (self.recipe.seed, list(self.stages).index(stage))
        size = self.stages[stage].batch or 1
        samples = TrainingSamples(
            self.collections[stage],
            self.masks,
            self.recipe.data,
            key,
            labelled=self.stages[stage].labelled,
            classes=self.classes,
            detail=self.detail(stage),
        )
        loader = DataLoader(
            samples,
            batch_sampler=self.samples(stage, key, size, first),  # pyright: ignore[reportArgumentType]
            num_workers=self.workers,
            collate_fn=collate_samples,
            worker_init_fn=silence_worker,
            pin_memory=self.accelerator.device.type == "cuda",
            prefetch_factor=4 if self.workers else None,
        )
        batches, copier = iter(loader), BatchCopier(self.accelerator.device, self.channels_last)
        while True:
            begin = time.perf_counter()
            batch = next(batches)
            self.waited += time.perf_counter() - begin
            if isinstance(batch, str):
                raise DataError(batch)
            yield copier(batch)

    def samples(
        self, stage: str, key: Sequence[int], size: int, first: int
    ) -> Iterator[list[FeedSample]]:
        """Yield the samples of each batch: this process's share of `size` samples per step."""
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        shapes = self.shapes[stage]
        order = FeedOrder(len(self.collections[stage].names), key, shapes, size)
        data = self.recipe.data

        def shape(n: int, index: int) -> Shape:
            if data.fit == "margins":
                return draw_shape(data, [*key, n // size, 2])
            return shapes[index] if shapes else (data.size, data.size)

        share = size // (world * self.recipe.accumulate)
        part = first * self.recipe.accumulate
        while True:
            begin = (part * world + rank) * share
            indices = [(n, order[n]) for n in range(begin, begin + share)]
            yield [FeedSample(n, i, self.sizes.fit(*shape(n, i))) for n, i in indices]
            part += 1


def collate_samples(samples: Sequence[dict[str, Tensor] | str]) -> dict[str, Tensor] | str:
    """Return a batch of samples, or the first sentence among them about a bad image."""
    parts: dict[str, list[Tensor]] = {}
    for sample in samples:
        if isinstance(sample, str):
            return sample
        for name, part in sample.items():
            parts.setdefault(name, []).append(part)
    return {name: torch.stack(group) for name, group in parts.items()}


def silence_worker(_: int) -> None:
    """Ignore Ctrl-C, which the parent handles, and use one thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)


def validation_batches(
    collection: Collection,
    masks: Masks,
    recipe: Recipe,
    count: int,
    *,
    rank: int = 0,
    world: int = 1,
    labelled: bool = False,
) -> Iterator[tuple[int, Batch]]:
    """Yield this process's share of the first `count` images (0: all), with their numbers.

    Crops are centred, nothing is mirrored, and each image always has the same mask. `labelled`
    gives label maps too.
    """
    size, fit = recipe.data.size, recipe.data.fit
    for n in range(rank, min(count or len(collection.names), len(collection.names)), world):
        if fit == "margins":
            shape = draw_shape(recipe.data, [recipe.seed, 2**32, n, 2])
        else:
            shape = nearest_bucket(collection.shape(n), size) if fit == "buckets" else (size, size)
        whole, labels = collection.decode(n), None
        if labelled:
            numbers = collection.labels(n, (whole.shape[1], whole.shape[2]))
            labels = place_image(numbers, shape, fit, resize="labels").long()
        image = place_image(whole, shape, fit, resize=recipe.data.resize)
        image, hidden = split_hidden(image)
        hole = masks.draw(*shape, np.random.default_rng([recipe.seed, 2**32, n]))
        known = (torch.from_numpy(hole) | hidden)[None].float()
        yield n, Batch(image[None] / 255, known, labels)


def find_unreadable(collection: Collection, workers: int = 0) -> Iterator[tuple[str, str | None]]:
    """Decode every image; yield its name and what is wrong with it, or None."""

    class Checked(Dataset[tuple[str, str | None]]):
        def __len__(self) -> int:
            return len(collection.names)

        def __getitem__(self, index: int) -> tuple[str, str | None]:
            try:
                collection.decode(index)
            except (DataError, ImageError) as error:
                return collection.names[index], str(error)
            return collection.names[index], None

    loader = DataLoader(
        Checked(),
        batch_size=None,
        num_workers=workers,
        worker_init_fn=silence_worker,
        collate_fn=lambda item: item,
    )
    yield from loader
