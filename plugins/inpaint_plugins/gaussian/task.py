"""Training: the Gaussian by counting, its noise by gradients, then the network on the residual.

Mean and covariance are those of all images so far, of all processes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from inpaint_cli.api import (
    Batch,
    Losses,
    Optimizer,
    Phase,
    Schedule,
    Stage,
    Task,
    l1_loss,
    log_error,
)

from .frames import random_frames, sample_cells
from .gaussian import PictureStatistics, project_colours
from .model import GaussianFill, pool_to_square
from .settings import GaussianTaskSettings


class VectorSums(nn.Module):
    """The number of vectors along three axes, their sum, and the sum of their products."""

    count: Tensor
    total: Tensor
    products: Tensor

    def __init__(self, pictures: PictureStatistics) -> None:
        super().__init__()
        values = pictures.side**2
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("total", torch.zeros(3, values, dtype=torch.float64))
        self.register_buffer("products", torch.zeros(3, values, values, dtype=torch.float64))

    def count_vectors(self, vectors: Tensor, pictures: PictureStatistics) -> None:
        """Count `vectors` [N, 3, SS], and set `pictures` to the Gaussian of all so far."""
        rows = vectors.double().transpose(0, 1)
        self.count += rows.shape[1]
        self.total += rows.sum(1)
        self.products += rows.mT @ rows
        mean = self.total / self.count
        pictures.mean.copy_(mean)
        pictures.covariance.copy_(self.products / self.count - mean[:, :, None] * mean[:, None])


class GaussianTask(Task):
    """Stage `count` for the Gaussian and its noise, then `learn` for the network."""

    net: GaussianFill
    base = "net"  # the Gaussian among the task's modules
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
        base = self.gaussian
        self.taught, self.elsewhere = VectorSums(base.taught), VectorSums(base.elsewhere)

    @property
    def gaussian(self) -> GaussianFill:
        """The Gaussian, outside `predict` and losses."""
        base: Any = self.get_submodule(self.base)
        return base

    def phases(self, stage: str) -> Sequence[Phase]:
        if stage == "count":
            noise = [f"{self.base}.noise"]
            return [Phase("noise", noise, self.noise_losses, every=self.config.every)]
        network = [f"{self.base}.network"]
        return [Phase("network", network, self.losses)] if self.gaussian.network else []

    def predict(self, batch: Batch) -> Tensor | None:
        """Return the network's prediction; None while counting."""
        if self.stage == "count":
            return None
        return self.net(batch.visible, batch.mask, joined=False)

    def losses(self, batch: Batch, out: Tensor) -> Losses:
        truth, known = (
            pool_to_square(batch.image, out.shape[-1]),
            pool_to_square(1 - batch.mask, out.shape[-1]),
        )
        hole = log_error(out, truth, 1 - known)
        visible = ((out - truth) ** 2 * known).mean()
        return {"hole": self.config.hole * hole, "visible": self.config.visible * visible}

    def noise_losses(self, batch: Batch, out: None) -> Losses:
        image, mask = batch.image[: self.config.fills], batch.mask[: self.config.fills]
        guess = self.net(image * (1 - mask), mask, joined=False)
        truth, hidden = (
            pool_to_square(image, guess.shape[-1]),
            pool_to_square(mask, guess.shape[-1]),
        )
        return {"l1": l1_loss(guess, truth, hidden, visible=0, by_area=True)}

    @torch.no_grad()
    def after(self, batch: Batch, out: Any, gather: Callable[[Tensor], Tensor]) -> None:
        if self.stage != "count":
            return
        image, net = batch.image.float() - 0.5, self.gaussian
        taught = pool_to_square(image, net.taught.side)
        frames = random_frames(len(image)).to(image, non_blocking=True)
        others = sample_cells(
            pool_to_square(image, net.sight), frames, net.elsewhere.side, "reflection"
        )
        self.taught.count_vectors(gather(project_colours(taught)), net.taught)
        self.elsewhere.count_vectors(gather(project_colours(others)), net.elsewhere)
