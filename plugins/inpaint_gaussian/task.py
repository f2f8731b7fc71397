"""How the Gaussian learns: by counting, but for the noise, which learns from a few fills.

Mean and covariance are those of every image seen so far, whichever process has seen it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic import PositiveInt
from torch import Tensor

from inpaint_cli.api.architectures import Batch, Losses, Phase, Task
from inpaint_cli.api.settings import Settings
from inpaint_cli.api.stages import Optimizer, Stage
from inpaint_cli.losses.reconstruction import l1

from .model import GaussianFill


class GaussianTaskSettings(Settings):
    fills: PositiveInt = 2  # images of a step from which the noise learns,
    every: PositiveInt = 10  # and how often: the gradient of a fill costs seconds


class GaussianTask(Task):
    net: GaussianFill
    count: Tensor
    total: Tensor
    products: Tensor
    settings = GaussianTaskSettings
    plan: ClassVar[Mapping[str, Stage]] = {
        "fill": Stage(steps=100, batch=256, optimizer=Optimizer(lr=0.1))
    }

    def __init__(self, net: GaussianFill, settings: GaussianTaskSettings) -> None:
        super().__init__(net, settings)
        values = len(net.mean)
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("total", torch.zeros(values, dtype=torch.float64))
        self.register_buffer("products", torch.zeros(values, values, dtype=torch.float64))

    def phases(self, stage: str) -> Sequence[Phase]:
        return [Phase("noise", ["net.noise"], self.losses, every=self.config.every)]

    def predict(self, batch: Batch) -> None:
        """Nothing: counting needs no fills."""

    def losses(self, batch: Batch, out: None) -> Losses:
        few = slice(self.config.fills)
        truth, mask = batch.image[few], batch.mask[few]
        filled = self.net(batch.visible[few], mask)
        return {"l1": l1(filled, truth, mask, visible=0, by_area=True)}

    @torch.no_grad()
    def after(self, batch: Batch, out: Any, gather: Callable[[Tensor], Tensor]) -> None:
        rows = gather(self.net.cells(batch.image.float()).flatten(1)).double() - 0.5
        self.count += len(rows)
        self.total += rows.sum(0)
        self.products += rows.T @ rows
        mean = self.total / self.count
        covariance = self.products / self.count - torch.outer(mean, mean)
        self.net.become(mean + 0.5, covariance)
