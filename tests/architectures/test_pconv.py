"""The U-Net of partial convolutions: its sizes, what it sees, and how it is fine-tuned."""

import copy

import pytest
import torch
from torch import nn

from inpaint_cli.api import IrregularWeights
from inpaint_cli.api.architectures import Batch
from inpaint_cli.layers.partial_unet import PartialUNet
from inpaint_plugins.pconv import PConv
from inpaint_plugins.pconv.settings import PConvSettings
from inpaint_plugins.pconv.task import PConvTask


def batch(side: int = 32, n: int = 2) -> Batch:
    torch.manual_seed(1)
    mask = torch.zeros(n, 1, side, side)
    mask[..., side // 4 : side // 2, side // 4 : -side // 4] = 1
    return Batch(torch.rand(n, 3, side, side), mask)


@pytest.fixture
def net() -> PartialUNet:
    torch.manual_seed(0)
    return PartialUNet(levels=4, width=4).eval()


def task(**settings: float | str) -> PConvTask:
    torch.manual_seed(0)
    rules = IrregularWeights.model_validate({"vgg": "none"} | settings)
    return PConvTask(PConv.build(PConvSettings(levels=3, width=8)), rules)


@pytest.mark.parametrize(("levels", "count"), [(7, 25_779_860), (8, 32_859_796)])
def test_sizes_of_the_paper(levels: int, count: int):
    net = PartialUNet(levels)
    assert sum(p.numel() for p in net.parameters()) == count
    if levels == 7:
        assert sum(p.numel() for p in net.encoder.parameters()) == 9_295_872
    assert PConv.sizes(PConvSettings(levels=levels)).multiple == 2**levels


@pytest.mark.parametrize("junk", [0.7, 1e30, float("nan")])
def test_the_hole_is_never_seen(net: PartialUNet, junk: float):
    example = batch()
    seen = torch.where(example.mask > 0, junk, example.image)
    assert torch.equal(net(example.visible, example.mask), net(seen, example.mask))


def test_nothing_known_gives_finite_gradients(net: PartialUNet):
    image, known = net.forward_known(torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32))
    image.sum().backward()
    assert not image.any()
    assert not known.any()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


@pytest.mark.parametrize("at", [(0, 0), (17, 5), (255, 255), (128, 127)])
def test_one_known_pixel_reaches_all_but_the_frame(at: tuple[int, int]):
    net = PartialUNet(levels=7, width=1).eval()
    mask = torch.ones(1, 1, 256, 256)
    mask[..., at[0], at[1]] = 0
    _, known = net.forward_known(torch.rand(1, 3, 256, 256), mask)
    assert known[..., 1:-1, 1:-1].all()


def test_scattered_known_pixels_reach_everything():
    net = PartialUNet(levels=7, width=1).eval()
    mask = (torch.rand(1, 1, 256, 256, generator=torch.Generator().manual_seed(0)) > 0.4).float()
    assert net.forward_known(torch.rand(1, 3, 256, 256), mask)[1].all()


def test_finetune_holds_the_encoders_norm_still():
    tasks = task()
    (phase,) = tasks.phases("finetune")
    tasks.requires_grad_(False).eval()  # as the loop enters a stage
    for module in phase.trains:
        tasks.get_submodule(module).requires_grad_(True).train()
    tasks.train()  # no later call may thaw it
    before = copy.deepcopy(tasks.net.state_dict())
    learning = [p for p in tasks.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(learning, lr=1e-3)
    example = batch()
    sum(phase.losses(example, tasks.predict(example)).values(), torch.zeros(())).backward()
    optimizer.step()
    for name, value in tasks.net.state_dict().items():
        still = name.startswith("encoder") and ".norm." in name
        assert torch.equal(before[name], value) == still, name


def test_terms_are_the_papers():
    example = batch()
    tasks = task(vgg="random")
    out = tasks.predict(example)
    terms = tasks.losses(example, out)
    assert set(terms) == {"l1", "total_variation", "perceptual", "style"}
    hole = (out - example.image).abs() * example.mask
    visible = (out - example.image).abs() * (1 - example.mask)
    torch.testing.assert_close(terms["l1"], visible.mean() + 6 * hole.mean())
    assert tasks.vgg is not None
    composite = torch.where(example.mask > 0, out, example.image)
    distance = sum(
        (a - b).abs().mean()
        for picture in (out, composite)
        for a, b in zip(tasks.vgg(picture), tasks.vgg(example.image), strict=True)
    )
    torch.testing.assert_close(terms["perceptual"], 0.05 * distance, rtol=1e-4, atol=1e-6)


def test_without_vgg_its_terms_are_off_and_the_run_says_so():
    tasks = task()
    example = batch()
    assert set(tasks.losses(example, tasks.predict(example))) == {"l1", "total_variation"}
    assert tasks.without() == ["no-vgg"]
    assert task(vgg="random").without() == ["random-vgg"]
    assert task(vgg="imagenet", perceptual=0, style=0).without() == []


def test_it_learns_a_picture_by_heart():
    torch.manual_seed(0)
    tasks = task(total_variation=0)
    x = torch.linspace(0, 1, 32)
    image = torch.stack([x.expand(32, 32), x[:, None].expand(32, 32), torch.zeros(32, 32)])[None]
    example = Batch(image.repeat(2, 1, 1, 1), batch().mask)
    optimizer = torch.optim.Adam(tasks.net.parameters(), lr=3e-3)
    losses = []
    for _ in range(80):
        loss = tasks.losses(example, tasks.predict(example))["l1"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 5


def test_only_the_last_layer_has_no_norm(net: PartialUNet):
    plain = [name for name, module in net.named_modules() if isinstance(module, nn.Identity)]
    assert plain == ["encoder.0.norm", "decoder.3.norm"]
