"""Fills a hole with pieces of the rest of the photo: what `fill` uses without any weights.

It draws only what the photo shows: it repeats texture, continues edges and removes objects, but
knows nothing of faces or meaning.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch

from inpaint_cli.api.architectures import Architecture, Sizes
from inpaint_cli.api.settings import Settings
from inpaint_cli.layers.classical import Classical

from .model import inpaint

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Exemplars(Classical):
    def fill(self, image: "NDArray[np.float32]", hole: "NDArray[np.bool_]") -> "NDArray":
        rng = np.random.default_rng(int(torch.randint(2**31, ())))
        return inpaint(image, hole, rng)


class PatchMatch(Architecture):
    """Copies matching pieces of the same photo into the hole: textures, removed objects."""

    needs_weights = False
    stochastic = True
    precisions = ("full",)
    source = "Wexler et al. 2007; Barnes et al. 2009, PatchMatch; Newson et al. 2014"

    @staticmethod
    def build(settings: Settings) -> Exemplars:
        return Exemplars()

    @staticmethod
    def sizes(settings: Settings) -> Sizes:
        return Sizes(window=1536, context=192)
