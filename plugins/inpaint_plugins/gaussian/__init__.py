"""Pictures that are alike, such as aligned faces: found in a photo and completed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inpaint_cli.api import Architecture, Sizes, deferred

if TYPE_CHECKING:
    from torch import Tensor

    from .model import GaussianFill
    from .portrait import PortraitFill
    from .settings import GaussianSettings, PortraitSettings


class Gaussian(Architecture):
    """A Gaussian of aligned pictures, refined by a small network: seamless, soft fills."""

    settings = deferred(".settings:GaussianSettings")
    task = deferred(".task:GaussianTask")
    no_onnx = "it factorises matrices of the cells that are visible, for which ONNX has no operator"
    source = (
        "our own, of known parts: faces as Gaussian vectors (Turk and Pentland 1991), their "
        "conditional mean, a residual U-Net, push-pull (Gortler et al. 1996)"
    )

    @staticmethod
    def build(settings: GaussianSettings) -> GaussianFill:
        from .model import GaussianFill

        return GaussianFill(settings)

    @staticmethod
    def sizes(settings: GaussianSettings) -> Sizes:
        # a face is found by its surroundings; separate tiles might each find a different one
        return Sizes(window=1536, context=1024, tiles=False)

    @staticmethod
    def explain(net: GaussianFill, visible: Tensor, mask: Tensor) -> Sequence[tuple[Any, str]]:
        """Show the prediction in each frame that was tried, the likeliest first."""
        from inpaint_cli.api import to_uint8

        known = 1 - mask
        seen = (visible - 0.5) * known
        pictures = []
        frames, log_odds = net.find_frames(seen, known)
        for n in log_odds.argsort(descending=True).tolist():
            guess, inside = net.guess_in_photo(frames[n], seen, known)
            caption = f"odds e^{log_odds[n]:.0f}: frame of {frames[n, 0]:.0%}"
            pictures.append((to_uint8(((guess + 0.5) * inside)[0]), caption))
        return pictures


class Portrait(Gaussian):
    """A Gaussian of aligned faces, with detail by gated and Fourier convolutions and a critic."""

    settings = deferred(".settings:PortraitSettings")
    task = deferred(".portrait_task:PortraitTask")
    source = (
        "our own, of known parts: `gaussian`; gated convolutions, arXiv 1806.03589, and fast "
        "Fourier convolutions, arXiv 2109.07161"
    )

    @staticmethod
    def build(settings: PortraitSettings) -> PortraitFill:  # pyright: ignore[reportIncompatibleMethodOverride]
        from .portrait import PortraitFill

        return PortraitFill(settings)

    @staticmethod
    def explain(net: PortraitFill, visible: Tensor, mask: Tensor) -> Sequence[tuple[Any, str]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Show what `gaussian` shows: the prediction in each frame that was tried."""
        return Gaussian.explain(net.base, visible, mask)
