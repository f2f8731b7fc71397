"""Masks that finders make: from Python, from the command line, in fills and folder jobs."""

import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import inpaint_cli as inpaint
from inpaint_cli.cli import main
from inpaint_cli.errors import ArgumentError, ImageError
from inpaint_cli.masks.find import make_finder
from inpaint_cli.registry import find_plugins

ORANGE = (255, 140, 30)


@pytest.fixture
def stamped(tmp_path, monkeypatch):
    """A gray photo with an orange bar, 10 x 4 pixels at 20, 8."""
    monkeypatch.chdir(tmp_path)
    photo = np.full((40, 60, 3), 90, np.uint8)
    photo[8:12, 20:30] = ORANGE
    Image.fromarray(photo).save("photo.png")
    return photo


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def run(*args, code=0):
    done = CliRunner().invoke(main, list(map(str, args)))
    assert done.exit_code == code, done.output
    return done


def test_it_finds_the_same_in_a_file_an_array_and_a_picture(stamped):
    masks = [
        inpaint.find_mask(photo, "color:value=#ff8c1e", grow=0)
        for photo in ("photo.png", stamped, Image.fromarray(stamped))
    ]
    assert masks[0].sum() == 40
    assert masks[0][8:12, 20:30].all()
    assert all(np.array_equal(mask, masks[0]) for mask in masks)


def test_gray_and_16_bit_photos_are_seen_as_rgb(stamped):
    deep = stamped.astype(np.uint16) * 257
    for photo in (deep, deep[..., 0], stamped[..., 0] / 255):
        mask = inpaint.find_mask(photo, "color", value="90,90,90", grow=0, limit=1)
        assert mask.shape == stamped.shape[:2]
        assert mask.sum() == 60 * 40 - 40


def test_a_box_bounds_what_is_found(stamped):
    assert inpaint.find_mask(stamped, "color:value=#ff8c1e,within=25,0,9,10,grow=0").sum() == 10


def test_a_mask_file_and_its_preview_are_written(stamped):
    args = ("masks", "find", "color", "photo.png", "--set", "value=#ff8c1e", "-o", "m.png")
    done = run(*args, "--preview", "p.jpg")
    assert done.stdout == "m.png\n"
    assert "'color' found 2.83% of photo.png" in done.stderr
    mask = pixels("m.png")
    assert mask.dtype == bool
    assert mask.shape == (40, 60)
    assert pixels("p.jpg").shape == (40, 60, 3)
    assert "exists already" in run(*args, code=1).output
    run(*args, "--overwrite")


def test_places_are_options(stamped):
    args = ("masks", "find", "object", "photo.png", "-o", "m.png", "--overwrite")
    run(*args, "--box", "16,4,18,12", "--at", "24,9", "--at", "26,10", "--not", "3,3")
    assert pixels("m.png")[8:12, 20:30].all()
    assert not pixels("m.png")[:3].any()
    assert "say where the object is" in run(*args, code=2).output


def test_finding_nothing_is_said_and_writes_a_black_mask(stamped):
    done = run("masks", "find", "color", "photo.png", "--set", "value=blue", "-o", "m.png")
    assert "'color' found nothing in photo.png" in done.stderr
    assert not pixels("m.png").any()
    done = run("fill", "photo.png", "--find", "color:value=blue", "--model", "telea", code=1)
    assert "found nothing" in done.stderr
    assert np.array_equal(pixels("photo.filled.png"), stamped)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("colour:value=red", "no finder named 'colour'; did you mean 'color'"),
        ("color", "value: field required"),
        ("color:value=reddish", "unknown color"),
        ("color:valu=red", "no setting named 'valu'; did you mean 'value'"),
        ("color:red", "write KIND:KEY=VALUE"),
        ("polygon:points=1,2,3", "an even count"),
        ("ellipse:box=1,2,0,4", "with a width"),
        ("line:points=1,2,width=wide", "width: "),
    ],
)
def test_a_wrong_finder_is_an_error_of_usage(stamped, kind, reason):
    with pytest.raises(ArgumentError, match=reason):
        make_finder(kind)
    assert reason in run("fill", "photo.png", "--find", kind, code=2).output


def test_more_than_the_limit_is_refused(stamped):
    with pytest.raises(ImageError, match=r"found 98\.3% of the photo, more than the limit of 25%"):
        inpaint.find_mask(stamped, "color:value=90,90,90,grow=0")
    inpaint.find_mask(stamped, "color:value=90,90,90,grow=0", limit=0.99)
    args = ("fill", "photo.png", "--find", "polygon:points=0,0,60,0,60,20", "--model", "telea")
    assert "more than the limit of 5%" in run(*args, "--find-limit", "5%", code=1).output
    run(*args)


def test_a_fill_unites_finders_masks_and_regions(stamped):
    spot = np.zeros((40, 60), bool)
    spot[30, 50] = True
    filled = inpaint.fill(
        stamped,
        spot,
        find=["color:value=#ff8c1e,grow=0", "line:points=5.5,35.5,width=1"],
        regions=[(0, 0, 2, 2)],
        model="telea",
    )
    assert filled.hole.area.sum() == 40 + 1 + 1 + 4
    assert (abs(filled.array[filled.hole.area].astype(int) - 90) < 4).all()
    assert filled.hole.found["color:value=#ff8c1e,grow=0"] == round(40 / 2400, 6)


def test_a_folder_job_notes_shares_and_refuses_by_photo(stamped, tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(stamped).save("in/stamp.png")
    Image.new("RGB", (60, 40), ORANGE).save("in/orange.png")
    args = ("infer", "in", "--find", "color:value=#ff8c1e", "-o", "out", "--model", "telea")
    assert "1 filled, 0 kept, 1 failed" in run(*args, code=1).stdout
    lines = (tmp_path / "out/ledger.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    by_name = {entry["name"]: entry for entry in entries}
    assert by_name["stamp.png"]["found"] == {"color:value=#ff8c1e": round(68 / 2400, 6)}
    assert "more than the limit" in by_name["orange.png"]["error"]


def test_a_card_repeats_what_was_found(stamped):
    run("fill", "photo.png", "--find", "color:value=#ff8c1e", "--model", "telea", "--card")
    done = run("fill", "--from-card", "photo.filled.png.card.json", "-o", "again.png")
    assert "bit for bit" in done.stderr


def paint(stamped, left):
    copy = stamped.copy()
    copy[20:28, left : left + 8] = 255, 0, 255
    Image.fromarray(copy).save("painted.png")


def test_a_folder_job_fills_again_when_a_file_of_a_finder_changed(stamped, tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(stamped).save("in/a.png")
    paint(stamped, 10)
    args = ("infer", "in", "--find", "markup:marked=painted.png", "-o", "out", "--model", "telea")
    assert "1 filled" in run(*args).stdout
    assert "1 kept" in run(*args).stdout
    paint(stamped, 40)
    assert "1 filled, 0 kept" in run(*args).stdout
    assert "1 kept" in run(*args).stdout


def test_a_job_that_a_finder_refused_is_tried_again_when_its_file_changed(stamped, tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(stamped).save("in/a.png")
    Image.fromarray(255 - stamped).save("painted.png")
    args = ("infer", "in", "--find", "markup:marked=painted.png", "-o", "out", "--model", "telea")
    assert "1 failed" in run(*args, code=1).stdout
    paint(stamped, 40)
    assert "1 filled" in run(*args).stdout


def test_a_card_tells_that_a_file_of_a_finder_changed(stamped):
    paint(stamped, 10)
    find = ("--find", "markup:marked=painted.png", "--model", "telea")
    run("fill", "photo.png", *find, "--card")
    again = ("fill", "--from-card", "photo.filled.png.card.json", "-o", "again.png", "--overwrite")
    assert "bit for bit" in run(*again).stderr
    paint(stamped, 40)
    done = run(*again, code=1)
    assert "painted.png has changed since photo.filled.png.card.json was written" in done.stderr


def test_a_card_of_before_without_such_files_is_repeated(stamped, tmp_path):
    paint(stamped, 10)
    run("fill", "photo.png", "--find", "markup:marked=painted.png", "--model", "telea", "--card")
    card = tmp_path / "photo.filled.png.card.json"
    values = json.loads(card.read_text())
    assert [file["path"] for file in values.pop("files")] == ["painted.png"]
    card.write_text(json.dumps(values))
    assert "bit for bit" in run("fill", "--from-card", card, "-o", "again.png").stderr


SPY = """
import sys
import inpaint_cli as inpaint
for kind in sys.argv[2:]:
    inpaint.list_finders(kind)
inpaint.find_mask(sys.argv[1], "color:value=red")
heavy = sys.modules.keys() & {"torch", "scipy", "skimage"}
assert not heavy, heavy
"""


def test_finding_imports_no_torch(stamped):
    command = [sys.executable, "-c", SPY, "photo.png", *find_plugins("finders")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_finders_are_listed_with_their_settings():
    rows = {row["kind"]: row for row in json.loads(run("masks", "finders", "--json").stdout)}
    assert rows.keys() == find_plugins("finders").keys()
    assert rows["color"]["settings"]["tolerance"] == 20
    assert "line" in run("masks", "finders", "line").stdout
