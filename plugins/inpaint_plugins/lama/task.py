"""How LaMa learns: a critic with R1, its features, visible pixels, and a perceptual loss.

The paper's perceptual loss is on a dilated ResNet-50 trained for segmentation, whose weights are
seldom at hand; VGG-16 stands in for it here [choice], with a weight of its own scale.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import nn

from inpaint_cli.api import (
    Batch,
    Losses,
    Optimizer,
    Phase,
    Settings,
    Stage,
    Task,
    VGGSource,
    feature_matching,
    l1_loss,
    logistic_critic,
    logistic_generator,
    make_vgg,
    pix2pixhd_critic,
    r1_penalty,
    source_label,
)


class LaMaTaskSettings(Settings):
    """Weights of the losses, the critic's size, and where VGG-16 comes from ("none": no term)."""

    visible: NonNegativeFloat = 10.0
    hole: NonNegativeFloat = 0.0  # the paper: pixels of the hole are not compared
    adversarial: NonNegativeFloat = 10.0
    feature_matching: NonNegativeFloat = 100.0
    perceptual: NonNegativeFloat = 1.0
    r1: NonNegativeFloat = 0.001
    critic: PositiveInt = 64  # channels of its first layer
    critic_layers: PositiveInt = 4  # strided ones
    vgg: VGGSource = "imagenet"


class LaMaTask(Task):
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
