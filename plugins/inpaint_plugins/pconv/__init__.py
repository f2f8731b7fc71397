"""Partial convolutions: a U-Net that looks at visible pixels only (Liu et al., ECCV 2018)."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import PositiveInt
from torch import nn

from inpaint_cli.api import Architecture, PartialUNet, Settings, Sizes

from .task import PConvTask


class PConvSettings(Settings):
    levels: PositiveInt = 7  # 7 for 256 pixels, 8 for the paper's 512: the bottleneck is 2 x 2
    width: PositiveInt = 64  # channels of the first level; the deep ones have 8 times as many


class PConv(Architecture):
    """U-Net of partial convolutions, trained without a critic: soft fills."""

    settings = PConvSettings
    task = PConvTask
    tiny: ClassVar[Mapping[str, Any]] = {
        "model": {"levels": 3, "width": 4},
        "task": {"vgg": "none"},
    }
    source = "Image Inpainting for Irregular Holes Using Partial Convolutions, arXiv 1804.07723"

    @staticmethod
    def build(settings: PConvSettings) -> nn.Module:
        return PartialUNet(settings.levels, settings.width)

    @staticmethod
    def sizes(settings: PConvSettings) -> Sizes:
        return Sizes(multiple=2**settings.levels)
