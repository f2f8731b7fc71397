"""The memory that filling a large JPEG takes beyond the libraries, in bytes a pixel.

`python benchmarks/photo_memory.py [--steps] [--suffix .png]` makes a photo of 24 megapixels and a
mask of 18 % of it, and fills it with `telea` in a process of its own, as `inpaint fill` does.
`--steps` prints the largest memory of each step instead, and what is held when it ends.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from table import held

HEIGHT, WIDTH = 4000, 6000
PIXELS = HEIGHT * WIDTH
SHARE = 0.18  # of the photo that is hole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", action="store_true")
    parser.add_argument("--suffix", default=".jpg")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        measure(options.child, options.suffix, options.steps)
        return
    with tempfile.TemporaryDirectory() as folder:
        make_files(Path(folder), options.suffix)
        subprocess.run([sys.executable, *sys.argv, "--child", folder], check=True)


def make_files(folder: Path, suffix: str) -> None:
    """Write a smooth photo with some noise, and a mask with a rectangle in its middle."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (HEIGHT // 40, WIDTH // 40, 3), np.uint8))
    pixels = np.array(small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    pixels ^= rng.integers(0, 8, pixels.shape, np.uint8)
    Image.fromarray(pixels).save(folder / f"photo{suffix}", quality=92)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    high, wide = (round(side * SHARE**0.5) for side in mask.shape)
    top, left = (HEIGHT - high) // 2, (WIDTH - wide) // 2
    mask[top : top + high, left : left + wide] = 255
    Image.fromarray(mask).save(folder / "mask.png")


def measure(folder: Path, suffix: str, steps: bool) -> None:
    """Fill the photo in this process and print the peak."""
    import cv2  # noqa: F401 (all that is imported here counts as library)
    import jpeglib  # noqa: F401
    from PIL import ImageCms  # noqa: F401

    from inpaint_cli import images
    from inpaint_cli.filling import fill, photo
    from inpaint_cli.images import memory, write
    from inpaint_cli.models.choose import load_model

    load_model("telea")
    before = held("VmRSS")
    if steps:
        for room, name in (
            (memory, "read_photo"),
            (images, "read_mask"),
            (fill.Attempt, "fill_region"),
            (images.Photo, "paste"),
            (write, "encode"),
            (write, "splice"),
            (images, "verify"),
        ):
            setattr(room, name, watch(getattr(room, name), before))
    filled = photo.fill(folder / f"photo{suffix}", folder / "mask.png", model="telea")
    filled.save(folder / f"out{suffix}", verify=True)
    if not steps:
        print(f"{(held() - before) * 2**20 / PIXELS:.1f} bytes a pixel")


def watch(step: Callable[..., Any], before: float) -> Callable[..., Any]:
    """Return `step`, printing the peak since it began."""

    def watched(*values: Any, **named: Any) -> Any:
        start = held("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins again
        result = step(*values, **named)
        numbers = (start, held(), held("VmRSS"))
        at, peak, end = ((mib - before) * 2**20 / PIXELS for mib in numbers)
        print(f"{step.__name__:12} begins {at:5.1f}, peak {peak:5.1f}, ends {end:5.1f}", flush=True)
        return result

    return watched


if __name__ == "__main__":
    main()
