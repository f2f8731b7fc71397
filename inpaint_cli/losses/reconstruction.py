"""Losses that compare pixels."""

from torch import Tensor


def l1_loss(
    filled: Tensor,
    truth: Tensor,
    mask: Tensor,
    *,
    hole: float = 1.0,
    visible: float = 1.0,
    by_area: bool = False,
) -> Tensor:
    """hole * mean |M (filled - truth)| + visible * mean |(1 - M) (filled - truth)|.

    M is `mask` [N, 1, H, W], 1 in the hole. Both means are over all elements (PConv, section 3.3;
    LaMa with hole=0); with `by_area` each is over its own region, and 0 where that is empty.
    """
    error = (filled - truth).abs()
    if not by_area:
        return (error * (visible + (hole - visible) * mask)).mean()
    area = mask.mean()
    total, inside = error.mean(), (error * mask).mean()
    tiny = 0.5 / mask.numel()  # below one pixel: only ever divides 0
    return hole * inside / area.clamp(min=tiny) + visible * (total - inside) / (1 - area).clamp(
        min=tiny
    )


def log_error(filled: Tensor, truth: Tensor, mask: Tensor, *, least: float = 1e-4) -> Tensor:
    """Mean over images of the log of the mean squared error where `mask` [N, 1, H, W] is 1.

    This is the PSNR in the hole times -ln(10) / 10, so easy and hard images weigh the same.
    `least` is added to each error to bound the logarithm; without a hole it is ln(least).
    """
    area = mask.sum((1, 2, 3)) * filled.shape[1]
    error = ((filled - truth) ** 2 * mask).sum((1, 2, 3)) / area.clamp(min=1)
    return (error + least).log().mean()
