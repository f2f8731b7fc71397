"""Training of SPN: priors from a pretext model, images from pixels and a critic.

Equation and table numbers are the paper's. Where the authors' code differs, its form is the default
and the paper's can be selected. The pretext model sees the images at twice the size, scaled from
their files, as in that code.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.api import (
    VGG,
    Batch,
    Losses,
    Optimizer,
    Phase,
    Schedule,
    Stage,
    Task,
    edgeconnect_critic,
    feature_matching,
    hinge_critic,
    hinge_generator,
    kl_divergence,
    l1_loss,
    logistic_critic,
    logistic_generator,
    source_label,
)

from .model import SemanticPriorNet, SPNOutput
from .pretext import make_pretext
from .settings import LossForm, SPNPTaskSettings, SPNTaskSettings

SCALE_IMAGES = 256  # images from which the statistics of targets are taken


class Heads(nn.ModuleList):
    """A 1 x 1 convolution for each level, from prior to pretext channels, used only in training."""

    def __init__(self, levels: Sequence[tuple[int, int]]) -> None:
        super().__init__(nn.Conv2d(prior, known, 1) for prior, known in levels)

    def forward(self, priors: Sequence[Tensor]) -> list[Tensor]:
        return [head(prior) for head, prior in zip(self, priors, strict=True)]


class TargetScale(nn.Module):
    """Each channel of targets to mean 0 and deviation 1, by statistics of the first images.

    Until there are enough of them, those of the current batch are added.
    """

    seen: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(2 * channels + 2))  # see `sum_moments`

    def sum_moments(self, target: Tensor) -> Tensor:
        """Sum each channel's mean and mean square over images; append their number, twice."""
        x = target.float()
        images = x.new_full((2,), len(x))
        return torch.cat([x.mean((2, 3)).sum(0), x.square().mean((2, 3)).sum(0), images])

    def count_images(self, sums: Tensor) -> None:
        """Add `sums` of `sum_moments`, unless enough images were counted."""
        self.seen += sums * (self.seen[-1] < SCALE_IMAGES)

    def forward(self, target: Tensor) -> Tensor:
        seen = self.seen + self.sum_moments(target) * (self.seen[-1] < SCALE_IMAGES)
        mean, square = (seen[:-2] / seen[-1]).view(2, -1, 1, 1)
        return (target - mean) * (square - mean.square()).clamp(min=1e-6).rsqrt()


def repeat_samples(x: Tensor, samples: int) -> Tensor:
    """Repeat the batch `x` once for each sample; a single one is not copied."""
    return x if samples == 1 else x.repeat(samples, 1, 1, 1)


def weighted_perceptual_loss(
    filled: Sequence[Tensor], truth: Sequence[Tensor], *, form: LossForm
) -> Tensor:
    """Sum over layers of w mean |V(filled) - V(truth)|: w = 1/32, 1/16, 1/8, 1/4, 1, or 1/5."""
    weights = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1) if form == "code" else (1 / len(filled),) * 5
    pairs = zip(weights, filled, truth, strict=True)
    return torch.stack([w * F.l1_loss(a, b) for w, a, b in pairs]).sum()


def diversity_loss(filled: Sequence[Tensor], mask: Tensor, *, form: LossForm) -> Tensor:
    """Similarity of two draws in the hole, from features of the first and of the second draws.

    With d = mean |V(first) M - V(second) M| of a layer: 1 / (sum of d / mean M + 1e-5), or the
    paper's mean of 1 / (d + 1e-5). Layers without a hole pixel are left out; without any it is 0.
    """
    distances = []
    for features in filled:
        first, second = features.chunk(2)
        hole = F.interpolate(mask, features.shape[-2:])
        area, d = hole.mean(), ((first - second).abs() * hole).mean()
        distances.append((d / area.clamp(min=1e-8) if form == "code" else d, area > 0))
    d, known = (torch.stack(values) for values in zip(*distances, strict=True))
    if form == "code":
        return known.any() / (d.sum() + 1e-5)
    return (known / (d + 1e-5)).sum() / known.sum().clamp(min=1)


@dataclass(frozen=True)
class Prediction:
    """The network's output, and the targets of its priors where they are trained."""

    net: SPNOutput
    targets: Sequence[Tensor]


class SPNTask(Task):
    """Stage `fill`, then `finish` without the loss of the priors (the authors' last epochs).

    The heads from priors to features of the pretext model have no gradient in `finish` and are
    frozen, to the same effect as Adam without momentum. Its optimisers start without state; with a
    beta of 0.9, Adam would forget it in twenty steps [choice].
    """

    net: SemanticPriorNet
    settings = SPNTaskSettings
    plan: ClassVar[Mapping[str, Stage]] = {  # Paris StreetView: 60 and 15 epochs of 1,862 steps
        "fill": Stage(
            steps=111_720,
            batch=8,
            optimizer=Optimizer(
                lr=1e-4, betas=(0.0, 0.9), schedule=Schedule(kind="step", drops=(50 / 60,))
            ),
        ),
        "finish": Stage(steps=27_930, batch=8, optimizer=Optimizer(lr=1e-5, betas=(0.0, 0.9))),
    }
    samples: ClassVar[int] = 1  # fills of each image

    def __init__(self, net: SemanticPriorNet, settings: SPNTaskSettings) -> None:
        super().__init__(net, settings)
        norm: Literal["spectral", "instance"] = "spectral" if self.samples == 1 else "instance"
        self.critic = edgeconnect_critic(width=settings.critic, norm=norm)
        self.pretext = (
            make_pretext(settings.pretext, settings.pretext_file) if settings.prior else None
        )
        self.heads = self.scales = None
        if self.pretext is not None:
            width, known = net.settings.width, self.pretext.channels
            levels = list(zip((width, 2 * width, 4 * width), known, strict=True))
            self.heads = Heads(levels[-net.settings.levels :])
            norm_of = {"auto": settings.pretext != "tresnet_l", "channel": True, "none": False}
            if norm_of[settings.target_norm]:
                self.scales = nn.ModuleList(TargetScale(c) for c in known[-len(self.heads) :])

    def phases(self, stage: str) -> Sequence[Phase]:
        critic = [Phase("critic", ["critic"], self.critic_losses)] if self.adversarial else []
        heads = ["heads"] if stage == "fill" and self.heads is not None else []
        return [*critic, Phase("fill", ["net", *heads], self.losses)]

    def without(self) -> Sequence[str]:
        if self.pretext is None:
            return ["no-pretext"]
        return [] if self.pretext.name == "tresnet_l" else [f"{self.pretext.name}-pretext"]

    def notes(self) -> Mapping[str, str]:
        return {"pretext": "none" if self.pretext is None else self.pretext.name}

    def files(self) -> Mapping[str, Path]:
        file = self.config.pretext_file
        used = self.config.pretext in ("tresnet_l", "spn")
        return {"pretext": file} if file and used else {}

    @property
    def adversarial(self) -> bool:
        """True if the critic is used."""
        return self.config.adversarial > 0

    def predict(self, batch: Batch) -> Prediction:
        out = self.net(batch.visible, batch.mask, self.samples)
        learning = self.heads is not None and self.stage == "fill"
        return Prediction(out, self.make_targets(batch, out) if learning else [])

    def detail(self, stage: str) -> int:
        return 2 if stage == "fill" and self.heads is not None else 1

    @torch.no_grad()
    def make_targets(self, batch: Batch, out: SPNOutput) -> Sequence[Tensor]:
        """Return the pretext model's features of each image in the sizes of the priors (eq. 1)."""
        assert self.pretext is not None
        large = batch.large
        if large is None:  # where a batch is not of files
            large = F.interpolate(batch.image, scale_factor=2, mode="bilinear", align_corners=False)
        priors = out.priors
        known = self.pretext(large)[-len(priors) :]
        return [F.interpolate(t, s.shape[-2:]) for t, s in zip(known, priors, strict=True)]

    def critic_losses(self, batch: Batch, out: Prediction) -> Losses:
        """Half of the sum for real and fake, as in the authors' code."""
        real, _ = self.critic(batch.image)
        fake, _ = self.critic(out.net.image.detach())
        loss = logistic_critic if self.config.gan == "bce" else hinge_critic
        return {self.config.gan: loss(real, fake) / 2}

    def losses(self, batch: Batch, out: Prediction) -> Losses:
        """Eq. 12: priors, pixels, critic."""
        config = self.config
        truth, mask = (repeat_samples(t, self.samples) for t in (batch.image, batch.mask))
        terms = {"image": config.image * l1_loss(out.net.image, truth, mask, hole=1 + config.delta)}
        if out.targets:
            terms["prior"] = config.prior * self.prior_loss(mask, out)
        for n, target in enumerate(reversed(out.targets)):  # logged: the scale of their loss
            terms[f"target_{3 - n}"] = target.abs().mean()
        if self.adversarial:
            terms |= self.generator_losses(batch, out.net.image)
        return terms

    def prior_loss(self, mask: Tensor, out: Prediction) -> Tensor:
        """Eq. 4: over all levels, mean |f(S) - T| (1 + alpha M)."""
        assert self.heads is not None
        total = mask.new_zeros(())
        guesses, targets = self.heads(out.net.priors), out.targets
        if self.scales is not None:
            targets = [scale(t) for scale, t in zip(self.scales, targets, strict=True)]
        for guess, target in zip(guesses, targets, strict=True):
            hole = F.interpolate(mask, guess.shape[-2:])
            target = repeat_samples(target, self.samples)
            total = total + l1_loss(guess, target, hole, hole=1 + self.config.alpha)
        return total

    def generator_losses(self, batch: Batch, image: Tensor) -> dict[str, Tensor]:
        """Return the losses that the critic gives the generator."""
        fake, _ = self.critic(image)
        generator = logistic_generator if self.config.gan == "bce" else hinge_generator
        return {"adversarial": self.config.adversarial * generator(fake)}

    def after(self, batch: Batch, out: Prediction, gather: Callable[[Tensor], Tensor]) -> None:
        for scale, target in zip(self.scales or (), out.targets, strict=False):
            assert isinstance(scale, TargetScale)
            scale.count_images(gather(scale.sum_moments(target)[None]).sum(0))


class SPNPTask(SPNTask):
    """The same with two draws of each image, which are to differ in the hole."""

    settings = SPNPTaskSettings
    plan: ClassVar[Mapping[str, Stage]] = {  # CelebA-HQ: 60 and 10 epochs of 3,375 steps
        "fill": SPNTask.plan["fill"].model_copy(update={"steps": 202_500}),
        "finish": SPNTask.plan["finish"].model_copy(update={"steps": 33_750}),
    }
    samples: ClassVar[int] = 2

    def __init__(self, net: SemanticPriorNet, settings: SPNPTaskSettings) -> None:
        super().__init__(net, settings)
        self.vgg = None
        if settings.vgg != "none" and (settings.perceptual or settings.diversity):
            taps = [f"relu{n}_1" for n in range(1, 6)]
            normalise = settings.vgg_normalise
            self.vgg = VGG("vgg19", taps, source=settings.vgg, normalise=normalise)

    def without(self) -> Sequence[str]:
        return [*super().without(), *source_label(self.config.vgg)]

    @property
    def adversarial(self) -> bool:
        return super().adversarial or self.config.feature_matching > 0

    def losses(self, batch: Batch, out: Prediction) -> Losses:
        """Eq. 15: also the divergence of z, and features of VGG-19."""
        config, net = self.config, out.net
        assert net.mean is not None
        assert net.deviation is not None
        reverse = config.kl_direction == "p_q"
        divergence = kl_divergence(
            net.mean.float(), 2 * net.deviation.float().log(), reverse=reverse
        ).mean()
        terms = {**super().losses(batch, out), "kl": config.kl * divergence}
        if self.vgg is not None:
            filled = self.vgg(net.image)
            with torch.no_grad():
                true = [repeat_samples(t, self.samples) for t in self.vgg(batch.image)]
            distance = weighted_perceptual_loss(filled, true, form=config.perceptual_form)
            terms["perceptual"] = config.perceptual * distance
            alike = diversity_loss(filled, batch.mask, form=config.diversity_form)
            terms["diversity"] = config.diversity * alike
        return terms

    def generator_losses(self, batch: Batch, image: Tensor) -> dict[str, Tensor]:
        fake, features = self.critic(image)
        with torch.no_grad():  # of the updated critic; the authors' are from before [choice]
            _, true = self.critic(batch.image)
        matched = feature_matching(
            features[1:], [repeat_samples(t, self.samples) for t in true[1:]]
        )
        generator = logistic_generator if self.config.gan == "bce" else hinge_generator
        return {
            "adversarial": self.config.adversarial * generator(fake),
            "feature_matching": self.config.feature_matching * matched,
        }
