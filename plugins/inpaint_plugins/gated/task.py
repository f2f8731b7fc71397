"""How the gated network learns: pixels of both its images, and a critic of the refined one."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.api import (
    Batch,
    Losses,
    Optimizer,
    Phase,
    Settings,
    Stage,
    Task,
    hinge_critic,
    hinge_generator,
    sn_patchgan_critic,
)


class GatedTaskSettings(Settings):
    """Weights of the losses (the paper: all 1), and the channels of the critic's first layer."""

    coarse: NonNegativeFloat = 1.0
    refined: NonNegativeFloat = 1.0
    adversarial: NonNegativeFloat = 1.0
    critic: PositiveInt = 64


class GatedTask(Task):
    settings = GatedTaskSettings
    plan: ClassVar[Mapping[str, Stage]] = {
        "fill": Stage(steps=500_000, batch=16, optimizer=Optimizer(lr=1e-4, betas=(0.5, 0.999)))
    }

    def __init__(self, net: nn.Module, settings: GatedTaskSettings) -> None:
        super().__init__(net, settings)
        self.critic = sn_patchgan_critic(width=settings.critic)

    def phases(self, stage: str) -> Sequence[Phase]:
        fill = Phase("fill", ["net"], self.losses)
        if not self.config.adversarial:
            return [fill]
        return [Phase("critic", ["critic"], self.critic_losses), fill]

    def judged(self, image: Tensor, batch: Batch) -> Tensor:
        """What the critic sees: a picture whose visible pixels are the photo's, and the mask."""
        return torch.cat([torch.where(batch.mask > 0, image, batch.image) * 2 - 1, batch.mask], 1)

    def scores(self, judged: Tensor) -> Tensor:
        """What the critic says; of pictures whose last convolution sees one pixel, in float32.

        In bf16 on a CPU, PyTorch leaves the gradient of weights that meet nothing but padding as
        the memory happened to be.
        """
        return self.critic(judged, full=min(judged.shape[-2:]) <= 32)[0]

    def critic_losses(self, batch: Batch, out: Any) -> Losses:
        pair = [self.judged(batch.image, batch), self.judged(out[0].detach(), batch)]
        return {"hinge": hinge_critic(*self.scores(torch.cat(pair)).chunk(2))}

    def losses(self, batch: Batch, out: Any) -> Losses:
        config = self.config
        refined, coarse = out
        terms = {
            "refined": config.refined * F.l1_loss(refined, batch.image),
            "coarse": config.coarse * F.l1_loss(coarse, batch.image),
        }
        if config.adversarial:
            scores = self.scores(self.judged(refined, batch))
            terms["adversarial"] = config.adversarial * hinge_generator(scores)
        return terms
