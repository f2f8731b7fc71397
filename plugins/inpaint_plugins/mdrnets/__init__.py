"""MDRNets: faces filled coarse to fine, by regions and a memory for each (ShowFace, BMVC 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inpaint_cli.api import WHOLE_PHOTO, Architecture, Sizes, deferred

if TYPE_CHECKING:
    from torch import Tensor

    from .model import MDRNet
    from .settings import MDRNetSettings


class MDRNets(Architecture):
    """Faces, coarse to fine: partial convolutions, then regions refined from a memory."""

    settings = deferred(".settings:MDRNetSettings")
    task = deferred(".task:MDRNetsTask")
    source = "ShowFace: Coordinated Face Inpainting with MDRNets, BMVC 2022, arXiv 2204.02824"
    citation = """\
@article{wu2022showface,
  title = {{ShowFace}: Coordinated Face Inpainting with Memory-Disentangled Refinement Networks},
  author = {Wu, Zhuojie and Qi, Xingqun and Wang, Zijian and Zhou, Wanting and Yuan, Kun and
    Sun, Muyi and Sun, Zhenan},
  journal = {arXiv:2204.02824},
  year = {2022}
}"""

    @staticmethod
    def build(settings: MDRNetSettings) -> MDRNet:
        from .model import MDRNet

        return MDRNet(settings)

    @staticmethod
    def sizes(settings: MDRNetSettings) -> Sizes:
        # regions are found in the whole face, at its own size: the network itself pads
        return Sizes(window=2048, context=WHOLE_PHOTO, tiles=False)

    @staticmethod
    def explain(net: MDRNet, visible: Tensor, mask: Tensor) -> Sequence[tuple[Any, str]]:
        from .explain import explain_region_fill

        return explain_region_fill(net, visible, mask)
