"""patchmatch against the other fillers without weights, and against LaMa's forward for its time.

    python benchmarks/patchmatch.py SCENES MASKS [--limit N] [--sheet PATH]

Each photo (at most 512 pixels a side) gets one mask in turn, from those whose hole covers 20 to
30 % of it. Texture statistics are taken inside the hole, of luma:
- gradients: L1 distance of the histograms of gradient magnitudes (16 geometric bins)
- variance: mean |log ratio| of the sorted local variances (7 x 7), a quantile against its like
- seam: mean step across the hole's border, divided by the truth's (1: as sharp as the truth)
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import structural_similarity
from spandrel.architectures.LaMa import LaMa
from table import paired, record

from inpaint_cli.filling.fill import fill_array
from inpaint_cli.registry import load_plugin
from inpaint_cli.reports.contact_sheet import contact_sheet, overlay_hole

Picture = NDArray[np.float32]  # H W 3
Hole = NDArray[np.bool_]  # H W

NAMES = ("patchmatch", "telea", "ns", "biharmonic")
SIDE = 512
BINS = np.concatenate([[0], np.geomspace(1 / 255, 1.5, 16)])
COLUMNS = {  # a measure, and whether less of it is better
    "gradients": True,
    "variance": True,
    "PSNR": False,
    "SSIM": False,
    "seam": False,
}


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("scenes", type=Path)
    words.add_argument("masks", type=Path)
    words.add_argument("--limit", type=int, help="only so many photos, evenly spread")
    words.add_argument("--sheet", type=Path, help="write a contact sheet to this folder")
    given = words.parse_args()
    torch.set_num_threads(1)
    photos = sorted(p for p in given.scenes.iterdir() if p.suffix in {".jpg", ".png"})
    masks = fitting(given.masks)
    chosen = range(0, len(photos), max(1, len(photos) // (given.limit or len(photos))))
    nets = {name: filler(name) for name in NAMES}
    scores: dict[str, list[list[float]]] = {name: [] for name in NAMES}
    rows = []
    for n in list(chosen)[: given.limit]:
        image = shrunk(Image.open(photos[n]))
        hole = resized(masks[n % len(masks)], image)
        row = [(overlay_hole(bytes_of(image), hole), photos[n].stem)]
        for name, fill in nets.items():
            filled = fill(image, hole)
            scores[name].append(measured(filled, image, hole))
            texture = scores[name][-1][:2]
            row.append((bytes_of(filled), f"{name} {texture[0]:.2f} {texture[1]:.2f}"))
        rows.append([*row, (bytes_of(image), "truth")])
    record(
        "patchmatch",
        "Fills without weights",
        "\n\n".join([quality(scores), timing(nets, masks)]),
        command="python benchmarks/patchmatch.py SCENES MASKS",
    )
    if given.sheet:
        given.sheet.mkdir(parents=True, exist_ok=True)
        for n in range(0, len(rows), 8):
            contact_sheet(rows[n : n + 8], cell=384).save(given.sheet / f"patchmatch-{n // 8}.png")


def fitting(folder: Path) -> list[Hole]:
    """The masks in `folder` whose hole covers 20 to 30 %."""
    masks = [np.array(Image.open(path).convert("L")) > 127 for path in sorted(folder.glob("*.png"))]
    return [mask for mask in masks if 0.2 <= mask.mean() <= 0.3]


def shrunk(photo: Image.Image) -> Picture:
    photo = photo.convert("RGB")
    photo.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.array(photo, np.float32) / np.float32(255)


def resized(mask: Hole, image: Picture) -> Hole:
    height, width = image.shape[:2]
    return np.array(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))


def bytes_of(image: Picture) -> NDArray[np.uint8]:
    return np.rint(image.clip(0, 1) * 255).astype(np.uint8)


def filler(name: str) -> Callable[[Picture, Hole], Picture]:
    """Return the filler `name` as a function of arrays."""
    chosen = load_plugin("fillers", name)()

    def fill(image: Picture, hole: Hole) -> Picture:
        filled = image.copy()
        fill_array(chosen, filled, hole, np.random.default_rng(0))
        return filled

    return fill


def measured(filled: Picture, truth: Picture, hole: Hole) -> list[float]:
    """The numbers of COLUMNS, in their order."""
    (steps, variances), (true_steps, true_variances) = (
        texture(luma(image), hole) for image in (filled, truth)
    )
    similarity = structural_similarity(
        luma(filled), luma(truth), data_range=1, gaussian_weights=True, full=True
    )[1]
    error = float(((filled - truth)[hole] ** 2).mean())
    return [
        float(np.abs(steps - true_steps).sum()),
        float(np.abs(variances - true_variances).mean()),
        -10 * np.log10(max(error, 1e-10)),
        float(np.asarray(similarity)[hole].mean()),
        seam(filled, hole) / seam(truth, hole),
    ]


def luma(image: Picture) -> NDArray[np.float32]:  # H W
    return image @ np.array([0.299, 0.587, 0.114], np.float32)


def texture(grey: NDArray[np.float32], hole: Hole) -> tuple[NDArray, NDArray]:
    """The histogram of gradient magnitudes in the hole, and its sorted log local variances."""
    across, down = np.gradient(grey)
    histogram = np.histogram(np.hypot(across, down)[hole], BINS)[0] / hole.sum()
    mean = cv2.blur(grey, (7, 7))
    variance = np.maximum(cv2.blur(grey * grey, (7, 7)) - mean * mean, 0)
    return histogram, np.sort(np.log(variance[hole] + 1e-5))


def seam(image: Picture, hole: Hole) -> float:
    """Mean absolute step between neighbours of which one is in the hole."""
    across = np.abs(np.diff(image, axis=1))[hole[:, 1:] != hole[:, :-1]]
    down = np.abs(np.diff(image, axis=0))[hole[1:] != hole[:-1]]
    return float(np.concatenate([across, down]).mean())


def quality(scores: dict[str, list[list[float]]]) -> str:
    every = np.array([scores[name] for name in NAMES])  # names photos columns
    lines = [
        f"Inside the hole, mean over {every.shape[1]} photos; in brackets on how many of them"
        " patchmatch is better (of gradients and variance).",
        "",
        f"| | {' | '.join(COLUMNS)} |",
        f"| --- |{' ---: |' * len(COLUMNS)}",
    ]
    for name, its in zip(NAMES, every, strict=True):
        cells = [f"{value:.3f}" for value in its.mean(0)]
        for n, less in enumerate(COLUMNS.values()):
            if less and name != NAMES[0]:
                cells[n] += f" ({int((every[0, :, n] < its[:, n]).sum())})"
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def timing(nets: dict[str, Callable[[Picture, Hole], Picture]], masks: list[Hole]) -> str:
    """Seconds at 512 x 512, on the photo that scikit-image ships, with the middling mask."""
    from skimage import data

    image = shrunk(Image.fromarray(data.astronaut()))
    hole = resized(min(masks, key=lambda mask: abs(mask.mean() - 0.25)), image)
    network = LaMa(in_nc=4, out_nc=3).eval()
    visible = torch.from_numpy(image * ~hole[..., None]).permute(2, 0, 1)[None]
    mask = torch.from_numpy(hole).float()[None, None]

    def lama() -> None:
        with torch.inference_mode():
            network(visible, mask)

    torch.set_num_threads(2)
    times = paired(lama, *(lambda f=fill: f(image, hole) for fill in nets.values()), rounds=3)
    lines = [
        f"One photo of {SIDE} x {SIDE} with a hole of {hole.mean():.0%}, 2 threads, interleaved.",
        "",
        "| | median s | of LaMa's forward |",
        "| --- | ---: | ---: |",
    ]
    for name, seconds in zip(("LaMa (spandrel)", *nets), times, strict=True):
        lines.append(f"| {name} | {seconds:.2f} | {seconds / times[0]:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
