"""Errors tell a Python user which file is at fault, and where in it."""

import json

import pytest
from places import ROOT

import inpaint_cli as inpaint
from inpaint_cli.errors import InpaintError, blame_path
from inpaint_cli.evaluation.scores import read_result
from inpaint_cli.files.pictures import picture_format
from inpaint_cli.files.stores import list_pictures
from inpaint_cli.files.write import check_free
from inpaint_cli.files.zips import read_zip_member, zip_names
from inpaint_cli.filling.ledger import LEDGER, read_ledger
from inpaint_cli.filling.provenance import read_card
from inpaint_cli.images import read_mask, read_photo
from inpaint_cli.masks.manifest import MANIFEST, read_manifest
from inpaint_cli.models.convert import convert_checkpoint
from inpaint_cli.models.weights import inspect_weights, read_weights
from inpaint_cli.recipe.read import read_recipe
from inpaint_cli.training.checkpoint import read_state

SMOKE = ROOT / "recipes" / "smoke.yaml"
READERS = {
    "photo": read_photo,
    "mask": read_mask,
    "weights": read_weights,
    "header of weights": inspect_weights,
    "checkpoint": lambda path: convert_checkpoint(path, "lama", path.with_name("new.safetensors")),
    "manifest": read_manifest,
    "card": read_card,
    "scores": read_result,
    "state": read_state,
    "archive": zip_names,
    "member": lambda path: read_zip_member(path, "a.png"),
    "folder": lambda path: list_pictures(path, []),
    "suffix": picture_format,
    "place": lambda path: check_free(path, overwrite=False),
    "recipe": lambda path: read_recipe(path, []),
}


@pytest.mark.parametrize("kind", READERS)
def test_an_error_has_the_path_of_the_file_at_fault(kind, tmp_path):
    path = tmp_path / "x.other"
    path.write_bytes(b"\x80 neither of them")
    with pytest.raises(InpaintError) as caught:
        READERS[kind](path)
    assert caught.value.path == path
    assert "\n" not in str(caught.value)


def test_the_innermost_file_is_the_one_at_fault(tmp_path):
    @blame_path
    def outer(path):
        read_photo(tmp_path / "inner.png")

    with pytest.raises(InpaintError) as caught:
        outer(tmp_path / "outer.png")
    assert caught.value.path == tmp_path / "inner.png"


def test_an_error_in_a_manifest_or_a_recipe_has_its_line(tmp_path):
    inpaint.generate_masks("irregular", tmp_path / "masks", count=2, size=32)
    path = tmp_path / "masks" / MANIFEST
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([*lines[:2], json.dumps({"file": 1})]), "utf-8")
    with pytest.raises(inpaint.DataError) as caught:
        read_manifest(path)
    assert (caught.value.path, caught.value.line) == (path, 3)
    recipe = tmp_path / "r.yaml"
    recipe.write_text(SMOKE.read_text("utf-8") + "bach: 3\n", "utf-8")
    with pytest.raises(inpaint.RecipeError) as caught:
        read_recipe(recipe, [])
    assert (caught.value.path, caught.value.line) == (
        recipe,
        SMOKE.read_text("utf-8").count("\n") + 1,
    )


def test_an_unreadable_ledger_is_named(tmp_path):
    (tmp_path / LEDGER).mkdir()
    with pytest.raises(InpaintError) as caught:
        read_ledger(tmp_path)
    assert caught.value.path == tmp_path / LEDGER


def test_a_photo_of_the_public_functions_is_named(tmp_path):
    path = tmp_path / "gone.png"
    with pytest.raises(inpaint.ImageError) as caught:
        inpaint.fill(path, mask=path)
    assert caught.value.path == path
