"""Partial convolutions: a U-Net over visible pixels only (Liu et al., ECCV 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inpaint_cli.api import Architecture, Sizes, deferred

if TYPE_CHECKING:
    from inpaint_cli.api import PartialUNet

    from .settings import PConvSettings


class PConv(Architecture):
    """U-Net of partial convolutions, trained without a critic: soft fills."""

    settings = deferred(".settings:PConvSettings")
    task = deferred(".task:PConvTask")
    source = "Image Inpainting for Irregular Holes Using Partial Convolutions, arXiv 1804.07723"
    citation = """\
@inproceedings{liu2018image,
  title = {Image Inpainting for Irregular Holes Using Partial Convolutions},
  author = {Liu, Guilin and Reda, Fitsum A. and Shih, Kevin J. and Wang, Ting-Chun and Tao,
    Andrew and Catanzaro, Bryan},
  booktitle = {ECCV},
  year = {2018}
}"""

    @staticmethod
    def build(settings: PConvSettings) -> PartialUNet:
        from inpaint_cli.api import PartialUNet

        return PartialUNet(settings.levels, settings.width)

    @staticmethod
    def sizes(settings: PConvSettings) -> Sizes:
        return Sizes(multiple=2**settings.levels)
