"""The long commands of gpu.py: the papers' studies, and sharp faces. Imported by it.

DATA holds faces-train.zip or faces-128.zip, faces-test/, masks/ and, for the study of mdrnets,
parsing/ or parsing.zip. Folders that a test needs and that are missing leave the test out.
"""

import argparse
import hashlib
import json
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import box
import learning
import numpy as np
import torch
from learning import STUDIES, Bench, Study, Training
from torch import Tensor

from inpaint_cli.evaluation import protocols
from inpaint_cli.evaluation.samples import Photos, model_results
from inpaint_cli.layers.backbones import stand_in_backbones
from inpaint_cli.models.choose import ModelRef
from inpaint_cli.recipe.read import open_recipe
from inpaint_cli.registry import load_plugin
from inpaint_cli.reports import contact_sheet as sheets
from inpaint_cli.training.build import Built, build_training
from inpaint_cli.training.speed import time_rounds

RIDGE = 0.01  # of the classifier, as a share of the mean square of features
PART = 15_000_000  # bytes of a part of a weights file
SPENT = 0.6  # share of the minutes of a study that its trainings take; scores take the rest
PHOTOS = ("faces-train.zip", "faces-128.zip")


# ---------------------------------------------------------------- the papers' studies


def study(options: argparse.Namespace, device: torch.device, where: str) -> Iterator[str]:
    """Train the variants of a study for equal steps, score them, and yield its page."""
    size = options.size or (128 if device.type == "cuda" else 64)
    work = options.out / "work" / f"{options.system}-{size}"
    data = prepare_data(options.data, work)
    chosen = fit_study(STUDIES[options.system], data, size)
    steps = plan_steps(chosen, work, options, device)
    bench = Bench(at_length(chosen, steps), data, work, device=device.type)
    bench.out.mkdir(parents=True, exist_ok=True)
    total = {name: sum(stages.values()) for name, stages in steps.items()}
    yield f"{chosen.title}, on {where}. Steps by training: {total}, fitted to the minutes of the "
    yield "first call (`steps.json`): far from the papers' steps. After each "
    yield "value stands the mean paired difference from the row that it is compared with, and its "
    yield "95 % bootstrap interval. Without the terms of VGG."
    yield ""
    for name, test in chosen.tests.items():
        for variant in chosen.variants:
            bench.scores(variant, name)
        count = len(bench.scores(next(iter(chosen.variants)), name))
        yield f"{test.title}: {count} cases{test.made}."
        yield ""
        yield from bench.tables(name)
        page = bench.sheet(name)
        (options.out / f"{options.system}-{page.name}").write_bytes(page.read_bytes())


def prepare_data(data: Path, work: Path) -> Path:
    """Return a folder with the names that studies expect, of links to what DATA holds."""
    place = work / "data"
    place.mkdir(parents=True, exist_ok=True)
    names = {path.name: path for path in data.resolve().iterdir()}
    for name in PHOTOS:
        if name in names:
            names.setdefault(PHOTOS[0], names[name])
    for name, path in names.items():
        if not (place / name).exists():
            (place / name).symlink_to(path)
    if "parsing.zip" in names and not (place / "parsing").exists():
        with zipfile.ZipFile(names["parsing.zip"]) as archive:
            archive.extractall(place)
    return place


def fit_study(chosen: Study, data: Path, size: int) -> Study:
    """Return a study at `size` pixels, with the tests whose photos are there."""
    trainings = {
        name: replace(training, settings=f"data.size={size} {training.settings}")
        for name, training in chosen.trainings.items()
    }
    tests = {}
    for name, test in chosen.tests.items():
        if (data / test.photos).exists():
            protocol = dict(test.protocol)
            protocol |= {"size": size} if protocol.get("size") == 64 else {}
            title, masks = (x.replace("64", str(size)) for x in (test.title, test.masks))
            tests[name] = replace(test, protocol=protocol, title=title, masks=masks)
    return replace(chosen, trainings=trainings, tests=tests)


def plan_steps(
    chosen: Study, work: Path, options: argparse.Namespace, device: torch.device
) -> dict[str, dict[str, int]]:
    """Return the steps of each stage of each training: the recipe's, all times one factor.

    The factor is such that all trainings take their share of the minutes; it is kept in a file, so
    that a later call goes on with the same.
    """
    path = work / "steps.json"
    if path.exists():
        return json.loads(path.read_text("utf-8"))
    seconds, planned = 0.0, {}
    for name, training in chosen.trainings.items():
        built = build_study(chosen, training)
        planned[name] = {stage: s.steps for stage, s in built.stages.items() if s.steps}
        seconds += sum(time_stage(built, stage, device) * n for stage, n in planned[name].items())
    factor = SPENT * 60 * options.minutes / seconds
    steps = {
        name: {stage: max(round(n * factor), 2) for stage, n in stages.items()}
        for name, stages in planned.items()
    }
    path.write_text(json.dumps(steps), "utf-8")
    return steps


def build_study(chosen: Study, training: Training) -> Built:
    """The training of a study as `inpaint train` would build it."""
    line = training.arguments("", "")
    changes = [value for key, value in pairwise(line) if key == "--set"]
    with stand_in_backbones():
        recipe = str(learning.RECIPES / chosen.recipe)
        return build_training(training.architecture, *open_recipe(recipe, changes, None))


def time_stage(built: Built, name: str, device: torch.device) -> float:
    """Seconds of a step of the stage `name`."""
    from gpu import accelerate, noise, ready
    from loop import our_steps

    stage = built.stages[name]
    ready(built.task)
    batch = noise(stage.batch or 1, built.recipe.data.size, device)
    with_long = stage.model_copy(update={"steps": 10**6})
    accelerator = accelerate(device, built.recipe.precision)
    stream = our_steps(built.task, {name: with_long}, batch, accelerator)
    next(stream)
    taken = time_rounds(device, lambda: [*islice(stream, 2)], rounds=1) / 2
    stream.close()
    return taken


def at_length(chosen: Study, steps: Mapping[str, Mapping[str, int]]) -> Study:
    """Return a study whose trainings have so many steps in each stage."""
    trainings = {}
    for name, training in chosen.trainings.items():
        lengths = [f"stages.{stage}.steps={count}" for stage, count in steps[name].items()]
        trainings[name] = replace(training, settings=" ".join([training.settings, *lengths]))
    return replace(chosen, trainings=trainings)


# ---------------------------------------------------------------- sharp faces


def faces(options: argparse.Namespace, device: torch.device, where: str) -> Iterator[str]:
    """Train `portrait` from the weights in the box, score both, and split the new weights."""
    sizes = [options.size] if options.size else [128, 256]
    work, weights = options.out / "work", None
    work.mkdir(exist_ok=True)
    photos = next(options.data / name for name in PHOTOS if (options.data / name).exists())
    for size in sizes:
        share = 60 * options.minutes * (0.8 if size == max(sizes) else 0.4) / len(sizes)
        run = work / f"portrait-{size}"
        weights = train_portrait(photos, run, size, weights, share, options, device)
    if weights is None or not weights.exists():
        yield "Not one state was saved: give more --minutes."
        return
    count = None if device.type == "cuda" else 24
    refs = {"faces": ModelRef("faces", None), "portrait": ModelRef(None, str(weights))}
    found = {name: score_faces(ref, options.data, device, count) for name, ref in refs.items()}
    yield f"`portrait` beside `faces`, the weights in the box, on {where}; trained at "
    yield f"{' and '.join(map(str, sizes))} px. {len(found['faces'][0])} holes of 40-60 % in "
    yield "faces-test at 256 px. `gradient`: energy of the fill's gradient in the hole, as a "
    yield "multiple of the photo's own (goal: 0.8 to 1.2). `mistaken`: how often a linear "
    yield "classifier, which has not seen the pair, takes a fill for a photo or a photo for a "
    yield "fill, by an Inception network of random weights (50 %: it can only guess)."
    yield ""
    yield "| weights | hole PSNR, dB | gradient | mistaken, % |"
    yield "| --- | ---: | ---: | ---: |"
    for name, (rows, ids, _) in found.items():
        psnr, own, real = (np.array([row[key] for row in rows]) for key in ("psnr", "own", "real"))
        yield f"| {name} | {psnr.mean():.2f} | {own.sum() / real.sum():.2f} | {100 * ids:.1f} |"
    rows = [
        [(soft[0], "hole"), (soft[1], "faces"), (sharp[1], "portrait"), (soft[2], "truth")]
        for soft, sharp in zip(found["faces"][2], found["portrait"][2], strict=True)
    ]
    page = sheets.contact_sheet(rows, cell=160, heading="Sharp faces")
    page.save(options.out / "faces-sheet.png")
    half = work / "portrait.safetensors"
    learning.inpaint("weights", "export", str(weights), "-o", str(half), "--half", "--overwrite")
    split_file(half, options.out / "weights")


def train_portrait(
    photos: Path, run: Path, size: int, before: Path | None, seconds: float,
    options: argparse.Namespace, device: torch.device,
) -> Path:  # fmt: skip
    """Train for some seconds, or go on; a signal stops it, and it saves. Return its weights."""
    weights = run / "weights.safetensors"
    clock = run.with_suffix(".json")
    spent = json.loads(clock.read_text("utf-8"))["seconds"] if clock.exists() else 0.0
    if spent >= seconds - 5 and weights.exists():
        return weights
    recipe = "portrait-256" if before else "portrait"
    line = ["train", "portrait", recipe, "--data", str(photos), "--run", str(run), "--offline"]
    line += ["--workers", str(options.workers if device.type == "cuda" else 0)]
    line += ["--init", str(before) if before else "base=faces"]
    changes = {"data.size": size, "every.validate": 10**6, "every.save": 500}
    if device.type == "cuda":
        changes |= {"batch": 32, "precision": "bf16", "compute.channels_last": True}
    else:
        small = {"detail_width": 8, "detail_blocks": 1, "canvas": 32 * -(-size // 32)}
        changes |= {f"architectures.portrait.model.{k}": v for k, v in small.items()}
        changes |= {"batch": 4, "precision": "full", "every.save": 5, "data.val": "null"}
        changes |= {"architectures.portrait.task.critic": 8}
    for key, value in changes.items():
        line += ["--set", f"{key}={str(value).lower() if isinstance(value, bool) else value}"]
    line += ["--resume"] * run.exists()
    begin = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "inpaint_cli", *line], stdout=2)
    try:
        process.wait(max(seconds - spent, 5))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.wait(300)
    clock.write_text(json.dumps({"seconds": spent + time.monotonic() - begin}), "utf-8")
    return weights


def score_faces(
    ref: ModelRef, data: Path, device: torch.device, count: int | None
) -> tuple[list[dict[str, float]], float, list[tuple]]:
    """Scores of each hole of 40-60 %, how often they are mistaken, and some pictures."""
    protocol = protocols.read_protocol("house", features="none").protocol
    protocol = protocol.model_copy(update={"size": 256, "bins": ("[40, 60]",), "per_bin": True})
    cases = model_results(
        ref,
        Photos(data / "faces-test"),
        data / "masks",
        protocol,
        seed=0,
        device=device.type,
    )
    names = range(len(cases.names))[:: max(1, len(cases.names) // count) if count else 1]
    extractor = load_plugin("metrics", "u-ids").model_validate({"weights": "random"})
    rows, pictures, features = [], [], []
    for n in names:
        case = cases[n]
        fill, truth = case.fills[0], case.truth
        rows.append(
            {
                "psnr": float(box.METRICS["PSNR, dB"].score(fill, truth, case.mask)),
                "own": gradient_energy(fill, case.mask),
                "real": gradient_energy(truth, case.mask),
            }
        )
        levels = [(255 * x).round().to(torch.uint8) for x in (fill, truth)]
        features.append([extractor.features(x) for x in levels])
        if len(pictures) < 24:
            shown = [x[0].permute(1, 2, 0).numpy() for x in levels]
            pictures.append((sheets.overlay_hole(shown[1], case.mask[0, 0].numpy()), *shown))
    filled, real = (torch.cat([pair[k] for pair in features]) for k in (0, 1))
    return rows, separation(filled, real), pictures


def separation(filled: Tensor, real: Tensor) -> float:
    """The share of pictures that a linear classifier takes for the other kind, each pair left out.

    Ridge regression on centred features [N, C] of fills and of their photos. What it says of a pair
    when it has not seen it has a closed form: with K the inverse of its system, and y the answers,
    y minus K[pair, pair]^-1 (K y)[pair].
    """
    x = torch.cat([filled, real]).double().cpu()
    y = torch.cat([-torch.ones(len(filled)), torch.ones(len(real))]).double()
    x = x - x.mean(0)
    gram = x @ x.T
    inverse = torch.linalg.inv(gram / gram.diagonal().mean() + RIDGE * torch.eye(len(x)).double())
    answers, wrong = inverse @ y, 0
    for n in range(len(filled)):
        pair = torch.tensor([n, n + len(filled)])
        said = y[pair] - torch.linalg.solve(inverse[pair][:, pair], answers[pair])
        wrong += int((said.sign() != y[pair]).sum())
    return wrong / len(x)


def gradient_energy(image: Tensor, mask: Tensor) -> float:
    """Sum of the squared differences of neighbours [1, 3, H, W] that are both in the hole."""
    inside, total = mask.float(), 0.0
    for axis in (-2, -1):
        both = inside.narrow(axis, 1, inside.shape[axis] - 1)
        both = both * inside.narrow(axis, 0, inside.shape[axis] - 1)
        total += float((image.diff(dim=axis).square() * both).sum())
    return total


def split_file(path: Path, to: Path) -> None:
    """Cut a file into parts of at most `PART` bytes, beside a list with its hash."""
    to.mkdir(exist_ok=True)
    data = path.read_bytes()
    parts = [data[at : at + PART] for at in range(0, len(data), PART)]
    for n, part in enumerate(parts):
        (to / f"{n:03d}.part").write_bytes(part)
    facts = {"parts": len(parts), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (to / "parts.json").write_text(json.dumps(facts), "utf-8")


def join_parts(parts: Path, out: Path) -> None:
    """Put together what `split_file` cut. Raises `ValueError` where a part is wrong."""
    facts: dict[str, Any] = json.loads((parts / "parts.json").read_text("utf-8"))
    data = b"".join((parts / f"{n:03d}.part").read_bytes() for n in range(facts["parts"]))
    if hashlib.sha256(data).hexdigest() != facts["sha256"]:
        raise ValueError(f"the parts in {parts} do not give the file that was cut")
    out.write_bytes(data)
