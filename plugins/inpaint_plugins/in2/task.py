"""Training of IN2: a critic with R1, feature matching, and features of VGG-19.

The paper does not describe its critic; EdgeConnect's is used by CoordFill, which IN2 follows
[choice]. The paper lists R1 among the generator's losses (eq. 9), where its gradient is zero; here
it is a loss of the critic.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

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
    edgeconnect_critic,
    feature_matching,
    l1_loss,
    logistic_critic,
    logistic_generator,
    make_vgg,
    r1_penalty,
    source_label,
)

from .settings import IN2TaskSettings

EPOCH = 4667  # steps: 28,000 faces, 3 on each of two GPUs


class IN2Task(Task):
    """One stage of 100 epochs, with a warm-up of 15 (section 5.1)."""

    settings = IN2TaskSettings
    plan: ClassVar[Mapping[str, Stage]] = {
        "fill": Stage(
            steps=100 * EPOCH,
            batch=6,
            optimizer=Optimizer(
                lr=4e-4, schedule=Schedule(kind="cosine", warmup=15 * EPOCH, start=0.1)
            ),
        )
    }

    def __init__(self, net: nn.Module, settings: IN2TaskSettings) -> None:
        super().__init__(net, settings)
        self.critic = edgeconnect_critic(width=settings.critic)
        taps = [f"relu{n}_1" for n in range(1, 6)]
        self.vgg = make_vgg("vgg19", taps, settings.vgg) if settings.perceptual else None

    @property
    def adversarial(self) -> bool:
        """True if the critic is used."""
        return self.config.adversarial > 0 or self.config.feature_matching > 0

    def phases(self, stage: str) -> Sequence[Phase]:
        fill = Phase("fill", ["net"], self.losses)
        critic = Phase("critic", ["critic"], self.critic_losses)
        return [critic, fill] if self.adversarial else [fill]

    def without(self) -> Sequence[str]:
        return source_label(self.config.vgg)

    def critic_losses(self, batch: Batch, out: Tensor) -> Losses:
        """Eq. 6, and R1 of mean logits: a sum over patches would dominate all terms [choice].

        R1 is by the image in 0..1: four times that by the critic's input, in -1..1 [choice].
        """
        image = batch.image.detach().requires_grad_()
        real, _ = self.critic(2 * image - 1, full=True)
        fake, _ = self.critic(2 * out.detach() - 1)
        return {
            "logistic": logistic_critic(real, fake),
            "r1": self.config.r1 * r1_penalty(real, image, patches="mean"),
        }

    def losses(self, batch: Batch, out: Tensor) -> Losses:
        """Eq. 9 without R1."""
        config, truth = self.config, batch.image
        terms: dict[str, Tensor] = {}
        if self.adversarial:
            fake, features = self.critic(2 * out - 1)
            with torch.no_grad():
                _, true = self.critic(2 * truth - 1)
            matched = len(true) * feature_matching(features, true)  # eq. 8: their sum
            terms["adversarial"] = config.adversarial * logistic_generator(fake)
            terms["feature_matching"] = config.feature_matching * matched
        if self.vgg is not None:
            terms["perceptual"] = config.perceptual * self.vgg.perceptual(out, truth)
        if config.pixels:
            terms["pixels"] = config.pixels * l1_loss(
                out, truth, batch.mask, visible=0, by_area=True
            )
        return terms
