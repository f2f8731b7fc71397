"""Gated convolutions with contextual attention: DeepFill v2 (Yu et al., ICCV 2019)."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import PositiveInt
from torch import nn

from inpaint_cli.api import Architecture, Settings, Sizes

from .model import GatedNet
from .task import GatedTask


class GatedSettings(Settings):
    width: PositiveInt = 24  # channels of the first layer after gating; 4 times as many deep down


class Gated(Architecture):
    """Two networks of gated convolutions, the second with contextual attention; SN-PatchGAN."""

    settings = GatedSettings
    task = GatedTask
    tiny: ClassVar[Mapping[str, Any]] = {"model": {"width": 4}, "task": {"critic": 4}}
    source = "Free-Form Image Inpainting with Gated Convolution, arXiv 1806.03589"

    @staticmethod
    def build(settings: GatedSettings) -> nn.Module:
        return GatedNet(settings.width)

    @staticmethod
    def sizes(settings: GatedSettings) -> Sizes:
        return Sizes(multiple=8)
