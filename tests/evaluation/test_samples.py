"""Samples from folders and from models: pairing, masks, sizes."""

import zipfile

import numpy as np
import pytest
from eval_sets import folders, plan, run
from PIL import Image

from inpaint_cli import registry
from inpaint_cli.api.fillers import Filler
from inpaint_cli.datasets.collection import Collection
from inpaint_cli.errors import DataError, ImageError, RecipeError
from inpaint_cli.evaluation import samples
from inpaint_cli.evaluation.protocols import in_interval
from inpaint_cli.filling.fill import fill_array
from inpaint_cli.masks.generate import generate_masks
from inpaint_cli.models.choose import LoadedModel


def test_files_without_a_partner_are_named(tmp_path):
    results, truth, masks = folders(tmp_path)
    (results / "0.png").unlink()
    (masks / "1.png").unlink()
    Image.new("RGB", (32, 32)).save(results / "stranger.png")
    (results / "2.png").rename(results / "2.filled.png")
    found = samples.pair_results(results, truth, masks, plan().protocol)
    assert found.names == ["2.png", "3.png", "4.png"]
    notes = "\n".join(found.notes)
    for file in ("truth/0.png has no result", "truth/1.png has no mask", "stranger.png is not"):
        assert file in notes, file


def test_nothing_is_resized(tmp_path):
    paths = folders(tmp_path, count=2)
    Image.new("RGB", (31, 32)).save(paths[0] / "1.png")
    with pytest.raises(ImageError, match=r"results/1.png is 31x32, but .*truth/1.png is 32x32"):
        run(paths, plan())
    with pytest.raises(ImageError, match="the protocol is for 256x256; resize"):
        run(paths, plan(size=256))
    with pytest.raises(DataError, match="no result in"):
        samples.pair_results(paths[0], tmp_path, None, plan().protocol)


def test_every_photo_is_given_a_mask_of_each_bin(tmp_path):
    _, _, masks = folders(tmp_path, count=6)
    files = sorted(masks.iterdir())
    used = plan(bins=("[0, 8)", "[8, 20]"), per_bin=True).protocol
    assigned = samples.assign_masks(files, 4, used, seed=0)
    assert [given.photo for given in assigned] == [0, 1, 2, 3] * 2
    assert {given.file for given in assigned[:4]} <= {*files[:2]}
    assert {given.file for given in assigned[4:]} == {*files[2:]}
    assert assigned == samples.assign_masks(files, 4, used, seed=0)
    with pytest.raises(DataError, match="no mask has a hole of"):
        samples.assign_masks(files, 4, plan(bins=("[90, 95)",), per_bin=True).protocol, seed=0)


def test_a_resized_filler_sees_squares_and_no_more_of_the_hole():
    """Nothing hidden gets into the small image: a pixel that covers any of the hole is hole."""
    seen = []

    class Spy(Filler):
        def fill(self, rgb, hole, rng):
            seen.append((rgb.copy(), hole.copy()))
            return np.full_like(rgb, 0.25)

    rgb, hole = np.full((40, 23, 3), 0.75, np.float32), np.zeros((40, 23), bool)
    hole[10:31, 5:12] = True
    filled = rgb.copy()
    fill_array(samples.ResizedFiller(Spy(), 16), filled, hole, np.random.default_rng(0))
    ((visible, covered),) = seen
    assert visible.shape == (16, 16, 3)
    np.testing.assert_allclose(visible[~covered], 0.75, atol=1e-6)
    assert (filled[~hole] == rgb[~hole]).all()
    np.testing.assert_allclose(filled[15:25, 7:10], 0.25, atol=1e-6)


class Rows(Filler):
    """Fills nothing."""

    def fill(self, rgb, hole, rng):
        return rgb


def given(tmp_path, protocol, masks=None, generator=None):
    """The samples of the photos in `tmp_path`, whatever fills them."""
    photos = Collection.at(registry.load_plugin("datasets", "files")(), tmp_path / "truth")
    model = LoadedModel("rows", Rows())
    return samples.give_masks(model, photos, masks, generator, protocol, seed=0)


def test_drawn_masks_have_each_bin_of_the_protocol_for_each_photo(tmp_path):
    folders(tmp_path, count=3, side=64)
    protocol = plan(bins=("[1, 20)", "[20, 40)", "[40, 60]"), per_bin=True).protocol
    drawn = registry.load_plugin("masks", "irregular")(kind="irregular", ratio=(0.01, 0.05))
    made = given(tmp_path, protocol, generator=drawn)
    assert made.names[0] == "0.png + hole of [1, 20) %"
    assert len(set(made.names)) == 9
    ratios = [float(made[n].mask.double().mean()) for n in range(9)]
    for n, ratio in enumerate(ratios):
        assert in_interval(protocol.bins[n // 3], ratio)
    assert made.mask_source == "drawn by 'irregular'"
    centre = registry.load_plugin("masks", "half")(kind="half")
    with pytest.raises(DataError, match="'half' at 64x64 gave no mask with a hole of 1-20 %"):
        given(tmp_path, protocol, generator=centre)[0]


def test_shapes_of_a_protocol_take_only_masks_of_its_bins(tmp_path):
    _, _, masks = folders(tmp_path, count=6)  # holes of 1 to 6 of 32 rows
    protocol = plan(bins=("[8, 13]",), shapes=("32x32", "16x24")).protocol
    made = given(tmp_path, protocol, masks)
    assert made.names == [f"{n}.png {shape}" for n in (2, 3) for shape in protocol.shapes]
    assert made.notes == ["4 masks left out: a hole of [8, 13] % is needed"]
    drawn = registry.load_plugin("masks", "irregular")()
    made = given(tmp_path, protocol, generator=drawn)
    assert all(0.08 <= made[n].mask.double().mean() <= 0.13 for n in range(len(made.names)))
    with pytest.raises(DataError, match=r"no mask has a hole of \[90, 91\] percent"):
        given(tmp_path, plan(bins=("[90, 91]",), shapes=("8x8",)).protocol, masks)


def test_results_outside_the_bins_count_in_no_shape(tmp_path):
    paths = folders(tmp_path, count=4)
    result, _ = run(paths, plan(bins=("[0, 7]",), shapes=("32x32",)))
    counts = {column: score.count for column, score in result.table["psnr"].items()}
    assert counts == {"[0, 7]": 2, "32x32": 2, "all": 2}
    assert "2 of 4 images do not count: a hole of [0, 7] % is needed" in result.notes


def test_masks_are_read_out_of_an_archive(tmp_path):
    results, truth, masks = folders(tmp_path, count=3)
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        for path in masks.iterdir():
            archive.write(path, path.name)
    used = plan()
    packed, _ = run((results, truth, tmp_path / "m.zip"), used)
    unpacked, _ = run((results, truth, masks), used)
    assert packed.rows == unpacked.rows
    assert packed.mask_source == "from m.zip"
    made = given(tmp_path, used.protocol, tmp_path / "m.zip")
    assert [bool(made[n].mask.any()) for n in range(3)] == [True] * 3


def test_generated_masks_are_known_by_their_manifest(tmp_path):
    generate_masks("boxes", tmp_path / "m", count=2, size=(32, 32))
    assert samples.describe_masks(tmp_path / "m") == "from m, drawn by 'boxes'"


@pytest.mark.parametrize("pad", ["constant", "edge"])
def test_a_padded_filler_sees_the_proportions_it_is_given(pad):
    seen = []

    class Spy(Filler):
        def fill(self, rgb, hole, rng):
            seen.append((rgb.copy(), hole.copy()))
            return np.full_like(rgb, 0.25)

    rgb, hole = np.full((40, 20, 3), 0.75, np.float32), np.zeros((40, 20), bool)
    hole[10:30, 4:12] = True
    filled = rgb.copy()
    fill_array(samples.ResizedFiller(Spy(), 16, pad), filled, hole, np.random.default_rng(0))
    ((visible, covered),) = seen
    assert not covered[:, :4].any()
    assert not covered[:, 12:].any()
    np.testing.assert_allclose(visible[:, [0, 3, 12, 15]], 0.75 if pad == "edge" else 0, atol=1e-6)
    np.testing.assert_allclose(visible[:, 4:12][~covered[:, 4:12]], 0.75, atol=1e-6)
    np.testing.assert_allclose(filled[14:26, 6:10], 0.25, atol=1e-6)


def test_a_recipe_says_which_photos_and_a_count_takes_the_first(tmp_path):
    folders(tmp_path, count=5)
    photos = samples.Photos(tmp_path / "truth", "smoke", count=1)
    collection, generator, notes = photos.open(masked=False)
    assert (collection.names, notes) == (["3.png"], ["the first 1 of 2 photos"])
    assert generator is not None
    train, _, notes = samples.Photos(tmp_path / "truth", "smoke", "train").open(masked=True)
    assert (train.names, notes) == (["0.png", "1.png", "2.png"], [])
    with pytest.raises(RecipeError, match="--split tset: input should be 'all', 'train' or 'val'"):
        samples.Photos(tmp_path / "truth", "smoke", "tset").open(masked=True)
