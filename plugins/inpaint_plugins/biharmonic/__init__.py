"""The smoothest surface that meets the photo at the hole's border in value and slope.

scikit-image assembles and solves one sparse system per hole, whose fill-in grows faster than the
hole does: a hole of 65,000 pixels takes most of a second, and one of a million would take minutes.
"""

from inpaint_cli.api import Filler, Sizes


class Biharmonic(Filler):
    """Solves for the smoothest surface over the hole: for gradients, skies and thin holes."""

    source = (
        "Damelin and Hoang 2018, On Surface Completion and Image Inpainting by Biharmonic Functions"
    )

    @property
    def sizes(self) -> Sizes:
        return Sizes(window=1024, context=16)

    def fill(self, rgb, hole, rng):
        from skimage.restoration import inpaint_biharmonic

        return inpaint_biharmonic(rgb, hole, split_into_regions=True, channel_axis=-1)
