"""Which architecture learns most in little time: all trained alike on faces at 64 px.

OMP_NUM_THREADS=1 python benchmarks/bakeoff.py DATA -o FOLDER [--seconds 120]

A few steps of each are timed first, on the processor's clock; then each trains as many as fit into
the same time. DATA holds faces-train.zip, faces-test/ and masks/.
"""

import argparse
import json
import resource
from pathlib import Path

import numpy as np
from learning import gain, inpaint
from table import record

ARCHITECTURES = {  # and the stage that gets the time
    "gaussian": "learn",
    "pconv": "fill",
    "gated": "fill",
    "lama": "fill",
    "in2": "fill",
    "spn": "fill",
}
OTHERS = {"pconv": ("finetune",), "spn": ("finish",)}  # stages left out
TIMED = 10  # steps
RARELY = ("every.validate=100000", "every.save=100000", "data.val_count=4")
METRICS = ("psnr-hole", "ssim-hole", "l1-hole", "seam")


def trained(name: str, data: Path, run: Path, steps: int) -> float:
    """Seconds of the processor that `steps` steps took, start and end included."""
    line = ["train", name, "faces-small", "--data", str(data / "faces-train.zip")]
    line += ["--run", str(run), "--workers", "0"]
    own = [f"stages.{ARCHITECTURES[name]}.steps={steps}"]
    own += [f"stages.{stage}.steps=0" for stage in OTHERS.get(name, ())]
    for setting in (*RARELY, *(f"architectures.{name}.{text}" for text in own)):
        line += ["--set", setting]
    before = spent()
    inpaint(*line)
    return spent() - before


def spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def scores(model: list[str], data: Path, folder: Path) -> dict[str, np.ndarray]:
    if not (folder / "result.json").exists():
        line = ["eval", *model, "--data", str(data / "faces-test"), "--masks", str(data / "masks")]
        inpaint(*line, "--size", "64", "--features", "none", "--device", "cpu", "-o", str(folder))
    images = json.loads((folder / "result.json").read_text("utf-8"))["images"]
    return {metric: np.array([image[metric] for image in images]) for metric in METRICS}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", dest="out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=120)
    options = parser.parse_args()
    data, out = options.data, options.out
    base = scores(["--model", "biharmonic"], data, out / "scores-biharmonic")
    rows = [row("biharmonic", "", base, base)]
    for name in ARCHITECTURES:
        run = out / name
        if not (run / "report.html").exists():
            start = trained(name, data, out / f"{name}-start", 1)
            more = trained(name, data, out / f"{name}-timed", 1 + TIMED)
            steps = max(TIMED, round(options.seconds * TIMED / max(more - start, 0.01)))
            trained(name, data, run, steps)
        last = json.loads((run / "log.jsonl").read_text("utf-8").splitlines()[-1])
        found = scores(
            ["--weights", str(run / "weights.safetensors")], data, out / f"scores-{name}"
        )
        rows.append(row(name, f"{last['step']}", found, base))
    table = [
        f"Each trained for {options.seconds:g} s of one processor at 64 px by "
        "`inpaint train NAME faces-small`, with pixels alone or mostly (`gaussian` has counted "
        "2,560 photos before); then "
        f"{len(base['seam'])} test faces under irregular masks of 0-60 %.",
        "",
        "| architecture | steps | hole PSNR, dB | over biharmonic | hole SSIM | L1, % | seam, % |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *rows,
    ]
    record(
        "bakeoff",
        "Which architecture learns most in little time",
        "\n".join(table),
        command="OMP_NUM_THREADS=1 python benchmarks/bakeoff.py DATA -o FOLDER "
        f"--seconds {options.seconds:g}",
    )


def row(name: str, steps: str, found: dict[str, np.ndarray], base: dict[str, np.ndarray]) -> str:
    means = {metric: np.nanmean(values) for metric, values in found.items()}
    better = "" if found is base else gain(found["psnr-hole"] - base["psnr-hole"], 2)
    cells = (f"{means[m]:.4g}" for m in ("ssim-hole", "l1-hole", "seam"))
    return f"| {name} | {steps} | {means['psnr-hole']:.2f} | {better} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
