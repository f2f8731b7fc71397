"""What is no mask, and what is not visible, in an evaluation."""

import numpy as np
import pytest
from eval_sets import folders, plan
from PIL import Image

from inpaint_cli.errors import ImageError
from inpaint_cli.evaluation import samples


def test_a_photo_is_no_mask_here_either(tmp_path):
    results, truth, masks = folders(tmp_path, count=1)
    photo = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(photo).save(masks / "0.png")
    with pytest.raises(ImageError, match=r"masks/0\.png is .*, so no mask"):
        samples.pair_results(results, truth, masks, plan().protocol)[0]


def test_what_the_truth_hides_is_neither_hole_nor_compared(tmp_path):
    results, truth, masks = folders(tmp_path, count=1)
    rgba = np.dstack([np.array(Image.open(truth / "0.png")), np.full((32, 32), 255, np.uint8)])
    rgba[:, 20:] = (255, 0, 255, 0)
    Image.fromarray(rgba).save(truth / "0.png")
    sample = samples.pair_results(results, truth, masks, plan().protocol)[0]
    assert not sample.mask[..., 20:].any()
    for image in (sample.truth, *sample.fills):
        assert (image[..., 20:] == 0).all()
        assert image[..., :20].std() > 0
