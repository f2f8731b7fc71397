"""Networks that were trained here on faces at 64 px, against telea, under 40-60 % masks.

python benchmarks/faces.py FACES MASKS NAME=WEIGHTS...   (the table says how all of them were made)
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from table import record

METRICS = ("psnr-hole", "ssim-hole", "l1-hole", "seam")
TRAINED = "`inpaint train NAME faces-small --data faces-train.zip`"
MASKED = "`inpaint masks gen --ratio 40-60 --count 124 --size 64 --seed 7 -o MASKS`"


def scores(faces: Path, masks: Path, *model: str) -> dict[str, np.ndarray]:
    """Each image's score by each metric."""
    line = [sys.executable, "-m", "inpaint_cli", "eval", *model, "--data", str(faces)]
    line += ["--masks", str(masks), "--size", "64", "--features", "none", "--device", "cpu"]
    done = subprocess.run([*line, "--json"], stdout=subprocess.PIPE, check=True)
    images = json.loads(done.stdout)["images"]
    return {metric: np.array([image[metric] for image in images]) for metric in METRICS}


def interval(values: np.ndarray) -> str:
    """The mean, and 95 % of its bootstrap."""
    drawn = np.random.default_rng(0).choice(values, (2000, len(values))).mean(1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return f"{values.mean():+.2f} [{low:+.2f}, {high:+.2f}]"


def main() -> None:
    faces, masks, *trained = sys.argv[1:]
    models = {"telea": ("--model", "telea")}
    for item in trained:
        name, _, weights = item.partition("=")
        models[name] = ("--weights", weights)
    names = [name for name in models if name != "telea"]
    found = {name: scores(Path(faces), Path(masks), *model) for name, model in models.items()}
    rows = []
    for name, known in found.items():
        gain = interval(known["psnr-hole"] - found["telea"]["psnr-hole"])
        cells = " | ".join(f"{known[metric].mean():.4g}" for metric in METRICS)
        rows.append(f"| {name} | {cells} | {'' if name == 'telea' else gain} |")
    count = len(found["telea"]["psnr-hole"])
    table = [
        f"{count} test faces at 64 px, holes of 40-60 %. Trained on a CPU by {TRAINED}; masks by "
        f"{MASKED}; scored by `inpaint eval --weights WEIGHTS --data FACES --masks MASKS --size 64 "
        "--features none`. Gain: paired difference of hole PSNR, 95 % bootstrap interval.",
        "",
        "| model | hole PSNR dB | hole SSIM | hole L1 % | seam % | gain over telea, dB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *rows,
    ]
    record(
        "faces",
        "Networks trained on small faces",
        "\n".join(table),
        command=" ".join(
            ["python benchmarks/faces.py FACES MASKS", *(f"{name}=WEIGHTS" for name in names)]
        ),
    )


if __name__ == "__main__":
    main()
