"""The losses of partial convolutions (Liu et al., ECCV 2018, section 3.3), used by others since.

Let psi be the outputs of VGG-16's first three pooling layers, Y the image that the network returns,
O the same with the visible pixels pasted in, and I the truth. The terms are L1 of Y against I at
visible pixels and in the hole, L1 of psi and of its Gram matrices for both Y and O against I, and
the total variation of O in and at the hole.
"""

import torch
from torch import Tensor

from .perceptual import VGG, make_vgg, perceptual_loss, style_loss
from .reconstruction import l1_loss
from .settings import IrregularWeights
from .smoothness import total_variation


def irregular_features(weights: IrregularWeights) -> VGG | None:
    """Make psi; None where neither of its terms has a weight, or `weights.vgg` is "none"."""
    wanted = weights.perceptual or weights.style
    return make_vgg("vgg16", ["pool1", "pool2", "pool3"], weights.vgg) if wanted else None


def irregular_losses(
    out: Tensor, truth: Tensor, mask: Tensor, psi: VGG | None, weights: IrregularWeights
) -> dict[str, Tensor]:
    """Return the weighted terms by name, without those of VGG if `psi` is None.

    `out` and `truth` are [N, 3, H, W] in 0..1, `mask` is [N, 1, H, W] with 1 in the hole.
    """
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
