"""Every architecture learns four real faces by heart, in a few hundred steps at 64 pixels."""

import json
import shutil
from pathlib import Path

import pytest
from places import SHARED

from inpaint_cli.training.train import train

FACES = SHARED / "faces-test"
CLASSICAL = 17  # dB: what telea and ns, which learn nothing, have there
MARGIN = 3  # dB: other faces are learned so much worse or better
# the steps of each stage, and the PSNR of the hole that the first such runs came to, in whole dB
RUNS = {
    "gaussian": ({"count": 10, "learn": 500}, 45),
    "gmsrm": ({"memory": 100, "fill": 400}, 33),
    "lama": ({"fill": 500}, 33),
    "spn": ({"fill": 160, "finish": 20}, 33),
    "spl": ({"fill": 160, "finish": 20}, 30),
    "gated": ({"fill": 600}, 30),
    "spn-p": ({"fill": 120, "finish": 10}, 29),
    "pconv": ({"fill": 600, "finetune": 100}, 28),
    "mdrnets": ({"coarse": 400, "finetune": 50, "recon": 100, "fill": 300}, 26),
    "in2": ({"fill": 600}, 22),
}


@pytest.mark.slow
@pytest.mark.skipif(not FACES.is_dir(), reason="needs real faces beside this checkout")
@pytest.mark.parametrize("name", RUNS)
def test_four_faces_are_learned_by_heart(name, tmp_path):
    (tmp_path / "faces").mkdir()
    for face in sorted(FACES.glob("*.jpg"))[:4]:
        shutil.copy(face, tmp_path / "faces")
    steps, end = RUNS[name]
    whole = [f"architectures.{name}.stages.{stage}.steps={n}" for stage, n in steps.items()]
    batches = [f"architectures.{name}.stages.{stage}.batch=4" for stage in steps]
    recipe = [
        *("data.train={kind: files}", "data.val={kind: files}", "data.flip=false"),
        *("masks={kind: center}", "val_masks={kind: center}", "ema.decay=0.98", "every.save=5000"),
    ]
    folder = tmp_path / "run"
    train(
        name,
        "faces-small",
        tmp_path / "faces",
        run=folder,
        set=[*recipe, *whole, *batches],
        workers=0,
    )
    events = [json.loads(line) for line in Path(folder, "log.jsonl").read_text().splitlines()]
    scores = [event["scores"] for event in events if event["event"] == "validation"]
    assert scores[-1]["psnr-hole"] > end - MARGIN > CLASSICAL
