"""Rates at which the training's loader makes batches of the same photos in several places.

python benchmarks/shards.py [PHOTOS]

10,000 small JPEGs by default, in a folder, a zip archive, a tar, WebDataset shards of 1,000, and
tables. One process and none beside it; the places take turns.
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

from inpaint_cli.api.stages import Stage
from inpaint_cli.datasets.collection import Collection
from inpaint_cli.recipe.plugins import build_inputs
from inpaint_cli.recipe.read import open_recipe
from inpaint_cli.training.feed import Feed

BATCH, BATCHES, ROUNDS, SHARD = 16, 40, 7, 1000


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


def main(count: int) -> None:
    recipe, source = open_recipe("faces-small")
    inputs = build_inputs(recipe, source)
    with tempfile.TemporaryDirectory() as place:
        streams, opened = {}, {}
        for path in make_places(Path(place), count):
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
    rows = [
        f"| {name} | {rate:,.0f} | {rate / rates['folder']:.2f} | {opened[name]:.2f} |"
        for name, rate in rates.items()
    ]
    head = "| place | images/s of processor | to the folder | seconds to the first batch |\n"
    text = head + "| --- | ---: | ---: | ---: |\n" + "\n".join(rows)
    record("shards", f"The loader, by the place of {count:,} photos", text)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 10_000)
