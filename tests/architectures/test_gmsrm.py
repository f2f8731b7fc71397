"""GM-SRM against section 10 of its specification, item by item, and its two stages."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerators import forget_accelerator
from pydantic import ValidationError
from tensors import count_parameters
from torch import Tensor, nn
from toy import photos

from inpaint_cli import registry
from inpaint_cli.api.architectures import Batch
from inpaint_cli.api.stages import Stage
from inpaint_cli.errors import TrainingError
from inpaint_cli.evaluation import protocols
from inpaint_cli.layers.discriminators import edgeconnect_critic
from inpaint_cli.losses.adversarial import logistic_critic, logistic_generator
from inpaint_cli.losses.divergence import kl_divergence
from inpaint_cli.models import weights
from inpaint_cli.models.network import fill_tensors
from inpaint_cli.recipe.read import read_recipe
from inpaint_cli.recipe.schema import Ema
from inpaint_cli.runtime.seed import seed_torch
from inpaint_cli.training import run
from inpaint_cli.training.checkpoint import read_state
from inpaint_cli.training.ema import AveragedNetwork
from inpaint_cli.training.folder import RunFolder
from inpaint_cli.training.loop import Step, train_stages
from inpaint_plugins.gmsrm import GMSRM
from inpaint_plugins.gmsrm.critic import ResidualCritic
from inpaint_plugins.gmsrm.memory import StyledConv, modulate_conv
from inpaint_plugins.gmsrm.model import GMSRMNet, GMSRMOutput, MemoryImage, MemoryQuery
from inpaint_plugins.gmsrm.settings import GMSRMSettings, GMSRMTaskSettings
from inpaint_plugins.gmsrm.task import GMSRMTask, to_signed


def net(strength: float = 0.1, **settings) -> GMSRMNet:
    torch.manual_seed(0)
    made = GMSRMNet(GMSRMSettings(**{"width": "tiny"} | settings))
    for module in made.modules():
        if isinstance(module, StyledConv):
            nn.init.constant_(module.strength, strength)
    return made.eval()


def task(made: GMSRMNet | None = None, **settings) -> GMSRMTask:
    made = made or net()
    if made.settings.memory:
        made.memory.steps += 1
    rules = {"vgg": "none", "critic": 8} | settings
    return GMSRMTask(made, GMSRMTaskSettings.model_validate(rules))


def batch(side: int = 32, n: int = 2) -> Batch:
    g = torch.Generator().manual_seed(1)
    mask = torch.zeros(n, 1, side, side)
    mask[..., side // 4 : -side // 4, side // 4 : -side // 4] = 1
    return Batch(torch.rand(n, 3, side, side, generator=g), mask)


def walk(made: GMSRMTask, stage: str, number: int, example: Batch, plan: Stage | None = None):
    """The steps of a stage, of `example` each time."""
    one = (plan or made.plan[stage]).model_copy(update={"steps": number})
    batches = lambda name, first: iter([example] * number)  # noqa: E731
    return train_stages(made, {stage: one}, batches, Accelerator(cpu=True))


def steps(made: GMSRMTask, stage: str, number: int, example: Batch) -> list[Step]:
    return list(walk(made, stage, number, example))


def filled(made: GMSRMNet, example: Batch, number: int = 0) -> Tensor:
    seed_torch(number)
    with torch.inference_mode():
        return made(example.visible, example.mask).image


# 1. shapes and sizes


@pytest.mark.parametrize(
    ("settings", "total", "learning"),
    [
        ({}, 83_589_651, 51_275_117),
        ({"width": "small"}, 20_913_451, 12_826_309),
        ({"width": "tiny"}, 420_865, 280_805),
        ({"memory": False}, 32_499_103, 32_499_103),  # Base
        ({"noise": "random", "progressive": False}, 73_198_789, 40_884_255),  # GM-BM
        ({"progressive": False}, 75_524_883, 43_210_349),  # GM-CSV
    ],
)
def test_1_sizes_of_the_networks(settings, total, learning):
    with torch.device("meta"):
        made = GMSRMNet(GMSRMSettings(**settings))
        tasks = GMSRMTask(made, GMSRMTaskSettings(vgg="none"))
    assert count_parameters(made) == total
    _, phase = tasks.phases("fill")
    assert sum(count_parameters(tasks.get_submodule(name)) for name in phase.trains) == learning


def test_1_sizes_of_the_parts_and_of_the_critics():
    with torch.device("meta"):
        made = GMSRMNet(GMSRMSettings())
        critic = ResidualCritic((64, 128, 256, 512, 512, 512, 512))
    parts = {name: count_parameters(part) for name, part in made.named_children()}
    assert parts == {
        "encoder": 14_240_316,
        "codes": 9_703_808,
        "moments": 2_326_094,
        "memory": 32_314_534,
        "decoder": 24_930_912,
        "head": 73_987,
    }
    assert sum(count_parameters(level.to_rgb) for level in made.memory.levels) == 1_287_957
    assert count_parameters(critic) == 24_001_089
    assert [count_parameters(edgeconnect_critic(n)) for n in (3, 4)] == [2_763_776, 2_764_800]


def test_1_shapes_of_all_levels(monkeypatch):
    """At the size of training, with the published widths: the table of section 3."""
    with torch.device("meta"):
        made = GMSRMNet(GMSRMSettings()).eval()
        seen = {"P": [], "G": []}
        for level in made.memory.levels:
            level.register_forward_hook(lambda m, x, y: seen["P"].append(y.shape[1:]))
        for block in made.decoder:
            block.register_forward_hook(lambda m, x, y: seen["G"].append(y.shape[1:]))
        image, mask = torch.empty(1, 3, 256, 256), torch.empty(1, 1, 256, 256)
        monkeypatch.setattr(made, "draw_noises", lambda like, moments, count: [None] * count)
        out = made(image, mask)
        E = made.encode_image(image, mask)
    sides = [2 ** (i + 1) for i in range(1, 8)]
    widths = {
        "E": [512, 512, 512, 256, 128, 64, 4],
        "P": [512, 512, 512, 512, 256, 128, 64],
        "G": [512, 512, 256, 128, 64, 64],
    }
    told = {"E": [e.shape[1:] for e in E], **seen}
    for name, channels in widths.items():
        first = name == "G"  # G of the first level is E
        assert told[name] == [(c, s, s) for c, s in zip(channels, sides[first:], strict=True)]
    assert out.image.shape == (1, 3, 256, 256)
    scores, _ = edgeconnect_critic()(torch.zeros(1, 3, 256, 256))
    assert scores.shape == (1, 1, 30, 30)


def test_fewer_levels_are_for_smaller_pictures():
    made = net(width="small", levels=5)
    assert made(*[t[:1] for t in (batch(64).visible, batch(64).mask)]).image.shape[-1] == 64
    full = GMSRM.sizes(GMSRMSettings())
    assert (full.multiple, full.minimum, full.window) == (64, 128, 512)  # larger: in windows
    assert GMSRM.sizes(made.settings).multiple == 16
    with pytest.raises(ValidationError, match="width 'tiny' has no more than 5 levels"):
        GMSRMSettings(width="tiny", levels=6)


# 2. modulated convolutions


@pytest.mark.parametrize("form", ["grouped", "scaled", None])
def test_2_demodulated_filters_keep_the_deviation(form):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(4, 64, 64, 64, generator=g)
    weight = torch.randn(64, 64, 3, 3, generator=g)
    style = 3 * torch.randn(4, 64, generator=g)
    y = modulate_conv(x, weight, style, form=form)
    spread = y[..., 1:-1, 1:-1].std((2, 3))
    assert 0.93 < spread.min() < spread.max() < 1.07
    assert spread.mean() == pytest.approx(1, abs=0.01)
    torch.testing.assert_close(
        modulate_conv(x, weight, 10 * style, form=form), y, atol=1e-4, rtol=1e-4
    )


def test_2_filters_have_norm_one():
    g = torch.Generator().manual_seed(0)
    weight, style = torch.randn(5, 7, 3, 3, generator=g), torch.randn(1, 7, generator=g)
    taps = torch.eye(63).view(63, 7, 3, 3).flip(2, 3)  # each picks one number of a filter
    picked = modulate_conv(taps, weight, style.expand(63, -1), form="scaled")[..., 1, 1]
    assert picked.square().sum(0) == pytest.approx([1] * 5, abs=1e-5)


@pytest.mark.parametrize("shape", [(1, 8, 16, 5), (3, 8, 16, 5), (2, 16, 4, 4), (1, 4, 3, 33)])
@pytest.mark.parametrize(("kernel", "demodulate"), [(3, True), (1, False)])
def test_2_both_forms_are_the_same(shape, kernel, demodulate):
    n, inputs, outputs, side = shape
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, inputs, side, side + 1, generator=g)
    weight = torch.randn(outputs, inputs, kernel, kernel, generator=g)
    style = torch.randn(n, inputs, generator=g)
    one, other, best = (
        modulate_conv(x, weight, style, demodulate=demodulate, form=form)
        for form in ("grouped", "scaled", None)
    )
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(best, other, atol=1e-4, rtol=1e-4)


# 3, 4, 10. the second stage


def test_3_the_memory_is_frozen_while_filling_is_learned():
    tasks = task(perceptual=0.1, vgg="random")
    before = copy.deepcopy(tasks.net.memory.state_dict())
    held = {id(p) for p in tasks.net.memory.parameters()}
    encoder = tasks.net.encoder[0].first.weight.clone()
    last = steps(tasks, "fill", 3, batch())[-1]
    assert set(last.losses) == {
        *("critic/hinge", "fill/l1", "fill/kl", "fill/adversarial", "fill/perceptual")
    }
    for name, value in tasks.net.memory.state_dict().items():
        assert torch.equal(before[name], value), name
    assert all(p.grad is None for p in tasks.net.memory.parameters())
    assert not torch.equal(encoder, tasks.net.encoder[0].first.weight)
    learning = {id(p) for phase in tasks.phases("fill") for m in phase.trains
                for p in tasks.get_submodule(m).parameters()}  # fmt: skip
    assert not held & learning


def test_4_gradients_pass_through_the_memory():
    tasks, example = task(), batch()
    optimizer = torch.optim.Adam(tasks.net.parameters(), lr=1e-3)
    tasks.net.memory.requires_grad_(False)

    def learn() -> dict[str, bool]:
        optimizer.zero_grad()
        sum(tasks.losses(example, tasks.predict(example)).values(), torch.zeros(())).backward()
        moved = {k: bool(p.grad.any()) for k, p in tasks.net.named_parameters() if p.requires_grad}
        optimizer.step()
        return moved

    for name, moves in learn().items():
        quiet = name.startswith(("codes.", "moments.")) and not name.startswith("codes.0.")
        if ".attention." not in name:
            assert moves == (not quiet or ".linear." in name or ".last." in name), name
    for name, moves in learn().items():
        assert moves or ".attention." in name, name


def test_10_it_begins_with_one_code_for_all_levels():
    made, example = net(), batch()
    plain = net(progressive=False)
    plain.load_state_dict({k: v for k, v in made.state_dict().items() if k in plain.state_dict()})
    with torch.inference_mode():
        seed_torch(1)
        out = made(example.visible, example.mask)
    assert len(out.codes) == 5
    assert all(torch.equal(code, out.codes[0]) for code in out.codes)
    assert torch.equal(filled(made, example), filled(plain, example))
    steps(task(made), "fill", 1, example)
    plain.load_state_dict({k: v for k, v in made.state_dict().items() if k in plain.state_dict()})
    assert not torch.equal(filled(made.eval(), example), filled(plain, example))


# 5, 6, 8, 14. what comes out


def test_5_a_fresh_memory_hears_no_noise():
    example = batch()
    silent, heard = net(strength=0), net()
    assert torch.equal(filled(silent, example, 0), filled(silent, example, 1))
    assert not torch.equal(filled(heard, example, 0), filled(heard, example, 1))


@pytest.mark.parametrize("settings", [{}, {"moments": "spatial"}, {"noise": "random"}])
def test_6_a_seed_is_a_picture(settings):
    made, example = net(**settings), batch()
    sizes = GMSRM.sizes(made.settings)

    def sample(number: int) -> Tensor:
        seed_torch(0, number)
        return fill_tensors(made, sizes, example.image, example.mask)

    two, five = [sample(n) for n in range(2)], [sample(n) for n in range(5)]
    assert all(torch.equal(a, b) for a, b in zip(two, five, strict=False))
    hole = example.mask.expand_as(example.image) > 0
    for other in five[1:]:
        assert torch.equal(other[~hole], five[0][~hole])
        assert not torch.equal(other[hole], five[0][hole])


@pytest.mark.parametrize("settings", [{"temperature": 0}, {"noise": "none"}, {"memory": False}])
def test_6_without_chance_seeds_do_not_matter(settings):
    made, example = net(**settings), batch()
    assert torch.equal(filled(made, example, 0), filled(made, example, 1))


def test_6_noise_is_drawn_in_the_published_order():
    made, example = net(noise="random"), batch()
    told: list[Tensor] = []
    for level in made.memory.levels:
        level.register_forward_pre_hook(lambda m, args: told.extend(args[3]))
    filled(made, example, 3)
    seed_torch(3)
    sides = [2, 4, 4, 8, 8, 16, 16, 32, 32]
    for noise, side in zip(told, sides, strict=True):
        assert torch.equal(noise, torch.randn(1, 1, side, side))


def test_8_the_hole_is_not_seen_and_the_rest_is():
    made, example = net(), batch()
    sizes, outs = GMSRM.sizes(made.settings), []
    hidden = torch.where(example.mask > 0, 0.3, example.image)
    known = example.image.clone()
    known[..., 0, 0] = 1 - known[..., 0, 0]
    for image in (example.image, hidden, known):
        seed_torch(0)
        out = fill_tensors(made, sizes, image, example.mask)
        outs.append(out[example.mask.expand_as(out) > 0])
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])


def test_14_any_size_and_any_order():
    made, sizes = net(), GMSRM.sizes(GMSRMSettings(width="tiny"))
    g = torch.Generator().manual_seed(0)
    image, mask = torch.rand(3, 3, 100, 75, generator=g), torch.zeros(3, 1, 100, 75)
    mask[:, :, 30:70, 20:] = 1
    seed_torch(0)
    out = fill_tensors(made, sizes, image, mask)
    assert out.shape == image.shape
    assert torch.equal(out[(mask == 0).expand_as(out)], image[(mask == 0).expand_as(out)])
    seed_torch(0)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(
        fill_tensors(made, sizes, image[order], mask[order]), out[order], atol=1e-5, rtol=0
    )
    with pytest.raises(RuntimeError):
        fill_tensors(made, sizes, image, mask[..., :-1])


# 7, 9. losses


def test_7_divergence():
    tasks, example = task(), batch()
    out = tasks.predict(example)
    assert isinstance(out, GMSRMOutput)
    assert tasks.losses(example, out)["kl"] == 0
    for mean, variance, value in ((0.5, 0.25, 0.443147), (1, 1, 0.5), (0, 4, 0.806853)):
        got = kl_divergence(torch.tensor(float(mean)), torch.tensor(math.log(variance)))
        assert got.item() == pytest.approx(value, abs=1e-6)
    assert (kl_divergence(torch.randn(1000), torch.randn(1000)) >= 0).all()
    normal = torch.zeros(2, requires_grad=True)
    kl_divergence(normal[0], normal[1]).backward()
    assert not normal.grad.any()


def test_7_divergence_is_summed_over_levels_whatever_the_form():
    for form in ("scalar", "spatial"):
        made = net(moments=form)
        for moments in made.moments:
            moments.last.bias.data = torch.tensor([0.5, math.log(0.25)])
        tasks, example = task(made), batch()
        term = tasks.losses(example, tasks.predict(example))["kl"]
        assert term.item() == pytest.approx(0.01 * 5 * 0.443147, rel=1e-5)


@pytest.mark.parametrize(("by_area", "value"), [(False, 1.325), (True, 5.1)])
def test_9_reconstruction(by_area, value):
    tasks = task(by_area=by_area, adversarial=0, divergence=0)
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 1:3, 1:3] = 1
    truth = torch.full((1, 3, 4, 4), 0.5)
    image = (truth + (0.5 * mask + 0.1 * (1 - mask)) / 2).requires_grad_()  # -1..1 inside
    loss = tasks.losses(Batch(truth, mask), GMSRMOutput(image, [], []))["l1"]
    assert loss.item() == pytest.approx(value, abs=1e-6)
    if not by_area:
        loss.backward()
        ratio = image.grad[..., 1, 1] / image.grad[..., 0, 0]
        assert ratio.flatten().tolist() == pytest.approx([10] * 3)


def test_9_the_hinge_stands_for_the_printed_loss(monkeypatch):
    real, fake = torch.tensor([2, 0.5, -1]), torch.tensor([-2, 0, 0.5])
    tasks, example = task(), batch(n=3)

    def critic(image, _=None):
        return real if torch.equal(image, example.image) else fake.requires_grad_()

    monkeypatch.setattr(tasks, "score_images", critic)
    out = GMSRMOutput(example.image / 2, [], [])
    told = tasks.critic_losses(example, out)["hinge"]
    assert told.item() == pytest.approx(1.666667, abs=1e-6)
    assert tasks.losses(example, out)["adversarial"].item() == pytest.approx(0.01 * 0.5)
    told.backward()
    assert fake.grad.any()
    fake.grad = None
    ((1 - fake).mean() + fake.mean()).backward()  # eq. 13 as printed
    assert not fake.grad.any()
    linear = task(gan="linear")
    monkeypatch.setattr(linear, "score_images", critic)
    assert linear.critic_losses(example, out)["linear"].item() == pytest.approx(-0.5 - 0.5)


def test_9_the_logistic_loss_of_the_memory():
    real, fake = torch.tensor([2, 0.5, -1]), torch.tensor([-2, 0, 0.5])
    assert logistic_critic(real, fake).item() == pytest.approx(1.236140, abs=1e-6)
    assert logistic_generator(fake).item() == pytest.approx(1.098051, abs=1e-6)


def test_the_critic_may_see_the_mask_and_settings_leave_terms_out():
    tasks, example = task(critic_sees_mask=True), batch()
    assert tasks.critic_losses(example, tasks.predict(example))["hinge"].isfinite()
    plain = task(adversarial=0, perceptual=0)
    assert [phase.name for phase in plain.phases("fill")] == ["fill"]
    assert plain.without() == []
    base = task(net(memory=False))
    assert base.phases("memory") == []
    assert set(base.losses(example, base.predict(example))) == {"l1", "adversarial"}
    assert base.without() == ["no-vgg"]
    reflected = net(padding="reflect", attention="before")
    assert not torch.equal(filled(reflected, example), filled(net(), example))


# 11, 12, 13. what it shares with others


def test_11_the_critic_stays_spectrally_normal():
    critic = edgeconnect_critic(width=8).train()
    g = torch.Generator().manual_seed(0)
    for _ in range(50):
        critic(torch.rand(1, 3, 32, 32, generator=g))
    critic.eval()
    for layer in critic.layers:
        largest = torch.linalg.matrix_norm(layer[0].weight.flatten(1), 2)
        assert largest.item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("name", ["gmsrm-table1", "gmsrm-table2"])
def test_12_the_protocols_measure_as_the_paper(name):
    """Values of section 8, case C; the metrics by themselves are in tests/test_metrics.py."""
    r, c = np.mgrid[:64, :64].astype(np.float64)
    truth = np.stack([4 * r, 4 * c, 2 * (r + c)])
    estimate = truth.copy()
    estimate[:, 16:48, 16:48] = 128
    planes = [torch.from_numpy(x / 255)[None] for x in (estimate, truth)]
    hole = torch.ones(1, 1, 64, 64, dtype=torch.bool)
    told = {
        k: m.score(*planes, hole).item() for k, m in protocols.read_protocol(name).metrics.items()
    }
    assert told == pytest.approx(
        {"psnr": 23.789749, "ssim": 0.783315, "ncc": 0.968184, "lmse": 0.01626909}, abs=1e-6
    )


@pytest.mark.parametrize(("shape", "share"), [("regular", 0.306), ("irregular", 0.527)])
def test_13_masks_of_the_training(shape, share):
    masks = registry.load_plugin("masks", "pic").model_validate({"shape": shape})
    shares = [masks.sketch(256, 256, np.random.default_rng([0, n])).mean() for n in range(600)]
    assert np.mean(shares) == pytest.approx(share, abs=0.02)


def test_13_small_pictures_have_the_masks_of_large_ones():
    kind = registry.load_plugin("masks", "pic")
    large, small = (
        kind(shape="irregular", side=256).sketch(side, side, np.random.default_rng(3))
        for side in (256, 64)
    )
    assert np.array_equal(small, large[2::4, 2::4])


@pytest.mark.parametrize(("area", "pixels"), [(0.25, 16_384), (0.5, 32_761)])
def test_13_masks_of_the_test(area, pixels):
    centre = registry.load_plugin("masks", "center")(area=area)
    assert centre.draw(256, 256, np.random.default_rng(0)).sum() == pixels


# 15. it learns


def test_15_it_learns_four_pictures_by_heart():
    torch.manual_seed(0)
    coarse = torch.rand(4, 3, 4, 4)
    image = nn.functional.interpolate(coarse, (64, 64), mode="bicubic").clamp(0, 1)
    mask = torch.zeros(4, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    tasks = task(critic=16, perceptual=0)
    plan = Stage.model_validate({"optimizer": {"lr": 1e-3, "betas": [0.5, 0.999]}})
    losses = []
    for step in walk(tasks, "fill", 50, Batch(image, mask), plan):
        losses.append(step.losses["fill/l1"].item())
        if losses[-1] < 0.3 * losses[0]:
            return
    pytest.fail(f"50 steps led from {losses[0]} to {losses[-1]}")


# 16. the first stage


def test_16_a_step_of_the_memory():
    tasks, example = task(net(strength=0), visible=1.0, drop=0.5, path_every=2), batch(64)
    before = copy.deepcopy(tasks.net.state_dict())
    average = AveragedNetwork(tasks.net, Ema(decay=0.9, warmup=False))
    first, second = steps(tasks, "memory", 2, example)
    assert set(first.losses) == {
        *("judge/logistic", "r1/r1", "generate/logistic", "generate/visible", "path/path"),
        *("generate/strength_mean", "generate/strength_most"),
    }
    assert set(second.losses) == set(first.losses) - {"r1/r1", "path/path"}
    assert all(loss.isfinite() for loss in first.losses.values())
    after = tasks.net.state_dict()
    parts = {k.partition(".")[0] for k, v in after.items() if not torch.equal(v, before[k])}
    assert parts == {"encoder", "codes", "memory"}
    assert all(torch.equal(v, before[k]) for k, v in after.items() if k.startswith("codes.1"))
    assert after["memory.steps"] == before["memory.steps"] + 2
    assert tasks.path_mean > 0
    average.update(tasks.net, 1)
    for name, own in average.net.named_parameters():
        expected = before[name] + 0.1 * (after[name] - before[name])
        torch.testing.assert_close(own, expected, atol=1e-6, rtol=1e-5)


def test_16_lazy_phases_slow_their_optimiser_down():
    tasks = task()
    (step,) = steps(tasks, "memory", 1, batch())
    assert step.rates["judge"] == pytest.approx(2e-3 * 16 / 17)
    assert step.rates["generate"] == pytest.approx(2e-3 * 4 / 5)
    groups = step.state()["optimizers"]["generate"]["param_groups"]
    assert {group["lr"] for group in groups} == {2e-3 * 4 / 5, 2e-3 * 4 / 5 * 0.1}
    assert groups[0]["betas"] == pytest.approx((0, 0.99 ** (4 / 5)))


def test_16_what_the_memory_makes():
    made, example = net(), batch(64)
    for sees in ("visible", "image"):
        out = made(*task(made, memory_sees=sees).memory_input(example), MemoryQuery())
        assert isinstance(out, MemoryImage)
        assert out.image.shape == (2, 3, 64, 64)
        assert out.codes.shape == (2, 5, 64)
    blind = made(example.visible, example.mask, MemoryQuery(keep=torch.zeros(2, 1, 1, 1)))
    assert not torch.equal(blind.image, out.image)


def test_path_length_is_the_norm_of_the_jacobian():
    """By differences, along each direction of the code at each level."""
    made = net(strength=0, levels=3).double()
    example = batch(16, 1)
    tasks = task(made, path=1.0, path_every=1)
    example = Batch(example.image.double(), example.mask.double())
    torch.manual_seed(5)
    tasks.path_losses(example, None)
    torch.manual_seed(5)
    with torch.no_grad():
        codes = made(example.visible, example.mask, MemoryQuery()).codes
        y = torch.randn(1, 3, 16, 16, dtype=torch.double) / 16
        E = [e.expand(64, -1, -1, -1) for e in made.encode_image(example.visible, example.mask)]

        def pictured(codes: Tensor) -> Tensor:
            recalled = image = None
            for n, feature in enumerate(E):
                recalled = made.recall_level(n, recalled, feature, codes[:, n])
                image = made.memory.level(n).to_rgb(recalled, codes[:, n], image)
            return (image * y).sum((1, 2, 3))

        total = torch.zeros((), dtype=torch.double)
        for n in range(3):
            step = torch.zeros(64, 3, 64, dtype=torch.double)
            step[:, n] = 1e-6 * torch.eye(64)
            slope = (pictured(codes + step) - pictured(codes - step)) / 2e-6
            total += slope.square().sum()
    assert tasks.lengths.item() == pytest.approx((total / 3).sqrt().item(), rel=1e-5)


# stages and recipes


RECIPE = """\
summary: both stages, to be cut anywhere

data: {train: {kind: files}, size: 32}
masks:
  kind: mixture
  of: [{kind: pic, shape: regular, side: 256}, {kind: pic, shape: irregular, side: 256}]
batch: 2
every: {log: 1, validate: 100, save: 1}
keep: {last: 20}
ema: {decay: 0.9}

architectures:
  gmsrm:
    model: {width: tiny}
    task: {vgg: none, critic: 8, r1_every: 2, path_every: 2}
    stages:
      memory: {steps: 2}
      fill: {steps: 2}
"""


def go(tmp_path: Path, folder: str, *changes: str, **options) -> run.TrainOutcome:
    forget_accelerator()
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    plan, source = read_recipe(path, changes)
    data = tmp_path / "photos"
    given = run.TrainOptions(data=data if data.exists() else photos(data, 6),
                        folder=tmp_path / folder, workers=0, **options)  # fmt: skip
    return run.run_training("gmsrm", plan, source, given)


def kept(tmp_path: Path, folder: str) -> dict[str, Tensor]:
    state = read_state(RunFolder(tmp_path / folder).states()[-1])
    return {f"{part}.{k}": v for part in ("task", "average") for k, v in state[part].items()}


def test_cut_at_the_border_or_beside_it_both_stages_end_alike(tmp_path):
    go(tmp_path, "run")
    folder, whole = RunFolder(tmp_path / "run"), kept(tmp_path, "run")
    border = read_state(folder.kept(2)[0])
    for name, value in border["average"].items():  # the fill begins from the average
        assert torch.equal(value, border["task"][f"net.{name}"])
        if name.startswith("memory."):  # and leaves the memory as it is
            assert torch.equal(value, whole[f"task.net.{name}"])
            assert torch.equal(value, whole[f"average.{name}"])
    for step in (1, 2, 3):
        for path in folder.states():
            if int(path.stem.split("-")[1]) > step:
                path.unlink()
        go(tmp_path, "run", resume=True)
        again = kept(tmp_path, "run")
        assert all(torch.equal(value, again[key]) for key, value in whole.items())
    model = weights.read_weights(folder.weights)
    assert model.stochastic
    assert model.net.memory.steps == 2


def test_a_fill_without_a_trained_memory_is_refused(tmp_path):
    skipped = "architectures.gmsrm.stages.memory.steps=0"
    with pytest.raises(TrainingError, match=r"inpaint train gmsrm .*memory.steps=312500"):
        go(tmp_path, "refused", skipped)
    go(tmp_path, "trained")
    init = tmp_path / "trained" / "weights.safetensors"
    assert go(tmp_path, "init", skipped, init=[str(init)]).done == 2
    # the memory alone, and an encoder that begins anew: the specification's init_from_stage1=0
    assert go(tmp_path, "memory", skipped, init=[f"memory={init}"]).done == 2
    began, after = weights.read_weights(init).net.state_dict(), kept(tmp_path, "memory")
    for key, value in began.items():
        if key.startswith(("memory.", "encoder.0.first.")):
            assert torch.equal(value, after[f"task.net.{key}"]) == key.startswith("memory."), key
    assert go(tmp_path, "base", "architectures.gmsrm.model.memory=false").done == 2


@torch.inference_mode()
def test_what_explains_it():
    example = batch(64, 1)
    captions = [told for _, told in GMSRM.explain(net(), example.visible, example.mask)]
    assert captions[:3] == ["by the memory alone", "by the memory alone", "filled"]
    assert captions[3].startswith("spread of 5 samples, up to 0.")
    assert len(GMSRM.explain(net(memory=False), example.visible, example.mask)) == 2


def test_pixels_are_signed():
    assert to_signed(torch.tensor([0, 0.5, 1])).tolist() == [-1, 0, 1]
