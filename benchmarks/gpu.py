"""Check, time and train everything on a GPU, in minutes; all of it also runs on a CPU.

python benchmarks/gpu.py check -o FOLDER                      does everything run, and alike
python benchmarks/gpu.py speed [PHOTOS] -o FOLDER             images a second beside a bare loop
python benchmarks/gpu.py study NAME DATA -o FOLDER            what the papers' systems learn
python benchmarks/gpu.py faces DATA -o FOLDER                 sharp faces: trained, scored, split
python benchmarks/gpu.py join PARTS -o FILE                   puts split weights together
python benchmarks/gpu.py page -o FOLDER                       writes results/gpu.md of all that

Each stops after --minutes, prints a table, and goes on where it stopped if it is called again with
the same FOLDER. All but `work/` in FOLDER are small files, of 15 MB at most. PHOTOS is a folder or
a zip file of JPEGs; DATA is described in gpu_study.py.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from data import photos as make_photos
from loop import bare_steps, our_steps
from table import record

from inpaint_cli.api.architectures import Batch
from inpaint_cli.api.stages import Stage
from inpaint_cli.datasets.collection import Collection
from inpaint_cli.filling.photo import fill as fill_photo
from inpaint_cli.layers.backbones import stand_in_backbones
from inpaint_cli.models.choose import load_model
from inpaint_cli.models.network import fill_tensors
from inpaint_cli.models.weights import write_weights
from inpaint_cli.recipe.read import open_recipe
from inpaint_cli.registry import find_plugins, load_plugin
from inpaint_cli.runtime import devices
from inpaint_cli.training.build import Built, build_training
from inpaint_cli.training.feed import Feed
from inpaint_cli.training.memory import fixed_memory
from inpaint_cli.training.rehearsal import rehearse_stage
from inpaint_cli.training.speed import time_rounds

ROOT = Path(__file__).parents[1]
NAMES = [n for n in find_plugins("architectures") if load_plugin("architectures", n).trains()]
PRECISIONS = ("full", "bf16", "fp16")
CLOSE = 0.05  # relative difference of a first loss in reduced precision


@dataclass
class Sheet:
    """Rows that were measured already, one JSON line each, and the time that is left."""

    path: Path
    until: float
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    left: int = 0

    def __post_init__(self) -> None:
        if self.path.exists():
            lines = self.path.read_text("utf-8").splitlines()
            self.rows = {row["key"]: row for row in map(json.loads, lines)}

    def measure(self, key: str, run: Callable[[], Mapping[str, Any]]) -> None:
        """Add the row `key`, unless it is there or the time is over; what fails is a row too."""
        if key in self.rows:
            return
        if time.monotonic() > self.until:
            self.left += 1
            return
        begin = time.monotonic()
        try:
            row = dict(run())
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0]
            row = {"result": f"{type(error).__name__}: {reason}"[:200]}
        finally:
            release()
        row = {"key": key, **row, "seconds": round(time.monotonic() - begin, 1)}
        self.rows[key] = row
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), file=sys.stderr, flush=True)

    def table(self) -> str:
        """A column for everything that a row has."""
        columns = list(dict.fromkeys(k for row in self.rows.values() for k in row))
        lines = [f"| {' | '.join(columns)} |", f"| --- |{' ---: |' * (len(columns) - 1)}"]
        for row in self.rows.values():
            lines.append(f"| {' | '.join(str(row.get(c, '')) for c in columns)} |")
        if self.left:
            lines += ["", f"{self.left} rows were left for another call."]
        return "\n".join(lines)


def release() -> None:
    """Forget what Accelerate keeps in singletons, and what the device caches."""
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def describe_device(device: torch.device) -> str:
    """One line about the device, for the page."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, PyTorch {torch.__version__}"
    threads = torch.get_num_threads()
    many = "s" * (threads != 1)
    return f"{threads} thread{many} of a CPU, PyTorch {torch.__version__}; not measured on a GPU"


def build(name: str, size: int, *changes: str, batch: int = 16) -> Built:
    """A training by `faces-small`, without anything to download."""
    settings = [f"data.size={size}", f"batch={batch}", *changes]
    task = load_plugin("architectures", name).task.settings.model_fields
    settings += [f"architectures.{name}.task.vgg=none"] * ("vgg" in task)
    settings += [f"architectures.{name}.task.pretext=random"] * ("pretext" in task)
    with stand_in_backbones():
        return build_training(name, *open_recipe("faces-small", settings, None), steps=10**6)


def last_stage(built: Built) -> tuple[str, Stage]:
    """The stage that trains what fills, with the batch of the recipe."""
    stages = {name: stage for name, stage in built.stages.items() if stage.steps}
    name = "fill" if "fill" in stages else list(stages)[-1]
    return name, stages[name].model_copy(update={"batch": built.recipe.batch})


def noise(count: int, size: int, device: torch.device) -> Batch:
    """A batch of smooth noise with a hole in the middle."""
    rng = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 8, 8, generator=rng)
    image = torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear")
    mask = torch.zeros(count, 1, size, size)
    mask[..., size // 4 : size // 2, size // 4 : 3 * size // 4] = 1
    labels = torch.zeros(count, size, size, dtype=torch.long)
    return Batch(image.to(device), mask.to(device), labels.to(device))


def accelerate(device: torch.device, precision: str) -> Accelerator:
    release()
    mixed = "no" if precision == "full" else precision
    return Accelerator(cpu=device.type == "cpu", mixed_precision=mixed)


def ready(task: Any) -> None:
    """Let a stage begin although the stages before it were not trained."""
    for name in ("ready", "untrained"):
        if hasattr(task, name):
            setattr(task, name, name == "ready" or ())


def train(built: Built, steps: int, device: torch.device) -> dict[str, float]:
    """Take some steps of the last stage; return the losses of the first, and seconds a step."""
    name, stage = last_stage(built)
    ready(built.task)
    batch = noise(stage.batch or 1, built.recipe.data.size, device)
    stream = our_steps(built.task, {name: stage}, batch, accelerate(device, built.recipe.precision))
    first = {k: float(v) for k, v in next(stream).losses.items()}
    begin = time.perf_counter()
    *_, last = islice(stream, steps - 1)
    broken = [k for k, v in last.losses.items() if not torch.isfinite(v).all()]
    if broken:
        raise ArithmeticError(f"{broken[0]} is not finite after {steps} steps")
    return first | {"seconds": (time.perf_counter() - begin) / (steps - 1)}


# ---------------------------------------------------------------- check


def check(options: argparse.Namespace, device: torch.device) -> None:
    """Does everything run, and give the same."""
    sheet = Sheet(options.out / "check.jsonl", options.until)
    steps, size, batch = (20, 128, 16) if device.type == "cuda" else (3, 64, 2)
    if device.type == "cuda":
        sheet.measure("tests marked gpu", gpu_tests)
    for precision in PRECISIONS if device.type == "cuda" else PRECISIONS[:2]:
        for name in options.names:
            sheet.measure(
                f"{name} {precision}",
                lambda n=name, p=precision: check_precision(n, p, size, batch, steps, device),
            )
    for name in options.names:
        sheet.measure(f"{name} twice", lambda n=name: check_twice(n, size, batch, device))
    head = f"{steps} steps of each architecture at {size} px, batch {batch}, on "
    head += f"{describe_device(device)}. `loss`: of the first step, beside full precision. "
    head += "`memory`: the peak, as a multiple of what `--dry-run` says."
    finish(options, "check", f"{head}\n\n{sheet.table()}")


def gpu_tests() -> dict[str, str]:
    line = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "gpu", "tests"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    return {"result": done.stdout.strip().splitlines()[-1]}


def check_precision(
    name: str, precision: str, size: int, batch: int, steps: int, device: torch.device
) -> dict[str, Any]:
    """Whether it trains in a precision, its first losses beside those of full, and its memory."""
    built = build(name, size, f"precision={precision}", batch=batch)
    before = held_bytes(device)
    own = train(built, steps, device)
    row = {"result": "trains"}
    if device.type == "cuda":
        row["memory"] = f"{(peak_bytes(device) - before) / foreseen(built):.2f}"
    if precision != "full":
        full = train(build(name, size, batch=batch), 2, device)
        terms = full.keys() & own.keys() - {"seconds"}
        apart = sum(abs(own[k] - full[k]) for k in terms) / sum(abs(full[k]) for k in terms)
        row["loss"] = f"{apart:.1e}"
        if not apart < CLOSE:
            row["result"] = "trains, but its loss is far from full precision"
    return row


def foreseen(built: Built) -> float:
    """Bytes that an estimate has for the last stage."""
    name, stage = last_stage(built)
    return fixed_memory(built, {name: stage}).total + rehearse_stage(built, name).kept


def held_bytes(device: torch.device) -> float:
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0.0


def peak_bytes(device: torch.device) -> float:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0.0


def check_twice(name: str, size: int, batch: int, device: torch.device) -> dict[str, str]:
    """Whether two runs of a seed give the same bits where only such algorithms are allowed."""
    states = []
    with devices.choose_algorithms(deterministic=True):
        for _ in range(2):
            built = build(name, size, batch=batch)
            train(built, 3, device)
            states.append({k: v.cpu() for k, v in built.task.state_dict().items()})
    same = all(torch.equal(a, states[1][key]) for key, a in states[0].items())
    return {"result": "the same bits" if same else "other bits"}


# ---------------------------------------------------------------- speed


def speed(options: argparse.Namespace, device: torch.device) -> None:
    """Images a second of training and filling, beside the bare loop and the peak of the device."""
    sheet = Sheet(options.out / "speed.jsonl", options.until)
    sizes, batch = ((256, 512), 8) if device.type == "cuda" else ((64,), 2)
    precision = "bf16" if device.type == "cuda" else "full"
    peak = product_peak(device, precision)
    photos = options.photos
    for size in sizes:
        for name in options.names:
            sheet.measure(
                f"{name} {size}",
                lambda n=name, s=size: speed_of(n, s, batch, precision, peak, device),
            )
    with tempfile.TemporaryDirectory() as place:
        if photos is None:
            make_photos(Path(place))
        size = 256 if device.type == "cuda" else 64
        for name in options.names:
            sheet.measure(
                f"{name} {size} from JPEGs",
                lambda n=name: loader_share(n, size, batch, photos or Path(place), device, options),
            )
    big = (3000, 4000) if device.type == "cuda" else (480, 640)
    for name in options.names:
        sheet.measure(f"{name} fill {big[1]}x{big[0]}", lambda n=name: big_fill(n, big, device))
    head = f"On {describe_device(device)}; {precision}, batches of {batch}. A product of matrices "
    head += f"reaches {peak / 1e12:.2f} TFLOP/s; `peak` is the share of it that training reaches "
    head += "by the products that a rehearsal counts. `bare` is the loop without this project's "
    head += (
        "(goal: at least 0.85 of it on a GPU); `loader` the share of the time that a step waits "
    )
    head += "for JPEGs."
    finish(options, "speed", f"{head}\n\n{sheet.table()}")


def product_peak(device: torch.device, precision: str) -> float:
    """Operations a second of a large product of matrices."""
    side = 8192 if device.type == "cuda" else 1024
    dtype = devices.DTYPES.get(precision, torch.float32)
    a, b = (torch.rand(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / time_rounds(device, lambda: a @ b)


def speed_of(
    name: str, size: int, batch: int, precision: str, peak: float, device: torch.device
) -> dict[str, Any]:
    """Train, train barely, and fill."""
    steps = 10 if device.type == "cuda" else 1
    changes = [f"precision={precision}"]
    built = build(name, size, *changes, batch=batch)
    stage_name, stage = last_stage(built)
    ready(built.task)
    given = noise(batch, size, device)
    accelerator = accelerate(device, precision)
    stream = our_steps(built.task, {stage_name: stage}, given, accelerator)
    next(stream)
    ours = time_rounds(device, lambda: [*islice(stream, steps)]) / steps
    stream.close()
    other = build(name, size, *changes, batch=batch)
    ready(other.task)
    other.task.to(device)
    mixed = devices.autocast(device, precision) if precision != "full" else nullcontext()  # type: ignore[arg-type]
    bare = bare_steps(other.task, stage_name, given, mixed)
    plain = time_rounds(device, lambda: [*islice(bare, steps)]) / steps
    net, sizes = built.task.net.eval(), built.architecture.sizes(built.settings)

    def fill() -> None:
        with devices.autocast(device, precision):  # type: ignore[arg-type]
            fill_tensors(net, sizes, given.image, given.mask)

    filling = time_rounds(device, fill)
    row = {"images/s": f"{batch / ours:.1f}", "bare": f"{batch / plain:.1f}",
           "of bare": f"{plain / ours:.2f}", "fills/s": f"{batch / filling:.1f}"}  # fmt: skip
    work = rehearse_stage(build(name, size, *changes, batch=batch), stage_name).operations
    return row | {"peak": f"{work / ours / peak:.0%}"}


def loader_share(
    name: str,
    size: int,
    batch: int,
    photos: Path,
    device: torch.device,
    options: argparse.Namespace,
) -> dict[str, str]:
    """The share of the time that steps wait for images from files."""
    built = build(name, size, "data.train={kind: files}", "data.val=null", batch=batch)
    stage_name, stage = last_stage(built)
    stage = stage.model_copy(update={"labelled": False})
    ready(built.task)
    accelerator = accelerate(device, "bf16" if device.type == "cuda" else "full")
    images = Collection.at(built.inputs.train, photos)
    feed = Feed(
        images, built.inputs.masks, built.recipe, {stage_name: stage}, accelerator, options.workers,
        built.architecture.sizes(built.settings), detail=built.task.detail,
    )  # fmt: skip
    stream = our_steps(built.task, {stage_name: stage}, feed, accelerator)
    steps = 30 if device.type == "cuda" else 2
    next(stream)
    feed.waited, begin = 0.0, time.perf_counter()
    for _ in islice(stream, steps):
        pass
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    taken = time.perf_counter() - begin
    stream.close()
    return {"images/s": f"{steps * batch / taken:.1f}", "loader": f"{feed.waited / taken:.0%}"}


def big_fill(name: str, shape: tuple[int, int], device: torch.device) -> dict[str, str]:
    """Fill a large photo with a hole of a sixteenth, as `inpaint fill` does."""
    built = build(name, 128)
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    hole = np.zeros(shape, bool)
    hole[shape[0] // 4 : shape[0] // 2, shape[1] // 4 : shape[1] // 2] = True
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "weights.safetensors"
        write_weights(path, name, built.settings, built.task.net)
        model = load_model(path, device=str(device))
    seconds = time_rounds(device, lambda: fill_photo(rgb, mask=hole, model=model), rounds=1)
    row = {"result": f"{seconds:.2f} s"}
    return row | ({"memory": f"{peak_bytes(device) / 2**30:.1f} GiB"} if peak_bytes(device) else {})


# ---------------------------------------------------------------- the page


TITLES = {
    "check": "Does everything run",
    "speed": "Speed",
    "faces": "Sharp faces",
}


def finish(options: argparse.Namespace, name: str, text: str) -> None:
    """Keep a part of the page beside the results, and print it."""
    (options.out / f"{name}.md").write_text(text + "\n", "utf-8")
    print(text)


def page(options: argparse.Namespace) -> None:
    """Write results/gpu.md of the parts in FOLDER."""
    parts = []
    for path in sorted(options.out.glob("*.md")):
        title = TITLES.get(path.stem, f"Study: {path.stem.removeprefix('study-')}")
        parts.append(f"## {title}\n\n{path.read_text('utf-8').strip()}")
    record("gpu", "On a GPU", "\n\n".join(parts), command="python benchmarks/gpu.py COMMAND")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, minutes in (("check", 2), ("speed", 2), ("study", 5), ("faces", 10)):
        command = commands.add_parser(name)
        command.add_argument("--minutes", type=float, default=minutes)
        command.add_argument("--device", default="auto")
        command.add_argument("--workers", type=int, default=8)
        command.add_argument("-o", dest="out", type=Path, required=True)
        if name == "speed":
            command.add_argument("photos", type=Path, nargs="?")
        if name == "study":
            command.add_argument("system")
        if name in ("study", "faces"):
            command.add_argument("data", type=Path)
            command.add_argument("--size", type=int)
        else:
            command.add_argument("--names", type=lambda text: text.split(","), default=NAMES)
    joiner = commands.add_parser("join")
    joiner.add_argument("parts", type=Path)
    for command in (joiner, commands.add_parser("page")):
        command.add_argument("-o", dest="out", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.command == "join":
        from gpu_study import join_parts

        join_parts(options.parts, options.out)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    if options.command == "page":
        page(options)
        return
    options.until = time.monotonic() + 60 * options.minutes
    device = devices.choose_device(options.device)
    if options.command == "check":
        check(options, device)
    elif options.command == "speed":
        speed(options, device)
    else:
        import gpu_study

        run: Callable[..., Iterator[str]] = getattr(gpu_study, options.command)
        name = "faces" if options.command == "faces" else f"study-{options.system}"
        finish(options, name, "\n".join(run(options, device, describe_device(device))))


if __name__ == "__main__":
    main()
