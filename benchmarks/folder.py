"""Folder jobs: what they add to decode, fill and encode, and how soon a finished one ends.

The peer is a bare loop in one process over the same files and functions: no pairing, no ledger,
no hashes. Both are timed in turn over eighths of the photos, without the start of Python and
torch, and the ratio is the median. Bars: 1.2x, two cores busy, 3 s for 10,000 finished photos.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import perf_counter, process_time, sleep

import numpy as np
import psutil
from PIL import Image
from skimage import data
from table import record

import inpaint_cli

COUNT, LOTS, SIDE, MANY = 200, 8, 512, 10_000


def photos(root: Path, count: int, side: int) -> None:
    """`count` photos with a free-form mask each."""
    source = np.asarray(Image.fromarray(data.coffee()).resize((900, 600)))
    rng = np.random.default_rng(0)
    for n in range(count):
        lot = str(n % LOTS)
        for kind in ("photos", "masks"):
            (root / kind / lot).mkdir(parents=True, exist_ok=True)
        top, left = (int(rng.integers(0, limit - side + 1)) for limit in source.shape[:2])
        photo = source[top : top + side, left : left + side]
        Image.fromarray(photo).save(root / "photos" / lot / f"{n:05}.jpg", quality=90)
        mask = np.zeros((side, side), np.uint8)
        for _ in range(4):
            y, x = rng.integers(0, side - side // 4, 2)
            mask[y : y + side // 16, x : x + side // 4] = 255
        Image.fromarray(mask).save(root / "masks" / lot / f"{n:05}.png")


def bare(root: Path, lot: str) -> None:
    model = inpaint_cli.load_model("telea")
    for path in sorted((root / "photos" / lot).iterdir()):
        mask = root / "masks" / lot / f"{path.stem}.png"
        filled = inpaint_cli.fill(path, mask, model=model)
        filled.save(root / "bare" / path.name, overwrite=True)


def ours(root: Path, lot: str) -> None:
    photos, masks, out = (root / kind / lot for kind in ("photos", "masks", "out"))
    report = inpaint_cli.fill_folder(photos, masks, out, model="telea")
    assert report is not None
    assert report.filled == COUNT // LOTS


def timed(run: Callable[[Path, str], None], root: Path, lot: str) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    start, before = perf_counter(), process_time()
    run(root, lot)
    return perf_counter() - start, process_time() - before


def command(root: Path, *args: str) -> tuple[float, float, dict]:
    """Seconds by the clock and of processors, and the report, of the command over `root`."""
    line = [sys.executable, "-m", "inpaint_cli", "infer", str(root / "photos"), "--masks",
            str(root / "masks"), "-o", str(root / "out"), "--model", "telea", "--json",
            *args]  # fmt: skip
    start, used = perf_counter(), {}
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        main = psutil.Process(process.pid)
        while process.poll() is None:  # the workers' times are nobody's once they have ended
            with suppress(psutil.Error):
                for each in (main, *main.children(recursive=True)):
                    used[each.pid] = sum(each.cpu_times()[:2])
            sleep(0.05)
        assert process.stdout is not None
        report = json.load(process.stdout)
    return perf_counter() - start, sum(used.values()), report


def finished(root: Path) -> None:
    """A finished job of MANY tiny photos: filled once, and its other lines made of the first."""
    photos(root, 1, 16)
    command(root)
    first = json.loads((root / "out" / "ledger.jsonl").read_text())
    with (root / "out" / "ledger.jsonl").open("a") as book:
        for n in range(1, MANY):
            entry = dict(first, name=f"0/{n:05}.jpg")
            for kind, suffix in ("photo", "jpg"), ("mask", "png"), ("made", "jpg"):
                place = root / {"photo": "photos", "mask": "masks", "made": "out"}[kind] / "0"
                copy = place / f"{n:05}.{suffix}"
                shutil.copyfile(place / f"00000.{suffix}", copy)
                entry[kind] = dict(first[kind], mtime=copy.stat().st_mtime_ns)
            book.write(json.dumps(entry) + "\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "job")
        photos(root, COUNT, SIDE)
        timed(bare, root, "0")  # imports
        times = np.array(
            [[timed(run, root, str(lot)) for run in (bare, ours)] for lot in range(LOTS)]
        )
        loop, job = times.sum(0)
        clock, processor = np.median(times[:, 1] / times[:, 0], axis=0)
        shutil.rmtree(root / "out")
        one, one_cpu, _ = command(root)
        shutil.rmtree(root / "out")
        two, two_cpu, _ = command(root, "--workers", "2")
        shutil.rmtree(root)
        finished(root)
        again = sorted(command(root) for _ in range(3))[1]
        assert again[2]["kept"] == MANY
    record(
        "folder",
        "Folder jobs",
        f"""
{COUNT} JPEG photos of {SIDE} px with `telea`, on {os.cpu_count()} cores:

| | seconds | ratio | bar |
| --- | ---: | ---: | ---: |
| decode, fill, encode in a bare loop | {loop[0]:.2f} | 1.00 | |
| the same as a folder job | {job[0]:.2f} | {clock:.2f} | 1.20 |
| the same in seconds of the processor | {job[1]:.2f} | {processor:.2f} | 1.20 |
| `inpaint infer`, start of Python and torch included | {one:.2f} | {one / loop[0]:.2f} | |
| `inpaint infer --workers 2`, likewise | {two:.2f} | {two / loop[0]:.2f} | |

Cores kept busy over the whole command, start included, on a machine with an average load of
{os.getloadavg()[0]:.1f}: {one_cpu / one:.2f} with one worker, {two_cpu / two:.2f} with two.
A second run over {MANY} finished photos: {again[0]:.2f} s,
{again[1]:.2f} of the processor (bar: 3).
""",
    )
