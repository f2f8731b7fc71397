"""The promises of each kind of plugin, checked. A plugin's own tests need one line:

    def test_blur():
        check_architecture("blur")

Every check raises AssertionError with a sentence that names the promise. The built-in plugins
are held to the same checks, found through the registry like anyone else's.
"""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from . import registry
from .api.architectures import Architecture, Batch, Sizes, Task
from .api.masks import Masks
from .api.stages import Stage, overlaid
from .engine import weights
from .engine.fill import fill
from .engine.train import train

AWKWARD = ((37, 53), (64, 40), (1, 1), (3, 70))  # heights and widths no network is made for


def check_architecture(name: str, *, without_gradient: Sequence[str] = ()) -> None:
    """Check everything that `Architecture` and `Task` promise, on the build named by `tiny`.

    `without_gradient` lists parameters of the task, by the beginning of their names, that need
    not get a gradient in the first step, such as those behind a gate that starts at zero.
    """
    architecture: type[Architecture] = registry.load("architectures", name)
    model = architecture.settings.model_validate(architecture.tiny.get("model", {}))
    check_description(architecture, model)
    torch.manual_seed(0)
    net = architecture.build(model).eval()
    sizes = architecture.sizes(model)
    check_sizes(sizes)
    check_fill(net, sizes)
    check_precisions(architecture, net, sizes)
    if net.state_dict():
        check_weights(name, architecture, model, net)
    if architecture.task:
        check_task(architecture, model, without_gradient)


def check_description(architecture: type[Architecture], model: Any) -> None:
    """It says what it is, and its settings survive being written down."""
    assert (architecture.__doc__ or "").strip(), "an architecture's docstring is its listing"
    assert architecture.licence, "an architecture says under which licence its code is"
    again = type(model).model_validate_json(model.model_dump_json())
    assert again == model, "settings read back from JSON are the settings that were written"


def check_sizes(sizes: Sizes) -> None:
    for size in AWKWARD:
        fit = sizes.fit(*size)
        assert fit >= size, f"{fit} does not hold {size}"
        assert sizes.fit(*fit) == fit, f"a size that fits, {fit}, must fit as it is"


def check_fill(net: nn.Module, sizes: Sizes) -> None:
    """What comes back has the photo's size, is finite, and is the photo outside the hole."""
    for size in AWKWARD:
        image, mask = example(size)
        out = seeded(net, sizes, image, mask)
        assert out.shape == image.shape, f"{size} comes back as {tuple(out.shape[-2:])}"
        assert torch.isfinite(out).all(), f"not finite at {size}"
        assert torch.equal(out[mask.expand_as(out) == 0], image[mask.expand_as(out) == 0])
        assert torch.equal(out, seeded(net, sizes, image, mask)), "the same seed, another picture"
        other = torch.where(mask > 0, torch.rand_like(image), image)
        assert torch.equal(out, seeded(net, sizes, other, mask)), "it saw what is under the hole"
    image, mask = example((64, 40))
    everywhere = seeded(net, sizes, image, torch.ones_like(mask))
    assert torch.isfinite(everywhere).all(), "not finite where everything is hole"
    assert torch.equal(seeded(net, sizes, image, torch.zeros_like(mask)), image)


def check_precisions(architecture: type[Architecture], net: nn.Module, sizes: Sizes) -> None:
    """Its output is finite and close in each reduced precision that it declares."""
    image, mask = example((64, 40))
    whole = seeded(net, sizes, image, mask)
    if "bf16" in architecture.precisions:
        with torch.autocast("cpu", torch.bfloat16):
            half = seeded(net, sizes, image, mask)
        assert torch.isfinite(half).all(), "not finite in bf16"
        if not architecture.stochastic:
            assert (whole - half).abs().mean() < 0.05, "bf16 is far from full precision"


def check_weights(name: str, architecture: type[Architecture], model: Any, net: nn.Module) -> None:
    """A weights file is enough to build the same network again."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "weights.safetensors")
        weights.write(path, name, model, net)
        again = weights.read(path)
    image, mask = example((64, 40))
    sizes = architecture.sizes(model)
    assert torch.equal(seeded(net, sizes, image, mask), seeded(again.net, sizes, image, mask))


def check_task(
    architecture: type[Architecture], model: Any, without_gradient: Sequence[str] = ()
) -> None:
    """Each stage runs: losses are finite, what it trains learns, and nothing else moves.

    In full precision and in bfloat16, which any recipe may ask for.
    """
    assert architecture.task is not None
    rules = architecture.task.settings.model_validate(architecture.tiny.get("task", {}))
    torch.manual_seed(0)
    task = architecture.task(architecture.build(model), rules)
    side = max(architecture.sizes(model).fit(32, 32))
    for stage in filter(task.phases, task.plan):
        check_gradients(task, stage, side, without_gradient)
        before = copy.deepcopy(task.state_dict())
        plan = {stage: overlaid(task.plan[stage], Stage(steps=1))}
        for precision in ("no", "bf16"):
            with accelerated(precision) as accelerator:
                (step,) = train(task, plan, lambda name, n: iter(examples(side)), accelerator)
            for term, loss in step.losses.items():
                assert math.isfinite(loss), (
                    f"{stage}: {term} is {loss} (mixed precision {precision})"
                )
        learns = {p for phase in task.phases(stage) for m in phase.trains for p in under(task, m)}
        frozen = dict(task.named_parameters()).keys() - learns
        moved = {key for key in frozen if not torch.equal(before[key], task.state_dict()[key])}
        assert not moved, f"{stage} does not train {sorted(moved)}, but they moved"


@contextmanager
def accelerated(precision: str) -> Iterator[Accelerator]:
    """An accelerator for once: its settings are the process's, which has other tests to run."""
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        yield Accelerator(cpu=True, mixed_precision=precision)
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


def check_gradients(task: Task, stage: str, side: int, without: Sequence[str]) -> None:
    task.stage = stage
    for phase in task.phases(stage):
        task.requires_grad_(False).eval().zero_grad()
        learns = {name for module in phase.trains for name in under(task, module)}
        for module in phase.trains:
            task.get_submodule(module).requires_grad_(True).train()
        batch = examples(side)[0]
        sum(phase.losses(batch, task.predict(batch)).values(), torch.zeros(())).backward()
        for name, parameter in task.named_parameters():
            if name in learns and parameter.requires_grad and not name.startswith(tuple(without)):
                assert parameter.grad is not None, f"{stage}/{phase.name}: {name} gets no gradient"
                assert torch.isfinite(parameter.grad).all(), f"{stage}/{phase.name}: {name}"


def under(task: Task, module: str) -> set[str]:
    """The names of the parameters of `module`, as the task knows them."""
    return {f"{module}.{name}" for name, _ in task.get_submodule(module).named_parameters()}


def example(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """A smooth image [1, 3, H, W] with some noise, and a mask [1, 1, H, W] with a hole in it."""
    height, width = size
    rng = torch.Generator().manual_seed(height * 1000 + width)
    coarse = torch.rand(1, 3, 4, 4, generator=rng)
    smooth = nn.functional.interpolate(coarse, size, mode="bilinear", align_corners=False)
    image = (0.9 * smooth + 0.1 * torch.rand(1, 3, *size, generator=rng)).clamp(0, 1)
    mask = torch.zeros(1, 1, *size)
    mask[..., height // 4 : height // 4 + max(1, height // 3), : max(1, width // 2)] = 1
    return image, mask


def examples(side: int) -> list[Batch]:
    """One batch of two."""
    pairs = [example((side, side)), example((side, side + 1))]
    image = torch.cat([pair[0][..., :side] for pair in pairs])
    return [Batch(image, torch.cat([pair[1][..., :side] for pair in pairs]))]


def seeded(net: nn.Module, sizes: Sizes, image: Tensor, mask: Tensor) -> Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return fill(net, sizes, image, mask)


def check_masks(name: str, settings: Mapping[str, Any] | None = None) -> None:
    """Check that the generator `name` keeps to the size, and to its seed alone."""
    masks: Masks = registry.load("masks", name).model_validate(settings or {})
    for height, width in ((64, 64), (64, 128), (96, 48)):
        drawn = masks.draw(height, width, np.random.default_rng(1))
        assert drawn.shape == (height, width), f"{drawn.shape} is not {(height, width)}"
        assert drawn.dtype == np.bool_, f"a mask is boolean, not {drawn.dtype}"
        again = masks.draw(height, width, np.random.default_rng(1))
        assert np.array_equal(drawn, again), "the same generator state, another mask"
