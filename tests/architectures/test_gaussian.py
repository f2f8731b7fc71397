"""The Gaussian of aligned pictures: its conditional mean, and how it counts."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from scipy import stats
from torch import Tensor

from inpaint_cli.api.architectures import Batch
from inpaint_cli.cli import main
from inpaint_cli.filling.windows import plan_windows
from inpaint_cli.models.weights import read_weights
from inpaint_plugins.gaussian import Gaussian as Architecture
from inpaint_plugins.gaussian.frames import (
    LEAST_ODDS,
    WHOLE_FRAME,
    frame_weights,
    relative_frame,
    sample_frames,
)
from inpaint_plugins.gaussian.gaussian import (
    COLOUR_AXES,
    DEGREES_OF_FREEDOM,
    PictureGaussian,
    PictureStatistics,
    project_colours,
)
from inpaint_plugins.gaussian.model import (
    EVERYWHERE,
    GaussianFill,
    place_in_photo,
    pool_to_square,
)
from inpaint_plugins.gaussian.network import ResidualUNet
from inpaint_plugins.gaussian.settings import GaussianSettings, GaussianTaskSettings
from inpaint_plugins.gaussian.task import GaussianTask, VectorSums

SIDE = 4
CELLS = SIDE**2


def net(width: int = 0) -> GaussianFill:
    settings = GaussianSettings(side=SIDE, sight=32, width=width, widest=8, levels=2)
    return GaussianFill(settings).eval()


def taught() -> PictureGaussian:
    rng = torch.Generator().manual_seed(0)
    factor = torch.randn(3, CELLS, CELLS, generator=rng) * 0.1
    return PictureGaussian(torch.rand(3, CELLS, generator=rng) - 0.5, factor @ factor.mT)


NOISE = torch.full((3,), 0.01)


def test_the_full_size():
    with torch.device("meta"):
        full = GaussianFill(GaussianSettings())
    assert full.taught.covariance.numel() == 3 * 1024**2
    assert full.elsewhere.covariance.numel() == 3 * 256**2
    assert full.network is not None


def test_axes_of_colour_are_a_rotation():
    assert torch.allclose(COLOUR_AXES @ COLOUR_AXES.T, torch.eye(3), atol=1e-6)


def test_what_is_expected_is_the_conditional_mean_along_each_axis():
    known = taught()
    share = torch.ones(1, 1, SIDE, SIDE)
    share[..., :2] = 0
    share[..., 3, 3] = 0.5
    seen = (torch.rand(1, 3, SIDE, SIDE) - 0.5) * (share > 0)
    where = (share > 0).flatten().numpy()
    found = project_colours(known.expect_cells(seen, share, NOISE))[0].numpy()
    for axis in range(3):
        c, mean = known.covariance[axis].double().numpy(), known.mean[axis].double().numpy()
        noise = np.diag(0.01 / share.flatten().numpy()[where])
        difference = project_colours(seen)[0, axis].double().numpy()[where] - mean[where]
        expected = mean + c[:, where] @ np.linalg.solve(c[np.ix_(where, where)] + noise, difference)
        assert found[axis] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("on_device", [False, True])
def test_pictures_are_alike_whether_solved_for_together_or_alone(on_device, monkeypatch):
    known = taught()
    waits = "inpaint_plugins.gaussian.gaussian.waits_for_device"
    monkeypatch.setattr(waits, lambda share: on_device and len(share) > 1)
    seen, share = torch.rand(5, 3, SIDE, SIDE) - 0.5, torch.ones(5, 1, SIDE, SIDE)
    share[::2, :, :2] = 0
    together = known.expect_cells(seen, share, NOISE)
    for n in range(5):
        alone = known.expect_cells(seen[n : n + 1], share[n : n + 1], NOISE)
        assert torch.allclose(together[n : n + 1], alone, atol=1e-5)


def test_where_nothing_is_seen_the_mean_is_expected():
    known = taught()
    nothing = torch.zeros(1, 3, SIDE, SIDE)
    expected = known.expect_cells(nothing, nothing[:, :1], NOISE)
    assert torch.allclose(project_colours(expected)[0], known.mean, atol=1e-5)


@pytest.mark.parametrize("width", [0, 8])
@pytest.mark.parametrize("log_odds", [-100.0, 100.0])
@pytest.mark.parametrize("size", [(64, 64), (16, 40), (1, 1), (3, 5)])
def test_visible_pixels_come_out_as_they_are(size: tuple[int, int], log_odds: float, width: int):
    known = net(width)
    frames = torch.tensor([[1.0, 0.5, 0.5], [0.4, 0.7, 0.2]])
    known.find_frames = lambda visible, known: (frames, torch.tensor([log_odds, log_odds]))
    mask = torch.zeros(1, 1, *size)
    mask[..., : size[0] // 2, :] = 1
    image = torch.rand(1, 3, *size)
    out = known(image * (1 - mask), mask)
    assert torch.allclose(out * (1 - mask), image * (1 - mask), atol=1e-5)
    assert out.isfinite().all()


def test_a_frame_shows_a_part_and_its_inverse_puts_it_back():
    photo = torch.rand(1, 1, 4, 4).repeat_interleave(16, 2).repeat_interleave(16, 3)
    frame = torch.tensor([[0.5, 0.25, 0.75]])  # the upper right quarter
    shown = sample_frames(photo, frame, 32)
    assert torch.allclose(shown, photo[..., :32, 32:], atol=1e-4)
    back = sample_frames(shown, relative_frame(torch.tensor(WHOLE_FRAME), frame[0])[None], 64)
    assert torch.allclose(back[..., :32, 32:], photo[..., :32, 32:], atol=1e-4)
    assert (back[..., 33:, :] == 0).all()


def test_what_each_frame_says_is_shown_the_likeliest_first():
    known = net(8)
    frames = torch.tensor([[1.0, 0.5, 0.5], [0.5, 0.25, 0.75]])
    known.find_frames = lambda visible, known: (frames, torch.tensor([1.0, 5.0]))
    mask = torch.zeros(1, 1, 40, 40)
    mask[..., 5:20, 7:30] = 1
    (first, caption), (second, _) = Architecture.explain(known, torch.rand(1, 3, 40, 40), mask)
    assert "50%" in caption
    assert "e^5" in caption
    assert (first[21:] == 0).all()
    assert (second > 0).mean() > 0.5


def counted(rows: Tensor) -> PictureStatistics:
    pictures = PictureStatistics(round(rows.shape[2] ** 0.5)).double()
    VectorSums(pictures).count_vectors(rows, pictures)
    return pictures


def test_moments_of_fewer_cells_are_those_of_smaller_pictures():
    pictures = torch.rand(50, 3, 8, 8, dtype=torch.float64)
    small = counted(pictures.flatten(2))().shrink(4)
    fewer = counted(torch.nn.functional.avg_pool2d(pictures, 2).flatten(2))
    assert torch.allclose(small.mean, fewer.mean)
    assert torch.allclose(small.covariance, fewer.covariance)


def test_likelihoods_are_those_of_a_multivariate_t_of_what_is_seen():
    known, rng = taught(), torch.Generator().manual_seed(1)
    seen = torch.rand(2, 3, SIDE, SIDE, generator=rng) - 0.5
    share = torch.ones(2, 1, SIDE, SIDE)
    share[..., 3] = 0
    where = (share[0] > 0).flatten().numpy()
    expected = [0.0, 0.0]
    for n, values in enumerate(project_colours(seen).double().numpy()):
        for axis in range(3):
            c, mean = known.covariance[axis].double().numpy(), known.mean[axis].double().numpy()
            c = c[np.ix_(where, where)] + 0.01 * np.eye(where.sum())
            expected[n] += stats.multivariate_t.logpdf(
                values[axis, where], mean[where], c, df=DEGREES_OF_FREEDOM
            )
    # but for a constant, which two pictures seen alike share
    found = known.log_likelihood(seen, share, 0.01)
    assert float(found[0] - found[1]) == pytest.approx(expected[0] - expected[1], abs=1e-2)


def test_frames_say_as_much_as_they_are_believed():
    assert frame_weights(torch.tensor([0.0, 0.0])).tolist() == [0.5, 0.5]
    assert frame_weights(torch.tensor([50.0, 0.0])).tolist() == [1.0, 0.0]  # the rest is negligible
    assert frame_weights(torch.tensor([LEAST_ODDS - 1, LEAST_ODDS - 2])).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("frame", [(0.5, 0.3, 0.6), (0.71, 0.6, 0.5)])
def test_what_was_taught_is_found_in_a_larger_picture(frame: tuple[float, float, float]):
    """A bright disc on dark, whose size and place vary little, in a picture of stripes."""
    side, y, x = frame
    rng = torch.Generator().manual_seed(0)
    axis = (torch.arange(32) + 0.5) / 32 - 0.5
    radius = 0.3 + 0.03 * torch.randn(400, 1, 1, generator=rng)
    shift = 0.03 * torch.randn(2, 400, 1, 1, generator=rng)
    away = ((axis[:, None] - shift[0]) ** 2 + (axis - shift[1]) ** 2).sqrt()
    discs = torch.sigmoid((radius - away) / 0.03)[:, None].expand(-1, 3, -1, -1)
    task = GaussianTask(
        GaussianFill(GaussianSettings(side=32, sight=128, width=0)), GaussianTaskSettings()
    )
    task.stage = "count"
    torch.manual_seed(0)
    task.after(Batch(discs, torch.zeros(400, 1, 32, 32)), None, lambda rows: rows)
    photo = 0.5 + 0.1 * torch.sin(torch.arange(256) / 9).expand(1, 3, 256, 256)
    back = relative_frame(torch.tensor(WHOLE_FRAME), torch.tensor(frame))[None]
    place, there = (
        sample_frames(discs[:1], back, 256),
        sample_frames(torch.ones(1, 1, 32, 32), back, 256),
    )
    visible = torch.ones(1, 1, 256, 256)
    visible[..., 100:150, 90:140] = 0
    assert task.net.find_frames((photo - 0.5) * visible, visible)[1].max() < LEAST_ODDS
    photo = place + (1 - there) * photo
    frames, log_odds = task.net.find_frames((photo - 0.5) * visible, visible)
    best = frames[log_odds.argmax()]
    assert best.tolist() == pytest.approx([side, y, x], abs=0.13)
    assert log_odds.max() > 0


def test_before_it_learns_the_network_adds_nothing():
    network = ResidualUNet(4, 3, fold=2, width=8, widest=8, levels=2).eval()
    assert network.multiple == 4
    assert torch.equal(network(torch.rand(1, 4, 8, 12)), torch.zeros(1, 3, 8, 12))


def test_what_the_hole_hides_changes_nothing():
    known = net(8)
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 5:20, 7:30] = 1
    image = torch.rand(1, 3, 32, 32)
    for joined in (False, True):
        assert torch.equal(
            known(image, mask, joined=joined), known(image + mask, mask, joined=joined)
        )


def test_counting_over_steps_is_that_of_all_images_at_once():
    rows, pictures = torch.rand(12, 3, CELLS), PictureStatistics(SIDE)
    moments = VectorSums(pictures)
    for part in rows.split(4):
        moments.count_vectors(part, pictures)
    rows = rows.double().numpy()
    assert pictures.mean.numpy() == pytest.approx(rows.mean(0), abs=1e-6)
    for axis in range(3):
        covariance = np.cov(rows[:, axis].T, bias=True)
        assert pictures.covariance[axis].numpy() == pytest.approx(covariance, abs=1e-6)


def test_all_processes_count_what_each_has_seen():
    images = torch.rand(12, 3, 8, 8)
    task = GaussianTask(net(), GaussianTaskSettings())
    task.stage = "count"
    gathered = []

    def gather(rows: Tensor) -> Tensor:
        gathered.append(rows)
        return torch.cat([rows, rows + 1])

    task.after(Batch(images, torch.zeros(12, 1, 8, 8)), None, gather)
    own, others = gathered
    assert torch.allclose(own, project_colours(pool_to_square(images - 0.5, SIDE)))
    assert torch.allclose(task.net.taught.mean, own.mean(0) + 0.5, atol=1e-6)
    assert torch.allclose(task.net.elsewhere.mean, others.mean(0) + 0.5, atol=1e-6)


def test_the_noise_learns_from_fills():
    task = GaussianTask(net(), GaussianTaskSettings(fills=1))
    task.net.taught.covariance.copy_(taught().covariance)
    task.stage = "count"
    batch = Batch(torch.rand(2, 3, 16, 16), torch.zeros(2, 1, 16, 16))
    batch.mask[..., :8] = 1
    (phase,) = task.phases("count")
    phase.losses(batch, None)["l1"].backward()
    noise = task.net.noise.log
    assert noise.grad is not None
    assert (noise.grad.abs() > 0).all()
    assert phase.every > 1


def test_the_network_learns_from_the_hole_and_a_little_from_the_rest():
    task = GaussianTask(net(8).train(), GaussianTaskSettings(hole=1, visible=1))
    task.stage = "learn"
    batch = Batch(torch.rand(2, 3, 32, 32), torch.zeros(2, 1, 32, 32))
    batch.mask[..., :8, :] = 1
    out = task.predict(batch)
    assert out is not None
    losses = task.losses(batch, out)
    error = (out.detach() - batch.image) ** 2
    assert losses["visible"].item() == pytest.approx(float((error * (1 - batch.mask)).mean()))
    inside = (error[:, :, :8].mean((1, 2, 3)) + 1e-4).log().mean()
    assert losses["hole"].item() == pytest.approx(float(inside))
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in task.net.network.parameters())


def test_without_a_network_there_is_nothing_to_learn_beyond_counting():
    assert GaussianTask(net(), GaussianTaskSettings()).phases("learn") == []


def test_both_stages_run_also_where_the_only_phase_is_lazy(tmp_path: Path):
    for n in range(6):
        Image.new("RGB", (40, 40), (40 * n, 90, 200 - 30 * n)).save(tmp_path / f"{n}.png")
    line = ["train", "gaussian", "smoke", "--data", str(tmp_path), "--run", str(tmp_path / "run")]
    for setting in ("side=4", "sight=32", "width=4"):
        line += ["--set", f"architectures.gaussian.model.{setting}"]
    done = CliRunner().invoke(main, [*line, "--workers", "0"])
    assert done.exit_code == 0, done.output
    assert read_weights(tmp_path / "run" / "weights.safetensors").name == "gaussian"


def test_what_is_placed_near_the_hole_is_as_if_placed_everywhere():
    small, photo = torch.rand(1, 2, 16, 16), torch.rand(1, 3, 60, 80)
    frame = torch.tensor([0.6, 0.55, 0.4])
    everywhere = place_in_photo(small, frame, photo, EVERYWHERE)
    assert everywhere.shape == (1, 2, 60, 80)
    for near in ((..., slice(5, 30), slice(33, 70)), (..., slice(0, 60), slice(70, 99))):
        assert torch.allclose(
            place_in_photo(small, frame, photo, near), everywhere[near], atol=1e-4
        )


def test_a_large_hole_is_seen_at_once():
    """In tiles, each would be searched for a face of its own."""
    hole = np.zeros((3000, 4000), np.bool_)
    hole[900:2000, 1400:2500] = True
    (region,) = plan_windows(hole, Architecture.sizes(GaussianSettings()), limit=512)
    assert len(region.windows) == 1
