"""Pictures of a fill: the clusters of its prior features (figure 10 of the paper), and the fill."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inpaint_cli.api import to_uint8

from .model import SemanticPriorNet

CLUSTERED_PLACES = 16_384  # at most, from which the clusters are computed


def explain_prior_fill(
    net: SemanticPriorNet, visible: Tensor, mask: Tensor
) -> list[tuple[NDArray[np.uint8], str]]:
    """Show the clusters of the priors, coarse to fine, and the filled image."""
    out = net(visible, mask)
    filled = torch.where(mask > 0, out.image, visible)[0]
    pictures = [
        (draw_clusters(prior[0]), "prior, {} x {}".format(*prior.shape[:1:-1]))
        for prior in reversed(out.priors)
    ]
    return [*pictures, (to_uint8(filled), "filled")]


def draw_clusters(features: Tensor, *, count: int = 8, seed: int = 0) -> NDArray[np.uint8]:
    """Draw the clusters of features [C, H, W] as an image [H, W, 3], the largest in blue.

    K-means of raw features, the best of ten random starts, as in the authors' code.
    """
    height, width = features.shape[1:]
    points = features.detach().float().flatten(1).T.cpu().contiguous()  # P C
    rng = np.random.default_rng(seed)
    few = np.sort(rng.permutation(len(points))[:CLUSTERED_PLACES])
    cv2.setRNGSeed(seed)
    until = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    count = min(count, len(few))
    _, _, centres = cv2.kmeans(
        points.numpy()[few], count, np.empty(0), until, 10, cv2.KMEANS_RANDOM_CENTERS
    )
    nearest = torch.cdist(points, torch.from_numpy(centres)).argmin(1)
    rank = nearest.bincount(minlength=count).argsort(descending=True, stable=True).argsort()
    levels = (rank[nearest].float() * (255 / count)).byte().view(height, width, 1).numpy()
    return cv2.applyColorMap(levels, cv2.COLORMAP_JET)[..., ::-1].astype(np.uint8)
