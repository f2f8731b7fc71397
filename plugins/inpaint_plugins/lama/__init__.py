"""LaMa: large holes by fast Fourier convolutions (Suvorov et al., WACV 2022)."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from inpaint_cli.api import Architecture, Converted, Sizes

from .convert import convert
from .model import FourierNet, LaMaSettings
from .task import LaMaTask


class LaMa(Architecture):
    """Fourier convolutions see the whole picture at once: strong on large holes and textures."""

    settings = LaMaSettings
    task = LaMaTask
    tiny: ClassVar[Mapping[str, Any]] = {
        "model": {"width": 4, "blocks": 1, "downsamplings": 2},
        "task": {"critic": 4, "critic_layers": 2, "vgg": "none"},
    }
    source = "Resolution-robust Large Mask Inpainting with Fourier Convolutions, arXiv 2109.07161"

    @staticmethod
    def build(settings: LaMaSettings) -> nn.Module:
        return FourierNet(settings)

    @staticmethod
    def sizes(settings: LaMaSettings) -> Sizes:
        step = 2**settings.downsamplings
        return Sizes(multiple=step, minimum=2 * step, window=1024, context=128)

    @staticmethod
    def convert(tensors: Mapping[str, Tensor]) -> Converted | None:
        return convert(tensors)
