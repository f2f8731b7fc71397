"""Portraits: the soft fill of a Gaussian, with detail where a face was found."""

from itertools import repeat

import pytest
import torch
from accelerate import Accelerator
from torch.nn import functional as F

from inpaint_cli.api.architectures import Batch
from inpaint_cli.api.stages import Stage, overlay_settings
from inpaint_cli.training.loop import train_stages
from inpaint_plugins.gaussian.frames import place_faces, sample_frames
from inpaint_plugins.gaussian.portrait import (
    PortraitFill,
    crop_square,
    paste_square,
    square_around,
)
from inpaint_plugins.gaussian.portrait_task import PortraitTask, structure_loss
from inpaint_plugins.gaussian.settings import PortraitSettings, PortraitTaskSettings

SMALL = {"side": 4, "sight": 32, "width": 4, "levels": 2, "canvas": 32, "detail_width": 4}


def net(**changes) -> PortraitFill:
    """A small network whose Gaussian knows something, and whose detail is not 0."""
    torch.manual_seed(0)
    made = PortraitFill(PortraitSettings.model_validate({**SMALL, "detail_blocks": 1, **changes}))
    for part in (made.base.taught, made.base.elsewhere):
        cells = part.side**2
        factor = 0.1 * torch.randn(3, cells, cells)
        part.covariance.copy_(factor @ factor.mT)
    return made.eval()


def photo(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    image, mask = torch.rand(1, 3, height, width), torch.zeros(1, 1, height, width)
    mask[..., height // 4 : height // 2, width // 3 : width // 2] = 1
    return image * (1 - mask), mask


def test_the_full_size():
    with torch.device("meta"):
        full = PortraitFill(PortraitSettings())
    assert 5e6 < sum(p.numel() for p in full.detail.parameters()) < 10e6


@pytest.mark.parametrize("size", [(32, 32), (45, 70), (80, 64)])
def test_a_new_network_fills_as_the_gaussian_does_and_detail_is_added_to_that(size, monkeypatch):
    made, (visible, mask) = net(), photo(*size)
    with torch.no_grad():
        soft = made.base(visible, mask)
        assert torch.equal(made(visible, mask), soft)
        made.detail.leave.bias += 0.01
        odds = torch.tensor([50.0])
        found = torch.tensor([[0.6, 0.5, 0.5]])
        monkeypatch.setattr(made.base, "find_frames", lambda *_: (found, odds))
        soft, sharp = made.base(visible, mask), made(visible, mask)
        added = (sharp - soft)[mask.expand_as(soft) > 0]
        assert added.max() == pytest.approx(0.01, abs=1e-4)
        assert added.min() > -1e-4
        assert torch.equal(sharp[mask.expand_as(soft) == 0], soft[mask.expand_as(soft) == 0])
        monkeypatch.setattr(made.base, "find_frames", lambda *_: (found, odds - 100))
        assert torch.equal(made(visible, mask), made.base(visible, mask))  # there is no face


def test_photos_with_known_frames_are_filled_as_each_alone():
    base, frame = net().base, torch.tensor([0.8, 0.45, 0.5])
    pairs = [photo(40, 40) for _ in range(2)]
    visible, mask = (torch.cat(part) for part in zip(*pairs, strict=True))
    known = 1 - mask
    visible = (visible - 0.5) * known
    together = base.fill_framed(visible, known, frame.expand(2, 3))
    for n in range(2):
        own = slice(n, n + 1)
        alone = base.fill_in_frames(visible[own], known[own], frame[None], torch.zeros(1))
        assert torch.allclose(together[own], alone, atol=2e-3)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (50, 90), (200, 130)])
@pytest.mark.parametrize("frame", [(1.0, 0.5, 0.5), (0.3, 0.2, 0.8), (0.1, 0.9, 0.1)])
def test_a_square_around_a_face_is_cut_out_and_put_back(height, width, frame):
    square = square_around(torch.tensor(frame), height, width, 96)
    assert square[2] > 96 or square[2] % 32 == 0
    image = torch.rand(1, 3, height, width)
    part = crop_square(image, square)
    assert part.shape[-2:] == (square[2], square[2])
    back = paste_square(part, square, height, width)
    inside = paste_square(torch.ones_like(part[:, :1]), square, height, width) > 0
    assert inside.any()
    assert torch.equal(back, image * inside)


def test_faces_are_placed_where_their_frames_say():
    faces = F.interpolate(torch.rand(3, 3, 8, 8), (64, 64), mode="bilinear")
    placed, frames = place_faces(faces, 32, (1.0, 1.0))
    assert torch.allclose(placed, F.avg_pool2d(faces, 2), atol=1e-5)
    placed, frames = place_faces(faces, 32, (0.5, 0.9))
    assert frames[:, 0].min() >= 0.5
    again = sample_frames(placed, frames, 32)
    assert (again - F.avg_pool2d(faces, 2)).abs().mean() < 0.02


def test_what_is_flat_where_there_was_contrast_costs():
    truth, mask = torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32)
    flat = torch.full_like(truth, 0.5)
    assert structure_loss(truth, truth, mask) == pytest.approx(0, abs=1e-5)
    assert structure_loss(flat, truth, mask) > 0.8
    assert structure_loss(flat, flat, 0 * mask) == 0


def test_the_detail_learns_and_resumes_with_the_same_bits():
    torch.manual_seed(1)
    image = F.interpolate(torch.rand(4, 3, 12, 12), (32, 32), mode="bilinear")
    mask = torch.zeros(4, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1
    settings = {"critic": 4, "adversarial": 0.0, "feature_matching": 0.0, "zoom": (1.0, 1.0)}
    stage = overlay_settings(PortraitTask.plan["fill"], Stage(steps=12))

    def run(state=None, until=12):
        task = PortraitTask(net(), PortraitTaskSettings.model_validate(settings))
        batches = lambda *_: repeat(Batch(image, mask))  # noqa: E731
        seen = []
        for step in train_stages(
            task, {"fill": stage}, batches, Accelerator(cpu=True), state=state
        ):
            seen.append(float(step.losses["fill/pixels"]))
            if step.done == until:
                break
        return seen, step.state()

    seen, whole = run()
    assert seen[-1] < seen[0]
    _, part = run(until=5)
    _, rest = run(part)
    for key, value in whole["task"].items():
        assert torch.equal(value, rest["task"][key]), key
