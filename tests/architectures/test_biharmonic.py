"""What `biharmonic` promises beyond the contract."""

import numpy as np
import pytest

from inpaint_cli.filling.fill import fill_array
from inpaint_plugins.biharmonic import Biharmonic


def fill(image, hole):
    copy = np.array(image, np.float32)
    assert fill_array(Biharmonic(), copy, hole, np.random.default_rng(0))
    return copy


def blob(height, width):
    hole = np.zeros((height, width), np.bool_)
    hole[8:17, 9:20] = True
    return hole


def test_a_plane_is_continued_exactly():
    y, x = np.meshgrid(np.linspace(0, 0.5, 30), np.linspace(0, 0.4, 40), indexing="ij")
    image = np.stack([x + y, 0.9 - x - y, 0.2 + y], -1)
    assert np.allclose(fill(image, blob(30, 40)), image, atol=1e-4)


def test_a_constant_photo_stays_constant():
    image = np.full((30, 40, 3), 0.3)
    assert np.allclose(fill(image, blob(30, 40)), image, atol=1e-5)


def test_overshoots_are_clipped():
    image = np.broadcast_to((np.arange(40) % 20 < 10)[:, None], (30, 40, 3))
    filled = fill(image, blob(30, 40))
    assert filled.min() >= 0
    assert filled.max() <= 1


@pytest.mark.parametrize("size", [(1, 7), (5, 3), (37, 53)])
def test_any_size_with_any_hole_gives_finite_colours(size):
    image = np.random.default_rng(0).random((*size, 3))
    filled = fill(image, np.eye(*size, dtype=bool))
    assert ((filled >= 0) & (filled <= 1)).all()
