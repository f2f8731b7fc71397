"""The gated network: what its attention looks at, how much memory it takes, how it learns."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from inpaint_cli.api.architectures import Batch
from inpaint_plugins.gated import Gated, model
from inpaint_plugins.gated.model import ContextualAttention, GatedNet, propagate_scores
from inpaint_plugins.gated.settings import GatedSettings, GatedTaskSettings
from inpaint_plugins.gated.task import GatedTask


def batch(n: int = 2) -> Batch:
    torch.manual_seed(1)
    mask = torch.zeros(n, 1, 32, 32)
    mask[..., 8:20, 8:24] = 1
    return Batch(torch.rand(n, 3, 32, 32), mask)


def task(**settings: float) -> GatedTask:
    torch.manual_seed(0)
    rules = GatedTaskSettings.model_validate({"critic": 4} | settings)
    return GatedTask(Gated.build(GatedSettings(width=4)), rules)


def hole(side: int, top: int, bottom: int) -> Tensor:
    mask = torch.zeros(1, 1, side, side)
    mask[..., top:bottom, top:bottom] = 1
    return mask


def test_propagation_sums_neighbours_whose_keys_are_neighbours():
    scores = torch.randn(3, 4, 3, 4)
    expected = torch.zeros_like(scores)
    for y, x, v, u in torch.cartesian_prod(*map(torch.arange, scores.shape)).tolist():
        for j in (-1, 0, 1):
            for i in (-1, 0, 1):
                inside = 0 <= y + j < 3 and 0 <= v + j < 3 and 0 <= x + i < 4 and 0 <= u + i < 4
                if inside:
                    expected[y, x, v, u] += scores[y + j, x + i, v + j, u + i]
    torch.testing.assert_close(propagate_scores(scores), expected)


@pytest.mark.parametrize("budget", [1, 16 * 16 * 16 * 6])
def test_attention_is_the_same_in_parts(budget: int):
    x, mask = torch.randn(2, 3, 32, 32), hole(32, 8, 20).repeat(2, 1, 1, 1)
    whole = ContextualAttention()(x, mask)
    torch.testing.assert_close(ContextualAttention(budget)(x, mask), whole)


def test_attention_keeps_to_its_budget(monkeypatch: pytest.MonkeyPatch):
    held = []
    monkeypatch.setattr(
        model, "propagate_scores", lambda scores: held.append(scores.numel()) or scores
    )
    budget = 5 * 32**3  # five rows of queries of a map of 32 x 32
    ContextualAttention(budget)(torch.randn(1, 2, 64, 64), hole(64, 8, 20))
    assert max(held) == budget
    assert len(held) == 11  # three new rows at a time


def test_attention_ignores_the_content_of_the_hole_as_a_source():
    """Whatever it puts anywhere is made of patches without the hole: a constant stays constant."""
    mask = hole(32, 8, 20)
    x = torch.where(mask > 0, torch.randn(1, 3, 32, 32) * 9, torch.full((1, 3, 32, 32), 0.5))
    out = ContextualAttention()(x, mask)
    torch.testing.assert_close(out, torch.full_like(out, 0.5))


def test_attention_copies_the_patch_that_matches():
    """With every 2 x 2 cell its own direction, known cells are rebuilt as they were."""
    torch.manual_seed(0)
    cells = F.normalize(torch.randn(1, 64, 8, 8), dim=1) * 6
    x = F.interpolate(cells, scale_factor=2)
    out = ContextualAttention()(x, hole(16, 6, 8))
    torch.testing.assert_close(out[..., 12:, 12:14], x[..., 12:, 12:14], atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("visible", [0, 2])
def test_attention_without_a_wholly_visible_patch_takes_what_there_is(visible: int):
    x = torch.randn(1, 3, 16, 16, requires_grad=True)
    mask = torch.ones(1, 1, 16, 16)
    mask[..., :visible, :visible] = 0
    out = ContextualAttention()(x, mask)
    assert torch.isfinite(out).all()
    out.square().sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_attention_stays_full_under_autocast():
    x, mask = torch.randn(1, 3, 16, 16), hole(16, 4, 10)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(ContextualAttention()(x, mask), ContextualAttention()(x, mask))
        assert ContextualAttention()(x.bfloat16(), mask).dtype == torch.bfloat16


def test_two_images_in_range():
    example = batch()
    refined, coarse = GatedNet(width=4)(example.visible, example.mask)
    for image in (refined, coarse):
        assert image.shape == example.image.shape
        assert 0 <= image.min() <= image.max() <= 1
    assert sum(p.numel() for p in GatedNet().parameters()) == 4_244_094


def test_the_critic_sees_what_is_visible_of_the_photo():
    tasks, example = task(), batch()
    seen = tasks.critic_input(torch.zeros_like(example.image), example)
    assert torch.equal(seen[:, 3:], example.mask)
    known = (example.mask == 0).expand_as(example.image)
    assert torch.equal(seen[:, :3][known], (example.image * 2 - 1)[known])
    assert (seen[:, :3][~known] == -1).all()


def test_phases_follow_the_settings():
    assert [phase.name for phase in task().phases("fill")] == ["critic", "fill"]
    assert [phase.name for phase in task(adversarial=0).phases("fill")] == ["fill"]


def test_critic_does_not_reach_the_network():
    tasks, example = task(), batch()
    tasks.critic_losses(example, tasks.predict(example))["hinge"].backward()
    assert all(p.grad is None for p in tasks.net.parameters())
    assert all(p.grad is not None for p in tasks.critic.parameters())


def test_the_critic_of_small_pictures_learns_in_bf16():
    tasks, example = task(), batch()
    out = tasks.predict(example)
    last = tasks.critic.layers[-1]
    for _ in range(20):
        waste = [torch.full((n,), torch.nan) for n in (3200, 6400, 12800) for _ in range(30)]
        del waste  # its memory shows through a gradient that is not written
        with torch.autocast("cpu", torch.bfloat16):
            loss = tasks.critic_losses(example, out)["hinge"]
        loss.backward()
        assert all(p.grad.isfinite().all() for p in last.parameters())


def test_it_learns_a_picture_by_heart():
    tasks = task(adversarial=0)
    x = torch.linspace(0, 1, 32)
    image = torch.stack([x.expand(32, 32), x[:, None].expand(32, 32), torch.zeros(32, 32)])[None]
    example = Batch(image, batch(1).mask)
    optimizer = torch.optim.Adam(tasks.net.parameters(), lr=3e-3)
    losses = []
    for _ in range(80):
        loss = sum(tasks.losses(example, tasks.predict(example)).values(), torch.zeros(()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
