"""Run a training: its folder, log, validation and saved states around the loop of steps."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from filelock import FileLock, Timeout

from ..api.datasets import Dataset
from ..datasets.collection import Collection, describe_skipped
from ..errors import InpaintError, TrainingError
from ..files.write import sweep_folder
from ..models import choose as models
from ..models import weights
from ..models.catalogue import first_terms
from ..recipe.plugins import Inputs, draw_trial_masks
from ..recipe.schema import Recipe
from ..recipe.source import RecipeSource
from ..registry import find_plugins, plugin_origin
from ..runtime.devices import (
    choose_algorithms,
    choose_device,
    is_out_of_memory,
    lacks_determinism,
    measure_memory,
    release_memory,
)
from . import checkpoint, validate
from .build import Built, build_training
from .ema import AveragedNetwork
from .feed import Feed
from .folder import RunFolder
from .log import RunLog, flatten_values, print_message
from .loop import Step, train_stages
from .memory import explain_memory
from .origin import Upstream, check_upstream
from .saving import LossMeter, Saver
from .stopping import StopAgreement, catch_signals
from .trackers import Trackers

MOST_WORKERS = 8  # by default; beyond them a GPU is seldom hungry
UNLIKE_PAPER = "not-as-published"  # in the names of runs


@dataclass(frozen=True)
class TrainOptions:
    """What is not in a recipe: where the images and the run folder are, and how to start."""

    data: Path
    val_data: Path | None = None  # None: `data`
    folder: Path | None = None  # None: runs/ARCHITECTURE-RECIPE
    resume: bool = False
    allow_changes: bool = False
    init: Sequence[str] = ()  # "FILE" for the whole network, "PART=FILE" for a part of it
    workers: int = 2
    track: Sequence[str] = ()  # names of trackers
    command: str = ""  # the command line, for the head of the run's recipe
    steps: int | None = None  # of every stage, in place of the recipe's


@dataclass(frozen=True)
class TrainOutcome:
    """The end of a training: its folder, and how far it came."""

    folder: Path
    done: int  # steps so far, of all stages
    interrupted: bool = False  # stopped by a signal before its last step
    main: bool = True  # False in all but the first process of a training on several GPUs

    @property
    def weights(self) -> Path:
        """The file of the trained network, for `load_model` and `fill`."""
        return RunFolder(self.folder).weights


@dataclass(frozen=True)
class TrainingRun:
    """A training with everything that takes part in it."""

    built: Built
    accelerator: Accelerator
    feed: Feed
    average: AveragedNetwork
    saver: Saver
    meter: LossMeter
    log: RunLog


def run_training(
    name: str, recipe: Recipe, source: RecipeSource, options: TrainOptions
) -> TrainOutcome:
    """Train the architecture `name` by `recipe` until it is complete or a signal stops it.

    A run that was stopped and resumed gives the same bits as an uninterrupted one. Raises
    `InpaintError`.
    """
    built = build_training(name, recipe, source, steps=options.steps)
    draw_trial_masks(built.recipe, built.inputs, source)
    for note in (*paper_notes(built, source), *skipped_notes(built.inputs, options)):
        print_message(note)
    accelerator = make_accelerator(built.recipe)
    if (processes := accelerator.num_processes) > 1:
        print_message(f"training in {processes} processes")
    folder = RunFolder(options.folder or Path("runs") / run_name(built, source))
    state = latest_state(folder, options)
    accelerator.wait_for_everyone()  # before the first process writes into the folder
    built = built.skip_stages(state["skipped"]) if state else initialise_parts(built, options)
    compute = built.recipe.compute
    with choose_algorithms(
        tf32=compute.tf32, autotune=compute.autotune, deterministic=compute.deterministic
    ):
        run = prepare_run(built, folder, accelerator, options, state)
        with (
            catch_signals() as signals,
            run.log,
            hold_folder(folder, accelerator),
            explain_failures(run),
        ):
            done = take_steps(run, StopAgreement(signals, accelerator), state)
    accelerator.wait_for_everyone()
    stopped = done < built.steps and not run.saver.is_stale
    return TrainOutcome(folder.path, done, stopped, accelerator.is_main_process)


@contextmanager
def hold_folder(folder: RunFolder, accelerator: Accelerator) -> Iterator[None]:
    """Within the block, hold the lock by which `inpaint runs` sees that a training runs.

    Raises `TrainingError` where another process holds it.
    """
    if not accelerator.is_main_process:
        yield
        return
    lock = FileLock(folder.lock)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise TrainingError(
            f"another process trains in {folder.path}; give another folder with --run",
            path=folder.path,
        ) from error
    try:
        yield
    finally:
        folder.lock.unlink(missing_ok=True)
        lock.release()


def prepare_run(
    built: Built,
    folder: RunFolder,
    accelerator: Accelerator,
    options: TrainOptions,
    state: Mapping[str, Any] | None,
) -> TrainingRun:
    """Open data, log and folder of a run, at the start or where `state` was saved."""
    train_set = Collection.at(built.inputs.train, options.data)
    validation = validate.build_validation(built, train_set, options.val_data)
    facts = {"images": len(train_set.names), "names": checkpoint.names_fingerprint(train_set.names)}
    upstream = list_upstream(built, options, state)
    if built.inputs.val is not None:
        for each in upstream:
            check_upstream(each, train_set, validation.collection)
    if state:
        check_same_run(folder, built.recipe, facts, state["facts"], options)
    sizes = built.architecture.sizes(built.settings)
    masks, stages = built.inputs.masks, built.stages
    feed = Feed(
        train_set,
        masks,
        built.recipe,
        stages,
        accelerator,
        options.workers,
        sizes,
        classes=built.task.label_names,
        detail=built.task.detail,
        channels_last=built.recipe.compute.channels_last,
    )
    built.task.to(accelerator.device)
    if built.recipe.compute.channels_last:
        built.task.to(memory_format=torch.channels_last)
    average = AveragedNetwork(built.task.net, built.recipe.ema)
    if state:
        average.load(state["average"])
    best = state["best"] if state else None
    stale = state.get("stale", 0) if state else 0
    saver = Saver(built, folder, accelerator, validation, average, facts, upstream, best, stale)
    if accelerator.is_main_process:
        checkpoint.write_recipe(folder.recipe, built.recipe, recipe_notes(built, options))
    accelerator.wait_for_everyone()
    trackers = None
    if accelerator.is_main_process and options.track:
        trackers = Trackers(options.track, folder.path, tracked_settings(built), print_message)
    log = RunLog(
        folder.log,
        done=state["done"] if state else 0,
        steps=built.steps,
        trackers=trackers,
        writes=accelerator.is_main_process,
    )
    meter = LossMeter(feed, built, accelerator, log)
    return TrainingRun(built, accelerator, feed, average, saver, meter, log)


def tracked_settings(built: Built) -> dict[str, str]:
    """Return the recipe's settings by their keys, as trackers compare them."""
    tree = built.recipe.model_dump(mode="json", by_alias=True)
    return {key.replace("/", "."): str(value) for key, value in flatten_values(tree)}


def take_steps(run: TrainingRun, stop: StopAgreement, state: Mapping[str, Any] | None) -> int:
    """Train until the last step or until `stop`; return the number of steps done."""
    task, seed = run.built.task, run.built.recipe.seed
    starts = averaged_starts(run.built)
    done = state["done"] if state else 0
    if run.saver.is_stale:
        end_early(run, done)
        return done
    steps = train_stages(
        task,
        run.built.stages,
        run.feed,
        run.accelerator,
        seed=seed,
        state=state,
        compiles=run.built.recipe.compute.compile,
        norms=run.log.trackers is not None,
    )
    for step in steps:
        done = step.done
        run.average.update(task.net, done, run.built.stages[step.stage].decay)
        if done in starts:
            task.net.load_state_dict(run.average.net.state_dict())
        run.meter.add(step)
        stopped = stop(done)
        record_step(run, step, stopped=stopped)
        if run.saver.is_stale:
            end_early(run, done)
        if stopped or run.saver.is_stale:
            break
    return done


@contextmanager
def explain_failures(run: TrainingRun) -> Iterator[None]:
    """Raise `TrainingError` with the cure where the device lacks memory, or an algorithm."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if lacks_determinism(error):
            reason = str(error).splitlines()[0]
            raise TrainingError(
                f"{run.built.name} cannot be trained with compute.deterministic here ({reason}); "
                "use --set compute.deterministic=false"
            ) from error
        if not is_out_of_memory(error):
            raise
        device = run.accelerator.device
        release_memory(device)
        stage, world = run.built.task.stage, run.accelerator.num_processes
        raise TrainingError(
            explain_memory(run.built, stage, str(device), measure_memory(device), world)
        ) from error


def end_early(run: TrainingRun, done: int) -> None:
    """Log and say that the training has ended, for its score becomes no better."""
    patience = run.built.recipe.patience
    reason = f"no better score in {patience} validations"
    run.log.note("end", done, {"reason": reason})
    print_message(f"ended after step {done} of {run.built.steps}: {reason}")


def record_step(run: TrainingRun, step: Step, *, stopped: bool) -> None:
    """Log, validate and save after a step, where that is due; after the last step all three."""
    done, every = step.done, run.built.recipe.every
    validates = done == run.built.steps or done % every.validate_ == 0
    saves = validates or stopped or done % every.save == 0
    if saves or done % every.log == 0:
        run.meter.log_losses(step)
    if validates:
        run.saver.validate(step, run.log)
    if saves:
        run.saver.save(step)
        if (validates or stopped) and run.accelerator.is_main_process:
            validate.write_report(run.saver.folder, run.built)
        run.meter.restart()


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


def paper_notes(built: Built, source: RecipeSource) -> list[str]:
    """Return a sentence if the recipe does not train an architecture as its paper does."""
    own = built.recipe.papers.get(built.name)
    return [f"{source.path.stem} does not train {built.name} as its paper does; the recipe {own} "
            "does"] if own else []  # fmt: skip


def default_workers(workers: int | None = None) -> int:
    """Return `workers`, by default one for each core that this process may use, up to eight."""
    if workers is not None:
        return workers
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    known = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1
    return min(max(cores // processes, 1), MOST_WORKERS)


def leave_process_group() -> None:
    """Destroy the process group of a training in several processes, if any."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def make_accelerator(recipe: Recipe) -> Accelerator:
    """Return Accelerate with the precision and the accumulation of `recipe`."""
    if recipe.precision == "fp16" and not torch.cuda.is_available():
        raise InpaintError("precision fp16 needs a CUDA device; use --set precision=bf16 or full")
    return Accelerator(
        cpu=choose_device().type == "cpu",  # else several processes on a CPU would not be grouped
        mixed_precision="no" if recipe.precision == "full" else recipe.precision,
        gradient_accumulation_steps=recipe.accumulate,
    )


def run_name(built: Built, source: RecipeSource) -> str:
    """Return the default name of a run folder, such as "pconv-faces-no-vgg"."""
    paper = [UNLIKE_PAPER] if built.name in built.recipe.papers else []
    return "-".join([built.name, source.path.stem, *built.task.without(), *paper])


def latest_state(folder: RunFolder, options: TrainOptions) -> dict[str, Any] | None:
    """Return the newest state in `folder` to resume from; None to start at step 0.

    Raises `TrainingError` if a training would be overwritten, or there is none to resume.
    """
    if not options.resume:
        check_new(folder)
        return None
    if not folder.path.is_dir():
        raise TrainingError(
            f"there is no run {folder.path} to resume; leave out --resume", path=folder.path
        )
    sweep_folder(folder.path)
    if states := folder.states():
        return checkpoint.read_state(states[-1])
    if any(folder.path.iterdir()) and not folder.is_begun():
        raise TrainingError(
            f"{folder.path} has no state to resume from, but other files; begin another run from "
            "its weights with --init",
            path=folder.path,
        )
    print_message(f"{folder.path} was stopped before its first save; starting at step 0")
    return None


def check_new(folder: RunFolder) -> None:
    """Raise `TrainingError` where a training that begins might replace files in `folder`."""
    if not folder.path.exists():
        return
    if not folder.path.is_dir():
        raise TrainingError(f"{folder.path} is a file; give a folder with --run", path=folder.path)
    sweep_folder(folder.path)
    if folder.states() or folder.is_begun():
        what = "already has a training; continue it with --resume, or give"
    elif any(folder.path.iterdir()):
        what = "is not empty; give"
    else:
        return
    raise TrainingError(f"{folder.path} {what} another folder with --run", path=folder.path)


def check_same_run(
    folder: RunFolder,
    recipe: Recipe,
    facts: Mapping[str, Any],
    old: Mapping[str, Any],
    options: TrainOptions,
) -> None:
    """Raise `TrainingError` if the recipe or the data differ from those that the run began with."""
    changed = checkpoint.recipe_changes(folder.recipe, recipe)
    changed += [f"data.{k}: was {old[k]}, is {facts[k]}" for k in facts if old[k] != facts[k]]
    if changed and not options.allow_changes:
        raise TrainingError(
            f"{folder.path} began with other settings ({'; '.join(changed)}); restore them, or "
            "resume with --allow-changes",
            path=folder.path,
        )
    for change in changed:
        print_message(f"changed: {change}")


def initialise_parts(built: Built, options: TrainOptions) -> Built:
    """Load what a training begins with; skip each stage that trains only what --init contains."""
    built.task.start()
    parts = [load_part(built, item) for item in options.init]
    skipped = []
    for name in built.stages:
        trained = [
            m for phase in built.task.phases(name) for m in phase.trains if is_within(m, "net")
        ]
        if trained and all(any(is_within(m, part) for part in parts if part) for m in trained):
            print_message(f"stage '{name}' is skipped: --init has the weights that it trains")
            skipped.append(name)
    return built.skip_stages(skipped)


def list_upstream(
    built: Built, options: TrainOptions, state: Mapping[str, Any] | None
) -> list[Upstream]:
    """Return the files that a training starts from, or those that `state` remembers."""
    if state:
        return [Upstream(**each) for each in state.get("upstream", ())]
    starts = [(part, models.locate_weights(file)) for part, file in map(split_init, options.init)]
    return [Upstream.of(*start) for start in (*starts, *built.task.files().items())]


def split_init(item: str) -> tuple[str, str]:
    """Return part ("" for the whole network) and file of "FILE" or "PART=FILE"."""
    part, _, file = item.partition("=")
    return ("", item) if not file or Path(item).is_file() else (part, file)


def load_part(built: Built, item: str) -> str:
    """Load "FILE" or "PART=FILE"; return the module that was loaded, "" for the whole network."""
    part, file = split_init(item)
    module_name = f"net.{part}" if part else "net"
    try:
        module = built.task.get_submodule(module_name)
    except AttributeError:
        raise InpaintError(f"--init {item}: {built.name} has no part '{part}'") from None
    ref = models.ModelRef(weights=file)
    for sentence in first_terms(ref.published) if ref.published else ():
        print_message(sentence)
    tensors = weights.read_tensors(weights.inspect_weights(models.locate_weights(file)).path)
    inner = {k.removeprefix(f"{part}."): t for k, t in tensors.items() if is_within(k, part)}
    # the part of a whole network, or else the part alone
    for line in checkpoint.load_matching(module, inner or tensors, file):
        print_message(line)
    return module_name if part else ""


def is_within(module: str, part: str) -> bool:
    """Whether the name `module` is `part` or a module in it."""
    return f"{module}.".startswith(f"{part}.")


def averaged_starts(built: Built) -> set[int]:
    """Return the steps after which a stage begins from the averaged network."""
    first, starts = 0, set()
    for stage in built.stages.values():
        if stage.averaged and stage.steps and first:
            starts.add(first)
        first += stage.steps
    return starts


def recipe_notes(built: Built, options: TrainOptions) -> list[str]:
    """Return the comments above a run's recipe: the command and the versions."""
    owner = plugin_origin(find_plugins("architectures")[built.name][0])
    versions = [f"{name} {version(name)}" for name in ("inpaint-cli", "torch", "accelerate")]
    return [*([options.command] if options.command else []), ", ".join([*versions, owner])]
