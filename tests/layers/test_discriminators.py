"""The critics: sizes, patches and normalisation."""

import pytest
import torch
from tensors import count_parameters

from inpaint_cli.layers.discriminators import (
    edgeconnect_critic,
    pix2pixhd_critic,
    sn_patchgan_critic,
)


def test_discriminators_have_the_published_sizes():
    assert count_parameters(edgeconnect_critic()) == 2_763_776
    assert count_parameters(edgeconnect_critic(4)) == 2_764_800
    assert count_parameters(edgeconnect_critic(norm="instance")) == 2_763_841


@pytest.mark.parametrize(("side", "sides"), [(256, [128, 64, 32, 31, 30]), (64, [32, 16, 8, 7, 6])])
def test_edgeconnect_judges_patches(side: int, sides: list[int]):
    scores, features = edgeconnect_critic(width=2)(torch.rand(1, 3, side, side))
    assert [f.shape[-1] for f in features] == sides[:-1]
    assert scores.shape == (1, 1, sides[-1], sides[-1])


def test_sn_patchgan_judges_every_channel():
    scores, features = sn_patchgan_critic(width=2)(torch.rand(1, 4, 128, 128))
    assert scores.shape == (1, 8, 2, 2)
    assert len(features) == 5


def test_spectral_norm_settles_at_one():
    critic = edgeconnect_critic(width=4)
    for _ in range(50):
        critic(torch.rand(1, 3, 32, 32))
    critic.eval()
    for layer in critic.layers:
        norm = torch.linalg.matrix_norm(layer[0].weight.detach().flatten(1), 2)
        assert abs(norm - 1) < 0.02


@pytest.mark.parametrize("critic", [edgeconnect_critic, pix2pixhd_critic])
def test_discriminators_differentiate_twice(critic):
    critic = critic(width=2)
    image = torch.rand(2, 3, 32, 32, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        scores, _ = critic(image, full=True)
        assert scores.dtype == torch.float32
        assert critic(image)[0].dtype == torch.bfloat16
    (gradient,) = torch.autograd.grad(scores.sum(), image, create_graph=True)
    gradient.square().sum().backward()
    for name, p in critic.named_parameters():
        assert p.grad is None or torch.isfinite(p.grad).all(), name
    assert critic.layers[0][0].weight.requires_grad
