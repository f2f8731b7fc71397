"""The training loop: stages, phases and steps of any architecture.

It is a generator. Logging, validation, saving and stopping are ordinary code of the caller between
two steps, so it needs no callbacks.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn, optim

from ..api.architectures import Batch, Phase, Task
from ..api.stages import Optimizer, Stage
from ..errors import InpaintError, PluginError, RecipeError
from ..runtime.devices import is_out_of_memory
from ..runtime.seed import seed_torch
from .batch_norm import share_batch_statistics
from .log import print_message

Batches = Callable[[str, int], Iterator[Batch]]


@dataclass(frozen=True)
class Step:
    """The result of one training step."""

    done: int  # steps so far, over all stages
    stage: str
    losses: Mapping[str, Tensor]  # "critic/hinge", on the device: reading one waits for it
    rates: Mapping[str, float]  # learning rate by phase
    norms: Mapping[str, Tensor]  # of the gradient by phase, before it is clipped; where known
    state: Callable[[], dict[str, Any]]  # returns what is needed to resume after this step


@dataclass(frozen=True)
class PhaseParts:
    """A phase with its parameters, and those that it must not update."""

    phase: Phase
    params: Sequence[nn.Parameter]
    others: Sequence[nn.Parameter]  # are trained in this stage, but not by this phase


@dataclass(frozen=True)
class RunningPhase(PhaseParts):
    """The same with its optimiser."""

    optimizer: Any
    settings: Optimizer
    owner: str  # the phase whose optimiser it is


def train_stages(
    task: Task,
    stages: Mapping[str, Stage],
    batches: Batches,
    accelerator: Accelerator,
    *,
    seed: int = 0,
    state: Mapping[str, Any] | None = None,
    compiles: bool = False,
    norms: bool = False,
) -> Iterator[Step]:
    """Train `task` through `stages`, and yield each step; continue from `state`, if any.

    If it `compiles`, the network runs compiled; critics do not, as torch cannot differentiate what
    is compiled twice.

    `batches(stage, n)` yields this process's batches of a stage from its n-th step on, one for
    each part of an accumulation, so that a resumed run uses the same batches as an uninterrupted
    one. `norms` also measures the gradients of stages that do not clip them.
    """
    task.to(accelerator.device)
    if accelerator.num_processes > 1:
        share_batch_statistics(task)
    done = 0
    if state:
        task.load_state_dict(state["task"])
        done = state["done"]
        if accelerator.scaler and state["scaler"]:
            accelerator.scaler.load_state_dict(state["scaler"])
    first = 0
    for name, stage in stages.items():
        span = range(first, first + stage.steps)
        if done < span.stop:
            optimizers = state["optimizers"] if state and state["stage"] == name else {}
            run = StageRun(task, name, stage, span, accelerator, seed, compiles, norms)
            yield from run.take_steps(batches, done, optimizers)
            done = span.stop
        first = span.stop


@dataclass(frozen=True)
class StageRun:
    """A stage with its steps in the whole training, from `span.start` to `span.stop`."""

    task: Task
    name: str
    stage: Stage
    span: range
    accelerator: Accelerator
    seed: int
    compiles: bool = False
    norms: bool = False

    def take_steps(
        self, batches: Batches, done: int, optimizers: Mapping[str, Any]
    ) -> Iterator[Step]:
        """Take the steps from `done` on, with optimisers that continue from these saved states."""
        running = start_stage(self.task, self.name, self.stage, self.accelerator)
        own = {phase.owner: phase.optimizer for phase in running}
        for owner, saved in optimizers.items():
            own[owner].load_state_dict(saved)
        children = sorted({m.partition(".")[0] for r in running for m in r.phase.trains})
        wrapped = {child: self.accelerator.prepare_model(self.wrap(child)) for child in children}
        stream = batches(self.name, done - self.span.start)
        try:
            while done < self.span.stop:
                losses, rates, norms = self.take_step(stream, done, running, wrapped)
                done += 1
                state = partial(self.snapshot, done, own)
                yield Step(done, self.name, losses, rates, norms, state)
        finally:
            self.accelerator.free_memory()

    def wrap(self, child: str) -> nn.Module:
        """Return the shell that stands for a child of the task within its steps."""
        net = self.task.get_submodule(child)
        return CompiledShell(net) if self.compiles and child == "net" else ModuleShell(net)

    def take_step(
        self,
        stream: Iterator[Batch],
        done: int,
        running: Sequence[RunningPhase],
        wrapped: Mapping[str, nn.Module],
    ) -> tuple[dict[str, Tensor], dict[str, float], dict[str, Tensor]]:
        """Take one step of all phases that are due; return losses, learning rates and norms."""
        now, parts = done - self.span.start, self.accelerator.gradient_accumulation_steps
        due = [r for r in running if now % r.phase.every == 0]
        rates = {r.phase.name: r.settings.rate(now, self.stage.steps) for r in due}
        losses: dict[str, Tensor] = {}
        norms: dict[str, Tensor] = {}
        for part, batch in enumerate(islice(stream, parts)):
            seed_torch(self.seed, done, part, self.accelerator.process_index)
            with (
                self.accelerator.accumulate(*wrapped.values()),
                swap_modules(self.task, wrapped),
            ):
                out = self.task.predict(batch)
                for phase in due:
                    terms, norm = advance_phase(
                        phase, batch, out, self.stage, rates, self.accelerator, self.norms
                    )
                    if norm is not None:
                        norms[phase.phase.name] = norm
                    for term, loss in terms.items():
                        losses[term] = losses.get(term, 0) + loss / parts
            with torch.no_grad():
                gather: Any = self.accelerator.gather
                self.task.after(batch, out, gather)
        return losses, rates, norms

    def snapshot(self, done: int, optimizers: Mapping[str, Any]) -> dict[str, Any]:
        """Return the state from which `train_stages` continues after step `done`."""
        scaler = self.accelerator.scaler
        return {
            "done": done,
            "stage": self.name,
            "task": self.task.state_dict(),
            "optimizers": {owner: o.state_dict() for owner, o in optimizers.items()},
            "scaler": scaler.state_dict() if scaler else None,
        }


def advance_phase(
    running: RunningPhase,
    batch: Batch,
    out: Any,
    stage: Stage,
    rates: Mapping[str, float],
    accelerator: Accelerator,
    norms: bool = False,
) -> tuple[dict[str, Tensor], Tensor | None]:
    """Compute the losses of a phase and their gradient, and step its optimiser.

    Returns the losses, and the norm of the gradient if it is clipped or `norms`.
    """
    norm = None
    with freeze_gradients(running.others):
        losses = running.phase.losses(batch, out)
        accelerator.backward(sum(losses.values()))
    if accelerator.sync_gradients:
        if stage.clip or norms:
            accelerator.unscale_gradients(running.optimizer)
            norm = nn.utils.get_total_norm([p.grad for p in running.params if p.grad is not None])
        if stage.clip and norm is not None:
            nn.utils.clip_grads_with_norm_(running.params, stage.clip, norm)
        for group in running.optimizer.param_groups:
            group["lr"] = rates[running.phase.name] * group["factor"]
    running.optimizer.step()
    running.optimizer.zero_grad()
    terms = {f"{running.phase.name}/{term}": loss.detach() for term, loss in losses.items()}
    return terms, norm


def start_stage(
    task: Task, name: str, stage: Stage, accelerator: Accelerator
) -> Sequence[RunningPhase]:
    """Freeze what the stage does not train, and return its phases with their optimisers.

    Phases that train the same modules share the optimiser of the first of them. Raises
    `PluginError` if two phases share some but not all of their modules, and `RecipeError` if they
    share an optimiser and gradients are accumulated.
    """
    selected = select_parameters(task, name)
    phases = [part.phase for part in selected]
    running: list[RunningPhase] = []
    for part in selected:
        phase, params, others = part.phase, part.params, part.others
        shared = find_shared(running, phase, params, name)
        if shared is None:
            settings = share_rate(stage.optimizer_of(phase.name), phase, phases)
            groups = parameter_groups(task, phase, params, settings)
            optimizer = accelerator.prepare_optimizer(make_optimizer(groups, settings))
            running.append(RunningPhase(phase, params, others, optimizer, settings, phase.name))
            continue
        if accelerator.gradient_accumulation_steps > 1:
            both = f"'{shared.phase.name}' and '{phase.name}' of stage '{name}'"
            raise RecipeError(f"phases {both} share an optimiser: set accumulate to 1")
        running.append(replace(shared, phase=phase, params=params, others=others))
    return running


def select_parameters(task: Task, name: str) -> list[PhaseParts]:
    """Let only the modules learn that the stage `name` trains; return the parts of its phases."""
    task.requires_grad_(False).eval()
    task.stage = name
    phases = task.phases(name)
    trained = [unfreeze_modules(task, phase) for phase in phases]
    learning = [p for p in task.parameters() if p.requires_grad]
    selected = []
    for phase, params in zip(phases, trained, strict=True):
        own = set(map(id, params))
        selected.append(PhaseParts(phase, params, [p for p in learning if id(p) not in own]))
    return selected


def unfreeze_modules(task: Task, phase: Phase) -> list[nn.Parameter]:
    """Let the modules of `phase` learn; return their parameters."""
    modules = [task.get_submodule(module) for module in phase.trains]
    for module in modules:
        module.requires_grad_(True).train()
    return [p for module in modules for p in module.parameters()]


def find_shared(
    running: Sequence[RunningPhase], phase: Phase, params: Sequence[nn.Parameter], stage: str
) -> RunningPhase | None:
    """Return the phase whose optimiser `phase` shares, as it trains the same `params`."""
    own, shared = set(map(id, params)), None
    for other in running:
        theirs = set(map(id, other.params))
        if own == theirs:
            shared = other
        elif own & theirs:
            both = f"'{other.phase.name}' and '{phase.name}'"
            raise PluginError(f"stage '{stage}': phases {both} train partly the same modules")
    return shared


def share_rate(settings: Optimizer, phase: Phase, phases: Sequence[Phase]) -> Optimizer:
    """Return `settings` adjusted for the lazy phases that use the same optimiser."""
    same = [p.every for p in phases if p is not phase and {*p.trains} == {*phase.trains}]
    return settings.shared(1 + sum(1 / n for n in same if n > 1))


def parameter_groups(
    task: Task, phase: Phase, params: Sequence[nn.Parameter], settings: Optimizer
) -> list[dict[str, Any]]:
    """Group `params` by the factor of their rate and by their weight decay."""
    factors = {id(p): f for m, f in phase.rates.items() for p in task.get_submodule(m).parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for p in params:
        exempt = settings.decays == "weights" and p.ndim < 2
        key = factors.get(id(p), 1.0), 0.0 if exempt else settings.weight_decay
        groups.setdefault(key, []).append(p)
    return [
        {"params": members, "factor": factor, "weight_decay": decay}
        for (factor, decay), members in groups.items()
    ]


def make_optimizer(groups: list[dict[str, Any]], settings: Optimizer) -> optim.Optimizer:
    """Make the optimiser that `settings` names; on a GPU it is one kernel for all parameters."""
    fused = all(p.device.type == "cuda" for group in groups for p in group["params"]) or None
    if settings.kind == "sgd":
        return optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, fused=fused)
    return {"adam": optim.Adam, "adamw": optim.AdamW}[settings.kind](
        groups, lr=settings.lr, betas=settings.betas, eps=settings.eps, fused=fused
    )


class ModuleShell(nn.Module):
    """A wrapper that Accelerate prepares in place of a network.

    Accelerate prepares a module only once, but every stage prepares the same networks again.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.net(*args, **kwargs)


class CompiledShell(ModuleShell):
    """The same with the network compiled; if that fails it runs as it is."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__(net)
        self.__dict__["compiled"] = torch.compile(net)  # no child: its parameters are `net`'s

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        compiled = self.__dict__["compiled"]
        if compiled is None:
            return self.net(*args, **kwargs)
        try:
            return compiled(*args, **kwargs)
        except Exception as error:  # compilers have errors of every kind
            if isinstance(error, InpaintError) or is_out_of_memory(error):
                raise
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            print_message(f"the network cannot be compiled here ({reason}); it runs as it is")
            self.__dict__["compiled"] = None
            return self.net(*args, **kwargs)


@contextmanager
def swap_modules(task: Task, wrapped: Mapping[str, nn.Module]) -> Iterator[None]:
    """Within the block, let the task call these children through their wrappers."""
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
    """Within the block, let `params` receive no gradient."""
    for p in params:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in params:
            p.requires_grad_(True)
