"""Samples from folders and from models: pairing, masks, sizes."""

import numpy as np
import pytest
from eval_sets import folders, plan, run
from PIL import Image

from inpaint_cli.api.fillers import Filler
from inpaint_cli.errors import DataError, ImageError
from inpaint_cli.evaluation import samples
from inpaint_cli.filling.fill import fill_array


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
    assert [photo for photo, _ in assigned] == [0, 1, 2, 3] * 2
    assert {path for _, path in assigned[:4]} <= {*files[:2]}
    assert {path for _, path in assigned[4:]} == {*files[2:]}
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
