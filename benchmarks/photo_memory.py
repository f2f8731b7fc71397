"""The memory that a fill takes beyond its libraries, in bytes a pixel of the photo.

`python benchmarks/photo_memory.py [--faces PHOTO]` makes photos of up to 200 megapixels with a
mask each, and fills every one in a process of its own, as `inpaint fill` does. `--steps CASE`
prints the largest memory of each step of one case instead, and what is held when it ends.
`--faces PHOTO` adds `faces` on that portrait, enlarged to 12 megapixels.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from PIL import Image
from table import held, record

TITLE = "Memory of a fill"


@dataclass(frozen=True)
class Case:
    """A photo of `megapixels` and a hole in it, or `holes` of 64 pixels a side."""

    model: str
    megapixels: int
    share: float = 0.0  # of the photo that is hole; 0: 512 x 512 pixels, or `holes`
    suffix: str = ".jpg"
    holes: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """(height, width): 2:3."""
        height = round((self.megapixels * 1e6 * 2 / 3) ** 0.5)
        return height, height * 3 // 2

    def describe(self) -> str:
        """Return the case as the cells of a row."""
        one = f"{self.share:.0%}" if self.share else "512 x 512"
        hole = one if self.holes == 1 else f"{self.holes} of 64 x 64"
        return f"{self.model} | {self.megapixels} MP {self.suffix} | {hole}"


CASES = [
    *(Case(model, size) for model in ("telea", "ns") for size in (12, 50, 200)),
    Case("telea", 12, suffix=".png"),
    Case("telea", 24, 0.18),
    Case("telea", 24, 0.18, ".png"),
    Case("telea", 12, holes=500),
    Case("patchmatch", 12),
    Case("patchmatch", 12, 0.4),
]
FACES = Case("faces", 12, 0.4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, metavar="CASE", help="number of the case, from 0")
    parser.add_argument("--faces", type=Path, metavar="PHOTO")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    cases = [*CASES, FACES] if options.faces else CASES
    if options.child:
        folder, number = options.child
        measure(cases[int(number)], Path(folder), options.steps is not None)
        return
    chosen = range(len(cases)) if options.steps is None else [options.steps]
    lines = [
        "| model | photo | hole | bytes a pixel | MB | processor s |",
        "| --- | --- | --- | ---: | ---: | ---: |",
    ]
    for number in chosen:
        with tempfile.TemporaryDirectory() as folder:
            make_files(cases[number], Path(folder), options.faces)
            again = [sys.executable, *sys.argv, "--child", folder, str(number)]
            result = subprocess.run(again, check=True, stdout=subprocess.PIPE, text=True)
        print(result.stdout, end="", flush=True)
        lines.append(result.stdout.strip())
    if options.steps is None:
        record("photo_memory", TITLE, "\n".join(lines))


def make_files(case: Case, folder: Path, portrait: Path | None) -> None:
    """Write a smooth photo with some noise, or a portrait enlarged, and its mask."""
    rng = np.random.default_rng(0)
    height, width = case.size
    small = Image.fromarray(rng.integers(0, 256, (height // 40, width // 40, 3), np.uint8))
    if case.model == "faces" and portrait:
        small = Image.open(portrait).convert("RGB")
        height, width = (
            round(side * (12e6 / small.width / small.height) ** 0.5) for side in small.size[::-1]
        )
    pixels = np.array(small.resize((width, height), Image.Resampling.BICUBIC))
    for rows in np.array_split(pixels, height // 256):
        rows ^= rng.integers(0, 8, rows.shape, np.uint8)
    Image.fromarray(pixels).save(folder / f"photo{case.suffix}", quality=92)
    mask = np.zeros((height, width), np.uint8)
    high, wide = (round(side * case.share**0.5) or 512 for side in mask.shape)
    boxes = [((height - high) // 2, (width - wide) // 2)]
    if case.holes > 1:
        high = wide = 64
        spread = rng.integers(0, [height - 64, width - 64], (case.holes, 2))
        boxes = [(int(top), int(left)) for top, left in spread]
    for top, left in boxes:
        mask[top : top + high, left : left + wide] = 255
    Image.fromarray(mask).save(folder / "mask.png")


def measure(case: Case, folder: Path, steps: bool) -> None:
    """Fill the photo in this process and print its row, or the peaks of its steps."""
    import cv2  # noqa: F401 (all that is imported here counts as library)
    import jpeglib  # noqa: F401
    from PIL import ImageCms  # noqa: F401

    from inpaint_cli import images
    from inpaint_cli.filling import fill, photo
    from inpaint_cli.images import memory, write
    from inpaint_cli.models.choose import load_model

    model = load_model(case.model)
    before, start = held("VmRSS"), process_time()
    pixels = case.size[0] * case.size[1]
    if steps:
        for room, name in (
            (memory, "read_photo"),
            (images, "read_mask"),
            (fill.Attempt, "fill_region"),
            (images.Photo, "paste"),
            (write, "encode"),
            (write, "splice"),
        ):
            setattr(room, name, watch(getattr(room, name), before, pixels))
    filled = photo.fill(folder / f"photo{case.suffix}", folder / "mask.png", model=model)
    filled.save(folder / f"out{case.suffix}")
    if not steps:
        used = held() - before
        each = used * 2**20 / pixels
        print(f"| {case.describe()} | {each:.1f} | {used:.0f} | {process_time() - start:.1f} |")


def watch(step: Callable[..., Any], before: float, pixels: int) -> Callable[..., Any]:
    """Return `step`, printing the peak since it began."""

    def watched(*values: Any, **named: Any) -> Any:
        start = held("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins again
        result = step(*values, **named)
        numbers = (start, held(), held("VmRSS"))
        at, peak, end = ((mib - before) * 2**20 / pixels for mib in numbers)
        print(f"{step.__name__:12} begins {at:5.1f}, peak {peak:5.1f}, ends {end:5.1f}", flush=True)
        return result

    return watched


if __name__ == "__main__":
    main()
