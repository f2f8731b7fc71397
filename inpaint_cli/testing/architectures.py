"""Check of an architecture and its task."""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from .. import registry
from ..api.architectures import Architecture, Sizes, Task
from ..api.stages import Stage, overlay_settings
from ..models import weights
from ..models.network import fill_tensors
from ..runtime.devices import autocast
from ..training.loop import train_stages
from .examples import make_batch, make_example
from .sizes import AWKWARD_SIZES, check_sizes


def check_architecture(
    name: str,
    *,
    model: Mapping[str, Any] | None = None,
    task: Mapping[str, Any] | None = None,
    without_gradient: Sequence[str] = (),
) -> None:
    """Check everything that `Architecture` and `Task` promise.

    `model` and `task` are settings, as in a recipe, of a network that is quick to test.
    `without_gradient` lists beginnings of the names of parameters that need no gradient in the
    first step, such as those behind a gate that starts at zero.
    """
    architecture: type[Architecture] = registry.load_plugin("architectures", name)
    model, task = small_settings(architecture, model, task)
    settings = architecture.settings.model_validate(model)
    check_description(architecture, settings)
    torch.manual_seed(0)
    net = architecture.build(settings).eval()
    sizes = architecture.sizes(settings)
    check_sizes(sizes)
    check_fill(net, sizes)
    check_precisions(architecture, net, sizes)
    if net.state_dict():
        check_weights(name, architecture, settings, net)
    if architecture.task:
        check_task(architecture, settings, task, without_gradient)


def small_settings(
    architecture: type[Architecture],
    model: Mapping[str, Any] | None = None,
    task: Mapping[str, Any] | None = None,
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the settings to test with; what is None is taken from `tiny`, as in version 0.1."""
    tiny: Mapping[str, Any] = getattr(architecture, "tiny", {})
    return (
        tiny.get("model", {}) if model is None else model,
        tiny.get("task", {}) if task is None else task,
    )


def check_description(architecture: type[Architecture], settings: Any) -> None:
    """Check that it has a description, and that its settings can be written and read."""
    assert (architecture.__doc__ or "").strip(), "an architecture needs a docstring, for listings"
    assert architecture.licence, "an architecture needs the licence of its code"
    again = type(settings).model_validate_json(settings.model_dump_json())
    assert again == settings, "settings read back from JSON differ from those written"


def check_fill(net: nn.Module, sizes: Sizes) -> None:
    """Check that a fill has the image's size, is finite, and does not depend on hidden pixels."""
    for size in AWKWARD_SIZES:
        image, mask = make_example(size)
        out = fill_seeded(net, sizes, image, mask)
        assert out.shape == image.shape, f"{size} becomes {tuple(out.shape[-2:])}"
        assert torch.isfinite(out).all(), f"not finite at {size}"
        assert torch.equal(out[mask.expand_as(out) == 0], image[mask.expand_as(out) == 0])
        again = fill_seeded(net, sizes, image, mask)
        assert torch.equal(out, again), "the same seed gives another fill"
        other = torch.where(mask > 0, torch.rand_like(image), image)
        other_out = fill_seeded(net, sizes, other, mask)
        assert torch.equal(out, other_out), "the fill depends on what is under the hole"
    image, mask = make_example((64, 40))
    everywhere = fill_seeded(net, sizes, image, torch.ones_like(mask))
    assert torch.isfinite(everywhere).all(), "not finite where everything is hole"
    assert torch.equal(fill_seeded(net, sizes, image, torch.zeros_like(mask)), image)


def check_precisions(architecture: type[Architecture], net: nn.Module, sizes: Sizes) -> None:
    """Check that the fill in each declared precision is finite and close to full precision."""
    image, mask = make_example((64, 40))
    whole = fill_seeded(net, sizes, image, mask)
    for precision in set(architecture.precisions) - {"full"}:
        with autocast(image.device, precision):
            reduced = fill_seeded(net, sizes, image, mask)
        assert torch.isfinite(reduced).all(), f"not finite in {precision}"
        if not architecture.stochastic:
            difference = (whole - reduced).abs().sum() / (3 * mask.sum())
            assert difference < 0.05, f"{precision} is far from full precision"


def check_weights(
    name: str, architecture: type[Architecture], settings: Any, net: nn.Module
) -> None:
    """Check that the same network can be built from its weights file alone."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "weights.safetensors")
        weights.write_weights(path, name, settings, net)
        again = weights.read_weights(path)
    image, mask = make_example((64, 40))
    sizes = architecture.sizes(settings)
    fills = [fill_seeded(n, sizes, image, mask) for n in (net, again.net)]
    assert torch.equal(*fills), "the network from its weights file fills otherwise"


def check_task(
    architecture: type[Architecture],
    settings: Any,
    given: Mapping[str, Any],
    without_gradient: Sequence[str] = (),
) -> None:
    """Check that each stage has finite losses, trains what it names, and changes nothing else.

    It runs in bfloat16 too, which any recipe may ask for; losses are not checked there, since on
    some processors gradients of convolutions over a single pixel are not numbers in it.
    """
    assert architecture.task is not None
    torch.manual_seed(0)
    task_settings = architecture.task.settings.model_validate(given)
    task = architecture.task(architecture.build(settings), task_settings)
    side = max(architecture.sizes(settings).fit(32, 32))
    for stage in filter(task.phases, task.plan):
        check_gradients(task, stage, side, without_gradient)
        check_stage(task, stage, side)


def check_gradients(task: Task, stage: str, side: int, without_gradient: Sequence[str]) -> None:
    """Check that every parameter that a phase trains gets a finite gradient."""
    task.stage = stage
    for phase in task.phases(stage):
        task.requires_grad_(False).eval().zero_grad()
        trained = {name for module in phase.trains for name in parameter_names(task, module)}
        trained = {name for name in trained if not name.startswith(tuple(without_gradient))}
        for module in phase.trains:
            task.get_submodule(module).requires_grad_(True).train()
        batch = make_batch(side)
        sum(phase.losses(batch, task.predict(batch)).values(), torch.zeros(())).backward()
        for name, parameter in task.named_parameters():
            if name in trained and parameter.requires_grad:
                assert parameter.grad is not None, f"{stage}/{phase.name}: {name} gets no gradient"
                assert torch.isfinite(parameter.grad).all(), f"{stage}/{phase.name}: {name}"


def check_stage(task: Task, stage: str, side: int) -> None:
    """Check a step of training in both precisions: finite losses, frozen parameters unchanged."""
    before = copy.deepcopy(task.state_dict())
    plan = {stage: overlay_settings(task.plan[stage], Stage(steps=1))}
    for precision, trained in (("bf16", copy.deepcopy(task)), ("no", task)):
        with temporary_accelerator(precision) as accelerator:
            (step,) = train_stages(
                trained, plan, lambda name, n: iter([make_batch(side)]), accelerator
            )
    for term, loss in step.losses.items():
        assert math.isfinite(loss), f"{stage}: {term} is {loss}"
    modules = [module for phase in task.phases(stage) for module in phase.trains]
    learns = {name for module in modules for name in parameter_names(task, module)}
    frozen = dict(task.named_parameters()).keys() - learns
    moved = {key for key in frozen if not torch.equal(before[key], task.state_dict()[key])}
    assert not moved, f"{stage} does not train {sorted(moved)}, but they moved"


@contextmanager
def temporary_accelerator(precision: str) -> Iterator[Accelerator]:
    """Make an accelerator for the block; its settings are global, and reset before and after."""
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        yield Accelerator(cpu=True, mixed_precision=precision)
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


def parameter_names(task: Task, module: str) -> set[str]:
    """Return the names, within the task, of the parameters of `module`."""
    return {f"{module}.{name}" for name, _ in task.get_submodule(module).named_parameters()}


def fill_seeded(net: nn.Module, sizes: Sizes, image: Tensor, mask: Tensor) -> Tensor:
    """Fill with a fixed seed, without changing torch's own state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return fill_tensors(net, sizes, image, mask)
