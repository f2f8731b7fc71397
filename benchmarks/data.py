"""The data path against Pillow with torchvision's Resize and ToTensor, and how far pixels differ.

JPEGs of quality 90 at 1024x768; two workers load them either way.
"""

import io
import math
import tempfile
import time
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
SIZE, BATCH, BATCHES, ROUNDS = 256, 16, 16, 7


class Plain(Dataset):
    """What everyone writes first."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        self.change = transforms.Compose([transforms.Resize(SIZE), transforms.ToTensor()])

    def __len__(self) -> int:
        return BATCH * (BATCHES + 1)

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


def taken(batches) -> float:
    """Seconds for `BATCHES` batches after the first, when the workers have begun."""
    stream = iter(batches)
    next(stream)
    begin = time.perf_counter()
    for _ in range(BATCHES):
        next(stream)
    return time.perf_counter() - begin


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
            how: Feed(
                collection,
                load_plugin("masks", "center")(),
                recipe.model_copy(update={"data": Data(size=SIZE, decode=how)}),
                {"fill": Stage(batch=BATCH)},
                Accelerator(cpu=True),
                workers=2,
            )
            for how in ("fast", "exact")
        }
        plain = Plain(files)
        times: dict[str, list[float]] = {"fast": [], "exact": [], "plain": []}
        for _ in range(ROUNDS):
            for how, feed in feeds.items():
                times[how].append(taken(feed("fill", 0)))
            times["plain"].append(taken(DataLoader(plain, batch_size=BATCH, num_workers=2)))
        costs = {"plain": cost(lambda n: plain[n])}
        for how, feed in feeds.items():
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
        rates = {how: BATCH * BATCHES / median(taken) for how, taken in times.items()}
    names = {
        "fast": "ours, training (JPEGs decoded at half size)",
        "exact": "ours, `decode: exact`",
        "plain": "Pillow, torchvision Resize and ToTensor",
    }
    rows = []
    for how, name in names.items():
        values = np.concatenate([a.ravel() for a in apart.get(how, [])] or [np.zeros(1)])
        rows.append(
            f"| {name} | {rates[how]:.0f} | {rates[how] / rates['plain']:.2f} | {costs[how]:.2f} "
            f"| {costs['plain'] / costs[how]:.2f} | {values.mean():.4f} "
            f"| {np.percentile(values, 99):.0f} | {values.max():.0f} |"
        )
    table = [
        f"Batches of {SIZE} px from 1024x768 JPEGs, two workers, medians of {ROUNDS} interleaved "
        "rounds (goal: at least 2x), and processor time an image; ours also crops, flips and draws "
        "a mask. Differences from Pillow's decode and resize are in grey levels of 255.",
        "",
        "| data path | images/s | times | CPU ms/image | times | mean diff. | 99 % | largest |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *rows,
    ]
    record("data", "Loading of training images", "\n".join(table))


if __name__ == "__main__":
    main()
