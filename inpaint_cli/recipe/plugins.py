"""Make the plugins that a recipe names, with their settings checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..api.datasets import Dataset
from ..api.masks import Masks
from ..api.metrics import ImageMetric
from ..api.settings import Settings
from ..errors import InpaintError, PluginError, unknown_name
from ..registry import load_plugin
from .schema import Named, Recipe
from .source import ArgumentSource, KeyPath, RecipeSource


@dataclass(frozen=True)
class Inputs:
    """The data sets and mask generators of a training."""

    train: Dataset
    val: Dataset | None
    masks: Masks
    val_masks: Masks


def build_inputs(recipe: Recipe, source: RecipeSource) -> Inputs:
    """Make the data sets and mask generators that `recipe` names."""
    masks = build_generator(recipe.masks.model_dump(), source, ("masks",))
    return Inputs(
        train=build_dataset(recipe.data.train, source, "train"),
        val=build_dataset(recipe.data.val, source, "val") if recipe.data.val else None,
        masks=masks,
        val_masks=build_generator(recipe.val_masks.model_dump(), source, ("val_masks",))
        if recipe.val_masks
        else masks,
    )


def draw_trial_masks(recipe: Recipe, inputs: Inputs, source: RecipeSource) -> None:
    """Draw a mask for training and one for validation. Raises `RecipeError` if that fails."""
    shape = recipe.data.size, recipe.data.size
    for key, masks in (("masks", inputs.masks), ("val_masks", inputs.val_masks)):
        try:
            masks.draw(*shape, np.random.default_rng(recipe.seed))
        except InpaintError as error:
            raise source.error((key,), str(error)) from error


def resolve_recipe(recipe: Recipe, inputs: Inputs) -> Recipe:
    """Return `recipe` with every default of its `inputs` written out."""
    sets = {"train": named_settings(recipe.data.train.kind, inputs.train)}
    if recipe.data.val and inputs.val:
        sets["val"] = named_settings(recipe.data.val.kind, inputs.val)
    return recipe.model_copy(
        update={
            "data": recipe.data.model_copy(update=sets),
            "masks": named_settings(recipe.masks.kind, inputs.masks),
            "val_masks": named_settings((recipe.val_masks or recipe.masks).kind, inputs.val_masks),
        }
    )


def build_dataset(named: Named, source: RecipeSource, part: str) -> Dataset:
    """Make the data set that `data.train` or `data.val` names."""
    return source.plugin("datasets", named, ("data", part))


def build_metrics(recipe: Recipe, source: RecipeSource) -> dict[str, ImageMetric]:
    """Make the metrics that `recipe` names; their keys are name and settings, as "psnr-hole"."""
    metrics = {}
    for n, item in enumerate(recipe.metrics):
        named = Named(kind=item) if isinstance(item, str) else item
        metric = source.plugin("metrics", named, ("metrics", n))
        if not isinstance(metric, ImageMetric):
            problem = f"'{named.kind}' scores whole sets; use it with `inpaint eval`"
            raise source.error(("metrics", n), problem)
        metrics["-".join([named.kind, *map(str, (named.model_extra or {}).values())])] = metric
    best = recipe.keep.best
    if best is not None and best not in metrics:
        raise source.error(("keep", "best"), unknown_name("metric of this recipe", best, metrics))
    return metrics


def named_settings(kind: str, plugin: Settings) -> Named:
    """Return a plugin's settings as a recipe has them, with every default."""
    return Named.model_validate(plugin.model_dump(mode="json") | {"kind": kind})


def make_generator(kind: str, changes: Sequence[str] = (), **values: Any) -> Masks:
    """Return the generator called `kind`, with settings `values` and changes like "side=0.5".

    Values of None are left out. Raises `RecipeError`.
    """
    source = ArgumentSource(Path(f"masks '{kind}'"))
    settings = {"kind": kind} | {key: value for key, value in values.items() if value is not None}
    for change in changes:
        source.override(settings, change)
    return build_generator(settings, source)


def build_generator(settings: Mapping[str, Any], source: RecipeSource, at: KeyPath = ()) -> Masks:
    """Make the generator that `settings` {kind: ..., ...} describe, and those nested in it."""
    try:
        schema: type[Masks] = load_plugin("masks", str(settings.get("kind")))
    except PluginError as error:
        raise source.error((*at, "kind"), str(error)) from error
    inner = {key: build_nested(value, source, (*at, key)) for key, value in settings.items()}
    return source.check(schema, inner, at)


def build_nested(value: Any, source: RecipeSource, at: KeyPath) -> Any:
    """Return `value` with a generator in place of every mapping that has a kind."""
    if isinstance(value, Mapping) and "kind" in value:
        return build_generator(value, source, at)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [build_nested(item, source, (*at, n)) for n, item in enumerate(value)]
    return value
