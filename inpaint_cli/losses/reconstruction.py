"""Pixel losses."""

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

    Both means are over all elements (PConv, section 3.3; LaMa with hole=0); `by_area` divides
    each by its own region instead, and a region without pixels counts 0.
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
    """Mean over images of the logarithm of the mean squared error under `mask` [N, 1, H, W].

    It is the hole's PSNR times -ln(10) / 10: easy and hard images count alike. `least` is added to
    each error, so that none outweighs all; an image without a hole counts ln(least).
    """
    area = mask.sum((1, 2, 3)) * filled.shape[1]
    error = ((filled - truth) ** 2 * mask).sum((1, 2, 3)) / area.clamp(min=1)
    return (error + least).log().mean()
