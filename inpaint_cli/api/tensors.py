"""Tensors as pictures to look at."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def to_uint8(image: Tensor) -> NDArray[np.uint8]:
    """An image [3, H, W] in 0..1, what lies beyond cut off, as bytes [H, W, 3]."""
    return (image.float() * 255).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
