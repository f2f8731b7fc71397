"""Adversarial losses on scores (logits), and what keeps a critic tame."""

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

    With a hole mask, whose size is brought to that of the scores, patches of the fake outside the
    hole are real (LaMa, section 2.3).
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

    D(image) is the sum or the mean of an image's scores; `image` must require a gradient and
    `scores` come from it. The factor gamma / 2, and for a phase run every n-th step the factor n,
    are the caller's.
    """
    total = scores.sum() if patches == "sum" else scores.flatten(1).mean(1).sum()
    (gradient,) = torch.autograd.grad(total, image, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()


def feature_matching(
    fake: Sequence[Tensor], real: Sequence[Tensor], *, power: Literal[1, 2] = 1
) -> Tensor:
    """mean over layers of mean |fake - real|^power of critic features; `real` gets no gradient.

    pix2pixHD takes power 1, LaMa power 2.
    """
    distance = F.l1_loss if power == 1 else F.mse_loss
    pairs = zip(fake, real, strict=True)
    return torch.stack([distance(a, b.detach()) for a, b in pairs]).mean()
