"""Total variation in and at the hole."""

import pytest
import torch
from tensors import square_hole

from inpaint_cli.losses.smoothness import total_variation


def test_total_variation_counts_pairs_in_and_at_the_hole():
    image = torch.zeros(1, 1, 6, 6)
    image[..., :, 3:] = 1.0  # one vertical edge, between columns 2 and 3
    mask = square_hole(6, 2)  # rows and columns 2 and 3; grown: 1 to 4
    assert total_variation(image, mask).item() == pytest.approx(4 / 30)  # four rows see the edge
    assert total_variation(image, torch.zeros_like(mask)) == 0
    everywhere = total_variation(image, torch.ones_like(mask))
    assert everywhere.item() == pytest.approx(6 / 30)
