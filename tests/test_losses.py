"""Losses against values worked out by hand, and against plain forms of the same formula."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torchvision.models.vgg import cfgs, make_layers

from inpaint_cli.errors import WeightsError
from inpaint_cli.files import pretrained
from inpaint_cli.losses.adversarial import (
    feature_matching,
    hinge_critic,
    hinge_generator,
    logistic_critic,
    logistic_generator,
    r1_penalty,
)
from inpaint_cli.losses.divergence import kl_divergence
from inpaint_cli.losses.perceptual import VGG, gram_matrix, perceptual_loss, style_loss
from inpaint_cli.losses.reconstruction import l1_loss
from inpaint_cli.losses.smoothness import total_variation


def square(side: int, inner: int) -> torch.Tensor:
    mask = torch.zeros(1, 1, side, side)
    edge = (side - inner) // 2
    mask[..., edge : edge + inner, edge : edge + inner] = 1
    return mask


def test_l1_by_hand():
    mask = square(4, 2)
    filled = torch.where(mask > 0, 0.5, 0.1).expand(1, 3, 4, 4)
    truth = torch.zeros(1, 3, 4, 4)
    assert l1_loss(filled, truth, mask, hole=10).item() == pytest.approx(1.325)
    assert l1_loss(filled, truth, mask, hole=10, by_area=True).item() == pytest.approx(5.1)
    assert l1_loss(filled, truth, mask, hole=0).item() == pytest.approx(0.075)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_l1_by_area_without_one_of_the_areas(value: float):
    mask = torch.full((1, 1, 4, 4), value)
    filled = torch.full((1, 3, 4, 4), 0.5, requires_grad=True)
    loss = l1_loss(filled, torch.zeros(1, 3, 4, 4), mask, hole=2, by_area=True)
    loss.backward()
    assert loss.item() == pytest.approx(0.5 * (2 if value else 1))
    assert torch.isfinite(filled.grad).all()


def test_total_variation_counts_pairs_in_and_at_the_hole():
    image = torch.zeros(1, 1, 6, 6)
    image[..., :, 3:] = 1.0  # one vertical edge, between columns 2 and 3
    mask = square(6, 2)  # rows and columns 2 and 3; grown: 1 to 4
    assert total_variation(image, mask).item() == pytest.approx(4 / 30)  # four rows see the edge
    assert total_variation(image, torch.zeros_like(mask)) == 0
    everywhere = total_variation(image, torch.ones_like(mask))
    assert everywhere.item() == pytest.approx(6 / 30)


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


@pytest.mark.parametrize(
    ("mean", "variance", "forward", "reverse"),
    [
        (0, 1, 0, 0),
        (1, 1, 0.5, 0.5),
        (0, 4, 0.806853, 0.318147),
        (0.5, 0.25, 0.443147, 1.306853),
    ],
)
def test_kl_by_hand(mean: float, variance: float, forward: float, reverse: float):
    mu, log_variance = torch.tensor(float(mean)), torch.tensor(variance).float().log()
    assert kl_divergence(mu, log_variance).item() == pytest.approx(forward, abs=1e-6)
    assert kl_divergence(mu, log_variance, reverse=True).item() == pytest.approx(reverse, abs=1e-6)


@given(st.floats(-3, 3), st.floats(-3, 3), st.booleans())
def test_kl_is_never_negative(mean: float, log_variance: float, reverse: bool):
    assert kl_divergence(torch.tensor(mean), torch.tensor(log_variance), reverse=reverse) >= -1e-5


def test_gram_is_the_mean_product_of_channels():
    features = torch.randn(2, 3, 4, 5)
    matrix = gram_matrix(features)
    expected = (features[1, 0] * features[1, 2]).sum() / (3 * 4 * 5)
    torch.testing.assert_close(matrix[1, 0, 2], expected)
    torch.testing.assert_close(matrix, matrix.mT)
    other = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(
        style_loss([features], [other]),
        (matrix - gram_matrix(other)).abs().mean(),
        atol=1e-6,
        rtol=1e-5,
    )


@pytest.fixture(scope="module")
def vgg() -> VGG:
    return VGG("vgg19", ["relu1_1", "pool2", "relu3_1"], source="random")


def test_vgg_features_have_their_sizes(vgg: VGG):
    shapes = [tuple(f.shape[1:]) for f in vgg(torch.rand(1, 3, 32, 32))]
    assert shapes == [(64, 32, 32), (128, 8, 8), (256, 8, 8)]


def test_vgg_is_frozen_and_leaves_no_trace(vgg: VGG):
    assert not list(vgg.parameters())
    assert not vgg.state_dict()
    image = torch.rand(1, 3, 16, 16, requires_grad=True)
    perceptual_loss(vgg(image), vgg(torch.rand(1, 3, 16, 16))).backward()
    assert image.grad.any()
    assert perceptual_loss(vgg(image), vgg(image)) == 0


def test_random_vgg_is_always_the_same_and_draws_from_nobody():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one = VGG("vgg16", ["relu1_2"], source="random")
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(5)
    image = torch.rand(1, 3, 8, 8)
    again = VGG("vgg16", ["relu1_2"], source="random")(image)
    assert torch.equal(one(image)[0], again[0])


@pytest.mark.parametrize("network", ["vgg16", "vgg19"])
def test_vgg_reads_torchvisions_weights(network, tmp_path, monkeypatch):
    """Same network, weights and normalisation as torchvision's own, from a file in its layout."""
    theirs = make_layers(cfgs[{"vgg16": "D", "vgg19": "E"}[network]]).eval()
    file = tmp_path / "vgg.pth"
    torch.save({f"features.{k}": v for k, v in theirs.state_dict().items()}, file)
    monkeypatch.setattr(pretrained, "backbone_path", lambda name: file)
    ours = VGG(network, ["relu1_1", "pool3", "relu5_1"])
    image = torch.rand(1, 3, 32, 32)
    x = (image - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor(
        [0.229, 0.224, 0.225]
    )[:, None, None]
    found = {}
    for n, layer in enumerate(theirs):
        layer = nn.ReLU() if isinstance(layer, nn.ReLU) else layer  # theirs works in place
        x = layer(x)
        found[n] = x
    at = {"vgg16": (1, 16, 25), "vgg19": (1, 18, 29)}[network]
    for mine, n in zip(ours(image), at, strict=True):
        torch.testing.assert_close(mine, found[n])


def test_missing_vgg_stops_with_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("INPAINT_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("INPAINT_OFFLINE", "1")
    with pytest.raises(WeightsError, match=r"vgg16-397923af\.pth"):
        VGG("vgg16", ["pool1"])


def test_a_loss_of_one_is_one_per_layer():
    ones, zeros = [torch.ones(1, 2, 3, 3)] * 5, [torch.zeros(1, 2, 3, 3)] * 5
    assert perceptual_loss(ones, zeros).item() == 5
    assert math.isclose(logistic_generator(torch.zeros(3)).item(), math.log(2), rel_tol=1e-6)
