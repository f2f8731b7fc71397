"""Images and masks for the checks."""

import torch
from torch import Tensor, nn

from ..api.tasks import Batch


def make_example(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Make a smooth image [1, 3, H, W] with some noise, and a mask [1, 1, H, W] with a hole."""
    height, width = size
    rng = torch.Generator().manual_seed(height * 1000 + width)
    coarse = torch.rand(1, 3, 4, 4, generator=rng)
    smooth = nn.functional.interpolate(coarse, size, mode="bilinear", align_corners=False)
    image = (0.9 * smooth + 0.1 * torch.rand(1, 3, *size, generator=rng)).clamp(0, 1)
    mask = torch.zeros(1, 1, *size)
    mask[..., height // 4 : height // 4 + max(1, height // 3), : max(1, width // 2)] = 1
    return image, mask


def make_batch(side: int) -> Batch:
    """Make a batch of two examples of `side` x `side` pixels."""
    pairs = [make_example((side, side)), make_example((side, side + 1))]
    image, mask = (torch.cat([t[..., :side] for t in part]) for part in zip(*pairs, strict=True))
    return Batch(image, mask)
