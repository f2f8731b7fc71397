"""A result card tells all that a photo came from, and repeats it bit for bit."""

import json
import shutil

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from skimage import data
from torch import nn

from inpaint_cli.api.settings import Settings
from inpaint_cli.cli import main
from inpaint_cli.filling import provenance as card
from inpaint_cli.models import weights


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with photo.jpg, photo.png and mask.png."""
    monkeypatch.chdir(tmp_path)
    photo = Image.fromarray(data.astronaut()[20:84, 190:270])
    photo.save("photo.jpg", quality=90)
    photo.save("photo.png")
    mask = Image.new("L", photo.size)
    mask.paste(255, (20, 20, 40, 44))
    mask.save("mask.png")
    return tmp_path


def run(*args: str):
    return CliRunner().invoke(main, [*args], catch_exceptions=False)


def fill(*args: str):
    return run("fill", *args, "--mask", "mask.png", "--model", "telea", "--card")


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_card_repeats_its_photo_bit_for_bit(files, suffix):
    result = fill(f"photo{suffix}", "--grow", "3", "--feather", "2", "--seed", "5")
    assert result.exit_code == 0, result.stderr
    output = files / f"photo.filled{suffix}"
    told = json.loads(card.card_path(output).read_text())
    assert told["photo"]["path"] == f"photo{suffix}"
    assert (told["model"], told["weights"]) == ("telea", None)
    assert told["plugin"].startswith("inpaint-cli ")
    assert told["options"]["seed"] == 5
    assert told["options"]["grow"] == 3
    assert told["options"]["device"] == "cpu"
    assert told["options"]["precision"] == "full"
    assert told["windows"] == [{"top": 0, "left": 0, "height": 64, "width": 80}]
    assert told["drift"]["count"] == 0 or suffix == ".jpg"
    again = run("fill", "--from-card", f"photo.filled{suffix}.card.json", "-o", f"again{suffix}")
    assert again.exit_code == 0, again.stderr
    assert again.stdout == f"again{suffix}\n"
    assert "bit for bit" in again.stderr
    assert (files / f"again{suffix}").read_bytes() == output.read_bytes()


def test_a_card_of_weights_and_of_a_sample(files, monkeypatch):
    class Noise(nn.Module):
        def __init__(self):
            super().__init__()
            self.level = nn.Parameter(torch.tensor(0.5))

        def forward(self, visible, mask):
            return visible + mask * self.level * torch.rand_like(visible)

    from inpaint_cli import registry
    from inpaint_cli.api.architectures import Architecture

    class Random(Architecture):
        stochastic = True

        @staticmethod
        def build(settings):
            return Noise()

    load, found = registry.load_plugin, registry.find_plugins
    point = found("architectures")["pconv"]
    monkeypatch.setattr(
        registry, "load_plugin", lambda k, n: Random if n == "noise" else load(k, n)
    )
    monkeypatch.setattr(registry, "find_plugins", lambda kind: {**found(kind), "noise": point})
    weights.write_weights(files / "noise.safetensors", "noise", Settings(), Noise())
    args = ["--mask", "mask.png", "--weights", "noise.safetensors", "-n", "2", "--card"]
    assert run("fill", "photo.png", *args).exit_code == 0
    one, two = ((files / f"photo.filled.{n}.png").read_bytes() for n in (1, 2))
    assert one != two
    again = run("fill", "--from-card", "photo.filled.2.png.card.json", "-o", "again.png")
    assert again.exit_code == 0, again.stderr
    assert (files / "again.png").read_bytes() == two
    weights.write_weights(
        files / "noise.safetensors", "noise", Settings(), Noise(), notes={"step": "2"}
    )
    again = run("fill", "--from-card", "photo.filled.2.png.card.json", "-o", "more.png")
    assert again.exit_code == 1
    assert "noise.safetensors has changed" in again.stderr


@pytest.mark.parametrize("which", ["photo.png", "mask.png"])
def test_it_says_which_input_changed(files, which):
    fill("photo.png")
    with (files / which).open("ab") as file:
        file.write(b"x")
    again = run("fill", "--from-card", "photo.filled.png.card.json", "-o", "again.png")
    assert again.exit_code == 1
    assert f"{which} has changed" in again.stderr
    assert not (files / "again.png").exists()


def test_files_may_have_moved_with_the_card_or_without(files):
    fill("photo.png", "-o", "out/filled.png")
    away = files / "away"
    shutil.copytree(files, away, ignore=shutil.ignore_patterns("away"))
    for path in (files / "photo.png", files / "mask.png"):
        path.unlink()
    again = run("fill", "--from-card", "away/out/filled.png.card.json", "-o", "again.png")
    assert again.exit_code == 0, again.stderr
    again = run("fill", "--from-card", "out/filled.png.card.json", "-o", "more.png")
    assert again.exit_code == 1
    assert "photo.png, does not exist" in again.stderr
    where = ["away/photo.png", "--mask", "away/mask.png"]
    again = run("fill", "--from-card", "out/filled.png.card.json", "-o", "more.png", *where)
    assert again.exit_code == 0, again.stderr


def test_another_result_is_told(files):
    fill("photo.png")
    path = files / "photo.filled.png.card.json"
    told = json.loads(path.read_text())
    told["options"]["grow"] = 6
    path.write_text(json.dumps(told))
    again = run("fill", "--from-card", str(path), "-o", "again.png")
    assert again.exit_code == 1
    assert "not bit for bit" in again.stderr


def test_nothing_is_overwritten(files):
    fill("photo.png")
    before = (files / "photo.filled.png").stat()
    again = run("fill", "--from-card", "photo.filled.png.card.json")
    assert again.exit_code == 1
    assert "exists already" in again.stderr
    assert (files / "photo.filled.png").stat() == before
    again = run("fill", "--from-card", "photo.filled.png.card.json", "--overwrite")
    assert again.exit_code == 0, again.stderr
    again = run("fill", "--from-card", "photo.filled.png.card.json", "-o", "photo.png")
    assert again.exit_code == 1
    assert "the photo itself" in again.stderr


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--seed", "1"], "leave out 'seed'"),
        (["--model", "ns"], "leave out 'model'"),
        (["--verify"], "leave out 'verify'"),
    ],
)
def test_what_the_card_says_cannot_be_said_again(files, args, sentence):
    fill("photo.png")
    result = run("fill", "--from-card", "photo.filled.png.card.json", *args)
    assert result.exit_code == 2
    assert sentence in result.stderr


@pytest.mark.parametrize("place", ["../elsewhere.png", "sub/../../elsewhere.png", "/tmp/x.png"])
def test_a_card_does_not_say_where_to_write_outside_its_folder(files, place):
    fill("photo.png", "-o", "cards/filled.png")
    card = files / "cards" / "filled.png.card.json"
    values = json.loads(card.read_text())
    values["output"]["path"] = place
    card.write_text(json.dumps(values))
    before = {*files.rglob("*")}
    result = run("fill", "--from-card", str(card), "--overwrite")
    assert result.exit_code == 1
    assert "an output outside its folder" in result.stderr
    assert {*files.rglob("*")} == before
    assert run("fill", "--from-card", str(card), "-o", "here.png").exit_code == 0


def test_a_card_writes_nothing_but_pictures(files):
    fill("photo.png")
    card = files / "photo.filled.png.card.json"
    values = json.loads(card.read_text())
    values["output"]["path"] = "card.py"
    card.write_text(json.dumps(values))
    result = run("fill", "--from-card", str(card), "--overwrite")
    assert result.exit_code == 1
    assert "has no suffix of a picture" in result.stderr


@pytest.mark.parametrize("value", [None, 0, "x", [], {}, [[]], True, "\0", 1e400])
def test_values_of_other_types_make_it_no_card(files, value):
    fill("photo.png")
    card = files / "photo.filled.png.card.json"
    values = json.loads(card.read_text())
    for key in values:
        card.write_text(json.dumps(values | {key: value}))
        result = run("fill", "--from-card", str(card), "-o", "again.png", "--overwrite")
        assert result.exit_code in (0, 1)
        assert result.exception is None or isinstance(result.exception, SystemExit), key
    for key in values["options"]:
        card.write_text(json.dumps(values | {"options": values["options"] | {key: value}}))
        result = run("fill", "--from-card", str(card), "-o", "again.png", "--overwrite")
        assert result.exception is None or isinstance(result.exception, SystemExit), key


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"card": 1}', '{"card": 2}', "\x00", "[" * 200000]
)
def test_what_is_no_card_is_refused(files, text):
    (files / "card.json").write_text(text)
    result = run("fill", "--from-card", "card.json")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: card.json is ")
    assert result.stderr.count("\n") == 1


def test_streams_have_no_card(files):
    assert fill("photo.png", "-o", "-").exit_code == 2
    assert run("fill").exit_code == 2
