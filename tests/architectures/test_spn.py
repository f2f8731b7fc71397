"""SPN, SPN-P and SPL against the acceptance list of their specification, in its order."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small import SPN as SMALL_SPN
from tensors import count_parameters
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet34

from inpaint_cli.api.architectures import Batch
from inpaint_cli.cli import main
from inpaint_cli.errors import WeightsError
from inpaint_cli.layers.discriminators import edgeconnect_critic
from inpaint_cli.layers.spade import Spade
from inpaint_cli.losses.divergence import kl_divergence
from inpaint_cli.models import choose as models
from inpaint_cli.models import weights
from inpaint_cli.models.network import fill_tensors
from inpaint_cli.recipe.read import find_recipe, read_recipe
from inpaint_cli.recipe.source import RecipeSource
from inpaint_plugins.spn import SPL, SPN, SPNP
from inpaint_plugins.spn.explain import draw_clusters
from inpaint_plugins.spn.model import SemanticPriorNet, SPNOutput
from inpaint_plugins.spn.pretext import SpaceToDepth, make_pretext, make_tresnet
from inpaint_plugins.spn.regions import BasicNorm, LearnedNorm, normalise_regions
from inpaint_plugins.spn.task import (
    Prediction,
    SPNPTask,
    SPNTask,
    TargetScale,
    diversity_loss,
    weighted_perceptual_loss,
)

PLAIN = {"pretext": "none", "critic": 8}


def net(kind: type[SPN] = SPN, **model: Any) -> SemanticPriorNet:
    torch.manual_seed(0)
    return kind.build(kind.settings.model_validate(SMALL_SPN | model)).eval()  # pyright: ignore[reportReturnType]


def task(kind: type[SPN] = SPN, *, model: Any = None, **rules: Any) -> Any:
    """A task that learns, as the engine would hold it in `fill`."""
    learner = kind.task(
        net(kind, **(model or {})), kind.task.settings.model_validate(PLAIN | rules)
    )
    for phase in learner.phases("fill"):
        for module in phase.trains:
            learner.get_submodule(module).train()
    return learner


def batch(side: int = 32, n: int = 2) -> Batch:
    rng = torch.Generator().manual_seed(1)
    mask = torch.zeros(n, 1, side, side)
    mask[..., side // 4 : side // 2, side // 4 : -side // 4] = 1
    return Batch(torch.rand(n, 3, side, side, generator=rng), mask)


def drawn(net: nn.Module, example: Batch, seed: int = 0, **how: int) -> SPNOutput:
    torch.manual_seed(seed)
    with torch.inference_mode():
        return net(example.visible, example.mask, **how)


# 1, 2, 3: shapes and counts of the full networks, on the meta device


@pytest.mark.parametrize(
    ("kind", "prior", "generator"),
    [
        (SPL, 19_798_720, 25_759_439),
        (SPN, 22_564_864, 28_083_971),
        (SPNP, 40_854_528, 27_604_547),
    ],
)
def test_parameters_are_the_papers(kind: type[SPN], prior: int, generator: int):
    with torch.device("meta"):
        full: Any = kind.build(kind.settings())
    assert (count_parameters(full.prior), count_parameters(full.generator)) == (prior, generator)
    exported = {SPL: 45_558_159, SPN: 50_648_835, SPNP: 68_459_075}[kind]
    assert sum(t.numel() for t in full.state_dict().values()) == exported  # nothing else is saved
    assert exported // 10**6 == {SPL: 45, SPN: 50, SPNP: 68}[kind]  # as the paper prints them


@pytest.mark.parametrize(("blocks", "exported"), [(4, 38_845_187), (12, 62_452_483)])
def test_each_block_has_its_parameters(blocks: int, exported: int):
    with torch.device("meta"):
        assert count_parameters(SPN.build(SPN.settings(blocks=blocks))) == exported


@pytest.mark.parametrize(
    ("part", "parameters"),
    [
        ("first", 12_608),
        ("enter", 590_080),
        ("dense", 11_131_904),
        ("fuse", 1_638_912),
        ("variational.encode", 10_487_296),
        ("variational.decode", 5_901_312),
        ("coarse", 6_490_368),
    ],
)
def test_parts_of_the_prior_learner_have_theirs(part: str, parameters: int):
    with torch.device("meta"):
        full = SPNP.build(SPNP.settings())
    assert count_parameters(full.get_submodule(f"prior.{part}")) == parameters


@pytest.mark.parametrize(("kind", "heads"), [(SPL, 39_064), (SPN, 53_808), (SPNP, 53_808)])
def test_trained_parameters_are_the_papers(kind: type[SPN], heads: int):
    with torch.device("meta"):
        full = kind.build(kind.settings())
    rules = {"pretext": "random", "critic": 64} | ({"vgg": "none"} if kind is SPNP else {})
    learner: Any = kind.task(full, kind.task.settings.model_validate(rules))
    assert count_parameters(learner.heads) == heads
    trained = {SPL: 45_597_223, SPN: 50_702_643, SPNP: 68_512_883}[kind]
    assert count_parameters(full) + count_parameters(learner.heads) == trained
    assert count_parameters(learner.critic) == (2_763_841 if kind is SPNP else 2_763_776)
    assert count_parameters(learner) == trained + count_parameters(
        learner.critic
    )  # the pretext model has none


def test_shapes_at_256():
    image, mask = torch.rand(1, 3, 256, 256), torch.zeros(1, 1, 256, 256)
    out = drawn(net(SPNP), Batch(image, mask))  # of 64 channels in the paper, 8 here
    assert out.image.shape == image.shape
    assert [s.shape for s in out.priors] == [(1, 8, 256, 256), (1, 16, 128, 128), (1, 32, 64, 64)]
    assert out.mean is not None
    assert out.mean.shape == (1, 16, 8, 8)
    with torch.device("meta"):
        score, features = edgeconnect_critic(norm="instance")(torch.empty_like(image))
    assert score.shape == (1, 1, 30, 30)
    assert [f.shape[1:] for f in features[1:]] == [(128, 64, 64), (256, 32, 32), (512, 31, 31)]


def test_a_state_holds_no_pretext_model_and_no_vgg():
    learner = task(SPNP, pretext="random", vgg="random")
    assert count_parameters(learner.pretext) == 0
    held = {key.split(".")[0] for key in learner.state_dict()}
    assert held == {"net", "critic", "heads", "scales"}


# 4, 5, 6: what goes in and what comes out


@pytest.mark.parametrize("kind", [SPN, SPL])
def test_pictures_are_repeatable_and_know_nothing_of_their_neighbours(kind: type[SPN]):
    example, network = batch(), net(kind)
    out = drawn(network, example).image
    assert torch.equal(out, drawn(network, example, seed=1).image)
    alone = drawn(network, Batch(example.image[:1], example.mask[:1])).image
    torch.testing.assert_close(out[:1], alone, atol=1e-5, rtol=0)


def test_draws_differ_by_seed_alone_and_not_at_all_at_the_mean():
    example, network = batch(), net(SPNP)
    assert torch.equal(drawn(network, example).image, drawn(network, example).image)
    assert not torch.equal(drawn(network, example).image, drawn(network, example, seed=1).image)
    still = net(SPNP, z="mean")
    assert torch.equal(drawn(still, example).image, drawn(still, example, seed=1).image)


def test_two_draws_come_one_after_the_other():
    example, network = batch(), net(SPNP)
    out = drawn(network, example, samples=2)
    assert len(out.image) == 4
    assert [len(prior) for prior in out.priors] == [4] * 3
    first, second = out.image.chunk(2)
    assert not torch.equal(first, second)
    still = drawn(net(SPNP, z="mean"), example, samples=2)
    torch.testing.assert_close(*still.image.chunk(2))
    torch.testing.assert_close(still.image[:2], drawn(net(SPNP, z="mean"), example).image)


@pytest.mark.parametrize("kind", [SPN, SPL, SPNP])
@pytest.mark.parametrize("junk", [0.7, float("nan")])
def test_the_hole_is_never_seen(kind: type[SPN], junk: float):
    example, network = batch(), net(kind)
    seen = torch.where(example.mask > 0, junk, example.image)
    torch.manual_seed(3)
    with torch.inference_mode():
        out = network(seen, example.mask).image
    assert torch.equal(out, drawn(network, example, seed=3).image)
    assert out.min() >= 0
    assert out.max() <= 1
    filled = fill_tensors(network, kind.sizes(kind.settings()), example.image, example.mask)
    assert torch.equal(filled * (1 - example.mask), example.image * (1 - example.mask))


# 7: who learns from what


def gradients(learner: SPNTask, loss: Tensor) -> set[str]:
    """The parts of the task whose parameters all get a gradient that is not zero throughout."""
    learner.zero_grad()
    loss.backward()
    parts: dict[str, bool] = {}
    for name, p in learner.named_parameters():
        part = ".".join(name.split(".")[: 2 if name.startswith("net") else 1])
        parts[part] = parts.get(part, False) or bool(p.grad is not None and p.grad.any())
    return {part for part, any_ in parts.items() if any_}


def test_each_loss_teaches_whom_it_should():
    learner, example = task(pretext="random"), batch()
    everyone = learner.predict(example)
    assert gradients(learner, learner.prior_loss(example.mask, everyone)) == {"net.prior", "heads"}
    out = learner.predict(example)
    learner.zero_grad()
    learner.losses(example, out)["image"].backward()
    assert all(p.grad is not None and p.grad.any() for p in learner.net.parameters())
    assert all(p.grad is None for p in learner.heads.parameters())
    out = learner.predict(example)
    assert gradients(learner, learner.critic_losses(example, out)["bce"]) == {"critic"}


# 8 to 11: losses in numbers


def constant(learner: SPNTask, out: SPNOutput, targets: list[Tensor]) -> Prediction:
    """What the task would make of these outputs and targets, with heads that change nothing."""
    learner.heads = nn.ModuleList([nn.Identity()])
    learner.heads.forward = lambda priors: priors
    learner.scales = None
    return Prediction(out, targets)


def quarter(side: int = 32) -> Tensor:
    mask = torch.zeros(1, 1, side, side)
    mask[..., : side // 2, : side // 2] = 1
    return mask


@pytest.mark.parametrize(("delta", "pixels"), [(2, 1.5), (4, 2.0)])
def test_prior_and_pixel_losses_in_numbers(delta: float, pixels: float):
    learner = task(pretext="random", delta=delta, adversarial=0)
    levels = [torch.zeros(1, 4, side, side) for side in (32, 16, 8)]
    out = SPNOutput(torch.ones(1, 3, 32, 32), levels, None, None)
    found = constant(learner, out, [torch.ones_like(level) for level in levels])
    terms = learner.losses(Batch(torch.zeros(1, 3, 32, 32), quarter()), found)
    assert terms["prior"].item() == pytest.approx(5.25)
    assert terms["image"].item() == pytest.approx(10 * pixels)
    assert [terms[f"target_{level}"].item() for level in (1, 2, 3)] == [1, 1, 1]


class Says(nn.Module):
    """A critic that gives one score to batches that are all ones and another to the rest."""

    def __init__(self, real: float, fake: float) -> None:
        super().__init__()
        self.real, self.fake = real, fake

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        said = self.real if bool((image == 1).all()) else self.fake
        features = [image.mean() * torch.ones(len(image), 2, 1, 1) for _ in range(4)]
        return torch.full((len(image), 1, 3, 3), said), features


def test_all_of_the_deterministic_loss_in_numbers():
    learner = task(pretext="random")
    learner.critic = Says(0.0, 0.0)  # the sigmoid of 0 is 1/2
    levels = [torch.ones(1, 4, side, side) for side in (32, 16, 8)]
    out = SPNOutput(torch.zeros(1, 3, 32, 32), levels, None, None)
    found = constant(learner, out, [torch.zeros_like(level) for level in levels])
    example = Batch(torch.ones(1, 3, 32, 32), quarter())
    total = sum(term.item() for term in learner.losses(example, found).values())
    assert total == pytest.approx(5.25 + 15 + math.log(2), abs=1e-4)
    assert learner.critic_losses(example, found)["bce"].item() == pytest.approx(math.log(2))


def test_hinge_in_numbers():
    learner = task(SPNP, vgg="none")
    learner.critic = Says(0.5, -0.2)
    example = Batch(torch.ones(1, 3, 32, 32), quarter())
    z = torch.zeros(1, 2, 4, 4)
    found = Prediction(SPNOutput(torch.zeros(2, 3, 32, 32), [], z, torch.ones_like(z)), [])
    assert learner.critic_losses(example, found)["hinge"].item() == pytest.approx(0.65)
    terms = learner.losses(example, found)
    assert terms["adversarial"].item() == pytest.approx(0.2)
    assert terms["feature_matching"].item() == pytest.approx(10)
    assert terms["kl"].item() == 0
    assert terms["image"].item() == pytest.approx(15)


@pytest.mark.parametrize(
    ("mean", "deviation", "code", "paper"),
    [(0, 1, 0, 0), (1, 1, 0.5, 0.5), (0, 2, 0.3181, 0.8069)],
)
def test_kl_in_both_directions(mean: float, deviation: float, code: float, paper: float):
    learner = task(SPNP, vgg="none", kl=1)
    example = batch()
    for direction, expected in (("p_q", code), ("q_p", paper)):
        learner.config = learner.config.model_copy(update={"kl_direction": direction})
        z = torch.full((1, 2, 4, 4), float(mean))
        out = SPNOutput(torch.cat([example.image] * 2), [], z, torch.full_like(z, deviation))
        found = learner.losses(example, Prediction(out, []))["kl"].item()
        assert found == pytest.approx(expected, abs=1e-4)
    assert F.softplus(torch.zeros(())).item() == pytest.approx(0.6931, abs=1e-4)
    assert kl_divergence(torch.zeros(()), torch.zeros(())).item() == 0


def test_perceptual_and_diversity_in_numbers():
    sides = (32, 16, 8, 4, 2)
    ones = [torch.ones(1, 2, side, side) for side in sides]
    zeros = [torch.zeros_like(one) for one in ones]
    assert weighted_perceptual_loss(ones, zeros, form="code").item() == pytest.approx(1.46875)
    assert weighted_perceptual_loss(ones, zeros, form="paper").item() == pytest.approx(1)
    half = [torch.cat([0.5 * one, zero]) for one, zero in zip(ones, zeros, strict=True)]
    everywhere, same = torch.ones(1, 1, 32, 32), [torch.cat([one, one]) for one in ones]
    assert diversity_loss(half, everywhere, form="code").item() == pytest.approx(0.4, abs=1e-4)
    assert diversity_loss(half, everywhere, form="paper").item() == pytest.approx(2, abs=1e-4)
    assert diversity_loss(same, everywhere, form="code").item() == pytest.approx(1e5)
    assert diversity_loss(half, quarter(), form="code").item() == pytest.approx(0.4, abs=1e-4)
    assert diversity_loss(half, quarter(), form="paper").item() == pytest.approx(8, abs=1e-3)


@pytest.mark.parametrize("form", ["code", "paper"])
def test_diversity_without_a_hole_at_a_level_or_at_all(form: Any):
    sides = (32, 16, 8, 4, 2)
    filled = [torch.rand(2, 2, side, side, requires_grad=True) for side in sides]
    dot = torch.zeros(1, 1, 32, 32)
    dot[..., 1, 1] = 1  # lost at half the size
    for mask in (dot, torch.zeros_like(dot)):
        loss = diversity_loss(filled, mask, form=form)
        loss.backward()
        assert loss.isfinite()
        assert all(f.grad is not None and f.grad.isfinite().all() for f in filled)
    assert loss.item() == 0


# 12, 13: norms and masks


@settings(max_examples=30, deadline=None)
@given(st.floats(-5, 5), st.floats(0.5, 4), st.integers(0, 2**16))
def test_each_region_comes_out_normal(mean: float, deviation: float, seed: int):
    rng = torch.Generator().manual_seed(seed)
    x = mean + deviation * torch.randn(2, 3, 16, 12, generator=rng)
    region = (torch.rand(2, 1, 16, 12, generator=rng) < 0.3).float()
    out = normalise_regions(x, region)
    for n in range(2):
        for part in (region[n, 0] > 0, region[n, 0] == 0):
            values = out[n][:, part]
            assert values.mean(1).abs().max() < 1e-3
            assert (values.std(1, unbiased=False) - 1).abs().max() < 1e-3


@pytest.mark.parametrize("share", [0, 0.01, 0.4, 1])
def test_region_norm_is_instance_norm_of_each_region_filled_with_its_mean(share: float):
    x = torch.randn(2, 4, 12, 16)
    region = (torch.rand(2, 1, 12, 16) < share).float()
    expected = torch.zeros_like(x)
    for part in (region, 1 - region):
        elements = part.sum((2, 3), keepdim=True)
        elements = torch.where(elements == 0, 1, elements)
        mean = (x * part).sum((2, 3), keepdim=True) / elements
        whole = F.instance_norm(x * part + mean * (1 - part), eps=1e-5)
        expected += whole * (elements / 192).sqrt()
    torch.testing.assert_close(normalise_regions(x, region), expected, atol=1e-4, rtol=1e-3)


def test_both_shifts_count_everywhere():
    x, mask = torch.randn(1, 4, 8, 8), quarter(16)
    norm = BasicNorm(4)
    before = norm(x, mask)
    torch.testing.assert_close(before, normalise_regions(x, quarter(8)))
    with torch.no_grad():
        norm.shift[:, 0] = 1
    torch.testing.assert_close(norm(x, mask), before + 1)
    with torch.no_grad():
        norm.scale[:, 0] = 1
    torch.testing.assert_close(norm(x, mask), before * (1 + quarter(8)) + 1)


def test_norms_have_their_parameters_and_learn():
    norm = LearnedNorm()
    assert count_parameters(norm) == 198
    norm(torch.randn(1, 5, 8, 8)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in norm.parameters())
    assert count_parameters(BasicNorm(64)) == 256


def test_spade_of_zeros_is_instance_norm():
    spade = Spade(6, 4, hidden=8)
    for p in spade.parameters():
        nn.init.zeros_(p)
    x = torch.randn(2, 6, 8, 8)
    torch.testing.assert_close(spade(x, torch.randn(2, 4, 4, 4)), F.instance_norm(x))


def test_masks_and_inputs_are_resized_by_repetition():
    mask = (torch.rand(1, 1, 32, 24) < 0.5).float()
    assert torch.equal(F.interpolate(mask, (8, 6)), mask[..., ::4, ::4])
    doubled = mask.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(F.interpolate(mask, scale_factor=2), doubled)


@pytest.mark.parametrize("kind", [SPN, SPL, SPNP])
def test_without_gradients_it_computes_the_same(kind: type[SPN]):
    example, network = batch(), net(kind)
    torch.manual_seed(0)
    learning = network(example.visible, example.mask).image
    torch.testing.assert_close(drawn(network, example).image, learning, atol=1e-5, rtol=0)


# 14, 15: metrics and protocols are the engine's; here they meet a network that draws


def test_five_draws_differ_in_the_hole_only_and_by_the_seed(tmp_path: Path):
    photos, masks = tmp_path / "photos", tmp_path / "masks"
    for folder in (photos, masks):
        folder.mkdir()
    rng = np.random.default_rng(0)
    for name in "ab":
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(photos / f"{name}.png")
        hole = np.zeros((64, 64), np.uint8)
        hole[8:40, 8:40] = 255
        Image.fromarray(hole).save(masks / f"{name}.png")
    path = tmp_path / "p.safetensors"
    weights.write_weights(path, "spn-p", SPNP.settings.model_validate(SMALL_SPN), net(SPNP))
    five = [
        f"fill {photos / 'a.png'} --mask {masks / 'a.png'} --weights {path} -n 5 --seed {seed}"
        f" -o {tmp_path / name}.png"
        for seed, name in ((1, "x"), (1, "y"), (2, "z"))
    ]
    pictures = []
    for args in five:
        result = CliRunner().invoke(main, args.split(), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        pictures.append([pixels(name) for name in result.stdout.split()])
    x, y, z = pictures
    assert len(x) == 5
    hole = pixels(masks / "a.png") > 0
    for one in range(5):
        assert np.array_equal(x[one], y[one])
        assert not np.array_equal(x[one], z[one])
        for other in range(one):
            assert (x[one] != x[other])[hole].any()
            assert np.array_equal(x[one][~hole], x[other][~hole])


def pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


# 16: sizes


@pytest.mark.parametrize(
    ("kind", "size"),
    [(SPN, (12, 12)), (SPN, (64, 96)), (SPL, (12, 16)), (SPNP, (32, 32)), (SPNP, (64, 96))],
)
def test_sizes_that_fit_pass(kind: type[SPN], size: tuple[int, int]):
    sizes = kind.sizes(kind.settings())
    assert sizes.fit(*size) == size
    visible, mask = torch.rand(1, 3, *size), torch.zeros(1, 1, *size)
    mask[..., 4:8, 4:8] = 1
    out = drawn(net(kind), Batch(visible, mask))
    assert out.image.shape == visible.shape
    assert out.image.isfinite().all()


@pytest.mark.parametrize("kind", [SPN, SPL, SPNP])
@pytest.mark.parametrize("size", [(66, 68), (5, 31)])
def test_other_sizes_are_padded_never_shrunk(kind: type[SPN], size: tuple[int, int]):
    fit = kind.sizes(kind.settings()).fit(*size)
    assert fit >= size
    image, mask = torch.rand(1, 3, *size), torch.zeros(1, 1, *size)
    mask[..., 1:4, 1:4] = 1
    assert fill_tensors(net(kind), kind.sizes(kind.settings()), image, mask).shape == image.shape


# 17 and section 6: pretext models


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch):
    """Random weights in place of torchvision's published ones."""
    torch.manual_seed(0)
    state = resnet34(weights=None).state_dict()
    monkeypatch.setattr("inpaint_plugins.spn.pretext.load_backbone", lambda name, stand_in: state)


def test_priors_come_nearer_to_the_features_of_a_resnet(published: None):
    features = make_pretext("resnet34")
    assert features is not None
    shapes = [t.shape[1:] for t in features(torch.rand(1, 3, 64, 64))]
    assert shapes == [(64, 32, 32), (64, 16, 16), (128, 8, 8)]
    with torch.device("meta"):
        full = SPN.build(SPN.settings())
    assert count_parameters(SPNTask(full, SPNTask.settings()).heads) == 45_312  # pyright: ignore
    learner, example = task(pretext="resnet34"), batch()
    assert learner.without() == ["resnet34-pretext"]
    modules = [*learner.net.prior.parameters(), *learner.heads.parameters()]
    optimizer, losses = torch.optim.Adam(modules, lr=3e-3), []
    for _ in range(20):
        loss = learner.prior_loss(example.mask, learner.predict(example))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_the_resnet_sees_imagenets_normalisation(published: None):
    features = make_pretext("resnet34")
    assert features is not None
    image = torch.rand(1, 3, 32, 32)
    mean, std = (
        torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    stem = features.stages[0]
    torch.testing.assert_close(features(image)[0], stem((image - mean) / std))
    assert not features.train().training


def test_tresnet_has_its_parameters_and_shapes():
    features = make_tresnet("random", None)
    kept = ("running_mean", "running_var", "num_batches_tracked", "kernel")
    own = [b.numel() for k, b in features.stages.named_buffers() if not k.endswith(kept)]
    assert sum(own) == 2_578_192
    shapes = [t.shape for t in features(torch.rand(1, 3, 64, 96))]
    assert shapes == [(1, 76, 16, 24), (1, 76, 16, 24), (1, 152, 8, 12)]


def test_space_to_depth_has_the_order_of_the_published_weights():
    x = torch.rand(1, 3, 8, 8)
    out = SpaceToDepth()(x)
    for c, dy, dx in ((0, 0, 0), (2, 1, 3), (1, 3, 0)):
        assert torch.equal(out[0, (dy * 4 + dx) * 3 + c], x[0, c, dy::4, dx::4])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file as TResNet-L's authors publish theirs: all layers, norms with negative scales."""
    stages = make_tresnet("random", None).stages
    theirs: dict[str, Tensor] = {"head.fc.weight": torch.rand(2, 2)}
    for place, name in enumerate(("conv1", "layer1", "layer2")):
        for key, tensor in stages[place].named_buffers():
            inner = key.partition(".")[2] if place == 0 else key  # of the stem, behind its shuffle
            if not key.endswith(("kernel", "num_batches_tracked")):
                theirs[f"body.{name}.{inner}"] = tensor.clone()
    theirs["body.conv1.1.weight"] = torch.linspace(-1, 1, 76)
    path = tmp_path / "tresnet_l.pth"
    torch.save({"model": theirs}, path)
    return path


def test_tresnet_is_read_whole_and_its_scales_made_positive(file: Path):
    features = make_pretext("tresnet_l", file)
    assert features is not None
    loaded = dict(features.stages.named_buffers())
    torch.testing.assert_close(loaded["0.1.1.weight"], torch.linspace(-1, 1, 76).abs() + 1e-5)
    torch.testing.assert_close(loaded["1.0.conv1.1.weight"], torch.full((76,), 1 + 1e-5))
    assert task(pretext="tresnet_l", pretext_file=file).without() == []
    assert task(pretext="tresnet_l", pretext_file=file).scales is None  # targets as they are


@pytest.mark.parametrize("key", ["layer2.0.downsample.1.0.weight", "layer1.3.se.fc2.bias"])
def test_a_tresnet_that_lacks_a_tensor_is_refused_by_name(file: Path, key: str):
    theirs = torch.load(file, weights_only=True)
    del theirs["model"][f"body.{key}"]
    torch.save(theirs, file)
    with pytest.raises(WeightsError, match=f"has no tensor '{key}'"):
        make_pretext("tresnet_l", file)


def test_pretext_models_that_are_not_there_are_refused(file: Path, tmp_path: Path):
    with pytest.raises(WeightsError, match=r"set task\.pretext_file"):
        make_pretext("tresnet_l")
    with pytest.raises(WeightsError, match="there is no"):
        make_pretext("tresnet_l", tmp_path / "x.pth")
    file.write_bytes(b"no checkpoint")
    with pytest.raises(WeightsError, match="cannot be read safely"):
        make_pretext("tresnet_l", file)
    with pytest.raises(WeightsError, match="resnet34 needs"):
        make_pretext("resnet34")


def test_targets_are_standardised_by_the_images_seen_first():
    scale, x = TargetScale(3), 5 + 2 * torch.randn(128, 3, 8, 8)
    out = scale(x)
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(out.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-4, rtol=0)
    scale.count_images(scale.sum_moments(x))
    scale.count_images(scale.sum_moments(x))
    held = scale.seen.clone()
    assert held[-1] == 256
    scale.count_images(scale.sum_moments(x + 1))
    assert torch.equal(held, scale.seen)
    torch.testing.assert_close(scale(x + 2) - scale(x), torch.ones_like(x), atol=0.05, rtol=0)


# Ablations, stages, names


def test_without_distillation_it_learns_without_heads():
    for rules in ({"pretext": "none"}, {"prior": 0}):
        learner, example = task(**rules), batch()
        assert learner.without() == ["no-pretext"]
        assert set(learner.losses(example, learner.predict(example))) == {"image", "adversarial"}
        assert [list(p.trains) for p in learner.phases("fill")] == [["critic"], ["net"]]


def test_finish_goes_without_the_priors():
    learner, example = task(pretext="random"), batch()
    assert [list(p.trains) for p in learner.phases("fill")] == [["critic"], ["net", "heads"]]
    assert [list(p.trains) for p in learner.phases("finish")] == [["critic"], ["net"]]
    assert "prior" in learner.losses(example, learner.predict(example))
    learner.stage = "finish"
    assert "prior" not in learner.losses(example, learner.predict(example))


@pytest.mark.parametrize("kind", [SPN, SPNP])
@pytest.mark.parametrize("model", [{"pyramid": False}, {"pyramid": 2}, {"spade": False}])
def test_without_pyramid_or_spade_it_fills_and_learns(kind: type[SPN], model: dict[str, Any]):
    extra = {"vgg": "none"} if kind is SPNP else {}
    learner, example = task(kind, model=model, pretext="random", **extra), batch()
    out = learner.predict(example)
    assert len(out.net.priors) == {True: 3, 2: 2, False: 1}[model.get("pyramid", True)]
    has_spade = any(isinstance(m, Spade) for m in learner.net.modules())
    assert has_spade == model.get("spade", True)
    sum(learner.losses(example, out).values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learner.net.parameters())


def test_without_vgg_the_run_says_so():
    learner, example = task(SPNP, vgg="none"), batch()
    assert learner.without() == ["no-pretext", "no-vgg"]
    terms = learner.losses(example, learner.predict(example))
    assert set(terms) == {"image", "adversarial", "feature_matching", "kl"}


def test_schedules_are_the_authors():
    plan = SPNTask.plan
    assert [stage.steps for stage in plan.values()] == [60 * 1862, 15 * 1862]
    rate = plan["fill"].optimizer.rate
    assert rate(50 * 1862 - 1, 60 * 1862) == 1e-4
    assert rate(50 * 1862, 60 * 1862) == pytest.approx(1e-5)
    assert plan["finish"].optimizer.rate(0, 1) == 1e-5
    assert [stage.steps for stage in SPNPTask.plan.values()] == [60 * 3375, 10 * 3375]


@pytest.mark.parametrize(
    "name", ["paris-streetview", "celeba", "celebahq", "places2", "faces-small"]
)
def test_recipes_hold_settings_that_the_classes_take(name: str):
    recipe, _ = read_recipe(find_recipe(name))
    source = RecipeSource(find_recipe(name))
    for kind, key in ((SPN, "spn"), (SPNP, "spn-p"), (SPL, "spl")):
        section = recipe.architectures[key]
        source.check(kind.settings, section.model)
        source.check(kind.task.settings, section.task)
        assert section.stages.keys() <= kind.task.plan.keys()


def test_weights_of_spl_are_refused_as_those_of_spn(tmp_path: Path):
    path = tmp_path / "x.safetensors"
    weights.write_weights(path, "spl", SPL.settings.model_validate(SMALL_SPN), net(SPL))
    with pytest.raises(WeightsError, match="holds weights for 'spl', not for 'spn'"):
        models.load_model(models.ModelRef("spn", str(path)))


def test_clusters_tell_places_apart_in_the_same_colours_each_time():
    features = torch.zeros(4, 24, 32)
    features[:, :, 20:] = 3
    features += 0.01 * torch.randn(4, 24, 32, generator=torch.Generator().manual_seed(0))
    picture = draw_clusters(features, count=2)
    assert picture.shape == (24, 32, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 2
    assert (picture[:, :20] == [0, 0, 128]).all()  # the larger is the bluest
    assert np.array_equal(picture, draw_clusters(features, count=2))


def test_explain_shows_the_pyramid(tmp_path: Path):
    Image.fromarray(np.full((40, 64, 3), 128, np.uint8)).save(tmp_path / "photo.png")
    path = tmp_path / "x.safetensors"
    weights.write_weights(path, "spn", SPN.settings.model_validate(SMALL_SPN), net(SPN))
    args = ["explain", str(tmp_path / "photo.png"), "--region", "8,8,20,16"]
    result = CliRunner().invoke(main, [*args, "--weights", str(path)])
    assert result.exit_code == 0, result.output
    with Image.open(result.stdout.strip()) as page:
        assert page.width > 5 * 256  # photo, three levels, fill
    refused = CliRunner().invoke(main, [*args, "--model", "telea", "--overwrite"])
    assert refused.exit_code == 1
    assert "has no pictures of how it fills" in refused.stderr


# Teachers of the paper's studies


def test_edges_may_be_what_the_priors_learn():
    learner, example = task(pretext="edges"), batch()
    assert learner.without() == ["edges-pretext"]
    white = torch.zeros(1, 3, 64, 64)
    white[..., 32:] = 1
    fine, middle, coarse = learner.pretext(white)
    assert [m.shape[-1] for m in (fine, middle, coarse)] == [32, 16, 8]
    assert fine[..., :12].max() == 0 < fine[..., 14:18].max()
    assert "prior" in learner.losses(example, learner.predict(example))


def test_the_priors_of_a_trained_network_may_be_what_the_priors_learn(tmp_path):
    known, example = net(SPN), batch()
    file = tmp_path / "w.safetensors"
    weights.write_weights(file, "spn", known.settings, known)
    learner = task(SPL, pretext="spn", pretext_file=file)
    large = torch.nn.functional.interpolate(example.image, scale_factor=2)
    expected, _, _ = known.prior(example.image, torch.zeros_like(example.mask))
    for a, b in zip(learner.pretext(large), expected, strict=True):
        torch.testing.assert_close(a, b)
    assert "prior" in learner.losses(example, learner.predict(example))
    with pytest.raises(WeightsError, match=r"task\.pretext_file"):
        task(pretext="spn")
    other = tmp_path / "x.safetensors"
    weights.write_weights(other, "spl", net(SPL).settings, net(SPL))
    with pytest.raises(WeightsError, match="has no weights of an SPN with three levels"):
        task(pretext="spn", pretext_file=other)
