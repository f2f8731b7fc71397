"""The model `auto`: another one, chosen for each photo and hole. Imports no torch."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..api.fillers import Filler
from ..images.photo import FloatArray, Hole
from .choose import LoadedModel, load_model

SHRUNK_SIDE = 192  # pixels to which a photo is reduced when a face is looked for
ON_FACE = 0.1  # share of a face in the hole, from which on the hole is on the face
AT_FACE = 0.8  # share of the hole at the face that is needed: within half its side around it


class Choice(NamedTuple):
    """A model by its name, and a sentence that says why it fills."""

    name: str
    reason: str


class Auto(Filler):
    """Chooses for each photo: faces for a hole on a face, patchmatch for all others."""

    stochastic = True
    source = "our own; its finder of faces: Viola and Jones 2001, Liao et al. 2007"

    def choose(self, rgb: FloatArray, hole: Hole) -> Choice:
        """Choose for `rgb` [H, W, 3] with `hole` [H, W], which may be reduced for it.

        A smooth filler is never chosen: on lines of two pixels and more its texture is worse, and
        thinner ones take patchmatch a tenth of a second.
        """
        if is_on_face(rgb, hole):
            return Choice("faces", "auto took faces: the hole is on a face")
        return Choice("patchmatch", "auto took patchmatch: there is no face at the hole")

    def fill(self, rgb, hole, rng):
        return load_chosen(self.choose(rgb, hole).name).filler.fill(rgb, hole, rng)


@lru_cache(maxsize=2)
def load_chosen(name: str, device: str = "auto", precision: str = "auto") -> LoadedModel:
    """Load a model that was chosen, once for all photos."""
    return load_model(name, device=device, precision=precision)


def is_on_face(rgb: FloatArray, hole: Hole) -> bool:
    """Whether `hole` is on a face, and hardly elsewhere; a face that it hides is not found."""
    import cv2

    from .find_face import find_face

    scale = min(1, SHRUNK_SIDE / max(hole.shape))
    size = [max(1, round(length * scale)) for length in hole.shape[::-1]]
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    gone = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    grey = cv2.cvtColor((255 * small).astype(np.uint8), cv2.COLOR_RGB2GRAY)
    whole = cv2.inpaint(grey, gone.view(np.uint8), 3, cv2.INPAINT_TELEA)
    face = find_face(np.asarray(whole, np.uint8))
    if face is None:
        return False
    top, left, side = face
    inside = gone[top : top + side, left : left + side]
    margin = side // 2
    rows = slice(max(0, top - margin), top + side + margin)
    columns = slice(max(0, left - margin), left + side + margin)
    return bool(inside.mean() >= ON_FACE and gone[rows, columns].sum() >= AT_FACE * gone.sum())
