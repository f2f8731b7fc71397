"""The data path against Pillow with torchvision's Resize and ToTensor, and how far pixels differ.

JPEGs of quality 90 at 1024x768; as many workers load them either way.
"""

import io
import math
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image
from skimage import data as samples
from table import record
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from inpaint_cli.api.stages import Stage
from inpaint_cli.datasets.collection import Collection, decode_image, place_image
from inpaint_cli.recipe.schema import Data, Named, Recipe
from inpaint_cli.registry import load_plugin
from inpaint_cli.training.feed import REDUCED_MARGIN, Feed, FeedSample, TrainingSamples

KODAK = Path(__file__).parents[2] / "shared" / "data" / "scenes"
SIZE, BATCH, ROUNDS = 256, 16, 7
WORKERS = 2, 8
BATCHES = 8  # that are timed, for each worker


class Plain(Dataset):
    """What everyone writes first."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        self.change = transforms.Compose([transforms.Resize(SIZE), transforms.ToTensor()])

    def __len__(self) -> int:
        return BATCH * (BATCHES + 1) * max(WORKERS)

    def __getitem__(self, n: int) -> torch.Tensor:
        with Image.open(self.files[n % len(self.files)]) as image:
            return self.change(image.convert("RGB"))


def photos(folder: Path) -> list[Path]:
    """Photos at 1024x768: Kodak's where they are available, else those of scikit-image."""
    found = [Image.open(path) for path in sorted(KODAK.glob("kodim*.png"))[:8]]
    found = found or [Image.fromarray(getattr(samples, n)()) for n in ("astronaut", "coffee")]
    files = []
    for n, image in enumerate(found):
        path = folder / f"{n}.jpg"
        sized = image.convert("RGB").resize((1024, 768), Image.Resampling.LANCZOS)
        sized.save(path, quality=90)
        files.append(path)
    return files


def rate(batches, workers: int) -> float:
    """Images a second, after the first batch of each of `workers`, when all have begun."""
    stream, count = iter(batches), BATCHES * workers
    for _ in range(workers):
        next(stream)
    begin = time.perf_counter()
    for _ in range(count):
        next(stream)
    return BATCH * count / (time.perf_counter() - begin)


def cost(load: Callable[[int], object]) -> float:
    """Median milliseconds of processor time for an image, whatever else the machine does."""
    times = []
    for n in range(64):
        begin = time.process_time()
        load(n)
        times.append(1000 * (time.process_time() - begin))
    return median(times)


def main() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as place:
        files = photos(Path(place))
        named = Named(kind="center")
        recipe = Recipe(summary="", data=Data(size=SIZE), masks=named)
        collection = Collection.at(load_plugin("datasets", "files")(), Path(place))
        feeds = {
            (how, workers): Feed(
                collection,
                load_plugin("masks", "center")(),
                recipe.model_copy(update={"data": Data(size=SIZE, decode=how)}),
                {"fill": Stage(batch=BATCH)},
                Accelerator(cpu=True),
                workers=workers,
            )
            for workers in WORKERS
            for how in ("fast", "exact")
        }
        plain = Plain(files)
        found: dict[tuple[str, int], list[float]] = defaultdict(list)
        for _ in range(ROUNDS):
            for (how, workers), feed in feeds.items():
                found[how, workers].append(rate(feed("fill", 0), workers))
            for workers in WORKERS:
                loader = DataLoader(plain, batch_size=BATCH, num_workers=workers)
                found["plain", workers].append(rate(loader, workers))
        costs = {"plain": cost(lambda n: plain[n])}
        for how in ("fast", "exact"):
            feed = feeds[how, WORKERS[0]]
            pictures = TrainingSamples(collection, feed.masks, feed.recipe.data, (0, 0))
            costs[how] = cost(lambda n, p=pictures: p[FeedSample(n, n % len(files), (SIZE, SIZE))])
        change = transforms.Resize(SIZE)
        apart: dict[str, list[np.ndarray]] = {"fast": [], "exact": []}
        for path in files:
            size = (SIZE, SIZE * 1024 // 768)
            exact = np.asarray(change(Image.open(io.BytesIO(path.read_bytes())).convert("RGB")))
            for how, enough in (("fast", REDUCED_MARGIN * SIZE), ("exact", math.inf)):
                image = decode_image(path.read_bytes(), path.name, enough=enough)
                mine = place_image(image, size, "stretch").permute(1, 2, 0).numpy().astype(int)
                apart[how].append(np.abs(mine - exact))
        rates = {key: median(each) for key, each in found.items()}
    names = {
        "fast": "ours, training (JPEGs decoded at half size)",
        "exact": "ours, `decode: exact`",
        "plain": "Pillow, torchvision Resize and ToTensor",
    }
    rows = []
    for how, name in names.items():
        values = np.concatenate([a.ravel() for a in apart.get(how, [])] or [np.zeros(1)])
        speeds = [f"{rates[how, n]:.0f} | {rates[how, n] / rates['plain', n]:.2f}" for n in WORKERS]
        rows.append(
            f"| {name} | {' | '.join(speeds)} | {costs[how]:.2f} "
            f"| {costs['plain'] / costs[how]:.2f} | {values.mean():.4f} "
            f"| {np.percentile(values, 99):.0f} | {values.max():.0f} |"
        )
    table = [
        f"Batches of {SIZE} px from 1024x768 JPEGs, images a second by two and eight workers on "
        f"{os.cpu_count()} cores, medians of {ROUNDS} interleaved rounds (goal: at least 2x), and "
        "processor time an image; ours also crops, flips and draws a mask. Differences from "
        "Pillow's decode and resize are in grey levels of 255.",
        "",
        "| data path | by two | times | by eight | times | CPU ms/image | times | mean diff. "
        "| 99 % | largest |",
        "| --- |" + " ---: |" * 9,
        *rows,
    ]
    record("data", "Loading of training images", "\n".join(table))


if __name__ == "__main__":
    main()
