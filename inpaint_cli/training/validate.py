"""What a training looks like from time to time: scores and pictures of the same few samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from PIL import Image
from torch import Tensor, nn

from ..api.architectures import Batch, Sizes
from ..api.masks import Masks
from ..api.metrics import ImageMetric
from ..api.tensors import to_uint8
from ..datasets.collection import Collection
from ..models.network import fill_tensors
from ..recipe.schema import Recipe
from ..reports import html as report
from ..runtime.seed import seed_torch
from .build import Built
from .checkpoint import RunFolder
from .feed import validation_batches
from .log import read_log

SHEET_SAMPLES = 6  # samples on a sheet


@dataclass(frozen=True)
class Validation:
    """The samples and metrics of a validation, the same at every step."""

    collection: Collection
    masks: Masks
    metrics: Mapping[str, ImageMetric]
    sizes: Sizes
    recipe: Recipe
    count: int

    @torch.inference_mode()
    def __call__(
        self, net: nn.Module, accelerator: Accelerator
    ) -> tuple[dict[str, float], list[list[tuple[np.ndarray, str]]]]:
        """Return the score of each metric over all samples, and rows of pictures of the first few.

        Processes share the samples; the scores are the same bits as those of one process.
        """
        scores: list[tuple[int, dict[str, float]]] = []
        rows: list[tuple[int, list[tuple[np.ndarray, str]]]] = []
        samples = validation_batches(
            self.collection,
            self.masks,
            self.recipe,
            self.count,
            rank=accelerator.process_index,
            world=accelerator.num_processes,
        )
        for n, batch in samples:
            image, mask = batch.image.to(accelerator.device), batch.mask.to(accelerator.device)
            seed_torch(self.recipe.seed, n)
            with accelerator.autocast():
                filled = fill_tensors(net, self.sizes, image, mask)
            hole = mask > 0.5
            values = {k: float(m.score(filled, image, hole)) for k, m in self.metrics.items()}
            scores.append((n, values))
            if n < SHEET_SAMPLES:
                rows.append(
                    (n, sample_row(Batch(image, mask), filled, self.collection.names[n], values))
                )
        every = [values for _, values in sorted(gather_object(scores), key=lambda item: item[0])]
        shown = [cells for _, cells in sorted(gather_object(rows), key=lambda item: item[0])]
        return {k: m.over([values[k] for values in every]) for k, m in self.metrics.items()}, shown


def sample_row(batch: Batch, filled: Tensor, name: str, scores: Mapping[str, float]) -> list[Any]:
    """Return input, mask, fill and truth of one sample, with captions."""
    caption = " ".join(f"{key} {score:.4g}" for key, score in scores.items())
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
    sizes = built.architecture.sizes(built.settings)
    masks = built.inputs.val_masks
    return Validation(collection, masks, built.metrics, sizes, built.recipe, count)


def write_report(folder: RunFolder, built: Built) -> None:
    """Write report.html with loss curves, scores and the last sheet."""
    events = read_log(folder.log)
    curves = log_curves(events, "train", "losses")
    scores = log_curves(events, "validation", "scores")
    parts: list[report.Part] = [report.Text(built.recipe.summary), report.Heading("Losses")]
    parts += [report.Curves({name: line}, name, logarithmic=True) for name, line in curves.items()]
    if scores:
        parts.append(report.Heading("Validation"))
        parts += [report.Curves({name: line}, name) for name, line in scores.items()]
    sheet = max(folder.path.glob("sheets/*.png"), default=None)
    if sheet:
        with Image.open(sheet) as image:
            parts += [report.Heading("Samples"), report.Figure(image.copy(), sheet.name)]
    report.write_page(folder.path / "report.html", f"Training of {folder.path.name}", parts)


def log_curves(
    events: Sequence[Mapping[str, Any]], event: str, key: str
) -> dict[str, list[tuple[float, float]]]:
    """Return the curves in a log: lists of (step, value) by name."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for line in events:
        if line["event"] == event:
            for name, value in line[key].items():
                curves.setdefault(name, []).append((line["step"], value))
    return curves
