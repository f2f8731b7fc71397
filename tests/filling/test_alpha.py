"""What is not visible is not known: transparent pixels and their colours."""

import numpy as np
import pytest
from skimage import data

from inpaint_cli.errors import InpaintError
from inpaint_cli.filling.photo import fill


@pytest.mark.parametrize("model", ["telea", "biharmonic", "patchmatch"])
@pytest.mark.parametrize(
    ("hole", "window"), [((30, 40, 30, 36), 512), ((60, 70, 8, 40), 32), ((50, 54, 50, 54), 512)]
)
def test_hidden_colours_feed_no_fill(model, hole, window):
    """Beside a transparent area, over its border in tiles, and as an island in the middle of it."""
    rows, columns = slice(*hole[:2]), slice(*hole[2:])
    photo = data.astronaut()[:120, 100:220].copy()
    seen = np.zeros((120, 120), np.bool_)
    seen[:, :36] = True
    seen[rows, columns] = True
    mask = np.zeros_like(seen)
    mask[rows, columns] = True
    fills = []
    for colour in ((255, 0, 255), (0, 0, 0)):
        rgba = np.dstack([np.where(seen[..., None], photo, colour), 255 * seen]).astype(np.uint8)
        filled = fill(rgba, mask, model=model, window=window).array
        assert np.array_equal(filled[~mask], rgba[~mask])
        fills.append(filled[mask])
    assert np.array_equal(*fills)
    assert (np.ptp(fills[0][:, :3].astype(int), axis=0) < 200).all()


def test_a_photo_of_which_the_hole_leaves_nothing_visible_is_refused():
    rgba = np.full((20, 20, 4), 255, np.uint8)
    rgba[:, :10, 3] = 0
    with pytest.raises(InpaintError, match="nothing is left to fill it from"):
        fill(rgba, rgba[..., 3] > 0, model="telea")
    with pytest.raises(InpaintError, match="invert and resize are for a mask"):
        fill(rgba, "alpha", invert=True)
