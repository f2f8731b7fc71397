"""How GM-SRM learns: the memory against a critic of its own; then, with it frozen, the rest.

The paper says that the first stage is StyleGAN's; what is StyleGAN2's here is a [choice].
Its eq. 13 as printed has no gradient: the hinge loss takes its place [choice].
"""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from inpaint_cli.api import (
    Batch,
    Losses,
    Optimizer,
    Phase,
    Schedule,
    Settings,
    Share,
    Stage,
    Task,
    TrainingError,
    VGGSource,
    edgeconnect_critic,
    hinge_critic,
    hinge_generator,
    kl_divergence,
    l1_loss,
    logistic_critic,
    logistic_generator,
    make_vgg,
    r1_penalty,
    source_label,
)

from .critic import ResidualCritic
from .memory import Memory
from .model import Generated, GMSRMNet, Out, Query

LEARNED_FROM = "encoder", "codes.0"  # not equalised: a tenth of the memory's rate [choice]


class GMSRMTaskSettings(Settings):
    """Weights and forms of the losses; those of the memory's own training come last."""

    reconstruction: NonNegativeFloat = 1.0
    hole: NonNegativeFloat = 10.0  # gamma: weight of a pixel in the hole
    by_area: bool = False  # each region's mean over itself, not over the picture
    perceptual: NonNegativeFloat = 0.1
    vgg: VGGSource = "imagenet"
    adversarial: NonNegativeFloat = 0.01
    gan: Literal["hinge", "linear"] = "hinge"
    divergence: NonNegativeFloat = 0.01  # of conditional noise from N(0, 1)
    critic: PositiveInt = 64  # channels of its first layer
    critic_sees_mask: bool = False

    memory_sees: Literal["visible", "image"] = "visible"
    r1: NonNegativeFloat = 10.0  # gamma; 0: without
    r1_every: PositiveInt = 16
    path: NonNegativeFloat = 2.0  # of path lengths; 0: without
    path_every: PositiveInt = 4
    drop: Share = 0.0  # how often the memory is shown no features, but the code alone
    visible: NonNegativeFloat = 0.0  # L1 of visible pixels


class GMSRMTask(Task):
    net: GMSRMNet
    settings = GMSRMTaskSettings
    plan: ClassVar[Mapping[str, Stage]] = {
        "memory": Stage(  # 5 million images
            steps=312_500, batch=16, optimizer=Optimizer(lr=2e-3, betas=(0.0, 0.99))
        ),
        "fill": Stage(  # CelebA-HQ: 100 epochs of 3,375 steps
            steps=337_500,
            batch=8,
            averaged=True,
            optimizer=Optimizer(
                lr=2e-4, betas=(0.5, 0.999), schedule=Schedule(kind="linear", hold=0.5)
            ),
        ),
    }
    path_mean: Tensor

    def __init__(self, net: GMSRMNet, settings: GMSRMTaskSettings) -> None:
        super().__init__(net, settings)
        self.critic = edgeconnect_critic(3 + settings.critic_sees_mask, width=settings.critic)
        taps = [f"relu{n}_1" for n in range(1, 6)]
        self.vgg = make_vgg("vgg19", taps, settings.vgg) if settings.perceptual else None
        self.untrained: tuple[Memory, ...] = ()  # to be checked; a tuple is left out of states
        if net.settings.memory:
            self.untrained = (net.memory,)
            self.memory_critic = ResidualCritic(net.memory.widths[::-1])
        self.register_buffer("path_mean", torch.zeros(()))
        self.lengths: Tensor | None = None  # of this step's paths

    def phases(self, stage: str) -> Sequence[Phase]:
        if stage == "memory":
            return self.memory_phases() if self.net.settings.memory else []
        parts = ["encoder", "decoder", "head"]
        parts += [part for part in ("codes", "moments") if hasattr(self.net, part)]
        fill = Phase("fill", [f"net.{part}" for part in parts], self.losses)
        if not self.config.adversarial:
            return [fill]
        return [Phase("critic", ["critic"], self.critic_losses), fill]

    def memory_phases(self) -> Sequence[Phase]:
        """StyleGAN2's: the regularisers are lazy and share their network's optimiser."""
        config, judges = self.config, ["memory_critic"]
        rates = {f"net.{part}": 0.1 for part in LEARNED_FROM}
        makes = ["net.memory", *rates]
        phases = [Phase("judge", judges, self.judge_losses)]
        if config.r1:
            phases.append(Phase("r1", judges, self.r1_losses, every=config.r1_every))
        phases.append(Phase("generate", makes, self.generate_losses, rates=rates))
        if config.path:
            phases.append(Phase("path", makes, self.path_losses, every=config.path_every))
        return phases

    def without(self) -> Sequence[str]:
        return source_label(self.config.vgg) if self.config.perceptual else []

    def predict(self, batch: Batch) -> Out | Generated:
        if self.stage == "memory":
            return self.net(*self.shown(batch), Query(keep=self.keep(batch)))
        if any(not memory.steps for memory in self.untrained):
            raise TrainingError(
                "the stage 'fill' needs a memory that was trained: say `inpaint train gmsrm RECIPE "
                "--data PATH --set architectures.gmsrm.stages.memory.steps="
                f"{self.plan['memory'].steps}`, or begin from its weights with --init FILE"
            )
        self.untrained = ()
        return self.net(batch.visible, batch.mask)

    def shown(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the memory's codes and features are made from."""
        if self.config.memory_sees == "visible":
            return batch.visible, batch.mask
        return batch.image, torch.zeros_like(batch.mask)

    def keep(self, batch: Batch) -> Tensor | None:
        if not self.config.drop:
            return None
        drawn = torch.rand(len(batch.image), 1, 1, 1, device=batch.image.device)
        return (drawn >= self.config.drop).float()

    def judge_losses(self, batch: Batch, out: Generated) -> Losses:
        real, fake = self.memory_critic(signed(batch.image)), self.memory_critic(out.image.detach())
        return {"logistic": logistic_critic(real, fake)}

    def r1_losses(self, batch: Batch, out: Generated) -> Losses:
        image = signed(batch.image).detach().requires_grad_()
        scores = self.memory_critic(image, full=True)
        weight = self.config.r1_every * self.config.r1 / 2
        # 0 times the scores: a gradient for the last bias too, which several processes wait for
        return {"r1": weight * r1_penalty(scores, image) + 0 * scores.sum()}

    def generate_losses(self, batch: Batch, out: Generated) -> Losses:
        terms = {"logistic": logistic_generator(self.memory_critic(out.image))}
        if self.config.visible:
            close = l1_loss(out.image, signed(batch.image), batch.mask, hole=0)
            terms["visible"] = self.config.visible * close
        return terms

    def path_losses(self, batch: Batch, out: Generated) -> Losses:
        """StyleGAN2, eq. 4, of half the batch: steps of the code of equal length wherever it is."""
        half = max(len(batch.image) // 2, 1)
        visible, mask = (t[:half] for t in self.shown(batch))
        image, codes = self.net(visible, mask, Query(detached=True))
        noise = torch.randn_like(image) * (image.shape[2] * image.shape[3]) ** -0.5
        (slope,) = torch.autograd.grad((image * noise).sum(), codes, create_graph=True)
        lengths = slope.square().sum(2).mean(1).sqrt()
        self.lengths = lengths.detach()
        loss = (lengths - self.path_mean).square().mean() + 0 * image.sum()
        return {"path": self.config.path_every * self.config.path * loss}

    def critic_losses(self, batch: Batch, out: Out) -> Losses:
        real, fake = self.scores(batch.image, batch), self.scores(out.image.detach(), batch)
        if self.config.gan == "linear":
            return {"linear": fake.mean() - real.mean()}
        return {"hinge": hinge_critic(real, fake)}

    def losses(self, batch: Batch, out: Out) -> Losses:
        """Eq. 14, of the picture before anything is pasted into it."""
        config = self.config
        error = l1_loss(
            signed(out.image),
            signed(batch.image),
            batch.mask,
            hole=config.hole,
            by_area=config.by_area,
        )
        terms = {"l1": config.reconstruction * error}
        if out.moments:
            each = torch.stack([kl_divergence(*moments).mean() for moments in out.moments])
            terms["kl"] = config.divergence * each.sum()  # eq. 9
        if config.adversarial:
            fake = self.scores(out.image, batch)
            terms["adversarial"] = config.adversarial * hinge_generator(fake)
        if self.vgg is not None:
            terms["perceptual"] = config.perceptual * self.vgg.perceptual(out.image, batch.image)
        return terms

    def scores(self, image: Tensor, batch: Batch) -> Tensor:
        seen = signed(image)
        scores, _ = self.critic(
            torch.cat([seen, batch.mask], 1) if self.config.critic_sees_mask else seen
        )
        return scores

    def after(self, batch: Batch, out: Out | Generated, gather: Callable[[Tensor], Tensor]) -> None:
        if self.stage == "memory":
            self.net.memory.steps += 1
        if self.lengths is not None:
            self.path_mean.lerp_(gather(self.lengths).mean(), 0.01)
            self.lengths = None


def signed(image: Tensor) -> Tensor:
    """From 0..1 to -1..1."""
    return 2 * image - 1
