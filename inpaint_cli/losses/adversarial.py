"""Adversarial losses on scores (logits), and regularisers of a critic."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F


def hinge_critic(real: Tensor, fake: Tensor) -> Tensor:
    """mean relu(1 - real) + mean relu(1 + fake) (Miyato et al., ICLR 2018)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """-mean fake."""
    return -fake.mean()


def logistic_critic(real: Tensor, fake: Tensor, mask: Tensor | None = None) -> Tensor:
    """mean -log s(real) + mean -log(1 - s(fake)), s the sigmoid (Goodfellow et al., 2014).

    With a hole mask [N, 1, H, W], resized to the scores, patches of the fake outside the hole count
    as real (LaMa, section 2.2).
    """
    wrong = F.softplus(fake)
    if mask is not None:
        wrong = torch.where(F.interpolate(mask, fake.shape[-2:]) > 0, wrong, F.softplus(-fake))
    return F.softplus(-real).mean() + wrong.mean()


def logistic_generator(fake: Tensor) -> Tensor:
    """mean -log s(fake): the non-saturating form."""
    return F.softplus(-fake).mean()


def r1_penalty(scores: Tensor, image: Tensor, *, patches: Literal["sum", "mean"] = "sum") -> Tensor:
    """mean over the batch of |d D(image) / d image|^2 (Mescheder et al., ICML 2018, eq. 9).

    D(image) is the sum or the mean of an image's scores; `scores` must be computed from `image`,
    which must require a gradient. The caller multiplies by gamma / 2, and by n in a phase that runs
    every n-th step.
    """
    total = scores.sum() if patches == "sum" else scores.flatten(1).mean(1).sum()
    (gradient,) = torch.autograd.grad(total, image, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()


def feature_matching(
    fake: Sequence[Tensor], real: Sequence[Tensor], *, power: Literal[1, 2] = 1
) -> Tensor:
    """Mean over layers of mean |fake - real|^power of critic features; `real` gets no gradient.

    pix2pixHD uses power 1, LaMa power 2.
    """
    distance = F.l1_loss if power == 1 else F.mse_loss
    pairs = zip(fake, real, strict=True)
    return torch.stack([distance(a, b.detach()) for a, b in pairs]).mean()
