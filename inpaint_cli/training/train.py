"""Train an architecture by a recipe."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import NonNegativeInt

from ..arguments import AnyPath, check_arguments
from ..recipe.read import open_recipe
from ..runtime.slurm import join_slurm
from .run import (
    TrainOptions,
    TrainOutcome,
    default_workers,
    leave_process_group,
    run_training,
)
from .trackers import check_trackers


@check_arguments
def train(
    architecture: str,
    recipe: AnyPath,
    data: AnyPath,
    *,
    val_data: AnyPath | None = None,
    masks: AnyPath | None = None,
    run: AnyPath | None = None,
    set: Sequence[str] = (),
    resume: bool = False,
    allow_changes: bool = False,
    init: Sequence[str] = (),
    workers: NonNegativeInt | None = None,
    track: Sequence[str] = (),
    command: str = "",
) -> TrainOutcome:
    """Train `architecture` by `recipe`, a file or a name that `inpaint recipes` lists.

    `data` and `val_data` are folders, zip files or lists of images; `masks`, a folder or zip file,
    replaces the recipe's masks but keeps their ratio and border; `set` has changes of the recipe
    such as "batch=4". The folder `run` (by default runs/ARCHITECTURE-RECIPE) holds the weights, the
    log, sheets of samples, and states from which `resume` continues with the same bits; with
    `allow_changes` also after a change of recipe or data. `init` has weights files to start from,
    for the whole network or as "PART=FILE". `workers` processes load images,
    by default as many as there are cores, up to eight. `track` names trackers: "tensorboard",
    "wandb", "mlflow" and the others that Accelerate knows. The first SIGINT
    (Ctrl-C) or SIGTERM saves a state and stops. `command` is noted in the run's recipe. Progress is
    printed on stderr. Raises `ArgumentError`, `RecipeError`, `DataError`, `WeightsError` or
    `TrainingError`.

    >>> from tempfile import mkdtemp
    >>> from PIL import Image
    >>> folder = Path(mkdtemp())
    >>> for n in range(4):
    ...     Image.new("RGB", (32, 32), (60 * n, 90, 120)).save(folder / f"{n}.png")
    >>> small = ["architectures.gated.model.width=4"]
    >>> train("gated", "smoke", folder, run=folder / "run", set=small, workers=0).weights.name
    'weights.safetensors'
    """
    check_trackers(track)
    join_slurm()
    options = TrainOptions(
        data=Path(data),
        val_data=Path(val_data) if val_data else None,
        folder=Path(run) if run else None,
        resume=resume,
        allow_changes=allow_changes,
        init=init,
        workers=default_workers(workers),
        track=track,
        command=command,
    )
    outcome = run_training(architecture, *open_recipe(recipe, set, masks), options)
    leave_process_group()
    return outcome
