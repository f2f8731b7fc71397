"""A residual U-Net for processors: sees the photo folded small, is exact where the hole begins."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from inpaint_cli.api.architectures import Architecture, Sizes

from .model import ResUNet, ResUNetSettings
from .task import ResUNetTask


class ResUNetArchitecture(Architecture):
    """Residual U-Net on folded pixels: quick on a processor, joins the photo without a seam."""

    settings = ResUNetSettings
    task = ResUNetTask
    tiny: ClassVar[Mapping[str, Any]] = {
        "model": {"side": 32, "width": 8, "levels": 2, "blocks": 1}
    }
    source = (
        "our own, of known parts: U-Net (arXiv 1505.04597), residual blocks before activation "
        "(arXiv 1603.05027), folded pixels (arXiv 1609.05158), push-pull (Gortler et al. 1996)"
    )

    @staticmethod
    def build(settings: ResUNetSettings) -> nn.Module:
        return ResUNet(settings)

    @staticmethod
    def sizes(settings: ResUNetSettings) -> Sizes:
        return Sizes(window=1024, context=192)
