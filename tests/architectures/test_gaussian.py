"""The Gaussian of aligned pictures: its conditional mean, and how it counts."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import Tensor

from inpaint_cli.api.architectures import Batch
from inpaint_cli.cli import main
from inpaint_cli.engine.weights import read
from inpaint_gaussian.model import GaussianFill, GaussianSettings
from inpaint_gaussian.task import GaussianTask, GaussianTaskSettings

SIDE = 4
VALUES = 3 * SIDE**2


def net(noise: float = 1e-3) -> GaussianFill:
    return GaussianFill(GaussianSettings(side=SIDE, noise=noise)).eval()


def taught(noise: float = 1e-3) -> tuple[GaussianFill, Tensor]:
    rng = torch.Generator().manual_seed(0)
    factor = torch.randn(VALUES, VALUES, generator=rng) * 0.1
    known = net(noise)
    known.become(torch.rand(VALUES, generator=rng), factor @ factor.T)
    return known, factor @ factor.T


def test_the_covariance_is_kept_whole_in_half_the_numbers():
    known, covariance = taught()
    assert torch.equal(known.covariance, covariance.tril() + covariance.tril(-1).T)
    assert known.lower.numel() == VALUES * (VALUES + 1) // 2


def test_the_full_size():
    with torch.device("meta"):
        full = GaussianFill(GaussianSettings())
    assert full.lower.numel() == 4_720_128


def test_what_is_expected_is_the_conditional_mean():
    known, covariance = taught(noise=0.01)
    share = torch.ones(1, 1, SIDE, SIDE)
    share[..., :2] = 0
    share[..., 3, 3] = 0.5
    seen = torch.rand(1, 3, SIDE, SIDE) * (share > 0)
    where = (share > 0).expand_as(seen).flatten().numpy()
    variance = (0.01 / share.clamp(min=1e-9)).expand_as(seen).flatten().numpy()
    c, mean = covariance.double().numpy(), known.mean.double().numpy()
    system = c[np.ix_(where, where)] + np.diag(variance[where])
    difference = seen.flatten().double().numpy()[where] - mean[where]
    expected = mean + c[:, where] @ np.linalg.solve(system, difference)
    found = known.expected(seen, share).flatten().detach().numpy()
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("size", [(32, 32), (16, 40), (1, 1), (3, 5)])
def test_visible_pixels_come_out_as_they_are_and_nothing_known_is_the_mean(size: tuple[int, int]):
    known, _ = taught()
    mask = torch.zeros(1, 1, *size)
    mask[..., : size[0] // 2, :] = 1
    image = torch.rand(1, 3, *size)
    out = known(image * (1 - mask), mask)
    assert torch.allclose(out * (1 - mask), image * (1 - mask), atol=1e-5)
    nothing = known(torch.zeros(1, 3, SIDE, SIDE), torch.ones(1, 1, SIDE, SIDE))
    assert torch.allclose(nothing.flatten(), known.mean, atol=1e-5)


def test_counting_over_steps_and_processes_is_that_of_all_images_at_once():
    images = torch.rand(12, 3, 8, 8)
    mask = torch.zeros(12, 1, 8, 8)
    mask[..., 2:5, 2:5] = 1
    task = GaussianTask(net(), GaussianTaskSettings())
    for part in images.split(6):
        other = part[3:]  # what another process has seen
        batch = Batch(part[:3], mask[:3])
        cells = task.net.cells(other).flatten(1)
        task.after(batch, None, lambda rows, cells=cells: torch.cat([rows, cells]))
    rows = task.net.cells(images).flatten(1).double().numpy()
    assert task.net.mean.numpy() == pytest.approx(rows.mean(0), abs=1e-6)
    assert task.net.covariance.numpy() == pytest.approx(np.cov(rows.T, bias=True), abs=1e-6)


def test_the_noise_learns_from_fills():
    known, _ = taught()
    task = GaussianTask(known, GaussianTaskSettings(fills=1))
    batch = Batch(torch.rand(2, 3, 16, 16), torch.zeros(2, 1, 16, 16))
    batch.mask[..., :8] = 1
    (phase,) = task.phases("fill")
    phase.losses(batch, None)["l1"].backward()
    assert known.noise.log.grad is not None
    assert known.noise.log.grad.abs() > 0
    assert phase.every > 1


def test_a_training_whose_only_phase_is_lazy_runs(tmp_path: Path):
    for n in range(6):
        Image.new("RGB", (40, 40), (40 * n, 90, 200 - 30 * n)).save(tmp_path / f"{n}.png")
    line = ["train", "gaussian", "smoke", "--data", str(tmp_path), "--run", str(tmp_path / "run")]
    small = "architectures.gaussian.model.side=4"
    told = CliRunner().invoke(main, [*line, "--workers", "0", "--set", small])
    assert told.exit_code == 0, told.output
    assert read(tmp_path / "run" / "weights.safetensors").name == "gaussian"
