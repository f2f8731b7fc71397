"""What `biharmonic` promises beyond the contract."""

import pytest
import torch

from inpaint_cli.api.settings import Settings
from inpaint_plugins.biharmonic import Biharmonic


def fill(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return Biharmonic.build(Settings())(image * (1 - mask), mask)


def blob(height: int, width: int) -> torch.Tensor:
    mask = torch.zeros(1, 1, height, width)
    mask[..., 8:17, 9:20] = 1
    return mask


def test_a_plane_is_continued_exactly():
    y, x = torch.meshgrid(torch.linspace(0, 0.5, 30), torch.linspace(0, 0.4, 40), indexing="ij")
    image = torch.stack([x + y, 0.9 - x - y, 0.2 + y])[None]
    assert torch.allclose(fill(image, blob(30, 40)), image, atol=1e-4)


def test_a_constant_photo_stays_constant():
    image = torch.full((2, 3, 30, 40), 0.3)
    assert torch.allclose(fill(image, blob(30, 40).expand(2, 1, 30, 40)), image, atol=1e-5)


def test_overshoots_are_clipped():
    image = (torch.arange(40) % 20 < 10).float().expand(1, 3, 30, 40)
    filled = fill(image, blob(30, 40))
    assert filled.min() >= 0
    assert filled.max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3), (37, 53)])
def test_any_size_with_any_hole_gives_finite_colours(size):
    image = torch.rand(1, 3, *size)
    for mask in (torch.ones(1, 1, *size), torch.zeros(1, 1, *size), torch.eye(*size)[None, None]):
        filled = fill(image, mask)
        assert filled.shape == image.shape
        assert ((filled >= 0) & (filled <= 1)).all()
