"""Pictures for metrics, and a metric's score of arrays."""

import numpy as np
import torch
from skimage import data, transform


def photo(height=64, width=72):
    image = transform.resize(data.astronaut(), (height, width), anti_aliasing=True)
    return (image * 255).round().astype(np.uint8)


def noisy(image, spread=25, seed=0):
    noise = np.random.default_rng(seed).integers(-spread, spread + 1, image.shape)
    return np.clip(image.astype(int) + noise, 0, 255).astype(np.uint8)


def tensor(array):
    return torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1)[None]


def box(height, width):
    mask = torch.zeros(1, 1, height, width, dtype=torch.bool)
    mask[..., height // 4 : height // 2, width // 4 : 3 * width // 4] = True
    return mask


def score(metric, filled, truth, mask=None):
    """Score arrays [H, W, 3]; those of floats are on the scale of 255."""
    pair = [tensor(array if array.dtype == np.uint8 else array / 255) for array in (filled, truth)]
    mask = box(*truth.shape[:2]) if mask is None else mask
    return metric.score(*pair, mask).item()
