"""What only a GPU can show: `pytest -m gpu`."""

from itertools import islice

import pytest
import torch
from accelerate import Accelerator
from accelerators import forget_accelerator
from small import SMALL, build_small

from inpaint_cli import registry
from inpaint_cli.api.architectures import Batch
from inpaint_cli.models.network import fill_tensors
from inpaint_cli.runtime.devices import choose_algorithms
from inpaint_cli.training.loop import train_stages
from inpaint_cli.training.transfer import BatchCopier

pytestmark = pytest.mark.gpu
NAMES = [name for name in registry.find_plugins("architectures") if name in SMALL]


def make_batches(stage, first):
    """The same batches on every device."""
    n = first
    while True:
        g = torch.Generator().manual_seed(n)
        mask = torch.zeros(4, 1, 64, 64)
        mask[..., 10:40, 20:50] = 1
        image, labels = torch.rand(4, 3, 64, 64, generator=g), torch.zeros(4, 64, 64).long()
        yield Batch(*(t.cuda(non_blocking=True) for t in (image, mask, labels)))
        n += 1


def make_steps(built, precision="no", state=None):
    forget_accelerator()
    accelerator = Accelerator(mixed_precision=precision)
    return train_stages(built.task, built.stages, make_batches, accelerator, state=state)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_waits_for_nothing(name):
    built = build_small(name, steps=3)
    steps = make_steps(built)
    next(steps)
    for step in steps:
        first = step.done % 3 == 0  # of a stage, the next time
        torch.cuda.set_sync_debug_mode("default" if first else "error")
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("name", NAMES)
def test_every_architecture_trains_in_reduced_precision(name, precision):
    for step in make_steps(build_small(name, steps=4), precision):
        assert all(torch.isfinite(loss) for loss in step.losses.values()), step.stage


def test_a_run_that_is_cut_goes_on_with_the_same_bits():
    with choose_algorithms(deterministic=True):
        *_, whole = make_steps(build_small("gated", steps=6))
        part = [*islice(make_steps(build_small("gated", steps=6)), 3)][-1].state()
        *_, rest = make_steps(build_small("gated", steps=6), state=part)
    for key, value in whole.state()["task"].items():
        assert torch.equal(value, rest.state()["task"][key]), key


@pytest.mark.parametrize("name", NAMES)
def test_a_fill_is_that_of_a_cpu(name):
    built = build_small(name)
    net, sizes = built.task.net.eval(), built.architecture.sizes(built.settings)
    image, mask = torch.rand(1, 3, 64, 64), torch.zeros(1, 1, 64, 64)
    mask[..., 10:40, 20:50] = 1
    fills = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        with choose_algorithms():
            out = fill_tensors(net.to(device), sizes, image.to(device), mask.to(device))
        fills.append(out.cpu())
    if not built.architecture.stochastic:
        assert (fills[0] - fills[1]).abs().max() < 2 / 255


def test_a_batch_arrives_as_it_was_loaded():
    batch = {"image": torch.randint(0, 256, (8, 3, 64, 64), dtype=torch.uint8).pin_memory()}
    batch["mask"] = torch.randint(0, 2, (8, 1, 64, 64), dtype=torch.uint8).pin_memory()
    here, there = (BatchCopier(torch.device(name))(batch) for name in ("cpu", "cuda"))
    assert torch.equal(here.image, there.image.cpu())
    assert torch.equal(here.mask, there.mask.cpu())
