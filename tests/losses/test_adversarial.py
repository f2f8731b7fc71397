"""Adversarial losses and the penalties of a critic, by hand."""

import pytest
import torch
from torch.nn import functional as F

from inpaint_cli.losses.adversarial import (
    feature_matching,
    hinge_critic,
    hinge_generator,
    logistic_critic,
    logistic_generator,
    r1_penalty,
)


def test_hinge_by_hand():
    real, fake = torch.tensor([2, 0.5, -1]), torch.tensor([-2, 0, 0.5])
    assert hinge_critic(real, fake).item() == pytest.approx(1.666667, abs=1e-6)
    assert hinge_generator(fake).item() == pytest.approx(0.5)
    assert logistic_critic(real, fake).item() == pytest.approx(1.236140, abs=1e-6)
    assert logistic_generator(fake).item() == pytest.approx(1.098051, abs=1e-6)


def test_logistic_takes_visible_patches_of_a_fake_for_real():
    fake = torch.randn(1, 1, 2, 2)
    real = torch.randn(1, 1, 2, 2)
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1  # the left column of scores
    wrong = torch.cat([F.softplus(fake[..., :1]), F.softplus(-fake[..., 1:])], -1).mean()
    expected = F.softplus(-real).mean() + wrong
    torch.testing.assert_close(logistic_critic(real, fake, mask), expected)
    everywhere = logistic_critic(real, fake, torch.ones(1, 1, 8, 8))
    torch.testing.assert_close(everywhere, logistic_critic(real, fake))


def test_r1_of_a_linear_critic_is_its_weight_squared():
    weight = torch.randn(3, 4, 4, requires_grad=True)
    image = torch.rand(5, 3, 4, 4, requires_grad=True)
    scores = (image * weight).flatten(1).sum(1)[:, None].repeat(1, 6)  # six equal patches
    norm = weight.square().sum()
    torch.testing.assert_close(r1_penalty(scores, image, patches="mean"), norm)
    penalty = r1_penalty(scores, image)
    torch.testing.assert_close(penalty, 36 * norm)
    penalty.backward()
    torch.testing.assert_close(weight.grad, 72 * weight)


def test_feature_matching_by_hand():
    fake = [torch.full((1, 1, 2, 2), 3.0, requires_grad=True), torch.full((1, 2, 1, 1), 1.0)]
    real = [torch.ones(1, 1, 2, 2, requires_grad=True), torch.zeros(1, 2, 1, 1)]
    assert feature_matching(fake, real).item() == pytest.approx(1.5)
    loss = feature_matching(fake, real, power=2)
    assert loss.item() == pytest.approx(2.5)
    loss.backward()
    assert real[0].grad is None
    assert fake[0].grad is not None
