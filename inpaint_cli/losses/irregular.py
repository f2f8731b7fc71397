"""The losses of partial convolutions (Liu et al., ECCV 2018, section 3.3), which others took over.

With psi the outputs of VGG-16's first three pools, Y the network's picture, O the same with the
visible pixels pasted in and I the truth: visible |Y - I| + hole |Y - I|, psi and their Gram
matrices of both Y and O against I, and the total variation of O in and at the hole.
"""

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from ..settings import Settings
from .perceptual import VGG, VGGSource, make_vgg, perceptual_loss, style_loss
from .reconstruction import l1_loss
from .smoothness import total_variation


class IrregularWeights(Settings):
    """The paper's weights, and where VGG-16 comes from ("none": no such terms)."""

    visible: NonNegativeFloat = 1.0
    hole: NonNegativeFloat = 6.0
    perceptual: NonNegativeFloat = 0.05
    style: NonNegativeFloat = 120.0
    total_variation: NonNegativeFloat = 0.1
    vgg: VGGSource = "imagenet"


def irregular_features(weights: IrregularWeights) -> VGG | None:
    """psi, where its terms are wanted."""
    wanted = weights.perceptual or weights.style
    return make_vgg("vgg16", ["pool1", "pool2", "pool3"], weights.vgg) if wanted else None


def irregular_losses(
    out: Tensor, truth: Tensor, mask: Tensor, psi: VGG | None, weights: IrregularWeights
) -> dict[str, Tensor]:
    """The weighted terms by name; those of VGG where there is one."""
    composite = torch.where(mask > 0, out, truth)
    terms = {
        "l1": l1_loss(out, truth, mask, hole=weights.hole, visible=weights.visible),
        "total_variation": weights.total_variation * total_variation(composite, mask),
    }
    if psi is not None:
        filled = psi(torch.cat([out, composite]))
        with torch.no_grad():
            true = [feature.repeat(2, 1, 1, 1) for feature in psi(truth)]
        # the paper's sum over both pictures is twice the mean over the two as one batch
        terms["perceptual"] = 2 * weights.perceptual * perceptual_loss(filled, true)
        terms["style"] = 2 * weights.style * style_loss(filled, true)
    return terms
