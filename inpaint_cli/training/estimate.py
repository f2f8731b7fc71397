"""Estimate what a training takes before it starts: parameters, steps, time, memory, disk."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..api.stages import Stage
from ..arguments import AnyPath, check_arguments
from ..datasets.collection import Collection
from ..files.pretrained import BACKBONES, find_backbone
from ..layers.backbones import stand_in_backbones
from ..recipe.plugins import draw_trial_masks
from ..recipe.read import dump_recipe, open_recipe
from ..runtime.devices import choose_device
from .build import Built, build_training
from .memory import FLOAT, fixed_memory, size_text
from .rehearsal import Rehearsal, rehearse_stage
from .run import paper_notes
from .speed import measure_speed


@check_arguments
def outline_training(
    architecture: str,
    recipe: AnyPath,
    data: AnyPath | None = None,
    *,
    masks: AnyPath | None = None,
    set: Sequence[str] = (),
) -> str:
    """Return the resolved recipe as YAML, under comments on parameters, steps, time and memory.

    Everything but the images is checked, and nothing is downloaded: published backbones that are
    missing are listed. With `data` the steps are also counted in epochs. Time is that of computing
    on this machine's device, to within a factor of two. The arguments are those of `train`. Raises
    `RecipeError`, and `DataError` if `data` has no images or lacks the label maps of a stage.

    >>> print(outline_training("gated", "smoke").splitlines()[0])
    # net: 4,244,094 parameters
    """
    settings, source = open_recipe(recipe, set, masks)
    with stand_in_backbones() as backbones:
        built = build_training(architecture, settings, source)
        built.task.start()
    draw_trial_masks(built.recipe, built.inputs, source)
    images = count_images(built, Path(data)) if data else {}
    rehearsals = rehearse_stages(built)
    lines = (
        *paper_notes(built, source),
        *backbone_lines(backbones),
        *network_lines(built),
        *step_lines(built, images, rehearsals),
        *memory_lines(built, rehearsals),
    )
    return "\n".join([*(f"# {line}" for line in lines), dump_recipe(built.recipe).rstrip()])


def backbone_lines(names: Sequence[str]) -> Iterator[str]:
    """List the published backbones that are missing."""
    for name in dict.fromkeys(names):
        if not find_backbone(name):
            size = f"{BACKBONES[name].bytes / 1e6:.0f} MB"
            yield f"needs {name} ({size}), which is not on this machine"


def network_lines(built: Built) -> Iterator[str]:
    """Yield the number of parameters of each network of the task."""
    for name, child in built.task.named_children():
        if count := sum(p.numel() for p in child.parameters()):
            yield f"{name}: {count:,} parameters"


def count_images(built: Built, data: Path) -> dict[str, int]:
    """Return the number of images at `data` that each stage learns from.

    Raises `DataError` if label maps are needed, and are missing or wrong.
    """
    whole, classes = Collection.at(built.inputs.train, data), built.task.label_names
    return {
        name: len((whole.labelled(classes) if stage.labelled else whole).names)
        for name, stage in trained_stages(built).items()
    }


def step_lines(
    built: Built, images: Mapping[str, int], rehearsals: Mapping[str, Rehearsal | Exception]
) -> Iterator[str]:
    """Yield the length of each stage in steps, in epochs of `images`, and in time."""
    device = choose_device()
    speed = measure_speed(device, built.recipe.precision)
    total = 0.0
    for name, stage in built.stages.items():
        seen, count = stage.steps * (stage.batch or 0), images.get(name)
        epochs = f", {seen / count:.1f} epochs of {count:,}" if count else ""
        line = f"stage {name}: {stage.steps:,} steps of {stage.batch} images{epochs}"
        rehearsal = rehearsals.get(name)
        if isinstance(rehearsal, Rehearsal):
            seconds = stage.steps * speed.seconds(rehearsal.operations, rehearsal.moved)
            total += seconds
            line += f", about {duration_text(seconds)}"
        yield line
    broken = unforeseen_text(rehearsals)
    yield f"time: about {duration_text(total)} on one {device.type} as fast as this one{broken}"


def unforeseen_text(rehearsals: Mapping[str, Rehearsal | Exception]) -> str:
    """Return what an estimate lacks, to be added to it; "" if nothing."""
    reasons = {
        name: f"{type(reason).__name__}: {(str(reason).splitlines() or ['?'])[0]}"
        for name, reason in rehearsals.items()
        if isinstance(reason, Exception)
    }
    return "".join(
        f"; what stage {name} adds cannot be foreseen ({why})" for name, why in reasons.items()
    )


def memory_lines(built: Built, rehearsals: Mapping[str, Rehearsal | Exception]) -> Iterator[str]:
    """Yield estimates of memory and disk."""
    fixed = fixed_memory(built, trained_stages(built))
    seen = [r.kept for r in rehearsals.values() if isinstance(r, Rehearsal)]
    parts = {"weights and their mean": fixed.weights, "optimisers": fixed.optimisers}
    parts |= {"gradients": fixed.gradients, "activations": max(seen, default=0)}
    listed = ", ".join(f"{name} {size_text(part)}" for name, part in parts.items() if part)
    total, broken = size_text(sum(parts.values())), unforeseen_text(rehearsals)
    yield f"memory: about {total} in each process ({listed}){broken}"
    last = built.recipe.keep.last
    everything, net = (
        sum(p.numel() for p in m.parameters()) * FLOAT for m in (built.task, built.task.net)
    )
    state = everything + net + fixed.optimisers
    most = size_text(last * (state + net) + 2 * net)
    yield f"disk: about {most} ({last} states of {size_text(state)})"


def trained_stages(built: Built) -> dict[str, Stage]:
    """Return the stages that are not skipped."""
    return {name: stage for name, stage in built.stages.items() if stage.steps}


def rehearse_stages(built: Built) -> dict[str, Rehearsal | Exception]:
    """Rehearse a step of each stage; where that broke off, the reason is in its place."""
    found: dict[str, Rehearsal | Exception] = {}
    for name in trained_stages(built):
        try:
            found[name] = rehearse_stage(built, name)
        except Exception as error:  # a plugin may need values, which a rehearsal does not have
            found[name] = error
    return found


def duration_text(seconds: float) -> str:
    """Return a time in its largest unit.

    >>> duration_text(5400), duration_text(40)
    ('1.5 hours', '40 seconds')
    """
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * length or (seconds >= length and unit == "hours"):
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"
