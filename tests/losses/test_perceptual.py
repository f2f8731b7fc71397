"""Features of VGG, and the losses that compare them."""

import math

import pytest
import torch
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from inpaint_cli.errors import WeightsError
from inpaint_cli.files import pretrained
from inpaint_cli.losses.adversarial import (
    logistic_generator,
)
from inpaint_cli.losses.perceptual import VGG, gram_matrix, perceptual_loss, style_loss


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
