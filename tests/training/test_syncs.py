"""A step of training never waits for the device: its work is queued, and losses are read later."""

from copy import deepcopy

import pytest
import torch
from accelerate import Accelerator
from small import PARSED, SMALL, build_small
from syncs import count_copies, count_reads

from inpaint_cli import registry
from inpaint_cli.api.architectures import Batch
from inpaint_cli.training.ema import AveragedNetwork
from inpaint_cli.training.loop import freeze_gradients, select_parameters, train_stages
from inpaint_plugins.in2 import attention

NAMES = [name for name in registry.find_plugins("architectures") if name in SMALL]
CASES = [*((name, None) for name in NAMES), ("mdrnets", PARSED)]
NO_STREAM = "hasPrimaryContext"  # a gradient in a loss, which needs more than fake tensors


def make_noise(device="cpu"):
    mask = torch.zeros(2, 1, 32, 32, device=device)
    mask[..., 5:20, 10:25] = 1
    labels = torch.zeros(2, 32, 32, dtype=torch.long, device=device)
    return Batch(torch.rand(2, 3, 32, 32, device=device), mask, labels)


def take_batches(stage, first):
    while True:
        yield make_noise()


@pytest.mark.parametrize(("name", "model"), CASES)
def test_python_reads_no_value_between_the_first_step_and_the_log(name, model, monkeypatch):
    for place in ("inpaint_plugins.gaussian.gaussian", "inpaint_cli.layers.spreading"):
        monkeypatch.setattr(f"{place}.waits_for_device", lambda _: True)
    built = build_small(name, model=model, steps=2)
    average = AveragedNetwork(built.task.net, built.recipe.ema)
    steps = train_stages(built.task, built.stages, take_batches, Accelerator(cpu=True))
    for _ in filter(None, (stage.steps for stage in built.stages.values())):
        next(steps)  # a task may check once what it begins from
        with count_reads() as found:
            step = next(steps)
            average.update(built.task.net, step.done)
        assert found == [], step.stage


@pytest.mark.parametrize(("name", "model"), CASES)
def test_nothing_is_copied_to_the_device_and_waited_for(name, model, monkeypatch):
    monkeypatch.setattr(attention, "plan_tiles", plan_on(attention.plan_tiles.__wrapped__))
    built = build_small(name, model=model)
    for stage in (name for name, stage in built.stages.items() if stage.steps):
        task = deepcopy(built.task)
        with count_copies() as found:
            task._apply(lambda tensor: torch.empty_like(tensor, device="cuda"))
            batch, parts = make_noise("cuda"), select_parameters(task, stage)
            found.clear()
            out = task.predict(batch)
            for part in parts:
                with freeze_gradients(part.others):
                    take_losses(part.phase, batch, out)
        assert found == [], stage


def take_losses(phase, batch, out):
    try:
        phase.losses(batch, out)
    except RuntimeError as error:
        if NO_STREAM not in str(error):
            raise


def plan_on(plan):
    """Return a `plan_tiles` whose plan is on the device at once, as a cached one is."""

    def make(*where):
        groups, first = plan(*where[:-1], torch.device("cpu"))
        put = [torch.empty_like(t, device=where[-1]) for g in groups for t in vars(g).values()]
        each = zip(*[iter(put)] * 3, strict=True)
        return [attention.TileGroup(*t) for t in each], torch.empty_like(first, device=where[-1])

    return make


def test_reads_and_copies_are_found():
    x = torch.ones(3)
    with count_reads() as found:
        assert x.sum().item() > float(x[0])
        x[x > 2].nonzero()
    read = "aten::_local_scalar_dense"
    names = [line.partition(" ")[0] for line in found]
    assert names == ["item", read, "__float__", read, "aten::index", "aten::nonzero"]
    with count_copies() as found:
        torch.ones(2).to("cuda", non_blocking=True)
        torch.ones(2).to("cuda")
    assert len(found) == 1
