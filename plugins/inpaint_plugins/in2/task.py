"""How IN2 learns: a critic with R1, the features it sees, and those of VGG-19.

The critic is not described in the paper; EdgeConnect's is CoordFill's, which IN2 follows [choice].
The paper lists R1 among the generator's losses (eq. 9), where its gradient is zero: it is the
critic's here.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

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
    VGGSource,
    edgeconnect_critic,
    feature_matching,
    l1_loss,
    logistic_critic,
    logistic_generator,
    make_vgg,
    r1_penalty,
    source_label,
)

EPOCH = 4667  # steps: 28,000 faces, 3 on each of two GPUs


class IN2TaskSettings(Settings):
    """Weights of the losses, the critic's size, and where VGG-19 comes from ("none": no term)."""

    adversarial: NonNegativeFloat = 1.0
    perceptual: NonNegativeFloat = 10.0
    feature_matching: NonNegativeFloat = 0.1
    r1: NonNegativeFloat = 10.0
    pixels: NonNegativeFloat = 0.0  # L1 in the hole; the paper has none
    critic: PositiveInt = 64  # channels of its first layer
    vgg: VGGSource = "imagenet"


class IN2Task(Task):
    settings = IN2TaskSettings
    plan: ClassVar[Mapping[str, Stage]] = {  # section 5.1: 100 epochs, 15 of them rising
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
        """Whether there is anything for a critic to say."""
        return self.config.adversarial > 0 or self.config.feature_matching > 0

    def phases(self, stage: str) -> Sequence[Phase]:
        fill = Phase("fill", ["net"], self.losses)
        critic = Phase("critic", ["critic"], self.critic_losses)
        return [critic, fill] if self.adversarial else [fill]

    def without(self) -> Sequence[str]:
        return source_label(self.config.vgg)

    def critic_losses(self, batch: Batch, out: Tensor) -> Losses:
        """Eq. 6, and R1 of mean logits: a sum over patches would drown all else [choice]."""
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
