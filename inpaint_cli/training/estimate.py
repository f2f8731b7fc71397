"""What a training will be, before it is begun: networks, steps, memory, disk."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from ..api.architectures import Batch
from ..api.stages import Optimizer, Stage
from ..datasets.collection import Collection
from ..files.pretrained import MEGABYTES, find_backbone
from ..layers.backbones import stand_in_backbones
from ..recipe.plugins import draw_trial_masks
from ..recipe.read import dump_recipe
from ..recipe.schema import Recipe
from ..recipe.source import RecipeSource
from .build import Built, build_training

FLOAT = 4  # bytes


def training_outline(
    name: str, recipe: Recipe, source: RecipeSource, data: Path | None = None
) -> str:
    """The resolved recipe, under comments that say what training by it takes."""
    with stand_in_backbones() as backbones:
        built = build_training(name, recipe, source)
    draw_trial_masks(built.recipe, built.inputs, source)
    images = len(Collection.at(built.inputs.train, data).names) if data else None
    lines = (
        *backbone_lines(backbones),
        *network_lines(built),
        *step_lines(built, images),
        *memory_lines(built),
    )
    return "\n".join([*(f"# {line}" for line in lines), dump_recipe(built.recipe).rstrip()])


def backbone_lines(names: Sequence[str]) -> Iterator[str]:
    """List the published backbones that are missing."""
    for name in dict.fromkeys(names):
        if not find_backbone(name):
            yield f"needs {name} ({MEGABYTES[name]} MB), which is not on this machine"


def network_lines(built: Built) -> Iterator[str]:
    """How many parameters each network of the task has."""
    for name, child in built.task.named_children():
        if count := sum(p.numel() for p in child.parameters()):
            yield f"{name}: {count:,} parameters"


def step_lines(built: Built, images: int | None) -> Iterator[str]:
    """How long each stage is."""
    for name, stage in built.stages.items():
        seen = stage.steps * (stage.batch or 0)
        epochs = f", {seen / images:.1f} times each of {images:,}" if images else ""
        yield f"stage {name}: {stage.steps:,} steps of {stage.batch} images{epochs}"


def memory_lines(built: Built) -> Iterator[str]:
    """About how much memory and disk it takes."""
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
    unknown = "; its activations cannot be foreseen" if seen is None else ""
    yield f"memory: about {size_text(sum(parts.values()))} in each process ({listed}){unknown}"
    last = built.recipe.keep.last
    state = everything + net + optimisers
    most = size_text(last * (state + net) + 2 * net)
    yield f"disk: about {most} ({last} states of {size_text(state)})"


def trained_stages(built: Built) -> dict[str, Stage]:
    """The stages that are not skipped."""
    return {name: stage for name, stage in built.stages.items() if stage.steps}


def learning_parameters(built: Built, name: str, stage: Stage) -> dict[nn.Parameter, Optimizer]:
    """The parameters that learn in a stage, each with its optimiser."""
    return {
        p: stage.optimizer_of(phase.name)
        for phase in reversed(built.task.phases(name))  # the first has what several train
        for module in phase.trains
        for p in built.task.get_submodule(module).parameters()
    }


def optimizer_moments(parameter: nn.Parameter, optimizer: Optimizer) -> int:
    """Bytes that an optimiser keeps of a parameter: of Adam two moments, of SGD its momentum."""
    count = 2 if optimizer.kind != "sgd" else int(optimizer.momentum > 0)
    return count * parameter.numel() * FLOAT


def activation_bytes(built: Built) -> int | None:
    """Bytes that autograd keeps for one step of the largest stage; None where it cannot be told.

    Shapes alone are computed, on torch's meta device, so that it costs neither time nor memory.
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
        except Exception:  # a plugin's code may need values, which the meta device has not
            if not any(kept.values()):
                return None
        largest = max(largest, sum(kept.values()) // width)
    return largest


def count_saved(kept: dict[int, int]):
    """A hook that notes the size of every tensor that autograd keeps, each storage once."""

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept.setdefault(storage._cdata, storage.nbytes())
        return tensor

    return note


def size_text(count: float) -> str:
    """A number of bytes as people read it."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
