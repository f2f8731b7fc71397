"""What the training loop costs: our step against the bare one of the same networks and losses."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import count, islice, repeat

import torch
from accelerate import Accelerator
from table import paired, record
from torch import nn, optim

from inpaint_cli.api.architectures import Batch, Task
from inpaint_cli.api.stages import Stage
from inpaint_cli.registry import load_plugin
from inpaint_cli.training.loop import Step, train_stages

STEPS, SIZE, BATCH, ROUNDS = 4, 64, 8, 15
SETTINGS = {"pconv": {"levels": 5, "width": 32}, "gated": {"width": 24}}
RULES = {"pconv": {"vgg": "none"}, "gated": {"critic": 32}}


def task_of(name: str) -> Task:
    torch.manual_seed(0)
    architecture = load_plugin("architectures", name)
    net = architecture.build(architecture.settings.model_validate(SETTINGS[name]))
    return architecture.task(net, architecture.task.settings.model_validate(RULES[name]))


def batch() -> Batch:
    g = torch.Generator().manual_seed(0)
    image = torch.rand(BATCH, 3, SIZE, SIZE, generator=g)
    return Batch(image, (torch.rand(BATCH, 1, SIZE, SIZE, generator=g) > 0.5).float())


def our_steps(
    task: Task,
    stages: Mapping[str, Stage],
    given: Batch | Callable[[str, int], Iterator[Batch]],
    accelerator: Accelerator,
) -> Iterator[Step]:
    """The steps of this project's loop, on one batch or on those of a feed."""
    batches = given if callable(given) else lambda stage, first: repeat(given)
    return train_stages(task, stages, batches, accelerator)


def bare_steps(
    task: Task, stage: str, given: Batch, mixed: AbstractContextManager[object]
) -> Iterator[None]:
    """The steps of a plain loop of the same networks, losses and optimisers."""
    task.stage = stage
    task.requires_grad_(False).eval()
    phases = task.phases(stage)
    owned = {tuple(phase.trains): parameters(task, phase.trains) for phase in phases}
    optimizers = {trains: optim.Adam(params, lr=1e-4) for trains, params in owned.items()}
    for trains, params in owned.items():
        for module in trains:
            task.get_submodule(module).train()
        for p in params:
            p.requires_grad_(True)
    for n in count():
        with mixed:
            out = task.predict(given)
        for phase in phases:
            if n % phase.every:
                continue
            own = tuple(phase.trains)
            for trains, params in owned.items():  # as any GAN's loop must
                for p in params:
                    p.requires_grad_(trains == own)
            with mixed:
                loss = sum(phase.losses(given, out).values())
            loss.backward()  # type: ignore[union-attr]
            optimizers[own].step()
            optimizers[own].zero_grad()
        for params in owned.values():
            for p in params:
                p.requires_grad_(True)
        yield


def parameters(task: Task, modules: Sequence[str]) -> list[nn.Parameter]:
    return [p for module in modules for p in task.get_submodule(module).parameters()]


def rounds_of(steps: Iterator[object]) -> Callable[[], None]:
    next(steps)
    return lambda: [*islice(steps, STEPS)] and None


def main() -> None:
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    rows = []
    for name in SETTINGS:
        ours = our_steps(task_of(name), {"fill": Stage(steps=10**9)}, batch(), accelerator)
        bare = bare_steps(task_of(name), "fill", batch(), nullcontext())
        one, other = paired(rounds_of(ours), rounds_of(bare), rounds=ROUNDS)
        rows.append(
            f"| {name} {SETTINGS[name]} | {1000 * one / STEPS:.1f} | {1000 * other / STEPS:.1f} "
            f"| {one / other:.3f} |"
        )
    table = [
        f"Our step against the bare forward, backward and step, {SIZE} px, batch {BATCH}, one "
        f"thread, medians of {ROUNDS} interleaved rounds of {STEPS} steps (goal: at most 1.03)",
        "",
        "| networks | ours ms/step | bare ms/step | ratio |",
        "| --- | ---: | ---: | ---: |",
        *rows,
    ]
    record("loop", "Training loop", "\n".join(table))


if __name__ == "__main__":
    main()
