"""Arrays to tensors and back."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_tensor(array: NDArray[Any]) -> Tensor:
    """Return an image [H, W, C] as a tensor [1, C, H, W] of the same type.

    >>> to_tensor(np.zeros((2, 3, 1), np.uint8)).shape
    torch.Size([1, 1, 2, 3])
    """
    return torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1)[None]


def to_uint8(image: Tensor) -> NDArray[np.uint8]:
    """Return an image [3, H, W] in 0..1 as bytes [H, W, 3]; values beyond that are clipped."""
    return (image.float() * 255).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
