"""Extrapolation of known colours into holes."""

import pytest
import torch
from torch import Tensor

from inpaint_cli.layers.spreading import spread_colours


def middle(height: int = 32, width: int = 32) -> Tensor:
    mask = torch.zeros(1, 1, height, width)
    mask[..., height // 4 : height // 2, width // 4 : -width // 4] = 1
    return mask


@pytest.mark.parametrize("size", [(32, 32), (37, 21), (1, 9)])
def test_spreading_keeps_what_is_known(size: tuple[int, int]):
    torch.manual_seed(0)
    values, known = torch.randn(2, 3, *size), (torch.rand(2, 1, *size) > 0.7).float()
    filled = spread_colours(values, known)
    assert torch.equal(filled * known, values * known)
    assert filled.max() <= values.max()
    assert filled.min() >= values.min()


def test_spreading_continues_a_constant_exactly_and_a_slope_nearly():
    known = 1 - middle()
    assert torch.allclose(spread_colours(torch.full((1, 1, 32, 32), 0.3), known), torch.tensor(0.3))
    slope = torch.linspace(0, 1, 32).expand(1, 1, 32, 32)
    assert (spread_colours(slope, known) - slope).abs().max() < 0.1


def test_spreading_from_nothing_is_nothing():
    values = torch.randn(1, 3, 8, 8, requires_grad=True)
    filled = spread_colours(values, torch.zeros(1, 1, 8, 8))
    filled.sum().backward()
    assert not filled.any()
    assert values.grad is not None
    assert torch.isfinite(values.grad).all()
