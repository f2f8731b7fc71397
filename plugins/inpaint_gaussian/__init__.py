"""Pictures that are alike, such as aligned faces, as one Gaussian: filled by what to expect."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from inpaint_cli.api.architectures import Architecture, Sizes

from .model import GaussianFill, GaussianSettings
from .task import GaussianTask


class Gaussian(Architecture):
    """Most likely hole under a Gaussian of aligned pictures: learnt in minutes, soft, seamless."""

    settings = GaussianSettings
    task = GaussianTask
    precisions = ("full",)
    tiny: ClassVar[Mapping[str, Any]] = {"model": {"side": 4}}
    source = (
        "our own, of known parts: faces as Gaussian vectors (Turk and Pentland 1991), their "
        "conditional mean, push-pull (Gortler et al. 1996)"
    )

    @staticmethod
    def build(settings: GaussianSettings) -> nn.Module:
        return GaussianFill(settings)

    @staticmethod
    def sizes(settings: GaussianSettings) -> Sizes:
        return Sizes(window=1024, context=192)
