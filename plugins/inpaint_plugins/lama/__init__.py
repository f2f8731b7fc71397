"""LaMa: large holes by fast Fourier convolutions (Suvorov et al., WACV 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from inpaint_cli.api import Architecture, Sizes, deferred

if TYPE_CHECKING:
    from torch import Tensor

    from inpaint_cli.api import Converted

    from .model import FourierNet
    from .settings import LaMaSettings


class LaMa(Architecture):
    """Fourier convolutions see the whole picture at once: strong on large holes and textures."""

    settings = deferred(".settings:LaMaSettings")
    task = deferred(".task:LaMaTask")
    source = "Resolution-robust Large Mask Inpainting with Fourier Convolutions, arXiv 2109.07161"
    citation = """\
@inproceedings{suvorov2022resolution,
  title = {Resolution-robust Large Mask Inpainting with {Fourier} Convolutions},
  author = {Suvorov, Roman and Logacheva, Elizaveta and Mashikhin, Anton and Remizova, Anastasia
    and Ashukha, Arsenii and Silvestrov, Aleksei and Kong, Naejin and Goka, Harshith and Park,
    Kiwoong and Lempitsky, Victor},
  booktitle = {WACV},
  year = {2022}
}"""

    @staticmethod
    def build(settings: LaMaSettings) -> FourierNet:
        from .model import FourierNet

        return FourierNet(settings)

    @staticmethod
    def sizes(settings: LaMaSettings) -> Sizes:
        step = 2**settings.downsamplings
        return Sizes(multiple=step, minimum=2 * step, window=1024, context=128)

    @classmethod
    def convert(cls, tensors: Mapping[str, Tensor]) -> Converted | None:
        from .convert import convert_generator

        return convert_generator(tensors)
