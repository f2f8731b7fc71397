"""Losses that compare pixels, by hand."""

import pytest
import torch
from tensors import square_hole

from inpaint_cli.losses.reconstruction import l1_loss


def test_l1_by_hand():
    mask = square_hole(4, 2)
    filled = torch.where(mask > 0, 0.5, 0.1).expand(1, 3, 4, 4)
    truth = torch.zeros(1, 3, 4, 4)
    assert l1_loss(filled, truth, mask, hole=10).item() == pytest.approx(1.325)
    assert l1_loss(filled, truth, mask, hole=10, by_area=True).item() == pytest.approx(5.1)
    assert l1_loss(filled, truth, mask, hole=0).item() == pytest.approx(0.075)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_l1_by_area_without_one_of_the_areas(value: float):
    mask = torch.full((1, 1, 4, 4), value)
    filled = torch.full((1, 3, 4, 4), 0.5, requires_grad=True)
    loss = l1_loss(filled, torch.zeros(1, 3, 4, 4), mask, hole=2, by_area=True)
    loss.backward()
    assert loss.item() == pytest.approx(0.5 * (2 if value else 1))
    assert torch.isfinite(filled.grad).all()
