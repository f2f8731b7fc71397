"""What `telea` and `ns` promise beyond the contract."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inpaint_cli.filling.fill import fill_array
from inpaint_plugins.opencv import NavierStokes, Telea

ROUNDING = 2.01 / 255  # OpenCV works in 8 bit, and its Telea strays by two levels on its own

BOTH = pytest.mark.parametrize("filler", [Telea(), NavierStokes()], ids=["telea", "ns"])


def middle(height, width):
    hole = np.zeros((height, width), np.bool_)
    hole[height // 3 : height // 3 + 4, width // 3 : width // 3 + 4] = True
    return hole


def filled(filler, image, hole):
    copy = image.astype(np.float32).copy()
    assert fill_array(filler, copy, hole, np.random.default_rng(0))
    return copy


@BOTH
@given(level=st.integers(0, 255))
@settings(max_examples=20, deadline=None)
def test_a_constant_photo_stays_constant(filler, level):
    image = np.full((24, 32, 3), level / 255, np.float32)
    assert np.allclose(filled(filler, image, middle(24, 32)), image, atol=ROUNDING)


@BOTH
def test_channels_are_filled_apart(filler):
    image = np.broadcast_to(np.float32([0.2, 0.4, 0.6]), (20, 20, 3))
    assert np.allclose(filled(filler, image, middle(20, 20)), image, atol=ROUNDING)


def test_a_larger_radius_gives_another_fill():
    image, hole = np.random.default_rng(0).random((40, 40, 3), np.float32), middle(40, 40)
    near, far = (filled(Telea(radius), image, hole) for radius in (2, 12))
    assert not np.array_equal(near, far)
    assert Telea(12).sizes.context > Telea(2).sizes.context


@pytest.mark.parametrize("radius", [0, -1, float("nan"), 101])
def test_an_impossible_radius_is_refused(radius):
    with pytest.raises(ValueError, match="radius"):
        Telea(radius)


@BOTH
@pytest.mark.parametrize("size", [(1, 7), (5, 3), (37, 53)])
def test_any_size_with_any_hole_gives_finite_colours(filler, size):
    image = np.random.default_rng(0).random((*size, 3), np.float32)
    out = filled(filler, image, np.eye(*size, dtype=bool))
    assert ((out >= 0) & (out <= 1)).all()


def test_the_fill_is_that_of_opencv():
    """To the bit, whatever is done in strips around it."""
    import cv2

    image = np.random.default_rng(0).integers(0, 256, (600, 50, 3), np.uint8)
    hole = np.zeros((600, 50), np.bool_)
    hole[250:262, 10:30] = True
    dark = np.where(hole[..., None], 0, image).astype(np.uint8)
    for filler, method in ((Telea(), cv2.INPAINT_TELEA), (NavierStokes(), cv2.INPAINT_NS)):
        wanted = cv2.inpaint(dark, hole.astype(np.uint8), 3, method)
        out = filled(filler, image / np.float32(255), hole)
        assert np.array_equal(np.rint(out * 255), wanted)
