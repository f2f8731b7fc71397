"""The memory that a training takes, by its parts, and the batch that would fit."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from ..api.stages import Optimizer, Stage
from .build import Built
from .rehearsal import rehearse_stage

FLOAT = 4  # bytes
USABLE = 0.9  # share of a device's memory that tensors may take: libraries take some, gaps the rest


@dataclass(frozen=True)
class FixedMemory:
    """Bytes that do not depend on the batch: the most over `stages`, by what they are for."""

    weights: int  # and their mean
    optimisers: int
    gradients: int

    @property
    def total(self) -> int:
        return self.weights + self.optimisers + self.gradients


def fixed_memory(built: Built, stages: Mapping[str, Stage]) -> FixedMemory:
    """Return what a training of `stages` takes whatever its batch."""
    parameters = sum(p.numel() for m in (built.task, built.task.net) for p in m.parameters())
    buffers = sum(b.numel() for b in built.task.buffers())
    learning = [learning_parameters(built, name, stage) for name, stage in stages.items()]
    return FixedMemory(
        (parameters + buffers) * FLOAT,
        max((sum(map(optimizer_moments, ps, ps.values())) for ps in learning), default=0),
        max((sum(p.numel() for p in ps) * FLOAT for ps in learning), default=0),
    )


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


def fitting_part(built: Built, name: str, capacity: float) -> int:
    """Return how many images at once fit into `capacity` bytes, in a step of the stage `name`.

    Raises whatever a network raises that cannot be rehearsed by shapes alone.
    """
    stage = built.stages[name]
    part = max((stage.batch or 1) // built.recipe.accumulate, 1)
    each = rehearse_stage(built, name).kept / part
    return int((USABLE * capacity - fixed_memory(built, {name: stage}).total) / max(each, 1))


def explain_memory(built: Built, name: str, device: str, capacity: float, world: int) -> str:
    """Return a sentence for a stage whose step did not fit into the memory of `device`.

    `capacity` is in bytes, NaN if it is not known; `world` is the number of processes.
    """
    batch, parts = built.stages[name].batch or 1, built.recipe.accumulate
    part = max(batch // (world * parts), 1)
    try:
        fits = min(max(fitting_part(built, name, capacity), 0), part - 1)
    except Exception:  # it is not known, or a plugin needs values; the sentence is still needed
        fits = part // 2
    size = built.recipe.data.size
    text = f"stage '{name}': {part} images of {size} pixels at once do not fit into {device}"
    text += f" ({size_text(capacity)})" if capacity == capacity else ""
    if fits < 1:
        return f"{text}; use a smaller data.size or model, or --set precision=bf16"
    setting = f"--set architectures.{built.name}.stages.{name}.batch={fits * world * parts}"
    text += f"; about {fits} would: use {setting}"
    every = batch // world
    kept = next(n for n in range(parts + 1, every + 1) if every % n == 0 and every // n <= fits)
    return f"{text}, or keep the batch, in parts, with --set accumulate={kept}"


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
