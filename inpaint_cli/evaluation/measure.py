"""Measure samples by a protocol: scores of images, distances of sets, and their averages.

Processes share the samples in chunks that do not depend on the number of processes, every result is
stored under the number of its sample, and sums run in that order: several processes give exactly
the numbers of one. Images are held one chunk at a time; features are arrays on disk.
"""

import hashlib
import json
import math
import os
import tempfile
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import combinations, groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from ..api.metrics import Features, ImageMetric, Metric, SetMetric
from ..errors import DataError
from ..files.write import atomic_path
from ..registry import load_plugin
from ..runtime import devices
from ..runtime.slurm import join_slurm
from .bootstrap import confidence_interval
from .protocols import ALL, Plan, in_column
from .samples import EvalSample, EvalSamples

CHUNK_SAMPLES = 8  # samples that are measured together
MOST_THREADS = 8  # that measure at the same time


@dataclass(frozen=True)
class Score:
    """A metric over `count` images, with the bounds of its 95 % confidence interval.

    `deviation` is the standard deviation over subsets, of metrics that are a mean over such.
    """

    value: float
    low: float
    high: float
    count: int
    deviation: float = math.nan


@dataclass(frozen=True)
class SampleScores:
    """The scores of one image."""

    name: str
    ratio: float  # hole area / image area
    shape: str  # "768x1024", height x width
    sample: int  # index of the fill that was scored
    content: str  # a hash of truth and hole
    scores: Mapping[str, float]


@dataclass(frozen=True)
class TableLine:
    """A line of the table: its metric, which direction is better, and a remark on it."""

    metric: Metric
    better: str
    note: str


@dataclass(frozen=True)
class Evaluation:
    """The scores of a set by a protocol, by line and column of its table and by image."""

    title: str
    plan: Plan
    seed: int
    notes: Sequence[str]
    mask_source: str  # where the holes are from
    table: Mapping[str, Mapping[str, Score]]
    rows: Sequence[SampleScores]

    @property
    def content(self) -> str:
        """A hash of the test set: equal for equal photos and holes under equal names."""
        rows = "\n".join(f"{row.name}\t{row.content}" for row in self.rows)
        return hashlib.sha256(rows.encode()).hexdigest()[:16]


def table_lines(plan: Plan) -> dict[str, TableLine]:
    """Return the lines of the table by label.

    With several samples of each photo there are two more kinds of line: the mean of each metric
    over all samples, and the diversity, the mean distance between two of them.
    """
    lines = {label: TableLine(m, m.better, m.note()) for label, m in plan.metrics.items()}
    if (count := plan.protocol.samples) == 1:
        return lines
    for label, line in [*lines.items()]:
        if isinstance(line.metric, ImageMetric):
            note = join_notes(line.note, f"of {count} samples")
            lines[f"{label}-mean"] = TableLine(line.metric, line.better, note)
    metric = diversity_metric(plan)
    note = join_notes(metric.note(), f"{type(metric).__name__} between samples, in the hole")
    return lines | {"diversity": TableLine(metric, "higher", note)}


def join_notes(*notes: str) -> str:
    return ", ".join(filter(None, notes))


def diversity_metric(plan: Plan) -> ImageMetric:
    """Return the distance between two samples: LPIPS if the protocol has it, otherwise L1."""
    for label, metric in plan.metrics.items():
        if isinstance(metric, ImageMetric) and plan.protocol.metrics[label].kind == "lpips":
            return metric.model_copy(update={"region": "hole"})
    return load_plugin("metrics", "l1")(region="hole")


def evaluation_device(device: str) -> torch.device:
    """Return the device of this process; with "auto", several processes get one each."""
    join_slurm()
    state = PartialState(cpu=device == "cpu")
    own = state.device or torch.device("cpu")
    chosen = own if device == "auto" else devices.choose_device(device)
    if chosen.type == "cpu":
        devices.keep_freed_memory()
    return chosen


def is_main_process() -> bool:
    """Return whether this is the only process, or the first of those that share the work."""
    return PartialState().is_main_process


def measure_samples(
    samples: EvalSamples, plan: Plan, *, title: str, device: torch.device, seed: int = 0
) -> Evaluation:
    """Measure all `samples`; every process must call this, and every process gets the result."""
    state = PartialState()
    notes = list(samples.notes)
    if plan.protocol.bins and not samples.masked:
        notes.append("without masks there are no bins, and no scores of holes")
    rows: list[SampleScores | None] = [None] * len(samples.names)
    with tempfile.TemporaryDirectory(prefix="inpaint-eval-") as scratch:
        measurer = Measurer.create(samples, plan, device, Path(scratch))
        measurer.rehearse()
        bar = tqdm(total=len(rows), unit="image", disable=not state.is_main_process)
        for measured in measure_share(measurer, len(rows), state):
            rows[measured.number] = measured.row
            if state.is_main_process:
                measurer.store(measured)
            bar.update()
        bar.close()
        evaluation = None
        if state.is_main_process:
            done = [row for row in rows if row is not None]
            notes += uncounted_notes(done, plan)
            table = summarise_scores(done, plan, measurer.stores, seed)
            source = samples.mask_source
            evaluation = Evaluation(title, plan, seed, notes, source, table, done)
        (evaluation,) = broadcast_object_list([evaluation])
    assert evaluation is not None
    return evaluation


def uncounted_notes(rows: Sequence[SampleScores], plan: Plan) -> list[str]:
    """Return a sentence on the images that count in no column, if there are any."""
    only = plan.protocol.only
    left = sum(not in_column(ALL, row.ratio, row.shape, only) for row in rows)
    return [f"{left} of {len(rows)} images do not count: a hole of {' or '.join(only)} % is "
            "needed"] if left else []  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """The scores and features of one sample, as a process sends them."""

    number: int
    row: SampleScores
    features: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32] | None]]


def measure_share(measurer: "Measurer", count: int, state: PartialState) -> Iterator[Measured]:
    """Yield what all processes measure, each chunk measured by one of them."""
    starts = range(state.process_index * CHUNK_SAMPLES, count, state.num_processes * CHUNK_SAMPLES)
    chunks = [range(start, min(start + CHUNK_SAMPLES, count)) for start in starts]
    rounds = -(-count // (state.num_processes * CHUNK_SAMPLES))
    chunks += [range(0)] * (rounds - len(chunks))  # all processes gather equally often
    with closing(measure_ahead(measurer, chunks, state.num_processes)) as measured:
        for own in measured:
            yield from gather_object(own)


def measure_ahead(
    measurer: "Measurer", chunks: Sequence[range], processes: int
) -> Generator[list[Measured], None, None]:
    """Yield what is measured of each chunk in order, of a few at a time in threads.

    Reading, filling and most metrics release Python's lock. The numbers do not depend on it:
    every sample is measured by itself, and a network fills one at a time.
    """
    cores = max((os.cpu_count() or 1) // processes, 1)
    with ThreadPoolExecutor(min(cores, MOST_THREADS)) as pool, one_thread_each(measurer, cores):
        waiting = deque[Future[list[Measured]]]()
        try:
            for chunk in chunks:
                waiting.append(pool.submit(measurer, chunk))
                if len(waiting) > cores:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def one_thread_each(measurer: "Measurer", cores: int) -> Iterator[None]:
    """Within the block, let torch and OpenCV use one thread for each of ours.

    Not where a network fills on a CPU, which is the longest part, one at a time.
    """
    before = torch.get_num_threads(), cv2.getNumThreads()
    if cores > 1 and not (measurer.samples.exclusive and measurer.device.type == "cpu"):
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


@dataclass(frozen=True)
class Prepared:
    """A sample as the metrics see it: images and mask [1, C, H, W] on the device."""

    number: int
    truth: Tensor
    filled: Tensor
    mask: Tensor
    sample: int  # index of the fill that is scored
    extra: Mapping[str, float]  # scores over all fills


@dataclass(frozen=True)
class Measurer:
    """Measures chunks of samples."""

    samples: EvalSamples
    plan: Plan
    per_image: Mapping[str, ImageMetric]
    extractors: Mapping[str, SetMetric]  # one metric for each kind of features
    stores: Mapping[str, "FeatureStore"]
    device: torch.device

    @staticmethod
    def create(samples: EvalSamples, plan: Plan, device: torch.device, scratch: Path) -> "Measurer":
        """Return a measurer that keeps features in files below `scratch`."""
        metrics = plan.metrics.items()
        per_image = {label: m for label, m in metrics if isinstance(m, ImageMetric)}
        extractors = {m.extractor: m for _, m in metrics if isinstance(m, SetMetric)}
        stores = {
            name: FeatureStore(scratch, len(samples.names), feature_cache(samples, plan, name))
            for name in extractors
        }
        return Measurer(samples, plan, per_image, extractors, stores, device)

    def rehearse(self) -> None:
        """Run every metric on a tiny image, so that missing weights are found before any work."""
        black = torch.zeros(1, 3, 64, 64, dtype=torch.uint8, device=self.device)
        for line in table_lines(self.plan).values():
            if isinstance(line.metric, ImageMetric):
                line.metric.score(black, black, black[:, :1] > 0)
        for metric in self.extractors.values():
            metric.features(black)

    def __call__(self, numbers: range) -> list[Measured]:
        """Measure samples: on a CPU one by one, where more at once take memory but no less time."""
        size = 1 if self.device.type == "cpu" else len(numbers)
        parts = [numbers[n : n + size] for n in range(0, len(numbers), max(size, 1))]
        return [measured for part in parts for measured in self.measure_part(part)]

    def measure_part(self, numbers: range) -> Iterator[Measured]:
        """Measure samples at once, those of each size together."""
        prepared = [self.prepare(n, self.samples[n]) for n in numbers]
        for _, group in groupby(prepared, key=lambda sample: sample.truth.shape):
            yield from self.measure([*group])

    def measure(self, group: Sequence[Prepared]) -> Iterator[Measured]:
        """Measure samples of one size together."""
        truth, filled, mask = (
            torch.cat([getattr(p, part) for p in group]) for part in ("truth", "filled", "mask")
        )
        scores = {k: m.score(filled, truth, mask).tolist() for k, m in self.per_image.items()}
        features = {name: self.features(name, filled, truth) for name in self.extractors}
        for i, p in enumerate(group):
            row = SampleScores(
                self.samples.names[p.number],
                float(p.mask.double().mean()),
                "{}x{}".format(*p.mask.shape[-2:]),
                p.sample,
                content_hash(p.truth, p.mask),
                {k: values[i] for k, values in scores.items()} | dict(p.extra),
            )
            own = {k: (f[i], t if t is None else t[i]) for k, (f, t) in features.items()}
            yield Measured(p.number, row, own)

    def features(self, name: str, filled: Tensor, truth: Tensor) -> tuple[Any, Any]:
        """Return the features of the fills, and those of the truth unless they are cached."""
        extract = self.extractors[name].features
        cached = self.stores[name].truth is not None
        return feature_array(extract(filled)), None if cached else feature_array(extract(truth))

    def store(self, measured: Measured) -> None:
        """Put the features of a sample into the stores."""
        for name, (filled, truth) in measured.features.items():
            self.stores[name].put(measured.number, filled, truth)

    def prepare(self, number: int, sample: EvalSample) -> Prepared:
        """Apply the protocol to a sample, and choose the fill to score."""
        protocol = self.plan.protocol
        mask = sample.mask.to(self.device)
        truth = to_levels(sample.truth, protocol.levels).to(self.device)
        fills = [to_levels(filled, protocol.levels).to(self.device) for filled in sample.fills]
        if protocol.composite and self.samples.masked:
            fills = [torch.where(mask, filled, truth) for filled in fills]
        if (label := protocol.best) is None:
            return Prepared(number, truth, fills[0], mask, 0, {})
        scores = {
            name: [float(metric.score(filled, truth, mask)) for filled in fills]
            for name, metric in self.per_image.items()
        }
        sign = 1 if self.per_image[label].better == "higher" else -1
        best = max(range(len(fills)), key=lambda k: sign * scores[label][k])
        extra = {f"{name}-mean": m.over(scores[name]) for name, m in self.per_image.items()}
        distance = diversity_metric(self.plan)
        pairs = [float(distance.score(*pair, mask)) for pair in combinations(fills, 2)]
        extra["diversity"] = distance.over(pairs)
        return Prepared(number, truth, fills[best], mask, best, extra)


class FeatureStore:
    """The features of a set as arrays on disk: of the fills, and of the truth unless cached."""

    def __init__(self, scratch: Path, count: int, cache: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=scratch))
        self.count = count
        self.cache = cache
        self.truth = np.load(cache, mmap_mode="r", allow_pickle=False) if cache.is_file() else None
        self.rows: dict[str, NDArray[np.float32]] = {}

    def put(self, number: int, filled: NDArray, truth: NDArray | None) -> None:
        """Store the features of sample `number`."""
        for name, row in (("filled", filled), ("truth", truth)):
            if row is not None:
                if name not in self.rows:
                    file, shape = self.folder / f"{name}.npy", (self.count, len(row))
                    self.rows[name] = open_memmap(file, "w+", np.float32, shape)
                self.rows[name][number] = row

    def save_cache(self) -> None:
        """Save the truth's features for the next evaluation of the same photos."""
        if self.truth is None:
            self.truth = self.rows["truth"]
            self.cache.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(self.cache) as temporary:
                np.save(temporary, self.truth, allow_pickle=False)

    def features(self, index: NDArray[np.intp]) -> tuple[Features, Features]:
        """Return the features of fills and truth of the samples `index`."""
        assert self.truth is not None
        return Features(self.rows["filled"], index), Features(self.truth, index)


def feature_cache(samples: EvalSamples, plan: Plan, extractor: str) -> Path:
    """Return the cache file of the truth's features, named after the photos and conventions."""
    protocol = plan.protocol
    placing = [
        getattr(protocol, key) for key in ("size", "shapes", "fit", "zoom", "resize", "levels")
    ]
    files = [samples.digest(n) for n in range(len(samples.names))]
    identity = json.dumps([[extractor, plan.versions, *placing], files])
    key = hashlib.sha256(identity.encode()).hexdigest()[:32]
    home = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return home / "inpaint" / "features" / f"{key}.npy"


def summarise_scores(
    rows: Sequence[SampleScores], plan: Plan, stores: Mapping[str, FeatureStore], seed: int
) -> dict[str, dict[str, Score]]:
    """Return the score of each metric in each bin and shape and over all images."""
    if not rows:
        raise DataError("there is nothing to evaluate")
    for store in stores.values():
        store.save_cache()
    bins = plan.protocol.bins if any(row.ratio for row in rows) else ()
    metrics = {label: line.metric for label, line in table_lines(plan).items()}
    table: dict[str, dict[str, Score]] = {label: {} for label in metrics}
    for column in (*bins, *plan.protocol.shapes, ALL):
        members = [
            n
            for n, row in enumerate(rows)
            if in_column(column, row.ratio, row.shape, plan.protocol.only)
        ]
        index = np.array(members, np.intp)
        features = {name: store.features(index) for name, store in stores.items()}
        for label, metric in metrics.items():
            if isinstance(metric, SetMetric):
                own = metric.estimate(*features[metric.extractor])
                score = Score(own.value, own.low, own.high, len(index), own.deviation)
                table[label][column] = score
            elif isinstance(metric, ImageMetric):
                scores = np.array([rows[n].scores[label] for n in members])
                table[label][column] = average_score(metric, scores, seed)
    return table


def average_score(metric: ImageMetric, scores: NDArray[np.float64], seed: int) -> Score:
    """Return the average of the images that have a score."""
    known = scores[~np.isnan(scores)]
    low, high = confidence_interval(known, metric.average, seed)
    return Score(metric.over(known), low, high, len(known))


def to_levels(image: Tensor, how: str) -> Tensor:
    """Return `image` in 0..1 as the 8-bit levels of a file, or as floats if `how` is "float"."""
    if how == "float":
        return image.clamp(0, 1)
    scaled = image.clamp(0, 1) * 255
    return (scaled.round() if how == "round" else scaled).to(torch.uint8)


def feature_array(features: Tensor) -> NDArray[np.float32]:
    return features.float().cpu().numpy()


def content_hash(truth: Tensor, mask: Tensor) -> str:
    digest = hashlib.sha256(truth.cpu().numpy().tobytes())
    digest.update(mask.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
