"""Filling by marching inwards from the hole's border, as OpenCV does it.

Fast and local: made for scratches and thin holes, smeared in wide ones. OpenCV computes in 8 bit
here, because its float path keeps constants meant for grey levels: on 0..1 Telea's leaves the
range of colours altogether, on 0..255 it drifts by 1.4 grey levels on average.
"""

from dataclasses import dataclass

from inpaint_cli.api import Filler, Sizes

ROWS = 256  # converted at a time, which saves memory


@dataclass(frozen=True)
class Telea(Filler):
    """Marches inwards, extending gradients: fast, for scratches and thin holes."""

    radius: float = 3  # pixels around each filled pixel that it is made of, over 0 and up to 100
    source = "Telea 2004, An Image Inpainting Technique Based on the Fast Marching Method"
    method = "INPAINT_TELEA"

    def __post_init__(self) -> None:
        if not 0 < self.radius <= 100:
            raise ValueError(f"radius {self.radius} is not over 0 and up to 100 pixels")

    @property
    def sizes(self) -> Sizes:
        return Sizes(window=4096, context=16 + 4 * round(self.radius), local=True)

    def fill(self, rgb, hole, rng):
        import cv2
        import numpy as np

        levels = np.empty(rgb.shape, np.uint8)
        for top in range(0, len(rgb), ROWS):
            np.rint(rgb[top : top + ROWS] * 255, out=levels[top : top + ROWS], casting="unsafe")
        area = hole.view(np.uint8)
        filled = cv2.inpaint(levels, area, self.radius, getattr(cv2, self.method))
        for top in range(0, len(rgb), ROWS):
            part = hole[top : top + ROWS]
            rgb[top : top + ROWS][part] = filled[top : top + ROWS][part] / np.float32(255)
        return rgb


class NavierStokes(Telea):
    """Continues lines of equal brightness as a fluid would: fast, for scratches and thin holes."""

    source = "Bertalmio et al. 2001, Navier-Stokes, Fluid Dynamics, and Image and Video Inpainting"
    method = "INPAINT_NS"
