"""IN2: faces of any shape and resolution (Zhao et al., 2024)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inpaint_cli.api import WHOLE_PHOTO, Architecture, Sizes, deferred

if TYPE_CHECKING:
    from .model import IN2Net
    from .settings import IN2Settings


class IN2(Architecture):
    """Faces of any size and proportions: each pixel is a function of its place."""

    settings = deferred(".settings:IN2Settings")
    task = deferred(".task:IN2Task")
    source = (
        "Learning Position-Aware Implicit Neural Network for Real-World Face Inpainting, "
        "arXiv 2401.10537"
    )
    citation = """\
@article{zhao2024learning,
  title = {Learning Position-Aware Implicit Neural Network for Real-World Face Inpainting},
  author = {Zhao, Bo and Yang, Huan and Fu, Jianlong},
  journal = {arXiv:2401.10537},
  year = {2024}
}"""

    @staticmethod
    def build(settings: IN2Settings) -> IN2Net:
        from .model import IN2Net

        return IN2Net(settings)

    @staticmethod
    def sizes(settings: IN2Settings) -> Sizes:
        # a place is known by its distance from the borders
        return Sizes(minimum=16, window=2048, context=WHOLE_PHOTO, tiles=False)
