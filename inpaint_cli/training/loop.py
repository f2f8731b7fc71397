"""The one training loop. It knows stages, phases and steps; it knows no architecture.

It is a generator: what happens between two steps (logging, validation, saving, stopping) is
ordinary code of whoever iterates over it, so there is nothing to hook into.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn, optim

from ..api.architectures import Batch, Phase, Task
from ..api.stages import Optimizer, Stage
from ..errors import PluginError, RecipeError
from ..runtime.seed import seed_torch as torch_seed

Batches = Callable[[str, int], Iterator[Batch]]


@dataclass(frozen=True)
class Step:
    """What one step of training leaves behind."""

    done: int  # steps so far, over all stages
    stage: str
    losses: Mapping[str, Tensor]  # "critic/hinge", on the device: reading one waits for it
    rates: Mapping[str, float]  # learning rate by phase
    state: Callable[[], dict[str, Any]]  # all that is needed to go on from here


@dataclass(frozen=True)
class RunningPhase:
    """A phase on its way: the optimiser that moves its parameters, and what must hold still."""

    phase: Phase
    params: Sequence[nn.Parameter]
    others: Sequence[nn.Parameter]  # learn too, but not from this phase
    optimizer: Any
    settings: Optimizer
    owner: str  # the phase whose optimiser it is


def train_stages(
    task: Task,
    plan: Mapping[str, Stage],
    batches: Batches,
    accelerator: Accelerator,
    *,
    seed: int = 0,
    state: Mapping[str, Any] | None = None,
) -> Iterator[Step]:
    """Train `task` through the stages of `plan`, a step at a time, on from `state`.

    `batches(stage, n)` yields this process's batches of a stage from its n-th step on, one for
    each part of an accumulation, so that a run that is taken up again sees what an unbroken one
    would have seen.
    """
    task.to(accelerator.device)
    done = 0
    if state:
        task.load_state_dict(state["task"])
        done = state["done"]
        if accelerator.scaler and state["scaler"]:
            accelerator.scaler.load_state_dict(state["scaler"])
    first = 0
    for name, stage in plan.items():
        span = range(first, first + stage.steps)
        if done < span.stop:
            again = state["optimizers"] if state and state["stage"] == name else {}
            yield from run_stage(task, name, stage, batches, accelerator, span, done, seed, again)
            done = span.stop
        first = span.stop


def run_stage(
    task: Task,
    name: str,
    stage: Stage,
    batches: Batches,
    accelerator: Accelerator,
    span: range,
    done: int,
    seed: int,
    optimizers: Mapping[str, Any],
) -> Iterator[Step]:
    """The steps `done` to `span.stop` of one stage, which began at step `span.start`."""
    parts = accelerator.gradient_accumulation_steps
    lanes = start_stage(task, name, stage, accelerator)
    own = {lane.owner: lane.optimizer for lane in lanes}
    for owner, saved in optimizers.items():
        own[owner].load_state_dict(saved)
    children = sorted({m.partition(".")[0] for lane in lanes for m in lane.phase.trains})
    wrapped = {c: accelerator.prepare_model(ModuleShell(task.get_submodule(c))) for c in children}
    stream = batches(name, done - span.start)

    def snapshot() -> dict[str, Any]:
        return {
            "done": done,
            "stage": name,
            "task": task.state_dict(),
            "optimizers": {owner: optimizer.state_dict() for owner, optimizer in own.items()},
            "scaler": accelerator.scaler.state_dict() if accelerator.scaler else None,
        }

    try:
        while done < span.stop:
            now = done - span.start
            due = [lane for lane in lanes if now % lane.phase.every == 0]
            rates = {lane.phase.name: lane.settings.rate(now, stage.steps) for lane in due}
            losses: dict[str, Tensor] = {}
            for part, batch in enumerate(islice(stream, parts)):
                torch_seed(seed, done, part, accelerator.process_index)
                with accelerator.accumulate(*wrapped.values()), swap_modules(task, wrapped):
                    out = task.predict(batch)
                    for lane in due:
                        terms = advance_phase(lane, batch, out, stage, rates, accelerator)
                        for term, loss in terms.items():
                            losses[term] = losses.get(term, 0) + loss / parts
                with torch.no_grad():
                    task.after(batch, out, accelerator.gather)  # pyright: ignore[reportArgumentType]
            done += 1
            yield Step(done, name, losses, rates, snapshot)
    finally:
        accelerator.free_memory()


def advance_phase(
    lane: RunningPhase,
    batch: Batch,
    out: Any,
    stage: Stage,
    rates: Mapping[str, float],
    accelerator: Accelerator,
) -> dict[str, Tensor]:
    """Take one phase's step: its losses, their gradient, its optimiser."""
    with freeze_gradients(lane.others):
        losses = lane.phase.losses(batch, out)
        accelerator.backward(sum(losses.values()))
    if accelerator.sync_gradients:
        if stage.clip:
            accelerator.unscale_gradients(lane.optimizer)
            nn.utils.clip_grad_norm_(lane.params, stage.clip)
        for group in lane.optimizer.param_groups:
            group["lr"] = rates[lane.phase.name] * group["factor"]
    lane.optimizer.step()
    lane.optimizer.zero_grad()
    return {f"{lane.phase.name}/{term}": loss.detach() for term, loss in losses.items()}


def start_stage(
    task: Task, name: str, stage: Stage, accelerator: Accelerator
) -> Sequence[RunningPhase]:
    """Freeze what the stage does not train; give each of its phases an optimiser.

    Phases that train the same modules share the optimiser of the first of them. Raises
    `PluginError` where two phases share some of their modules, but not all.
    """
    task.requires_grad_(False).eval()
    task.stage = name
    phases = task.phases(name)
    owned = []
    for phase in phases:
        modules = [task.get_submodule(module) for module in phase.trains]
        for module in modules:
            module.requires_grad_(True).train()
        owned.append([p for module in modules for p in module.parameters()])
    learning = [p for p in task.parameters() if p.requires_grad]
    lanes: list[RunningPhase] = []
    for phase, params in zip(phases, owned, strict=True):
        mine = {id(p) for p in params}
        settings, optimizer, owner = stage.optimizer_of(phase.name), None, phase.name
        for lane in lanes:
            theirs = {id(p) for p in lane.params}
            if mine == theirs and accelerator.gradient_accumulation_steps > 1:
                both = f"'{lane.phase.name}' and '{phase.name}' of stage '{name}'"
                raise RecipeError(f"phases {both} share an optimiser: set accumulate to 1")
            if mine == theirs:
                settings, optimizer, owner = lane.settings, lane.optimizer, lane.owner
            elif mine & theirs:
                both = f"'{lane.phase.name}' and '{phase.name}'"
                raise PluginError(f"stage '{name}': phases {both} train partly the same modules")
        if optimizer is None:
            same = [p.every for p in phases if p is not phase and {*p.trains} == {*phase.trains}]
            settings = settings.shared(1 + sum(1 / n for n in same if n > 1))
            groups = parameter_groups(task, phase, params, settings)
            optimizer = accelerator.prepare_optimizer(optimizer_for(groups, settings))
        others = [p for p in learning if id(p) not in mine]
        lanes.append(RunningPhase(phase, params, others, optimizer, settings, owner))
    return lanes


def parameter_groups(
    task: Task, phase: Phase, params: Sequence[nn.Parameter], settings: Optimizer
) -> list[dict[str, Any]]:
    """`params` by the factor of their rate and by their weight decay."""
    factors = {id(p): f for m, f in phase.rates.items() for p in task.get_submodule(m).parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for p in params:
        spared = settings.decays == "weights" and p.ndim < 2
        key = factors.get(id(p), 1.0), 0.0 if spared else settings.weight_decay
        groups.setdefault(key, []).append(p)
    return [
        {"params": members, "factor": factor, "weight_decay": decay}
        for (factor, decay), members in groups.items()
    ]


def optimizer_for(groups: list[dict[str, Any]], settings: Optimizer) -> optim.Optimizer:
    """The optimiser that `settings` names."""
    if settings.kind == "sgd":
        return optim.SGD(groups, lr=settings.lr, momentum=settings.momentum)
    return {"adam": optim.Adam, "adamw": optim.AdamW}[settings.kind](
        groups, lr=settings.lr, betas=settings.betas, eps=settings.eps
    )


class ModuleShell(nn.Module):
    """What is prepared in place of a network: Accelerate marks what it prepares, once for all,
    and the next stage has to prepare the same network anew."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.net(*args, **kwargs)


@contextmanager
def swap_modules(task: Task, wrapped: Mapping[str, nn.Module]) -> Iterator[None]:
    """Let the task call these children through their wrappers; it is bare again after."""
    bare = {name: task.get_submodule(name) for name in wrapped}
    for name, net in wrapped.items():
        setattr(task, name, net)
    try:
        yield
    finally:
        for name, net in bare.items():
            setattr(task, name, net)


@contextmanager
def freeze_gradients(params: Sequence[nn.Parameter]) -> Iterator[None]:
    """Let `params` receive no gradient meanwhile."""
    for p in params:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in params:
            p.requires_grad_(True)
