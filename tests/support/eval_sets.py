"""Small sets of photos, masks and fills to evaluate, and a protocol of fast metrics."""

import math
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from skimage import data

from inpaint_cli.api.metrics import Features
from inpaint_cli.evaluation import measure, protocols, samples
from inpaint_cli.recipe.schema import Named
from inpaint_plugins.metrics.frechet import frechet_distance
from inpaint_plugins.metrics.inception import InceptionMetric
from inpaint_plugins.metrics.pixels import L1, PSNR
from inpaint_plugins.metrics.ssim import SSIM

CPU = torch.device("cpu")


class Colours(InceptionMetric):
    """A Fréchet distance of mean colours: the path of FID without its network."""

    better = "lower"
    calls: ClassVar[list[int]] = []

    @property
    def extractor(self):
        return "colours"

    def features(self, images):
        self.calls.append(len(images))
        return torch.nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1)

    def distance(self, filled: Features, truth: Features):
        return frechet_distance(filled, truth) if len(filled) > 1 else math.nan


def plan(**changes):
    """A protocol of fast metrics; `changes` are of its fields."""
    basis = protocols.read_protocol("house", features="none")
    metrics = {"psnr": PSNR(cap=100), "l1": L1(), "ssim": SSIM(size=7), "colours": Colours()}
    named = {label: Named(kind=label) for label in metrics}
    return replace(
        basis,
        protocol=basis.protocol.model_copy(update={"metrics": named, **changes}),
        metrics=metrics,
        left_out=(),
    )


def folders(root, count=5, side=32, samples=0):
    """Truth, masks and results in three folders; the hole of image n is n + 1 rows of `side`."""
    rng = np.random.default_rng(0)
    for name in ("truth", "masks", "results"):
        (root / name).mkdir(parents=True)
    for n in range(count):
        top = rng.integers(0, 200)
        truth = data.astronaut()[top : top + side, top : top + side]
        hole = np.zeros((side, side), bool)
        hole[: n + 1] = True
        Image.fromarray(truth).save(root / f"truth/{n}.png")
        Image.fromarray(hole).save(root / f"masks/{n}.png")
        for sample in range(max(samples, 1)):
            noise = rng.integers(-40 + 4 * sample, 41, truth.shape) * hole[..., None]
            filled = np.clip(truth.astype(int) + noise, 0, 255).astype(np.uint8)
            suffix = f".{sample + 1}" if samples else ""
            Image.fromarray(filled).save(root / f"results/{n}{suffix}.png")
    return root / "results", root / "truth", root / "masks"


def run(paths, used, **options):
    """Measure three folders by the plan `used`: the evaluation, and its samples."""
    paired = samples.pair_results(*paths, used.protocol)
    return measure.measure_samples(paired, used, title="ours", device=CPU, **options), paired


def plan_of_house():
    """The default protocol without networks."""
    return protocols.read_protocol("house", features="none")
