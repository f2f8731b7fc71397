"""Sets of masks on disk: drawn, rebuilt from a manifest, from Python and by the command."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from inpaint_cli.cli import main
from inpaint_cli.errors import ArgumentError
from inpaint_cli.masks.generate import draw_set, generate_masks, number_orders, rebuild_masks
from inpaint_cli.masks.manifest import read_manifest
from inpaint_cli.recipe.plugins import make_generator


def size_of(path):
    with Image.open(path) as image:
        return image.size


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def contents(folder: Path):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def test_a_manifest_rebuilds_its_masks_whatever_the_number_of_workers(tmp_path):
    masks = [
        make_generator("irregular", ratio=(0.2, 0.3)),
        make_generator("mixture", ratio=(0.3, 0.4)),
    ]
    orders = number_orders(masks, 20, (48, 64), seed=7)
    entries = draw_set(orders, masks, tmp_path / "one")
    draw_set(orders, masks, tmp_path / "two", workers=2)
    again = rebuild_masks(tmp_path / "one" / "masks.jsonl", tmp_path / "three")
    assert not again.differing
    assert again.entries == entries
    assert contents(tmp_path / "one") == contents(tmp_path / "two") == contents(tmp_path / "three")
    for entry in entries:
        with Image.open(tmp_path / "one" / entry.file) as image:
            assert image.mode == "1"
            assert np.count_nonzero(np.asarray(image)) == entry.pixels


def test_a_mask_does_not_depend_on_the_others(tmp_path):
    masks = [make_generator("irregular")]
    many = draw_set(number_orders(masks, 8, (32, 32), seed=7), masks, tmp_path / "many")
    few = draw_set(number_orders(masks, 3, (32, 32), seed=7), masks, tmp_path / "few")
    assert many[:3] == few
    assert len({entry.sha256 for entry in many}) == 8


def test_a_mask_that_comes_out_differently_is_named(tmp_path):
    assert run("masks", "gen", "--count", 3, "--size", 32, "-o", tmp_path / "m").exit_code == 0
    manifest = tmp_path / "m" / "masks.jsonl"
    *rest, last = manifest.read_text().splitlines()
    changed = json.loads(last) | {"sha256": "0" * 64}
    manifest.write_text("\n".join([*rest, json.dumps(changed)]))
    result = run("masks", "rebuild", manifest, "-o", tmp_path / "again")
    assert result.exit_code == 1
    assert "1 of 3 masks differ from the manifest (00002.png); install" in result.stderr


@pytest.fixture
def interrupt(monkeypatch):
    """Interrupt at the moment when a file of a name is to take its place."""

    def at(name: str) -> None:
        before = Path.replace

        def interrupted(path: Path, target: Path) -> Path:
            if target.name == name:
                raise KeyboardInterrupt
            return before(path, target)

        monkeypatch.setattr(Path, "replace", interrupted)

    yield at
    monkeypatch.undo()


@pytest.mark.parametrize("moment", ["00000.png", "00003.png", "masks.jsonl"])
@pytest.mark.parametrize("earlier", [0, 2, 8])
def test_an_interrupted_set_is_finished_by_the_same_command(
    moment, earlier, tmp_path, interrupt, monkeypatch
):
    """Over an earlier set as well, and without touching what is not its own."""
    masks = [make_generator("center")]

    def draw(folder: str) -> None:
        orders = number_orders(masks, 5, (8, 8), seed=0)
        draw_set(orders, masks, tmp_path / folder, overwrite=bool(earlier))

    draw("whole")
    if earlier:
        draw_set(number_orders(masks, earlier, (9, 9), seed=0), masks, tmp_path / "m")
        (tmp_path / "m" / "00050.png").write_bytes(b"mine")
    interrupt(moment)
    with pytest.raises(KeyboardInterrupt):
        draw("m")
    monkeypatch.undo()
    assert run("masks", "check", tmp_path / "m").exit_code == 1
    draw("m")
    own = {"00050.png": b"mine"} if earlier else {}
    assert contents(tmp_path / "m") == contents(tmp_path / "whole") | own


def test_another_command_does_not_go_on_with_an_unfinished_set(tmp_path, interrupt, monkeypatch):
    out, masks = tmp_path / "m", [make_generator("center")]
    interrupt("00002.png")
    with pytest.raises(KeyboardInterrupt):
        draw_set(number_orders(masks, 5, (8, 8), seed=0), masks, out)
    monkeypatch.undo()
    result = run("masks", "gen", "--count", 2, "--size", 32, "-o", out)
    assert result.exit_code == 1
    assert "has an unfinished set of other masks" in result.stderr
    assert run("masks", "gen", "--count", 1, "--size", 32, "-o", out, "--overwrite").exit_code == 0
    assert sorted(contents(out)) == ["00000.png", "masks.jsonl"]


def test_masks_of_photos_are_not_drawn_for_themselves(tmp_path):
    """A folder of masks may lie among the photos."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    command = ("masks", "gen", "--images", tmp_path, "-o", tmp_path / "masks")
    for option in ([], ["--overwrite"]):
        assert run(*command, *option).exit_code == 0
        assert sorted(contents(tmp_path / "masks")) == ["a.png", "masks.jsonl"]


def test_masks_never_replace_the_photos_they_are_for(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    before = contents(tmp_path)
    result = run("masks", "gen", "--images", str(tmp_path), "-o", str(tmp_path), "--overwrite")
    assert result.exit_code == 2
    assert contents(tmp_path) == before


def test_the_users_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("masks", "gen", "--ratio", "40-60", "--size", "64")
    assert (result.exit_code, result.stdout) == (0, "masks\n")
    _, entries = read_manifest(Path("masks/masks.jsonl"))
    assert len(entries) == 100
    assert all(0.4 < entry.ratio <= 0.6 for entry in entries)
    assert run("mask-gen", "--ratio", "40-60", "--size", "64", "-o", "other").exit_code == 0
    assert contents(Path("masks")) == contents(Path("other"))


def test_bins_and_sheet(tmp_path):
    result = run(
        "masks", "gen", "--bins", "1-10,10-20", "--per-bin", 4, "--size", "48x32",
        "-o", tmp_path / "m", "--sheet", tmp_path / "sheet.png",
    )  # fmt: skip
    assert result.exit_code == 0
    names = sorted(p.name for p in (tmp_path / "m").glob("*.png"))
    assert names[0] == "1-10_00000.png"
    assert len(names) == 8
    assert size_of(tmp_path / "m" / names[0]) == (48, 32)
    assert size_of(tmp_path / "sheet.png")[0] > 900


def test_one_mask_for_each_photo_upright_with_its_tree(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    Image.new("RGB", (40, 20)).save(tmp_path / "photos" / "a.jpg", exif=exif)
    Image.new("RGB", (30, 50)).save(tmp_path / "photos" / "deep" / "b.png")
    result = run("masks", "gen", "boxes", "--images", tmp_path / "photos", "-o", tmp_path / "m")
    assert result.exit_code == 0
    assert size_of(tmp_path / "m" / "a.png") == (20, 40)
    assert size_of(tmp_path / "m" / "deep" / "b.png") == (30, 50)
    Image.new("RGB", (40, 20)).save(tmp_path / "photos" / "a.png")
    result = run("masks", "gen", "--images", tmp_path / "photos", "-o", tmp_path / "n")
    assert result.exit_code == 1
    assert "two photos for the mask a.png" in result.stderr


def test_a_folder_with_files_is_left_alone_without_overwrite(tmp_path):
    out = tmp_path / "m"
    assert run("masks", "gen", "--count", 5, "--size", 32, "-o", out).exit_code == 0
    (out / "own.txt").write_text("mine")
    before = contents(out)
    result = run("masks", "gen", "--count", 2, "--size", 32, "-o", out)
    assert result.exit_code == 1
    assert "not empty" in result.stderr
    assert contents(out) == before
    assert run("masks", "gen", "--count", 2, "--size", 32, "-o", out, "--overwrite").exit_code == 0
    assert sorted(contents(out)) == ["00000.png", "00001.png", "masks.jsonl", "own.txt"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--ratio", "60-40"], 2, "did you mean 40-60?"),
        (["--ratio", "0-0"], 2, "0 to 100"),
        (["--ratio", "50-150"], 2, "0 to 100"),
        (["--ratio", "half"], 2, "write LOW-HIGH in percent: 40-60"),
        (["--ratio", "nan-nan"], 2, "0 to 100"),
        (["--size", "0"], 2, "write 256, or WIDTHxHEIGHT"),
        (["--size", "1x2x3"], 2, "write 256, or WIDTHxHEIGHT"),
        (["--bins", "1-10,5"], 2, "'5' is not a ratio"),
        (["--bins", "1-10", "--ratio", "1-10"], 2, "--ratio: cannot be combined with bins"),
        (["--per-bin", "3"], 2, "--per-bin needs --bins"),
        (["--bins", "1-10", "--count", "3"], 2, "use --per-bin"),
        (["--images", ".", "--count", "3"], 2, "--count: cannot be combined with images"),
        (["nothing"], 1, "no mask named 'nothing'"),
        (["half", "--ratio", "60-70"], 1, "use 'irregular'"),
        (["-o", "file/below"], 1, "cannot be written"),
        (["-o", "file"], 1, "is a file"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, monkeypatch, arguments, code, says):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    result = run("masks", "gen", "--size", "32", *arguments)
    assert result.exit_code == code
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("Error: ")


def test_kinds_are_listed_with_their_settings():
    assert "lama-thick" in run("masks", "kinds").stdout
    (row,) = json.loads(run("masks", "kinds", "boxes", "--json").stdout)
    assert row["settings"] == {"count": [1, 4], "side": [0.1, 0.5]}
    assert row["descriptions"].keys() == row["settings"].keys()
    assert row["descriptions"]["count"] in run("masks", "kinds", "boxes").stdout


def test_python_draws_what_the_command_draws(tmp_path):
    masks = generate_masks(
        "boxes", tmp_path / "a", count=3, size=(32, 48), settings={"count": [1, 2]}, seed=5
    )
    command = ["masks", "gen", "boxes", "--count", 3, "--size", "48x32", "--seed", 5]
    result = run(*command, "--set", "count=[1, 2]", "-o", tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert masks.manifest == tmp_path / "a/masks.jsonl"
    assert result.stderr == masks.summary.replace(str(tmp_path / "a"), str(tmp_path / "b")) + "\n"
    texts = generate_masks("boxes", tmp_path / "c", count=3, size=32, settings=["count=[1, 2]"])
    assert len(texts.entries) == 3
    assert "identical" in rebuild_masks(str(masks.manifest), tmp_path / "d").summary


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"kind": 3}, "kind: should be a valid string, not 3"),
        ({"count": 0}, "count: should be greater than 0"),
        ({"output": 3}, "output: should be a path"),
        ({"ratio": 0.4}, "ratio: should be a valid tuple"),
        ({"ratio": (0.1, 0.2), "bins": [(0.1, 0.2)]}, "ratio: cannot be combined with bins"),
        ({"images": ".", "count": 3}, "count: cannot be combined with images"),
        ({"images": ".", "output": "."}, "output: the masks would overwrite"),
    ],
)
def test_wrong_arguments_are_refused_by_name(tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArgumentError, match=says):
        generate_masks(**arguments)
    assert not any(tmp_path.iterdir())


def test_a_ratio_among_the_settings_counts(tmp_path):
    masks = generate_masks(output=tmp_path, count=4, size=32, settings={"ratio": (0.5, 0.6)})
    assert all(0.5 < entry.ratio <= 0.6 for entry in masks.entries)
