"""The smoothest surface that meets the photo at the hole's border in value and slope.

scikit-image assembles and solves one sparse system per hole, whose fill-in grows faster than the
hole does: a hole of 65,000 pixels takes most of a second, and one of a million would take minutes.
"""

from typing import TYPE_CHECKING

import numpy as np
from skimage.restoration import inpaint_biharmonic

from inpaint_cli.api import Architecture, Classical, Settings, Sizes

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Surface(Classical):
    def fill(self, image: "NDArray[np.float32]", hole: "NDArray[np.bool_]") -> "NDArray":
        filled = inpaint_biharmonic(image, hole, split_into_regions=True, channel_axis=-1)
        return filled.clip(0, 1)


class Biharmonic(Architecture):
    """Solves for the smoothest surface over the hole: for gradients, skies and thin holes."""

    settings = Settings
    needs_weights = False
    precisions = ("full",)
    source = (
        "Damelin and Hoang 2018, On Surface Completion and Image Inpainting by Biharmonic Functions"
    )

    @staticmethod
    def build(settings: Settings) -> Surface:
        return Surface()

    @staticmethod
    def sizes(settings: Settings) -> Sizes:
        return Sizes(window=1024, context=16)
