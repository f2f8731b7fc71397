"""Photos a second of `inpaint eval` from a zip archive, beside another version from a folder.

python benchmarks/evaluation.py OTHER_INPAINT [PHOTOS]

OTHER_INPAINT is the command of the other version, such as 0.1/.venv/bin/inpaint; version 0.1 reads
no archives. Photos of 512 pixels are made here; Telea fills them, and no network is used. A quarter
of the photos is measured by both in turn, all of them by ours alone, which shows whether the memory
grows. The seconds of the processor are given beside those of the clock: on a busy machine they say
more.
"""

import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data
from table import record

SIDE = 512
OURS = [sys.executable, "-m", "inpaint_cli"]


def make_photos(folder: Path, count: int) -> None:
    """Write photos as a folder and as a zip archive, and a mask for each."""
    rng = np.random.default_rng(0)
    sources = [data.astronaut(), data.cat(), data.coffee(), data.rocket()]
    (folder / "photos").mkdir()
    (folder / "masks").mkdir()
    with zipfile.ZipFile(folder / "photos.zip", "w") as packed:
        for n in range(count):
            photo = Image.fromarray(sources[n % len(sources)]).resize((SIDE, SIDE))
            rolled = np.roll(np.asarray(photo), rng.integers(0, SIDE, 2), (0, 1))
            path = folder / "photos" / f"{n:05d}.jpg"
            Image.fromarray(rolled).save(path, quality=92)
            packed.write(path, path.name)
            hole = np.zeros((SIDE, SIDE), np.bool_)
            top, left, height, width = rng.integers(100, 212, 4)
            hole[top : top + height, left : left + width] = True
            Image.fromarray(hole).save(folder / "masks" / f"{n:05d}.png")


def measure(command: list[str], folder: Path, photos: str) -> tuple[float, float, float]:
    """Return seconds of the clock and of the processor, and the peak in MiB."""
    start = time.perf_counter()
    line = [*command, "eval", "--model", "telea", "--data", str(folder / photos), "--features"]
    line += ["none", "--masks", str(folder / "masks"), "--protocol", "house"]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, own = os.wait4(process.pid, 0)
    assert not status, line
    seconds = time.perf_counter() - start
    return seconds, own.ru_utime + own.ru_stime, own.ru_maxrss / 1024


def main(other: str, count: int) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for size in (count // 4, count):
            folder = Path(place) / str(size)
            folder.mkdir()
            make_photos(folder, size)
            runs = {"ours, zip": (OURS, "photos.zip")}
            if size < count:
                runs["other, folder"] = [other], "photos"
            for name, (command, photos) in runs.items():
                seconds, processor, peak = measure(command, folder, photos)
                rows.append(
                    f"| {name} | {size:,} | {size / seconds:.2f} | {size / processor:.2f} "
                    f"| {peak:,.0f} |"
                )
    head = "| | photos | photos/s | photos/s of processor | peak MiB |\n|" + " --- |" * 5
    record(
        "evaluation",
        "Evaluation from an archive",
        "\n".join([head, *rows]),
        command=f"python benchmarks/evaluation.py OTHER_INPAINT {count}",
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if sys.argv[2:] else 1000)
