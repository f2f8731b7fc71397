"""What can be tried before a long training: its data, and a few steps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from tqdm import tqdm

from ..datasets.collection import Collection
from ..errors import TrainingError
from ..models import weights
from ..models.network import fill_tensors
from ..recipe.plugins import build_inputs
from ..recipe.schema import Recipe
from ..recipe.source import RecipeSource
from .checkpoint import RunFolder
from .feed import find_unreadable
from .run import TrainOptions, list_places, run_training, skipped_notes


@dataclass(frozen=True)
class DataReport:
    """What is wrong with the images of a training."""

    count: int  # images that were decoded
    problems: Sequence[str]  # a sentence for each image that cannot be read
    notes: Sequence[str]  # sentences about files that are not pictures

    @property
    def summary(self) -> str:
        """The notes, and how many images cannot be read."""
        return "\n".join(
            [*self.notes, f"{len(self.problems)} of {self.count} images cannot be read"]
        )


def find_bad_images(recipe: Recipe, source: RecipeSource, options: TrainOptions) -> DataReport:
    """Decode every image that a training would read; no network is built."""
    inputs = build_inputs(recipe, source)
    count, problems = 0, []
    for dataset, root in list_places(inputs, options):
        collection = Collection.at(dataset, root)
        checked = find_unreadable(collection, options.workers)
        for _, problem in tqdm(checked, total=len(collection.names)):
            count += 1
            problems += [problem] if problem else []
    return DataReport(count, problems, skipped_notes(inputs, options))


def smoke_test(
    name: str, recipe: Recipe, source: RecipeSource, options: TrainOptions, steps: int
) -> str:
    """Train `steps` real steps of every stage, save, read the weights and fill one picture."""
    few = recipe.model_copy(update={"data": recipe.data.model_copy(update={"val_count": 1})})
    with TemporaryDirectory() as place:
        brief = replace(options, folder=Path(place) / "run", steps=steps)
        outcome = run_training(name, few, source, brief)
        model = weights.read_weights(RunFolder(outcome.folder).weights)
        image = torch.rand(1, 3, recipe.data.size, recipe.data.size)
        filled = fill_tensors(model.net, model.sizes, image, torch.ones_like(image[:, :1]).tril())
    if not filled.isfinite().all():
        raise TrainingError(f"{name} fills with values that are not finite after {steps} steps")
    return f"{name} trains by {source.path}: {outcome.done} steps, saved, loaded, filled a picture"
