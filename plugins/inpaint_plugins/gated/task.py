"""Training of the gated network: L1 of both its images, and a critic of the refined one."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.api import (
    Batch,
    Losses,
    Optimizer,
    Phase,
    Stage,
    Task,
    hinge_critic,
    hinge_generator,
    sn_patchgan_critic,
)

from .settings import GatedTaskSettings


class GatedTask(Task):
    """One stage, with SN-PatchGAN as critic (section 3.3 of the paper)."""

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

    def critic_input(self, image: Tensor, batch: Batch) -> Tensor:
        """Paste the photo's visible pixels into `image`, and append the mask: [N, 4, H, W]."""
        return torch.cat([torch.where(batch.mask > 0, image, batch.image) * 2 - 1, batch.mask], 1)

    def score_images(self, images: Tensor) -> Tensor:
        """Return the critic's scores, in float32 where its last convolution sees a single pixel.

        There, in bf16 on a CPU, PyTorch leaves the gradient of weights that only meet padding
        uninitialised.
        """
        return self.critic(images, full=min(images.shape[-2:]) <= 32)[0]

    def critic_losses(self, batch: Batch, out: Any) -> Losses:
        pair = [self.critic_input(batch.image, batch), self.critic_input(out[0].detach(), batch)]
        return {"hinge": hinge_critic(*self.score_images(torch.cat(pair)).chunk(2))}

    def losses(self, batch: Batch, out: Any) -> Losses:
        config = self.config
        refined, coarse = out
        terms = {
            "refined": config.refined * F.l1_loss(refined, batch.image),
            "coarse": config.coarse * F.l1_loss(coarse, batch.image),
        }
        if config.adversarial:
            scores = self.score_images(self.critic_input(refined, batch))
            terms["adversarial"] = config.adversarial * hinge_generator(scores)
        return terms
