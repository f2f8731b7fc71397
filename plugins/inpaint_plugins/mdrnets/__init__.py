"""MDRNets: faces filled coarse to fine, by regions and a memory for each of them (ShowFace, 2022).

Made from the paper's printed text only; its supplement is not available. What the text leaves open
is decided in the modules, where it says [choice].
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from inpaint_cli.api import WHOLE_PHOTO, Architecture, Sizes

from .explain import explain
from .model import MDRNet, MDRNetSettings
from .task import MDRNetsTask


class MDRNets(Architecture):
    """Faces, coarse to fine: partial convolutions, then regions refined from a memory."""

    settings = MDRNetSettings
    task = MDRNetsTask
    tiny: ClassVar[Mapping[str, Any]] = {
        "model": {
            "levels": 3,
            "coarse_width": 4,
            "width": 4,
            "parser": "template",
            "slots": 2,
            "enough": 1,
        },
        "task": {"vgg": "none", "critic": 4, "recon": 4},
    }
    source = "ShowFace: Coordinated Face Inpainting with MDRNets, BMVC 2022, arXiv 2204.02824"

    @staticmethod
    def build(settings: MDRNetSettings) -> MDRNet:
        return MDRNet(settings)

    @staticmethod
    def sizes(settings: MDRNetSettings) -> Sizes:
        # regions are found in the whole face, and lie where it has them: the network pads
        return Sizes(window=2048, context=WHOLE_PHOTO, tiles=False)

    @staticmethod
    def explain(net: MDRNet, visible: Tensor, mask: Tensor) -> Sequence[tuple[Any, str]]:
        return explain(net, visible, mask)
