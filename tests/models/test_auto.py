"""`auto` chooses by the photo and the hole, says what it took, and costs no network for it."""

import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from skimage import data
from skimage.feature import Cascade

import inpaint_cli as inpaint
from inpaint_cli.cli import main
from inpaint_cli.models.auto import Auto, load_chosen
from inpaint_cli.models.find_face import find_face

HEAD = data.astronaut()[:256, 100:356]
CHEEK = (100, 130, 40, 30)  # top, left, height, width
FLAG = (180, 0, 60, 40)


def cut(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    hole = np.zeros(HEAD.shape[:2], np.bool_)
    for top, left, height, width in boxes:
        hole[top : top + height, left : left + width] = True
    return hole


def test_the_face_is_where_scikit_image_sees_it():
    grey = np.asarray(Image.fromarray(HEAD).convert("L"))
    cascade = Cascade(data.lbp_frontal_face_cascade_filename())
    (theirs,) = cascade.detect_multi_scale(HEAD, 1.2, 1, (60, 60), (150, 150))
    ours = find_face(grey)
    assert ours is not None
    for a, b in zip(ours, (theirs["r"], theirs["c"], theirs["width"]), strict=True):
        assert abs(a - b) < 0.25 * ours.side


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (24, 24), (200, 150)])
def test_there_is_no_face_in_noise(shape):
    assert find_face(np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)) is None


def test_there_is_no_face_in_scenes():
    for photo in (data.coffee(), data.rocket(), data.chelsea()):
        assert find_face(np.asarray(Image.fromarray(photo).convert("L"))) is None


@pytest.mark.parametrize(("box", "name"), [(CHEEK, "faces"), (FLAG, "patchmatch")])
@pytest.mark.parametrize("zoom", [1, 6])
def test_it_fills_as_the_chosen_model_does(box, name, zoom):
    photo, hole = (np.repeat(np.repeat(x, zoom, 0), zoom, 1) for x in (HEAD, cut(box)))
    notes = []
    filled = inpaint.fill(photo, mask=hole, model="auto", notify=notes.append)
    assert [note for note in notes if note.startswith(f"auto took {name}: ")] == [filled.notes[0]]
    assert np.array_equal(filled.array, inpaint.fill(photo, mask=hole, model=name).array)


def test_a_hole_far_larger_than_the_face_is_none_of_a_face():
    hole = cut(CHEEK, (0, 0, 60, 256), (170, 0, 86, 60))
    assert Auto().choose(HEAD / np.float32(255), hole).name == "patchmatch"


def test_the_command_says_it_once_and_its_card_repeats_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(HEAD).save("photo.png")
    Image.fromarray(cut(CHEEK)).save("mask.png")
    run = CliRunner().invoke
    done = run(main, ["fill", "photo.png", "--mask", "mask.png", "--model", "auto", "--card"])
    assert done.exit_code == 0, done.stderr
    assert done.stderr.count("auto took faces: the hole is on a face") == 1
    card = json.loads((tmp_path / "photo.filled.png.card.json").read_text("utf-8"))
    assert card["weights"]["path"].endswith("faces.safetensors")
    assert card["notes"][0] == "auto took faces: the hole is on a face"
    again = run(main, ["fill", "--from-card", "photo.filled.png.card.json", "-o", "again.png"])
    assert "bit for bit" in again.stderr


def test_a_folder_chooses_for_each_photo(tmp_path):
    for name, box in (("cheek", CHEEK), ("flag", FLAG)):
        for folder, picture in (("photos", HEAD), ("masks", cut(box))):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(picture).save(tmp_path / folder / f"{name}.png")
    load_chosen.cache_clear()
    out = tmp_path / "out"
    inpaint.fill_folder(tmp_path / "photos", tmp_path / "masks", out, model="auto")
    entries = map(json.loads, (out / "ledger.jsonl").read_text("utf-8").splitlines())
    taken = {entry["name"]: entry["notes"][0].split()[2] for entry in entries}
    assert taken == {"cheek.png": "faces:", "flag.png": "patchmatch:"}


def test_it_imports_torch_for_a_face_alone():
    code = """if True:
        import sys, numpy as np, inpaint_cli
        rgb = np.random.default_rng(0).integers(0, 255, (80, 90, 3)).astype(np.uint8)
        hole = np.zeros((80, 90), bool)
        hole[20:40, 30:60] = True
        inpaint_cli.fill(rgb, mask=hole, model="auto")
        assert not {"torch", "skimage", "scipy"} & {*sys.modules}
    """
    subprocess.run([sys.executable, "-c", code], check=True)
