"""What can be checked before a training, on a machine without published backbones or a network."""

import socket
import urllib.request

import pytest
from click.testing import CliRunner
from toy import photos

from inpaint_cli.cli import main
from inpaint_cli.files.pretrained import BACKBONES
from inpaint_cli.layers.backbones import load_backbone, stand_in_backbones
from inpaint_cli.recipe.read import find_recipe, read_recipe
from inpaint_cli.training.build import build_training


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder of photos, on a machine that reaches no other."""

    def refuse(*_: object) -> None:
        raise AssertionError("a check opened a connection")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setenv("INPAINT_OFFLINE", "0")
    return photos(tmp_path / "photos", 4)


def inpaint(*args):
    return CliRunner().invoke(main, [str(a) for a in args], catch_exceptions=False)


@pytest.mark.parametrize(("name", "backbone"), [("in2", "vgg19"), ("pconv", "vgg16")])
def test_a_dry_run_lists_missing_backbones_and_shows_the_rest(data, name, backbone):
    size = round(BACKBONES[backbone].bytes / 1e6)
    done = inpaint("train", name, "smoke", "--data", data, "--dry-run", "--set",
                   f"architectures.{name}.task.vgg=imagenet")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert f"# needs {backbone} ({size} MB), which is not on this machine" in done.stdout
    assert "# memory: about" in done.stdout
    assert "cannot be foreseen" not in done.stdout


def test_a_pretext_model_that_is_missing_is_listed_too(data):
    done = inpaint("train", "spn", "smoke", "--data", data, "--dry-run", "--set",
                   "architectures.spn.task.pretext=resnet34")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "# needs resnet34 (87 MB), which is not on this machine" in done.stdout


def test_data_are_checked_and_recipes_resolved_without_a_backbone(data):
    wanted = ("--set", "architectures.pconv.task.vgg=imagenet")
    checked = inpaint(
        "train", "pconv", "smoke", "--data", data, "--check-data", "--workers", 0, *wanted
    )
    assert checked.exit_code == 0, checked.output
    shown = inpaint("recipes", "show", "celebahq", "--arch", "pconv")
    assert shown.exit_code == 0, shown.output
    assert "vgg: imagenet" in shown.stdout


@pytest.mark.parametrize(
    ("name", "change", "cure"),
    [
        ("pconv", ["architectures.pconv.task.vgg=imagenet"],
         "--set architectures.pconv.task.vgg=none"),
        ("spn", ["architectures.spn.task.pretext=resnet50"],
         "--set architectures.spn.task.pretext=none"),
    ],
)  # fmt: skip
def test_a_missing_backbone_stops_a_training_with_the_setting_that_goes_without(
    data, name, change, cure, monkeypatch
):
    monkeypatch.setenv("INPAINT_OFFLINE", "1")
    changes = [item for key in change for item in ("--set", key)]
    done = inpaint("train", name, "smoke", "--data", data, *changes)
    assert done.exit_code == 1
    assert done.stderr.rstrip().endswith(f", or train without it: {cure}")


def test_stand_ins_end_with_their_block():
    with stand_in_backbones() as names:
        assert load_backbone("vgg16", dict) == {}
    assert names == ["vgg16"]
    with pytest.raises(Exception, match="vgg16 needs"):
        load_backbone("vgg16", dict)


def test_other_lengths_of_stages_are_written_into_the_recipe(toy_recipe):
    built = build_training("toy", *read_recipe(find_recipe(str(toy_recipe))))
    shorter = built.skip_stages(["prior"]).with_steps({"fill": 2})
    assert [stage.steps for stage in shorter.stages.values()] == [0, 2]
    assert shorter.recipe.architectures["toy"].stages is shorter.stages
    assert shorter.steps == 2
    assert built.steps == 10
