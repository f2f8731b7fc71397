"""What a training is said to take."""

import pytest
from toy import photos

from inpaint_cli.errors import DataError
from inpaint_cli.recipe import read as recipe
from inpaint_cli.training.build import build_training
from inpaint_cli.training.estimate import (
    activation_bytes,
    memory_lines,
    outline_training,
    size_text,
)


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
    memory, _ = memory_lines(built("architectures.toy.model.width=64", *changes))
    assert (f"optimisers {size_text(4 * numbers)}, " in memory) == (numbers > 0)
    assert (f"gradients {size_text(4 * learn)}" in memory) == (learn > 0)
    assert "cannot be estimated" not in memory


def test_a_skipped_stage_needs_no_activations(built):
    skipped = "architectures.toy.stages.prior.steps=0"
    alone = activation_bytes(built(skipped))
    assert alone is not None
    assert alone == activation_bytes(built(skipped, "architectures.toy.stages.prior.batch=64"))
    assert alone < activation_bytes(built("architectures.toy.stages.prior.batch=64"))


def test_label_maps_that_are_missing_stop_a_dry_run(toy_recipe, tmp_path):
    folder = photos(tmp_path / "photos", 5)
    labelled = ["architectures.toy.stages.prior.labelled=true"]
    with pytest.raises(DataError, match="has no label maps"):
        outline_training("toy", toy_recipe, folder, set=labelled)
    assert "epochs of 2" in outline_training("toy", toy_recipe, folder)
