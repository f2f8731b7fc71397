"""What `masks check` finds, and that it finds nothing where nothing is wrong."""

import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from places import SHARED

from inpaint_cli.cli import main
from inpaint_cli.masks.check import inspect_masks
from inpaint_cli.masks.generate import generate_masks
from inpaint_cli.recipe.plugins import make_generator

SOUND = np.zeros((40, 60), np.uint8)
SOUND[10:25, 20:45] = 255


def masks_of(kind: str, count: int):
    masks = make_generator(kind, ratio=(0.2, 0.4))
    for n in range(count):
        yield masks.draw(128, 128, np.random.default_rng(n)).astype(np.uint8) * 255


def run(*arguments):
    return CliRunner().invoke(main, ["masks", "check", *map(str, arguments)])


def save(path: Path, pixels: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def only(path: Path, images: Path | None = None):
    """The one finding about `path`."""
    (finding,) = inspect_masks(path, images).findings
    return finding


def test_a_sound_mask_has_no_findings(tmp_path):
    result = run(save(tmp_path / "m.png", SOUND))
    assert result.exit_code == 0
    assert "the hole is white" in result.stdout
    assert "hole: mean 15.6%" in result.stdout
    assert result.stdout.endswith("no problems\n")


def with_alpha() -> np.ndarray:
    pixels = np.full((40, 60, 4), 255, np.uint8)
    pixels[..., 3] = SOUND
    return pixels


@pytest.mark.parametrize(
    ("pixels", "problem", "says"),
    [
        (255 - SOUND, True, "use fill --mask-invert"),
        (SOUND // 255, False, "such as 0 and 1: fill takes the upper one as the hole"),
        (SOUND // 255 + np.eye(40, 60, dtype=np.uint8), True, "use fill --mask-threshold"),
        (np.zeros_like(SOUND), True, "no hole"),
        (np.full_like(SOUND, 255), True, "nothing is visible"),
        (np.tile(np.arange(60, dtype=np.uint8) * 4, (40, 1)), True, "are these the photos?"),
        (with_alpha(), False, "in the alpha channel"),
    ],
)
def test_each_fault_is_one_sentence_with_its_cure(tmp_path, pixels, problem, says):
    finding = only(save(tmp_path / "m.png", pixels))
    assert says in finding.text
    assert finding.problem is problem
    assert finding.files == ("m.png",)
    assert run(tmp_path / "m.png").exit_code == problem


def test_jpeg_noise_is_a_note(tmp_path):
    (mask,) = masks_of("irregular", 1)
    finding = only(save(tmp_path / "m.jpg", mask, quality=85))
    assert not finding.problem
    assert "not exactly black or white" in finding.text


def test_many_black_holes_are_one_finding(tmp_path):
    for n in range(5):
        save(tmp_path / f"{n}.png", 255 - np.roll(SOUND, n))
    report = inspect_masks(tmp_path)
    assert report.polarity == "black"
    assert str(report.findings[0]).endswith("(0.png, 1.png, 2.png and 2 more)")


def test_a_manifest_settles_the_polarity_that_shapes_cannot(tmp_path):
    gen = ["masks", "gen", "--ratio", "85-90", "--count", "4", "--size", "64", "-o", str(tmp_path)]
    assert CliRunner().invoke(main, gen).exit_code == 0
    assert not inspect_masks(tmp_path).findings
    (tmp_path / "masks.jsonl").unlink()
    assert "--mask-invert" in only(tmp_path).text


@pytest.mark.parametrize("name", ["there.png", "sheet", "sheet.xyz"])
def test_a_sheet_overwrites_nothing_and_is_an_image(tmp_path, name):
    save(tmp_path / "a.png", SOUND)
    (tmp_path / "there.png").write_text("mine")
    args = ["masks", "check", str(tmp_path / "a.png"), "-o", str(tmp_path / name)]
    assert CliRunner().invoke(main, args).exit_code == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "there.png"]
    assert (tmp_path / "there.png").read_text() == "mine"


@pytest.mark.parametrize(
    ("size", "says"),
    [((40, 60), "rotate the mask"), ((120, 80), "--mask-resize"), ((60, 60), "make a new mask")],
)
def test_masks_that_do_not_fit_their_photo(tmp_path, size, says):
    save(tmp_path / "masks" / "a.png", SOUND)
    photo = save(tmp_path / "photos" / "a.jpg", np.zeros((*size[::-1], 3), np.uint8))
    finding = only(tmp_path / "masks", tmp_path / "photos")
    assert finding.problem
    assert says in finding.text
    assert finding.files == (f"a.png 60x40 for {size[0]}x{size[1]}",)
    assert only(tmp_path / "masks" / "a.png", photo) == finding


def test_photos_are_measured_as_they_are_shown(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "masks" / "a.png", SOUND)
    save(tmp_path / "photos" / "a.jpg", np.zeros((60, 40, 3), np.uint8), exif=exif)
    assert not inspect_masks(tmp_path / "masks", tmp_path / "photos").findings


def test_masks_and_photos_without_partner_and_broken_ones_are_named(tmp_path):
    for name in ("a", "b", "sub/c"):
        save(tmp_path / "masks" / f"{name}.png", SOUND)
        save(tmp_path / "photos" / f"{name}.jpg", np.zeros((40, 60, 3), np.uint8))
    save(tmp_path / "masks" / "lone.png", SOUND)
    save(tmp_path / "photos" / "bare.png", SOUND)
    (tmp_path / "masks" / "b.png").write_bytes(b"nothing")
    (tmp_path / "photos" / "a.jpg").write_bytes(b"nothing")
    result = run(tmp_path / "masks", "--images", tmp_path / "photos", "-o", tmp_path / "s.png")
    assert result.exit_code == 1
    for text in (
        "problem: b.png is not a picture",
        "lone.png is the mask of no photo",
        "bare.png has no mask",
        "photos/a.jpg is",
    ):
        assert text in result.stdout
    assert result.stdout.endswith("4 problems\n")
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.width > 100


def test_masks_may_be_among_their_photos_and_serve_several(tmp_path):
    save(tmp_path / "a.jpg", np.zeros((40, 60, 3), np.uint8))
    save(tmp_path / "b.jpg", np.zeros((60, 60, 3), np.uint8))
    save(tmp_path / "a_mask.png", SOUND)
    save(tmp_path / "b_mask.png", SOUND)
    (finding,) = inspect_masks(tmp_path, tmp_path).findings
    assert finding.files == ("b_mask.png 60x40 for 60x60",)
    mask = save(tmp_path / "m" / "one.png", SOUND)
    (tmp_path / "b_mask.png").unlink()
    (finding,) = inspect_masks(mask, tmp_path).findings
    assert finding.files == ("one.png 60x40 for 60x60",)


def test_json_has_every_mask_and_finding(tmp_path):
    save(tmp_path / "a.png", SOUND)
    save(tmp_path / "b.png", np.zeros_like(SOUND))
    result = run(tmp_path, "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert report["masks"] == 2
    assert report["bins"] == [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert report["files"][0]["ratio"] == 0.15625
    assert report["findings"][0]["files"] == ["b.png"]


def test_nothing_to_check(tmp_path):
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "Error: no image files in" in result.stderr
    save(tmp_path / "m" / "a.png", SOUND)
    result = run(tmp_path / "m", "--images", save(tmp_path / "p.png", SOUND))
    assert "give the folder of their photos" in result.stderr


@pytest.mark.skipif(
    not (SHARED / "masks").is_dir(), reason="the real masks are not on this machine"
)
def test_real_masks_of_two_published_sets():
    report = inspect_masks(SHARED / "masks")
    assert not report.findings
    assert report.polarity == "white"
    assert report.bins == [10] * 6 + [0] * 4
    assert sum(mask.border for mask in report.masks) == 26


def test_masks_in_an_archive_are_checked_like_those_in_a_folder(tmp_path):
    generate_masks("boxes", tmp_path / "m", count=3, size=(20, 30))
    with ZipFile(tmp_path / "m.zip", "w") as archive:
        for file in (tmp_path / "m").glob("*.png"):
            archive.write(file, file.name)
    folder, packed = (inspect_masks(tmp_path / name) for name in ("m", "m.zip"))
    assert [mask.ratio for mask in packed.masks] == [mask.ratio for mask in folder.masks]
