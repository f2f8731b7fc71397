"""The weights that come with the package against all that needs none, on test faces at 256 px.

OMP_NUM_THREADS=1 python benchmarks/box.py DATA [--model NAME|--weights FILE]
OMP_NUM_THREADS=2 python benchmarks/box.py DATA --time

DATA holds faces-test/ and masks/. Besides scores of holes: the step across the hole's edge, as a
multiple of the same step in the untouched photo, and how long `inpaint fill` takes in all.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch
from learning import gain
from PIL import Image
from table import record
from torch import Tensor
from tqdm import tqdm

from inpaint_cli.api.metrics import ImageMetric
from inpaint_cli.api.tensors import to_uint8
from inpaint_cli.evaluation import protocols
from inpaint_cli.evaluation.samples import Photos, model_results
from inpaint_cli.models.choose import ModelRef
from inpaint_cli.reports import contact_sheet as sheets
from inpaint_plugins.metrics.pixels import L1, PSNR
from inpaint_plugins.metrics.ssim import SSIM

PEERS = ("telea", "ns", "biharmonic", "patchmatch")
METRICS: dict[str, ImageMetric] = {
    "PSNR, dB": PSNR(region="hole"),
    "SSIM": SSIM(region="hole"),
    "L1, %": L1(region="hole"),
}
BINS = ["[0, 20)", "[20, 40)", "[40, 60]"]
SHOWN = 8  # photos of the sheet


def edge(image: Tensor, mask: Tensor) -> float:
    """Mean absolute step from visible pixels to neighbours in the hole, of `image` [1, 3, H, W]."""
    steps = [image.diff(dim=axis).abs().mean(1)[mask.diff(dim=axis)[:, 0]] for axis in (-2, -1)]
    return float(torch.cat(steps).mean())


def scored(model: str | None, weights: str | None, data: Path) -> tuple[list[dict], list[tuple]]:
    """Every case's scores, and some pictures."""
    protocol = protocols.read_protocol("house", features="none").protocol
    cases = model_results(
        ModelRef(model, weights),
        Photos(data / "faces-test"),
        data / "masks",
        protocol.model_copy(update={"size": 256, "bins": tuple(BINS), "per_bin": True}),
        seed=0,
        device="cpu",
    )
    rows, shown = [], []
    count = len(cases.names)
    for n in tqdm(range(count), desc=model or weights):
        case = cases[n]
        out, truth = ((x * 255).round().to(torch.uint8) for x in (case.fills[0], case.truth))
        row = {name: float(m.score(out, truth, case.mask)) for name, m in METRICS.items()}
        row["ratio"] = float(case.mask.double().mean())
        row["hq"] = float(not Path(cases.names[n]).name.startswith("celeba-"))
        row["edge"] = edge(case.fills[0], case.mask)
        row["edge of truth"] = edge(case.truth, case.mask)
        rows.append(row)
        if n % (count // SHOWN) == count // SHOWN - 1:
            shown.append(
                (to_uint8(case.truth[0]), case.mask[0, 0].numpy(), to_uint8(case.fills[0][0]))
            )
    return rows, shown


def tables(found: dict[str, list[dict]]) -> list[str]:
    picked = {
        name: {key: np.array([row[key] for row in rows]) for key in rows[0]}
        for name, rows in found.items()
    }
    ours = next(iter(picked.values()))
    bins = [
        np.array([protocols.in_column(column, r, "") for r in ours["ratio"]]) for column in BINS
    ]
    groups = ours["hq"] >= 0, ours["hq"] == 0, ours["hq"] == 1
    lines = ["Scores of holes: of all faces (of CelebA's, of CelebA-HQ's and FFHQ's).", ""]
    for metric in METRICS:
        lines += [f"| {metric} | {' % | '.join(BINS)} % |", "| --- |" + " ---: |" * 3]
        for name, values in picked.items():
            means = [[values[metric][where & group].mean() for group in groups] for where in bins]
            cells = [f"{a:.4g} ({b:.4g}, {c:.4g})" for a, b, c in means]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines.append("")
    large = bins[-1]
    lines += [
        "Gain in PSNR over each of the others, dB, holes of 40-60 %:",
        "",
        "| gain over | all faces | CelebA | CelebA-HQ and FFHQ |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name in PEERS:
        cells = []
        for group in groups:
            own, other = (x["PSNR, dB"][large & group] for x in (ours, picked[name]))
            cells.append(gain(own - other, 2))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        "Mean step across the edge of holes of 40-60 %, as a multiple of the untouched photos':",
        "",
        "| fill | edge step |",
        "| --- | ---: |",
    ]
    for name, values in picked.items():
        step = values["edge"][large].sum() / values["edge of truth"][large].sum()
        lines.append(f"| {name} | {step:.2f}x |")
    return lines


def timed(line: list[str], data: Path) -> str:
    """How long a fill takes from the start of Python, and one by `telea`."""
    own, telea = seconds(line, data), seconds(["--model", "telea"], data)
    return (
        f"`inpaint fill` on a photo of 256 px takes {own:.2f} s, start of Python included; with "
        f"`telea` {telea:.2f} s."
    )


def seconds(line: list[str], data: Path) -> float:
    """Of `inpaint fill` on a photo of 256 px, start of Python included; the median of five."""
    photo = min((data / "faces-test").iterdir())
    with tempfile.TemporaryDirectory() as folder:
        mask, out = Path(folder) / "mask.png", Path(folder) / "out.png"
        hole = np.zeros((256, 256), np.uint8)
        hole[64:192, 48:208] = 255
        Image.fromarray(hole).save(mask)
        taken = []
        for _ in range(5):
            start = perf_counter()
            command = [sys.executable, "-m", "inpaint_cli", "fill", str(photo), "--mask", str(mask)]
            subprocess.run(
                [*command, *line, "-o", str(out), "--overwrite"], check=True, capture_output=True
            )
            taken.append(perf_counter() - start)
    return median(taken)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="faces")
    parser.add_argument("--weights")
    parser.add_argument("--sheet", type=Path, help="Write a picture of some fills.")
    parser.add_argument("--time", action="store_true", help="Only time fills, and a peer's too.")
    options = parser.parse_args()
    line = ["--weights", options.weights] if options.weights else ["--model", options.model]
    if options.time:
        print(timed(line, options.data))
        return
    own = scored(None if options.weights else options.model, options.weights, options.data)
    others = {name: scored(name, None, options.data) for name in PEERS}
    if options.sheet:
        page = []
        for n, (truth, hole, fill) in enumerate(own[1]):
            peers = [(others[name][1][n][2], name) for name in PEERS]
            row = [(sheets.overlay_hole(truth, hole), "hole"), (fill, "faces"), *peers]
            page.append([*row, (truth, "truth")])
        sheets.contact_sheet(page, cell=160, heading="The weights that come with the package").save(
            options.sheet
        )
    found = {"faces": own[0], **{name: rows for name, (rows, _) in others.items()}}
    head = [
        "124 test faces of CelebA, CelebA-HQ and FFHQ at 256 px; three irregular masks a face, "
        "one of each bin. Gains are means of paired differences, with 95 % bootstrap intervals.",
        "",
    ]
    record(
        "box",
        "The weights that come with the package",
        "\n".join([*head, *tables(found), "", timed(line, options.data)]),
        command="OMP_NUM_THREADS=1 python benchmarks/box.py DATA",
    )


if __name__ == "__main__":
    main()
