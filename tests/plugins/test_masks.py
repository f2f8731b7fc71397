"""Mask generators: ratios, published families, settings, and the same bits everywhere."""

import hashlib
from zipfile import ZipFile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from inpaint_cli.api.masks import on_border
from inpaint_cli.errors import DataError, ImageError, RecipeError
from inpaint_cli.masks.generate import generate_masks, list_mask_kinds
from inpaint_cli.recipe.plugins import make_generator
from inpaint_plugins.masks.files import rotate_mask

BUILT_IN = [row["kind"] for row in list_mask_kinds() if row["kind"] != "files"]


def draw_many(kind: str, size: tuple[int, int] = (256, 256), count: int = 200, **settings):
    masks = make_generator(kind, **settings)
    return np.stack(
        [masks.draw(size[0], size[1], np.random.default_rng([1, n])) for n in range(count)]
    )


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
    for mask in draw_many("irregular", (64, 96), 20, ratio=ratio, border=False):
        assert not on_border(mask)
        assert ratio[0] < mask.mean() <= ratio[1]


def test_areas_are_spread_evenly_over_the_ratio():
    shares = draw_many("irregular", (64, 64), 400, ratio=(0.4, 0.6)).mean((1, 2))
    assert np.histogram(shares, 4, (0.4, 0.6))[0].min() > 70  # of 100 expected


@pytest.mark.parametrize("kind", ["boxes", "center", "deepfill", "lama", "mat", "comodgan", "pic"])
def test_every_family_can_be_held_to_a_ratio(kind):
    shares = draw_many(kind, (128, 128), 10, ratio=(0.15, 0.25)).mean((1, 2))
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


@pytest.mark.parametrize(  # measured with the published code
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
    shares = draw_many(kind, (size, size)).mean((1, 2))
    assert abs(shares.mean() - mean) < 0.045
    assert abs((shares > 0.5).mean() - above) < 0.1


@pytest.mark.parametrize(("size", "mean"), [(256, 0.15), (512, 0.09)])
def test_deepfill_strokes_cover_what_the_published_ones_cover(size, mean):
    masks = make_generator("deepfill", ["box=false"])
    shares = [masks.draw(size, size, np.random.default_rng([1, n])).mean() for n in range(200)]
    assert abs(np.mean(shares) - mean) < 0.02


def test_pconv_fills_its_six_bins_alike_half_without_border():
    masks = draw_many("pconv", (64, 64), 600)
    bins = np.ceil(masks.mean((1, 2)) * 10).astype(int)
    assert np.bincount(bins, minlength=7)[1:7].min() > 70
    assert 250 < sum(map(on_border, masks)) < 350


@pytest.mark.parametrize("size", [(64, 128), (128, 64)])
@pytest.mark.parametrize("kind", BUILT_IN)
def test_masks_lean_to_no_side(kind, size):
    masks = draw_many(kind, size, 300)
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
    for mask in draw_many(kind, size, 5):
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
    bits = np.packbits(draw_many(kind, (96, 160), 20)).tobytes()
    assert hashlib.sha256(bits).hexdigest()[:8] == start


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
    generate_masks("boxes", tmp_path / "a", count=5, size=(20, 30), seed=3)
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in (tmp_path / "a").glob("*.png"):
            archive.write(file, file.name)
    folder, packed = (
        draw_many("files", (40, 60), 10, path=tmp_path / name) for name in ("a", "a.zip")
    )
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
            draw_many("files", path=tmp_path / name)


def test_photos_are_no_masks_to_draw_from_unless_a_threshold_is_set(tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (30, 30), np.uint8)
    Image.fromarray(photo).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png is mostly gray.*, so no mask"):
        draw_many("files", path=tmp_path)
    assert draw_many("files", path=tmp_path, threshold=128).any()


@pytest.mark.parametrize("row", list_mask_kinds(), ids=lambda row: row["kind"])
def test_every_setting_of_a_generator_has_a_description(row):
    assert row["summary"].endswith(".")
    assert all(row["descriptions"].values())


@pytest.mark.parametrize("kind", ["deepfill", "mat", "comodgan"])
def test_flips_as_published_cover_less(kind):
    """Strokes that are not flipped between meet more often."""
    changes = ["box=false"] if kind == "deepfill" else []
    ours, published = (
        make_generator(kind, [*changes, f"published={how}"]) for how in ("false", "true")
    )
    shares = [
        np.mean([m.draw(256, 256, np.random.default_rng([3, n])).mean() for n in range(500)])
        for m in (ours, published)
    ]
    assert shares[1] < shares[0]


def test_lama_covers_as_much_of_a_large_image():
    small, large = (draw_many("lama", (size, size), 150).mean() for size in (256, 512))
    assert abs(small - large) < 0.04


@pytest.fixture
def corner(tmp_path):
    """A mask with a hole in its upper left quarter."""
    hole = np.zeros((40, 40), np.bool_)
    hole[:20, :20] = True
    Image.fromarray(hole).save(tmp_path / "m.png")
    return {"path": tmp_path, "flip": False}


def test_masks_from_files_can_be_varied(corner):
    plain = draw_many("files", (40, 40), 1, **corner)[0]
    grown = draw_many("files", (40, 40), 30, dilate=(1, 3), **corner)
    assert {int(mask[0].sum()) for mask in grown} == {21, 22, 23}
    assert all(mask[plain].all() for mask in grown)
    cut = draw_many("files", (40, 40), 30, crop=(0.5, 0.8), **corner)
    assert len({mask.sum() for mask in cut}) > 10
    turned = draw_many("files", (40, 40), 30, rotate=20, **corner)
    assert all(300 < mask.sum() <= 420 for mask in turned)
    assert len({mask.tobytes() for mask in turned}) > 20
    half = rotate_mask(plain, 180)
    np.testing.assert_array_equal(half, plain[::-1, ::-1])
    assert draw_many("files", (40, 40), 1, invert=True, **corner).mean() == 0.75
    with pytest.raises(RecipeError, match="`crop` and `dilate` are two numbers, the smaller first"):
        make_generator("files", ["dilate=[3, 1]"], **corner)
