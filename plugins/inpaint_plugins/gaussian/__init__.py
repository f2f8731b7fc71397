"""Pictures that are alike, such as aligned faces: found in a photo, and filled as expected."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from inpaint_cli.api import Architecture, Sizes, to_uint8

from .model import GaussianFill, GaussianSettings
from .task import GaussianTask


class Gaussian(Architecture):
    """What a Gaussian of aligned pictures expects, refined by a small network; seamless, soft."""

    settings = GaussianSettings
    task = GaussianTask
    tiny: ClassVar[Mapping[str, Any]] = {"model": {"side": 4, "sight": 32, "width": 4, "levels": 2}}
    source = (
        "our own, of known parts: faces as Gaussian vectors (Turk and Pentland 1991), their "
        "conditional mean, a residual U-Net, push-pull (Gortler et al. 1996)"
    )

    @staticmethod
    def build(settings: GaussianSettings) -> nn.Module:
        return GaussianFill(settings)

    @staticmethod
    def sizes(settings: GaussianSettings) -> Sizes:
        # a face is found by its surroundings; tiles might each find another one
        return Sizes(window=16384, context=1024, tiles=False)

    @staticmethod
    def explain(net: GaussianFill, visible: Tensor, mask: Tensor) -> Sequence[tuple[Any, str]]:
        """The guess in each frame that was looked at, the likeliest first."""
        known = 1 - mask
        seen = (visible - 0.5) * known
        pictures = []
        frames, log_odds = net.found(seen, known)
        for n in log_odds.argsort(descending=True).tolist():
            guess, inside = net.guessed(frames[n], seen, known)
            caption = f"odds e^{log_odds[n]:.0f}: frame of {frames[n, 0]:.0%}"
            pictures.append((to_uint8(((guess + 0.5) * inside)[0]), caption))
        return pictures
