"""MDRNets against their specification; `11.n` names the item of its checklist.

Partial convolution (11.1 to 11.4) is tested in tests/layers/test_partial.py and test_pconv.py.
"""

import copy
import json
import math
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerators import forget_accelerator
from PIL import Image
from places import SHARED
from small import PARSED, SMALL
from tensors import count_parameters
from torch import Tensor, nn
from torchvision.models import resnet18
from twins import run_two

from inpaint_cli import registry
from inpaint_cli.api.architectures import Batch
from inpaint_cli.api.stages import Optimizer, Schedule, Stage, overlay_settings
from inpaint_cli.datasets.collection import Collection
from inpaint_cli.errors import DataError, InpaintError, TrainingError, WeightsError
from inpaint_cli.evaluation import protocols
from inpaint_cli.evaluation import samples as cases
from inpaint_cli.layers.discriminators import edgeconnect_critic
from inpaint_cli.layers.partial_unet import PartialUNet
from inpaint_cli.models import weights
from inpaint_cli.models.choose import load_model
from inpaint_cli.models.network import fill_tensors
from inpaint_cli.recipe import read as recipe
from inpaint_cli.training import run
from inpaint_cli.training.loop import start_stage, train_stages
from inpaint_cli.training.train import train
from inpaint_plugins.mdrnets import MDRNets
from inpaint_plugins.mdrnets import memory as memories
from inpaint_plugins.mdrnets.memory import RegionMemory, pool_regions, spread_to_cells
from inpaint_plugins.mdrnets.model import (
    MOST_PATCHES,
    Correlation,
    MDRNet,
    mirror_to_multiple,
    shrink_hole,
    shrink_regions,
)
from inpaint_plugins.mdrnets.recon import Reconstruction, inco2_loss
from inpaint_plugins.mdrnets.regions import (
    CLASS_ORDERS,
    REGION_COUNT,
    AuxiliaryHeads,
    BiSeNet,
    FaceTemplate,
    ohem_loss,
    region_lookup,
    region_names,
)
from inpaint_plugins.mdrnets.settings import MDRNetSettings, MDRNetsTaskSettings
from inpaint_plugins.mdrnets.task import MDRNetsTask, draw_crops, mean_entropy, sample_grid

HOUSE = protocols.read_protocol("house").protocol
BISENET = {"parser": "bisenet", "parser_width": 4, "parser_size": 64}


def settings(**changes) -> MDRNetSettings:
    return MDRNetSettings.model_validate({**SMALL["mdrnets"]["model"], **changes})


def built(**changes) -> MDRNet:
    torch.manual_seed(0)
    return MDRNet(settings(**changes))


def made(rules: dict | None = None, *, ready: bool = True, **changes) -> MDRNetsTask:
    """A task that takes its first networks for trained, unless it is not `ready`."""
    torch.manual_seed(0)
    given = MDRNetsTaskSettings.model_validate({**SMALL["mdrnets"]["task"], **(rules or {})})
    task = MDRNetsTask(MDRNet(settings(**changes)), given)
    task.start()
    task.ready = ready
    return task


def example(side: int = 32, n: int = 2, seed: int = 1) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    image = nn.functional.interpolate(torch.rand(n, 3, 4, 4, generator=rng), (side, side))
    mask = torch.zeros(n, 1, side, side)
    mask[..., side // 4 : side // 2 + 3, side // 4 : -side // 4] = 1
    return Batch(image, mask, image.argmax(1))


def accelerator(parts: int = 1) -> Accelerator:
    forget_accelerator()
    return Accelerator(cpu=True, gradient_accumulation_steps=parts)


def batches(name: str, first: int) -> Iterator[Batch]:
    n = first
    while True:
        yield example(seed=n)
        n += 1


def steps(task: MDRNetsTask, of: int = 1, only: str | None = None, **optimizer):
    """A plan of `of` steps a stage."""
    changed = Stage(steps=of, optimizer=Optimizer(**optimizer))
    none = Stage(steps=0)
    return {
        k: overlay_settings(s, changed if task.phases(k) and only in (None, k) else none)
        for k, s in task.plan.items()
    }


# ---------------------------------------------------------------- sizes (11.16)


def test_parameters_are_those_of_the_tables():
    with torch.device("meta"):
        net = MDRNet(MDRNetSettings())
        nineteen = BiSeNet(19, "A")
        recon, critic = Reconstruction(), edgeconnect_critic()
        heads = [AuxiliaryHeads(n, 64) for n in (14, 19)]
    assert count_parameters(net) == 59_315_159
    assert count_parameters(net.coarse) == 25_779_860
    assert count_parameters(net.style) == 978_496
    assert count_parameters(net.correlation) == 32_896
    assert count_parameters(net.refinement) == 19_374_915
    assert (
        sum(count_parameters(net.get_submodule(part)) for part in net.parts_to_refine())
        == 20_386_307
    )
    assert count_parameters(heads[0]) == 149_504
    assert count_parameters(net.parser) + count_parameters(heads[0]) == 13_298_496
    assert count_parameters(nineteen) + count_parameters(heads[1]) == 13_300_416
    assert (count_parameters(recon), count_parameters(recon.encoder)) == (6_050_819, 3_025_536)
    assert count_parameters(critic) == 2_763_776
    assert net.memory.entries.numel() == 35_840
    table = [12_928, 147_712, 295_168, 590_336, *[2_360_320] * 4]
    assert [count_parameters(layer) for layer in net.refinement.encoder] == table
    assert [count_parameters(block) for block in net.refinement.blocks] == [
        2_950_912,
        2_950_912,
        2_836_352,
    ]
    assert (count_parameters(net.refinement.last), count_parameters(net.refinement.image)) == (
        147_584,
        1_731,
    )


# ---------------------------------------------------------------- regions (11.6)


def loops(features: Tensor, regions: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    n, channels, height, width = features.shape
    sums, cells = torch.zeros(n, REGION_COUNT, channels), torch.zeros(n, REGION_COUNT)
    for b in range(n):
        for y in range(height):
            for x in range(width):
                if weight[b, 0, y, x]:
                    sums[b, regions[b, y, x]] += features[b, :, y, x]
                    cells[b, regions[b, y, x]] += 1
    return sums / cells.clamp(min=1)[..., None], cells


def test_pooling_is_a_mean_by_region():
    torch.manual_seed(0)
    features = torch.randn(2, 5, 6, 7, requires_grad=True)
    regions = torch.randint(0, 5, (2, 6, 7))
    weight = (torch.rand(2, 1, 6, 7) > 0.4).float()
    means, cells = pool_regions(features, regions, weight, REGION_COUNT)
    expected, number = loops(features.detach(), regions, weight)
    assert torch.allclose(means, expected, atol=1e-6)
    assert torch.equal(cells, number)
    assert not means[:, 5:].any()
    assert not cells[:, 5:].any()
    means.sum().backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()


@pytest.mark.parametrize("merge", ["A", "B"])
def test_19_classes_become_14_regions_by_name(merge):
    for order in ("bisenet", "celebamask-hq"):
        assert set(region_lookup(order, merge).tolist()) == set(range(14))
        for number, name in enumerate(CLASS_ORDERS[order]):
            region = region_names(merge)[region_lookup(order, merge)[number]]
            word = name.removeprefix("left ").removeprefix("right ")
            joined = {"upper lip", "lower lip"} if merge == "A" else {"earring", "necklace"}
            assert (region == word) != (word in joined)
    assert [region_names(merge)[n] for n in region_lookup("fasseg", merge)] == [
        *("background", "skin", "hair", "eye", "nose", "mouth")
    ]


def test_19_logits_are_merged_by_probability():
    torch.manual_seed(0)
    parser = BiSeNet(19, "A", size=32, width=2).eval()
    image = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        each = parser(image)[0].softmax(1)
        merged = torch.zeros(1, 14, *each.shape[-2:]).index_add(
            1, region_lookup("bisenet", "A"), each
        )
        full = nn.functional.interpolate(merged.log(), (8, 8), mode="bilinear", align_corners=True)
        ours = parser.region_logits(image)
    difference = ours - full  # up to what softmax takes off every region alike
    assert (difference - difference.mean(1, keepdim=True)).abs().max() < 1e-3


def test_the_template_is_a_face():
    regions = FaceTemplate("A").parse_regions(torch.zeros(2, 3, 64, 64))
    assert torch.equal(regions[0], regions[1])
    at = {"nose": (38, 32), "eye": (30, 24), "mouth": (48, 32), "hair": (4, 32), "skin": (44, 20)}
    for name, (y, x) in at.items():
        assert region_names("A")[regions[0, y, x]] == name
    assert torch.equal(regions[0], regions[0].flip(1))
    missing = {region_names("A")[n] for n in set(range(14)) - set(regions.unique().tolist())}
    assert missing == {"glasses", "earring", "necklace", "hat"}


@pytest.mark.parametrize("parser", [{}, BISENET])
@pytest.mark.parametrize("size", [(300, 300), (301, 230), (50, 70)])
def test_regions_lie_where_the_photo_has_them(parser, size):
    """However far the photo is continued to a size that the U-Net takes, which here is 128."""
    net = built(levels=7, **parser).eval()
    seen, regions = [], net.parser.parse_regions
    net.parser.parse_regions = lambda image: (seen.append(image.shape[-2:]), regions(image))[1]
    traces = []
    net.register_forward_hook(lambda *given: traces.append(given[-1]))
    for height, width in ((256, 256), size):
        mask = torch.zeros(1, 1, height, width)
        mask[..., : height // 2, : width // 2] = 1
        out = fill_tensors(net, MDRNets.sizes(net.settings), torch.rand(1, 3, height, width), mask)
        assert out.shape[-2:] == (height, width)
    assert seen == [(256, 256), size]
    square, other = (trace.regions for trace in traces)
    assert other.shape[-2:] == tuple(-(-side // 4) for side in size)
    if parser:
        return
    y, x = (other[0] == region_names("A").index("nose")).nonzero().float().mean(0)
    step = 4 / torch.tensor(size)
    assert (y + 1 / 8) * step[0] == pytest.approx(0.6, abs=float(step[0]) / 2)
    assert (x + 1 / 8) * step[1] == pytest.approx(0.5, abs=float(step[1]) / 2)
    at = [(torch.arange(n) * s * 64).long() for n, s in zip(other.shape[1:], step, strict=True)]
    assert (square[0][at[0]][:, at[1]] == other[0]).float().mean() > 0.9


def test_a_picture_is_continued_by_its_mirror():
    image = torch.rand(2, 3, 13, 10)
    padded = nn.functional.pad(image, (0, 6, 0, 3), mode="reflect")
    assert torch.equal(mirror_to_multiple(image, 16), padded)
    assert torch.equal(mirror_to_multiple(image[..., :8, :8], 8), image[..., :8, :8])
    assert mirror_to_multiple(torch.arange(3).view(1, 1, 3), 8)[0, 0].tolist() == [
        0,
        1,
        2,
        1,
        0,
        1,
        2,
        1,
    ]
    assert torch.equal(
        mirror_to_multiple(image[..., :1, :1], 4), image[..., :1, :1].expand(-1, -1, 4, 4)
    )


def test_a_parser_of_the_wrong_class_count_is_refused(tmp_path):
    torch.manual_seed(0)
    nineteen = BiSeNet(19, "A", width=4)
    torch.save(nineteen.state_dict() | {"conv_out16.x": torch.zeros(1)}, tmp_path / "public.pth")
    rules = {"parser_weights": tmp_path / "public.pth"}
    with pytest.raises(WeightsError, match="has 19 classes, but the parser has 14"):
        made(rules, **BISENET)
    task = made(rules, **BISENET, classes=19)
    assert torch.equal(task.net.parser.conv_out.conv_out.weight, nineteen.conv_out.conv_out.weight)
    assert not task.phases("parser")
    with pytest.raises(WeightsError, match=r"147 more .* set model\.parser_width"):
        made(rules, **BISENET | {"parser_width": 8}, classes=19)
    (tmp_path / "junk.pth").write_bytes(b"junk")
    with pytest.raises(WeightsError, match="cannot be read safely"):
        made({"parser_weights": tmp_path / "junk.pth"}, **BISENET)


def test_a_run_goes_on_without_the_file_of_its_parser(tmp_path):
    parser = BiSeNet(14, "A", width=8)
    parser(torch.rand(2, 3, 64, 64))  # its batch norms have seen something
    torch.save(parser.state_dict(), tmp_path / "public.pth")
    for n in range(4):
        Image.new("RGB", (64, 64), (60 * n, 90, 120)).save(tmp_path / f"{n}.png")
    section = {**SMALL["mdrnets"], "model": PARSED}
    section["task"] = section["task"] | {"parser_weights": str(tmp_path / "public.pth")}
    changes = [f"architectures.mdrnets={section}", "data.size=64", "batch=2"]
    own = (tmp_path, tmp_path / "run")
    shared = {"data": own[0], "run": own[1], "workers": 0}
    train("mdrnets", "smoke", set=[*changes, "steps=1"], **shared)
    (tmp_path / "public.pth").unlink()
    longer = [*changes, "steps=2"]
    done = train("mdrnets", "smoke", set=longer, resume=True, allow_changes=True, **shared)
    trained = weights.read_weights(done.weights).net.parser
    assert torch.equal(trained.conv_out.conv_out.weight, parser.conv_out.conv_out.weight)
    header = json.loads(weights.inspect_weights(done.weights).header["upstream"])
    assert header[0]["file"] == "public.pth"
    with pytest.raises(WeightsError, match=r"no .*public\.pth; correct task\.parser_weights"):
        train("mdrnets", "smoke", set=longer, **shared | {"run": tmp_path / "other"})


def test_the_parser_learns_from_crops_of_scaled_pictures():
    """448 of 512 pixels of a picture times 0.75 to 2; its label map is cropped alike."""
    torch.manual_seed(0)
    at = (torch.arange(64) + 0.5) / 64
    image = torch.stack([at.expand(64, 64), at[:, None].expand(64, 64)]).expand(500, -1, -1, -1)
    grid = draw_crops(image)
    near = sample_grid(image, grid, "bilinear")  # which says where it was: x, y
    numbers = sample_grid((8 * image).floor(), grid, "nearest")
    assert ((8 * near).floor() == numbers).float().mean() > 0.95  # but for the borders
    low, high = near[..., 0, 0], near[..., -1, -1]
    share = (high - low) * 64 / 63
    assert torch.allclose(share[:, 0], share[:, 1], atol=0.02)
    assert [share.min(), share.max()] == pytest.approx([7 / 16, 1], abs=0.02)
    assert (share[:, 0] > 0.99).float().mean() == pytest.approx(0.1, abs=0.05)  # 7/8 and below
    assert [low.min(), low.max()] == pytest.approx([0, 9 / 16], abs=0.06)


def test_the_parser_looks_at_seven_eighths_in_training():
    task = made(**BISENET)
    seen = []
    task.net.parser.cp.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
    task.stage, batch = "parser", example()
    *_, grid = task.predict(batch)
    task.net.parser.eval()(batch.image)
    assert seen == [(2, 3, 56, 56), (2, 3, 64, 64)]
    learned = torch.stack(list(task.parser_losses(batch, task.predict(batch)).values()))
    assert grid.shape == (2, 32, 32, 2)
    assert learned.isfinite().all()


def test_hard_pixels_are_those_below_the_threshold():
    logits = torch.zeros(1, 2, 4, 4)
    logits[:, 0] = 10.0
    truth = torch.zeros(1, 4, 4, dtype=torch.long)
    easy = math.log1p(math.exp(-10))
    assert ohem_loss([logits], truth).item() == pytest.approx(easy, abs=1e-6)
    truth[0, 0, :2] = 1  # two of sixteen are wrong
    assert ohem_loss([logits], truth).item() == pytest.approx(10, abs=1e-3)
    assert ohem_loss([logits, logits], truth).item() == pytest.approx(20, abs=1e-3)


# ---------------------------------------------------------------- memory (11.7 to 11.11)


def full(slots: int = 3, channels: int = 5, regions: int = 4, **changes) -> RegionMemory:
    torch.manual_seed(3)
    memory = RegionMemory(regions, slots, channels, **changes)
    memory.entries = torch.tanh(torch.randn(regions, slots, channels))
    memory.filled = torch.ones(regions, slots, dtype=torch.bool)
    return memory


def vectors(n: int, regions: int = 4, channels: int = 5, seed: int = 0):
    rng = torch.Generator().manual_seed(seed)
    query, value = torch.tanh(torch.randn(2, n, regions, channels, generator=rng))
    return query, value, torch.rand(n, regions, generator=rng) > 0.3


def test_only_assigned_slots_move_and_towards_their_mean():
    memory = full()
    query, value, valid = vectors(6)
    before, best = memory.entries, memory.similarity(query).argmax(-1)
    memory.update_slots(query, value, valid)
    for region in range(4):
        for slot in range(3):
            mine = [n for n in range(6) if valid[n, region] and best[n, region] == slot]
            expected = before[region, slot]
            if mine:
                expected = 0.99 * expected + 0.01 * value[mine, region].mean(0)
                assert torch.allclose(memory.entries[region, slot], expected, atol=1e-7)
            else:
                assert torch.equal(memory.entries[region, slot], expected)
    assert memory.hits.sum() == valid.sum()  # 11.10


def test_order_and_other_regions_do_not_matter():
    one, other, third = full(), full(), full()
    query, value, valid = vectors(6)
    one.update_slots(query, value, valid)
    order = torch.randperm(6)
    other.update_slots(query[order], value[order], valid[order])
    assert torch.allclose(one.entries, other.entries, atol=1e-7)
    changed = value.clone()
    changed[:, 2] = 0.5
    third.update_slots(query, changed, valid)
    keep = [0, 1, 3]
    assert torch.equal(one.entries[keep], third.entries[keep])
    assert not torch.equal(one.entries[2], third.entries[2])


def test_empty_slots_take_the_first_values_and_drop_what_is_too_much():
    memory = RegionMemory(4, 3, 5)
    query, value, valid = vectors(5)
    valid[:, 0] = torch.tensor([True, False, True, False, False])
    valid[:, 1] = True
    valid[:, 2] = False
    memory.update_slots(query, value, valid)
    assert torch.equal(memory.entries[0, :2], value[[0, 2], 0])
    assert memory.filled.sum(1)[:3].tolist() == [2, 3, 0]
    assert torch.equal(memory.entries[1], value[:3, 1])
    again, values, _ = vectors(2, seed=5)
    memory.update_slots(again, values, torch.ones(2, 4, dtype=torch.bool))
    assert torch.equal(memory.entries[0], torch.cat([value[[0, 2], 0], values[:1, 0]]))


def test_a_memory_is_bounded_and_takes_zeros():
    memory = RegionMemory(4, 3, 5)
    for seed in range(1000):
        memory.update_slots(*vectors(2, seed=seed))
    assert memory.entries.abs().max() <= 1
    zeros = torch.zeros(2, 4, 5, requires_grad=True)
    memory.update_slots(zeros, zeros, torch.ones(2, 4, dtype=torch.bool))
    answer, rows = memory(zeros)
    answer.sum().backward()
    assert zeros.grad is not None
    assert torch.cat([answer.flatten(), rows.flatten(), memory.entries.flatten()]).isfinite().all()


def test_gradients_reach_queries_and_never_the_memory():
    memory = full()
    query, value, valid = vectors(6)
    query.requires_grad_()
    value.requires_grad_()
    first, _ = memory(query)
    memory.update_slots(query, value, valid)
    second, _ = memory(query)
    (first.square().sum() + second.square().sum()).backward()  # the first read still can
    assert query.grad is not None
    assert query.grad.abs().sum() > 0
    assert value.grad is None
    assert not memory.entries.requires_grad
    assert not list(memory.parameters())


@pytest.mark.parametrize("some", [1, 2, 3])
def test_weights_of_a_read(some):
    memory = full(slots=3)
    memory.filled[:, some:] = False
    _, rows = memory(vectors(6)[0])
    assert torch.allclose(rows.sum(-1), torch.ones(6, 4), atol=1e-6)
    assert not rows[..., some:].any()
    assert rows.max() <= math.e**2 / (math.e**2 + some - 1) + 1e-6
    sharp = full(temperature=0.01)(vectors(6)[0])[1]
    assert sharp.max() > 0.9


def test_an_empty_memory_answers_with_the_query():
    query = vectors(2)[0]
    answer, rows = RegionMemory(4, 3, 5)(query)
    assert torch.equal(answer, query)
    assert not rows.any()


def test_reading_follows_updating_within_a_step():
    net = built(momentum=0.5)
    net.memory.train()
    batch = example()
    seen = []
    net.memory.update_slots, update = (
        lambda *a: (seen.append("update"), update(*a)),
        net.memory.update_slots,
    )
    forward = net.memory.forward
    net.memory.forward = lambda q: (seen.append(net.memory.entries.clone()), forward(q))[1]
    net(batch.visible, batch.mask)
    assert seen[0] == "update"
    assert torch.equal(seen[1], net.memory.entries)
    assert net.memory.filled.any()


@pytest.mark.parametrize("some", [False, True])
def test_a_step_in_parts_updates_the_memory_once(some):
    def after_one(parts: int, given: list[Batch]) -> dict[str, Tensor]:
        task = made()
        if some:
            task.net.memory.entries.copy_(torch.tanh(torch.randn(REGION_COUNT, 2, 16)))
            task.net.memory.filled.fill_(True)
        plan = steps(task, 1, only="fill")
        (_,) = train_stages(task, plan, lambda *_: iter(given), accelerator(parts))
        return task.net.memory.state_dict()

    halves = [example(seed=1), example(seed=2)]
    whole = Batch(*(torch.cat([getattr(h, name) for h in halves]) for name in ("image", "mask")))
    one, two = after_one(1, [whole]), after_one(2, halves)
    assert one["hits"].any()
    assert torch.equal(one["hits"], two["hits"])
    assert torch.allclose(one["entries"], two["entries"], atol=1e-6)


@pytest.mark.ddp
def test_two_processes_hold_the_same_memory_after_every_step(tmp_path):
    def train_share(rank):
        a = Accelerator(cpu=True)
        assert a.num_processes == 2
        alone, together = full(), full()
        query, value, valid = vectors(6)
        half = slice(3 * rank, 3 * rank + 3)
        together.update_slots(query[half], value[half], valid[half])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(memories, "gather_processes", lambda tensor: tensor)
            alone.update_slots(query, value, valid)
        assert torch.allclose(alone.entries, together.entries, atol=1e-6)
        assert torch.equal(alone.hits, together.hits)
        task = made()

        def mine(name, first):
            return (example(seed=2 * n + rank) for n in range(first, 99))

        for step in train_stages(task, steps(task, 2, only="fill"), mine, a):
            for buffer in task.net.memory.buffers():
                both = a.gather(buffer[None].float().contiguous())
                assert torch.equal(both[0], both[1]), (step.done, step.stage)
        assert task.net.memory.hits.sum() > 0

    run_two(train_share, tmp_path)


# ---------------------------------------------------------------- MREM (11.12)


def condition(net: MDRNet, batch: Batch):
    torch.manual_seed(5)
    features = torch.tanh(torch.randn(2, 16, 8, 8))
    regions = torch.randint(0, 4, (2, 8, 8))
    hole = shrink_hole(batch.mask)
    return features, regions, hole, net.make_condition(features, regions, hole)


def test_fusion_takes_queries_in_holes_and_known_means_elsewhere():
    net = built(mrem=False).eval()
    net.memory.entries = torch.tanh(torch.randn(REGION_COUNT, 2, 16))
    net.memory.filled = torch.ones(REGION_COUNT, 2, dtype=torch.bool)
    features, regions, hole, (fused, present, _) = condition(net, example())
    query, cells = pool_regions(features, regions, torch.ones_like(hole), REGION_COUNT)
    value, _ = pool_regions(features, regions, 1 - hole, REGION_COUNT)
    answer, _ = net.memory(query)
    assert torch.equal(present, cells > 0)
    for b in range(2):
        for y in range(8):
            for x in range(8):
                source = answer if hole[b, 0, y, x] else value
                assert torch.equal(fused[b, :, y, x], source[b, regions[b, y, x]])
    assert torch.equal(spread_to_cells(value, regions)[0, :, 0, 0], value[0, regions[0, 0, 0]])


def test_correlation_leaves_known_cells_alone():
    net = built().eval()
    *_, (condition_f, _, _) = condition(net, example())
    *_, (fused, _, _) = condition(built(mrem=False).eval(), example())
    hole = shrink_hole(example().mask).expand_as(fused) > 0
    assert torch.equal(condition_f[~hole], fused[~hole])
    assert not torch.equal(condition_f[hole], fused[hole])
    assert torch.equal(net.correlation(fused, torch.zeros(2, 1, 8, 8)), fused)


def brute(mcm: Correlation, x: Tensor, hole: Tensor) -> Tensor:
    """Square pictures in whole patches, a patch at a time."""
    p, side = mcm.patch, x.shape[-1] // mcm.patch

    def cut(t: Tensor):
        return [
            t[..., i * p : i * p + p, j * p : j * p + p].flatten(1)
            for i in range(side)
            for j in range(side)
        ]

    query, key, value = cut(mcm.theta(x)), cut(mcm.phi(x)), cut(x)
    out = x.clone()
    for n, q in enumerate(query):
        scores = torch.stack([(q * k).sum(1) for k in key], 1) / q.shape[1] ** 0.5
        mixed = sum(w[:, None] * v for w, v in zip(scores.softmax(1).T, value, strict=True))
        i, j = divmod(n, side)
        at = (..., slice(i * p, i * p + p), slice(j * p, j * p + p))
        out[at] = x[at] + hole[at] * mixed.view(len(x), -1, p, p)
    return out


def test_correlation_is_that_of_a_loop_over_patches(monkeypatch):
    torch.manual_seed(0)
    mcm = Correlation(8, patch=2, keys="all")
    x, hole = torch.randn(2, 8, 8, 8), (torch.rand(2, 1, 8, 8) > 0.5).float()
    with torch.no_grad():
        whole = mcm(x, hole)
        assert torch.allclose(whole, brute(mcm, x, hole), atol=1e-5)
        monkeypatch.setattr(
            "inpaint_plugins.mdrnets.model.CORRELATION_BYTES", 4 * 16 * 2 * 3
        )  # three rows at once
        held = []
        monkeypatch.setattr(
            mcm,
            "attention_weights",
            lambda *a: (held.append(a[0].shape[1]), Correlation.attention_weights(mcm, *a))[1],
        )
        assert torch.allclose(mcm(x, hole), whole, atol=1e-6)
    assert held == [3] * 5 + [1]
    rows = Correlation.attention_weights(
        mcm, mcm.cut_patches(mcm.theta(x)), mcm.cut_patches(mcm.phi(x))
    )
    assert rows.shape == (2, 16, 16)
    assert torch.allclose(rows.sum(-1), torch.ones(2, 16), atol=1e-6)


def test_only_known_patches_are_attended_where_asked():
    torch.manual_seed(0)
    mcm = Correlation(8, patch=2, keys="known")
    x, hole = torch.randn(1, 8, 4, 4), torch.zeros(1, 1, 4, 4)
    hole[..., :2, :] = 1
    hole[..., 3, 3] = 1  # leaves one patch whole: every hole cell gets a copy of it
    with torch.no_grad():
        out = mcm(x, hole)
        assert torch.allclose(out[..., :2, :2], x[..., :2, :2] + x[..., 2:, :2], atol=1e-6)
        assert mcm(x, torch.ones_like(hole)).isfinite().all()


def test_at_the_defaults_256_patches_are_correlated_and_too_many_are_refused():
    assert (256 // 4 // MDRNetSettings().patch) ** 2 == 256
    mcm = Correlation(4, patch=1, keys="all")
    side = int(MOST_PATCHES**0.5) + 1
    x, hole = torch.zeros(1, 4, side, side), torch.ones(1, 1, side, side)
    with pytest.raises(InpaintError, match=r"1089 patches, more than 1024; set model.patch to 2"):
        mcm(x, hole)
    with torch.no_grad():
        assert mcm(x, hole).shape == x.shape


# ---------------------------------------------------------------- losses (11.13)


def test_inco2_is_zero_on_the_truth_and_grows_away_from_it():
    torch.manual_seed(0)
    truth, other = torch.randn(2, 2, 6, 8, 8)
    filled = other.clone().requires_grad_()
    regions, hole = torch.randint(0, 3, (2, 8, 8)), shrink_hole(example().mask)
    assert inco2_loss(truth, truth, regions, hole).item() == 0
    loss = inco2_loss(filled, truth, regions, hole)
    loss.backward()
    assert loss > 0
    assert filled.grad is not None
    assert filled.grad.abs().sum() > 0
    assert inco2_loss(other, truth, regions, torch.zeros_like(hole)).item() == 0
    assert inco2_loss(other, truth, regions, torch.ones_like(hole)).isfinite()


def test_inco2_by_hand():
    """Two regions of one cell each in the hole, one of them known too; two channels."""
    regions = torch.tensor([[[0, 1, 0, 0]]])
    hole = torch.tensor([[[[1.0, 1.0, 0.0, 0.0]]]])
    filled = torch.tensor([[[[1.0, 0.0, 2.0, 2.0]], [[0.0, 3.0, 0.0, 0.0]]]])
    truth = torch.tensor([[[[2.0, 0.0, 2.0, 2.0]], [[0.0, 1.0, 0.0, 0.0]]]])
    # intra: [[1, 0], [0, 9]] against [[4, 0], [0, 1]]; inter, both by region 0: [2, 0] and [4, 0]
    assert inco2_loss(filled, truth, regions, hole, reduction="sum").item() == pytest.approx(11 + 2)
    assert inco2_loss(filled, truth, regions, hole).item() == pytest.approx(11 / 8 + 2 / 4)
    twice = (torch.cat([t, t]) for t in (filled, truth, regions, hole))
    assert inco2_loss(*twice, reduction="sum").item() == pytest.approx(11 + 2)  # of each face


def test_a_region_that_has_no_hole_asks_nothing_of_the_memory_with_query_hole():
    """Its query would be 0, and always move the first slot."""
    net = built(query="hole", slots=4).train()
    net.memory.train()
    features = torch.tanh(torch.randn(2, 16, 8, 8))
    regions = torch.zeros(2, 8, 8, dtype=torch.long)
    regions[:, :, 4:] = 1
    hole = torch.zeros(2, 1, 8, 8)
    hole[:, :, :, :2] = 1
    for _ in range(5):
        net.make_condition(features, regions, hole)
    assert net.memory.hits.sum(1)[:3].tolist() == [10, 0, 0]


def test_terms_of_the_last_stage():
    task = made(**BISENET)
    task.stage = "fill"
    batch = example()
    for phase in task.phases("fill"):
        terms = phase.losses(batch, task.predict(batch))
        assert all(term.isfinite() for term in terms.values())
    logged = {"hole_of_grid", "memory_entropy"}
    assert {name for name, term in terms.items() if not term.requires_grad} == logged
    assert set(terms) - logged == {"l1", "total_variation", "adversarial", "semantic", "inco2"}
    out = task.predict(batch)
    assert {"perceptual", "style"} <= set(made({"vgg": "random"}).losses(batch, out))
    at_truth = task.losses(batch, out._replace(image=batch.image))
    assert at_truth["inco2"] == 0


def test_the_critic_sees_pictures_from_minus_one_to_one():
    task, batch, seen = made(), example(), []
    task.critic.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    out = task.predict(batch)
    task.critic_losses(batch, out)
    task.losses(batch, out)
    filled = torch.where(batch.mask > 0, out.image, batch.image)
    expected = (2 * image - 1 for image in (batch.image, filled, filled))
    assert all(torch.equal(a, b) for a, b in zip(seen, expected, strict=True))


def test_what_is_logged_beside_the_losses():
    """The hole on the grid, and how much a read of the memory mixes."""
    weights = torch.tensor([[[0.25] * 4, [1, 0, 0, 0], [0.5, 0.5, 0, 0]]])
    assert mean_entropy(weights, torch.tensor([[1, 1, 0]])).item() == pytest.approx(math.log(4) / 2)
    batch, task = example(), made(dmm=False)
    terms = task.losses(batch, task.predict(batch))
    assert "memory_entropy" not in terms
    assert terms["hole_of_grid"] == shrink_hole(batch.mask).mean() > batch.mask.mean()


def test_settings_leave_out_terms_stages_and_parts():
    task = made({"inco2": 0, "semantic": 0, "adversarial": 0}, **BISENET)
    batch = example()
    terms = task.losses(batch, task.predict(batch))
    assert {name for name, term in terms.items() if term.requires_grad} == {"l1", "total_variation"}
    assert not task.phases("recon")
    assert [phase.name for phase in task.phases("fill")] == ["fill"]
    template = made()
    assert "semantic" not in template.losses(batch, template.predict(batch))
    assert template.without() == ["no-vgg", "template-regions"]
    assert not template.phases("parser")
    assert made(**BISENET).phases("parser")


@pytest.mark.parametrize(("dmm", "mrem"), [(False, False), (True, False), (False, True)])
def test_ablations_of_table_2(dmm, mrem):
    net = built(dmm=dmm, mrem=mrem).eval()
    assert hasattr(net, "memory") == dmm
    assert hasattr(net, "correlation") == mrem
    batch = example()
    assert net(batch.visible, batch.mask).image.shape == (2, 3, 32, 32)
    if not (dmm or mrem):
        features, *_, (given, _, _) = condition(net, batch)
        assert given is features


# ---------------------------------------------------------------- the whole (11.2, 11.5, 11.14)


@pytest.mark.parametrize("parser", [{}, BISENET])
@pytest.mark.parametrize("junk", [0.7, 1e30, float("nan")])
def test_the_semantic_map_never_sees_what_is_under_the_hole(parser, junk):
    net = built(**parser).eval()
    batch = example()
    other = torch.where(batch.mask > 0, junk, batch.image)
    one, two = (net.fill_traced(seen, batch.mask) for seen in (batch.visible, other))
    for field in ("image", "coarse", "regions"):
        assert torch.equal(getattr(one, field), getattr(two, field)), field
    visible = batch.mask.expand(-1, 3, -1, -1) == 0
    assert torch.equal(one.coarse[visible], batch.image[visible])


def test_a_photo_without_a_face_fills():
    """Regions missing, none known, and everything hole."""
    net = built(**BISENET).eval()
    for mask in (torch.ones(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)):
        trace = net.fill_traced(torch.full((1, 3, 32, 32), 0.5) * (1 - mask), mask)
        assert trace.image.isfinite().all()
        assert 0 < trace.present.sum() < 14


def test_evaluation_leaves_the_memory_as_it_is():
    task = made()
    for _ in train_stages(task, steps(task, 2, only="fill"), batches, accelerator()):
        pass
    task.eval()
    before = copy.deepcopy(task.net.memory.state_dict())
    assert before["filled"].any()
    batch = example(seed=9)
    task.net(batch.visible, batch.mask)
    assert all(torch.equal(before[k], v) for k, v in task.net.memory.state_dict().items())


def test_frozen_networks_stay_bit_for_bit():
    task = made(**BISENET)
    before = copy.deepcopy(task.state_dict())
    for _ in train_stages(task, steps(task, 2, only="fill"), batches, accelerator()):
        task.net.coarse.train(task.net.coarse.training)
    moved = {k for k, v in task.state_dict().items() if not torch.equal(before[k], v)}
    assert {key.split(".")[1] for key in moved if key.startswith("net.")} == {
        *("style", "memory", "correlation", "refinement")
    }
    assert {key.split(".")[0] for key in moved} == {"net", "critic"}


@pytest.mark.parametrize("size", [(37, 53), (40, 34)])
def test_every_stage_takes_any_size(size):
    task, batch = made(ready=False, **BISENET), example(64)
    given = Batch(*(t[..., : size[0], : size[1]] for t in (batch.image, batch.mask, batch.labels)))
    for step in train_stages(task, steps(task, 1), lambda *_: repeat(given), accelerator()):
        assert all(loss.isfinite() for loss in step.losses.values()), step.stage
    told = MDRNets.explain(task.net.eval(), given.visible, given.mask)
    assert [np.asarray(told[n][0]).shape for n in (0, 1, 3)] == [(*size, 3)] * 3


def test_finetune_holds_the_norms_of_the_encoder_still():
    task = made()
    before = copy.deepcopy(task.state_dict())
    for _ in train_stages(task, steps(task, 1, only="finetune"), batches, accelerator()):
        task.net.coarse.train()  # 11.5: no later call may thaw them
    encoder = {k for k in before if k.startswith("net.coarse.encoder") and ".norm." in k}
    assert encoder
    assert all(torch.equal(before[k], task.state_dict()[k]) for k in encoder)
    assert not torch.equal(
        before["net.coarse.decoder.0.norm.running_mean"],
        task.state_dict()["net.coarse.decoder.0.norm.running_mean"],
    )


def test_every_stage_resumes_to_the_same_bits(tmp_path):
    """Cut in each stage and at each border, from what was written to disk."""
    whole = made(**BISENET)
    plan = steps(whole, 2)
    for step in train_stages(whole, plan, batches, accelerator(), seed=4):
        torch.save(step.state(), tmp_path / f"{step.done}.pt")
    stages = [torch.load(tmp_path / f"{n}.pt")["stage"] for n in range(1, 11)]
    assert stages == [stage for stage in task_stages() for _ in range(2)]
    for cut in (4, 9):
        state = torch.load(tmp_path / f"{cut}.pt", weights_only=True)
        again = made(**BISENET)
        for _ in train_stages(again, plan, batches, accelerator(), seed=4, state=state):
            pass
        for key, value in whole.state_dict().items():
            assert torch.equal(value, again.state_dict()[key]), (cut, key)


def test_fill_refuses_to_begin_upon_untrained_networks():
    task = made(ready=False, **BISENET)
    for stage, cure in (
        ("coarse", r"stages\.coarse\.steps=280000.*--init coarse=FILE"),
        ("parser", r"stages\.parser\.steps=80000.*--init parser=FILE.*model\.parser=template"),
        ("recon", r"stages\.recon\.steps=105000.*task\.inco2=0"),
    ):
        with pytest.raises(TrainingError, match=f"'fill' needs .*{cure}"):
            next(train_stages(task, steps(task, only="fill"), batches, accelerator()))
        (step,) = train_stages(task, steps(task, only=stage), batches, accelerator())
    again = made(ready=False, **BISENET)
    state = step.state()
    for part in (task, again):
        list(train_stages(part, steps(task, only="fill"), batches, accelerator()))
        again.load_state_dict(state["task"])
    brought = made({"inco2": 0}, ready=False)  # a template; coarse with --init
    brought.net.coarse.load_state_dict(task.net.coarse.state_dict())
    list(train_stages(brought, steps(brought, only="fill"), batches, accelerator()))


def test_a_state_that_does_not_count_the_training_of_recon_is_read():
    task = made()
    old = {key: value for key, value in task.state_dict().items() if key != "recon.trained"}
    task.load_state_dict(old)
    assert task.recon.trained


def test_what_has_no_values_can_be_estimated():
    task, values = made(ready=False).to("meta"), torch.zeros(1, 4, 32, 32, device="meta")
    task.net.forward = lambda *_: None
    assert task.predict(Batch(values[:, :3], values[:, 3:])) is None


def test_a_region_without_a_hole_is_not_remembered_if_holes_ask():
    """Its query would be 0, as near to one slot as to any other."""
    net = built(query="hole", enough=1).train()
    net.memory.filled = torch.ones(REGION_COUNT, 2, dtype=torch.bool)
    net.memory.entries = torch.tanh(torch.randn(REGION_COUNT, 2, 16))
    features, regions = torch.randn(1, 16, 8, 8), torch.zeros(1, 8, 8, dtype=torch.long)
    regions[:, 4:] = 1  # below the hole
    hole = torch.zeros(1, 1, 8, 8)
    hole[..., :2, :2] = 1
    net.make_condition(features, regions, hole)
    assert net.memory.hits[0].sum() == 1
    assert net.memory.hits[1].sum() == 0


def test_inco2_as_printed_does_not_grow_with_the_batch():
    torch.manual_seed(0)
    filled, truth = torch.randn(2, 1, 8, 8, 8).unbind()
    regions, hole = torch.randint(0, 4, (1, 8, 8)), torch.zeros(1, 1, 8, 8)
    hole[..., 2:6, 2:6] = 1
    one = (filled, truth, regions, hole)
    two = [torch.cat([t, t]) for t in one]
    alone = inco2_loss(*one, reduction="sum")
    assert torch.allclose(inco2_loss(*two, reduction="sum"), alone, rtol=1e-5)


def test_a_parser_starts_from_imagenet_where_that_fits(monkeypatch):
    state = resnet18(weights=None).state_dict()
    monkeypatch.setattr("inpaint_plugins.mdrnets.regions.load_backbone", lambda *_: state)
    paper = made(parser="bisenet", parser_width=64, parser_size=64)
    assert paper.without() == ["no-vgg"]
    own = paper.net.parser.cp.resnet.state_dict()
    assert own.keys() == {key for key in state if not key.startswith("fc.")}
    assert all(torch.equal(value, state[key]) for key, value in own.items())
    assert made(**BISENET).without() == ["no-vgg", "random-resnet18"]
    with pytest.raises(WeightsError, match="parser_width=64"):
        made({"parser_start": "imagenet"}, **BISENET)


def test_a_validation_fills_with_what_is_trained():
    task, batch = made(**BISENET), example()
    net = task.net.eval()
    for stage in ("coarse", "finetune"):
        task.stage = stage
        fill = task.filler(net)
        assert fill is not None
        coarse = net(batch.visible, batch.mask, "coarse")
        assert torch.equal(fill(batch.visible, batch.mask), coarse)
    for stage, fill in (("parser", None), ("recon", None), ("fill", net)):
        task.stage = stage
        assert task.filler(net) is fill


def test_a_parser_is_scored_by_its_overlap_with_the_label_maps():
    task, batch = made(**BISENET), example()
    net, task.stage = task.net.eval(), "parser"
    parsed = nn.functional.interpolate(
        net.parser(batch.image)[0], batch.image.shape[-2:], mode="bilinear"
    ).argmax(1)
    own = {int(region): n for n, region in enumerate(task.classes)}  # regions as labels
    labels = torch.tensor([[own[int(r)] for r in row] for row in parsed.flatten(1)])
    right = Batch(batch.image, batch.mask, labels.view_as(parsed))
    counts = task.tally(net, right)
    assert task.tally_scores(counts) == {"miou": 1}
    wrong = torch.stack([torch.zeros_like(counts[0]), counts[1]])
    assert task.tally_scores(counts + wrong) == {"miou": 0.5}
    assert task.tally(net, Batch(batch.image, batch.mask)) is None
    task.stage = "coarse"
    assert task.tally(net, right) is None


def task_stages() -> list[str]:
    return ["coarse", "finetune", "parser", "recon", "fill"]


def test_it_learns_pictures_by_heart():
    """11.14: the error in the hole falls to half."""
    task = made({"inco2": 0, "adversarial": 0}, width=8)
    batch = example(n=4)
    losses = []
    plan = steps(task, 60, only="fill", lr=3e-3)
    for step in train_stages(task, plan, lambda *_: repeat(batch), accelerator()):
        losses.append(float(step.losses["fill/l1"]))
    assert min(losses[-5:]) < losses[0] / 2


def test_heads_of_the_parser_learn_faster_and_norms_do_not_decay():
    task = made(**BISENET)
    (lane,) = start_stage(task, "parser", task.plan["parser"], accelerator())
    of = {id(p): g for g in lane.optimizer.param_groups for p in g["params"]}
    learning = {k: p for k, p in task.named_parameters() if p.requires_grad}
    assert len(of) == len(learning)
    for name, p in learning.items():
        fast = name.startswith(("net.parser.ffm", "net.parser.conv_out", "auxiliary"))
        assert of[id(p)]["factor"] == (10 if fast else 1), name
        assert of[id(p)]["weight_decay"] == (5e-4 if p.ndim > 1 else 0), name
    (step,) = train_stages(task, steps(task, 1, only="parser"), batches, accelerator())
    assert step.rates["parser"] == pytest.approx(1e-5)  # of 1e-2, at the first step of the warm-up


def test_the_parser_learns_regions():
    task = made({"labels": "fasseg"}, **BISENET)
    batch = example(n=4)
    plan = steps(task, 80, only="parser", kind="adam", lr=1e-2, schedule=Schedule(warmup=0))
    for _ in train_stages(task, plan, lambda *_: repeat(batch), accelerator()):
        pass
    found = task.net.parser.parse_regions(batch.image)
    truth = region_lookup("fasseg", "A")[batch.labels]
    assert (found == truth).float().mean() > 0.7


# ---------------------------------------------------------------- by the engine


@pytest.fixture
def faces(tmp_path) -> Path:
    """Six pictures, four of them with label maps."""
    folder = tmp_path / "faces"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for n in range(6):
        numbers = rng.integers(0, 19, (4, 4)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(np.stack([numbers * 12] * 3, 2)).save(folder / f"{n}.jpg")
        if n > 1:
            Image.fromarray(numbers).save(folder / f"{n}.png")
    return folder


def launch(faces: Path, folder: Path, *overrides: str, **options):
    model = {**SMALL["mdrnets"]["model"], **BISENET}
    told = [f"architectures.mdrnets.model.{k}={v}" for k, v in model.items()]
    told += [f"architectures.mdrnets.task.{k}={v}" for k, v in SMALL["mdrnets"]["task"].items()]
    told += ["data.train.labels='{}.png'", "data.val.labels='{}.png'", *overrides]
    accelerator()
    plan, source = recipe.read_recipe(recipe.find_recipe("smoke"), told)
    given = run.TrainOptions(data=faces, folder=folder, workers=0, **options)
    return run.run_training("mdrnets", plan, source, given)


def test_one_command_trains_every_stage(faces, tmp_path, capsys):
    outcome = launch(faces, tmp_path / "run")
    assert outcome.done == 10
    model = weights.read_weights(outcome.folder / "weights.safetensors")
    assert model.header["without"] == "no-vgg, random-resnet18"
    assert not any(k.startswith(("critic", "recon", "auxiliary")) for k in model.net.state_dict())
    assert model.net.memory.filled.any()
    # a coarse network from `pconv`, a parser from another run
    torch.manual_seed(8)
    pconv = registry.load_plugin("architectures", "pconv")
    net = PartialUNet(3, 4)
    net(example().visible, example().mask)  # which its norms count as trained
    weights.write_weights(
        tmp_path / "pconv.safetensors", "pconv", pconv.settings(levels=3, width=4), net
    )
    capsys.readouterr()
    init = [
        f"coarse={tmp_path / 'pconv.safetensors'}",
        f"parser={outcome.folder / 'weights.safetensors'}",
    ]
    outcome = launch(faces, tmp_path / "again", init=init)
    told = capsys.readouterr().err
    for stage in ("coarse", "finetune", "parser"):
        assert f"stage '{stage}' is skipped" in told
    assert outcome.done == 4
    state = torch.load(tmp_path / "again" / "state-00000004.pt", weights_only=True)["task"]
    assert all(torch.equal(state[f"net.coarse.{k}"], v) for k, v in net.state_dict().items())


def test_a_training_without_label_maps_says_what_to_do(faces, tmp_path):
    for path in faces.glob("*.png"):
        path.unlink()
    with pytest.raises(DataError, match="has no label maps"):
        launch(faces, tmp_path / "run")


def test_the_template_is_named_in_runs_and_weights(faces, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = launch(faces, None, "architectures.mdrnets.model.parser=template")  # type: ignore[arg-type]
    assert outcome.folder.name == "mdrnets-smoke-no-vgg-template-regions"
    model = load_model(outcome.folder / "weights.safetensors", device="cpu")
    assert model.header["without"] == "no-vgg, template-regions"
    collection = Collection.at(registry.load_plugin("datasets", "files")(), faces)
    masks = registry.load_plugin("masks", "boxes")()
    notes = cases.give_masks(model, collection, None, masks, HOUSE, seed=0).notes
    assert any("template-regions" in note for note in notes)  # and so above every table


def test_explaining_shows_regions_and_slots():
    net = built(slots=4).eval()
    net.memory.entries = torch.rand(REGION_COUNT, 4, 16)
    net.memory.filled[:8] = True
    batch = example()
    told = MDRNets.explain(net, batch.visible, batch.mask)
    assert [caption for _, caption in told] == [
        "coarse face",
        "regions, by a fixed template (no face parser)",
        "weight of each memory slot, by region",
        "filled",
    ]
    assert len(MDRNets.explain(built(dmm=False).eval(), batch.visible, batch.mask)) == 3


@pytest.mark.skipif(not SHARED.exists(), reason="needs the shared faces with label maps")
@pytest.mark.parametrize(("name", "order"), [("celebamask-hq", 19), ("fasseg", 6)])
def test_real_label_maps_are_read(name, order):
    files = registry.load_plugin("datasets", "files")(labels="{}.png")
    collection = Collection.at(files, SHARED / "parsing" / name)
    assert len(collection.names) == len(collection.labelled().names) > 3
    for index in range(4):
        shape = collection.shape(index)
        labels = collection.labels(index, shape)
        assert labels.shape == (1, *shape)
        assert 3 < labels.max() < order
    assert shrink_regions(labels.long()).shape[-1] == shape[1] // 4
