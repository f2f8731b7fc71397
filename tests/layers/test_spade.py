"""SPADE and its residual block."""

import torch
from tensors import count_parameters
from torch import nn
from torch.nn import functional as F

from inpaint_cli.layers.spade import Spade, SpadeBlock


def test_spade_with_zero_convolutions_is_instance_norm():
    spade = Spade(4, 3)
    nn.init.zeros_(spade.scale_shift.weight)
    nn.init.zeros_(spade.scale_shift.bias)
    x = torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(spade(x, torch.randn(2, 3, 4, 4)), F.instance_norm(x))


def test_spade_scales_by_one_plus_gamma():
    spade = Spade(4, 3)
    nn.init.zeros_(spade.scale_shift.weight)
    with torch.no_grad():
        spade.scale_shift.bias.copy_(torch.tensor([0.5] * 4 + [2.0] * 4))
    x = torch.randn(1, 4, 8, 8)
    torch.testing.assert_close(spade(x, x[:, :3]), F.instance_norm(x) * 1.5 + 2)


def test_spade_blocks_have_the_published_sizes():
    assert count_parameters(SpadeBlock(256, 256, 256, spectral=True)) == 2_950_912  # MDRNets
    assert count_parameters(SpadeBlock(256, 128, 256, spectral=True)) == 2_836_352
    up = SpadeBlock(256, 128, 128, shortcut=3)  # SPN: one formula, (9 L + 1) h + 2 (9 h + 1) C
    spades = 3 * (9 * 128 + 1) * 128 + 2 * (9 * 128 + 1) * (256 + 128 + 256)
    assert count_parameters(up) == spades + 2 * (9 * 256 + 1) * 128 + (9 * 128 + 1) * 128
    assert up(torch.randn(1, 256, 4, 4), torch.randn(1, 128, 8, 8)).shape == (1, 128, 4, 4)
