"""Gated convolutions."""

import torch
from tensors import count_parameters
from torch.nn import functional as F

from inpaint_cli.layers.gated import GatedConv2d


def test_gated_is_feature_times_gate():
    conv = GatedConv2d(3, 4, dilation=2)
    x = torch.randn(1, 3, 9, 9)
    features, gate = conv.conv(x)[:, :4], conv.conv(x)[:, 4:]
    torch.testing.assert_close(conv(x), F.elu(features) * torch.sigmoid(gate))
    assert conv(x).shape == (1, 4, 9, 9)
    assert GatedConv2d(3, 4, kernel=5, stride=2)(x).shape == (1, 4, 5, 5)
    assert (
        count_parameters(GatedConv2d(4, 64, kernel=5)) == 12_928
    )  # the first layer of MDRNets' GRN
