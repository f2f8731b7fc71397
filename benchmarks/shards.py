"""Rates of training, and of its loader alone, from the same photos in several places.

python benchmarks/shards.py [PHOTOS]

10,000 small JPEGs by default, in a folder, a zip archive, a tar, WebDataset shards of 1,000, and
tables. One process and none beside it; the places take turns. The training is of a tiny network, so
that loading is not hidden behind it; its rates are those of the run's log.
"""

import io
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow
from accelerate import Accelerator
from PIL import Image
from pyarrow import parquet
from skimage import data
from table import record

import inpaint_cli
from inpaint_cli.api.stages import Stage
from inpaint_cli.datasets.collection import Collection
from inpaint_cli.recipe.plugins import build_inputs
from inpaint_cli.recipe.read import open_recipe
from inpaint_cli.training.feed import Feed
from inpaint_cli.training.folder import read_log

BATCH, BATCHES, ROUNDS, SHARD = 16, 40, 7, 1000
STEPS, LOG, TRAININGS = 40, 5, 2
TINY = ["architectures.pconv={model: {levels: 3, width: 4}, task: {vgg: none}}", "data.size=64"]


def make_places(root: Path, count: int) -> list[Path]:
    """Write the photos everywhere."""
    source = Image.fromarray(data.astronaut()).resize((128, 128))
    pixels = np.asarray(source)
    contents = []
    for n in range(count):
        out = io.BytesIO()
        Image.fromarray(np.roll(pixels, (n, n // 128), (0, 1))).save(out, "JPEG", quality=90)
        contents.append((f"{n:08d}.jpg", out.getvalue()))
    (root / "folder").mkdir()
    (root / "shards").mkdir()
    for name, content in contents:
        (root / "folder" / name).write_bytes(content)
    with zipfile.ZipFile(root / "photos.zip", "w") as packed:
        for name, content in contents:
            packed.writestr(name, content)
    write_tar(root / "photos.tar", contents)
    for n in range(0, count, SHARD):
        write_tar(root / "shards" / f"{n // SHARD:03d}.tar", contents[n : n + SHARD])
    cells = [{"bytes": content, "path": name} for name, content in contents]
    parquet.write_table(pyarrow.table({"image": cells}), root / "photos.parquet")
    names = ("folder", "photos.zip", "photos.tar", "shards", "photos.parquet")
    return [root / name for name in names]


def write_tar(path: Path, contents: list[tuple[str, bytes]]) -> None:
    with tarfile.open(path, "w") as packed:
        for name, content in contents:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))


def train_rates(path: Path, run: Path) -> list[float]:
    """Return the images a second of a training, by its log, after its first lines."""
    plan = [f"batch={BATCH}", f"steps={STEPS}", f"every.log={LOG}", f"every.validate={STEPS}"]
    inpaint_cli.train("pconv", "smoke", path, run=run, set=[*TINY, *plan], workers=0)
    rates = [e["images_per_second"] for e in read_log(run / "log.jsonl") if e["event"] == "train"]
    return rates[2:]


def main(count: int) -> None:
    recipe, source = open_recipe("faces-small")
    inputs = build_inputs(recipe, source)
    with tempfile.TemporaryDirectory() as place:
        streams, opened = {}, {}
        places = make_places(Path(place), count)
        trained: dict[str, list[float]] = {path.name: [] for path in places}
        for n in range(TRAININGS):
            for path in places:
                trained[path.name] += train_rates(path, Path(place) / f"run-{path.name}-{n}")
        for path in places:
            start = time.perf_counter()
            collection = Collection.at(inputs.train, path)
            stages = {"fill": Stage(batch=BATCH, steps=10**6)}
            feed = Feed(collection, inputs.masks, recipe, stages, Accelerator(cpu=True))
            streams[path.name] = feed("fill", 0)
            next(streams[path.name])
            opened[path.name] = time.perf_counter() - start
        seconds: dict[str, list[float]] = {name: [] for name in streams}
        for _ in range(ROUNDS):
            for name, stream in streams.items():
                start = time.process_time()
                for _ in range(BATCHES):
                    next(stream)
                seconds[name].append(time.process_time() - start)
    rates = {name: BATCH * BATCHES / median(own) for name, own in seconds.items()}
    learned = {name: median(own) for name, own in trained.items()}
    rows = [
        f"| {name} | {learned[name]:,.0f} | {learned[name] / learned['folder']:.2f} "
        f"| {rate:,.0f} | {rate / rates['folder']:.2f} | {opened[name]:.2f} |"
        for name, rate in rates.items()
    ]
    head = (
        "| place | training, images/s | to the folder | loader, images/s of processor "
        "| to the folder | seconds to the first batch |\n| ---" + " | ---:" * 5 + " |\n"
    )
    record("shards", f"Training, by the place of {count:,} photos", head + "\n".join(rows))


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 10_000)
