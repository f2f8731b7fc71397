"""GM-SRM: a generative memory, trained first, guides the fill (Feng et al., 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inpaint_cli.api import Architecture, Sizes, deferred

if TYPE_CHECKING:
    from torch import Tensor

    from .model import GMSRMNet
    from .settings import GMSRMSettings


class GMSRM(Architecture):
    """A generative memory, trained first, guides the fill."""

    settings = deferred(".settings:GMSRMSettings")
    task = deferred(".task:GMSRMTask")
    stochastic = True
    source = (
        "Generative Memory-Guided Semantic Reasoning Model for Image Inpainting, arXiv 2110.00261"
    )
    citation = """\
@article{feng2021generative,
  title = {Generative Memory-Guided Semantic Reasoning Model for Image Inpainting},
  author = {Feng, Xin and Pei, Wenjie and Li, Fengjun and Chen, Fanglin and Zhang, David and Lu,
    Guangming},
  journal = {arXiv:2110.00261},
  year = {2021}
}"""

    @staticmethod
    def build(settings: GMSRMSettings) -> GMSRMNet:
        from .model import GMSRMNet

        return GMSRMNet(settings)

    @staticmethod
    def sizes(settings: GMSRMSettings) -> Sizes:
        step = settings.multiple  # instance norm needs two numbers a channel: two steps a side
        return Sizes(multiple=step, minimum=2 * step, window=8 * step, context=step)

    @classmethod
    def draws(cls, settings: GMSRMSettings) -> bool:
        if not settings.memory or settings.noise == "none":
            return False
        return settings.noise == "random" or settings.temperature > 0

    @staticmethod
    def explain(net: GMSRMNet, visible: Tensor, mask: Tensor) -> Sequence[tuple[Any, str]]:
        from .explain import explain_memory_fill

        return explain_memory_fill(net, visible, mask)
