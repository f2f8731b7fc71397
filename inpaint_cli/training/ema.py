"""The averaged copy of a network, which is validated and saved as weights."""

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ..recipe.schema import Ema


class AveragedNetwork:
    """A copy of a network: its parameters are a running mean, its buffers the latest."""

    def __init__(self, net: nn.Module, settings: Ema) -> None:
        self.net = deepcopy(net).eval().requires_grad_(False)
        self.settings = settings

    def decay(self, step: int, most: float | None = None) -> float:
        """Return the share of the mean that is kept at `step`; less at the start of a training.

        `most` is the stage's own, in place of that of the settings.
        """
        warm = (1 + step) / (10 + step) if self.settings.warmup else 1.0
        return min(self.settings.decay if most is None else most, warm)

    @torch.no_grad()
    def update(self, net: nn.Module, step: int, most: float | None = None) -> None:
        """Update the mean with `net`, after `step` steps in total; for `most` see `decay`."""
        follow = get_ema_multi_avg_fn(self.decay(step, most))
        follow(list(self.net.parameters()), list(net.parameters()), step)
        for own, other in zip(self.net.buffers(), net.buffers(), strict=True):
            own.copy_(other)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore a saved `state_dict` of the averaged network."""
        self.net.load_state_dict(state)
