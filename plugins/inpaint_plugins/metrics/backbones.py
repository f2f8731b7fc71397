"""Weights of the networks in metrics: published or random."""

from typing import Literal

import torch
from torch import nn

NetworkWeights = Literal["published", "random"]


def randomise(net: nn.Module) -> nn.Module:
    """Give `net` random weights from a fixed seed, scaled to keep the variance of signals."""
    generator = torch.Generator().manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return net


def freeze_network(net: nn.Module) -> nn.Module:
    """Put `net` into evaluation mode, without gradients."""
    return net.eval().requires_grad_(False)
