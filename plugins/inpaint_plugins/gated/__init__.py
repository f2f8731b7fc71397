"""Gated convolutions with contextual attention: DeepFill v2 (Yu et al., ICCV 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inpaint_cli.api import Architecture, Sizes, deferred

if TYPE_CHECKING:
    from .model import GatedNet
    from .settings import GatedSettings


class Gated(Architecture):
    """Two networks of gated convolutions, the second with contextual attention; SN-PatchGAN."""

    settings = deferred(".settings:GatedSettings")
    task = deferred(".task:GatedTask")
    source = "Free-Form Image Inpainting with Gated Convolution, arXiv 1806.03589"
    citation = """\
@inproceedings{yu2019freeform,
  title = {Free-Form Image Inpainting with Gated Convolution},
  author = {Yu, Jiahui and Lin, Zhe and Yang, Jimei and Shen, Xiaohui and Lu, Xin and Huang,
    Thomas S.},
  booktitle = {ICCV},
  year = {2019}
}"""

    @staticmethod
    def build(settings: GatedSettings) -> GatedNet:
        from .model import GatedNet

        return GatedNet(settings.width)

    @staticmethod
    def sizes(settings: GatedSettings) -> Sizes:
        return Sizes(multiple=8)
