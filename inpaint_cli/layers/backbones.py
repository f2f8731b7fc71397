"""Weights of published backbones, by name."""

import torch
from torch import Tensor

from ..files import pretrained


def load_backbone(name: str) -> dict[str, Tensor]:
    """Return the state dict of the backbone `name`, such as "vgg16"; downloads it if allowed.

    Raises `WeightsError`, which says which file to put where, if it cannot be found or is damaged.
    """
    return torch.load(pretrained.backbone_path(name), "cpu", weights_only=True)
