"""Total variation of the fill."""

from torch import Tensor
from torch.nn import functional as F


def total_variation(composite: Tensor, mask: Tensor) -> Tensor:
    """Mean |horizontal| + mean |vertical| difference of neighbours in and at the hole.

    Pairs count if both pixels are in the hole grown by one pixel; the means are over all pairs of
    the image (PConv, section 3.3).
    """
    near = F.max_pool2d(mask, 3, 1, 1)
    across = (composite[..., :, 1:] - composite[..., :, :-1]) * (
        near[..., :, 1:] * near[..., :, :-1]
    )
    down = (composite[..., 1:, :] - composite[..., :-1, :]) * (near[..., 1:, :] * near[..., :-1, :])
    return across.abs().mean() + down.abs().mean()
