"""Every key of a recipe can be listed with its description."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from inpaint_cli import registry
from inpaint_cli.cli import main
from inpaint_cli.recipe.keys import list_recipe_keys
from inpaint_cli.recipe.read import list_recipes, open_recipe

LISTING = """
import sys
from inpaint_cli.cli import main
main(["recipes"], standalone_mode=False)
print(*sorted({"torch", "torchvision", "accelerate"} & set(sys.modules)), file=sys.stderr)
"""


def inpaint(*args):
    return CliRunner().invoke(main, [str(a) for a in args], catch_exceptions=False)


@pytest.mark.parametrize("architecture", [None, *registry.find_plugins("architectures")])
def test_every_key_is_described(architecture):
    rows = list_recipe_keys(architecture)
    assert {row["key"] for row in rows} >= {"data.size", "every.validate", "masks"}
    for row in rows:
        assert row["type"], row["key"]
        assert row["description"].endswith("."), row["key"]


@pytest.mark.parametrize("name", registry.find_plugins("datasets"))
def test_every_setting_of_a_data_set_is_described(name):
    for key, field in registry.load_plugin("datasets", name).model_fields.items():
        assert field.description, key


def test_keys_of_an_architecture_include_its_network_task_and_stages():
    keys = {row["key"]: row for row in list_recipe_keys("pconv")}
    assert keys["architectures.pconv.task.vgg"]["default"] == "imagenet"
    assert keys["architectures.pconv.task.vgg"]["type"] == "imagenet | none | random"
    assert "architectures.pconv.model.width" in keys
    assert keys["architectures.pconv.stages.STAGE.optimizer.lr"]["default"] == 1e-4


def test_listed_keys_are_accepted_with_their_defaults():
    rows = list_recipe_keys()
    changes = [
        f"{row['key']}={json.dumps(row['default'])}"
        for row in rows
        if row["default"] != "required" and not {"STAGE", "PHASE"} & {*row["key"].split(".")}
    ]
    assert open_recipe("smoke", changes)[0].data.size == 256


def test_the_command_prints_text_and_json():
    text = inpaint("recipes", "keys").stdout
    assert "data.size: int, 256\n    Height and width of the training images.\n" in text
    rows = json.loads(inpaint("recipes", "keys", "gated", "--json").stdout)
    assert rows == json.loads(json.dumps(list_recipe_keys("gated")))
    assert inpaint("recipes", "keys", "gatd").exit_code == 1


def test_listing_recipes_imports_no_torch():
    done = subprocess.run(
        [sys.executable, "-c", LISTING], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == ""
    assert len(done.stdout.splitlines()) == len(list_recipes())
