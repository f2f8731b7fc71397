"""The residual U-Net: it interpolates before it learns, and joins the photo without a step."""

import pytest
import torch
from torch import Tensor

from inpaint_cli.api.architectures import Batch
from inpaint_cli.layers.spreading import spread
from inpaint_resunet import ResUNetArchitecture, ResUNetSettings
from inpaint_resunet.task import ResUNetTask, ResUNetTaskSettings


def hole(height: int = 32, width: int = 32) -> Tensor:
    mask = torch.zeros(1, 1, height, width)
    mask[..., height // 4 : height // 2, width // 4 : -width // 4] = 1
    return mask


@pytest.mark.parametrize("size", [(32, 32), (37, 21), (1, 9)])
def test_spreading_keeps_what_is_known(size: tuple[int, int]):
    torch.manual_seed(0)
    values, known = torch.randn(2, 3, *size), (torch.rand(2, 1, *size) > 0.7).float()
    filled = spread(values, known)
    assert torch.equal(filled * known, values * known)
    assert filled.max() <= values.max()
    assert filled.min() >= values.min()


def test_spreading_continues_a_constant_exactly_and_a_slope_nearly():
    known = 1 - hole()
    assert torch.allclose(spread(torch.full((1, 1, 32, 32), 0.3), known), torch.tensor(0.3))
    slope = torch.linspace(0, 1, 32).expand(1, 1, 32, 32)
    assert (spread(slope, known) - slope).abs().max() < 0.1


def test_spreading_from_nothing_is_nothing():
    values = torch.randn(1, 3, 8, 8, requires_grad=True)
    filled = spread(values, torch.zeros(1, 1, 8, 8))
    filled.sum().backward()
    assert not filled.any()
    assert values.grad is not None
    assert torch.isfinite(values.grad).all()


def net(**settings: int) -> torch.nn.Module:
    torch.manual_seed(0)
    known = {"width": 8, "levels": 3, "blocks": 1, "fold": 2, "side": 64}
    return ResUNetArchitecture.build(ResUNetSettings.model_validate(known | settings)).eval()


def test_visible_pixels_come_out_as_they_are():
    mask = hole()
    image = torch.rand(1, 3, 32, 32)
    out = net()(image * (1 - mask), mask)
    assert torch.allclose(out * (1 - mask), image * (1 - mask), atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (33, 7), (100, 61)])
def test_larger_photos_are_seen_shrunk_and_smaller_ones_as_they_are(size: tuple[int, int]):
    known = net(side=32)
    seen: list[tuple[int, ...]] = []
    known.enter.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    mask = torch.zeros(1, 1, *size)
    mask[..., : size[0] // 2, :] = 1
    image = torch.rand(1, 3, *size)
    out = known(image * (1 - mask), mask)
    assert torch.allclose(out * (1 - mask), image * (1 - mask), atol=1e-6)
    shrunk = [-(-side // -(-max(size) // 32)) for side in size]
    assert list(seen[0]) == [1, 16, *(-(-side // 8) * 4 for side in shrunk)]


def test_a_network_that_guesses_nothing_interpolates():
    untaught, mask = net(), hole()
    torch.nn.init.zeros_(untaught.leave[-1].weight)
    torch.nn.init.zeros_(untaught.leave[-1].bias)
    image = torch.rand(1, 3, 32, 32)
    expected = spread(image, 1 - mask)
    assert torch.allclose(untaught(image * (1 - mask), mask), expected, atol=1e-6)


def test_the_published_size():
    with torch.device("meta"):
        full = ResUNetArchitecture.build(ResUNetSettings())
    assert sum(p.numel() for p in full.parameters()) == 7_008_752


def test_only_the_hole_and_a_little_of_the_rest_count():
    task = ResUNetTask(net(), ResUNetTaskSettings())
    batch = Batch(torch.rand(1, 3, 32, 32), hole())
    off = batch.image + 0.5 * batch.mask
    assert task.losses(batch, off)["l1"].item() == pytest.approx(0.5)
    off = batch.image + 0.5 * (1 - batch.mask)
    assert task.losses(batch, off)["l1"].item() == pytest.approx(0.05)
