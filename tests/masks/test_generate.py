"""What mask generators promise, and that a manifest rebuilds a set."""

import hashlib
import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from inpaint_cli.api.masks import hole_areas, on_border
from inpaint_cli.cli import main
from inpaint_cli.errors import ArgumentError, DataError, RecipeError
from inpaint_cli.masks.generate import (
    draw_set,
    generate_masks,
    list_mask_kinds,
    number_orders,
    rebuild_masks,
)
from inpaint_cli.masks.manifest import read_manifest
from inpaint_cli.recipe.plugins import make_generator

BUILT_IN = [row["kind"] for row in list_mask_kinds() if row["kind"] != "files"]


def drawn(kind: str, size: tuple[int, int] = (256, 256), count: int = 200, **settings):
    masks = make_generator(kind, **settings)
    return np.stack(
        [masks.draw(size[0], size[1], np.random.default_rng([1, n])) for n in range(count)]
    )


def size_of(path):
    with Image.open(path) as image:
        return image.size


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


# ratios


def test_intervals_are_open_below_and_closed_above():
    assert list(hole_areas((0.29, 0.31), 100)) == [30, 31]  # though 0.29 * 100 < 29 in floats
    assert list(hole_areas((0, 0.02), 100)) == [1, 2]
    assert not hole_areas((0.401, 0.402), 100)


@settings(deadline=None, max_examples=80)
@given(
    low=st.integers(100, 8900),
    width=st.integers(100, 500),
    height=st.integers(64, 1024),
    long=st.sampled_from([0.5, 1, 1.7]),
    border=st.sampled_from([None, None, True]),
    seed=st.integers(0, 1000),
)
def test_strokes_reach_every_ratio_at_every_size(low, width, height, long, border, seed):
    ratio = low / 10_000, min(low + width, 9000) / 10_000
    masks = make_generator("irregular", ratio=ratio, border=border)
    mask = masks.draw(height, max(64, int(height * long)), np.random.default_rng(seed))
    assert ratio[0] < mask.mean() <= ratio[1]
    assert border is None or on_border(mask)


@pytest.mark.parametrize("ratio", [(0.01, 0.02), (0.3, 0.4), (0.89, 0.9)])
def test_strokes_keep_away_from_the_border_at_any_ratio(ratio):
    for mask in drawn("irregular", (64, 96), 20, ratio=ratio, border=False):
        assert not on_border(mask)
        assert ratio[0] < mask.mean() <= ratio[1]


def test_areas_are_spread_evenly_over_the_ratio():
    shares = drawn("irregular", (64, 64), 400, ratio=(0.4, 0.6)).mean((1, 2))
    assert np.histogram(shares, 4, (0.4, 0.6))[0].min() > 70  # of 100 expected


@pytest.mark.parametrize("kind", ["boxes", "center", "deepfill", "lama", "mat", "comodgan", "pic"])
def test_every_family_can_be_held_to_a_ratio(kind):
    shares = drawn(kind, (128, 128), 10, ratio=(0.15, 0.25)).mean((1, 2))
    assert ((shares > 0.15) & (shares <= 0.25)).all()


@pytest.mark.parametrize(
    ("kind", "given", "says"),
    [
        ("half", {"ratio": (0.6, 0.7)}, "use 'irregular'"),
        ("center", {"border": True}, "border=true"),
        ("irregular", {"ratio": (0.9, 1.0), "border": False}, "away from the border"),
        ("irregular", {"ratio": (0, 0.0001)}, "wider ratio"),
    ],
)
def test_what_cannot_be_drawn_is_an_error_with_advice(kind, given, says):
    with pytest.raises(DataError, match=says):
        make_generator(kind, **given).draw(16, 16, np.random.default_rng(0))


# families


@pytest.mark.parametrize(  # field notes, section 3.3: what the published code really gives
    ("kind", "size", "mean", "above"),
    [
        ("lama-thin", 256, 0.29, 0.02),
        ("lama-medium", 256, 0.24, 0.01),
        ("lama-thick", 256, 0.40, 0.35),
        ("lama", 256, 0.34, 0.23),
        ("mat", 256, 0.40, 0.31),
        ("mat-small", 256, 0.22, 0.05),
        ("comodgan", 256, 0.72, 0.88),
        ("lama-thin", 512, 0.30, 0.05),
        ("lama-medium", 512, 0.31, 0.10),
        ("lama-thick", 512, 0.45, 0.44),
        ("mat", 512, 0.40, 0.28),
        ("mat-small", 512, 0.22, 0.05),
        ("comodgan", 512, 0.65, 0.79),
    ],
)
def test_families_cover_what_the_published_ones_cover(kind, size, mean, above):
    shares = drawn(kind, (size, size)).mean((1, 2))
    assert abs(shares.mean() - mean) < 0.045
    assert abs((shares > 0.5).mean() - above) < 0.1


@pytest.mark.parametrize(("size", "mean"), [(256, 0.15), (512, 0.09)])
def test_deepfill_strokes_cover_what_the_published_ones_cover(size, mean):
    masks = make_generator("deepfill", ["box=false"])
    shares = [masks.draw(size, size, np.random.default_rng([1, n])).mean() for n in range(200)]
    assert abs(np.mean(shares) - mean) < 0.02


def test_pconv_fills_its_six_bins_alike_half_without_border():
    masks = drawn("pconv", (64, 64), 600)
    bins = np.ceil(masks.mean((1, 2)) * 10).astype(int)
    assert np.bincount(bins, minlength=7)[1:7].min() > 70
    assert 250 < sum(map(on_border, masks)) < 350


@pytest.mark.parametrize("size", [(64, 128), (128, 64)])
@pytest.mark.parametrize("kind", BUILT_IN)
def test_masks_lean_to_no_side(kind, size):
    masks = drawn(kind, size, 300)
    h, w = size
    for one, other in (
        (masks[:, :, : w // 2], masks[:, :, w // 2 :]),
        (masks[:, : h // 2], masks[:, h // 2 :]),
    ):
        lean = one.mean((1, 2)) - other.mean((1, 2))
        assert abs(lean.mean()) <= 3.5 * lean.std() / np.sqrt(len(lean)) + 0.01
        assert abs(lean.mean()) < 0.12


@pytest.mark.parametrize("kind", BUILT_IN)
@pytest.mark.parametrize("size", [(1, 1), (3, 40), (300, 20)])
def test_every_family_draws_at_odd_sizes(kind, size):
    if kind in {"irregular", "pconv", "mixture"} and size == (1, 1):
        pytest.skip("no pixel count is within their ratios")
    for mask in drawn(kind, size, 5):
        assert mask.shape == size
        assert mask.dtype == np.bool_
        assert mask.any()


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        ("irregular", "35c0bf21"),
        ("deepfill", "b9e78d07"),
        ("lama-thick", "eaeb01a3"),
        ("mat", "2dd913ca"),
        ("pic", "ff9524e2"),
    ],
)
def test_the_same_bits_on_every_machine(kind, start):
    """Also seen alike with numpy 1.26 and OpenCV 4.9; a change here breaks old manifests."""
    bits = np.packbits(drawn(kind, (96, 160), 20)).tobytes()
    assert hashlib.sha256(bits).hexdigest()[:8] == start


# generators from settings


def test_a_mixture_holds_others_and_keeps_its_weights():
    masks = make_generator(
        "mixture", ["of=[{kind: center}, {kind: half, side: left}]", "weights=[3, 1]"]
    )
    assert masks.model_dump(mode="json")["of"][1]["kind"] == "half"
    shares = [masks.draw(32, 32, np.random.default_rng([2, n])).mean() for n in range(400)]
    assert 260 < shares.count(0.25) < 340
    assert shares.count(0.25) + shares.count(0.5) == 400


@pytest.mark.parametrize(
    ("kind", "override", "says"),
    [
        ("boxs", "side=[0.1, 0.2]", "did you mean 'boxes'"),
        ("boxes", "sides=3", "did you mean 'side'"),
        ("mixture", "of=[{kind: center, area: 7}]", "of.0.area"),
        ("mixture", "of=[{kind: centre}]", "did you mean 'center'"),
        ("mixture", "weights=[1, 2, 3]", "one weight for each"),
        ("irregular", "ratio=[0.6, 0.4]", "the smaller first"),
        ("files", "flip=true", "path"),
    ],
)
def test_wrong_settings_are_named(kind, override, says):
    with pytest.raises(RecipeError, match=says):
        make_generator(kind, [override])


def test_masks_from_a_folder_and_from_a_zip_are_the_same(tmp_path):
    draw_set(
        number_orders([make_generator("boxes")], 5, (20, 30), seed=3),
        [make_generator("boxes")],
        tmp_path / "a",
    )
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in (tmp_path / "a").glob("*.png"):
            archive.write(file, file.name)
    folder, packed = (drawn("files", (40, 60), 10, path=tmp_path / name) for name in ("a", "a.zip"))
    assert np.array_equal(folder, packed)
    assert len({mask.tobytes() for mask in folder}) > 3


def test_no_masks_to_draw_from(tmp_path):
    (tmp_path / "bad.zip").write_text("no zip")
    for name, says in (
        (".", "no image files"),
        ("nix", "does not exist"),
        ("bad.zip", "not a whole zip"),
    ):
        with pytest.raises(DataError, match=says):
            drawn("files", path=tmp_path / name)


# sets on disk


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


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"file": "../out.png"}, "not the name of a mask"),
        ({"file": "/out.png"}, "not the name of a mask"),
        ({"file": "out.sh"}, "not the name of a mask"),
        ({"generator": 4}, "no generator 4"),
        ({"width": 10**6, "height": 10**6}, "too large"),
        ({"seed": "x"}, ":2: not a manifest"),
    ],
)
def test_a_hostile_manifest_is_refused(tmp_path, change, says):
    masks = [make_generator("center")]
    draw_set(number_orders(masks, 1, (8, 8), seed=0), masks, tmp_path / "m")
    manifest = tmp_path / "m" / "masks.jsonl"
    header, entry = manifest.read_text().splitlines()
    manifest.write_text(header + "\n" + json.dumps(json.loads(entry) | change))
    with pytest.raises(DataError, match=says):
        rebuild_masks(manifest, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_an_interrupted_set_leaves_no_strays_and_the_manifest_of_the_last(tmp_path, monkeypatch):
    masks = [make_generator("center")]
    draw_set(number_orders(masks, 1, (9, 9), seed=0), masks, tmp_path / "m")
    manifest = contents(tmp_path / "m")["masks.jsonl"]
    before = Path.replace

    def interrupted(path: Path, target: Path) -> Path:
        if target.name == "00003.png":
            raise KeyboardInterrupt
        return before(path, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        draw_set(number_orders(masks, 5, (8, 8), seed=0), masks, tmp_path / "m", overwrite=True)
    assert contents(tmp_path / "m") == {"masks.jsonl": manifest}


def test_masks_never_replace_the_photos_they_are_for(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    before = contents(tmp_path)
    result = run("masks", "gen", "--images", str(tmp_path), "-o", str(tmp_path), "--overwrite")
    assert result.exit_code == 2
    assert contents(tmp_path) == before


# the command


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


@pytest.mark.parametrize("row", list_mask_kinds(), ids=lambda row: row["kind"])
def test_every_setting_of_a_generator_has_a_description(row):
    assert row["summary"].endswith(".")
    assert all(row["descriptions"].values())


# from Python


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
