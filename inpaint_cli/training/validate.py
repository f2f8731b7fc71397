"""What a training looks like from time to time: scores and pictures of the same few samples."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from PIL import Image
from torch import Tensor, nn

from ..api.architectures import Batch, Sizes, Task
from ..api.masks import Masks
from ..api.metrics import ImageMetric
from ..api.tensors import to_uint8
from ..datasets.collection import Collection
from ..errors import DataError
from ..filling.fill import LEAST_SPREAD
from ..models.network import fill_tensors
from ..recipe.schema import Recipe
from ..reports import html as report
from ..runtime.seed import seed_torch
from .build import Built
from .feed import validation_batches
from .folder import RunFolder, log_curves, read_log
from .log import print_message

SHEET_SAMPLES = 6  # samples on a sheet

Row = list[tuple[np.ndarray, str]]


@dataclass(frozen=True)
class Verdict:
    """The outcome of a validation."""

    scores: Mapping[str, float]  # of what the stage trains; none if it trains nothing that fills
    rows: Sequence[Row]  # pictures of the first few samples
    whole: bool  # whether they are of the whole network, so that its weights may be the best

    @property
    def alike(self) -> bool:
        """Whether fills of a network that draws at random hardly differ."""
        return any(s < LEAST_SPREAD for name, s in self.scores.items() if name.endswith("spread"))


@dataclass(frozen=True)
class Validation:
    """The samples and metrics of a validation, the same at every step."""

    collection: Collection
    masks: Masks
    metrics: Mapping[str, ImageMetric]
    sizes: Sizes
    recipe: Recipe
    count: int
    labelled: Collection | None = None  # the images that have label maps; None: no stage needs any
    stochastic: bool = False  # whether the network draws at random

    def __call__(self, task: Task, net: nn.Module, accelerator: Accelerator) -> Verdict:
        """Score what the running stage of `task` trains in `net`, the averaged network.

        Processes share the samples; the scores are the same bits as those of one process.
        """
        scores, rows = self.count_labels(task, net, accelerator), list[Row]()
        fill = task.filler(net)
        if fill is not None:
            own, rows = self.score_fills(fill, accelerator)
            scores = {**own, **scores}
        whole = fill is net
        prefix = "" if whole else f"{task.stage}/"
        return Verdict({prefix + name: score for name, score in scores.items()}, rows, whole)

    @torch.inference_mode()
    def score_fills(
        self, fill: Callable[[Tensor, Tensor], Any], accelerator: Accelerator
    ) -> tuple[dict[str, float], list[Row]]:
        """Return the score of each metric over all samples, and rows of pictures of the first few.

        `spread` is the mean difference of two fills in the hole, of 255 levels, of these few.
        """
        scores: list[tuple[int, dict[str, Tensor]]] = []
        rows: list[tuple[int, Row]] = []
        for n, batch in self.samples(self.collection, accelerator):
            image, mask = batch.image.to(accelerator.device), batch.mask.to(accelerator.device)
            filled = self.fill_sample(fill, image, mask, n, accelerator)
            hole = mask > 0.5
            values = {k: m.score(filled, image, hole).sum() for k, m in self.metrics.items()}
            if n < SHEET_SAMPLES:
                name = self.collection.names[n]
                rows.append((n, sample_row(Batch(image, mask), filled, name, values)))
                if self.stochastic:
                    other = self.fill_sample(fill, image, mask, n, accelerator, 1)
                    apart = ((filled - other).abs() * mask).sum() / (3 * mask.sum()).clamp(min=1)
                    values["spread"] = 255 * apart
            scores.append((n, values))
        read = read_scores(scores)
        every = [values for _, values in sorted(gather_object(read), key=lambda item: item[0])]
        shown = [cells for _, cells in sorted(gather_object(rows), key=lambda item: item[0])]
        means = {k: m.over([values[k] for values in every]) for k, m in self.metrics.items()}
        if spreads := [values["spread"] for values in every if "spread" in values]:
            means["spread"] = sum(spreads) / len(spreads)
        return means, shown

    def fill_sample(
        self,
        fill: Callable[[Tensor, Tensor], Any],
        image: Tensor,
        mask: Tensor,
        n: int,
        accelerator: Accelerator,
        *draw: int,
    ) -> Tensor:
        """Fill sample `n`; another `draw` is another fill of a network that draws at random."""
        seed_torch(self.recipe.seed, n, *draw)
        with accelerator.autocast():
            return fill_tensors(fill, self.sizes, image, mask)

    @torch.inference_mode()
    def count_labels(
        self, task: Task, net: nn.Module, accelerator: Accelerator
    ) -> Mapping[str, float]:
        """Return the scores that the running stage has of its own."""
        stage = self.recipe.architectures[next(iter(self.recipe.architectures))].stages[task.stage]
        collection = self.labelled if stage.labelled else self.collection
        if collection is None or type(task).tally is Task.tally:
            return {}
        counts = []
        for n, batch in self.samples(collection, accelerator, labelled=stage.labelled):
            seed_torch(self.recipe.seed, n)
            image, mask = batch.image.to(accelerator.device), batch.mask.to(accelerator.device)
            labels = None if batch.labels is None else batch.labels.to(accelerator.device)
            with accelerator.autocast():
                count = task.tally(net, Batch(image, mask, labels))
            if count is None:
                return {}
            counts.append(count.cpu())
        return task.tally_scores(torch.stack(gather_object(counts)).sum(0))

    def samples(
        self, collection: Collection, accelerator: Accelerator, *, labelled: bool = False
    ) -> Iterator[tuple[int, Batch]]:
        """Yield this process's share of the samples, with their numbers."""
        return validation_batches(
            collection,
            self.masks,
            self.recipe,
            self.count,
            rank=accelerator.process_index,
            world=accelerator.num_processes,
            labelled=labelled,
        )


def read_scores(
    scores: Sequence[tuple[int, Mapping[str, Tensor]]],
) -> list[tuple[int, dict[str, float]]]:
    """Return the scores of numbered samples as numbers; the device is waited for only once."""
    marks = [mark.double() for _, values in scores for mark in values.values()]
    numbers = iter(torch.stack(marks).tolist() if marks else [])
    return [(n, {name: next(numbers) for name in values}) for n, values in scores]


def sample_row(batch: Batch, filled: Tensor, name: str, scores: Mapping[str, Tensor]) -> Row:
    """Return input, mask, fill and truth of one sample, with captions."""
    caption = " ".join(f"{key} {float(score):.4g}" for key, score in scores.items())
    cells = ((batch.visible + 0.5 * batch.mask, name), (batch.mask.expand_as(batch.image), "hole"),
             (filled, caption or "filled"), (batch.image, "truth"))  # fmt: skip
    return [(to_uint8(picture[0]), text) for picture, text in cells]


def build_validation(built: Built, train: Collection, root: Path | None) -> Validation:
    """Return the validation of a training; without validation data it shows training images."""
    collection, count = train, SHEET_SAMPLES
    if built.inputs.val is not None:
        collection, count = (
            Collection.at(built.inputs.val, root or train.root),
            built.recipe.data.val_count,
        )
    return Validation(
        collection,
        built.inputs.val_masks,
        built.metrics,
        built.architecture.sizes(built.settings),
        built.recipe,
        count,
        find_labelled(built, collection),
        built.architecture.draws(built.settings),
    )


def find_labelled(built: Built, collection: Collection) -> Collection | None:
    """Return the images of a validation that have label maps, if a stage learns from such maps."""
    for name, stage in built.stages.items():
        if stage.labelled and stage.steps:
            try:
                return collection.labelled()
            except DataError:
                print_message(
                    f"stage '{name}' will not be scored: the images of the validation have no "
                    "label maps; set data.val.labels"
                )
    return None


def write_report(folder: RunFolder, built: Built) -> None:
    """Write report.html: curves of losses, scores, rates and speed, the last sheet, the recipe."""
    events = read_log(folder.log)
    span = (0.0, float(max((line["step"] for line in events), default=0)))
    sections = {
        "Losses": log_curves(events, "train", "losses"),
        "Validation": log_curves(events, "validation", "scores"),
        "Learning rates": log_curves(events, "train", "rates"),
        "Gradient norms": log_curves(events, "train", "norms"),
        "Speed": log_curves(events, "train", "images_per_second"),
    }
    stages = ", ".join(f"{name} {stage.steps:,}" for name, stage in built.stages.items())
    begun = f"{span[1]:,.0f} of {built.steps:,} steps; of the stages: {stages}."
    parts: list[report.Part] = [report.Text(built.recipe.summary), report.Text(begun)]
    for title, curves in sections.items():
        parts += [report.Heading(title)] * bool(curves)
        log = title in ("Losses", "Learning rates", "Gradient norms")
        parts += [
            report.Curves({name: line}, logarithmic=log, x_span=span)
            for name, line in curves.items()
        ]
    sheet = max(folder.path.glob("sheets/*.png"), default=None)
    if sheet:
        with Image.open(sheet) as image:
            parts += [report.Heading("Samples"), report.Figure(image.copy(), sheet.name)]
    if folder.recipe.is_file():
        parts += [report.Heading("Recipe"), report.Listing(folder.recipe.read_text("utf-8"))]
    report.write_page(folder.path / "report.html", f"Training of {folder.path.name}", parts)
