"""SPN: fills guided by semantic priors learned at several scales (Zhang et al., 2023)."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inpaint_cli.api import Architecture, Sizes, to_uint8

from .clusters import clusters
from .model import SemanticPriorNet
from .settings import SPLSettings, SPNPSettings, SPNSettings
from .task import SPNPTask, SPNTask

TINY = {"width": 8, "blocks": 1, "dense_blocks": 1}


class SPN(Architecture):
    """A pyramid of semantic priors, learned from a classifier's features, guides the fill."""

    settings = SPNSettings
    task = SPNTask
    tiny: ClassVar[Mapping[str, Any]] = {
        "model": TINY,
        "task": {"pretext": "random", "critic": 8},
    }
    source = (
        "Fully Context-Aware Image Inpainting with a Learned Semantic Pyramid, arXiv 2112.04107"
    )

    @staticmethod
    def build(settings: SPNSettings) -> nn.Module:
        return SemanticPriorNet(settings)

    @staticmethod
    def sizes(settings: SPNSettings) -> Sizes:
        return Sizes(multiple=4, minimum=12)

    @staticmethod
    def explain(
        net: SemanticPriorNet, visible: Tensor, mask: Tensor
    ) -> Sequence[tuple[NDArray[np.uint8], str]]:
        """The clusters of the priors, coarse to fine (figure 10), and the picture itself."""
        out = net(visible, mask)
        filled = torch.where(mask > 0, out.image, visible)[0]
        pictures = [
            (clusters(prior[0]), "prior, {} x {}".format(*prior.shape[:1:-1]))
            for prior in reversed(out.priors)
        ]
        return [*pictures, (to_uint8(filled), "filled")]


class SPNP(SPN):
    """SPN with priors drawn at random: a different fill for each seed."""

    settings = SPNPSettings
    task = SPNPTask
    stochastic = True
    tiny: ClassVar[Mapping[str, Any]] = {
        "model": TINY,
        "task": {"pretext": "random", "critic": 8, "vgg": "random"},
    }

    @staticmethod
    def sizes(settings: SPNSettings) -> Sizes:
        return Sizes(multiple=32, minimum=32)


class SPL(SPN):
    """The predecessor of SPN: semantic priors at one scale."""

    settings = SPLSettings
    source = "Context-Aware Image Inpainting with Learned Semantic Priors, arXiv 2106.07220"
