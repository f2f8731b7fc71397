"""Training of GM-SRM: the memory with a critic of its own; then, with it frozen, the rest.

The paper trains its first stage as StyleGAN does; using StyleGAN2's training is a [choice], with
its code from the encoder in place of a mapping network, so without mixed styles, and without
augmentation of what the critic sees. Its eq. 13 has no gradient as printed; the hinge loss takes
its place [choice]. So are Adam's betas and the fall of its rate in stage `fill`.
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
    TrainingError,
    edgeconnect_critic,
    has_values,
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
from .memory import GenerativeMemory
from .model import GMSRMNet, GMSRMOutput, MemoryImage, MemoryQuery
from .settings import GMSRMTaskSettings

SLOW_PARTS = "encoder", "codes.0"  # not equalised: a tenth of the memory's rate [choice]


def to_signed(image: Tensor) -> Tensor:
    """Convert 0..1 to -1..1."""
    return 2 * image - 1


def to_unit(image: Tensor) -> Tensor:
    """Convert -1..1 to 0..1."""
    return (image + 1) / 2


class GMSRMTask(Task):
    """Stage `memory` trains the memory, stage `fill` everything else."""

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
            decay=0.0,  # the paper averages the memory alone
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
        # modules in a tuple are not in the state, and are not wrapped
        self.memories: tuple[GenerativeMemory, ...] = (net.memory,) if net.settings.memory else ()
        self.untrained = self.memories  # still to be checked
        if net.settings.memory:
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
        """StyleGAN2's phases: regularisers are lazy and share their network's optimiser."""
        config, judges = self.config, ["memory_critic"]
        rates = {f"net.{part}": 0.1 for part in SLOW_PARTS}
        makes = ["net.memory", *rates]
        phases = [Phase("judge", judges, self.memory_critic_losses)]
        if config.r1:
            phases.append(Phase("r1", judges, self.r1_losses, every=config.r1_every))
        phases.append(Phase("generate", makes, self.generate_losses, rates=rates))
        if config.path:
            phases.append(Phase("path", makes, self.path_losses, every=config.path_every))
        return phases

    def filler(self, net: nn.Module) -> Callable[[Tensor, Tensor], Any] | None:
        """The memory's own image in stage `memory`, to see what it recalls."""
        if self.stage != "memory":
            return net
        return lambda visible, mask: to_unit(net(visible, mask, MemoryQuery()).image)

    def without(self) -> Sequence[str]:
        return source_label(self.config.vgg) if self.config.perceptual else []

    def predict(self, batch: Batch) -> GMSRMOutput | MemoryImage:
        if self.stage == "memory":
            return self.net(*self.memory_input(batch), MemoryQuery(keep=self.draw_kept(batch)))
        if has_values(batch.image) and any(not memory.steps for memory in self.untrained):
            raise TrainingError(
                "the stage 'fill' needs a trained memory: run `inpaint train gmsrm RECIPE "
                "--data PATH --set architectures.gmsrm.stages.memory.steps="
                f"{self.plan['memory'].steps}`, or start from its weights with --init FILE"
            )
        self.untrained = ()
        return self.net(batch.visible, batch.mask)

    def memory_input(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the image and mask from which the memory's codes and features are computed."""
        if self.config.memory_sees == "visible":
            return batch.visible, batch.mask
        return batch.image, torch.zeros_like(batch.mask)

    def draw_kept(self, batch: Batch) -> Tensor | None:
        """Draw the images [N, 1, 1, 1] whose features the memory sees; None: all."""
        if not self.config.drop:
            return None
        drawn = torch.rand(len(batch.image), 1, 1, 1, device=batch.image.device)
        return (drawn >= self.config.drop).float()

    def memory_critic_losses(self, batch: Batch, out: MemoryImage) -> Losses:
        real, fake = (
            self.memory_critic(to_signed(batch.image)),
            self.memory_critic(out.image.detach()),
        )
        return {"logistic": logistic_critic(real, fake)}

    def r1_losses(self, batch: Batch, out: MemoryImage) -> Losses:
        image = to_signed(batch.image).detach().requires_grad_()
        scores = self.memory_critic(image, full=True)
        weight = self.config.r1_every * self.config.r1 / 2
        # 0 * scores gives the last bias a gradient, which distributed training waits for
        return {"r1": weight * r1_penalty(scores, image) + 0 * scores.sum()}

    def generate_losses(self, batch: Batch, out: MemoryImage) -> Losses:
        terms = {"logistic": logistic_generator(self.memory_critic(out.image))}
        if self.config.visible:
            close = l1_loss(out.image, to_signed(batch.image), batch.mask, hole=0)
            terms["visible"] = self.config.visible * close
        strengths = self.memories[0].strengths().detach().abs()  # to be logged
        return {**terms, "strength_mean": strengths.mean(), "strength_most": strengths.max()}

    def path_losses(self, batch: Batch, out: MemoryImage) -> Losses:
        """Path length regularisation of half the batch (StyleGAN2, eq. 4)."""
        half = max(len(batch.image) // 2, 1)
        visible, mask = (t[:half] for t in self.memory_input(batch))
        kept = self.draw_kept(batch)
        query = MemoryQuery(keep=None if kept is None else kept[:half], detached=True)
        image, codes = self.net(visible, mask, query)
        noise = torch.randn_like(image) * (image.shape[2] * image.shape[3]) ** -0.5
        (slope,) = torch.autograd.grad((image * noise).sum(), codes, create_graph=True)
        lengths = slope.square().sum(2).mean(1).sqrt()
        self.lengths = lengths.detach()
        loss = (lengths - self.path_mean).square().mean() + 0 * image.sum()
        return {"path": self.config.path_every * self.config.path * loss}

    def critic_losses(self, batch: Batch, out: GMSRMOutput) -> Losses:
        real, fake = (
            self.score_images(batch.image, batch),
            self.score_images(out.image.detach(), batch),
        )
        if self.config.gan == "linear":
            return {"linear": fake.mean() - real.mean()}
        return {"hinge": hinge_critic(real, fake)}

    def losses(self, batch: Batch, out: GMSRMOutput) -> Losses:
        """Eq. 14, of the image before visible pixels are pasted in."""
        config = self.config
        error = l1_loss(
            to_signed(out.image),
            to_signed(batch.image),
            batch.mask,
            hole=config.hole,
            by_area=config.by_area,
        )
        terms = {"l1": config.reconstruction * error}
        if out.moments:
            each = torch.stack([kl_divergence(*moments).mean() for moments in out.moments])
            terms["kl"] = config.divergence * each.sum()  # eq. 9
        if config.adversarial:
            fake = self.score_images(out.image, batch)
            terms["adversarial"] = config.adversarial * hinge_generator(fake)
        if self.vgg is not None:
            terms["perceptual"] = config.perceptual * self.vgg.perceptual(out.image, batch.image)
        return terms

    def score_images(self, image: Tensor, batch: Batch) -> Tensor:
        """Return the critic's scores of `image`, with the mask if the critic sees it."""
        seen = to_signed(image)
        scores, _ = self.critic(
            torch.cat([seen, batch.mask], 1) if self.config.critic_sees_mask else seen
        )
        return scores

    def after(
        self, batch: Batch, out: GMSRMOutput | MemoryImage, gather: Callable[[Tensor], Tensor]
    ) -> None:
        if self.stage == "memory":
            self.net.memory.steps += 1
        if self.lengths is not None:
            self.path_mean.lerp_(gather(self.lengths).mean(), 0.01)
            self.lengths = None
