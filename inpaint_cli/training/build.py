"""From names in a recipe to objects, each setting checked by the class it is for."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from ..api.architectures import Architecture, Task
from ..api.metrics import ImageMetric
from ..api.settings import Settings
from ..api.stages import Stage, overlay_settings
from ..errors import PluginError, unknown_name
from ..recipe.plugins import Inputs, build_inputs, build_metrics, draw_trial_masks, resolve_recipe
from ..recipe.schema import Recipe, Section
from ..recipe.source import KeyPath, RecipeSource
from ..registry import load_plugin
from ..runtime.seed import seed_torch

DEFAULT_BATCH = 8  # where neither the recipe nor the task says


@dataclass(frozen=True)
class Built:
    """A recipe made ready for one architecture."""

    name: str
    architecture: type[Architecture]
    model: Settings  # of the network, as its weights will carry them
    task: Task
    plan: Mapping[str, Stage]  # every stage, `batch` and all
    inputs: Inputs
    metrics: Mapping[str, ImageMetric]  # of a validation
    recipe: Recipe  # resolved: everything above written out; only this architecture's section


def build_training(
    name: str, recipe: Recipe, source: RecipeSource, *, steps: int | None = None
) -> Built:
    """Check `recipe` for the architecture `name` by its plugins' own classes, and build it.

    `steps`, where given, is the length of every stage whatever the recipe says.
    """
    architecture, task, model, rules, plan = check_section(name, recipe, source)
    if steps is not None:
        plan = {k: stage.model_copy(update={"steps": steps}) for k, stage in plan.items()}
    inputs, metrics = build_inputs(recipe, source), build_metrics(recipe, source)
    seed_torch(recipe.seed)  # what the networks begin with
    made = task(architecture.build(model), rules)
    plan = {
        k: stage if made.phases(k) else stage.model_copy(update={"steps": 0})
        for k, stage in plan.items()
    }
    section = Section(model=model.model_dump(), task=rules.model_dump(), stages=plan)
    return Built(
        name=name,
        architecture=architecture,
        model=model,
        task=made,
        plan=plan,
        inputs=inputs,
        metrics=metrics,
        recipe=resolve_recipe(recipe, inputs).model_copy(update={"architectures": {name: section}}),
    )


def check_recipe(recipe: Recipe, source: RecipeSource) -> None:
    """Check everything that `recipe` says, by the plugins it names; no network is built."""
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
    """An architecture and its task, the settings of each, and the stages, as `recipe` has them."""
    architecture: type[Architecture] = load_plugin("architectures", name)
    task = architecture.task
    if task is None:
        raise PluginError(f"{name} cannot be trained: it has no task")
    section = recipe.architectures.get(name, Section())
    at = ("architectures", name)
    model: Any = source.check(architecture.settings, section.model, (*at, "model"))
    rules: Any = source.check(task.settings, section.task, (*at, "task"))
    return architecture, task, model, rules, plan_stages(task, section, recipe, source, at)


def plan_stages(
    task: type[Task], section: Section, recipe: Recipe, source: RecipeSource, at: KeyPath
) -> dict[str, Stage]:
    """The stages of `task` in its order: its own defaults, under what the recipe sets."""
    for name in section.stages:
        if name not in task.plan:
            raise source.error((*at, "stages", name), unknown_name("stage", name, task.plan))
    common = Stage.model_validate(
        {key: value for key in ("steps", "batch") if (value := getattr(recipe, key)) is not None}
    )
    plan = {}
    for name, default in task.plan.items():
        layers = (default, common, section.stages.get(name, Stage()))
        plan[name] = reduce(overlay_settings, layers, Stage(batch=DEFAULT_BATCH))
    return plan
