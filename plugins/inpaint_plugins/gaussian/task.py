"""How it learns: the Gaussian by counting, its noise by gradients, then the network what is left.

Mean and covariance are those of all images seen so far, in whichever process.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from inpaint_cli.api import (
    Batch,
    Losses,
    Optimizer,
    Phase,
    Schedule,
    Settings,
    Stage,
    Task,
    l1_loss,
    log_error,
)

from .frames import anywhere, cells
from .gaussian import Pictures, along
from .model import GaussianFill, squared


class GaussianTaskSettings(Settings):
    fills: PositiveInt = 16  # images of a batch that the noise learns from
    every: PositiveInt = 10  # steps of `count` between two updates of the noise
    hole: NonNegativeFloat = 0.1  # weight of the log of the mean squared error in the hole
    visible: NonNegativeFloat = 0.3  # weight of the mean squared error elsewhere


class GaussianTask(Task):
    net: GaussianFill
    settings = GaussianTaskSettings
    plan: ClassVar[Mapping[str, Stage]] = {
        "count": Stage(steps=100, batch=256, optimizer=Optimizer(lr=0.1)),
        "learn": Stage(
            steps=100_000,
            batch=16,
            clip=1.0,
            optimizer=Optimizer(
                kind="adamw",
                lr=1e-3,
                betas=(0.9, 0.98),
                weight_decay=1e-3,
                schedule=Schedule(kind="cosine", warmup=300, floor=0.01),
            ),
        ),
    }

    def __init__(self, net: GaussianFill, settings: GaussianTaskSettings) -> None:
        super().__init__(net, settings)
        self.taught, self.elsewhere = Moments(net.taught), Moments(net.elsewhere)

    def phases(self, stage: str) -> Sequence[Phase]:
        if stage == "count":
            return [Phase("noise", ["net.noise"], self.noise_losses, every=self.config.every)]
        return [Phase("network", ["net.network"], self.losses)] if self.net.network else []

    def predict(self, batch: Batch) -> Tensor | None:
        """The guess of the network; nothing is filled while counting."""
        if self.stage == "count":
            return None
        return self.net(batch.visible, batch.mask, joined=False)

    def losses(self, batch: Batch, out: Tensor) -> Losses:
        truth, known = squared(batch.image, out.shape[-1]), squared(1 - batch.mask, out.shape[-1])
        hole = log_error(out, truth, 1 - known)
        visible = ((out - truth) ** 2 * known).mean()
        return {"hole": self.config.hole * hole, "visible": self.config.visible * visible}

    def noise_losses(self, batch: Batch, out: None) -> Losses:
        image, mask = batch.image[: self.config.fills], batch.mask[: self.config.fills]
        guess = self.net(image * (1 - mask), mask, joined=False)
        truth, hidden = squared(image, guess.shape[-1]), squared(mask, guess.shape[-1])
        return {"l1": l1_loss(guess, truth, hidden, visible=0, by_area=True)}

    @torch.no_grad()
    def after(self, batch: Batch, out: Any, gather: Callable[[Tensor], Tensor]) -> None:
        if self.stage != "count":
            return
        image, net = batch.image.float() - 0.5, self.net
        taught = squared(image, net.taught.side)
        frames = anywhere(len(image)).to(image)
        others = cells(squared(image, net.sight), frames, net.elsewhere.side, "reflection")
        self.taught.add(gather(along(taught)), net.taught)
        self.elsewhere.add(gather(along(others)), net.elsewhere)


class Moments(nn.Module):
    """Of vectors along three axes: their number, their sum, and the sum of their products."""

    count: Tensor
    total: Tensor
    products: Tensor

    def __init__(self, pictures: Pictures) -> None:
        super().__init__()
        values = pictures.side**2
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("total", torch.zeros(3, values, dtype=torch.float64))
        self.register_buffer("products", torch.zeros(3, values, values, dtype=torch.float64))

    def add(self, vectors: Tensor, pictures: Pictures) -> None:
        """Count `vectors` [N, 3, SS], and make `pictures` the Gaussian of all counted so far."""
        rows = vectors.double().transpose(0, 1)
        self.count += rows.shape[1]
        self.total += rows.sum(1)
        self.products += rows.mT @ rows
        mean = self.total / self.count
        pictures.mean.copy_(mean)
        pictures.covariance.copy_(self.products / self.count - mean[:, :, None] * mean[:, None])
