"""Fast Fourier convolutions against the papers' own arithmetic."""

import pytest
import torch
from tensors import count_parameters
from torch.nn import functional as F

from inpaint_cli.layers.fourier import FFC, FFCBlock, FourierUnit


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
    assert count_parameters(FFCBlock(64)) == 42_016  # of IN2's first encoder stage
