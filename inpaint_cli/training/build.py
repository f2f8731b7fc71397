"""Build what a recipe describes: network, task, data, masks and metrics."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, get_args

from ..api.architectures import Architecture, Task
from ..api.metrics import ImageMetric
from ..api.settings import Settings
from ..api.stages import Stage, overlay_settings
from ..errors import PluginError, WeightsError, unknown_name
from ..files.pretrained import BackboneError
from ..layers.backbones import stand_in_backbones
from ..recipe.plugins import Inputs, build_inputs, build_metrics, draw_trial_masks, resolve_recipe
from ..recipe.schema import Recipe, Section
from ..recipe.source import KeyPath, RecipeSource
from ..registry import find_plugins, load_plugin
from ..runtime.seed import seed_torch

DEFAULT_BATCH = 8  # if neither the recipe nor the task has one


@dataclass(frozen=True)
class Built:
    """A recipe with the objects it describes for one architecture."""

    name: str
    architecture: type[Architecture]
    settings: Settings  # of the network, as its weights file holds them
    task: Task
    inputs: Inputs
    metrics: Mapping[str, ImageMetric]  # of a validation
    recipe: Recipe  # resolved: every default written out, and only this architecture's section

    @property
    def stages(self) -> Mapping[str, Stage]:
        """Every stage in order, with its batch."""
        return self.recipe.architectures[self.name].stages

    @property
    def steps(self) -> int:
        """The steps of all stages."""
        return sum(stage.steps for stage in self.stages.values())

    def with_steps(self, steps: Mapping[str, int]) -> "Built":
        """Return a copy with other lengths of the stages that `steps` names."""
        stages = {
            name: stage.model_copy(update={"steps": steps.get(name, stage.steps)})
            for name, stage in self.stages.items()
        }
        section = self.recipe.architectures[self.name].model_copy(update={"stages": stages})
        recipe = self.recipe.model_copy(update={"architectures": {self.name: section}})
        return replace(self, recipe=recipe)

    def skip_stages(self, names: Iterable[str]) -> "Built":
        """Return a copy without steps in the stages `names`."""
        return self.with_steps(dict.fromkeys(names, 0))


def build_training(
    name: str, recipe: Recipe, source: RecipeSource, *, steps: int | None = None
) -> Built:
    """Check `recipe` for the architecture `name`, and build its network, task, data and metrics.

    `steps`, if any, is the length of every stage, whatever the recipe says. Raises `RecipeError`
    for a wrong setting and `WeightsError` for a published backbone that cannot be had.
    """
    architecture, task_class, settings, task_settings, stages = check_section(name, recipe, source)
    inputs, metrics = build_inputs(recipe, source), build_metrics(recipe, source)
    seed_torch(recipe.seed)  # of the initial weights
    try:
        task = task_class(architecture.build(settings), task_settings)
    except BackboneError as error:
        raise explain_missing(error, name, task_settings) from error
    section = Section(
        model=settings.model_dump(), task=task_settings.model_dump(), stages=dict(stages)
    )
    resolved = resolve_recipe(recipe, inputs).model_copy(update={"architectures": {name: section}})
    built = Built(name, architecture, settings, task, inputs, metrics, resolved)
    if steps is not None:
        built = built.with_steps(dict.fromkeys(stages, steps))
    return built.skip_stages(stage for stage in stages if not task.phases(stage))


def explain_missing(error: BackboneError, name: str, task_settings: Settings) -> WeightsError:
    """Return the error about a missing backbone with the setting that goes without it, if any."""
    for key, field in type(task_settings).model_fields.items():
        used = error.name == getattr(task_settings, key) or error.name.startswith(key)
        if used and "none" in get_args(field.annotation):
            cure = f"or train without it: --set architectures.{name}.task.{key}=none"
            return WeightsError(f"{error}, {cure}")
    return error


def resolve_training(name: str, recipe: Recipe, source: RecipeSource) -> Recipe:
    """Return `recipe` as a training of `name` would use it, with every default written out.

    No published backbone is needed.
    """
    with stand_in_backbones():
        return build_training(name, recipe, source).recipe


def check_recipe(recipe: Recipe, source: RecipeSource) -> None:
    """Check every setting of `recipe` with the plugins it names; no network is built."""
    for name in recipe.architectures:
        try:
            check_section(name, recipe, source)
        except PluginError as error:
            raise source.error(("architectures", name), str(error)) from error
    draw_trial_masks(recipe, build_inputs(recipe, source), source)
    build_metrics(recipe, source)


def check_section(
    name: str, recipe: Recipe, source: RecipeSource
) -> tuple[type[Architecture], type[Task], Any, Any, dict[str, Stage]]:
    """Return an architecture and its task, the settings of each, and the stages, by `recipe`."""
    if name in find_plugins("fillers"):
        raise PluginError(
            f"{name} is not trained: it fills without a network; `inpaint models` lists networks"
        )
    architecture: type[Architecture] = load_plugin("architectures", name)
    task = architecture.task
    if task is None:
        raise PluginError(f"{name} cannot be trained: it has no task")
    section = recipe.architectures.get(name, Section())
    at = ("architectures", name)
    settings: Any = source.check(architecture.settings, section.model, (*at, "model"))
    task_settings: Any = source.check(task.settings, section.task, (*at, "task"))
    stages = merge_stages(task, section, recipe, source, at)
    return architecture, task, settings, task_settings, stages


def merge_stages(
    task: type[Task], section: Section, recipe: Recipe, source: RecipeSource, at: KeyPath
) -> dict[str, Stage]:
    """Return the stages of `task` in order: its defaults, replaced by what the recipe sets."""
    for name in section.stages:
        if name not in task.plan:
            raise source.error((*at, "stages", name), unknown_name("stage", name, task.plan))
    common = Stage.model_validate(
        {key: value for key in ("steps", "batch") if (value := getattr(recipe, key)) is not None}
    )
    stages = {}
    for name, default in task.plan.items():
        layers = (default, common, section.stages.get(name, Stage()))
        stages[name] = reduce(overlay_settings, layers, Stage(batch=DEFAULT_BATCH))
    return stages
