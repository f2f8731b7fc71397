"""The weights of networks inside metrics: published, or random where that is asked for."""

from typing import Literal

import torch
from torch import nn

Weights = Literal["published", "random"]


def randomised(net: nn.Module) -> nn.Module:
    """`net` with weights drawn from a fixed seed, scaled so that signals keep their size."""
    generator = torch.Generator().manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return net


def frozen(net: nn.Module) -> nn.Module:
    return net.eval().requires_grad_(False)
