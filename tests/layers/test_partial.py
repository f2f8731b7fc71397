"""Partial convolutions: no hidden value passes, and the mask grows as in the paper."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from inpaint_cli.layers.partial import FreezableBatchNorm2d, PartialConv2d


def random_mask(*shape: int, share: float = 0.5) -> torch.Tensor:
    return (torch.rand(shape) < share).float()


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 2), (7, 2)])
def test_partial_equals_the_mask_of_every_channel(kernel: int, stride: int):
    conv = PartialConv2d([5, 3], 4, kernel=kernel, stride=stride, bias=True)
    nn.init.normal_(conv.bias)
    x = [torch.randn(2, 5, 16, 16), torch.randn(2, 3, 16, 16)]
    known = [random_mask(2, 1, 16, 16, share=0.3), random_mask(2, 1, 16, 16, share=0.05)]
    y, after = conv(*zip(x, known, strict=True))

    m = torch.cat([k.expand_as(f) for k, f in zip(known, x, strict=True)], 1)
    pad = (kernel - 1) // 2
    s = F.conv2d(m, torch.ones(1, 8, kernel, kernel), None, stride, pad)
    plain = F.conv2d(torch.cat(x, 1) * m, conv.weight, None, stride, pad)
    ratio = 8 * kernel * kernel / s.clamp(min=1)
    expected = torch.where(s > 0, plain * ratio + conv.bias[:, None, None], 0)
    torch.testing.assert_close(y, expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(after, (s > 0).float())


def test_partial_without_holes_is_plain_but_for_the_border():
    conv = PartialConv2d([3], 4, kernel=3, bias=False)
    x = torch.randn(1, 3, 8, 8)
    y, _ = conv((x, torch.ones(1, 1, 8, 8)))
    plain = F.conv2d(x, conv.weight, padding=1)
    torch.testing.assert_close(y[..., 1:-1, 1:-1], plain[..., 1:-1, 1:-1])
    torch.testing.assert_close(y[..., 0, 1:-1], plain[..., 0, 1:-1] * 9 / 6)
    torch.testing.assert_close(y[..., 0, 0], plain[..., 0, 0] * 9 / 4)


@pytest.mark.parametrize("junk", [1e30, float("nan"), float("inf")])
def test_partial_never_sees_the_hole(junk: float):
    conv = PartialConv2d([3], 4, kernel=5, stride=2, bias=True)
    known = random_mask(1, 1, 16, 16, share=0.2)
    x = torch.randn(1, 3, 16, 16)
    y, _ = conv((x, known))
    again, _ = conv((torch.where(known > 0, x, junk), known))
    assert torch.equal(y, again)


def test_partial_of_nothing_is_nothing():
    conv = PartialConv2d([3], 4, kernel=3, bias=True)
    nn.init.normal_(conv.bias)
    x = torch.randn(1, 3, 8, 8, requires_grad=True)
    y, known = conv((x, torch.zeros(1, 1, 8, 8)))
    y.square().sum().backward()
    assert not y.any()
    assert not known.any()
    assert torch.isfinite(conv.weight.grad).all()


def test_partial_mask_grows_by_the_kernel():
    known = random_mask(1, 1, 16, 16, share=0.1)
    x = torch.randn(1, 3, 16, 16)
    _, grown = PartialConv2d([3], 4, kernel=3, bias=False)((x, known))
    assert torch.equal(grown, F.max_pool2d(known, 3, 1, 1))
    _, halved = PartialConv2d([3], 4, kernel=3, stride=2, bias=False)((x, known))
    assert (halved >= known[..., ::2, ::2]).all()


def test_partial_ratio_stays_full_under_autocast():
    conv = PartialConv2d([400, 111], 4, kernel=3, bias=True)
    x = [torch.randn(1, 400, 8, 8), torch.randn(1, 111, 8, 8)]
    known = [random_mask(1, 1, 8, 8, share=0.2), random_mask(1, 1, 8, 8)]
    whole, _ = conv(*zip(x, known, strict=True))
    with torch.autocast("cpu", torch.bfloat16):
        half, _ = conv(*zip(x, known, strict=True))
    assert (half - whole).abs().mean() < 0.01 * whole.abs().mean()


def test_frozen_batch_norm_stays_frozen():
    norm = FreezableBatchNorm2d(3)
    norm.requires_grad_(False).eval()
    norm.train()
    before = norm.running_mean.clone()
    norm(torch.randn(4, 3, 5, 5))
    assert torch.equal(norm.running_mean, before)
    norm.requires_grad_(True).train()
    norm(torch.randn(4, 3, 5, 5))
    assert not torch.equal(norm.running_mean, before)
