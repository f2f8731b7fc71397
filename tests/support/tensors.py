"""Tensors and counts that tests of networks and losses share."""

import torch
from torch import Tensor, nn


def count_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def square_hole(side: int, inner: int) -> Tensor:
    """A mask [1, 1, side, side] whose hole is a centred square of `inner` pixels a side."""
    mask = torch.zeros(1, 1, side, side)
    edge = (side - inner) // 2
    mask[..., edge : edge + inner, edge : edge + inner] = 1
    return mask
