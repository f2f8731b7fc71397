"""What the parts of a research system give: variants trained alike on faces, and compared.

OMP_NUM_THREADS=1 python benchmarks/learning.py SYSTEM DATA -o FOLDER

DATA holds faces-train.zip, faces-test/, faces-hires/, masks/ and parsing/fasseg/. Trainings and
scores that FOLDER has are kept, and a training that was cut goes on. STUDIES is data: which
trainings there are, what begins from what, what is compared with what, on which photos and holes.
"""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from table import record

from inpaint_cli.api.tensors import to_uint8
from inpaint_cli.evaluation import bootstrap as statistics
from inpaint_cli.evaluation import protocols
from inpaint_cli.evaluation.samples import EvalSample, ModelResults, Photos, model_results
from inpaint_cli.files.write import atomic_path
from inpaint_cli.models.choose import load_model
from inpaint_cli.reports import contact_sheet as sheets

METRICS = {
    "psnr-hole": ("PSNR of holes, dB", 2, {"kind": "psnr", "region": "hole", "cap": 100}),
    "ssim-hole": ("SSIM of holes", 4, {"kind": "ssim", "region": "hole"}),
    "l1-hole": ("L1 of holes, %", 2, {"kind": "l1", "region": "hole"}),
}
HOW = """one after the other and with the same seed, on one thread of a CPU. Few steps: far from
converged; and without the terms of VGG, whose weights were not available. After each value stands
the mean paired difference from the row that it is compared with, and its 95 % bootstrap interval.
Scored by `inpaint eval --features none`."""
RECIPES = Path(__file__).parent / "recipes"
SAMPLES, DRAWN = 5, 24  # fills of a photo by what draws at random, and photos


@dataclass(frozen=True)
class Training:
    """`inpaint train`; settings of `model`, `task` and `stages` are those of the architecture."""

    architecture: str
    settings: str = ""  # in which it differs from the study's recipe
    init: Sequence[str] = ()  # "NAME" or "PART=NAME": from the weights of another training
    data: str = "faces-train.zip"

    def arguments(self, name: str, recipe: str, runs: str = "", data: str = "") -> list[str]:
        line = ["train", self.architecture, recipe, "--data", data + self.data]
        line += ["--run", runs + name, "--workers", "0"]
        for item in self.init:
            part, equals, source = item.rpartition("=")
            line += ["--init", f"{part}{equals}{runs}{source}/weights.safetensors"]
        for setting in shlex.split(self.settings):
            own = setting.startswith(("model.", "task.", "stages."))
            line += ["--set", f"architectures.{self.architecture}.{setting}" if own else setting]
        return line


@dataclass(frozen=True)
class Variant:
    """A row of the tables: a training, what it is to be better than, and how it sees photos."""

    training: str
    against: str | None = None
    options: Sequence[str] = ()  # of `inpaint eval`


@dataclass(frozen=True)
class Test:
    """Photos and holes. Columns are the protocol's bins or shapes."""

    title: str
    protocol: Mapping[str, Any]
    masks: str = ""  # arguments of `inpaint masks gen`; "": the masks of DATA
    photos: str = "faces-test"
    shown: int = 6  # rows of the sheet
    cell: int = 192  # pixels of the sheet for a picture

    @property
    def columns(self) -> Sequence[str]:
        return self.protocol.get("shapes") or self.protocol["bins"]

    @property
    def made(self) -> str:
        return f", masks by `inpaint masks gen {self.masks}`" if self.masks else ""


@dataclass(frozen=True)
class Study:
    title: str
    recipe: str  # of the folder `recipes` here
    trainings: Mapping[str, Training]
    variants: Mapping[str, Variant]
    tests: Mapping[str, Test]
    drawing: Sequence[str] = ()  # variants that draw at random
    explained: Mapping[str, int] = field(default_factory=dict)  # trainings, and how much of what
    # `inpaint explain` shows of them goes on a sheet


UPON = ("coarse=coarse", "parser=parser")
NO_FILL = "stages.recon.steps=0 stages.fill.steps=0"
PARSED = "stages.parser.steps=0"
NO_MEMORY = "stages.memory.steps=0"
THIRDS = Test(
    "64 px, by the share of the hole",
    {"size": 64, "fit": "cover", "bins": ["[1, 20]", "(20, 40]", "(40, 60]"], "per_bin": True},
)
SHAPED = Test(
    "faces-test, height x width, holes of 20-30 %",
    {"shapes": ["96x96", "144x192", "192x144", "192x108"]},  # IN2's table 5 by 3/16
    "--ratio 20-30 --count 124 --size 192 --seed 7",
    shown=8,
)
RATES = ["5e-4", "1e-3", "2e-3"]

STUDIES = {
    "mdrnets": Study(
        "MDRNets: the memory and the enhancement of masked regions",
        "learning-mdrnets.yaml",
        {
            "coarse": Training("pconv"),
            "parser": Training(
                "mdrnets",
                f"{NO_FILL} task.labels=fasseg data.val=null data.zoom='[1.0, 1.6]' "
                "data.train='{kind: files, labels: \"{}.png\"}'",
                data="parsing/fasseg",
            ),
            "neither": Training("mdrnets", f"{PARSED} model.dmm=false model.mrem=false", UPON),
            "memory": Training("mdrnets", f"{PARSED} model.mrem=false", UPON),
            "full": Training("mdrnets", PARSED, UPON),
        },
        {
            "coarse": Variant("coarse"),
            "without DMM and MREM": Variant("neither", "coarse"),
            "without MREM": Variant("memory", "without DMM and MREM"),
            "full": Variant("full", "without MREM"),
        },
        {"bins": THIRDS},
        explained={"full": 4},
    ),
    "gmsrm": Study(
        "GM-SRM: the generative memory, conditional noise, progressive reasoning",
        "learning-gmsrm.yaml",
        {
            "memory": Training("gmsrm", "stages.fill.steps=0"),
            "base": Training("gmsrm", f"{NO_MEMORY} model.memory=false"),
            "bm": Training(
                "gmsrm", f"{NO_MEMORY} model.noise=random model.progressive=false", ["memory"]
            ),
            "csv": Training("gmsrm", f"{NO_MEMORY} model.progressive=false", ["memory"]),
            "srm": Training("gmsrm", NO_MEMORY, ["memory"]),
        },
        {
            "Base": Variant("base"),
            "GM-BM": Variant("bm", "Base"),
            "GM-CSV": Variant("csv", "GM-BM"),
            "GM-SRM": Variant("srm", "GM-CSV"),
        },
        {
            "center": Test(
                "64 px, the middle half of the picture",
                {"size": 64, "fit": "cover", "bins": ["[49, 50]"]},
                "center --count 1 --size 64 --set area=0.5",
            ),
            "irregular": Test(
                "64 px, irregular holes",
                {"size": 64, "fit": "cover", "bins": ["(40, 60]"], "per_bin": True},
            ),
        },
        drawing=["GM-BM", "GM-CSV", "GM-SRM"],
        explained={"memory": 2},
    ),
    "in2": Study(
        "IN2: trained on squares or on shapes, tested on shapes",
        "learning-in2.yaml",
        {
            "margins": Training("in2", "data.fit=margins"),
            "cover": Training("in2", "data.fit=cover"),
            "lama": Training("lama", "data.fit=cover"),
        },
        {
            "lama direct": Variant("lama"),
            "lama resized": Variant("lama", "lama direct", ["--resize", "96"]),
            "in2 on squares": Variant("cover", "lama direct"),
            "in2 adaptive": Variant("margins", "in2 on squares"),
        },
        {
            "shapes": SHAPED,
            "hires": Test(
                "faces-hires, 1024 px, holes of 20-30 %",
                {"size": 1024, "fit": "cover", "bins": ["(20, 30]"], "per_bin": True},
                photos="faces-hires",
                shown=3,
                cell=512,
            ),
        },
    ),
    "in2-rate": Study(
        "IN2: the learning rate, on squares and on shapes",
        "learning-in2.yaml",
        {
            f"{fit} at {rate}": Training(
                "in2", f"data.fit={fit} stages.fill.steps=300 stages.fill.optimizer.lr={rate}"
            )
            for fit in ("cover", "margins")
            for rate in RATES
        },
        {
            f"{name} at {rate}": Variant(
                f"{fit} at {rate}", None if rate == RATES[0] else f"{name} at {RATES[0]}"
            )
            for fit, name in (("cover", "squares"), ("margins", "adaptive"))
            for rate in RATES
        },
        {"shapes": SHAPED},
    ),
    "spn": Study(
        "SPN: the prior loss and the pyramid",
        "learning-spn.yaml",
        {
            "spn": Training("spn"),
            "no-prior": Training("spn", "task.pretext=none"),
            "no-pyramid": Training("spn", "model.pyramid=false"),
            "pconv": Training("pconv"),
        },
        {
            "SPN": Variant("spn"),
            "without the prior loss": Variant("no-prior", "SPN"),
            "without the pyramid": Variant("no-pyramid", "SPN"),
            "pconv": Variant("pconv", "SPN"),
        },
        {"bins": THIRDS},
    ),
}


@dataclass(frozen=True)
class Bench:
    """A study at work between the folders `data` and `out`."""

    study: Study
    data: Path
    out: Path
    device: str = "cpu"

    def weights(self, name: str) -> Path:
        """Of a training, after whatever it begins from; its report is what it writes last."""
        run, training = self.out / name, self.study.trainings[name]
        for item in training.init:
            self.weights(item.rpartition("=")[2])
        if not (run / "report.html").exists():
            line = training.arguments(
                name, str(RECIPES / self.study.recipe), f"{self.out}/", f"{self.data}/"
            )
            inpaint(*line, *(["--resume"] if run.exists() else []))
        return run / "weights.safetensors"

    def masks(self, test: str) -> Path:
        arguments, folder = self.study.tests[test].masks, self.out / f"masks-{test}"
        if arguments and not folder.exists():
            inpaint("masks", "gen", *shlex.split(arguments), "-o", str(folder))
        return folder if arguments else self.data / "masks"

    def protocol(self, test: str, **more: Any) -> Path:
        path = self.out / f"protocol-{test}.yaml"
        of = self.study.tests[test]
        metrics = {name: settings for name, (_, _, settings) in METRICS.items()}
        keys = {"summary": of.title, **of.protocol, **more, "metrics": metrics}
        with atomic_path(path) as temporary:
            temporary.write_text(yaml.safe_dump(keys), "utf-8")
        return path

    def scores(self, variant: str, test: str) -> list[dict[str, Any]]:
        """What `inpaint eval` finds for each image."""
        chosen = self.study.variants[variant]
        folder = self.out / f"scores-{test}-{variant.replace(' ', '-')}"
        if not (folder / "result.json").exists():
            line = ["eval", "--weights", str(self.weights(chosen.training)), *chosen.options]
            line += ["--data", str(self.data / self.study.tests[test].photos)]
            line += ["--masks", str(self.masks(test)), "--protocol", str(self.protocol(test))]
            inpaint(*line, "--features", "none", "--device", self.device, "-o", str(folder))
        return json.loads((folder / "result.json").read_text("utf-8"))["images"]

    def cases(self, variant: str, test: str, **more: Any) -> ModelResults:
        """The very photos, holes and fills that were scored."""
        chosen = self.study.variants[variant]
        resize = dict(zip(chosen.options[::2], chosen.options[1::2], strict=True)).get("--resize")
        return model_results(
            self.weights(chosen.training),
            Photos(self.data / self.study.tests[test].photos),
            self.masks(test),
            protocols.read_protocol(str(self.protocol(test, **more)), features="none").protocol,
            seed=0,
            device=self.device,
            resize=int(resize) if resize else None,
        )

    def tables(self, test: str) -> Iterator[str]:
        """A table for each metric."""
        columns, variants = self.study.tests[test].columns, self.study.variants
        found = {name: self.scores(name, test) for name in variants}
        for metric, (title, digits, _) in METRICS.items():
            yield f"| {title} | compared with | {' | '.join(columns)} |"
            yield f"| --- | --- |{' ---: |' * len(columns)}"
            for name, variant in variants.items():
                cells = []
                for column in columns:
                    own = picked(found[name], metric, column)
                    cell = f"{own.mean():.{digits}f}"
                    if variant.against:
                        other = picked(found[variant.against], metric, column)
                        cell += f", {gain(own - other, digits)}"
                    cells.append(cell)
                yield f"| {name} | {variant.against or ''} | {' | '.join(cells)} |"
            yield ""

    def sheet(self, test: str) -> Path:
        """Some of the photos: the hole, what each variant made, the truth."""
        of = self.study.tests[test]
        found = {name: self.scores(name, test) for name in self.study.variants}
        fills = {name: self.cases(name, test) for name in self.study.variants}
        count = len(next(iter(found.values())))
        rows = []
        for n in np.linspace(0, count - 1, of.shown).astype(int):
            row = []
            for name, cases in fills.items():
                psnr = found[name][n]["psnr-hole"]
                row.append((to_uint8(cases[n].fills[0][0]), f"{name}: {psnr:.1f} dB"))
            case = next(iter(fills.values()))[n]
            hole, truth = case.mask[0, 0].numpy(), to_uint8(case.truth[0])
            rows.append([(sheets.overlay_hole(truth, hole), "hole"), *row, (truth, "truth")])
        page = sheets.contact_sheet(rows, cell=of.cell, heading=f"{self.study.title}: {of.title}")
        page.save(self.out / f"sheet-{test}.png")
        return self.out / f"sheet-{test}.png"

    def explained(self, test: str) -> Path:
        """What networks make of some photos on their way, as `inpaint explain` shows it."""
        rows = []
        for training, count in self.study.explained.items():
            model = load_model(self.weights(training), device="cpu")
            cases = self.cases(next(iter(self.study.variants)), test)
            for n in range(0, len(cases.names), len(cases.names) // 6):
                case = cases[n]
                truth, hole = to_uint8(case.truth[0]), case.mask[0, 0].numpy()
                rgb = case.truth[0].permute(1, 2, 0).numpy()
                pictures = model.filler.explain(rgb, hole, np.random.default_rng([0, n]))
                shown = sheets.overlay_hole(truth, hole)
                rows.append([(shown, training), *pictures[:count], (truth, "truth")])
        page = self.out / "sheet-explained.png"
        sheets.contact_sheet(rows, cell=192, heading=self.study.title).save(page)
        return page

    def spreads(self, test: str) -> Iterator[str]:
        """How far samples are apart, of what draws at random."""
        title = self.study.tests[test].title
        for name in self.study.drawing:
            cases = self.cases(name, test, samples=SAMPLES, best="psnr-hole")
            found = [apart(cases[n]) for n in range(DRAWN)]
            inside, outside = (np.array(values) for values in zip(*found, strict=True))
            yield (
                f"- {name}: any two of {SAMPLES} samples differ by {inside.mean():.2f} of 255 in "
                f"the hole on average ({inside.min():.2f} to {inside.max():.2f} by photo, {DRAWN} "
                f"photos, {title}), and by {outside.max():g} outside it."
            )

    def commands(self) -> Iterator[str]:
        """How all was trained, in FOLDER beside what DATA holds."""
        for name, training in self.study.trainings.items():
            line = "    inpaint"
            for word in (
                shlex.join(training.arguments(name, f"benchmarks/recipes/{self.study.recipe}"))
                .replace(" --", "\n--")
                .split("\n")
            ):
                if len(line) + len(word) > 96:
                    yield f"{line} \\"
                    line = "     "
                line += f" {word}"
            yield line


def apart(case: EvalSample) -> tuple[float, float]:
    """Mean absolute difference of two fills in the hole, and the largest outside, of 255."""
    pairs = [(a - b).abs().mean(1)[0] for a, b in combinations(case.fills, 2)]
    each, hole = 255 * torch.stack(pairs), case.mask[0, 0]
    return float(each[:, hole].mean()), float(each[:, ~hole].max())


def inpaint(*arguments: str) -> None:
    print("$ inpaint", shlex.join(arguments), file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "inpaint_cli", *arguments], check=True, stdout=2)


def picked(images: Sequence[Mapping[str, Any]], metric: str, column: str) -> np.ndarray:
    """The scores of those that a column counts; the names of shapes end in their shape."""
    return np.array(
        [
            image[metric]
            for image in images
            if protocols.in_column(column, image["ratio"], image["name"].rpartition(" ")[2])
        ]
    )


def gain(differences: np.ndarray, digits: int) -> str:
    """The mean, and 95 % of its bootstrap."""
    low, high = statistics.confidence_interval(differences, lambda drawn: drawn.mean(-1), 0)
    return f"{differences.mean():+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("system", choices=STUDIES)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", dest="out", type=Path, required=True)
    options = parser.parse_args()
    study, out = STUDIES[options.system], options.out
    out.mkdir(parents=True, exist_ok=True)
    bench = Bench(study, options.data, out)
    text: list[str] = []
    for name, test in study.tests.items():
        count = len(bench.scores(next(iter(study.variants)), name))
        text += [f"{test.title}: {count} cases{test.made}.", "", *bench.tables(name)]
        bench.sheet(name)
    text += [*bench.spreads(next(iter(study.tests))), ""]
    if study.explained:
        bench.explained(next(iter(study.tests)))
    text += [f"Trained as below, {HOW}", "", *bench.commands()]
    record(
        f"learning-{options.system}",
        study.title,
        "\n".join(text),
        command=f"OMP_NUM_THREADS=1 python benchmarks/learning.py {options.system} DATA -o FOLDER",
    )


if __name__ == "__main__":
    main()
