"""The promises of fillers."""

import numpy as np

from .. import registry
from ..api.fillers import Filler
from ..filling.fill import Rgb, fill_array
from ..images.photo import Hole
from .sizes import AWKWARD_SIZES, check_sizes


def check_filler(name: str) -> None:
    """Check everything that `Filler` promises.

    A fill is finite, has the photo's size, depends on nothing under the hole, and is the same
    again for the same seed; it takes photos of any size, as they are padded to one that fits.
    """
    filler: Filler = registry.load_plugin("fillers", name)()
    assert (type(filler).__doc__ or "").strip(), "a filler's docstring is its listing"
    assert filler.licence, "a filler says under which licence its code is"
    check_sizes(filler.sizes)
    for size in AWKWARD_SIZES:
        if size == (1, 1):  # nothing would be visible
            continue
        rgb, hole = draw_example(size)
        filled = fill_seeded(filler, rgb, hole)
        assert np.array_equal(filled[~hole], rgb[~hole]), f"what is visible changed at {size}"
        assert np.array_equal(filled, fill_seeded(filler, rgb, hole)), "same seed, another fill"
        other = np.where(hole[..., None], 1 - rgb, rgb).astype(np.float32)
        assert np.array_equal(filled, fill_seeded(filler, other, hole)), "it saw under the hole"
    if filler.stochastic:
        rgb, hole = draw_example((200, 160))
        fills = [fill_seeded(filler, rgb, hole, seed) for seed in range(3)]
        assert any(not np.array_equal(fills[0], fill) for fill in fills), "every seed, one fill"


def draw_example(size: tuple[int, int]) -> tuple[Rgb, Hole]:
    """Return an image [H, W, 3] of noise, and a hole [H, W] that leaves some of it."""
    height, width = size
    rgb = np.random.default_rng(height * 1000 + width).random((*size, 3), np.float32)
    hole = np.zeros(size, np.bool_)
    hole[height // 4 : height // 4 + max(1, height // 3), : max(1, width // 2)] = True
    return rgb, hole


def fill_seeded(filler: Filler, rgb: Rgb, hole: Hole, seed: int = 7) -> Rgb:
    """Return a filled copy of `rgb`."""
    filled = rgb.copy()
    assert fill_array(filler, filled, hole, np.random.default_rng(seed)), "not finite"
    return filled
