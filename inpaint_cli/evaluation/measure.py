"""Measure cases by a protocol: scores an image, distances of sets, and what they come to.

Processes share the cases in chunks that do not depend on their number, everything is put in its
place by the number of the case, and sums run in that order: several processes give exactly the
numbers of one. Pictures are held a chunk at a time, and features lie on disk.
"""

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from ..api.metrics import Features, ImageMetric, Metric, SetMetric
from ..errors import DataError
from ..files.write import atomic_path
from ..registry import load_plugin
from ..runtime import devices
from . import bootstrap as statistics
from .protocols import ALL, Plan, in_column
from .samples import EvalSample, EvalSamples

CHUNK = 8  # cases that are measured together


@dataclass(frozen=True)
class Score:
    """A metric over some of the images; the bounds are those of its 95 % interval."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class SampleScores:
    """What was measured of one case."""

    name: str
    ratio: float  # the hole's share of the picture
    shape: str  # "768x1024", height x width
    sample: int  # which fill was scored
    content: str  # a hash of truth and hole
    scores: Mapping[str, float]


@dataclass(frozen=True)
class TableLine:
    """A line of the table: by which metric, which way is better, and what must be said of it."""

    metric: Metric
    better: str
    note: str


def table_lines(plan: Plan) -> dict[str, TableLine]:
    """What is reported under which label: the metrics, and of several samples what all are like.

    That is the mean score of all samples, not only of the best, and how far two of them lie apart.
    """
    found = {label: TableLine(m, m.better, m.note()) for label, m in plan.metrics.items()}
    if (count := plan.protocol.samples) > 1:
        for label, line in [*found.items()]:
            if isinstance(line.metric, ImageMetric):
                note = ", ".join(filter(None, [line.note, f"of {count} samples"]))
                found[f"{label}-mean"] = TableLine(line.metric, line.better, note)
        metric = diversity_metric(plan)
        note = f"{type(metric).__name__} of two samples in the hole"
        found["diversity"] = TableLine(
            metric, "higher", ", ".join(filter(None, [metric.note(), note]))
        )
    return found


def diversity_metric(plan: Plan) -> ImageMetric:
    """The distance of two samples: LPIPS where the protocol has it, else L1."""
    for label, metric in plan.metrics.items():
        if isinstance(metric, ImageMetric) and plan.protocol.metrics[label].kind == "lpips":
            return metric.model_copy(update={"region": "hole"})
    return load_plugin("metrics", "l1")(region="hole")


@dataclass(frozen=True)
class Result:
    """An evaluation: under which conventions, what came out, and of which images."""

    title: str
    plan: Plan
    seed: int
    notes: Sequence[str]
    table: Mapping[str, Mapping[str, Score]]  # by line and column
    rows: Sequence[SampleScores]

    @property
    def content(self) -> str:
        """A hash of the test set: equal for equal photos and holes under equal names."""
        rows = "\n".join(f"{row.name}\t{row.content}" for row in self.rows)
        return hashlib.sha256(rows.encode()).hexdigest()[:16]


def evaluation_device(device: str) -> torch.device:
    """Where this process computes; several processes with "auto" take a device each."""
    state = PartialState(cpu=device == "cpu")
    own = state.device or torch.device("cpu")
    found = own if device == "auto" else devices.choose_device(device)
    if found.type == "cpu":
        devices.keep_freed_memory()
    return found


def measure_samples(
    cases: EvalSamples, plan: Plan, *, title: str, device: torch.device, seed: int = 0
) -> Result | None:
    """Measure all `cases`; every process calls this, and only the first gets a result."""
    state = PartialState()
    per_image = {k: m for k, m in plan.metrics.items() if isinstance(m, ImageMetric)}
    extractors = {m.extractor: m for m in plan.metrics.values() if isinstance(m, SetMetric)}
    if plan.protocol.bins and not cases.masked:
        notes = [*cases.notes, "without masks there are no bins, and no scores of holes"]
    else:
        notes = list(cases.notes)
    rows: list[SampleScores | None] = [None] * len(cases.names)
    with tempfile.TemporaryDirectory(prefix="inpaint-eval-") as scratch:
        shelves = {
            name: FeatureStore(Path(scratch), len(cases.names), feature_cache(cases, plan, name))
            for name in extractors
        }
        worker = Measurer(cases, plan, per_image, extractors, shelves, device)
        worker.rehearse()
        bar = tqdm(total=len(rows), unit="image", disable=not state.is_main_process)
        for found in measure_share(worker, len(rows), state):
            rows[found.number] = found.row
            if state.is_main_process:
                for name, (filled, truth) in found.features.items():
                    shelves[name].put(found.number, filled, truth)
            bar.update()
        bar.close()
        if not state.is_main_process:
            return None
        for shelf in shelves.values():
            shelf.keep()
        done = [row for row in rows if row is not None]
        table = summarise_scores(done, plan, shelves, seed)
    return Result(title, plan, seed, notes, table, done)


@dataclass(frozen=True)
class Measured:
    """What a process found out about a case."""

    number: int
    row: SampleScores
    features: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32] | None]]


def measure_share(worker: "Measurer", count: int, state: PartialState) -> Iterator[Measured]:
    """What all processes find, each chunk measured by one of them."""
    chunks = -(-count // CHUNK)
    for first in range(0, chunks, state.num_processes):
        mine = (first + state.process_index) * CHUNK
        found = worker(range(mine, min(mine + CHUNK, count)))
        yield from gather_object(found)


@dataclass(frozen=True)
class Measurer:
    """Measures chunks of cases."""

    cases: EvalSamples
    plan: Plan
    per_image: Mapping[str, ImageMetric]
    extractors: Mapping[str, SetMetric]
    shelves: Mapping[str, "FeatureStore"]
    device: torch.device

    def rehearse(self) -> None:
        """Measure next to nothing, so that weights that are missing stop it before any filling."""
        black = torch.zeros(1, 3, 64, 64, dtype=torch.uint8, device=self.device)
        for line in table_lines(self.plan).values():
            if isinstance(line.metric, ImageMetric):
                line.metric.score(black, black, black[:, :1] > 0)
        for metric in self.extractors.values():
            metric.features(black)

    def __call__(self, numbers: range) -> list[Measured]:
        prepared = [(n, *self.prepared(self.cases[n])) for n in numbers]
        found = []
        for _, alike in groupby(prepared, key=lambda item: item[1].shape):
            group = list(alike)
            truth, filled, mask = (
                torch.cat(part) for part in zip(*(g[1:4] for g in group), strict=True)
            )
            scores = {k: m.score(filled, truth, mask).tolist() for k, m in self.per_image.items()}
            features = {k: self.features(k, filled, truth) for k in self.extractors}
            for i, (n, real, _, hole, sample, over) in enumerate(group):
                row = SampleScores(
                    self.cases.names[n],
                    float(hole.double().mean()),
                    "{}x{}".format(*hole.shape[-2:]),
                    sample,
                    content_hash(real, hole),
                    {k: values[i] for k, values in scores.items()} | over,
                )
                own = {k: (f[i], t if t is None else t[i]) for k, (f, t) in features.items()}
                found.append(Measured(n, row, own))
        return found

    def features(self, name: str, filled: Tensor, truth: Tensor) -> tuple[Any, Any]:
        extract = self.extractors[name].features
        known = self.shelves[name].known is not None
        return feature_array(extract(filled)), None if known else feature_array(extract(truth))

    def prepared(self, case: EvalSample) -> tuple[Tensor, Tensor, Tensor, int, dict[str, float]]:
        """Truth, fill and hole as the metrics see them, which sample it is, and scores of all."""
        protocol = self.plan.protocol
        mask = case.mask.to(self.device)
        truth = to_levels(case.truth, protocol.levels).to(self.device)
        fills = [to_levels(filled, protocol.levels).to(self.device) for filled in case.fills]
        if protocol.composite and self.cases.masked:
            fills = [torch.where(mask, filled, truth) for filled in fills]
        best = protocol.best
        if best is None:
            return truth, fills[0], mask, 0, {}
        scores = {
            label: [float(metric.score(filled, truth, mask)) for filled in fills]
            for label, metric in self.per_image.items()
        }
        sign = 1 if self.per_image[best].better == "higher" else -1
        sample = max(range(len(fills)), key=lambda k: sign * scores[best][k])
        over = {f"{label}-mean": m.over(scores[label]) for label, m in self.per_image.items()}
        distance = diversity_metric(self.plan)
        pairs = [float(distance.score(*pair, mask)) for pair in combinations(fills, 2)]
        return truth, fills[sample], mask, sample, over | {"diversity": distance.over(pairs)}


class FeatureStore:
    """The features of a set as arrays on disk: of the fills, and of the truth unless cached."""

    def __init__(self, scratch: Path, count: int, cache: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=scratch))
        self.count = count
        self.cache = cache
        self.known = np.load(cache, mmap_mode="r", allow_pickle=False) if cache.is_file() else None
        self.rows: dict[str, NDArray[np.float32]] = {}

    def put(self, number: int, filled: NDArray, truth: NDArray | None) -> None:
        for name, row in (("filled", filled), ("truth", truth)):
            if row is not None:
                if name not in self.rows:
                    place, shape = self.folder / f"{name}.npy", (self.count, len(row))
                    self.rows[name] = open_memmap(place, "w+", np.float32, shape)
                self.rows[name][number] = row

    def keep(self) -> None:
        """Put the truth's features into the cache."""
        if self.known is None:
            self.known = self.rows["truth"]
            self.cache.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(self.cache) as temporary:
                np.save(temporary, self.known, allow_pickle=False)

    def features(self, index: NDArray[np.intp]) -> tuple[Features, Features]:
        assert self.known is not None
        return Features(self.rows["filled"], index), Features(self.known, index)


def feature_cache(cases: EvalSamples, plan: Plan, extractor: str) -> Path:
    """Where features of the truth are kept: named by the photos' content and all that is done."""
    protocol = plan.protocol
    placing = (protocol.size, protocol.shapes, protocol.fit, protocol.zoom, protocol.levels)
    files = [cases.digest(n) for n in range(len(cases.names))]
    identity = json.dumps([[extractor, plan.versions, *placing], files])
    key = hashlib.sha256(identity.encode()).hexdigest()[:32]
    home = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return home / "inpaint" / "features" / f"{key}.npy"


def summarise_scores(
    rows: Sequence[SampleScores],
    plan: Plan,
    shelves: Mapping[str, FeatureStore],
    seed: int,
) -> dict[str, dict[str, Score]]:
    """Each metric in each bin and over all images."""
    if not rows:
        raise DataError("there is nothing to evaluate")
    bins = plan.protocol.bins if any(row.ratio for row in rows) else ()
    columns = {
        c: np.array(
            [n for n, row in enumerate(rows) if in_column(c, row.ratio, row.shape)], np.intp
        )
        for c in (*bins, *plan.protocol.shapes, ALL)
    }
    metrics = {label: line.metric for label, line in table_lines(plan).items()}
    table: dict[str, dict[str, Score]] = {label: {} for label in metrics}
    for column, index in columns.items():
        features = {name: shelf.features(index) for name, shelf in shelves.items()}
        for label, metric in metrics.items():
            if isinstance(metric, SetMetric):
                distance = metric.distance(*features[metric.extractor])
                table[label][column] = Score(distance, math.nan, math.nan, len(index))
            elif isinstance(metric, ImageMetric):
                scores = np.array([rows[int(n)].scores[label] for n in index])
                table[label][column] = average_score(metric, scores, seed)
    return table


def average_score(metric: ImageMetric, scores: NDArray[np.float64], seed: int) -> Score:
    """The average of the images that have a score."""
    known = scores[~np.isnan(scores)]
    low, high = statistics.confidence_interval(known, metric.average, seed)
    return Score(metric.over(known), low, high, len(known))


def to_levels(image: Tensor, how: str) -> Tensor:
    """`image` in 0..1 as the 8-bit levels that a file would hold, or as it is."""
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
