"""The blocks that architectures share, against plain forms of the same arithmetic."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.layers.discriminators import (
    edgeconnect_critic,
    pix2pixhd_critic,
    sn_patchgan_critic,
)
from inpaint_cli.layers.fourier import FFC, FFCBlock, FourierUnit
from inpaint_cli.layers.gated import GatedConv2d
from inpaint_cli.layers.partial import FreezableBatchNorm2d, PartialConv2d
from inpaint_cli.layers.spade import Spade, SpadeBlock
from inpaint_cli.layers.spreading import spread_colours


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def random_mask(*shape: int, share: float = 0.5) -> torch.Tensor:
    return (torch.rand(shape) < share).float()


# partial convolution


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


# gated convolution


def test_gated_is_feature_times_gate():
    conv = GatedConv2d(3, 4, dilation=2)
    x = torch.randn(1, 3, 9, 9)
    features, gate = conv.conv(x)[:, :4], conv.conv(x)[:, 4:]
    torch.testing.assert_close(conv(x), F.elu(features) * torch.sigmoid(gate))
    assert conv(x).shape == (1, 4, 9, 9)
    assert GatedConv2d(3, 4, kernel=5, stride=2)(x).shape == (1, 4, 5, 5)
    assert count(GatedConv2d(4, 64, kernel=5)) == 12_928  # the first layer of MDRNets' GRN


# Fourier convolution


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (6, 1), (2, 3)])
def test_fourier_unit_with_an_identity_spectrum_is_the_identity(size: tuple[int, int]):
    unit = FourierUnit(2).eval()
    with torch.no_grad():
        # two units of opposite sign make up for the ReLU between: x = relu(x) - relu(-x)
        unit.conv.weight.copy_(torch.eye(4)[:, :, None, None])
        x = torch.randn(1, 2, *size)
        positive = unit(x)
        unit.conv.weight.neg_()
        torch.testing.assert_close(positive - unit(x), x, atol=1e-4, rtol=1e-4)


def test_fourier_unit_interleaves_real_and_imaginary_parts():
    unit = FourierUnit(3).eval()
    x = torch.randn(2, 3, 6, 5)
    f = torch.fft.rfft2(x, norm="ortho")
    parts = torch.stack([p for c in range(3) for p in (f[:, c].real, f[:, c].imag)], 1)
    y = F.relu(unit.norm(unit.conv(parts)))
    expected = torch.fft.irfft2(torch.complex(y[:, ::2], y[:, 1::2]), s=(6, 5), norm="ortho")
    torch.testing.assert_close(unit(x), expected)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_fourier_unit_stays_full(half: torch.dtype):
    unit = FourierUnit(2).eval()
    x = torch.randn(1, 2, 7, 5)
    with torch.autocast("cpu", half):
        assert unit(x).dtype == torch.float32
        out = unit(x.to(half))
    assert out.dtype == half
    expected = unit(x.to(half).float())
    torch.testing.assert_close(out.float(), expected, atol=2e-2, rtol=2e-2)
    cast = FFC(8).to(half).eval()
    assert cast.spectral.fourier.conv.weight.dtype == torch.float32
    assert cast.to_local.weight.dtype == half
    assert torch.isfinite(cast(torch.randn(1, 8, 4, 4, dtype=half)).float()).all()


def test_ffc_is_the_papers_three_convolutions_and_a_transform():
    ffc = FFC(8, ratio=0.75).eval()
    x = torch.randn(1, 8, 6, 6)
    local, wide = x[:, :2], x[:, 2:]

    def conv(x, weight):
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), weight)

    to_local = ffc.to_local.weight
    to_l = conv(local, to_local[:, :2]) + conv(wide, to_local[:, 2:])
    to_g = conv(local, ffc.to_global.weight) + ffc.spectral(wide)
    expected = F.relu(ffc.norm(torch.cat([to_l, to_g], 1)))
    torch.testing.assert_close(ffc(x), expected, atol=1e-5, rtol=1e-5)
    assert count(FFCBlock(64)) == 42_016  # of IN2's first encoder stage


# SPADE


def test_spade_with_zero_convolutions_is_instance_norm():
    spade = Spade(4, 3)
    nn.init.zeros_(spade.scale_shift.weight)
    nn.init.zeros_(spade.scale_shift.bias)
    x = torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(spade(x, torch.randn(2, 3, 4, 4)), F.instance_norm(x))


def test_spade_scales_by_one_plus_gamma():
    spade = Spade(4, 3)
    nn.init.zeros_(spade.scale_shift.weight)
    with torch.no_grad():
        spade.scale_shift.bias.copy_(torch.tensor([0.5] * 4 + [2.0] * 4))
    x = torch.randn(1, 4, 8, 8)
    torch.testing.assert_close(spade(x, x[:, :3]), F.instance_norm(x) * 1.5 + 2)


def test_spade_blocks_have_the_published_sizes():
    assert count(SpadeBlock(256, 256, 256, spectral=True)) == 2_950_912  # MDRNets
    assert count(SpadeBlock(256, 128, 256, spectral=True)) == 2_836_352
    up = SpadeBlock(256, 128, 128, shortcut=3)  # SPN: one formula, (9 L + 1) h + 2 (9 h + 1) C
    spades = 3 * (9 * 128 + 1) * 128 + 2 * (9 * 128 + 1) * (256 + 128 + 256)
    assert count(up) == spades + 2 * (9 * 256 + 1) * 128 + (9 * 128 + 1) * 128
    assert up(torch.randn(1, 256, 4, 4), torch.randn(1, 128, 8, 8)).shape == (1, 128, 4, 4)


# discriminators


def test_discriminators_have_the_published_sizes():
    assert count(edgeconnect_critic()) == 2_763_776
    assert count(edgeconnect_critic(4)) == 2_764_800
    assert count(edgeconnect_critic(norm="instance")) == 2_763_841


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


def middle(height: int = 32, width: int = 32) -> Tensor:
    mask = torch.zeros(1, 1, height, width)
    mask[..., height // 4 : height // 2, width // 4 : -width // 4] = 1
    return mask


@pytest.mark.parametrize("size", [(32, 32), (37, 21), (1, 9)])
def test_spreading_keeps_what_is_known(size: tuple[int, int]):
    torch.manual_seed(0)
    values, known = torch.randn(2, 3, *size), (torch.rand(2, 1, *size) > 0.7).float()
    filled = spread_colours(values, known)
    assert torch.equal(filled * known, values * known)
    assert filled.max() <= values.max()
    assert filled.min() >= values.min()


def test_spreading_continues_a_constant_exactly_and_a_slope_nearly():
    known = 1 - middle()
    assert torch.allclose(spread_colours(torch.full((1, 1, 32, 32), 0.3), known), torch.tensor(0.3))
    slope = torch.linspace(0, 1, 32).expand(1, 1, 32, 32)
    assert (spread_colours(slope, known) - slope).abs().max() < 0.1


def test_spreading_from_nothing_is_nothing():
    values = torch.randn(1, 3, 8, 8, requires_grad=True)
    filled = spread_colours(values, torch.zeros(1, 1, 8, 8))
    filled.sum().backward()
    assert not filled.any()
    assert values.grad is not None
    assert torch.isfinite(values.grad).all()
