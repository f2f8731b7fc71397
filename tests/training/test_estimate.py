"""What a training is said to take."""

import pytest
from toy import photos

from inpaint_cli.errors import DataError
from inpaint_cli.recipe import read as recipe
from inpaint_cli.training.build import build_training
from inpaint_cli.training.estimate import (
    memory_lines,
    outline_training,
    rehearse_stages,
    size_text,
    step_lines,
)
from inpaint_cli.training.train import train


@pytest.fixture
def built(toy_recipe):
    """The toy by its recipe, with changes."""
    return lambda *changes: build_training("toy", *recipe.read_recipe(toy_recipe, changes))


PRIOR, BODY, CRITIC = 2368, 1859, 261  # parameters that learn in stage prior, and in stage fill


@pytest.mark.parametrize(
    ("changes", "learn", "numbers"),
    [
        ([], PRIOR, 2 * PRIOR),
        (["prior.steps=0"], BODY + CRITIC, 2 * (BODY + CRITIC)),
        (["prior.steps=0", "fill.optimizers.critic.kind=sgd"], BODY + CRITIC, 2 * BODY),
        (
            [
                "prior.steps=0",
                "fill.optimizers.critic.kind=sgd",
                "fill.optimizers.critic.momentum=0.9",
            ],
            BODY + CRITIC,
            2 * BODY + CRITIC,
        ),
        (["prior.steps=0", "fill.steps=0"], 0, 0),
    ],
)
def test_memory_is_that_of_the_most_costly_stage_by_the_optimiser_of_each_phase(
    built, changes, learn, numbers
):
    changes = [f"architectures.toy.stages.{change}" for change in changes]
    toy = built("architectures.toy.model.width=64", *changes)
    memory, _ = memory_lines(toy, rehearse_stages(toy))
    assert (f"optimisers {size_text(4 * numbers)}, " in memory) == (numbers > 0)
    assert (f"gradients {size_text(4 * learn)}" in memory) == (learn > 0)
    assert "cannot be foreseen" not in memory


def kept(built) -> int:
    found = rehearse_stages(built)
    return max((r.kept for r in found.values()), default=0)


def test_a_skipped_stage_needs_no_activations(built):
    skipped = "architectures.toy.stages.prior.steps=0"
    alone = kept(built(skipped))
    assert alone == kept(built(skipped, "architectures.toy.stages.prior.batch=64")) > 0
    assert alone < kept(built("architectures.toy.stages.prior.batch=64"))


def test_what_broke_off_is_said_and_the_rest_is_foreseen(built, monkeypatch):
    built = built()
    monkeypatch.setattr(built.task, "prior_losses", lambda batch, out: int(batch.image.sum()))
    found = rehearse_stages(built)
    assert found["fill"].kept > 0
    time, memory = (list(step_lines(built, {}, found))[-1], next(memory_lines(built, found)))
    for line in (time, memory):
        assert "; what stage prior adds cannot be foreseen (Data" in line


def test_time_is_told_by_stage(built):
    lines = list(step_lines(built(), {"prior": 4}, rehearse_stages(built())))
    assert lines[0].startswith("stage prior: 4 steps of 2 images, 2.0 epochs of 4, about ")
    assert lines[1].startswith("stage fill: 6 steps of 2 images, about ")
    assert lines[2].startswith("time: about ")


def test_disk_is_that_of_the_run_folder(toy_recipe, tmp_path):
    changes = ["architectures.toy.model.width=4096", "keep.last=2"]
    settings, source = recipe.read_recipe(toy_recipe, changes)
    _, disk = memory_lines(build_training("toy", settings, source), {})
    train("toy", toy_recipe, photos(tmp_path / "photos"), run=tmp_path / "run", set=changes,
          workers=0)  # fmt: skip
    files = [f for f in (tmp_path / "run").iterdir() if f.suffix in (".pt", ".safetensors")]
    value, unit = disk.split()[2:4]
    foreseen = float(value) * {"KiB": 2**10, "MiB": 2**20}[unit]
    assert foreseen / 1.3 < sum(f.stat().st_size for f in files) < foreseen * 1.3


def test_label_maps_that_are_missing_stop_a_dry_run(toy_recipe, tmp_path):
    folder = photos(tmp_path / "photos", 5)
    labelled = ["architectures.toy.stages.prior.labelled=true"]
    with pytest.raises(DataError, match="has no label maps"):
        outline_training("toy", toy_recipe, folder, set=labelled)
    assert "epochs of 2" in outline_training("toy", toy_recipe, folder)
