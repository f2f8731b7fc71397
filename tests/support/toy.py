"""A toy with everything that is hard to train: a prior stage, a critic, a lazy phase, a memory."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from inpaint_cli.api.architectures import Architecture, Batch, Phase, Sizes, Task
from inpaint_cli.api.settings import Settings
from inpaint_cli.api.stages import Optimizer, Stage


class ToySettings(Settings):
    width: int = 8
    dropout: float = 0.1


class ToyNet(nn.Module):
    memory: Tensor

    def __init__(self, settings: ToySettings) -> None:
        super().__init__()
        width = settings.width
        self.prior = nn.Conv2d(4, width, 3, padding=1)
        self.body = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Dropout(settings.dropout),
            nn.Conv2d(width, 3, 3, padding=1),
        )
        self.register_buffer("memory", torch.zeros(width))

    def forward(self, visible: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        features = self.prior(torch.cat([visible, mask], 1))
        image = self.body(features + self.memory[:, None, None])
        return image, features


class ToyTaskSettings(Settings):
    l1: float = 1.0
    adversarial: float = 0.1
    momentum: float = 0.9
    explode: int = -1  # the call of the fill phase that gives a loss of infinity


class ToyTask(Task):
    net: ToyNet
    settings = ToyTaskSettings
    plan = {  # noqa: RUF012 (its type stands in the base class)
        "prior": Stage(steps=4, batch=2, optimizer=Optimizer(lr=1e-3)),
        "fill": Stage(
            steps=6, batch=2, clip=1.0, optimizers={"critic": Optimizer(lr=4e-4, betas=(0, 0.9))}
        ),
    }

    def __init__(self, net, settings):
        super().__init__(net, settings)
        self.calls = 0
        self.critic = nn.Sequential(
            spectral_norm(nn.Conv2d(3, 4, 4, 2)), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 4, 2)
        )

    def phases(self, stage):
        if stage == "prior":
            return [Phase("fill", ["net.prior"], self.prior_losses)]
        return [
            Phase("critic", ["critic"], self.critic_losses),
            Phase("fill", ["net.body"], self.fill_losses, every=2),
        ]

    def prior_losses(self, batch: Batch, out):
        _, features = out
        return {"l1": F.l1_loss(features.mean(1), batch.image.mean(1))}

    def critic_losses(self, batch: Batch, out):
        image, _ = out
        real, fake = self.critic(torch.cat([batch.image, image.detach()])).chunk(2)
        return {"hinge": F.relu(1 - real).mean() + F.relu(1 + fake).mean()}

    def fill_losses(self, batch: Batch, out):
        image, _ = out
        self.calls += 1
        l1 = self.config.l1 * F.l1_loss(image, batch.image)
        return {
            "l1": l1 * torch.inf if self.calls == self.config.explode else l1,
            "adversarial": -self.config.adversarial * self.critic(image).mean(),
        }

    def after(self, batch, out, gather):
        _, features = out
        mean = gather(features.mean((2, 3))).mean(0)
        self.net.memory.lerp_(mean, 1 - self.config.momentum)


class Toy(Architecture):
    """Three convolutions and a memory of colours."""

    settings = ToySettings
    task = ToyTask

    @staticmethod
    def build(settings):
        return ToyNet(settings)

    @staticmethod
    def sizes(settings):
        return Sizes(multiple=8, minimum=16)


class PlainTask(Task):
    """Nothing that depends on how a batch is shared out."""

    plan = {"fill": Stage(steps=4, batch=4, optimizer=Optimizer(lr=1e-2))}  # noqa: RUF012

    def losses(self, batch, out):
        return {"l1": F.l1_loss(out, batch.image)}

    def after(self, batch, out, gather):
        self.net.memory += gather(batch.image.mean((1, 2, 3))).sum()


class PlainNet(nn.Module):
    memory: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(4, 3, 3, padding=1)
        self.register_buffer("memory", torch.zeros(()))

    def forward(self, visible, mask):
        return self.body(torch.cat([visible, mask], 1))


class Plain(Architecture):
    """One convolution."""

    task = PlainTask

    @staticmethod
    def build(settings):
        return PlainNet()


def install(folder: Path) -> None:
    """Make the toys known to whoever has `folder` and this file's folder on its path."""
    declare(folder, "inpaint-toy", "[inpaint.architectures]\ntoy = toy:Toy\nplain = toy:Plain\n")


def declare(folder: Path, package: str, entry_points: str) -> None:
    """Lay into `folder` what says that version 1.0 of `package` is installed there."""
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)


def toy(seed: int = 0, **task: float) -> ToyTask:
    torch.manual_seed(seed)
    return ToyTask(Toy.build(ToySettings()), ToyTaskSettings(**task))


def batches(rank: int = 0, size: int = 2):
    """Random batches by stage and step, as the data path gives them."""

    def after(stage: str, first: int) -> Iterator[Batch]:
        n = first
        while True:
            g = torch.Generator().manual_seed(1000 * n + 100 * len(stage) + rank)
            image = torch.rand(size, 3, 32, 32, generator=g)
            mask = torch.rand(size, 1, 32, 32, generator=g) > 0.5
            yield Batch(image, mask.float())
            n += 1

    return after


def photos(folder: Path, count: int = 12) -> Path:
    """A folder of small pictures, no two alike, some of other shapes and formats."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for n in range(count):
        height, width = [(40, 48), (48, 36), (32, 32)][n % 3]
        rough = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        image = Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC)
        image.save(folder / f"{n}.{'png' if n % 4 == 3 else 'jpg'}")
    return folder


RECIPE = """\
summary: a toy, to see that everything runs

data:
  train: {kind: files, split: train, hold: 3}
  val: {kind: files, split: val, hold: 3}
  size: 32
masks: {kind: boxes}
every: {log: 2, validate: 100, save: 1}
keep: {last: 20}
ema: {decay: 0.9}

architectures:
  toy:
    model: {width: 8}
    task: {l1: 1, adversarial: 1e-2}
    stages:
      prior: {steps: 4, optimizer: {lr: 1e-3}}
      fill:
        steps: 6
        clip: 1.0
        optimizers:
          critic: {lr: 4e-4, betas: [0, 0.9]}
"""
