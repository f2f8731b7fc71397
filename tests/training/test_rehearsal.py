"""A step by shapes alone, beside a real one."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from small import PARSED, SMALL, build_small

from inpaint_cli import registry
from inpaint_cli.api.architectures import Batch
from inpaint_cli.training.loop import train_stages
from inpaint_cli.training.rehearsal import SavedBytes, rehearse_stage

SIDE, IMAGES = 64, 2


def real_batches(built):
    """Batches of noise under masks of the recipe, with label maps."""
    rng = np.random.default_rng(0)
    while True:
        masks = [torch.from_numpy(built.inputs.masks.draw(SIDE, SIDE, rng)) for _ in range(IMAGES)]
        labels = torch.zeros(IMAGES, SIDE, SIDE, dtype=torch.long)
        yield Batch(torch.rand(IMAGES, 3, SIDE, SIDE), torch.stack(masks)[:, None].float(), labels)


def most_kept(built, precision):
    """The bytes that autograd really keeps at once, in one step of each stage in turn."""
    task, found = built.task, {}
    for name, stage in built.stages.items():
        if stage.steps:
            counter = SavedBytes(task)
            mixed = "no" if precision == "full" else precision
            accelerator = Accelerator(cpu=True, mixed_precision=mixed)
            with counter.hooks():
                (*_,) = train_stages(
                    task, {name: stage}, lambda *_: real_batches(built), accelerator
                )
            assert counter.now == 0
            found[name] = counter.most
    return found


@pytest.mark.parametrize(
    ("name", "model", "precision"),
    [
        *((name, None, "full") for name in registry.find_plugins("architectures") if name in SMALL),
        ("mdrnets", PARSED, "full"),
        ("gated", None, "bf16"),
        ("mdrnets", None, "bf16"),
    ],
)
def test_what_autograd_keeps_is_foreseen(name, model, precision):
    built = build_small(name, f"precision={precision}", f"batch={IMAGES}", model=model)
    trained = [stage for stage in built.stages if built.stages[stage].steps]
    foreseen = {stage: rehearse_stage(built, stage).kept for stage in trained}
    real = most_kept(built, precision)
    assert foreseen.keys() == real.keys()
    for stage, kept in real.items():
        assert foreseen[stage] / 1.3 < kept < foreseen[stage] * 1.3, stage


def test_a_rehearsal_changes_nothing():
    built = build_small("in2", f"batch={IMAGES}")
    before = {key: value.clone() for key, value in built.task.state_dict().items()}
    first = rehearse_stage(built, "fill")
    assert all(torch.equal(value, before[key]) for key, value in built.task.state_dict().items())
    assert first == rehearse_stage(built, "fill")
    assert most_kept(built, "full")  # tensors that the network caches have values


def test_twice_the_images_are_twice_the_work():
    one, two = (rehearse_stage(build_small("gated", f"batch={n}"), "fill") for n in (2, 4))
    assert two.operations == pytest.approx(2 * one.operations, rel=0.01)
    assert two.kept == pytest.approx(2 * one.kept, rel=0.1)
