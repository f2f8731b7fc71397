"""The work of `fill` grows with the hole, not with the photo; its memory stays small.

A 12-megapixel photo with one hole of 200 x 200, and the 512 x 512 pixels around that hole as a
photo of their own: filling without decoding and encoding, in turn, medians. Memory is the peak of
a process of its own that reads, fills and writes the large one, less what it held once the model
was loaded. LaMa has random weights: its time does not depend on them.
"""

import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from skimage import data
from table import paired, record

import inpaint_cli
from inpaint_cli import images, registry
from inpaint_cli.models import weights

MODELS = ("telea", "patchmatch", "lama")
HEIGHT, WIDTH, SIDE = 3000, 4000, 200
TOP, LEFT = 1400, 1900  # of the hole


def main() -> None:
    """Measure the models named as arguments, or all."""
    torch.set_num_threads(2)
    with TemporaryDirectory() as folder:
        photo, hole, near, same = pictures(Path(folder))
        rows = [
            "| model | 12 MP (s) | 512 x 512 (s) | ratio | memory beyond the model (GB) |",
            "| --- | ---: | ---: | ---: | ---: |",
        ]
        for name in sys.argv[1:] or MODELS:
            chosen = model(name, Path(folder))
            loaded = inpaint_cli.load_model(chosen, device="cpu")
            large, small = paired(
                partial(inpaint_cli.fill, photo, hole, model=loaded),
                partial(inpaint_cli.fill, near, same, model=loaded),
                rounds=3,
            )
            peak = memory(Path(folder), chosen)
            rows.append(
                f"| {name} | {large:.2f} | {small:.2f} | {large / small:.2f} | {peak:.2f} |"
            )
    command = " ".join(["python benchmarks/fill.py", *sys.argv[1:]])
    record("fill", "Time and memory of a fill", "\n".join([__doc__ or "", *rows]), command=command)


def pictures(folder: Path):
    """The large photo and the one around the hole, with their holes; files in `folder`."""
    small = data.astronaut()
    pixels = np.pad(
        small, ((TOP, HEIGHT - TOP - 512), (LEFT, WIDTH - LEFT - 512), (0, 0)), "symmetric"
    )
    hole = np.zeros((HEIGHT, WIDTH), np.bool_)
    hole[TOP + 150 : TOP + 150 + SIDE, LEFT + 150 : LEFT + 150 + SIDE] = True
    Image.fromarray(pixels).save(folder / "photo.png", compress_level=1)
    Image.fromarray(hole).save(folder / "mask.png")
    Image.fromarray(small).save(folder / "near.png")
    around = hole[TOP : TOP + 512, LEFT : LEFT + 512]
    return (
        images.read_photo(folder / "photo.png"),
        hole,
        images.read_photo(folder / "near.png"),
        around,
    )


def model(name: str, folder: Path) -> str | Path:
    """What `load_model` takes; weights are made where they are needed."""
    if name in registry.find_plugins("fillers"):
        return name
    architecture = registry.load_plugin("architectures", name)
    settings, path = architecture.settings(), folder / f"{name}.safetensors"
    torch.manual_seed(0)
    weights.write_weights(path, name, settings, architecture.build(settings))
    return path


PROBE = """
import resource, sys
from pathlib import Path
import inpaint_cli

folder, chosen = sys.argv[1:]
model = inpaint_cli.load_model(chosen, device="cpu")
pages = int(Path("/proc/self/statm").read_text().split()[1])
filled = inpaint_cli.fill(Path(folder, "photo.png"), Path(folder, "mask.png"), model=model)
filled.save(Path(folder, "out.png"), overwrite=True)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print((peak - pages * resource.getpagesize()) / 1e9)
"""


def memory(folder: Path, chosen: str | Path) -> float:
    """Gigabytes at the peak beyond the loaded model, in a process of its own (Linux)."""
    args = [str(folder), str(chosen)]
    run = [sys.executable, "-c", PROBE, *args]
    return float(subprocess.run(run, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
