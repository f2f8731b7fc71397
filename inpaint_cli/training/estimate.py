"""Estimate what a training takes before it starts: parameters, steps, memory, disk."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from ..api.architectures import Batch
from ..api.stages import Optimizer, Stage
from ..arguments import AnyPath, check_arguments
from ..datasets.collection import Collection
from ..files.pretrained import BACKBONES, find_backbone
from ..layers.backbones import stand_in_backbones
from ..recipe.plugins import draw_trial_masks
from ..recipe.read import dump_recipe, open_recipe
from .build import Built, build_training
from .run import paper_notes

FLOAT = 4  # bytes


@check_arguments
def outline_training(
    architecture: str,
    recipe: AnyPath,
    data: AnyPath | None = None,
    *,
    masks: AnyPath | None = None,
    set: Sequence[str] = (),
) -> str:
    """Return the resolved recipe as YAML, under comments on parameters, steps, memory and disk.

    Everything but the images is checked, and nothing is downloaded: published backbones that are
    missing are listed. With `data` the steps are also counted in epochs. The arguments are those of
    `train`. Raises `RecipeError`.

    >>> print(outline_training("gated", "smoke").splitlines()[0])
    # net: 4,244,094 parameters
    """
    settings, source = open_recipe(recipe, set, masks)
    with stand_in_backbones() as backbones:
        built = build_training(architecture, settings, source)
    draw_trial_masks(built.recipe, built.inputs, source)
    images = count_images(built, Path(data)) if data else None
    lines = (
        *paper_notes(built, source),
        *backbone_lines(backbones),
        *network_lines(built),
        *step_lines(built, images),
        *memory_lines(built),
    )
    return "\n".join([*(f"# {line}" for line in lines), dump_recipe(built.recipe).rstrip()])


def count_images(built: Built, data: Path) -> int:
    """Return the number of images at `data`.

    Raises `DataError` if label maps are needed, and are missing or wrong.
    """
    collection = Collection.at(built.inputs.train, data)
    if any(stage.labelled for stage in trained_stages(built).values()):
        collection.labelled(built.task.label_names)
    return len(collection.names)


def backbone_lines(names: Sequence[str]) -> Iterator[str]:
    """List the published backbones that are missing."""
    for name in dict.fromkeys(names):
        if not find_backbone(name):
            size = f"{BACKBONES[name].bytes / 1e6:.0f} MB"
            yield f"needs {name} ({size}), which is not on this machine"


def network_lines(built: Built) -> Iterator[str]:
    """Yield the number of parameters of each network of the task."""
    for name, child in built.task.named_children():
        if count := sum(p.numel() for p in child.parameters()):
            yield f"{name}: {count:,} parameters"


def step_lines(built: Built, images: int | None) -> Iterator[str]:
    """Yield the length of each stage; with a number of `images`, also in epochs."""
    for name, stage in built.stages.items():
        seen = stage.steps * (stage.batch or 0)
        epochs = f", {seen / images:.1f} epochs of {images:,}" if images else ""
        yield f"stage {name}: {stage.steps:,} steps of {stage.batch} images{epochs}"


def memory_lines(built: Built) -> Iterator[str]:
    """Yield estimates of memory and disk."""
    everything, net = (
        sum(p.numel() for p in m.parameters()) * FLOAT for m in (built.task, built.task.net)
    )
    buffers = sum(b.numel() for b in built.task.buffers()) * FLOAT
    stages = [
        learning_parameters(built, name, stage) for name, stage in trained_stages(built).items()
    ]
    gradients = max((sum(p.numel() for p in moved) * FLOAT for moved in stages), default=0)
    optimisers = max(
        (sum(map(optimizer_moments, moved, moved.values())) for moved in stages), default=0
    )
    seen = activation_bytes(built)
    parts = {"weights and their mean": everything + net + buffers, "optimisers": optimisers}
    parts |= {"gradients": gradients, "activations": seen or 0}
    listed = ", ".join(f"{name} {size_text(part)}" for name, part in parts.items() if part)
    unknown = "; its activations cannot be estimated" if seen is None else ""
    yield f"memory: about {size_text(sum(parts.values()))} in each process ({listed}){unknown}"
    last = built.recipe.keep.last
    state = everything + net + optimisers
    most = size_text(last * (state + net) + 2 * net)
    yield f"disk: about {most} ({last} states of {size_text(state)})"


def trained_stages(built: Built) -> dict[str, Stage]:
    """Return the stages that are not skipped."""
    return {name: stage for name, stage in built.stages.items() if stage.steps}


def learning_parameters(built: Built, name: str, stage: Stage) -> dict[nn.Parameter, Optimizer]:
    """Return the parameters that a stage trains, each with its optimiser."""
    return {
        p: stage.optimizer_of(phase.name)
        for phase in reversed(built.task.phases(name))  # the first has what several train
        for module in phase.trains
        for p in built.task.get_submodule(module).parameters()
    }


def optimizer_moments(parameter: nn.Parameter, optimizer: Optimizer) -> int:
    """Return the bytes of optimiser state of a parameter: two moments for Adam, one for SGD."""
    count = 2 if optimizer.kind != "sgd" else int(optimizer.momentum > 0)
    return count * parameter.numel() * FLOAT


def activation_bytes(built: Built) -> int | None:
    """Return the bytes that autograd keeps for a step of the largest stage; None if unknown.

    Only shapes are computed, on torch's meta device, which takes neither time nor memory.
    """
    data, parts = built.recipe.data, built.recipe.accumulate
    width = 1 if built.recipe.precision == "full" else 2
    largest = 0
    for name, stage in trained_stages(built).items():
        task = deepcopy(built.task).to("meta")
        task.stage = name
        number = max((stage.batch or 1) // parts, 1)
        batch = Batch(
            torch.zeros(number, 3, data.size, data.size, device="meta"),
            torch.zeros(number, 1, data.size, data.size, device="meta"),
        )
        kept: dict[int, int] = {p.untyped_storage()._cdata: 0 for p in task.parameters()}
        try:
            with saved_tensors_hooks(count_saved(kept), lambda tensor: tensor):
                out = task.predict(batch)
                for phase in task.phases(name):
                    phase.losses(batch, out)
        except Exception:  # a plugin may need values, which the meta device does not have
            if not any(kept.values()):
                return None
        largest = max(largest, sum(kept.values()) // width)
    return largest


def count_saved(kept: dict[int, int]):
    """Return a hook that notes the size of each storage that autograd keeps."""

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept.setdefault(storage._cdata, storage.nbytes())
        return tensor

    return note


def size_text(count: float) -> str:
    """Return a number of bytes with its unit.

    >>> size_text(3 * 2**20)
    '3 MiB'
    """
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
