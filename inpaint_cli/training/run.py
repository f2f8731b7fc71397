"""What surrounds the training loop: its folder, log, validation, saving, stopping, going on."""

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from ..api.datasets import Dataset
from ..datasets.collection import Collection, describe_skipped
from ..errors import InpaintError, TrainingError
from ..models import choose as models
from ..models import weights
from ..recipe.plugins import Inputs, draw_trial_masks
from ..recipe.schema import Recipe
from ..recipe.source import RecipeSource
from ..registry import find_plugins, plugin_origin
from ..runtime.devices import choose_device
from . import checkpoint, validate
from .build import Built, build_training
from .checkpoint import RunFolder
from .ema import AveragedNetwork
from .feed import Feed
from .log import RunLog, print_message
from .loop import train_stages
from .saving import LossMeter, Saver

AGREE = 10  # steps at most, after which processes ask each other whether one was told to stop


@dataclass(frozen=True)
class TrainOptions:
    """What the command line adds to a recipe: where things lie, and how this run begins."""

    data: Path
    val_data: Path | None = None  # None: where the training images lie
    folder: Path | None = None  # None: runs/ARCHITECTURE-RECIPE
    resume: bool = False
    allow_changes: bool = False
    init: Sequence[str] = ()  # "FILE" for the whole network, "PART=FILE" for a part of it
    workers: int = 2
    tensorboard: bool = False
    command: str = ""  # as it was typed, to be noted
    steps: int | None = None  # of every stage, whatever the recipe says


@dataclass(frozen=True)
class TrainOutcome:
    """How a run ended."""

    folder: Path
    done: int
    interrupted: bool = False
    main: bool = True  # whether this process is the one that speaks


def run_training(
    name: str, recipe: Recipe, source: RecipeSource, options: TrainOptions
) -> TrainOutcome:
    """Train `name` by `recipe` until it is done or a signal stops it.

    A cut run that is resumed ends with the same bits as one that was never cut.
    """
    built = build_training(name, recipe, source, steps=options.steps)
    draw_trial_masks(built.recipe, built.inputs, source)
    accelerator = make_accelerator(built.recipe)
    for note in skipped_notes(built.inputs, options):
        print_message(note)
    train_set = Collection.at(built.inputs.train, options.data)
    validation = validate.build_validation(built, train_set, options.val_data)
    folder = RunFolder(options.folder or Path("runs") / run_name(built, source))
    state = latest_state(folder, options)
    built = built.skip_stages(state["skipped"]) if state else initialise_parts(built, options)
    facts = {"images": len(train_set.names), "names": checkpoint.names_fingerprint(train_set.names)}
    if state:
        check_same_run(folder, built.recipe, facts, state["facts"], options)
    feed = Feed(
        train_set,
        built.inputs.masks,
        built.recipe,
        built.stages,
        accelerator,
        options.workers,
        built.architecture.sizes(built.settings),
    )
    task = built.task.to(accelerator.device)
    average = AveragedNetwork(task.net, built.recipe.ema)
    if state:
        average.load(state["average"])
    keeper = Saver(
        built, folder, accelerator, validation, average, facts, state["best"] if state else None
    )
    if accelerator.is_main_process:
        checkpoint.write_recipe(folder.recipe, built.recipe, recipe_notes(built, options))
    accelerator.wait_for_everyone()
    done, total = state["done"] if state else 0, built.steps
    log = RunLog(
        folder.log,
        done=done,
        steps=total,
        tensorboard=options.tensorboard,
        writes=accelerator.is_main_process,
    )
    meter, every = LossMeter(feed, built, accelerator, log), built.recipe.every
    averaged = averaged_starts(built)
    with catch_signals() as signals, log:
        agreed = StopAgreement(signals, accelerator)
        steps = train_stages(
            task, built.stages, feed, accelerator, seed=built.recipe.seed, state=state
        )
        for step in steps:
            done = step.done
            average.update(task.net, done)
            if done in averaged:
                task.net.load_state_dict(average.net.state_dict())
            meter.add(step)
            last, stopped = done == total, agreed(done)
            validates = last or done % every.validate_ == 0
            saves = last or stopped or validates or done % every.save == 0
            if saves or done % every.log == 0:
                meter.settle(step)
            if validates:
                keeper.validate(step, log)
            if saves:
                keeper.save(step)
                meter.restart()
            if stopped and not last:
                break
    accelerator.wait_for_everyone()
    if done == total and accelerator.is_main_process:
        validate.write_report(folder, built)
    return TrainOutcome(folder.path, done, done < total, accelerator.is_main_process)


def list_places(inputs: Inputs, options: TrainOptions) -> list[tuple[Dataset, Path]]:
    """Return the data sets of a training, each with the path of its images."""
    places = [(inputs.train, options.data)]
    if inputs.val:
        places.append((inputs.val, options.val_data or options.data))
    return places


def skipped_notes(inputs: Inputs, options: TrainOptions) -> list[str]:
    """Return a sentence for each path that has files which are not pictures."""
    notes = (describe_skipped(*place) for place in list_places(inputs, options))
    return list(dict.fromkeys(filter(None, notes)))


def leave_process_group() -> None:
    """Take leave of the other processes of this training, if there are any."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def make_accelerator(recipe: Recipe) -> Accelerator:
    """Accelerate, in the precision and with the accumulation that `recipe` asks for."""
    if recipe.precision == "fp16" and not torch.cuda.is_available():
        raise InpaintError("precision fp16 needs a CUDA device; say --set precision=bf16 or full")
    return Accelerator(
        cpu=choose_device().type == "cpu",  # or several processes on a CPU would not see each other
        mixed_precision="no" if recipe.precision == "full" else recipe.precision,
        gradient_accumulation_steps=recipe.accumulate,
    )


def run_name(built: Built, source: RecipeSource) -> str:
    """What a run's folder is called; a training that goes without something says so."""
    return "-".join([built.name, source.path.stem, *built.task.without()])


def latest_state(folder: RunFolder, options: TrainOptions) -> dict[str, Any] | None:
    """The newest state in `folder`, to go on from; None to begin."""
    states = folder.states()
    if not options.resume:
        if states:
            raise TrainingError(
                f"{folder.path} holds a training already; go on with --resume, or give another "
                "folder with --run"
            )
        return None
    if not folder.path.is_dir():
        raise TrainingError(f"there is no {folder.path} to go on from; leave out --resume")
    if not states:
        print_message(f"{folder.path} was stopped before its first save: beginning anew")
        return None
    return checkpoint.read_state(states[-1])


def check_same_run(
    folder: RunFolder,
    recipe: Recipe,
    facts: Mapping[str, Any],
    old: Mapping[str, Any],
    options: TrainOptions,
) -> None:
    """Refuse to go on by another recipe or on other data than the run was begun with."""
    changed = checkpoint.recipe_changes(folder.recipe, recipe)
    changed += [f"data.{k}: was {old[k]}, is {facts[k]}" for k in facts if old[k] != facts[k]]
    if changed and not options.allow_changes:
        raise TrainingError(
            f"{folder.path} was begun otherwise ({'; '.join(changed)}); undo that, or say "
            "--allow-changes"
        )
    for change in changed:
        print_message(f"changed: {change}")


def initialise_parts(built: Built, options: TrainOptions) -> Built:
    """Begin from weights, telling what fitted; a stage that trains nothing else is skipped."""
    parts = []
    for item in options.init:
        whole = "=" not in item or Path(item).is_file()
        part, file = ("", item) if whole else item.split("=", 1)
        where = f"net.{part}" if part else "net"
        try:
            module = built.task.get_submodule(where)
        except AttributeError:
            raise InpaintError(f"--init {item}: {built.name} has no part '{part}'") from None
        tensors = weights.read_tensors(weights.inspect_weights(models.locate_weights(file)).path)
        inner = {k.removeprefix(f"{part}."): t for k, t in tensors.items() if is_within(k, part)}
        tensors = inner or tensors  # the part of a network like this, or a network of its own
        for line in checkpoint.load_matching(module, tensors, file):
            print_message(line)
        parts += [where] if part else []
    skipped = []
    for name in built.stages:
        trained = [
            m for phase in built.task.phases(name) for m in phase.trains if is_within(m, "net")
        ]
        if trained and all(any(is_within(m, part) for part in parts) for m in trained):
            print_message(f"stage '{name}' is skipped: --init brings all that it trains")
            skipped.append(name)
    return built.skip_stages(skipped)


def is_within(module: str, part: str) -> bool:
    return f"{module}.".startswith(f"{part}.")


def averaged_starts(built: Built) -> set[int]:
    """The steps after which a stage follows that begins from the averaged network."""
    first, found = 0, set()
    for stage in built.stages.values():
        if stage.averaged and stage.steps and first:
            found.add(first)
        first += stage.steps
    return found


def recipe_notes(built: Built, options: TrainOptions) -> list[str]:
    """What a resolved recipe says above itself: the command, the versions."""
    owner = plugin_origin(find_plugins("architectures")[built.name][0])
    versions = [f"{name} {version(name)}" for name in ("inpaint-cli", "torch", "accelerate")]
    return [*([options.command] if options.command else []), ", ".join([*versions, owner])]


@contextmanager
def catch_signals() -> Iterator[list[int]]:
    """Note the first SIGINT or SIGTERM in the list that is given; a second one acts as ever."""
    told: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def note(number: int, _: object) -> None:
        told.append(number)
        for each in signals:
            signal.signal(each, before[each])

    for number in signals:
        signal.signal(number, note)
    try:
        yield told
    finally:
        for number in signals:
            signal.signal(number, before[number])


@dataclass
class StopAgreement:
    """Whether all processes stop after a step, because one of them was told to.

    They ask each other about once a second, always after the same steps, as they must: the answer
    waits for the device.
    """

    signals: Sequence[int]  # that this process was sent
    accelerator: Accelerator
    every: int = 1
    due: int = 0
    since: float = field(default_factory=time.perf_counter)

    def __call__(self, done: int) -> bool:
        if self.accelerator.num_processes == 1:
            return bool(self.signals)
        if done < self.due:
            return False
        now = time.perf_counter()
        pace = min(max(int(self.every / (now - self.since)), 1), AGREE)
        mine = torch.tensor([bool(self.signals), pace], device=self.accelerator.device)
        ours: Any = self.accelerator.reduce(mine, "sum")
        stops, paces = ours.tolist()
        self.every, self.since = paces // self.accelerator.num_processes, now
        self.due = done + self.every
        return stops > 0
