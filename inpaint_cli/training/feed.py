"""Images and masks to batches, from any step on.

What sample n of a stage is (which image, which crop, flipped or not, which mask) is a function of
the seed, the stage and n: not of workers, processes or restarts.

Decoding: whole JPEG and 8-bit PNG files go through OpenCV, which decodes them to the same bits as
Pillow, and are scaled on bytes by torchvision's antialiased filter, which is Pillow's but for one
grey level. For training a JPEG at least three times as large as needed is decoded at a part of its
size, which costs about a grey level (benchmarks/data.py); `decode: exact` forbids it, and
validation never does it. Every other file goes through `images.read_photo`, which also says what
is wrong with a damaged one.
"""

import math
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

import cv2
import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.v2 import InterpolationMode

from ..api.architectures import Batch, Sizes
from ..api.masks import Masks
from ..api.stages import Stage
from ..datasets.collection import Collection, Shape, place_image
from ..errors import DataError, ImageError, InpaintError
from ..recipe.schema import Data, Recipe

REDUCED_ROOM = 1.5  # how much larger than needed a reduced image is at least


@dataclass(frozen=True)
class FeedSample:
    """The n-th sample of a stage: an image, and the size it is to come in."""

    n: int
    index: int
    shape: Shape


@dataclass(frozen=True)
class FeedOrder:
    """Which image the n-th sample is: every epoch all images, shuffled anew.

    With `shapes`, one an image, any `batch` samples from a multiple of `batch` on have the same
    shape; a shape whose images do not fill its last batch has some of them twice in the epoch.
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
        """The images of an epoch in their order; those of the last few are remembered."""
        if number not in self.epochs:
            if len(self.epochs) > 2:
                self.epochs.pop(min(self.epochs.keys() - {0}))  # all need the length of epoch 0
            self.epochs[number] = self.shuffled(np.random.default_rng([*self.key, number]))
        return self.epochs[number]

    def shuffled(self, rng: np.random.Generator) -> np.ndarray:
        if self.shapes is None:
            return rng.permutation(self.count)
        rows = []
        for shape in sorted(set(self.shapes)):
            group = rng.permutation([i for i, s in enumerate(self.shapes) if s == shape])
            rows.append(np.resize(group, (-(-len(group) // self.batch), self.batch)))
        return rng.permutation(np.concatenate(rows)).reshape(-1)


class TrainingSamples(Dataset[tuple[Tensor, ...] | str]):
    """Samples to images uint8 [3, H, W] and masks uint8 [1, H, W]; a sentence where one is bad.

    Where the stage is `labelled`, with label maps uint8 [1, H, W].
    """

    def __init__(
        self,
        collection: Collection,
        masks: Masks,
        data: Data,
        key: Sequence[int],
        *,
        labelled: bool = False,
    ) -> None:
        self.collection, self.masks, self.data, self.key = collection, masks, data, key
        self.labelled = labelled

    def __getitem__(self, sample: FeedSample) -> tuple[Tensor, ...] | str:
        zoom, top, left, side = np.random.default_rng([*self.key, sample.n]).random(4)
        low, high = self.data.zoom
        if self.data.fit == "margins":  # what matters is in the middle, as faces are
            top, left = 0.25 + top / 2, 0.25 + left / 2
        scale = low + (high - low) * zoom
        reduced = self.data.decode == "fast" and self.data.fit != "native"
        enough = REDUCED_ROOM * scale * max(sample.shape) if reduced else math.inf
        where = partial(
            place_image,
            shape=sample.shape,
            fit=self.data.fit,
            zoom=scale,
            at=(top, left),
            flip=self.data.flip and side < 0.5,
        )
        try:
            image = self.collection.decode(sample.index, enough=enough)
        except InpaintError as error:
            return f"{error} (--check-data lists all that are bad)"
        try:
            which = sample.n // self.data.per_mask
            hole = self.masks.draw(*sample.shape, np.random.default_rng([*self.key, which, 1]))
            tensors = where(image), torch.from_numpy(hole.astype(np.uint8))[None]
            if not self.labelled:
                return tensors
            labels = self.collection.labels(sample.index, (image.shape[1], image.shape[2]))
        except InpaintError as error:
            return str(error)
        return *tensors, where(labels, by=InterpolationMode.NEAREST_EXACT)


def nearest_bucket(shape: Shape, size: int) -> Shape:
    """The shape of about `size` x `size` pixels whose aspect is nearest to that of `shape`."""
    return min(aspect_buckets(size), key=lambda b: abs(np.log(b[0] * shape[1] / (b[1] * shape[0]))))


@lru_cache
def aspect_buckets(size: int) -> Sequence[Shape]:
    """Shapes from 1:2 to 2:1 of at most `size` x `size` pixels, sides multiples of its eighth."""
    step = max(size // 8, 1)
    sides = range(-(-size * 7 // 10 // step) * step, size + 1, step)
    wide = [(side, size * size // side // step * step) for side in sides]
    return sorted({*wide, *((w, h) for h, w in wide)})


def draw_shape(data: Data, key: Sequence[int]) -> Shape:
    """A shape of about `size` x `size` pixels, for a batch whose images lose some of their margins.

    Often it is square; else the logarithm of its aspect is uniform (IN2, section 4.4).
    """
    chance, place = np.random.default_rng(key).random(2)
    low, high = np.log(data.aspects)
    root = 1.0 if chance < data.square else float(np.exp((low + (high - low) * place) / 2))
    return round(data.size * root), round(data.size / root)


@dataclass
class Feed:
    """The batches of a training, for one process of several, and how long it waited for them."""

    collection: Collection
    masks: Masks
    recipe: Recipe
    stages: Mapping[str, Stage]
    accelerator: Accelerator
    workers: int = 0
    sizes: Sizes = field(default_factory=Sizes)  # that the network takes: no other is drawn
    waited: float = 0.0  # seconds, since somebody last set it to 0

    def __post_init__(self) -> None:
        world, parts = self.accelerator.num_processes, self.recipe.accumulate
        for name, stage in self.stages.items():
            if (stage.batch or 0) % (world * parts):
                raise DataError(
                    f"stage '{name}': a batch of {stage.batch} cannot be shared by {world} "
                    f"processes in {parts} parts each; set a batch that {world * parts} divides"
                )
        if not self.collection.names:
            raise DataError(f"{self.collection.root} leaves no images to train on")
        self.collections = {
            name: self.collection.labelled() if stage.labelled and stage.steps else self.collection
            for name, stage in self.stages.items()
        }
        self.shapes = {name: self.buckets(c) for name, c in self.collections.items()}

    def buckets(self, collection: Collection) -> Sequence[Shape] | None:
        """The shape of each image; None where all come in one."""
        if self.recipe.data.fit != "buckets":
            return None
        size = self.recipe.data.size
        return [nearest_bucket(collection.shape(i), size) for i in range(len(collection.names))]

    def __call__(self, stage: str, first: int) -> Iterator[Batch]:
        """This process's batches of `stage` from its step `first` on, without end."""
        key = (self.recipe.seed, list(self.stages).index(stage))
        size = self.stages[stage].batch or 1
        pictures = TrainingSamples(
            self.collections[stage],
            self.masks,
            self.recipe.data,
            key,
            labelled=self.stages[stage].labelled,
        )
        loader = DataLoader(
            pictures,
            batch_sampler=self.samples(stage, key, size, first),  # pyright: ignore[reportArgumentType]
            num_workers=self.workers,
            collate_fn=collate_samples,
            worker_init_fn=silence_worker,
            pin_memory=self.accelerator.device.type == "cuda",
            prefetch_factor=4 if self.workers else None,
        )
        batches = iter(loader)
        while True:
            begin = time.perf_counter()
            batch = next(batches)
            self.waited += time.perf_counter() - begin
            if isinstance(batch, str):
                raise DataError(batch)
            yield to_device(batch, self.accelerator.device)

    def samples(
        self, stage: str, key: Sequence[int], size: int, first: int
    ) -> Iterator[list[FeedSample]]:
        """What each batch consists of; `size` samples a step, this process's share of them."""
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


def collate_samples(samples: Sequence[tuple[Tensor, ...] | str]) -> tuple[Tensor, ...] | str:
    """A batch of samples, or the first sentence among them that says why there is none."""
    for sample in samples:
        if isinstance(sample, str):
            return sample
    return tuple(map(torch.stack, zip(*samples, strict=True)))


def to_device(batch: tuple[Tensor, ...], device: torch.device) -> Batch:
    image, hole, *labels = (t.to(device, non_blocking=True) for t in batch)
    return Batch(image.float() / 255, hole.float(), *(numbers[:, 0].long() for numbers in labels))


def silence_worker(_: int) -> None:
    """Leave Ctrl-C to the process that saves, and threads to the network."""
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
) -> Iterator[tuple[int, Batch]]:
    """This process's share of the first `count` images (0: all), numbered, one at a time.

    Each is centred, unmirrored, and has the mask that is always its own.
    """
    size, fit = recipe.data.size, recipe.data.fit
    for n in range(rank, min(count or len(collection.names), len(collection.names)), world):
        if fit == "margins":
            shape = draw_shape(recipe.data, [recipe.seed, 2**32, n, 2])
        else:
            shape = nearest_bucket(collection.shape(n), size) if fit == "buckets" else (size, size)
        image = place_image(collection.decode(n), shape, fit)
        hole = masks.draw(*shape, np.random.default_rng([recipe.seed, 2**32, n]))
        yield n, Batch(image[None] / 255, torch.from_numpy(hole)[None, None].float())


def find_unreadable(collection: Collection, workers: int = 0) -> Iterator[tuple[str, str | None]]:
    """Each image's name and what is wrong with it, if anything: every one is decoded."""

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
