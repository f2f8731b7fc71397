"""Filling by marching inwards from the hole's border, as OpenCV does it.

Fast and local: made for scratches and thin holes, smeared in wide ones. OpenCV computes in 8 bit
here, because its float path keeps constants meant for grey levels: on 0..1 Telea's leaves the
range of colours altogether, on 0..255 it drifts by 1.4 grey levels on average.
"""

from typing import TYPE_CHECKING

import cv2
import numpy as np
from pydantic import Field

from inpaint_cli.api import Architecture, Classical, Settings, Sizes

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Marching(Settings):
    radius: float = Field(
        default=3, gt=0, le=100
    )  # pixels around each filled pixel that it is made of


class OpenCV(Classical):
    def __init__(self, method: int, radius: float) -> None:
        super().__init__()
        self.method = method
        self.radius = radius

    def fill(self, image: "NDArray[np.float32]", hole: "NDArray[np.bool_]") -> "NDArray":
        levels = np.rint(image * 255).astype(np.uint8)
        filled = cv2.inpaint(levels, hole.astype(np.uint8), self.radius, self.method)
        return filled.astype(np.float32) / 255


class Telea(Architecture):
    """Marches inwards, extending gradients: fast, for scratches and thin holes."""

    settings = Marching
    needs_weights = False
    precisions = ("full",)
    source = "Telea 2004, An Image Inpainting Technique Based on the Fast Marching Method"

    @staticmethod
    def build(settings: Marching) -> OpenCV:
        return OpenCV(cv2.INPAINT_TELEA, settings.radius)

    @staticmethod
    def sizes(settings: Marching) -> Sizes:
        return Sizes(window=4096, context=16 + 4 * round(settings.radius))


class NavierStokes(Telea):
    """Continues lines of equal brightness as a fluid would: fast, for scratches and thin holes."""

    source = "Bertalmio et al. 2001, Navier-Stokes, Fluid Dynamics, and Image and Video Inpainting"

    @staticmethod
    def build(settings: Marching) -> OpenCV:
        return OpenCV(cv2.INPAINT_NS, settings.radius)
