"""What `telea` and `ns` promise beyond the contract."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from inpaint_plugins.opencv import Marching, NavierStokes, Telea

ROUNDING = 2.01 / 255  # OpenCV works in 8 bit, and its Telea strays by two levels on its own

BOTH = pytest.mark.parametrize("architecture", [Telea, NavierStokes])


def middle(height: int, width: int) -> torch.Tensor:
    mask = torch.zeros(1, 1, height, width)
    mask[..., height // 3 : height // 3 + 4, width // 3 : width // 3 + 4] = 1
    return mask


@BOTH
@given(level=st.integers(0, 255))
@settings(max_examples=20, deadline=None)
def test_a_constant_photo_stays_constant(architecture, level):
    image = torch.full((1, 3, 24, 32), level / 255)
    mask = middle(24, 32)
    filled = architecture.build(Marching())(image * (1 - mask), mask)
    assert torch.allclose(filled, image, atol=ROUNDING)


@BOTH
def test_channels_and_photos_are_filled_apart(architecture):
    image = torch.tensor([[0.2, 0.4, 0.6], [0.8, 0.0, 1.0]])[..., None, None].expand(2, 3, 20, 20)
    mask = middle(20, 20).expand(2, 1, 20, 20)
    filled = architecture.build(Marching())(image * (1 - mask), mask)
    assert torch.allclose(filled, image, atol=ROUNDING)


def test_a_larger_radius_gives_another_fill():
    image = torch.from_numpy(np.random.default_rng(0).random((1, 3, 40, 40), np.float32))
    mask = middle(40, 40)
    near, far = (Telea.build(Marching(radius=r))(image * (1 - mask), mask) for r in (2, 12))
    assert not torch.equal(near, far)
    assert Telea.sizes(Marching(radius=12)).context > Telea.sizes(Marching(radius=2)).context


@pytest.mark.parametrize("radius", [0, -1, float("nan"), 101])
def test_an_impossible_radius_is_refused(radius):
    with pytest.raises(ValidationError):
        Marching(radius=radius)


@BOTH
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3), (37, 53)])
def test_any_size_with_any_hole_gives_finite_colours(architecture, size):
    net = architecture.build(Marching())
    image = torch.rand(1, 3, *size)
    for mask in (torch.ones(1, 1, *size), torch.zeros(1, 1, *size), torch.eye(*size)[None, None]):
        filled = net(image * (1 - mask), mask)
        assert filled.shape == image.shape
        assert ((filled >= 0) & (filled <= 1)).all()
