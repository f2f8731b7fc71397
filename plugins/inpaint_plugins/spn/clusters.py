"""Prior features as a picture: places of one colour have features of one cluster (figure 10)."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FITTED = 16_384  # places that the clusters are found from, at most


def clusters(features: Tensor, *, count: int = 8, seed: int = 0) -> NDArray[np.uint8]:
    """Features [C, H, W] as a picture [H, W, 3], colours by the size of clusters, blue the largest.

    K-means in raw feature space, the best of ten random beginnings, as the authors' code has it.
    """
    height, width = features.shape[1:]
    points = features.detach().float().flatten(1).T.cpu().contiguous()  # P C
    rng = np.random.default_rng(seed)
    few = np.sort(rng.permutation(len(points))[:FITTED])
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
