"""SPN: fills guided by semantic priors learned at several scales (Zhang et al., 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inpaint_cli.api import Architecture, Sizes, deferred

if TYPE_CHECKING:
    from torch import Tensor

    from inpaint_cli.api import Converted

    from .model import SemanticPriorNet
    from .settings import SPNPSettings, SPNSettings


class SPN(Architecture):
    """A pyramid of semantic priors, learned from a classifier's features, guides the fill."""

    settings = deferred(".settings:SPNSettings")
    task = deferred(".task:SPNTask")
    source = (
        "Fully Context-Aware Image Inpainting with a Learned Semantic Pyramid, arXiv 2112.04107"
    )
    citation = """\
@article{zhang2023fully,
  title = {Fully Context-Aware Image Inpainting with a Learned Semantic Pyramid},
  author = {Zhang, Wendong and Wang, Yunbo and Ni, Bingbing and Yang, Xiaokang},
  journal = {Pattern Recognition},
  year = {2023}
}"""

    @staticmethod
    def build(settings: SPNSettings) -> SemanticPriorNet:
        from .model import SemanticPriorNet

        return SemanticPriorNet(settings)

    @staticmethod
    def sizes(settings: SPNSettings) -> Sizes:
        return Sizes(multiple=4, minimum=12)

    @classmethod
    def convert(cls, tensors: Mapping[str, Tensor]) -> Converted | None:
        from .convert import convert_released

        return convert_released(tensors, cls.settings)  # pyright: ignore[reportArgumentType]

    @staticmethod
    def explain(net: SemanticPriorNet, visible: Tensor, mask: Tensor) -> Sequence[tuple[Any, str]]:
        from .explain import explain_prior_fill

        return explain_prior_fill(net, visible, mask)


class SPNP(SPN):
    """SPN with priors drawn at random: a different fill for each seed."""

    settings = deferred(".settings:SPNPSettings")
    task = deferred(".task:SPNPTask")
    stochastic = True

    @classmethod
    def draws(cls, settings: SPNPSettings) -> bool:
        return settings.z == "drawn"

    @staticmethod
    def sizes(settings: SPNSettings) -> Sizes:
        return Sizes(multiple=32, minimum=32)


class SPL(SPN):
    """The predecessor of SPN: semantic priors at one scale."""

    settings = deferred(".settings:SPLSettings")
    source = "Context-Aware Image Inpainting with Learned Semantic Priors, arXiv 2106.07220"
    citation = """\
@inproceedings{zhang2021context,
  title = {Context-Aware Image Inpainting with Learned Semantic Priors},
  author = {Zhang, Wendong and Zhu, Junwei and Tai, Ying and Wang, Yunbo and Chu, Wenqing and
    Ni, Bingbing and Wang, Chengjie and Yang, Xiaokang},
  booktitle = {IJCAI},
  year = {2021}
}"""
