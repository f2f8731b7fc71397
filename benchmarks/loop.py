"""What the training loop costs: our step against the bare one of the same networks and losses."""

from collections.abc import Callable, Iterator

import torch
from accelerate import Accelerator
from table import paired, record
from torch import optim

from inpaint_cli.api.architectures import Batch, Task
from inpaint_cli.api.stages import Stage
from inpaint_cli.registry import load_plugin
from inpaint_cli.training.loop import train_stages

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


def ours(task: Task, accelerator: Accelerator) -> Callable[[], None]:
    given = batch()

    def batches(stage: str, first: int) -> Iterator[Batch]:
        while True:
            yield given

    steps = train_stages(task, {"fill": Stage(steps=10**9)}, batches, accelerator)
    next(steps)

    def go() -> None:
        for _ in range(STEPS):
            next(steps)

    return go


def bare(task: Task) -> Callable[[], None]:
    given, phases = batch(), task.phases("fill")
    owned = [[p for m in ph.trains for p in task.get_submodule(m).parameters()] for ph in phases]
    optimizers = [optim.Adam(params, lr=1e-4) for params in owned]
    task.train()

    def go() -> None:
        for _ in range(STEPS):
            out = task.predict(given)
            for n, (phase, optimizer) in enumerate(zip(phases, optimizers, strict=True)):
                for m, params in enumerate(owned):  # as any GAN's loop must
                    for p in params:
                        p.requires_grad_(m == n)
                sum(phase.losses(given, out).values()).backward()  # type: ignore[union-attr]
                optimizer.step()
                optimizer.zero_grad()
            for params in owned:
                for p in params:
                    p.requires_grad_(True)

    return go


def main() -> None:
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    rows = []
    for name in SETTINGS:
        one, other = paired(ours(task_of(name), accelerator), bare(task_of(name)), rounds=ROUNDS)
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
