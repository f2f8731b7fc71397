"""Models side by side: in the order given, each once, around the hole at native scale."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from skimage import data

from inpaint_cli.cli import main
from inpaint_cli.filling.compare import SHEET_CELL, hole_view


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder `p` with two photos and their masks."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p" / "sub").mkdir(parents=True)
    for n, name in enumerate(["p/one.jpg", "p/sub/two.png"]):
        photo = Image.fromarray(data.chelsea()[40 * n : 40 * n + 64, 60:140])
        photo.save(tmp_path / name)
        mask = Image.new("L", photo.size)
        mask.paste(255, (20, 16, 44, 40))
        mask.save((tmp_path / name).with_name((tmp_path / name).stem + "_mask.png"))
    return tmp_path


def compare(*args: str):
    return CliRunner().invoke(main, ["compare", *args], catch_exceptions=False)


def test_a_folder_by_two_models_in_the_order_given(files):
    args = ["--mask", "p", "--truth", "p", "telea", "ns", "--results", "made", "-o", "s.png"]
    result = compare("p", *args, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert [line["model"] for line in told["models"]] == ["telea", "ns"]
    for line in told["models"]:
        assert line["seconds"] > 0
        assert line["memory"] >= 0
        assert 5 < line["scores"]["psnr"] < 60
        assert 0 < line["scores"]["ssim"] < 1
        assert line["scores"]["l1"] > 0
        assert line["scores"]["seam"] >= 0
    folder = files / "made"
    made = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    assert made == ["ns/one.png", "ns/sub/two.png", "telea/one.png", "telea/sub/two.png"]
    telea = np.array(Image.open(files / "made/telea/sub/two.png"))
    ns = np.array(Image.open(files / "made/ns/sub/two.png"))
    truth = np.array(Image.open(files / "p/sub/two.png"))
    hole = np.array(Image.open(files / "p/sub/two_mask.png")) > 127
    assert np.array_equal(telea[~hole], truth[~hole])
    assert not np.array_equal(telea[hole], ns[hole])
    page = np.array(Image.open(files / "s.png"))
    # 64 x 71 around the hole, enlarged by a whole factor; the third column is telea's
    box, factor = hole_view(hole), SHEET_CELL // 71
    cut = telea[box]
    assert cut.shape == (64, 71, 3)
    row = 64 * factor + 28
    assert page.shape == (40 + 2 * row, 8 + 5 * (SHEET_CELL + 8), 3)
    left, top = 8 + 2 * (SHEET_CELL + 8) + (SHEET_CELL - 71 * factor) // 2, 40 + row
    shown = page[top::factor, left::factor][: cut.shape[0], : cut.shape[1]]
    assert np.array_equal(shown, cut)


@pytest.mark.parametrize(
    ("args", "code", "sentence"),
    [
        (["telea"], 2, "say where the hole is"),
        (["--mask", "nowhere", "telea"], 2, "no file 'nowhere'"),
        (["--mask", "p/one_mask.png"], 2, "Missing argument"),
        (["--mask", "p/one_mask.png", "telea", "tela"], 1, "did you mean 'telea'"),
        (["--mask", "p/one_mask.png", "telea", "ns", "telea"], 1, "two models are called telea"),
        (["--mask", "p/one_mask.png", "telea", "-o", "p/one.jpg"], 1, "exists already"),
        (["--mask", "p/one_mask.png", "telea", "-o", "sheet"], 1, "sheet has no suffix of a"),
        (["--mask", "p/one_mask.png", "telea", "-o", "sheet.xyz"], 1, "use one of .jpg"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_filled(files, args, code, sentence):
    result = compare("p/one.jpg", *args)
    assert result.exit_code == code
    assert sentence in result.stderr


@pytest.mark.parametrize("shape", [(40, 50), (100, 2000), (3000, 200)])
def test_a_sheet_shows_the_hole_at_native_scale(shape):
    hole = np.zeros(shape, np.bool_)
    hole[-30:-10, -40:-5] = True
    rows, columns = hole_view(hole)
    assert rows.start >= 0
    assert rows.stop <= shape[0]
    assert hole[rows, columns].sum() == hole.sum()
    hole[:] = True
    rows, columns = hole_view(hole)
    assert rows.stop - rows.start == min(shape[0], SHEET_CELL)
    assert columns.stop - columns.start == min(shape[1], SHEET_CELL)


def test_what_a_folder_lacks_is_said_before_anything_is_filled(files):
    Image.new("RGB", (80, 64)).save("p/sub/two.jpg")
    region = ["--region", "20,16,24,24", "telea"]
    result = compare("p", *region)
    assert result.exit_code == 1
    assert "two.jpg and p/sub/two.png would both be filled as sub/two.png" in result.stderr
    (files / "p/sub/two.jpg").unlink()
    (files / "truth/sub").mkdir(parents=True)
    for name in ("one.jpg", "sub/two.png"):
        Image.new("RGB", (80, 65)).save(f"truth/{name}")
    result = compare("p", "--mask", "p", "--truth", "truth", "telea", "--results", "made")
    assert result.exit_code == 1
    assert "truth/one.jpg is 80x65, but p/one.jpg is 80x64" in result.stderr
    assert not (files / "made").exists()


def test_results_that_are_there_are_kept_unless_told(files):
    args = ["p/one.jpg", "--mask", "p/one_mask.png", "telea", "--results", "made", "-o"]
    kept = files / "made/telea/one.png"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"mine")
    result = compare(*args, "s.png")
    assert result.exit_code == 1
    assert "one.png exists already; give another name or --overwrite" in result.stderr
    assert kept.read_bytes() == b"mine"
    assert compare(*args, "s.png", "--overwrite").exit_code == 0
    with Image.open(kept) as image:
        assert image.size == (80, 64)


def test_a_photo_that_cannot_be_read_does_not_cost_the_others_their_sheet(files):
    photo = files / "p/sub/two.png"
    photo.write_bytes(photo.read_bytes()[:2000])
    result = compare("p", "--mask", "p", "telea", "-o", "s.png", "--json")
    assert result.exit_code == 1
    assert list(json.loads(result.stdout)["models"][0]["failed"]) == ["sub/two.png"]
    assert (files / "s.png").is_file()


def test_the_folder_that_one_is_in_has_a_name(files, monkeypatch):
    monkeypatch.chdir(files / "p")
    result = compare(".", "--mask", ".", "telea")
    assert result.exit_code == 0, result.stderr
    assert (files / "p.compare.png").is_file()


@pytest.mark.parametrize("output", ["sheet", "sheet.xyz"])
def test_explain_too_asks_for_a_suffix_before_any_work(files, output):
    args = ["explain", "p/one.jpg", "--mask", "p/one_mask.png", "--model", "telea", "-o", output]
    result = CliRunner().invoke(main, args, catch_exceptions=False)
    assert result.exit_code == 1
    assert f"{output} has no suffix of a picture" in result.stderr
