"""Training of `portrait`: the Gaussian as in `gaussian`, then its detail, with a critic."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from inpaint_cli.api import (
    Batch,
    Losses,
    Optimizer,
    Phase,
    Stage,
    edgeconnect_critic,
    feature_matching,
    hinge_critic,
    hinge_generator,
    l1_loss,
    make_vgg,
    r1_penalty,
    source_label,
)

from .frames import place_faces
from .portrait import PortraitFill
from .settings import PortraitTaskSettings
from .task import GaussianTask

SCALES = 3  # of the structural term, each half the size of the one before
WINDOW = 7  # pixels a side in which it compares contrast
STABLE = 0.03**2  # added to variances, as in SSIM


class Placed(NamedTuple):
    """Faces with surroundings [N, 3, H, W], their masks [N, 1, H, W], and both fills."""

    truth: Tensor
    mask: Tensor
    sharp: Tensor
    soft: Tensor


class PortraitTask(GaussianTask):
    """Stages `count` and `learn` as `gaussian`, then `fill` for the detail.

    In `fill` each aligned face is placed anywhere in a picture, larger or smaller, mirrored
    beyond its edges: so the network learns other framings than that of its photos.
    """

    net: PortraitFill  # pyright: ignore[reportIncompatibleVariableOverride]
    settings = PortraitTaskSettings
    base = "net.base"
    plan: ClassVar[Mapping[str, Stage]] = {
        **GaussianTask.plan,
        "fill": Stage(
            steps=100_000,
            batch=16,
            optimizer=Optimizer(lr=2e-4, betas=(0.0, 0.99)),
            optimizers={"critic": Optimizer(lr=4e-4)},
        ),
    }

    def __init__(self, net: PortraitFill, settings: PortraitTaskSettings) -> None:
        super().__init__(net, settings)  # pyright: ignore[reportArgumentType]
        self.critic = edgeconnect_critic(4, width=settings.critic)
        taps = [f"relu{n}_1" for n in range(1, 5)]
        self.vgg = make_vgg("vgg16", taps, settings.vgg) if settings.perceptual else None

    def phases(self, stage: str) -> Sequence[Phase]:
        if stage != "fill":
            return super().phases(stage)
        config, fill = self.config, Phase("fill", ["net.detail"], self.losses)
        if not (config.adversarial or config.feature_matching):
            return [fill]
        phases = [Phase("critic", ["critic"], self.critic_losses), fill]
        if config.r1:
            phases.insert(1, Phase("r1", ["critic"], self.r1_losses, every=config.r1_every))
        return phases

    def without(self) -> Sequence[str]:
        return source_label(self.config.vgg) if self.config.perceptual else []

    def detail(self, stage: str) -> int:
        """Faces are placed from pictures of twice the size, so that none is enlarged twice."""
        return 2 if stage == "fill" else 1

    def predict(self, batch: Batch) -> Any:
        if self.stage != "fill":
            return super().predict(batch)
        faces = batch.image if batch.large is None else batch.large
        truth, frames = place_faces(faces, batch.image.shape[-1], self.config.zoom)
        out = self.net(truth * (1 - batch.mask), batch.mask, frames=frames)
        return Placed(truth, batch.mask, *out)

    def critic_input(self, image: Tensor, out: Placed) -> Tensor:
        """Return `image` in -1..1 with its mask, [N, 4, H, W]."""
        return torch.cat([image * 2 - 1, out.mask], 1)

    def critic_losses(self, batch: Batch, out: Placed) -> Losses:
        pair = [self.critic_input(image, out) for image in (out.truth, out.sharp.detach())]
        return {"hinge": hinge_critic(*self.critic(torch.cat(pair))[0].chunk(2))}

    def r1_losses(self, batch: Batch, out: Placed) -> Losses:
        image = self.critic_input(out.truth, out).requires_grad_()
        scores, _ = self.critic(image, full=True)
        weight = self.config.r1_every * self.config.r1 / 2
        return {"r1": weight * r1_penalty(scores, image, patches="mean")}

    def losses(self, batch: Batch, out: Any) -> Losses:
        if not isinstance(out, Placed):
            return super().losses(batch, out)
        config, truth = self.config, out.truth
        pixels = l1_loss(out.sharp, truth, out.mask, visible=0, by_area=True)
        terms = {"pixels": config.pixels * pixels}
        if config.structure:
            terms["structure"] = config.structure * structure_loss(out.sharp, truth, out.mask)
        if config.adversarial or config.feature_matching:
            scores, features = self.critic(self.critic_input(out.sharp, out))
            terms["adversarial"] = config.adversarial * hinge_generator(scores)
            with torch.no_grad():
                _, true = self.critic(self.critic_input(truth, out))
            matched = feature_matching(features, true)
            terms["feature_matching"] = config.feature_matching * matched
        if self.vgg is not None:
            terms["perceptual"] = config.perceptual * self.vgg.perceptual(out.sharp, truth)
        return terms


def structure_loss(filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Mean over `SCALES` of 1 - (2 cov + c) / (var + var + c) in windows at the hole.

    The contrast and structure of SSIM (Wang et al., 2004) at several scales (2003): flat where
    there was contrast costs as much as contrast where there was none.
    """
    terms = []
    for _ in range(SCALES):
        a, b = (x - smooth(x) for x in (filled, truth))
        both, own, theirs = smooth(a * b), smooth(a * a), smooth(b * b)
        apart = 1 - (2 * both + STABLE) / (own + theirs + STABLE)
        terms.append((apart * mask).sum() / (3 * mask.sum()).clamp(min=1))
        filled, truth, mask = (F.avg_pool2d(x, 2, ceil_mode=True) for x in (filled, truth, mask))
    return torch.stack(terms).mean()


def smooth(image: Tensor) -> Tensor:
    """Return the means of `image` in windows around each pixel, fewer at the border."""
    return F.avg_pool2d(image, WINDOW, 1, WINDOW // 2, count_include_pad=False)
