"""The averaged copy of a network: what is validated and what is saved to be used."""

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ..recipe.schema import Ema


class AveragedNetwork:
    """A network that follows another: parameters as a running mean, buffers as they are."""

    def __init__(self, net: nn.Module, settings: Ema) -> None:
        self.net = deepcopy(net).eval().requires_grad_(False)
        self.settings = settings

    def decay(self, step: int) -> float:
        """How much of the mean is kept at `step`; less early on, where the network is noise."""
        warm = (1 + step) / (10 + step) if self.settings.warmup else 1.0
        return min(self.settings.decay, warm)

    @torch.no_grad()
    def update(self, net: nn.Module, step: int) -> None:
        """Follow `net`, after `step` steps in all."""
        follow = get_ema_multi_avg_fn(self.decay(step))
        follow(list(self.net.parameters()), list(net.parameters()), step)
        for own, other in zip(self.net.buffers(), net.buffers(), strict=True):
            own.copy_(other)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved `state_dict` of the averaged network."""
        self.net.load_state_dict(state)
