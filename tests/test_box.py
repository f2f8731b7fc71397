"""The weights that come with the program: there, small, said to be for research, and of use."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from places import ROOT
from skimage import data

from inpaint_cli.cli import main
from inpaint_cli.filling.fill import fill_array
from inpaint_cli.models.choose import load_model

SHIPPED = ROOT / "inpaint_cli" / "models" / "builtin" / "faces.safetensors"


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch, tmp_path):
    monkeypatch.setenv("INPAINT_WEIGHTS_DIR", str(tmp_path / "none"))


def test_they_are_listed_with_licence_and_size():
    told = CliRunner().invoke(main, ["models", "--json"])
    (faces,) = [row for row in json.loads(told.stdout) if row["name"] == "faces"]
    assert faces["weights"] == str(SHIPPED)
    assert "research only" in faces["licence"]
    assert faces["bytes"] == SHIPPED.stat().st_size <= 25e6
    assert "research only" in CliRunner().invoke(main, ["models"]).stdout
    card = SHIPPED.with_suffix(".md").read_text("utf-8")
    assert "research only" in card


@pytest.mark.parametrize("size", [(300, 180), (37, 211)])
def test_a_portrait_is_filled_and_nothing_else_touched(size: tuple[int, int], tmp_path: Path):
    height, width = size
    photo = data.astronaut()[:height, 100 : 100 + width]
    Image.fromarray(photo).save(tmp_path / "p.png")
    box = f"{width // 3},{height // 3},{width // 4},{height // 4}"
    line = ["fill", str(tmp_path / "p.png"), "--region", box, "--model", "faces"]
    told = CliRunner().invoke(main, [*line, "-o", str(tmp_path / "o.png"), "--verify"])
    assert told.exit_code == 0, told.output
    changed = (np.array(Image.open(tmp_path / "o.png")) != photo).any(-1)
    rows, columns = np.nonzero(changed)
    assert changed.any()
    assert rows.min() >= height // 3
    assert columns.min() >= width // 3
    assert rows.max() < height // 3 + height // 4
    assert columns.max() < width // 3 + width // 4


def test_they_know_more_of_a_face_than_its_surroundings_show():
    """Eyes and nose from the rest, roughly: this face is not aligned as those trained on."""
    face = cv2.resize(data.astronaut()[10:220, 120:330], (256, 256), interpolation=cv2.INTER_AREA)
    face = face.astype(np.float32) / 255
    hole = np.zeros((256, 256), np.bool_)
    hole[80:130, 60:200] = True
    errors = {}
    for name in ("faces", "telea", "biharmonic"):
        filled = face.copy()
        filler = load_model(name, device="cpu").filler
        assert fill_array(filler, filled, hole, np.random.default_rng(0))
        errors[name] = float(((filled - face) ** 2).mean())
    assert errors["faces"] < 0.75 * min(errors["telea"], errors["biharmonic"])
