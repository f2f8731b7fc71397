"""What can be tried before a long training: its data, and a few steps."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from tqdm import tqdm

from ..datasets.collection import Collection
from ..errors import TrainingError
from ..models import weights
from ..models.network import fill_tensors
from ..recipe.schema import Recipe
from ..recipe.source import RecipeSource
from .build import build_training
from .checkpoint import RunFolder
from .feed import find_unreadable
from .run import TrainOptions, run_training


def find_bad_images(
    name: str, recipe: Recipe, source: RecipeSource, options: TrainOptions
) -> tuple[int, list[str]]:
    """How many images a training would read, and what is wrong with each that is bad."""
    built = build_training(name, recipe, source, steps=0)
    places = [(built.inputs.train, options.data)]
    if built.inputs.val:
        places.append((built.inputs.val, options.val_data or options.data))
    count, told = 0, []
    for images, root in places:
        collection = Collection.at(images, root)
        for _, wrong in tqdm(
            find_unreadable(collection, options.workers), total=len(collection.names)
        ):
            count += 1
            told += [wrong] if wrong else []
    return count, told


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
