"""Training of LaMa: a critic with R1, feature matching, visible pixels and a perceptual loss.

Suvorov et al., WACV 2022, section 2.2. The paper's perceptual loss uses a dilated ResNet-50 trained
for segmentation, whose weights are rarely available; VGG-16 takes its place [choice], with a weight
to match its scale.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import nn

from inpaint_cli.api import (
    Batch,
    Losses,
    Optimizer,
    Phase,
    Stage,
    Task,
    feature_matching,
    l1_loss,
    logistic_critic,
    logistic_generator,
    make_vgg,
    pix2pixhd_critic,
    r1_penalty,
    source_label,
)

from .settings import LaMaTaskSettings


class LaMaTask(Task):
    """One stage; the critic has an optimiser of its own."""

    settings = LaMaTaskSettings
    plan: ClassVar[Mapping[str, Stage]] = {
        "fill": Stage(
            steps=1_000_000,
            batch=30,
            optimizer=Optimizer(lr=1e-3),
            optimizers={"critic": Optimizer(lr=1e-4)},
        )
    }

    def __init__(self, net: nn.Module, settings: LaMaTaskSettings) -> None:
        super().__init__(net, settings)
        self.critic = pix2pixhd_critic(width=settings.critic, layers=settings.critic_layers)
        taps = [f"relu{n}_1" for n in range(1, 6)]
        self.vgg = make_vgg("vgg16", taps, settings.vgg) if settings.perceptual else None

    def phases(self, stage: str) -> Sequence[Phase]:
        fill = Phase("fill", ["net"], self.losses)
        if not (self.config.adversarial or self.config.feature_matching):
            return [fill]
        return [Phase("critic", ["critic"], self.critic_losses), fill]

    def without(self) -> Sequence[str]:
        return source_label(self.config.vgg)

    def critic_losses(self, batch: Batch, out: Any) -> Losses:
        image = batch.image.detach().requires_grad_()
        real, _ = self.critic(image, full=True)
        fake, _ = self.critic(out.detach())
        return {
            "logistic": logistic_critic(real, fake, batch.mask),
            "r1": self.config.r1 * r1_penalty(real, image),
        }

    def losses(self, batch: Batch, out: Any) -> Losses:
        config, truth = self.config, batch.image
        terms = {"l1": l1_loss(out, truth, batch.mask, hole=config.hole, visible=config.visible)}
        if config.adversarial or config.feature_matching:
            fake, features = self.critic(out)
            with torch.no_grad():
                _, true = self.critic(truth)
            matched = feature_matching(features, true, power=2)
            terms["adversarial"] = config.adversarial * logistic_generator(fake)
            terms["feature_matching"] = config.feature_matching * matched
        if self.vgg is not None:
            terms["perceptual"] = config.perceptual * self.vgg.perceptual(out, truth)
        return terms
