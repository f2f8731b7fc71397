"""Weights of published backbones, by name."""

import torch
from torch import Tensor

from ..files import pretrained


def load_backbone(name: str) -> dict[str, Tensor]:
    """The state dict of the backbone `name`; raises `WeightsError` as `pretrained.path` does."""
    return torch.load(pretrained.backbone_path(name), "cpu", weights_only=True)
