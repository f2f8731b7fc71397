"""Check the data of a training, and try a few steps of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from pydantic import NonNegativeInt, PositiveInt
from tqdm import tqdm

from ..arguments import AnyPath, check_arguments
from ..datasets.collection import Collection
from ..errors import TrainingError
from ..models import weights
from ..models.network import fill_tensors
from ..recipe.plugins import build_inputs
from ..recipe.read import open_recipe
from .feed import find_unreadable
from .run import TrainOptions, default_workers, list_places, run_training, skipped_notes


@dataclass(frozen=True)
class DataReport:
    """The result of a check of images."""

    count: int  # images that were decoded
    problems: Sequence[str]  # a sentence for each image that cannot be read
    notes: Sequence[str]  # sentences about files that are not pictures

    @property
    def summary(self) -> str:
        """The notes, and how many images cannot be read; one a line."""
        unreadable = f"{len(self.problems)} of {self.count} images cannot be read"
        return "\n".join([*self.notes, unreadable])


@check_arguments
def check_data(
    recipe: AnyPath,
    data: AnyPath,
    *,
    val_data: AnyPath | None = None,
    masks: AnyPath | None = None,
    set: Sequence[str] = (),
    workers: NonNegativeInt | None = None,
) -> DataReport:
    """Decode every image that a training by `recipe` would read; no network is built.

    The arguments are those of `train`. Raises `RecipeError`, or `DataError` if there are no images
    at `data`.

    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from PIL import Image
    >>> folder = Path(mkdtemp())
    >>> for n in range(3):
    ...     Image.new("RGB", (32, 32)).save(folder / f"{n}.png")
    >>> _ = (folder / "broken.jpg").write_bytes(b"not a picture")
    >>> print(check_data("smoke", folder, workers=0).summary)
    1 of 4 images cannot be read
    """
    options = TrainOptions(
        Path(data), Path(val_data) if val_data else None, workers=default_workers(workers)
    )
    inputs = build_inputs(*open_recipe(recipe, set, masks))
    count, problems = 0, []
    for dataset, root in list_places(inputs, options):
        collection = Collection.at(dataset, root)
        checked = find_unreadable(collection, options.workers)
        for _, problem in tqdm(checked, total=len(collection.names)):
            count += 1
            problems += [problem] if problem else []
    return DataReport(count, problems, skipped_notes(inputs, options))


@check_arguments
def smoke_test(
    architecture: str,
    recipe: AnyPath,
    data: AnyPath,
    steps: PositiveInt = 2,
    *,
    val_data: AnyPath | None = None,
    masks: AnyPath | None = None,
    set: Sequence[str] = (),
    init: Sequence[str] = (),
    workers: NonNegativeInt | None = None,
) -> str:
    """Train `steps` steps of every stage, save, load the weights and fill a picture with them.

    Returns a sentence about it; nothing is kept. The other arguments are those of `train`. Raises
    `TrainingError` if the fill is not finite, and what `train` raises.

    >>> smoke_test("pconv", "smoke", "photos", 1)  # doctest: +SKIP
    'pconv trains by recipes/smoke.yaml: 2 steps, saved, loaded, filled a picture'
    """
    settings, source = open_recipe(recipe, set, masks)
    data_settings = settings.data.model_copy(update={"val_count": 1})
    with TemporaryDirectory() as place:
        options = TrainOptions(
            data=Path(data),
            val_data=Path(val_data) if val_data else None,
            folder=Path(place) / "run",
            init=init,
            workers=default_workers(workers),
            steps=steps,
        )
        short = settings.model_copy(update={"data": data_settings})
        outcome = run_training(architecture, short, source, options)
        model = weights.read_weights(outcome.weights)
        image = torch.rand(1, 3, settings.data.size, settings.data.size)
        filled = fill_tensors(model.net, model.sizes, image, torch.ones_like(image[:, :1]).tril())
    if not filled.isfinite().all():
        raise TrainingError(f"{architecture} fills with values that are not finite after {steps} "
                            "steps; lower the learning rate")  # fmt: skip
    done = f"{outcome.done} steps, saved, loaded, filled a picture"
    return f"{architecture} trains by {source.path}: {done}"
